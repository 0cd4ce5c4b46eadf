"""What the owner of a cache may do to root who works there: traps before, and a process that swaps names meanwhile.

The territory is root's: a secret, and a directory. Afterwards it has to be what it was, and its content nowhere else.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from crash import run

from .seeds import ViolationError
from .test_hostile_owner import NOBODY, Theirs, _with_script
from .test_unsafe_archives import HOSTILE, _archive

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

_STATE = ".conda-prune"
_SECRET = b"known to root alone"
_EXCHANGE, _HERE = 2, -100

COMMANDS = (
    ("prune", "--min-age", "0", "--yes"),
    ("prune", "--min-age", "0", "--yes", "--backup"),
    ("prune", "--min-age", "0", "--yes", "--all", "--repair", "--verify"),
    ("prune", "restore", "last"),
    ("prune", "restore", "20990101T000000Z-00000000"),
    ("prune", "purge", "--all", "--yes"),
    ("prune", "envs", "e", "--remove", "--force", "--yes"),
    ("prune", "envs", "e", "--remove", "--force", "--yes", "--backup"),
    ("prune", "envs", "--unused-for", "0", "--remove", "--yes"),
    ("prune", "envs", "--fix-registry", "--force", "--yes"),
)


class Attack:
    """One round against root, chosen by a seed."""

    def __init__(self, directory: Path, seed: int, figures: Counter[str]) -> None:
        self._theirs = Theirs(directory)
        self._random = random.Random(seed)  # noqa: S311
        self._seed, self._figures = seed, figures
        self._territory = directory / "of-root"
        (self._territory / "conda-meta").mkdir(parents=True)
        (self._territory / "lib").mkdir()
        for name in ("secret", "lock", "receipt.json", "lib/one", "conda-meta/history", "conda-meta/x-1-0.json"):
            (self._territory / name).write_bytes(_SECRET)
            (self._territory / name).chmod(0o600)
        self._steps: list[str] = []
        tiny = self._theirs.tiny
        for dist in ("b-1-0", "c-1-0"):
            tiny.add(dist, archive=True)
        tiny.use("f", "b-1-0")
        self._told = _with_script(self._theirs)

    def play(self) -> None:
        """Lay some traps, have root run some commands, with a racing process half of the time, and look."""
        run(self._theirs.sandbox, *COMMANDS[1])
        for trap in self._random.sample(TRAPS, self._random.randint(1, 4)):
            self._steps.append(trap.__name__)
            # One trap may be in the way of another.
            with suppress(OSError, ValueError):
                trap(self._theirs, self._territory, self._random)
        # Now only: a trap may have written through a link that another one has made.
        self._give()
        before = self._look()
        for command in self._random.choices(COMMANDS, k=3):
            self._give()
            racing = self._random.random() < 0.5
            self._steps.append(" ".join(command) + " in a race" * racing)
            with _racer(self._theirs.sandbox.directory, self._territory) if racing else nullcontext():
                end = run(self._theirs.sandbox, *command)
            self._figures["commands of root's"] += 1
            self._figures["in a race"] += racing
            self._judge(before, end.output)
        self._figures["rounds"] += 1

    def _give(self) -> None:
        """Give the sandbox to the owner; what is root's by a further name there stays root's."""
        self._theirs.give()
        for path in self._territory.rglob("*"):
            os.chown(path, 0, 0, follow_symlinks=False)

    def _judge(self, before: object, output: str) -> None:
        wrong = ["a traceback: " + output[-3000:]] if "Traceback" in output else []
        if self._look() != before:
            wrong.append(f"root's files changed: {before} became {self._look()}")
        if _SECRET.decode() in output:
            wrong.append("the secret was printed")
        it = self._theirs.sandbox.directory
        mine = {self._territory, self._theirs.sandbox.directory / "printed"}
        for path in it.rglob("*"):
            with suppress(FileNotFoundError):
                status = path.lstat()
                # A further name of a file of root's is no copy.
                if path.is_symlink() or path in mine or (path.is_file() and status.st_nlink > 1):
                    continue
                if path.is_file() and _SECRET in path.read_bytes():
                    wrong.append(f"the secret is in {path}")
                if status.st_uid == 0 and _theirs(path, self._theirs):
                    wrong.append(f"root has made {path}")
        if uids := set(self._told.read_text().split()) - {str(NOBODY)}:
            wrong.append(f"a script ran as {uids}")
        if wrong:
            self._figures["violations"] += 1
            raise ViolationError(
                f"--soak-seed {self._seed}: {wrong}\nafter {self._steps}\nit printed: {output[-1500:]}"
            )

    def _look(self) -> dict[str, tuple[object, ...]]:
        found: dict[str, tuple[object, ...]] = {}
        for path in (self._territory, *sorted(self._territory.rglob("*"))):
            if not path.exists():
                continue
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else sorted(os.listdir(path))
            found[str(path)] = (status.st_mode, status.st_uid, status.st_mtime_ns, content)
        return found


def _theirs(path: Path, theirs: Theirs) -> bool:
    return path.is_relative_to(theirs.tiny.cache) or path.is_relative_to(theirs.tiny.envs)


# Traps


def _state_is_a_link(theirs: Theirs, root: Path, _: random.Random) -> None:
    state = theirs.tiny.cache / _STATE
    state.rename(state.with_name("state-before"))
    state.symlink_to(root)


def _lock_is_another_file(theirs: Theirs, root: Path, chance: random.Random) -> None:
    lock = theirs.tiny.cache / _STATE / "lock"
    lock.unlink(missing_ok=True)
    # A hard link counts only where the system lets users make one; the look at times finds what is written there.
    lock.symlink_to(root / "lock") if chance.random() < 0.5 else os.link(root / "lock", lock)


def _planted_receipt(theirs: Theirs, root: Path, chance: random.Random) -> None:
    name = chance.choice(("secret", "../of-root/secret", str(root / "secret"), "lib"))
    values: dict[str, object] = {"source": chance.choice((None, (root / "secret").as_uri(), "https://host/secret"))}
    values["parts"] = [{"kind": chance.choice(("archive", "extracted")), "name": name, "number": chance.choice("01x")}]
    theirs.plant(**values)


def _receipts_lead_to_root(theirs: Theirs, root: Path, chance: random.Random) -> None:
    for receipt in theirs.tiny.cache.glob(".conda-prune/*/receipt.json"):
        document = json.loads(receipt.read_text())
        document["destination"] = chance.choice((str(root), str(root.parent), "/dev"))
        document["disposal"] = chance.choice(("archive", "backup", "delete"))
        for entry in document["entries"]:
            entry["archived"] = {"name": chance.choice(("secret", "lib/one")), "sha256": "0" * 64, "size": 19}
        receipt.write_text(json.dumps(document))


def _run_is_a_link(theirs: Theirs, root: Path, _: random.Random) -> None:
    for receipt in theirs.tiny.cache.glob(".conda-prune/*/receipt.json"):
        folder = receipt.parent
        folder.rename(folder.with_name("before"))
        folder.symlink_to(root)


def _backup_is_a_link(theirs: Theirs, root: Path, _: random.Random) -> None:
    for part in theirs.tiny.cache.glob(".conda-prune/*/[0-9]*"):
        part.rename(part.with_name(f"before-{part.name}"))
        part.symlink_to(root)


def _entry_is_a_link(theirs: Theirs, root: Path, _: random.Random) -> None:
    (theirs.tiny.cache / "d-1-0").symlink_to(root)


def _links_in_an_entry(theirs: Theirs, root: Path, _: random.Random) -> None:
    tree = theirs.tiny.add("g-1-0")
    (tree / "away").symlink_to(root)
    os.link(root / "secret", tree / "lib" / "secret")


def _hostile_archive(theirs: Theirs, root: Path, chance: random.Random) -> None:
    members = HOSTILE[chance.choice(sorted(HOSTILE))](root / "secret")
    path = _archive(theirs.tiny.cache / "b-1-0.tar.bz2", *members)
    record = theirs.tiny.cache / "b-1-0" / "info" / "repodata_record.json"
    known = {"name": "b", "version": "1", "build": "0", "url": f"https://host/linux-64/{path.name}"}
    record.write_text(json.dumps({**known, "size": path.stat().st_size}))
    (theirs.tiny.cache / "b-1-0" / "lib" / "two").unlink()


def _environment_of_links(theirs: Theirs, root: Path, chance: random.Random) -> None:
    meta = theirs.tiny.envs / "e" / "conda-meta"
    name = chance.choice(("pinned", "state", "frozen", "x-1-0.json"))
    (meta / name).unlink(missing_ok=True)
    (meta / name).symlink_to(root / "secret")
    (theirs.tiny.envs / "linked").symlink_to(root)


def _registry_names_root(theirs: Theirs, root: Path, _: random.Random) -> None:
    registry = theirs.sandbox.registry
    registry.parent.mkdir(parents=True, exist_ok=True)
    registry.write_text(f"{root}\n{root / 'lib'}\n{root.parent}\n/root\n{theirs.tiny.envs / 'e'}\n")


def _note_leads_to_root(theirs: Theirs, root: Path, _: random.Random) -> None:
    state = theirs.tiny.cache / _STATE
    (state / "place-20990101T000000Z-00000000-12345678").write_text(f"{root}\n")


def _files_are_links(theirs: Theirs, root: Path, chance: random.Random) -> None:
    cache = theirs.tiny.cache
    place = chance.choice((cache / "urls.txt", cache / "pkgs.lock", cache / ".cache.lock", cache / "a-1-0.conda.lock"))
    place.unlink(missing_ok=True)
    place.symlink_to(root / "secret")


TRAPS: tuple[Callable[[Theirs, Path, random.Random], None], ...] = (
    _state_is_a_link,
    _lock_is_another_file,
    _planted_receipt,
    _receipts_lead_to_root,
    _run_is_a_link,
    _backup_is_a_link,
    _entry_is_a_link,
    _links_in_an_entry,
    _hostile_archive,
    _environment_of_links,
    _registry_names_root,
    _note_leads_to_root,
    _files_are_links,
)


@contextmanager
def _racer(directory: Path, territory: Path) -> Iterator[None]:
    """Have a process of the owner's exchange directories and files for links to root's, as fast as it can."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            _race(directory, territory)
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for link in directory.rglob(".racer-*"):
            if link.is_symlink() or not link.exists():
                link.unlink(missing_ok=True)


def _race(directory: Path, territory: Path) -> None:
    exchange = ctypes.CDLL(None).renameat2
    end = time.monotonic() + 600
    while time.monotonic() < end:
        targets = [directory / "pkgs" / ".conda-prune" / "lock"]
        for pattern in ("pkgs/*-1-0", "pkgs/*-1-0/lib", "pkgs/.conda-prune", "pkgs/.conda-prune/*", "envs/*"):
            targets += directory.glob(pattern)
        targets += [directory / "envs" / "e" / "conda-meta", directory / "envs" / "e" / "bin"]
        for target in targets:
            if target.name.startswith(".racer-"):
                continue
            link = target.with_name(f".racer-{target.name}")
            with suppress(OSError):
                link.symlink_to(territory / "lock" if target.name == "lock" else territory)
            for _ in range(20):
                exchange(_HERE, os.fsencode(target), _HERE, os.fsencode(link), _EXCHANGE)
                exchange(_HERE, os.fsencode(target), _HERE, os.fsencode(link), _EXCHANGE)
            with suppress(OSError):
                if link.is_symlink():
                    link.unlink()
