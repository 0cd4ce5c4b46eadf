"""Files that a program may find instead of what it expects: made from real ones, by a seed."""

from __future__ import annotations

import json
import os
import random
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crash import run_bounded
from machine import Machine, copy_tree

from .seeds import ViolationError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from pathlib import Path

    from .oracle import Oracle

#: No honest command comes near these: bytes of address space, and seconds.
_MEMORY, _SECONDS = 2 << 30, 300.0

PATTERNS = (
    "envs/*/conda-meta/*",
    "else where/my-env/conda-meta/*",
    "pkgs/urls*",
    "pkgs/*/info/*.json",
    "pkgs/*.conda",
    "pkgs/*.tar.bz2",
    "pkgs/.conda-prune/*/receipt.json",
    "envs/.conda-prune/*/receipt.json",
    "pkgs/.conda-prune/place-*",
    "home/.conda/environments.txt",
    "lock.yml",
)

PRUNE = ("prune", "--min-age", "0", "--root", "else where/my-env", "--ignore-unreadable", "--json")
COMMANDS = (
    (*PRUNE, "--dry-run"),
    (*PRUNE, "--dry-run", "--all", "--verify"),
    (*PRUNE, "--dry-run", "--lockfile", "lock.yml", "--keep-revisions", "3"),
    (*PRUNE, "--yes"),
    (*PRUNE, "--yes", "--all", "--repair"),
    ("prune", "why", "*", "--json"),
    ("prune", "why", "--all", "--json"),
    ("prune", "usage", "--packages", "--json"),
    ("prune", "envs", "--json"),
    ("prune", "envs", "--fix-registry", "--yes", "--json"),
    ("prune", "restore", "--json"),
    ("prune", "restore", "last", "--json"),
    ("prune", "purge", "--all", "--yes", "--json"),
)

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "../../victim",
    "/etc/passwd",
    "a\0b",
    "a\nb",
    "\udc80",
    "x" * 100_000,
    "\x1b[2J\x1b]0;title\x07",
    [],
    {},
    [[]],
    {"": {}},
    "file:///dev/zero",
)


class Inputs:
    """A machine with a backup, a lockfile and an environment set aside, of which files become something else."""

    def __init__(self, machine: Machine, oracle: Oracle, copy: Path) -> None:
        self._machine, self._oracle, self._copy = machine, oracle, copy
        (machine.directory / "lock.yml").write_text(
            "version: 1\nmetadata: {}\npackage:\n- {name: libalpha, version: '1.0', manager: conda, platform: linux-64,"
            " dependencies: {}, url: 'https://host/linux-64/libalpha-1.0-0.conda', hash: {md5: abc}}\n"
        )
        for command in (
            ("envs", "--fix-registry", "--force", "--yes"),
            ("--min-age", "0", "--only", "libalpha", "--backup", "--yes"),
            ("envs", "copy", "--remove", "--force", "--backup", "--yes"),
        ):
            answer = machine.run("prune", *command)
            assert answer.code == 0, answer
        copy_tree(machine.directory, copy)
        self._honest = oracle.look()

    def play(self, seed: int, figures: Counter[str]) -> None:
        """Change some files, run some commands, and judge after each."""
        chance = random.Random(seed)  # noqa: S311
        shutil.rmtree(self._machine.directory)
        copy_tree(self._copy, self._machine.directory)
        told, changed = [], set()
        for _ in range(chance.randint(1, 3)):
            pattern = chance.choice(PATTERNS)
            paths = sorted(self._machine.directory.glob(pattern))
            if not paths:
                continue
            path, change = chance.choice(paths), chance.choice(CHANGES)
            if path.is_file() and not path.is_symlink():
                change(path, chance)
                changed.add(path)
                told.append(f"{path}: {change.__name__}")
                figures["inputs"] += 1
        for command in chance.sample(COMMANDS, 4):
            self._run(command, seed, changed, told, figures)

    def _run(
        self, command: tuple[str, ...], seed: int, changed: set[Path], told: list[str], figures: Counter[str]
    ) -> None:
        before = self._oracle.look()
        # What honest records said is in use, whatever they say now; a damaged package only if something links to it.
        damaged = {
            path.relative_to(self._machine.cache).parts[0]
            for path in changed
            if path.is_relative_to(self._machine.cache)
        }
        needed = {dist: prefixes for dist, prefixes in self._honest.needed.items() if dist not in damaged}
        end = run_bounded(self._machine, command, _MEMORY, _SECONDS)
        told.append(f"{' '.join(command)} -> {end.code}")
        figures["commands"] += 1
        wrong = [] if end.code in {0, 1, 2} else [f"exit code {end.code}"]
        if "Traceback" in end.output:
            wrong.append("a traceback")
        try:
            json.loads(end.output[end.output.index("{") :])
        except ValueError:
            wrong.append("no JSON")
        after = self._oracle.look()
        before = replace(before, needed=needed, linked=self._honest.linked)
        wrong += self._oracle.judge(
            before, replace(after, linked=self._honest.linked - damaged), archives="--all" in command, conda_too=True
        )
        if wrong:
            figures["violations"] += 1
            lines = "\n  ".join(told)
            raise ViolationError(f"--soak-seed {seed}: {wrong}\n  {lines}\nit printed: {end.output[-3000:]}")


# Changes


def _cut(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content) + 1)])


def _flipped(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(min(len(content), chance.randint(1, 30))):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(bytes(content))


def _noise(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(chance.choice((1, 100, 100_000))))


def _empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def _deep(path: Path, chance: random.Random) -> None:
    path.write_text(chance.choice(("[", '{"a":')) * 200_000)


def _many_lines(path: Path, chance: random.Random) -> None:
    path.write_text(
        chance.choice(("\n", "/nowhere/{}\n", "x" * 300 + "{}\n", "==> 2020-01-01 00:00:00 <==\n")) * 100_000
    )


def _one_line(path: Path, chance: random.Random) -> None:
    path.write_text(chance.choice(("a", "/x", "\0", "é")) * 1_000_000)


def _sparse(path: Path, _: random.Random) -> None:
    os.truncate(path, 200 << 20)


def _directory(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").touch()


def _loop(path: Path, _: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _device(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to(chance.choice(("/dev/zero", "/dev/tty", "/proc/self/mem", "/proc/kmsg")))


def _pipe(path: Path, _: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _unreadable_names(path: Path, _: random.Random) -> None:
    for name in (b"\xff\xfe.json", b"a\nb.json", b"x" * 255, b"-rf.json", b"\x1b[31m.json"):
        with open(os.path.join(os.fsencode(path.parent), name), "wb"):
            pass


def _odd_value(path: Path, chance: random.Random) -> None:
    """Put something odd in the place of one or several values of a document."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError:
        path.write_text(
            "\n".join(str(value) for value in chance.choices(("", "/", "..", "-n", "\t", "#", "@EXPLICIT"), k=9))
        )
        return
    for _ in range(chance.randint(1, 3)):
        places = _places(document)
        if places:
            inside, key = chance.choice(places)
            inside[key] = chance.choice(ODD)
    path.write_text(json.dumps(document), errors="surrogatepass")


def _places(document: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    inside = (
        list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    )
    for key in inside:
        found += [(document, key), *_places(document[key])]
    return found


CHANGES: tuple[Callable[[Path, random.Random], None], ...] = (
    _cut,
    _flipped,
    _noise,
    _empty,
    _deep,
    _many_lines,
    _one_line,
    _sparse,
    _directory,
    _loop,
    _device,
    _pipe,
    _unreadable_names,
    *([_odd_value] * 8),
)
