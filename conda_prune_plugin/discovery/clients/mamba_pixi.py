"""Caches and environments of mamba, micromamba, pixi and rattler, by their own rules.

mamba and micromamba (``libmamba/src/api/configuration.cpp``): ``<root prefix>/pkgs`` and ``~/.mamba/pkgs``, or what
``pkgs_dirs`` says; environments in ``<root prefix>/envs`` and ``envs_dirs``, and in conda's registry. The root prefix
is ``$MAMBA_ROOT_PREFIX``, else ``~/micromamba`` if it exists, else ``mamba`` in the user's data directory.

pixi (``crates/pixi_config/src/lib.rs``, ``resolve_cache_kind_dir``) and rattler (``rattler_cache/src/lib.rs``,
``default_cache_dir``): ``pkgs`` below ``$PIXI_CACHE_DIR``, ``$RATTLER_CACHE_DIR``, what pixi's configuration says,
``pixi`` in the user's cache directory if it exists, or ``rattler/cache`` there. All of them are looked at, since a
variable need not be set where this runs. Directories of the user are those of the system (``dirs``): on macOS, say,
``~/Library/Caches``. Environments are registered nowhere, but some are in known places: pixi's global ones, those of
``pixi exec`` and of build tools, detached ones, and those of the workspaces that were given a name
(``$PIXI_HOME/workspaces.toml``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from glob import escape, glob
from typing import Any

from platformdirs import user_cache_dir, user_config_dir

from ... import failures
from ...core.model import Client
from ..roots.envs_dirs import ANY, EnvsDir
from ..system.safe_read import read_regular
from .installations import Installation, installation, is_path

#: Where pixi has its caches if the home is on a network file system (``node_local_scratch_dir``): in one of these.
_SCRATCH = ("SLURM_TMPDIR", "PBS_JOBFS", "SCRATCH", "TMPDIR")

#: Where a workspace has its environments, below its ``.pixi`` or its detached directory.
_OF_WORKSPACE = ("envs", "solve-group-envs")

#: Where mamba is configured; a ``mambarc.d`` holds further files.
_SYSTEM_RC = ("/etc/conda/.mambarc", "/var/lib/conda/.mambarc")
_USER_RC = (".mambarc", "mambarc", "mambarc.d")


@dataclass(frozen=True, slots=True)
class Places:
    """Absolute paths that need not exist.

    caches: package caches, each with its client.
    envs_dirs: mamba's, where an environment is known by its name. places: pixi's, as far as it is configured.
    """

    caches: Mapping[str, Client]
    envs_dirs: tuple[str, ...]
    places: tuple[EnvsDir, ...]
    prefixes: tuple[str, ...]


def other_clients(environ: Mapping[str, str]) -> Places:
    """Return where other clients than conda have caches and environments; only configuration files are read."""
    mamba = tuple(_mamba(environ))
    pixi = _Pixi(environ)
    caches = {path: Client.MAMBA for place in mamba for path in place.pkgs_dirs}
    caches |= dict.fromkeys(pixi.caches(), Client.RATTLER)
    return Places(
        caches,
        tuple(dict.fromkeys(path for place in mamba for path in place.envs_dirs)),
        tuple(dict.fromkeys(pixi.places())),
        tuple(place.prefix for place in mamba if place.prefix),
    )


def pixi_cache_roots(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the directories that pixi and rattler keep all their caches in; not all of them need to exist."""
    return tuple(_Pixi(environ).roots())


def _mamba(environ: Mapping[str, str]) -> Iterator[Installation]:
    roots = ("~/micromamba", os.path.join(_directory(environ, "XDG_DATA_HOME", "~/.local/share"), "mamba"))
    for root in dict.fromkeys((environ.get("MAMBA_ROOT_PREFIX"), *roots)):
        if root:
            yield installation(_absolute(root))
    yield Installation("", (_absolute("~/.mamba/pkgs"),), ())
    config = os.path.join(_directory(environ, "XDG_CONFIG_HOME", "~/.config"), "mamba")
    homes = [os.path.join(home, name) for home in (config, _absolute("~/.mamba")) for name in _USER_RC]
    for path in (*_SYSTEM_RC, *homes, _absolute("~/.mambarc"), environ.get("MAMBARC", "")):
        files = sorted(glob(os.path.join(escape(path), "*.yml"))) if path.endswith(".d") else [path]
        yield from (installation("", file) for file in files if file)


