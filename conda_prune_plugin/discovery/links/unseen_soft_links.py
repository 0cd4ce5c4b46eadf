"""Whether an unknown environment may soft-link from the caches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from ...core.model import Cache, Root
from ..clients.conda_context import SOFT_LINKS, soft_link_settings
from ..clients.installations import settings_files
from .soft_links import Walk, by_real_path, environments_of


def why_soft_links(roots: Iterable[Root], caches: tuple[Cache, ...], progress: Callable[[int], None]) -> str | None:
    """Return why environments that are not known may soft-link from the caches, None if nothing speaks for it.

    Looked at are the settings of the conda that runs, the configuration files in the home and of the installations
    in the usual places, and every file of every environment that is known, up to the first soft link.
    """
    for setting in soft_link_settings():
        return f"conda's setting {setting} is on"
    for path, values in settings_files(os.environ):
        for setting in SOFT_LINKS:
            if values.get(setting) is True:
                return f"{path} sets {setting}"
    walk = Walk(by_real_path(environments_of(roots)), caches, progress)
    for prefix, path in walk.prefixes.items():
        for link in walk.links(prefix):
            return f"the environment {path} has soft links ({link.path} leads to {link.name})"
    return None
