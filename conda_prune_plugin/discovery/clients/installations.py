"""Find conda installations in the usual places, and other users of a package cache.

The running conda need not be the one that installed, and only the registries of other users list their environments.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ... import failures
from ...core.model import Cache
from ...failures import suppress
from ..system.privileges import own_user
from ..system.safe_read import read_regular
from .conda_context import registry

#: Where the installers of conda, Miniforge and micromamba put things by default.
USUAL_PLACES = (
    "~/miniforge3",
    "~/miniconda3",
    "~/anaconda3",
    "~/mambaforge",
    "~/micromamba",
    "/opt/conda",
)

#: Where an installation, or a user, has its configuration.
_SETTINGS_FILES = (".condarc", "condarc", ".mambarc")


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation: its root prefix and the directories that it uses by default or by its own configuration."""

    prefix: str
    pkgs_dirs: tuple[str, ...]
    envs_dirs: tuple[str, ...]


def usual_installations(environ: Mapping[str, str]) -> tuple[Installation, ...]:
    """Return the installations that exist in the usual places and where the environment variables point."""
    return tuple(
        installation(prefix)
        for prefix in root_prefixes(environ)
        if any(failures.isdir(os.path.join(prefix, sign)) for sign in ("conda-meta", "pkgs", "envs"))
    )


def root_prefixes(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return where installations are by the usual places and the environment variables; they need not exist."""
    places = [os.path.expanduser(place) for place in USUAL_PLACES]
    places.append(environ.get("MAMBA_ROOT_PREFIX", ""))
    if environ.get("CONDA_EXE"):
        # <root>/bin/conda, or <root>/Scripts/conda.exe
        places.append(os.path.dirname(os.path.dirname(os.path.abspath(environ["CONDA_EXE"]))))
    return tuple(dict.fromkeys(os.path.abspath(place) for place in places if place))


def is_root_prefix(prefix: str) -> bool:
    """Return whether a directory is the root of an installation by what lies in it, wherever that is.

    ``condabin`` alone is in other environments too. micromamba (``validate_existing_root_prefix`` in
    ``libmamba/src/api/configuration.cpp``) has no more than its cache and its environments there.
    """
    pkgs, envs, condabin = (failures.isdir(os.path.join(prefix, name)) for name in ("pkgs", "envs", "condabin"))
    return pkgs + envs + condabin >= 2


def settings_files(environ: Mapping[str, str], key: str = "") -> Iterator[tuple[str, Mapping[str, object]]]:
    """Give path and content of the configuration files in the homes and of the installations in the usual places.

    Those in which a `key` does not occur are not parsed, which takes longer than all the rest.
    """
    for prefix in dict.fromkeys((os.path.expanduser("~"), *root_prefixes(environ), *other_homes())):
        for name in _SETTINGS_FILES:
            path = os.path.join(prefix, name)
            yield path, _load(path, key)


def installation(prefix: str, *files: str) -> Installation:
    """Return an installation by its root prefix, or, without one, what some configuration files say."""
    pkgs_dirs, envs_dirs = ([os.path.join(prefix, name)] if prefix else [] for name in ("pkgs", "envs"))
    for path in files or [os.path.join(prefix, name) for name in _SETTINGS_FILES]:
        settings = _load(path)
        # envs_path is conda's alias of envs_dirs.
        for key, directories in (("pkgs_dirs", pkgs_dirs), ("envs_dirs", envs_dirs), ("envs_path", envs_dirs)):
            value = settings.get(key)
            for item in value if isinstance(value, list) else [value]:
                if is_path(item):
                    directories.append(os.path.abspath(os.path.expanduser(os.path.expandvars(item))))
    return Installation(prefix, tuple(pkgs_dirs), tuple(envs_dirs))


def _load(path: str, key: str = "") -> Mapping[str, object]:
    """Return the mapping in a configuration file; nothing for a missing or broken one."""
    try:
        text = read_regular(path).decode("utf-8")
        settings = YAML(typ="safe", pure=True).load(text) if key in text else {}
    except (OSError, ValueError, YAMLError, RecursionError, LookupError, TypeError) as error:
        failures.note(error)
        # A date that there is none of is a `ValueError` too, and a value of another kind than its tag is any of these.
        return {}
    return settings if isinstance(settings, dict) else {}


def is_path(value: object) -> TypeGuard[str]:
    """Return True if a value from a configuration file is a valid path; functions of `os` raise for others."""
    try:
        return isinstance(value, str) and value != "" and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def find_other_users(caches: Iterable[Cache]) -> tuple[tuple[str, str, str], ...]:
    """Return name and registry of the other users who own something in a cache, and that cache.

    Hard links are counted wherever they are, and copies need nothing; but only the environments themselves show what
    another user soft-links from a cache. So in a cache that other users may change, the registries of all users who own
    something in it are read: they have installed from it. A user who has only read from it leaves no trace.
    """
    ours = own_user()
    if ours is None:
        return ()
    from pwd import getpwuid

    found: dict[int, tuple[str, str, str]] = {}
    for cache in caches:
        if not cache.writable:
            continue
        for owner in _owners(cache.real_path, ours) - found.keys() - {ours}:
            # A deleted user has no home.
            with suppress(KeyError):
                known = getpwuid(owner)
                found[owner] = (known.pw_name, registry(known.pw_dir), cache.path)
    return tuple(found.values())


def other_homes() -> Iterator[str]:
    """Give for root, as conda does, the homes of all users, and that of the caller of sudo; for others none."""
    if own_user() != 0:
        return
    from pwd import getpwall, getpwnam

    homes = {entry.pw_dir: None for entry in getpwall() if entry.pw_dir}
    # A directory service may know users that it does not list.
    with suppress(KeyError):
        homes[getpwnam(os.environ.get("SUDO_USER", "")).pw_dir] = None
    yield from homes


def _owners(directory: str, ours: int) -> set[int]:
    """Return the owners of the files in a directory, if users other than its owner may create some there."""
    owners: set[int] = set()
    with suppress(OSError):
        status = os.stat(directory)
        if status.st_uid == ours and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return owners
        with os.scandir(directory) as listing:
            for item in listing:
                with suppress(OSError):
                    owners.add(item.stat(follow_symlinks=False).st_uid)
    return owners
