"""Where tools that build on conda keep their environments: a table with a line for each tool.

Most tools create environments through conda or mamba, which register them; but a tool may rename them afterwards, be
told not to register, or link packages itself. So each place is looked at by the tool's own rules.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ... import failures
from ...failures import suppress
from ..roots.envs_dirs import EnvsDir


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool's environments. `source` names the file of its sources, or of its documentation, that says so.

    homes: ``$VARIABLE``, ``~`` or ``{value}``, each with what follows; empty and missing variables name nothing.
    environments: patterns of environments below each home, ``""`` for the home itself.
    projects: patterns of environments below the directory of a project.
    mixed: a home has other things in it too.
    """

    name: str
    source: str
    homes: tuple[str, ...] = ()
    environments: tuple[str, ...] = ("*",)
    projects: tuple[str, ...] = ()
    mixed: bool = False


_PIXI_PROJECT = (".pixi/envs/*", ".pixi/solve-group-envs/*")

TOOLS = (
    Tool("conda-exec", "conda_exec/paths.py", ("$CONDA_EXEC_HOME", "~/.conda/exec"), ("envs/*",)),
    Tool("conda-global", "conda_global/paths.py", ("$CONDA_GLOBAL_HOME", "~/.conda/global", "~/.cg"), ("envs/*",)),
    Tool("conda-workspaces", "conda_workspaces/models.py", projects=(".conda/envs/*",)),
    # `conda-express` is one of its runtimes: a base environment with others in it, by default at ~/.conda/express.
    Tool(
        "conda-ship",
        "conda-ship: docs, Runtime Prefix Override; conda-express: docs, Install Location",
        ("$CONDA_SHIP_PREFIX", "$CX_PREFIX", "~/.cx"),
        ("", "envs/*"),
    ),
    Tool(
        "conda-ship below ~/.conda",
        "conda-ship: docs, install-scheme conda-home",
        ("~/.conda",),
        ("*", "*/envs/*"),
        mixed=True,
    ),
    Tool(
        "condax",
        "condax/config.py: prefix_path until 0.2, prefix_dir from 1.0 on",
        (
            "$CONDAX_PREFIX_PATH",
            "~/.condax",
            "$CONDAX_PREFIX_DIR",
            "$XDG_DATA_HOME/condax/envs",
            "~/.local/share/condax/envs",
        ),
    ),
    Tool("pixi", "crates/pixi_config/src/lib.rs: pixi_home", ("$PIXI_HOME", "~/.pixi"), ("envs/*",), _PIXI_PROJECT),
    # `pixi exec`, build tools and `rattler exec`; detached environments of workspaces, called <name>-<hash>.
    Tool(
        "pixi, cached",
        "crates/pixi_config/src/lib.rs: CacheKind; crates/pixi_consts/src/consts.rs",
        ("{pixi_cache}",),
        (
            "cached-envs-v0/*",
            "cached-build-tool-envs-v0/*",
            "exec/*",
            "envs/*/envs/*",
            "envs/*/solve-group-envs/*",
        ),
    ),
    Tool(
        "conda-store",
        "conda_store_server/conda_store_config.py: store_directory; _internal/orm.py: build_path",
        (
            "$XDG_DATA_HOME/conda-store/state",
            "~/.local/share/conda-store/state",
            "~/Library/Application Support/conda-store/state",
            "/opt/conda-store/conda-store",
            "/var/lib/conda-store",
        ),
        ("*", "*/*", "*/envs/*"),
    ),
    Tool(
        "Snakemake",
        "snakemake/persistence/__init__.py: conda_env_path; cli.py: --conda-prefix; deployment/containerize.py",
        ("$SNAKEMAKE_CONDA_PREFIX", "/conda-envs"),
        projects=(".snakemake/conda/*",),
    ),
    Tool(
        "Nextflow",
        "nextflow/conda/CondaCache.groovy: getCacheDir; nextflow/config/ConfigBuilder.groovy: NXF_WORK",
        ("$NXF_CONDA_CACHEDIR", "$NXF_WORK/conda"),
        projects=("work/conda/*",),
    ),
    Tool(
        "Nextflow with pixi",
        "nextflow/pixi/PixiCache.groovy: getCacheDir",
        ("$NXF_PIXI_CACHEDIR", "$NXF_WORK/pixi"),
        ("*/.pixi/envs/*",),
        ("work/pixi/*/.pixi/envs/*",),
    ),
    # It has micromamba, or mamba, create them below the first directory of environments.
    Tool("Metaflow", "metaflow/plugins/pypi/micromamba.py: create", ("{envs_dir}/metaflow",), ("*/*",)),
    Tool(
        "conda-build",
        "conda_build/config.py: croot, build_folder, host_prefix, test_prefix",
        ("{croot}", "$CONDA_BLD_PATH", "~/conda-bld", "{root}/conda-bld"),
        ("*", "*/*"),
    ),
    # It registers what it installs unless `register_envs` is off. By default that lies in the home, or in /opt.
    Tool(
        "constructor",
        "constructor/header.sh; CONSTRUCT.md: default_prefix",
        ("~", "/opt"),
        ("*", "*/envs/*"),
        mixed=True,
    ),
    Tool(
        "conda-project",
        "conda_project/utils.py: get_envs_paths; project.py: environments",
        ("$CONDA_PROJECT_ENVS_PATH",),
        projects=("envs/*",),
    ),
)

#: Where projects of any tool have their environments, each as the parts of a path.
PROJECTS = tuple(tuple(pattern.split("/")) for tool in TOOLS for pattern in tool.projects)

_HOME = re.compile(r"\$(?P<variable>\w+)|\{(?P<value>\w+)\}|~")


def tool_places(
    environ: Mapping[str, str], values: Mapping[str, Iterable[str]], other_homes: Iterable[str] = ()
) -> Iterator[EnvsDir]:
    """Give the places of all tools: this user's, and below ``~`` also those of other users.

    values: absolute paths by the names that stand in braces in the table.
    """
    own = os.path.expanduser("~")
    others = [home for home in other_homes if home != own and _is_home(home)]
    for tool in TOOLS:
        patterns = [tuple(filter(None, pattern.split("/"))) for pattern in tool.environments]
        for home in tool.homes:
            tops = [(top, tool.mixed) for top in _expanded(home, environ, values)]
            if home.startswith("~"):
                # Of others not every home needs to be readable.
                tops += ((other + home[1:], True) for other in others)
            yield from (EnvsDir(top, pattern, mixed) for top, mixed in tops for pattern in patterns)


def _is_home(path: str) -> bool:
    """Return whether a directory is a user's own; the home of a daemon may be ``/`` or ``/bin``."""
    with suppress(OSError):
        return os.stat(path).st_uid != 0 or failures.isdir(os.path.join(path, ".conda"))
    return False


def _expanded(home: str, environ: Mapping[str, str], values: Mapping[str, Iterable[str]]) -> Iterator[str]:
    start = _HOME.match(home)
    tops: Iterable[str] = (start[0] if start else home,)
    if start and start["variable"]:
        value = environ.get(start["variable"], "")
        # Some of them may name several directories.
        tops = dict.fromkeys((value, *value.split(os.pathsep)))
    elif start and start["value"]:
        tops = values.get(start["value"], ())
    rest = home[start.end() :] if start else ""
    return (os.path.abspath(os.path.expanduser(top + rest)) for top in tops if top and "\0" not in top)
