"""Find other processes that are installing packages right now, since conda locks no cache."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ... import failures
from ...failures import suppress
from .privileges import own_user

#: The environment variable of all processes of a sandbox (`demo.sandbox`) that holds its directory: only they use the
#: caches below it.
_SANDBOX = "CONDA_PRUNE_SANDBOX"

#: conda's own commands, and those of the plugins: conda-build, conda-workspaces (``cli/main.py``), conda-pypi
#: (``cli/main.py``), conda-exec (``cli.py``), conda-global (``cli/main.py``), conda-self (``cli/__init__.py``).
_WORKSPACE = ("add", "import", "install", "quickstart", "remove", "unarchive", "update")
_GLOBAL = ("add", "install", "migrate", "remove", "sync", "uninstall", "update")
_CONDA = (
    *("create", "install", "update", "upgrade", "remove", "uninstall", "rename", "build", "debug"),
    *("env create", "env update", "env remove", "doctor --fix", "doctor --heal", "exec *"),
    *("self install", "self remove", "self reset", "self update", "pypi convert", "pypi install"),
    *(f"{name} {command}" for name in ("workspace", "ws") for command in _WORKSPACE),
    *(f"global {command}" for command in _GLOBAL),
)

#: pixi's commands and their aliases (``crates/pixi_cli/src/lib.rs``, ``global/mod.rs``, ``workspace/mod.rs``).
_PIXI = (
    *("add", "a", "build", "install", "i", "publish", "reinstall", "remove", "rm", "update", "upgrade"),
    *(
        f"{name} {command}"
        for name in ("global", "g")
        for command in (
            *("add", "a", "install", "i", "remove", "rm", "sync", "s", "uninstall"),
            *("expose", "e", "shortcut", "update", "upgrade", "upgrade-all", "ua"),
        )
    ),
    *(
        f"{name} {what} {command}"
        for name in ("workspace", "project")
        for what in ("channel", "platform", "environment")
        for command in ("add", "a", "remove", "rm")
    ),
)

#: For each program the commands that link packages into an environment or extract them into a cache, as words in their
#: order and options anywhere between them; an empty one: whatever the program is called with. A star is a program that
#: is started in the end. Commands that lock the cache while they install and then go on for as long as what they start,
#: such as ``pixi run``, are left out. conda-exec takes no lock, and counts until its tool runs (`_has_installed`).
_INSTALLING: Mapping[str, tuple[str, ...]] = {
    "conda": _CONDA,
    "mamba": _CONDA,
    "micromamba": _CONDA,
    "conda-env": ("create", "update"),
    "conda-build": ("",),
    "conda-mambabuild": ("",),
    "conda-lock": ("install",),
    "conda-exec": ("*",),
    "ce": ("*",),
    "cg": _GLOBAL,
    "cw": _WORKSPACE,
    "boa": ("build",),
    "constructor": ("",),
    "rattler-build": ("build", "test"),
    "pixi": _PIXI,
}

#: Options with a value of their own, which may be any word.
_WITH_VALUE = frozenset(
    {"-n", "--name", "-p", "--prefix", "-c", "--channel", "-r", "--root-prefix", "--rc-file", "--manifest-path"}
    | {"--solver", "--log-level", "--color", "-f", "--file", "-e", "--environment"}
    # Of conda-exec.
    | {"--with", "-w", "--platform", "--older-than"}
)

#: With these nothing is installed.
_HARMLESS = frozenset({"-h", "--help", "--version", "-V", "-d", "--dry-run"})

#: The tool that conda-exec starts lies in an environment that has its name by then (``CacheManager.create``).
_TOOL = re.compile(r"(.*[/\\]envs[/\\](?!\.tmp-)[^/\\]+[/\\])(?:bin|Scripts)[/\\]")

#: Modules that are conda's command line when Python runs them with ``-m``.
_MODULES = {
    "conda": "conda",
    "conda_env": "conda-env",
    "conda_build": "conda-build",
    "conda_exec.main": "conda-exec",
    "conda_global": "cg",
    "conda_prune_plugin.embedded": "conda",
    "conda_workspaces": "cw",
    "mamba": "mamba",
}

_PYTHON = re.compile(r"(?i)pythonw?[\d.]*(\.exe)?")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh"})


@dataclass(frozen=True, slots=True)
class Process:
    """A process that installs."""

    pid: int
    command: str


def installing(caches: Iterable[str]) -> tuple[Process, ...]:
    """Return the processes that may be installing from or into one of the caches (absolute paths) at this moment.

    Left out are this process and those it was started by, which wait for it, and processes whose environment names
    other caches (``CONDA_PKGS_DIRS``) where that can be seen. In a sandbox only its own processes count.
    """
    ours = frozenset(map(failures.realpath, caches))
    known = {pid: (parent, arguments) for pid, parent, arguments in processes()}
    waiting = set()
    pid = os.getpid()
    while pid in known and pid not in waiting:
        waiting.add(pid)
        pid = known[pid][0]
    found = []
    for pid, (_, arguments) in sorted(known.items()):
        if pid not in waiting and is_installing(arguments) and not _has_installed(pid, known):
            program, words = _program(arguments)
            # An ended process can't tell any more what caches it was using.
            if _may_use(pid, ours) and not _has_ended(pid):
                found.append(Process(pid, " ".join((program, *words))))
    return tuple(found)


def _has_installed(pid: int, known: Mapping[int, tuple[int, list[str]]]) -> bool:
    """Return whether a process is conda-exec, and has started the tool that it made an environment for."""
    own = known[pid][1]
    program, words = _program(own)
    if program not in ("ce", "conda-exec") and not (program == "conda" and _split(words, 1)[1] == ["exec"]):
        return False
    tools = [_TOOL.match(word) for parent, its in known.values() if parent == pid for word in its[:2]]
    return any(tool is not None and not own[0].startswith(tool[1]) for tool in tools)


def can_look() -> bool:
    """Return whether other processes can be seen at all: on Linux not without ``/proc``."""
    import psutil

    with suppress(OSError):
        return bool(psutil.pids())
    return False


def is_installing(arguments: Sequence[str]) -> bool:
    """Return whether a command line is one of conda, mamba, micromamba, pixi or a build tool that installs."""
    program, words = _program(arguments)
    return any(_is_command(command.split(), words) for command in _INSTALLING.get(program, ()))


def _is_command(command: Sequence[str], words: Sequence[str]) -> bool:
    own, positional = _split(words, len(command) if "*" in command else None)
    expected = [word for word in command if not word.startswith("-")]
    return (
        not _HARMLESS.intersection(own)
        and len(positional) >= len(expected)
        and all(want in ("*", word) for want, word in zip(expected, positional))
        and all(word in own for word in command if word.startswith("-"))
    )


def _split(words: Iterable[str], count: int | None) -> tuple[list[str], list[str]]:
    """Return the options and the other words, up to so many of these: what follows is a program's of its own."""
    options: list[str] = []
    positional: list[str] = []
    words = iter(words)
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif word.startswith("-"):
            options.append(word)
        else:
            positional.append(word)
            if len(positional) == count:
                break
    return options, positional


