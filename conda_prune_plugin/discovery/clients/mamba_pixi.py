"""Caches and environments of mamba, micromamba, pixi and rattler, by their own rules.

mamba and micromamba (``libmamba/src/api/configuration.cpp``): ``<root prefix>/pkgs``, ``~/.mamba/pkgs`` and
``~/.cache/conda/pkgs`` (with its indexes in shards), or what ``pkgs_dirs`` says; environments in ``<root prefix>/envs``
and ``envs_dirs``, and in conda's registry. The root prefix is ``$MAMBA_ROOT_PREFIX``, else ``~/micromamba`` if it
exists, else ``mamba`` in the user's data directory.

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape, glob
from typing import Any

from platformdirs import user_cache_dir, user_config_dir

from ... import failures
from ...core.model import Client
from ...failures import suppress
from ..roots.envs_dirs import ANY, EnvsDir
from ..system.privileges import own_user
from ..system.safe_read import read_regular
from .installations import Installation, installation, is_path

#: Where pixi has its caches if the home is on a network file system (``node_local_scratch_dir``): in one of these.
_SCRATCH = ("SLURM_TMPDIR", "PBS_JOBFS", "SCRATCH", "TMPDIR")

#: Where a workspace has its environments, below its ``.pixi`` or its detached directory.
_OF_WORKSPACE = (("envs", ANY), ("solve-group-envs", ANY))

#: Directories with pixi's environments: the variable and the setting that name each, and the patterns below it.
#: Detached are those of workspaces, each below ``<name>-<hash>``.
_PIXI_ENVIRONMENTS = (
    ("PIXI_CACHE_EXEC_ENVIRONMENTS_DIR", "cache.exec-environments", ((ANY,),)),
    ("PIXI_CACHE_BUILD_TOOL_ENVIRONMENTS_DIR", "cache.build-tool-environments", ((ANY,),)),
    *(
        (variable, setting, tuple((ANY, *below) for below in _OF_WORKSPACE))
        for variable, setting in (
            ("PIXI_CACHE_DETACHED_ENVIRONMENTS_DIR", "cache.detached-environments"),
            ("", "detached-environments"),
        )
    ),
)

#: Where mamba is configured; a ``mambarc.d`` holds further files.
_SYSTEM_RC = ("/etc/conda/.mambarc", "/var/lib/conda/.mambarc")
_USER_RC = (".mambarc", "mambarc", "mambarc.d")

_Configurations = Sequence[Mapping[str, Any]]


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
    configurations = _pixi_configurations(environ)
    caches = {path: Client.MAMBA for place in mamba for path in place.pkgs_dirs}
    roots = _pixi_roots(environ, configurations)
    caches |= {os.path.join(root, "pkgs"): Client.RATTLER for root in roots}
    packages = _configured(environ, configurations, "PIXI_CACHE_CONDA_PACKAGES_DIR", "cache.conda-packages")
    caches |= dict.fromkeys(packages, Client.RATTLER)
    places = [
        EnvsDir(directory, below)
        for variable, setting, patterns in _PIXI_ENVIRONMENTS
        for directory in _configured(environ, configurations, variable, setting)
        for below in patterns
    ]
    places += (EnvsDir(directory, below) for directory in _pixi_workspaces(environ) for below in _OF_WORKSPACE)
    return Places(
        caches,
        tuple(dict.fromkeys(path for place in mamba for path in place.envs_dirs)),
        tuple(dict.fromkeys(places)),
        tuple(place.prefix for place in mamba if place.prefix),
    )


def pixi_cache_roots(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the directories that pixi and rattler keep all their caches in; not all of them need to exist."""
    return tuple(_pixi_roots(environ, _pixi_configurations(environ)))


def _mamba(environ: Mapping[str, str]) -> Iterator[Installation]:
    roots = ("~/micromamba", os.path.join(_directory(environ, "XDG_DATA_HOME", "~/.local/share"), "mamba"))
    for root in dict.fromkeys((environ.get("MAMBA_ROOT_PREFIX"), *roots)):
        if root:
            yield installation(_absolute(root))
    user_cache = os.path.join(_directory(environ, "XDG_CACHE_HOME", "~/.cache"), "conda", "pkgs")
    yield Installation("", (_absolute("~/.mamba/pkgs"), user_cache), ())
    config = os.path.join(_directory(environ, "XDG_CONFIG_HOME", "~/.config"), "mamba")
    homes = [os.path.join(home, name) for home in (config, _absolute("~/.mamba")) for name in _USER_RC]
    for path in (*_SYSTEM_RC, *homes, _absolute("~/.mambarc"), environ.get("MAMBARC", "")):
        files = sorted(glob(os.path.join(escape(path), "*.yml"))) if path.endswith(".d") else [path]
        yield from (installation("", file) for file in files if file)


def _pixi_configurations(environ: Mapping[str, str]) -> _Configurations:
    homes = dict.fromkeys((_directory(environ, "XDG_CONFIG_HOME", "~/.config"), user_config_dir(roaming=True)))
    places = ("/etc/pixi", *(os.path.join(home, "pixi") for home in homes), _pixi_home(environ))
    return [_load(os.path.join(place, "config.toml")) for place in places]


def _pixi_home(environ: Mapping[str, str]) -> str:
    return _directory(environ, "PIXI_HOME", "~/.pixi")


def _pixi_roots(environ: Mapping[str, str], configurations: _Configurations) -> Iterator[str]:
    homes = (_directory(environ, "XDG_CACHE_HOME", "~/.cache"), user_cache_dir())
    usual = (os.path.join(home, name) for home in homes for name in ("pixi", os.path.join("rattler", "cache")))
    variables = ("PIXI_CACHE_DIR", "RATTLER_CACHE_DIR")
    configured = (_setting(values, "cache.root") for values in configurations)
    for root in dict.fromkeys((*map(environ.get, variables), *filter(is_path, configured), *usual)):
        if is_path(root):
            yield _absolute(root)
    # Beside a home on a network file system, on whatever kind of one it is. In a directory that all may write to,
    # another user can have made it.
    name = environ.get("USER") or environ.get("USERNAME") or "pixi"
    for top in dict.fromkeys(filter(is_path, (*map(environ.get, _SCRATCH), "/tmp"))):  # noqa: S108
        path = _absolute(os.path.join(top, f"pixi-cache-{name}"))
        with suppress(OSError):
            if "/" not in name and own_user() in (None, os.lstat(path).st_uid):
                yield path


def _pixi_workspaces(environ: Mapping[str, str]) -> Iterator[str]:
    workspaces = _load(os.path.join(_pixi_home(environ), "workspaces.toml")).get("named-workspaces")
    for path in workspaces.values() if isinstance(workspaces, dict) else ():
        if is_path(path):
            # It names the workspace's directory, or the manifest in it.
            for directory in (_absolute(path), os.path.dirname(_absolute(path))):
                yield os.path.join(directory, ".pixi")


def _configured(environ: Mapping[str, str], configurations: _Configurations, variable: str, setting: str) -> list[str]:
    values = (environ.get(variable), *(_setting(values, setting) for values in configurations))
    return [_absolute(value) for value in values if is_path(value)]


def _setting(values: Any, name: str) -> Any:
    """Return the value of a setting such as ``cache.root``, None if there is none."""
    for part in name.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _directory(environ: Mapping[str, str], variable: str, default: str) -> str:
    return _absolute(environ.get(variable) or default)


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _load(path: str) -> Mapping[str, Any]:
    """Return the content of a configuration file; nothing for a missing or broken one.

    Before Python 3.11 none is read: a dependency for what a search finds anyway would be too much.
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