class _Pixi:
    """pixi's configuration, and what follows from it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._home = _directory(environ, "PIXI_HOME", "~/.pixi")
        homes = (_directory(environ, "XDG_CONFIG_HOME", "~/.config"), user_config_dir(roaming=True))
        places = ("/etc/pixi", *(os.path.join(home, "pixi") for home in dict.fromkeys(homes)), self._home)
        self._configurations = [_load(os.path.join(place, "config.toml")) for place in places]

    def caches(self) -> Iterator[str]:
        """Give the package caches."""
        yield from (os.path.join(root, "pkgs") for root in self.roots())
        yield from self._configured("PIXI_CACHE_CONDA_PACKAGES_DIR", "conda-packages")

    def places(self) -> Iterator[EnvsDir]:
        """Give where environments are that can be known without a search; those in the caches are in `tools`."""
        for directory in (
            *self._configured("PIXI_CACHE_EXEC_ENVIRONMENTS_DIR", "exec-environments"),
            *self._configured("PIXI_CACHE_BUILD_TOOL_ENVIRONMENTS_DIR", "build-tool-environments"),
        ):
            yield EnvsDir(directory)
        # The directories of workspaces whose environments lie elsewhere: ``<name>-<hash>`` below one of these.
        for directory in self._detached():
            yield from (EnvsDir(directory, (ANY, name, ANY)) for name in _OF_WORKSPACE)
        for directory in self._workspaces():
            yield from (EnvsDir(directory, (name, ANY)) for name in _OF_WORKSPACE)

    def roots(self) -> Iterator[str]:
        """Give the directories that everything is cached in."""
        homes = (_directory(self._environ, "XDG_CACHE_HOME", "~/.cache"), user_cache_dir())
        configured = (_table(values, "cache").get("root") for values in self._configurations)
        named = (self._environ.get("PIXI_CACHE_DIR"), self._environ.get("RATTLER_CACHE_DIR"), *configured)
        usual = (os.path.join(home, name) for home in homes for name in ("pixi", os.path.join("rattler", "cache")))
        for root in dict.fromkeys((*named, *usual)):
            if is_path(root):
                yield _absolute(root)
        yield from self._scratch()

    def _scratch(self) -> Iterator[str]:
        """Give the caches beside a home on a network file system, on whatever kind of one it is.

        In a directory that all may write to, another user can have made it.
        """
        user = self._environ.get("USER") or self._environ.get("USERNAME") or "pixi"
        tops = dict.fromkeys(filter(is_path, (*map(self._environ.get, _SCRATCH), "/tmp")))  # noqa: S108
        for path in (_absolute(os.path.join(top, f"pixi-cache-{user}")) for top in tops):
            if "/" not in user and _is_own(path):
                yield path

    def _configured(self, variable: str, key: str) -> Iterator[str]:
        values = (_table(values, "cache").get(key) for values in self._configurations)
        for path in (self._environ.get(variable), *values):
            if is_path(path):
                yield _absolute(path)

    def _detached(self) -> Iterator[str]:
        yield from self._configured("PIXI_CACHE_DETACHED_ENVIRONMENTS_DIR", "detached-environments")
        for values in self._configurations:
            place = values.get("detached-environments")
            if is_path(place):
                yield _absolute(place)

    def _workspaces(self) -> Iterator[str]:
        for path in _table(_load(os.path.join(self._home, "workspaces.toml")), "named-workspaces").values():
            if is_path(path):
                # It names the workspace's directory, or the manifest in it.
                for directory in (_absolute(path), os.path.dirname(_absolute(path))):
                    yield os.path.join(directory, ".pixi")


def _directory(environ: Mapping[str, str], variable: str, default: str) -> str:
    return _absolute(environ.get(variable) or default)


def _is_own(path: str) -> bool:
    try:
        return not hasattr(os, "geteuid") or os.lstat(path).st_uid == os.geteuid()
    except OSError as error:
        failures.note(error)
        return False


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _load(path: str) -> Mapping[str, Any]:
    """Return the content of a configuration file; a missing or broken one has nothing to say here.

    Before Python 3.11 none has: a dependency for what a search finds anyway would be too much.
    """
    try:
        text = read_regular(path).decode("utf-8")
        # Most machines have no such file, and nothing else needs it.
        import tomllib

        values: Mapping[str, Any] = tomllib.loads(text)
    except (ImportError, OSError, ValueError, RecursionError) as error:
        failures.note(error)
        return {}
    return values


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}
