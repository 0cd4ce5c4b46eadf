"""What conda itself says of its configuration: caches, environment directories, prefixes, registries.

Nothing here lists an environment or a cache through conda: `list_all_known_prefixes` rewrites the registry, and
`PackageCacheData.first_writable` creates directories.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from conda.base.context import context
from conda.core.envs_manager import get_user_environments_txt_file

from ..core.model import Client
from ..embedded import is_embedded
from .clients import other_clients
from .installations import Installation, usual_installations
from .neighbours import other_homes


@dataclass(frozen=True, slots=True)
class Settings:
    """Absolute paths, each as configured; not all of them need to exist.

    prefixes: the root prefix, the active and the target environment.
    registries: files that list one environment a line: this user's, and for root, as conda does it
        (`list_all_known_prefixes`), everybody else's. conda registers below ``$HOME`` whoever is running.
    nameless_envs_dirs: where environments are that go by no name: pixi's.
    other_caches: those of other clients than conda.
    """

    pkgs_dirs: tuple[str, ...]
    envs_dirs: tuple[str, ...]
    root_prefix: str
    prefixes: tuple[str, ...]
    registries: tuple[str, ...]
    other_registries: tuple[str, ...]
    nameless_envs_dirs: tuple[str, ...]
    other_caches: Mapping[str, Client]


def conda_settings() -> Settings:
    """Return conda's settings and where other clients are, without a conda of its own also other installations."""
    installations: tuple[Installation, ...] = usual_installations(os.environ) if is_embedded() else ()
    others = other_clients(os.environ)
    active = os.environ.get("CONDA_PREFIX")
    prefixes = (context.root_prefix, active, context.target_prefix)
    return Settings(
        pkgs_dirs=_unique(context.pkgs_dirs, *(place.pkgs_dirs for place in installations)),
        envs_dirs=_unique(context.envs_dirs, *(place.envs_dirs for place in installations), others.envs_dirs),
        nameless_envs_dirs=others.nameless_envs_dirs,
        root_prefix=str(context.root_prefix),
        prefixes=_unique(
            (os.path.abspath(prefix) for prefix in prefixes if prefix),
            (place.prefix for place in installations),
            others.prefixes,
        ),
        registries=(registry("~"),),
        other_registries=tuple(registry(home) for home in other_homes()),
        # conda may be told to use one of them: then it is conda's too.
        other_caches={path: client for path, client in others.caches.items() if path not in context.pkgs_dirs},
    )


def registry(home: str) -> str:
    """Return the path of the registry in a home."""
    return str(get_user_environments_txt_file(home))


def _unique(*groups: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(path) for group in groups for path in group))  # type: ignore[attr-defined]
