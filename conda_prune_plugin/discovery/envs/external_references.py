"""What points into an environment from outside: files (kernels, editors, shells, schedules, scripts) and processes.

Searched are the usual places of this user and of the machine, the projects that direnv and VS Code know of, and the
directory that an environment lies in. Files that can't be read, or are larger than any such file, are skipped.

A process counts for an environment if its executable, one of its arguments, its working directory, a file that it has
open or a library that it has mapped lies in it, or if ``CONDA_PREFIX`` names it. Of another user's process only the
arguments can be seen. Nothing is written.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ... import failures
from ...core.envs.environment_use import Pointer, Running
from ...core.envs.prefix_mentions import Mentions
from ...failures import suppress
from ..system.processes import processes
from ..system.safe_read import read_regular

if TYPE_CHECKING:
    import psutil

#: A script has its interpreter in the first line, and a wrapper is short. In bytes.
_LARGEST = 1 << 20

#: A command line is shown to so many characters.
_SHOWN = 80

#: Errors about a file that can't be read, or whose content is no path or nested too deeply: it points nowhere.
_ODD = (OSError, ValueError, RecursionError)

#: How a process uses an environment of which only its command line tells.
_NAMED = "names it in its command line"

#: The path of a `Pointer` in the user's schedule.
_CRONTAB = "crontab -l"

#: Kind of file, whether it may name an environment without its path, and where it is: patterns of glob, with braces for
#: alternatives as in a shell. The environment variables are those of the programs, with the defaults of their
#: documentation. Trampolines are programs on PATH that start those of environments
#: (`conda_trampoline.TrampolineManager.deploy`, in the directories of `conda_global.paths.data_dir`; pixi's
#: `Configuration` in ``crates/pixi_global/src/trampoline.rs``); where pixi has none, it has scripts
#: (``GlobalExecutable::Script``).
_PLACES = (
    ("kernel", False, "{$JUPYTER_DATA_DIR,~/.local/share/jupyter,~/Library/Jupyter}/kernels/*/kernel.json"),
    ("kernel", False, "{$APPDATA,/usr/local/share,/usr/share}/jupyter/kernels/*/kernel.json"),
    ("editor", False, "{$XDG_CONFIG_HOME,~/.config}/{Code,Code - Insiders,Cursor,VSCodium}/User/settings.json"),
    ("editor", False, "~/Library/Application Support/{Code,Code - Insiders,Cursor,VSCodium}/User/settings.json"),
    ("editor", False, "$APPDATA/{Code,Code - Insiders,Cursor,VSCodium}/User/settings.json"),
    ("editor", False, "~/{.config,Library/Application Support}/JetBrains/*/options/jdk.table.xml"),
    ("editor", False, "~/{.config/spyder-py3/config/spyder.ini,.emacs,.emacs.d/init.el,.vimrc,.config/nvim/init.*}"),
    ("shell", True, "~/.{bashrc,bash_profile,bash_login,bash_aliases,profile,tcshrc,cshrc}"),
    ("shell", True, "~/.{zshrc,zprofile,zshenv,zlogin,xonshrc,config/fish/config.fish,config/fish/conf.d/*.fish}"),
    ("shell", True, "/etc/profile.d/*.sh"),
    ("cron", True, "/etc/{crontab,cron.*/*}"),
    ("systemd", True, "{$XDG_CONFIG_HOME,~/.config,~/.local/share,/etc}/systemd/user/*"),
    ("systemd", True, "/etc/systemd/system/*.service"),
    ("trampoline", False, "{$CONDA_GLOBAL_HOME,~/.conda/global,~/.cg}/bin/trampoline/*.json"),
    ("trampoline", False, "{$PIXI_HOME,~/.pixi}/bin/trampoline_configuration/*.json"),
    ("script", True, "{~/.local,~,$PIXI_HOME,~/.pixi}/bin/*"),
    ("script", True, "~/.local/share/applications/*.desktop"),
)


def pointers(prefixes: Sequence[str], names: Mapping[str, str]) -> Mapping[str, tuple[Pointer, ...]]:
    """Return the references to each prefix; `names` maps the names of environments to their prefixes."""
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
    for kind, by_name, pattern in _PLACES:
        yield from ((kind, by_name, path) for path in _glob(pattern))
    shares = (os.path.join(prefix, "share", "jupyter") for prefix in prefixes)
    listed = map(os.path.expanduser, os.environ.get("JUPYTER_PATH", "").split(os.pathsep))
    for directory in filter(None, (*listed, *shares)):
        for path in sorted(glob.glob("kernels/*/kernel.json", root_dir=directory)):
            yield "kernel", False, os.path.join(directory, path)
    for project in dict.fromkeys((*map(os.path.dirname, prefixes), *_projects())):
        yield "direnv", True, os.path.join(project, ".envrc")
        yield "editor", False, os.path.join(project, ".vscode/settings.json")
        yield "editor", False, os.path.join(project, ".idea/misc.xml")


def _projects() -> Iterator[str]:
    """Yield the directories that direnv and VS Code were used in, as they remember them."""
    for allowed in _glob("~/.local/share/direnv/allow/*"):
        with suppress(*_ODD):
            yield os.path.dirname(_text(allowed).strip())
    for workspace in _glob("~/{.config,Library/Application Support}/Code*/User/workspaceStorage/*/workspace.json"):
        with suppress(*_ODD, AttributeError, TypeError):
            yield unquote(urlsplit(json.loads(_text(workspace)).get("folder")).path)


def _glob(pattern: str) -> list[str]:
    """Return the paths that match a pattern with braces, sorted for each alternative."""
    if braces := re.search(r"{(.*?)}", pattern):
        alternatives = (pattern[: braces.start()] + one + pattern[braces.end() :] for one in braces[1].split(","))
        return [path for alternative in alternatives for path in _glob(alternative)]
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


def running(prefixes: Iterable[str]) -> Mapping[str, tuple[Running, ...]]:
    """Return for each prefix the processes that use it, this one left out."""
    real = {failures.realpath(prefix): prefix for prefix in prefixes}
    mentions = Mentions(tuple(dict.fromkeys((*real, *real.values()))), {}, os.path.expanduser("~"))
    found: dict[str, list[Running]] = {}
    for pid, _, arguments in processes():
        if pid == os.getpid():
            continue
        seen = _paths(pid)
        command = " ".join(arguments)
        shown = command if len(command) <= _SHOWN else command[: _SHOWN - 3] + "..."
        for prefix in _mentioned(mentions, real, (*arguments, *chain.from_iterable(seen.values()))):
            # The strongest sign comes first.
            how = next((how for how, its in seen.items() if prefix in _mentioned(mentions, real, its)), _NAMED)
            found.setdefault(prefix, []).append(Running(pid, shown, how))
    return {prefix: tuple(sorted(items, key=lambda item: item.pid)) for prefix, items in found.items()}


def _mentioned(mentions: Mentions, real: Mapping[str, str], texts: Iterable[str]) -> set[str]:
    """Return the prefixes that some texts mention; a line each, so that no two of them run into each other."""
    return {real.get(path, path) for path in mentions.paths("\n".join(texts))}


def _paths(pid: int) -> dict[str, list[str]]:
    """Return the paths that the system tells of a process, as far as this user may see them, by what each shows."""
    import psutil

    hidden = (psutil.Error, OSError)
    runs: list[str] = []
    active: list[str] = []
    uses: list[str] = []
    with suppress(*hidden):
        process = psutil.Process(pid)
        for ask in (process.exe, process.cwd):
            with suppress(*hidden):
                runs.append(ask())
        with suppress(*hidden):
            active += [value for name, value in process.environ().items() if name.startswith("CONDA_PREFIX")]
        with suppress(*hidden):
            # One by one, so that an error loses no process seen before it.
            for path in _used_files(process):
                uses.append(path)  # noqa: PERF402
    return {"is running from it": runs, "has it activated": active, "uses a file in it": uses}


def _used_files(process: psutil.Process) -> Iterator[str]:
    """Give the files that a process has open or mapped.

    On Linux psutil reads mappings from ``smaps``, for which the kernel counts all pages; ``maps`` has the same paths
    (proc(5)). On Windows it may hang at open files, and on macOS it knows no mappings.
    """
    import psutil

    if psutil.WINDOWS:
        yield from (mapped.path for mapped in process.memory_maps())
        return
    yield from (opened.path for opened in process.open_files())
    if psutil.LINUX:
        with open(f"/proc/{process.pid}/maps", "rb") as stream:
            paths = {line.split(None, 5)[5] for line in stream if b" /" in line}
        yield from (os.fsdecode(path.strip()).removesuffix(" (deleted)") for path in paths)
