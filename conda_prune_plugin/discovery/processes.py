"""Other processes that install packages right now: conda locks no cache, so they have to be looked for.

Looked at are the command lines of all processes: in ``/proc`` where there is one, else as ``ps`` prints them. Where
neither is to be had (Windows) none is found.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_PROC = "/proc"

#: Names, in the environment of all processes of a sandbox (`demo.sandbox`), its directory: the caches below that are
#: used by them and nobody else.
_SANDBOX = "CONDA_PRUNE_SANDBOX"

#: For each program the commands that link packages into an environment or extract them into a cache. Not among them
#: are those that go on for as long as what they start, such as ``pixi run``. None: whatever it is called with.
_CONDA = frozenset({"create", "install", "update", "upgrade", "remove", "uninstall", "rename", "build", "debug"})
_INSTALLING = {
    "conda": _CONDA,
    "mamba": _CONDA,
    "micromamba": _CONDA,
    "conda-env": frozenset({"create", "update"}),
    "conda-build": None,
    "conda-mambabuild": None,
    "conda-lock": frozenset({"install"}),
    "boa": frozenset({"build"}),
    "constructor": None,
    "rattler-build": frozenset({"build", "test"}),
    "pixi": frozenset({"add", "a", "install", "i", "reinstall", "remove", "rm", "update", "upgrade"}),
}

#: Commands of which only some subcommands install: ``conda env create`` does, ``conda env list`` does not.
_NESTED = {
    "env": frozenset({"create", "update", "remove"}),
    "global": frozenset({"install", "i", "add", "a", "remove", "rm", "uninstall", "update", "upgrade", "sync"}),
}

#: Options with a value of their own, which may be any word.
_WITH_VALUE = frozenset(
    {"-n", "--name", "-p", "--prefix", "-c", "--channel", "-r", "--root-prefix", "--rc-file", "--manifest-path"}
    | {"--solver", "--log-level", "--color", "-f", "--file"}
)

#: With these nothing is installed.
_HARMLESS = frozenset({"-h", "--help", "--version", "-V", "-d", "--dry-run"})

#: Modules that are conda's command line when Python runs them with ``-m``.
_MODULES = {"conda": "conda", "conda_env": "conda-env", "conda_build": "conda-build", "mamba": "mamba"} | {
    "conda_prune_plugin.embedded": "conda"
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
    ours = frozenset(map(os.path.realpath, caches))
    known = {pid: (parent, arguments) for pid, parent, arguments in processes()}
    waiting = set()
    pid = os.getpid()
    while pid in known and pid not in waiting:
        waiting.add(pid)
        pid = known[pid][0]
    return tuple(
        Process(pid, " ".join((_program(arguments)[0], *_program(arguments)[1])))
        for pid, (_, arguments) in sorted(known.items())
        if pid not in waiting and is_installing(arguments) and _may_use(pid, ours) and not _has_ended(pid)
    )


def can_look() -> bool:
    """Return whether other processes can be seen at all."""
    return _has_proc() or shutil.which("ps") is not None


def _has_proc() -> bool:
    return os.path.isdir(os.path.join(_PROC, "self"))


def is_installing(arguments: Sequence[str]) -> bool:
    """Return whether a command line is one of conda, mamba, micromamba, pixi or a build tool that installs."""
    program, words = _program(list(arguments))
    if program not in _INSTALLING:
        return False
    commands = _INSTALLING[program]
    if _HARMLESS.intersection(words):
        return False
    if commands is None:
        return True
    positional = _positional(words)
    command = next(positional, None)
    if command in _NESTED:
        return next(positional, None) in _NESTED[command]
    return command in commands


def _positional(words: Iterable[str]) -> Iterator[str]:
    words = iter(words)
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            yield word


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
    if not _has_proc():
        yield from _processes_by_ps()
        return
    for name in os.listdir(_PROC):
        if name.isdecimal():
            try:
                with open(os.path.join(_PROC, name, "cmdline"), "rb") as stream:
                    arguments = os.fsdecode(stream.read()).split("\0")[:-1]
                with open(os.path.join(_PROC, name, "stat"), "rb") as stream:
                    # The name in brackets may hold anything; behind it come the state and the parent (proc(5)).
                    parent = int(stream.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue  # It has ended in the meantime.
            yield int(name), parent, arguments


def _processes_by_ps() -> Iterator[tuple[int, int, list[str]]]:
    ps = shutil.which("ps")
    if ps is None:
        return
    done = subprocess.run([ps, "-axww", "-o", "pid=,ppid=,args="], capture_output=True, check=False)
    for line in os.fsdecode(done.stdout).splitlines():
        pid, parent, *arguments = line.split()
        yield int(pid), int(parent), arguments


def _may_use(pid: int, caches: frozenset[str]) -> bool:
    """Return whether a process may be using one of the caches.

    Its environment tells, where we may read it. Somebody else's process, of which we may not, can use a cache of ours
    only if we let others write there.
    """
    directory = os.path.join(_PROC, str(pid))
    try:
        with open(os.path.join(directory, "environ"), "rb") as stream:
            variables = os.fsdecode(stream.read()).split("\0")
    except PermissionError:
        return any(map(_is_shared, caches))
    except OSError:
        return True
    its = {name: value for name, _, value in (variable.partition("=") for variable in variables)}
    sandbox = os.environ.get(_SANDBOX)
    if sandbox and its.get(_SANDBOX) != sandbox:
        top = os.path.join(os.path.realpath(sandbox), "")
        caches = frozenset(cache for cache in caches if not cache.startswith(top))
    if its.get("CONDA_PKGS_DIRS"):
        named = (os.path.realpath(path) for path in re.split(rf"[,{os.pathsep}]", its["CONDA_PKGS_DIRS"]))
        return not caches.isdisjoint(named)
    return bool(caches)


def _has_ended(pid: int) -> bool:
    """Return whether a process is over by now: then nothing could tell any more what caches it was using."""
    if not _has_proc():
        return False
    try:
        with open(os.path.join(_PROC, str(pid), "cmdline"), "rb") as stream:
            # Empty for one that nobody has waited for yet (proc(5)).
            return not stream.read(1)
    except PermissionError:
        return False
    except OSError:
        return True


def _is_shared(cache: str) -> bool:
    try:
        status = os.stat(cache)
    except OSError:
        return True
    return (
        not hasattr(os, "geteuid")
        or status.st_uid != os.geteuid()
        or bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    )
