"""Where mamba and micromamba, pixi and rattler have their caches and environments, by their own rules.

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

from ..core.model import Client
from .installations import Installation, installation, is_path
from .reading import read_regular

#: Directories of environments below a cache directory of pixi or rattler: ``pixi exec``, build tools, ``rattler exec``.
_ENVIRONMENTS = ("cached-envs-v0", "cached-build-tool-envs-v0", "exec")

#: Where a workspace has its environments, below its ``.pixi`` or its detached directory.
_OF_WORKSPACE = ("envs", "solve-group-envs")

#: Where mamba is configured; a ``mambarc.d`` holds further files.
_SYSTEM_RC = ("/etc/conda/.mambarc", "/var/lib/conda/.mambarc")
_USER_RC = (".mambarc", "mambarc", "mambarc.d")


@dataclass(frozen=True, slots=True)
class Places:
    """Absolute paths that need not exist.

    caches: package caches, each with its client.
    envs_dirs: mamba's, where an environment is known by its name. nameless_envs_dirs: pixi's.
    """

    caches: Mapping[str, Client]
    envs_dirs: tuple[str, ...]
    nameless_envs_dirs: tuple[str, ...]
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
        tuple(dict.fromkeys(pixi.envs_dirs())),
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

    def envs_dirs(self) -> Iterator[str]:
        """Give the directories of environments that can be known without a search."""
        yield os.path.join(self._home, "envs")
        for root in self.roots():
            yield from (os.path.join(root, name) for name in _ENVIRONMENTS)
        yield from self._configured("PIXI_CACHE_EXEC_ENVIRONMENTS_DIR", "exec-environments")
        yield from self._configured("PIXI_CACHE_BUILD_TOOL_ENVIRONMENTS_DIR", "build-tool-environments")
        for directory in (*self._detached(), *self._workspaces()):
            yield from (os.path.join(directory, name) for name in _OF_WORKSPACE)

    def roots(self) -> Iterator[str]:
        """Give the directories that everything is cached in."""
        homes = (_directory(self._environ, "XDG_CACHE_HOME", "~/.cache"), user_cache_dir())
        configured = (_table(values, "cache").get("root") for values in self._configurations)
        named = (self._environ.get("PIXI_CACHE_DIR"), self._environ.get("RATTLER_CACHE_DIR"), *configured)
        usual = (os.path.join(home, name) for home in homes for name in ("pixi", os.path.join("rattler", "cache")))
        for root in dict.fromkeys((*named, *usual)):
            if is_path(root):
                yield _absolute(root)

    def _configured(self, variable: str, key: str) -> Iterator[str]:
        values = (_table(values, "cache").get(key) for values in self._configurations)
        for path in (self._environ.get(variable), *values):
            if is_path(path):
                yield _absolute(path)

    def _detached(self) -> Iterator[str]:
        """Give the directories of workspaces whose environments lie elsewhere: ``<name>-<hash>`` below one of these."""
        places = [os.path.join(root, "envs") for root in self.roots()]
        places += self._configured("PIXI_CACHE_DETACHED_ENVIRONMENTS_DIR", "detached-environments")
        for values in self._configurations:
            place = values.get("detached-environments")
            if is_path(place):
                places.append(_absolute(place))
        for place in dict.fromkeys(places):
            yield from sorted(glob(os.path.join(escape(place), "*")))

    def _workspaces(self) -> Iterator[str]:
        for path in _table(_load(os.path.join(self._home, "workspaces.toml")), "named-workspaces").values():
            if is_path(path):
                # It names the workspace's directory, or the manifest in it.
                for directory in (_absolute(path), os.path.dirname(_absolute(path))):
                    yield os.path.join(directory, ".pixi")


def _directory(environ: Mapping[str, str], variable: str, default: str) -> str:
    return _absolute(environ.get(variable) or default)


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
    except (ImportError, OSError, ValueError, RecursionError):
        return {}
    return values


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}
