"""What conda itself says of its configuration: caches, environment directories, prefixes, registries.

Nothing here lists an environment or a cache through conda: `list_all_known_prefixes` rewrites the registry, and
`PackageCacheData.first_writable` creates directories.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from conda.base.context import context
from conda.core.envs_manager import get_user_environments_txt_file

from ..embedded import is_embedded
from .installations import Installation, usual_installations


@dataclass(frozen=True, slots=True)
class Settings:
    """Absolute paths, each as configured; not all of them need to exist.

    prefixes: the root prefix, the active and the target environment.
    registries: files that list one environment a line: this user's, and for root, as conda does it
        (`list_all_known_prefixes`), everybody else's. conda registers below ``$HOME`` whoever is running.
    """

    pkgs_dirs: tuple[str, ...]
    envs_dirs: tuple[str, ...]
    root_prefix: str
    prefixes: tuple[str, ...]
    registries: tuple[str, ...]
    other_registries: tuple[str, ...]


def conda_settings() -> Settings:
    """Return conda's settings, and on a machine without a conda of its own also the installations found there."""
    installations: tuple[Installation, ...] = usual_installations(os.environ) if is_embedded() else ()
    active = os.environ.get("CONDA_PREFIX")
    prefixes = (context.root_prefix, active, context.target_prefix)
    return Settings(
        pkgs_dirs=_unique(context.pkgs_dirs, *(place.pkgs_dirs for place in installations)),
        envs_dirs=_unique(context.envs_dirs, *(place.envs_dirs for place in installations)),
        root_prefix=str(context.root_prefix),
        prefixes=_unique(
            (os.path.abspath(prefix) for prefix in prefixes if prefix),
            (place.prefix for place in installations),
        ),
        registries=(_registry("~"),),
        other_registries=tuple(_registry(home) for home in _other_homes()),
    )


def _registry(home: str) -> str:
    return str(get_user_environments_txt_file(home))


def _other_homes() -> Iterator[str]:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        from pwd import getpwall

        yield from {user.pw_dir: None for user in getpwall() if user.pw_dir}


def _unique(*groups: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(path) for group in groups for path in group))  # type: ignore[attr-defined]
