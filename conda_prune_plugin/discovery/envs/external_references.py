"""Files outside of an environment that point into it: kernels, editors, shells, schedules, scripts. Reads only.

Looked at are the usual places of this user and of the machine, the projects that direnv and VS Code know of, and the
directory that an environment lies in. What is larger than any such file, or not readable, is passed over.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ... import failures
from ...core.envs.environment_use import Pointer
from ...core.envs.prefix_mentions import Mentions
from ...failures import suppress
from ..system.safe_read import read_regular

#: Of a script the interpreter is in the first line, and a wrapper is short. In bytes.
_LARGEST = 1 << 20

#: What comes of a file that can't be read, names what can't be a path, or is nested too deeply: it points nowhere.
_ODD = (OSError, ValueError, RecursionError)

_TABLE = "crontab -l"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where files of a kind are: patterns of glob; `by_name`: they may name an environment without its path."""

    kind: str
    patterns: tuple[str, ...]
    by_name: bool = False


#: The environment variables are what the programs themselves look at, with the defaults of their documentation.
_PLACES = (
    _Place(
        "kernel",
        (
            "$JUPYTER_DATA_DIR/kernels/*/kernel.json",
            "~/.local/share/jupyter/kernels/*/kernel.json",
            "~/Library/Jupyter/kernels/*/kernel.json",
            "$APPDATA/jupyter/kernels/*/kernel.json",
            "/usr/local/share/jupyter/kernels/*/kernel.json",
            "/usr/share/jupyter/kernels/*/kernel.json",
        ),
    ),
    _Place(
        "editor",
        (
            *(
                f"{config}/{code}/User/settings.json"
                for config in ("$XDG_CONFIG_HOME", "~/.config", "~/Library/Application Support", "$APPDATA")
                for code in ("Code", "Code - Insiders", "Cursor", "VSCodium")
            ),
            "~/.config/JetBrains/*/options/jdk.table.xml",
            "~/Library/Application Support/JetBrains/*/options/jdk.table.xml",
            "~/.config/spyder-py3/config/spyder.ini",
            "~/.emacs",
            "~/.emacs.d/init.el",
            "~/.vimrc",
            "~/.config/nvim/init.*",
        ),
    ),
    _Place(
        "shell",
        (
            *(
                f"~/.{name}"
                for name in ("bashrc", "bash_profile", "bash_login", "bash_aliases", "profile", "tcshrc", "cshrc")
            ),
            *(f"~/.{name}" for name in ("zshrc", "zprofile", "zshenv", "zlogin", "xonshrc")),
            "~/.config/fish/config.fish",
            "~/.config/fish/conf.d/*.fish",
            "/etc/profile.d/*.sh",
        ),
        by_name=True,
    ),
    _Place("cron", ("/etc/crontab", "/etc/cron.*/*"), by_name=True),
    _Place(
        "systemd",
        (
            "$XDG_CONFIG_HOME/systemd/user/*",
            "~/.config/systemd/user/*",
            "~/.local/share/systemd/user/*",
            "/etc/systemd/user/*",
            "/etc/systemd/system/*.service",
        ),
        by_name=True,
    ),
    # Programs on PATH that start those of environments: `conda_trampoline.TrampolineManager.deploy`, in the directories
    # of `conda_global.paths.data_dir`, and pixi's `Configuration` (``crates/pixi_global/src/trampoline.rs``).
    _Place(
        "trampoline",
        (
            *(f"{home}/bin/trampoline/*.json" for home in ("$CONDA_GLOBAL_HOME", "~/.conda/global", "~/.cg")),
            *(f"{home}/bin/trampoline_configuration/*.json" for home in ("$PIXI_HOME", "~/.pixi")),
        ),
    ),
    _Place(
        "script",
        # In pixi's there are scripts instead of trampolines where it exposes none (``GlobalExecutable::Script``).
        ("~/.local/bin/*", "~/bin/*", "~/.local/share/applications/*.desktop", "$PIXI_HOME/bin/*", "~/.pixi/bin/*"),
        by_name=True,
    ),
)

