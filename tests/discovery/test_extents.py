"""What a file system answers about the extents of a file, right or wrong, gives the bytes of the file or a bound."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

import pytest

from conda_prune_plugin.core.usage.shared_content import Extents
from conda_prune_plugin.discovery.system.extents import Content, FileSystems, Record, SharingFileSystem
from conda_prune_plugin.discovery.system.measure import measure
from conda_prune_plugin.discovery.system.mounts import Mount

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "makedev"), reason="there are no such file systems")

#: ``linux/fiemap.h``.
LAST, UNKNOWN, DELAYED, ENCODED, INLINE, UNWRITTEN, SHARED = 0x1, 0x2, 0x4, 0x8, 0x200, 0x800, 0x2000

FIEMAP, GEOMETRY = 0xC020660B, 0x8070587C
KIB = 1024
SIZE = 400 * KIB


class FileSystem:
    """Answers like a kernel: one batch of extents after the other, whatever is asked."""

    def __init__(self, *batches: list[Record], reflink: bool | None = True, mapped: int | None = None) -> None:
        self.batches = list(batches)
        self.reflink = reflink
        self.mapped = mapped
        self.starts: list[int] = []

    def __call__(self, fd: int, request: int, buffer: bytearray) -> None:
        if request == GEOMETRY:
            if self.reflink is None:
                raise OSError(errno.ENOTTY, "no such call")
            struct.pack_into("=L", buffer, 92, 0x100000 if self.reflink else 0x80000)
            return
        assert request == FIEMAP
        start, length, flags, _, count, _ = struct.unpack_from("=QQLLLL", buffer)
        assert (length, flags) == ((1 << 64) - 1 - start, 0)
        self.starts.append(start)
        batch = self.batches.pop(0) if len(self.batches) > 1 else self.batches[0]
        assert len(batch) <= count
        struct.pack_into("=L", buffer, 20, len(batch) if self.mapped is None else self.mapped)
        for number, (logical, physical, size, bits) in enumerate(batch):
            struct.pack_into("=QQQQQLLLL", buffer, 32 + 56 * number, logical, physical, size, 0, 0, bits, 0, 0, 0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"x" * SIZE)
    os.sync()
    assert path.stat().st_blocks * 512 == SIZE
    return path


def _content(file: Path, system: Callable[..., object], *, btrfs: bool = False) -> Content:
    return SharingFileSystem(7, btrfs=btrfs, ioctl=system).content(str(file), file.lstat())


def _shared(*ranges: tuple[int, int], whole: bool = False) -> Extents:
    return Extents(7, ranges, whole)


@pytest.mark.parametrize(
    ("records", "content"),
    [
        ([(0, 800 * KIB, SIZE, LAST)], Content(SIZE)),
        ([(0, 800 * KIB, SIZE, LAST | UNWRITTEN)], Content(SIZE)),
        ([(0, 0, SIZE, LAST | UNKNOWN | DELAYED)], Content(SIZE)),
        ([(0, 0, SIZE, LAST | UNKNOWN)], Content(SIZE, exact=False)),
        ([(0, 800 * KIB, SIZE, LAST | 0x100)], Content(SIZE, exact=False)),
        ([(0, 800 * KIB, SIZE, LAST | SHARED)], Content(0, _shared((800 * KIB, SIZE)))),
        (
            [
                (0, 800 * KIB, 100 * KIB, SHARED),
                (100 * KIB, 0, 200 * KIB, 0),
                (300 * KIB, 4096, 100 * KIB, LAST | SHARED),
            ],
            Content(200 * KIB, _shared((800 * KIB, 100 * KIB), (4096, 100 * KIB))),
        ),
        # Twice the same, as after a deduplication.
        (
            [(0, 800 * KIB, 200 * KIB, SHARED), (200 * KIB, 800 * KIB, 200 * KIB, LAST | SHARED)],
            Content(0, _shared((800 * KIB, 200 * KIB), (800 * KIB, 200 * KIB))),
        ),
        ([], Content(SIZE)),
    ],
)
def test_each_kind_of_extent_counts_as_what_it_takes(file: Path, records: list[Record], content: Content) -> None:
    assert _content(file, FileSystem(records, [])) == content


def test_btrfs_puts_small_files_into_its_metadata_and_frees_whole_extents(file: Path) -> None:
    shared = [(0, 800 * KIB, SIZE, LAST | SHARED)]

    assert _content(file, FileSystem([(0, 0, SIZE, LAST | INLINE | 0x100)]), btrfs=True) == Content(0)
    assert _content(file, FileSystem(shared), btrfs=True) == Content(0, _shared((800 * KIB, SIZE), whole=True))
    # It may compress what it has not written yet.
    late = _content(file, FileSystem([(0, 0, SIZE, LAST | UNKNOWN | DELAYED)]), btrfs=True)
    assert late == Content(SIZE, exact=False)


def test_a_compressed_extent_ends_at_the_latest_where_the_next_one_starts(file: Path) -> None:
    start, part = 1 << 30, 128 * KIB
    records = [
        (0, start, part, ENCODED),
        (part, start + 20 * KIB, part, ENCODED | SHARED),
        (2 * part, start + 50 * KIB, part, ENCODED | SHARED),
        (3 * part, start, 16 * KIB, ENCODED | LAST),
    ]

    content = _content(file, FileSystem(records), btrfs=True)

    assert (content.own, content.exact) == (20 * KIB + 16 * KIB, False)
    assert content.extents is not None
    (first, size), (second, longest) = content.extents.ranges
    assert (size, longest) == (30 * KIB, part)
    # Moved apart, as two that are neighbours don't overlap.
    assert second - first == 30 * KIB * 32
    assert first >= 1 << 62


def test_a_file_of_many_extents_is_asked_until_the_last(file: Path) -> None:
    records = [(number * KIB, (9000 + 2 * number) * KIB, KIB, SHARED) for number in range(33)]
    system = FileSystem(records[:32], [(*records[32][:3], SHARED | LAST)])

    content = _content(file, system)

    assert system.starts == [0, 32 * KIB]
    assert content == Content(SIZE - 33 * KIB, _shared(*((start, size) for _, start, size, _ in records)))


@pytest.mark.parametrize(
    "system",
    [
        FileSystem([(0, 0, 0, 0)]),
        FileSystem([(0, 0, 8 * KIB, 0), (4 * KIB, 0, 8 * KIB, LAST)]),
        # It never comes to an end.
        FileSystem([(0, 0, 4 * KIB, 0)]),
        FileSystem([(0, 0, 4 * KIB, 0)], mapped=33),
        FileSystem([(0, 800 * KIB, SIZE + 4096, LAST | SHARED)]),
    ],
    ids=["empty", "overlapping", "again and again", "more than asked for", "more than there is"],
)
def test_an_answer_that_makes_no_sense_gives_the_bound(file: Path, system: FileSystem) -> None:
    assert _content(file, system) == Content(SIZE, exact=False)


def test_an_endless_answer_comes_to_an_end(file: Path) -> None:
    calls = []

    def system(fd: int, request: int, buffer: bytearray) -> None:
        if request == FIEMAP:
            start = struct.unpack_from("=Q", buffer)[0]
            FileSystem([(start + number, 0, 1, 0) for number in range(32)])(fd, request, buffer)
            calls.append(start)

    assert _content(file, system, btrfs=True) == Content(SIZE, exact=False)
    assert len(calls) == 2048 + 1


@pytest.mark.parametrize("number", [errno.ENOTTY, errno.EOPNOTSUPP, errno.EINTR, errno.EIO])
def test_a_call_that_fails_gives_the_bound_and_says_so_once(file: Path, number: int) -> None:
    def system(fd: int, request: int, buffer: bytearray) -> None:
        raise OSError(number, os.strerror(number))

    found = SharingFileSystem(7, btrfs=False, ioctl=system)
    assert found.exact

    assert found.content(str(file), file.lstat()) == Content(SIZE, exact=False)
    assert not found.exact


def test_a_file_that_vanished_or_became_a_link_gives_the_bound(file: Path, tmp_path: Path) -> None:
    status = file.lstat()
    system = SharingFileSystem(7, btrfs=True, ioctl=FileSystem([]))
    file.rename(tmp_path / "other")
    bound = Content(SIZE, exact=False)

    assert system.content(str(file), status) == bound
    file.symlink_to("other")
    assert system.content(str(file), status) == bound


def test_only_regular_files_with_blocks_are_asked(file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("x" * 200)
    os.mkfifo(tmp_path / "pipe")

    for name in ("empty", "link", "pipe"):
        status = (tmp_path / name).lstat()
        for btrfs in (False, True):
            # Without an answer, so that a question fails.
            content = SharingFileSystem(7, btrfs=btrfs, ioctl=FileSystem()).content(str(tmp_path / name), status)
            assert content == Content(0 if btrfs else status.st_blocks * 512)


def test_xfs_is_asked_once_whether_it_can_share(file: Path) -> None:
    without, unsure = FileSystem(reflink=False), FileSystem([(0, 0, SIZE, SHARED | LAST)], reflink=None)

    assert _content(file, without) == Content(SIZE)
    assert without.starts == []
    assert _content(file, unsure).own == 0


def test_the_table_of_mounts_tells_whom_to_ask(file: Path) -> None:
    """A subvolume of Btrfs has a device that is in no table: then its path counts."""
    device, top = file.lstat().st_dev, str(file.parent)
    other = device + 1

    def kinds(*mounts: tuple[int, str, str]) -> list[bool]:
        systems = FileSystems(
            [Mount(point, kind, frozenset(), device=number) for number, point, kind in mounts], FileSystem()
        )
        fd = os.open(top, os.O_RDONLY)
        try:
            return [systems.on(device, "file", fd) is not None, systems.on(device, str(file)) is not None]
        finally:
            os.close(fd)

    assert kinds((device, "/", "xfs")) == kinds((device, "/", "btrfs")) == [True, True]
    assert kinds((device, "/", "ext4"), (other, "/", "btrfs")) == [False, False]
    assert kinds((other, "/", "ext4"), (other + 1, top, "btrfs")) == [True, True]
    assert kinds((other, "/", "btrfs"), (other + 1, top, "overlay")) == [False, False]
    assert kinds((other, "/", "xfs")) == kinds() == [False, False]
    systems = FileSystems([Mount("/", "xfs", frozenset(), device=device)], FileSystem([], mapped=99))
    assert systems.exact_on(device)
    system = systems.on(device, str(file))
    assert system is not None
    assert system.content(str(file), file.lstat()).exact is systems.exact_on(device) is False
    assert systems.exact_on(other)


def test_a_measurement_asks_once_about_each_inode(file: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("one", "two"):
        os.link(file, tree / name)
    (tree / "three").write_bytes(b"y" * SIZE)
    os.sync()
    system = FileSystem([(0, 0, 300 * KIB, SHARED), (300 * KIB, 800 * KIB, 100 * KIB, LAST)])
    device = tree.lstat().st_dev

    found = measure(str(tree), systems=FileSystems([Mount("/", "xfs", frozenset(), device=device)], system))

    assert len(system.starts) == 2
    assert found.single == tree.lstat().st_blocks * 512 + 100 * KIB
    assert [(one.links, one.inside, one.allocated) for one in found.shared] == [(3, 2, 100 * KIB)]
    assert sorted((one.links, one.inside) for one in found.extents) == [(1, 1), (3, 2)]
    assert {one.extents for one in found.extents} == {Extents(device, ((0, 300 * KIB),))}
    assert not found.at_most
