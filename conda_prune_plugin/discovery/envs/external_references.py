"""Files outside of an environment that point into it: kernels, editors, shells, schedules, scripts. Reads only.

Searched are the usual places of this user and of the machine, the projects that direnv and VS Code know of, and the
directory that an environment lies in. Files that can't be read, or are larger than any such file, are skipped.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import unquote, urlsplit

from ... import failures
from ...core.envs.environment_use import Pointer
from ...core.envs.prefix_mentions import Mentions
from ...failures import suppress
from ..system.safe_read import read_regular

#: A script has its interpreter in the first line, and a wrapper is short. In bytes.
_LARGEST = 1 << 20

#: Errors about a file that can't be read, names what can't be a path, or is nested too deeply: it points nowhere.
_ODD = (OSError, ValueError, RecursionError)

#: The path of a `Pointer` in the user's schedule.
_CRONTAB = "crontab -l"

_CONFIGS = ("$XDG_CONFIG_HOME", "~/.config", "~/Library/Application Support", "$APPDATA")
_BASHES = ("bashrc", "bash_profile", "bash_login", "bash_aliases", "profile")
_SHELLS = (*_BASHES, "tcshrc", "cshrc", "zshrc", "zprofile", "zshenv", "zlogin", "xonshrc")

#: Kind of file, whether it may name an environment without its path, and patterns of glob for where it is. The
#: environment variables are those of the programs, with the defaults of their documentation.
_PLACES: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
    (
        "kernel",
        False,
        (
            "$JUPYTER_DATA_DIR/kernels/*/kernel.json",
            "~/.local/share/jupyter/kernels/*/kernel.json",
            "~/Library/Jupyter/kernels/*/kernel.json",
            "$APPDATA/jupyter/kernels/*/kernel.json",
            "/usr/local/share/jupyter/kernels/*/kernel.json",
            "/usr/share/jupyter/kernels/*/kernel.json",
        ),
    ),
    (
        "editor",
        False,
        (
            *(
                f"{config}/{code}/User/settings.json"
                for config in _CONFIGS
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
    (
        "shell",
        True,
        (
            *(f"~/.{name}" for name in _SHELLS),
            "~/.config/fish/config.fish",
            "~/.config/fish/conf.d/*.fish",
            "/etc/profile.d/*.sh",
        ),
    ),
    ("cron", True, ("/etc/crontab", "/etc/cron.*/*")),
    (
        "systemd",
        True,
        (
            "$XDG_CONFIG_HOME/systemd/user/*",
            "~/.config/systemd/user/*",
            "~/.local/share/systemd/user/*",
            "/etc/systemd/user/*",
            "/etc/systemd/system/*.service",
        ),
    ),
    # Programs on PATH that start those of environments: `conda_trampoline.TrampolineManager.deploy`, in the directories
    # of `conda_global.paths.data_dir`, and pixi's `Configuration` (``crates/pixi_global/src/trampoline.rs``).
    (
        "trampoline",
        False,
        (
            *(f"{home}/bin/trampoline/*.json" for home in ("$CONDA_GLOBAL_HOME", "~/.conda/global", "~/.cg")),
            *(f"{home}/bin/trampoline_configuration/*.json" for home in ("$PIXI_HOME", "~/.pixi")),
        ),
    ),
    (
        "script",
        True,
        # pixi has scripts instead of trampolines where it exposes none (``GlobalExecutable::Script``).
        ("~/.local/bin/*", "~/bin/*", "~/.local/share/applications/*.desktop", "$PIXI_HOME/bin/*", "~/.pixi/bin/*"),
    ),
)


def pointers(prefixes: Sequence[str], names: Mapping[str, str]) -> Mapping[str, tuple[Pointer, ...]]:
    """Return for each prefix what points into it; `names` maps the names of environments to their prefixes."""
    real = {failures.realpath(prefix): prefix for prefix in prefixes}
    mentions = Mentions(tuple(dict.fromkeys((*real, *prefixes))), names, os.path.expanduser("~"))
    files: dict[str, tuple[str, bool]] = {}
    for kind, by_name, path in (*_files(prefixes), ("cron", True, _CRONTAB)):
        files.setdefault(path, (kind, by_name))
    found: dict[str, list[Pointer]] = {prefix: [] for prefix in prefixes}
    for path, (kind, by_name) in files.items():
        with suppress(*_ODD):
            text = _crontab() if path == _CRONTAB else _text(path)
            directory = failures.realpath(os.path.dirname(path))
            mentioned = mentions.activated(text) if by_name else mentions.paths(text)
            for prefix in {real.get(name, name) for name in mentioned}:
                # An environment's own files say nothing about its use; a link to one of them from outside does.
                if not directory.startswith(os.path.join(failures.realpath(prefix), "")):
                    found[prefix].append(Pointer(kind, path))
    return {prefix: tuple(items) for prefix, items in found.items()}


def _files(prefixes: Iterable[str]) -> Iterator[tuple[str, bool, str]]:
    """Yield kind, whether names count, and path of all files that may point."""
    for kind, by_name, patterns in _PLACES:
        for pattern in patterns:
            yield from ((kind, by_name, path) for path in _glob(pattern))
    shares = (os.path.join(prefix, "share", "jupyter") for prefix in prefixes)
    for directory in filter(None, (*os.environ.get("JUPYTER_PATH", "").split(os.pathsep), *shares)):
        yield from (("kernel", False, path) for path in _glob(f"{glob.escape(directory)}/kernels/*/kernel.json"))
    for project in dict.fromkeys((*map(os.path.dirname, prefixes), *_projects())):
        yield "direnv", True, os.path.join(project, ".envrc")
        yield "editor", False, os.path.join(project, ".vscode/settings.json")
        yield "editor", False, os.path.join(project, ".idea/misc.xml")


def _projects() -> Iterator[str]:
    """Yield the directories that direnv and VS Code were used in, as they remember them."""
    for allowed in _glob("~/.local/share/direnv/allow/*"):
        with suppress(*_ODD):
            yield os.path.dirname(_text(allowed).strip())
    for config in ("~/.config", "~/Library/Application Support"):
        for workspace in _glob(f"{config}/Code*/User/workspaceStorage/*/workspace.json"):
            with suppress(*_ODD, AttributeError, TypeError):
                yield unquote(urlsplit(json.loads(_text(workspace)).get("folder")).path)


def _glob(pattern: str) -> list[str]:
    path = os.path.expanduser(os.path.expandvars(pattern))
    # A variable that isn't set stays in the path.
    return [] if path.startswith("$") else sorted(glob.glob(path))


def _text(path: str) -> str:
    """Return the content of a file, after the path that it leads to if it is a link. Raises `OSError`."""
    target = failures.realpath(path) if failures.islink(path) else ""
    if os.path.getsize(path) > _LARGEST:
        return target
    text = read_regular(path).decode("utf-8", "replace")
    if path.endswith(".json") and "\\" in text:
        # Paths may be escaped: \u00fc in a name, doubled backslashes. A file with comments (VS Code) is read as it is.
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
    table = subprocess.run([crontab, "-l"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return table.stdout.decode("utf-8", "replace")
