"""Other processes that install packages right now: conda locks no cache, so they have to be looked for.

Looked at are the command lines of all processes: in ``/proc`` where there is one, else as ``ps`` prints them. Where
neither is to be had (Windows) nothing is found, which `can_look` tells.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_PROC = "/proc"

#: For each program the commands that link packages into an environment or extract them into a cache. Not among them
#: are those that go on for as long as what they start, such as ``pixi run``.
_CONDA = frozenset({"create", "install", "update", "upgrade", "remove", "uninstall", "rename", "build", "debug"})
_INSTALLING = {
    "conda": _CONDA,
    "mamba": _CONDA,
    "micromamba": _CONDA,
    "conda-env": frozenset({"create", "update"}),
    "conda-build": None,
    "rattler-build": frozenset({"build", "test"}),
    "pixi": frozenset({"add", "global", "install", "reinstall", "remove", "update", "upgrade"}),
}

#: ``conda env create`` installs, ``conda env list`` does not.
_NESTED = {"env": frozenset({"create", "update", "remove"})}

#: Commands behind which words may follow that look like a command of their own.
_OTHERS = frozenset(
    {"run", "search", "list", "info", "config", "shell", "exec", "prune", "clean", "doctor", "activate"}
)

#: Modules that are conda's command line when Python runs them with ``-m``.
_MODULES = {"conda": "conda", "conda_env": "conda-env", "conda_build": "conda-build", "mamba": "mamba"} | {
    "conda_prune_plugin.embedded": "conda"
}

_PYTHON = re.compile(r"(?i)pythonw?[\d.]*(\.exe)?")


@dataclass(frozen=True, slots=True)
class Process:
    """A process that installs."""

    pid: int
    command: str


def can_look() -> bool:
    """Return whether this system shows the processes that run."""
    return os.path.isdir(os.path.join(_PROC, "self")) or shutil.which("ps") is not None


def installing(caches: Iterable[str]) -> tuple[Process, ...]:
    """Return the processes that may be installing from or into one of the caches (absolute paths) at this moment.

    Left out are this process and those it was started by, which wait for it, and processes whose environment names
    other caches (``CONDA_PKGS_DIRS``) where that can be seen.
    """
    ours = frozenset(map(os.path.realpath, caches))
    processes = {pid: (parent, arguments) for pid, parent, arguments in _processes()}
    waiting = set()
    pid = os.getpid()
    while pid in processes and pid not in waiting:
        waiting.add(pid)
        pid = processes[pid][0]
    return tuple(
        Process(pid, " ".join((_program(arguments)[0], *_program(arguments)[1])))
        for pid, (_, arguments) in sorted(processes.items())
        if pid not in waiting and is_installing(arguments) and not _uses_other_caches(pid, ours)
    )


def is_installing(arguments: Sequence[str]) -> bool:
    """Return whether a command line is one of conda, mamba, micromamba, pixi or a build tool that installs."""
    program, words = _program(list(arguments))
    if program not in _INSTALLING:
        return False
    commands = _INSTALLING[program]
    if commands is None:
        return True
    # The value of an option before the command may be any word, so what is no known command is passed over.
    known = (word for word in words if word in commands or word in _NESTED or word in _OTHERS)
    command = next(known, None)
    if command in _NESTED and program != "pixi":
        return next(known, None) in _NESTED[command]
    return command in commands


def _program(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the name of a program and its arguments, behind the Python interpreter that may run it."""
    if not arguments:
        return "", []
    if not _PYTHON.fullmatch(_name(arguments[0])):
        return _name(arguments[0]), arguments[1:]
    rest = arguments[1:]
    while rest and rest[0].startswith("-") and rest[0] != "-m":
        # The only options of the interpreter with a value of their own.
        rest = rest[2:] if rest[0] in ("-W", "-X") else rest[1:]
    if rest[:1] == ["-m"]:
        return _MODULES.get(rest[1], "") if len(rest) > 1 else "", rest[2:]
    return (_name(rest[0]), rest[1:]) if rest else ("", [])


def _name(path: str) -> str:
    name = re.split(r"[/\\]", path)[-1].lower()
    for ending in (".exe", ".py", "-script"):
        name = name.removesuffix(ending)
    # What the installers bring (conda.exe of constructor, _conda of Miniforge).
    return name.removeprefix("_")


def _processes() -> Iterator[tuple[int, int, list[str]]]:
    """Give pid, parent's pid and command line of all processes that can be seen."""
    if not os.path.isdir(os.path.join(_PROC, "self")):
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


def _uses_other_caches(pid: int, ours: frozenset[str]) -> bool:
    try:
        with open(os.path.join(_PROC, str(pid), "environ"), "rb") as stream:
            variables = os.fsdecode(stream.read()).split("\0")
    except OSError:
        return False
    for variable in variables:
        name, _, value = variable.partition("=")
        if name == "CONDA_PKGS_DIRS" and value:
            return ours.isdisjoint(os.path.realpath(path) for path in re.split(rf"[,{os.pathsep}]", value))
    return False