#: In the directory of a project.
_IN_PROJECT = (
    ("direnv", ".envrc", True),
    ("editor", ".vscode/settings.json", False),
    ("editor", ".idea/misc.xml", False),
)


def pointers(prefixes: Sequence[str], names: Mapping[str, str]) -> Mapping[str, tuple[Pointer, ...]]:
    """Return for each prefix what points into it; `names` maps the names of environments to their prefixes."""
    real = {failures.realpath(prefix): prefix for prefix in prefixes}
    home = os.path.expanduser("~")
    mentions = Mentions(tuple(dict.fromkeys((*real, *prefixes))), names, home)
    found: dict[str, dict[Pointer, None]] = {prefix: {} for prefix in prefixes}
    seen: set[str] = set()

    def look(kind: str, path: str, text: Callable[[], str], *, by_name: bool) -> None:
        if path in seen:
            return
        seen.add(path)
        with suppress(*_ODD):
            content = text()
            named = mentions.activated(content) if by_name else mentions.paths(content)
            for prefix in {real.get(name, name) for name in named}:
                # Its own files are no evidence that another program wants it; a link to one of them from outside is.
                if not failures.realpath(os.path.dirname(path)).startswith(os.path.join(failures.realpath(prefix), "")):
                    found[prefix][Pointer(kind, path)] = None

    for kind, path, by_name in _files(prefixes):
        look(kind, path, lambda path=path: _text(path), by_name=by_name)  # type: ignore[misc]
    look("cron", _TABLE, _crontab, by_name=True)
    return {prefix: tuple(items) for prefix, items in found.items()}


def _files(prefixes: Iterable[str]) -> Iterator[tuple[str, str, bool]]:
    """Give kind, path and whether names count, of all files that may point."""
    for place in _PLACES:
        for pattern in place.patterns:
            for path in _glob(pattern):
                yield place.kind, path, place.by_name
    shares = (os.path.join(prefix, "share", "jupyter") for prefix in prefixes)
    for directory in filter(None, (*os.environ.get("JUPYTER_PATH", "").split(os.pathsep), *shares)):
        for path in _glob(os.path.join(glob.escape(directory), "kernels/*/kernel.json")):
            yield "kernel", path, False
    yield from _in_projects(dict.fromkeys((*map(os.path.dirname, prefixes), *_projects())))


def _in_projects(projects: Iterable[str]) -> Iterator[tuple[str, str, bool]]:
    for project in projects:
        for kind, name, by_name in _IN_PROJECT:
            yield kind, os.path.join(project, name), by_name


def _projects() -> Iterator[str]:
    """Give the directories that direnv and VS Code were used in, by what they remember."""
    for allowed in _glob("~/.local/share/direnv/allow/*"):
        with suppress(*_ODD):
            yield os.path.dirname(_text(allowed).strip())
    for config in ("~/.config", "~/Library/Application Support"):
        for workspace in _glob(f"{config}/Code*/User/workspaceStorage/*/workspace.json"):
            with suppress(*_ODD, AttributeError, TypeError):
                yield unquote(urlsplit(json.loads(_text(workspace)).get("folder")).path)


def _glob(pattern: str) -> list[str]:
    path = os.path.expanduser(os.path.expandvars(pattern))
    # A variable that is not set.
    return [] if path.startswith("$") else sorted(glob.glob(path))


def _text(path: str) -> str:
    """Return what a file says, and where it leads if it is a link. Raises `OSError`."""
    target = failures.realpath(path) if failures.islink(path) else ""
    if os.path.getsize(path) > _LARGEST:
        return target
    text = read_regular(path).decode("utf-8", "replace")
    if path.endswith(".json") and "\\" in text:
        # Paths may be escaped: \u00fc in a name, doubled backslashes. What has comments (VS Code) is read as it stands.
        with suppress(*_ODD):
            text += "\n" + "\n".join(_strings(json.loads(text)))
    return f"{target}\n{text}"


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _crontab() -> str:
    crontab = shutil.which("crontab")
    if crontab is None:
        return ""
    done = subprocess.run([crontab, "-l"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return done.stdout.decode("utf-8", "replace")
