"""The machine that the tests run on: a channel of real packages and environments made by real conda.

It is built once a session and then copied aside; each test that asks for it gets it anew at the same place, since
records, soft links and the registry hold absolute paths.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prepared
from schema import check

from conda_prune_plugin.core.units import Space
from conda_prune_plugin.demo.demo_packages import PLACEHOLDER, File, HardLink, Item, Package, SymLink, build_channel
from conda_prune_plugin.demo.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping


def _binary(seed: str, size: int) -> File:
    """Return a file that does not compress, the same every time."""
    block = b"".join(hashlib.sha256(f"{seed}{number}".encode()).digest() for number in range(size // 32 + 1))
    # conda soft-links only what is not executable.
    return File(block[:size])


def _library(name: str, version: str, depends: tuple[str, ...] = ()) -> Package:
    files = {f"lib/{name}/part{number}.so": _binary(f"{name}{version}{number}", 9_000) for number in range(4)}
    return Package(name, version, depends=depends, files=files)


def _noarch_python(version: str) -> Package:
    module = File(f"VERSION = {version!r}\n".encode())
    files = {f"site-packages/pynoarch/{name}.py": module for name in ("__init__", "other")}
    return Package("pynoarch", version, depends=("python",), files=files, noarch="python", subdir="noarch")


def _inner_links(version: str) -> Package:
    files: dict[str, Item] = {
        "bin/inner": _binary(f"inner{version}", 50_000),
        "bin/inner-again": HardLink("bin/inner"),
        "bin/inner-once-more": HardLink("bin/inner"),
    }
    return Package("innerlinks", version, files=files)


def _all_placeholder(version: str) -> Package:
    files = {f"etc/{name}.conf": File(f"root={PLACEHOLDER}/{version}\n".encode() * 50) for name in "abc"}
    return Package("allprefix", version, files=files)


def _symlinks(version: str) -> Package:
    files: dict[str, Item] = {
        "lib/real.so.1": _binary(f"real{version}", 20_000),
        "lib/real.so": SymLink("real.so.1"),
        "share/here": SymLink("../lib/real.so.1"),
        "share/data.txt": File(b"data\n" * 500),
    }
    return Package("symlinks", version, files=files)


BOTH = (".conda", ".tar.bz2")

#: The noarch packages need a python in the environment: this one hands over to the interpreter of the tests.
PYTHON = Package(
    "python",
    f"3.{sys.version_info.minor}.0",
    files={"bin/python": File(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'.encode(), executable=True)},
)

PACKAGES = (
    PYTHON,
    _library("libalpha", "1.0"),
    _library("libalpha", "2.0"),
    _library("libbeta", "1.0", depends=("libalpha",)),
    _noarch_python("1.0"),
    _noarch_python("2.0"),
    Package("metaonly", "1.0", depends=("libalpha",), noarch="generic", subdir="noarch"),
    Package("metaonly", "2.0", noarch="generic", subdir="noarch"),
    _all_placeholder("1.0"),
    _all_placeholder("2.0"),
    _inner_links("1.0"),
    _inner_links("2.0"),
    _symlinks("1.0"),
    _symlinks("2.0"),
    Package("bothformats", "1.0", files={"lib/both": _binary("both1", 30_000)}, suffixes=BOTH),
    Package("bothformats", "2.0", files={"lib/both": _binary("both2", 30_000)}, suffixes=BOTH),
    Package("onlyarchive", "1.0", files={"lib/only": _binary("only", 30_000)}),
)

#: What is in the cache and in no environment once `build` is done.
UNREFERENCED = frozenset(
    {
        "libalpha-1.0-0",  # updated away
        "pynoarch-2.0-0",  # its environment was removed by conda
        "innerlinks-2.0-0",  # likewise, with hard links inside
        "symlinks-2.0-0",  # its environment was deleted with rm -rf
        "metaonly-2.0-0",  # likewise, with no files at all
        "bothformats-2.0-0",  # likewise, with both archives
        "onlyarchive-1.0-0",  # downloaded and never extracted
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output; one of ours is held against the published schema."""
        document = json.loads(self.out)
        if isinstance(document, dict) and "schema" in document:
            check(document)
        return document