def _program(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the name of a program and its arguments, behind the interpreter or shell that may run it."""
    if not arguments:
        return "", ()
    name, rest = _name(arguments[0]), list(arguments[1:])
    if not _PYTHON.fullmatch(name) and name not in _SHELLS:
        return name, rest
    while rest and rest[0].startswith("-") and rest[0] != "-m":
        # The only options of the interpreter with a value of their own.
        rest = rest[2:] if rest[0] in ("-W", "-X") else rest[1:]
    if rest[:1] == ["-m"]:
        return _MODULES.get(rest[1], "") if len(rest) > 1 else "", rest[2:]
    return (_name(rest[0]), rest[1:]) if rest else ("", ())


def _name(path: str) -> str:
    name = re.split(r"[/\\]", path)[-1].lower()
    for ending in (".exe", ".py", "-script"):
        name = name.removesuffix(ending)
    # What the installers bring (conda.exe of constructor, _conda of Miniforge).
    return name.removeprefix("_")


def processes() -> Iterator[tuple[int, int, list[str]]]:
    """Give pid, parent's pid and command line of all processes that can be seen."""
    import psutil

    with suppress(OSError):
        for process in psutil.process_iter(["ppid", "cmdline"]):
            yield process.pid, process.info["ppid"] or 0, process.info["cmdline"] or []


def _may_use(pid: int, caches: frozenset[str]) -> bool:
    """Return whether a process may be using one of the caches.

    Its environment tells, where we may read it. Another user's process, of which we may not, can use a cache of ours
    only if we let others write there.
    """
    import psutil

    try:
        variables = psutil.Process(pid).environ()
    except psutil.AccessDenied:
        return any(map(_is_shared, caches))
    except (psutil.Error, OSError) as error:
        failures.note(error)
        return True
    sandbox = os.environ.get(_SANDBOX)
    if sandbox and variables.get(_SANDBOX) != sandbox:
        top = os.path.join(failures.realpath(sandbox), "")
        caches = frozenset(cache for cache in caches if not cache.startswith(top))
    if variables.get("CONDA_PKGS_DIRS"):
        named = (failures.realpath(path) for path in re.split(rf"[,{os.pathsep}]", variables["CONDA_PKGS_DIRS"]))
        return not caches.isdisjoint(named)
    return bool(caches)


def _has_ended(pid: int) -> bool:
    """Return whether a process has ended by now."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, OSError) as error:
        failures.note(error)
        return False


def _is_shared(cache: str) -> bool:
    """Return whether others than this user may write into a cache; also where that can't be told."""
    try:
        status = os.stat(cache)
    except OSError as error:
        failures.note(error)
        return True
    return status.st_uid != own_user() or bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
