"""An independent judge: it reads environments, caches and state by itself and shares no code with the program.

What it holds a state against: the environments as they were before, each package as conda's own extraction makes it
from its channel, and every inode that is allocated.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conda_package_handling.api import extract

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

#: What a tree holds: by relative path the kind with the executable bit, the target of a link, the hash of a file.
Tree = dict[str, tuple[int, str | None, str | None]]

_STATE = ".conda-prune"
_RECORD = "info/repodata_record.json"
_SUFFIXES = (".conda", ".tar.bz2")
#: In a cache, but no package.
_OTHER = {_STATE, "cache", ".logs", ".trash", "pkgs.lock"}


@dataclass(frozen=True, slots=True)
class Sight:
    """What there was at one moment.

    environments: what a program sees in each environment, through all links.
    aside: the same of environments that were set aside.
    needed: by package the prefixes that have a record of it.
    linked: the names in the cache that an environment has links to, hard or soft.
    entries, archives: what lies in the cache, by name; exact: the same with modes and times.
    allocated, inodes: bytes and inodes on the disk in caches and environments, without the program's state.
    """

    environments: Mapping[str, Tree]
    aside: Mapping[str, Tree]
    needed: Mapping[str, frozenset[str]]
    linked: frozenset[str]
    entries: Mapping[str, Tree]
    archives: Mapping[str, str]
    exact: Mapping[str, object]
    allocated: int
    inodes: int


class Oracle:
    """Knows how each package of a channel looks when it is whole, and judges what happened between two moments."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cache = directory / "pkgs"
        self._whole: dict[str, Tree] = {}
        self._hashes: dict[str, str] = {}
        for path in sorted((directory / "channel").glob("*/*")):
            if path.name.endswith(_SUFFIXES):
                self._hashes[path.name] = _hash(path)
                with tempfile.TemporaryDirectory() as scratch:
                    extract(str(path), scratch)
                    self._whole[_dist(path.name)] = tree(Path(scratch))

    def look(self) -> Sight:
        """Read everything."""
        environments: dict[str, Tree] = {}
        aside: dict[str, Tree] = {}
        needed: dict[str, set[str]] = {}
        for prefix in self._prefixes():
            found = aside if _STATE in prefix.parts else environments
            found[str(prefix)] = tree(prefix)
            for record in (prefix / "conda-meta").glob("*.json"):
                needed.setdefault(record.stem, set()).add(str(prefix))
        names = [name for name in os.listdir(self._cache) if name not in _OTHER]
        places = {name: self._cache / name for name in names}
        return Sight(
            environments,
            aside,
            {dist: frozenset(prefixes) for dist, prefixes in needed.items()},
            self._linked(environments),
            {name: tree(path) for name, path in places.items() if path.is_dir() and not path.is_symlink()},
            {name: _hash(path) for name, path in places.items() if name.endswith(_SUFFIXES) and path.is_file()},
            {name: exact(path) for name, path in places.items()},
            *self._taken(),
        )

    def judge(
        self,
        before: Sight,
        after: Sight,
        *,
        given_up: Collection[str] = (),
        archives: bool = False,
        unlinked: bool = False,
        conda_too: bool = False,
    ) -> list[str]:
        """Return what went wrong between two moments.

        given_up: the prefixes that the command was to remove or to bring back.
        archives: whether the archives of what is in use may go. unlinked: whether what shares no file may go.
        conda_too: whether conda was at work, which extracts packages in their places, and half of one on a full disk.
        """
        wrong = []
        for prefix, content in before.environments.items():
            if prefix not in given_up and after.environments.get(prefix) != content:
                wrong.append(f"environment {prefix} changed: {difference(content, after.environments.get(prefix, {}))}")
        in_use = {
            dist
            for dist, prefixes in before.needed.items()
            if any((Path(prefix) / "conda-meta").is_dir() for prefix in prefixes - set(given_up))
        }
        must_stay = (set() if unlinked else in_use) | (before.linked & after.linked)
        for name in must_stay & before.entries.keys():
            if name not in after.entries:
                wrong.append(f"{name} is in use and was removed: {sorted(before.needed.get(name, ()))}")
            elif after.entries[name] != before.entries[name] and self.whole(name, before.entries[name]):
                wrong.append(f"{name} is in use and changed: {difference(before.entries[name], after.entries[name])}")
        if not archives and not unlinked:
            wrong += [
                f"archive {name} of a package in use was removed"
                for name in before.archives.keys() - after.archives.keys()
                if _dist(name) in in_use
            ]
        halves = self._halves(before, after)
        return [*wrong, *(half for name, half in halves if not conda_too or name in before.exact)]

    def whole(self, name: str, found: Tree) -> bool:
        """Return whether a directory in the cache is all of the package that it is called after."""
        kept = {path: what for path, what in found.items() if path != _RECORD}
        return kept == self._whole.get(name, kept)

    def unfinished(self, below: Path | None = None) -> list[str]:
        """Return what a run left half-done, below one directory or anywhere: empty after a run that came to its end."""
        wrong = []
        for state in self._states(below or self._directory):
            wrong += [
                f"left: {path}"
                for path in sorted(state.rglob("*"))
                if path.name.endswith((".deleting", ".new", ".partial"))
            ]
            for receipt in sorted(state.glob("*/receipt.json")):
                document = json.loads(receipt.read_text())
                if document.get("state", "done") != "done":
                    wrong.append(f"unfinished: {receipt}")
                wrong += self._broken_backups(receipt.parent, document)
            wrong += [
                f"without a receipt: {path}"
                for path in sorted(state.iterdir())
                if path.is_dir() and not (path / "receipt.json").exists()
            ]
        return wrong

    def _broken_backups(self, folder: Path, document: Any) -> Iterator[str]:
        for entry in document.get("entries", ()):
            for part in entry.get("parts", ()):
                place = folder / part["number"]
                if part["name"] in self._whole and place.is_dir():
                    found = {
                        path.replace("index.json.conda-prune", "index.json"): it for path, it in tree(place).items()
                    }
                    if not self.whole(part["name"], found):
                        yield f"half a backup: {place} of {part['name']}"
                elif part["name"] in self._hashes and place.is_file() and _hash(place) != self._hashes[part["name"]]:
                    yield f"half a backup: {place} of {part['name']}"

    def _halves(self, before: Sight, after: Sight) -> Iterator[tuple[str, str]]:
        for name, found in after.entries.items():
            only_record = found.keys() <= {"info", _RECORD}
            if not self.whole(name, found) and not only_record and before.entries.get(name) != found:
                yield name, f"{name} is half there: {difference(self._whole[name], found)}"
        for name, found_hash in after.archives.items():
            if self._hashes.get(name, found_hash) != found_hash and before.archives.get(name) != found_hash:
                yield name, f"archive {name} is half there"

    def _prefixes(self) -> Iterator[Path]:
        """Find environments as `find` would: a directory with a history in conda-meta."""
        for top, directories, _ in os.walk(self._directory):
            path = Path(top)
            # An environment that is being deleted needs nothing any more.
            directories[:] = [
                name
                for name in directories
                if path / name != self._directory / "channel" and not name.endswith(".deleting")
            ]
            if path == self._cache:
                directories[:] = [name for name in directories if name == _STATE]
            if (path / "conda-meta" / "history").is_file():
                yield path

    def _states(self, below: Path) -> Iterator[Path]:
        for top, directories, _ in os.walk(below):
            if _STATE in directories:
                yield Path(top) / _STATE
                directories.remove(_STATE)

    def _linked(self, environments: Mapping[str, Tree]) -> frozenset[str]:
        """Return the names in the cache that something in an environment leads to, or shares an inode with."""
        found, inodes = set(), dict[int, str]()
        top = os.path.realpath(self._cache)
        for path in self._cache.rglob("*"):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                inodes[status.st_ino] = path.relative_to(self._cache).parts[0]
        for prefix, content in environments.items():
            for relative in content:
                path = Path(prefix) / relative
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and status.st_ino in inodes:
                    found.add(inodes[status.st_ino])
                real = os.path.realpath(path)
                if stat.S_ISLNK(status.st_mode) and real.startswith(top + os.sep):
                    found.add(os.path.relpath(real, top).split(os.sep)[0])
        return frozenset(found - _OTHER)

    def _taken(self) -> tuple[int, int]:
        blocks = {}
        for top, directories, files in os.walk(self._directory):
            path = Path(top)
            directories[:] = [
                name
                for name in directories
                if name != _STATE and path / name not in (self._directory / "channel", self._directory / "home")
            ]
            for name in (*directories, *files, "."):
                if path != self._directory:
                    status = (path / name).lstat()
                    blocks[status.st_ino] = status.st_blocks * 512
        return sum(blocks.values()), len(blocks)


def tree(top: Path) -> Tree:
    """Return what a program sees in a directory, through all links."""
    found: Tree = {}
    for path in top.rglob("*"):
        mode = path.lstat().st_mode
        target = os.readlink(path) if stat.S_ISLNK(mode) else None
        kind = stat.S_IFMT(mode) | (mode & 0o100 if stat.S_ISREG(mode) else 0)
        if path.is_file():
            found[str(path.relative_to(top))] = (kind, target, _hash(path))
        else:
            found[str(path.relative_to(top))] = (kind, target, None if path.exists() else "dangling")
    return found


def exact(top: Path) -> dict[str, tuple[object, ...]]:
    """Return all there is to know of a tree or file but what a rename changes: modes, lengths, times, contents."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (top, *top.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else _hash(path) if path.is_file() else None
        length = status.st_size if path.is_file() else None
        found[os.path.relpath(path, top)] = (status.st_mode, length, status.st_mtime_ns, content)
    return found


def difference(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """Say in which paths two trees differ."""
    missing, added = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    changed = [(path, old[path], new[path]) for path in sorted(old.keys() & new.keys()) if old[path] != new[path]]
    return f"missing {missing[:5]}, added {added[:5]}, changed {changed[:3]}"


def _dist(name: str) -> str:
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