class Machine(Sandbox):
    """A sandbox with a channel and environments of all kinds."""

    __slots__ = ()

    @property
    def channel(self) -> str:
        """The url of the channel that all packages come from."""
        return (self.directory / "channel").as_uri()

    @property
    def elsewhere(self) -> Path:
        """An environment outside of the directory of environments."""
        return self.directory / "else where" / "my-env"

    @property
    def environments(self) -> tuple[Path, ...]:
        """The environments that exist."""
        return (*(self.envs / name for name in ("hard", "soft", "copy")), self.elsewhere)

    def run(self, *arguments: str | os.PathLike[str], stdin: str | None = "", **environ: str) -> Answer:
        """Run conda with arguments and return what it said."""
        variables = self.environ(**environ)
        if prepared.possible(variables):
            done = prepared.run([os.fspath(item) for item in arguments], variables, self.directory, stdin)
        else:
            done = self.conda(*arguments, environ=environ, stdin=stdin)
        return Answer(done.returncode, done.stdout, done.stderr)

    def prune(self, *arguments: str | os.PathLike[str], min_age: str = "0", **environ: str) -> Answer:
        """Run ``conda prune``; everything on this machine is young, so the age counts only where a test says so."""
        return self.run("prune", "--min-age", min_age, *arguments, **environ)

    def install(self, verb: str, *arguments: str | os.PathLike[str], **environ: str) -> None:
        """Run a conda command that has to succeed, from the channel."""
        answer = self.run(verb, *arguments, "--yes", "--override-channels", "-c", self.channel, **environ)
        assert answer.code == 0, answer.out + answer.err

    def build(self) -> None:
        """Fill the machine; takes some seconds a command."""
        self.create()
        build_channel(self.directory / "channel", PACKAGES)
        self.install("create", "-n", "hard", "libalpha=1.0", "pynoarch=1.0", "innerlinks=1.0", "bothformats=1.0")
        self.install("install", "-n", "hard", "libalpha=2.0", "metaonly=1.0")
        self.install("create", "-n", "soft", "libbeta", "symlinks=1.0", CONDA_ALWAYS_SOFTLINK="true")
        self.install("create", "-n", "copy", "allprefix=2.0", "innerlinks=1.0", CONDA_ALWAYS_COPY="true")
        self.install("create", "-p", self.elsewhere, "allprefix=1.0", "pynoarch=1.0")
        self.install("create", "-n", "removed", "pynoarch=2.0", "innerlinks=2.0")
        self.install("create", "-n", "deleted", "symlinks=2.0", "metaonly=2.0", "bothformats=2.0")
        removed = self.run("remove", "-n", "removed", "--all", "--yes")
        assert removed.code == 0, removed.err
        shutil.rmtree(self.envs / "deleted")
        for name in ("onlyarchive-1.0-0.conda", "bothformats-2.0-0.tar.bz2", "bothformats-1.0-0.tar.bz2"):
            shutil.copy(self.directory / "channel" / "linux-64" / name, self.cache)
            # As conda does it at a download.
            with (self.cache / "urls.txt").open("a") as urls:
                urls.write(f"{self.channel}/linux-64/{name}\n")

    def entry(self, dist: str) -> Path:
        """Return the extracted directory of an entry."""
        return self.cache / dist


def copy_tree(source: Path, target: Path) -> None:
    """Copy a machine with all links, modes and times."""
    _copy(str(source), str(target), {})


def _copy(source: str, target: str, linked: dict[tuple[int, int], str]) -> None:
    """Copy a directory; `linked`: by inode, where the first name of a file with several was copied to."""
    os.mkdir(target)
    with os.scandir(source) as items:
        for item in items:
            copy, status = os.path.join(target, item.name), os.lstat(item.path)
            if item.is_dir(follow_symlinks=False):
                _copy(item.path, copy, linked)
                continue
            if (first := linked.get((status.st_dev, status.st_ino))) is not None:
                # Symbolic links have hard links too.
                os.link(first, copy, follow_symlinks=os.link not in os.supports_follow_symlinks)
                continue
            if item.is_symlink():
                os.symlink(os.readlink(item.path), copy)
            else:
                shutil.copyfile(item.path, copy)
                os.chmod(copy, stat.S_IMODE(status.st_mode))
            _date(copy, status)
            if status.st_nlink > 1:
                linked[status.st_dev, status.st_ino] = copy
    # The last: what comes into a directory changes its time, and may need the right to write there.
    status = os.stat(source)
    os.chmod(target, stat.S_IMODE(status.st_mode))
    _date(target, status)


def _date(path: str, status: os.stat_result) -> None:
    if os.utime in os.supports_follow_symlinks:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def listing(directory: Path) -> dict[str, tuple[object, ...]]:
    """Return all there is to know of a tree: names, modes, sizes, times, link counts, contents, link targets."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [directory, *sorted(directory.rglob("*"))]:
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path)] = (
            status.st_mode,
            status.st_nlink,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            content,
        )
    return found


def contents(directory: Path) -> dict[str, tuple[object, ...]]:
    """Return what a program that uses a tree sees: names, modes, link targets, and the content behind every link."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(directory.rglob("*")):
        target = path.readlink() if path.is_symlink() else None
        # Fails on a symbolic link that does not resolve.
        content = None if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path)] = (path.lstat().st_mode, target, content)
    return found


def allocated(*directories: Path) -> int:
    """Return what ``du --block-size=1`` says of directories, without our receipts: every inode once."""
    return space(*directories).bytes


def space(*directories: Path) -> Space:
    """Return the bytes and the inodes that ``du`` finds in directories, without our receipts."""
    blocks: dict[tuple[int, int], int] = {}
    waiting = [str(directory) for directory in directories]
    while waiting:
        path = waiting.pop()
        status = os.lstat(path)
        blocks[status.st_dev, status.st_ino] = status.st_blocks
        if stat.S_ISDIR(status.st_mode):
            waiting += [os.path.join(path, name) for name in os.listdir(path) if name != ".conda-prune"]
    return Space(sum(blocks.values()) * 512, len(blocks))


def told(*items: Mapping[str, Any], by: str = "reclaimable") -> Space:
    """Return the bytes and the inodes that documents tell by one name, in all."""
    return Space(sum(item[by] for item in items), sum(item[f"{by}_inodes"] for item in items))


def age(path: Path, seconds: float) -> None:
    """Make a file or directory look as if it had been written that long ago."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))
