"""conda's configuration: caches, environment directories, prefixes, registries.

Nothing here lists an environment or a cache through conda: `list_all_known_prefixes` rewrites the registry, and
`PackageCacheData.first_writable` creates directories.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ... import failures
from ...core.model import Client
from ...core.notices import Notice
from ...embedded import is_embedded
from ..roots.environments import Sources
from .conda_context import (
    REGISTER,
    build_work_dir,
    envs_dirs,
    pkgs_dirs,
    registry,
    root_prefix,
    target_prefix,
    where_not_registered,
)
from .installations import other_homes, settings_files, usual_installations
from .mamba_pixi import other_clients, pixi_cache_roots
from .tool_environments import tool_places

#: The kind of the notice on a configuration that switches registration off.
UNREGISTERED = "unregistered-environments"


@dataclass(frozen=True, slots=True)
class Settings(Sources):
    """Conda's caches, with those of other clients, and where environments may be.

    conda registers below ``$HOME`` whichever user runs it; for root, the registries of all users count, as in conda
    (`list_all_known_prefixes`).
    """

    pkgs_dirs: tuple[str, ...] = ()
    other_caches: Mapping[str, Client] = field(default_factory=dict)

    @property
    def noting(self) -> tuple[str, ...]:
        """The directories in whose state runs are noted; the first is that of this user's registry."""
        return (os.path.dirname(self.registries[0]), *self.envs_dirs, *self.pkgs_dirs)


def conda_settings() -> Settings:
    """Return conda's settings and the places of other clients; without a conda of its own also other installations."""
    installations = usual_installations(os.environ) if is_embedded() else ()
    others = other_clients(os.environ)
    root, caches, homes = root_prefix(), pkgs_dirs(), tuple(other_homes())
    directories = _unique(envs_dirs(), *(place.envs_dirs for place in installations), others.envs_dirs)
    values = {
        "croot": (build_work_dir(),),
        "envs_dir": directories,
        "pixi_cache": pixi_cache_roots(os.environ),
        "root": (root,),
    }
    prefixes = (os.path.abspath(path) for path in (root, os.environ.get("CONDA_PREFIX"), target_prefix()) if path)
    packages = _unique(caches, *(place.pkgs_dirs for place in installations))
    try:
        current: str | None = os.getcwd()
    except OSError as error:
        failures.note(error)
        current = None
    return Settings(
        caches=packages,
        pkgs_dirs=packages,
        envs_dirs=directories,
        root_prefix=root,
        prefixes=_unique(prefixes, (place.prefix for place in installations), others.prefixes),
        registries=(registry("~"),),
        other_registries=tuple(registry(home) for home in homes),
        places=(*others.places, *tool_places(os.environ, values, homes)),
        current=current,
        # conda may be told to use one of them: then it is conda's too.
        other_caches={path: client for path, client in others.caches.items() if path not in caches},
    )


def unregistered_notices() -> tuple[Notice, ...]:
    """Return a warning for each configuration by which conda doesn't register the environments that it creates."""
    others = (path for path, values in settings_files(os.environ, REGISTER) if values.get(REGISTER) is False)
    notices = []
    for source in dict.fromkeys((*where_not_registered(), *others)):
        where = "The environment variable CONDA_REGISTER_ENVS" if source == "envvars" else source
        message = (
            f"{where} sets {REGISTER} to false, so environments created with it are unknown. "
            "Name them with --root, or the directories they are in with --search."
        )
        notices.append(Notice(UNREGISTERED, message, source if os.path.isabs(source) else "", hides_roots=True))
    return tuple(notices)


def _unique(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for group in groups for path in group))
