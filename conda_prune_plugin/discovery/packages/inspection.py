"""Inspect an entry in one pass: measure it, read its metadata, check its integrity.

Nothing is asked twice: one listing a directory, one stat a file, one reading of each piece of metadata serve all three.
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ... import failures
from ...core.evidence import Measurement
from ...core.layout import META
from ...core.model import Entry, Part, PartKind
from ...failures import suppress
from ..clients.archive_names import archive_suffixes
from ..system.measure import Measure, Statuses, measure
from ..system.mounts import mount_points
from .archive_metadata import holds_package
from .integrity import Damage, Enough, archive_damage, archive_record, directory_damage, is_record_only
from .package_identity import Description, describe
from .package_urls import without_credentials

#: What shows that a directory was a package. Not info/files, which is a common name.
_METADATA = tuple(
    os.path.join("info", name) for name in ("index.json", "paths.json", "repodata_record.json", "about.json")
)


#: What every client writes into an environment that it makes, and no package brings along.
_HISTORY = os.path.join(META, "history")


@dataclass(slots=True)
class Inspected:
    """What a look at an entry has shown.

    measurements and descriptions: by path, of what could be read. damages: the parts that are not whole. sure: no
    other part could be in doubt.
    """

    measurements: dict[str, Measurement] = field(default_factory=dict)
    descriptions: dict[str, Description] = field(default_factory=dict)
    damages: dict[Part, Damage] = field(default_factory=dict)
    sure: bool = True


class Memory:
    """What was found at paths, so that it is looked for once, whoever asks.

    measured: gives what another process has measured.
    """

    def __init__(self, measured: Measure | None = None) -> None:
        self._measure = measured or functools.partial(_measure, mounts=mount_points())
        self._measurements: dict[str, Measurement] = {}
        self._descriptions: dict[str, Description] = {}

    def learn(self, looked: Inspected) -> None:
        """Remember what a look has shown."""
        self._measurements.update(looked.measurements)
        self._descriptions.update(looked.descriptions)

    @property
    def samples(self) -> list[str]:
        """The samples of all that was looked at."""
        return [measurement.sample for measurement in self._measurements.values() if measurement.sample]

    def measured(self, path: str) -> Measurement:
        """Return the measurement of something. Raises `OSError`."""
        return self._measurements.get(path) or self._measure(path)

    def described(self, path: str) -> Description:
        """Return what an extracted directory says of itself. Raises `OSError` or `ValueError`."""
        if path not in self._descriptions:
            self._descriptions[path] = describe(path)
        return self._descriptions[path]


def _measure(path: str, mounts: frozenset[str], statuses: Statuses | None = None) -> Measurement:
    """Measure a part of an entry, and note an environment that lies in it, which would be removed with it.

    `statuses` is filled with what is below. Raises `OSError`.
    """
    statuses = {} if statuses is None else statuses
    measurement = measure(path, mounts=mounts, statuses=statuses)
    # Nearly never, and asked of all names at once: this is done for every file of every candidate.
    if _HISTORY in "\0".join(statuses):
        for name in statuses:
            prefix, _, rest = os.path.join(path, name).rpartition(os.sep + _HISTORY)
            if prefix and not rest:
                return replace(measurement, obstacle=f"an environment lies in it: {prefix}")
    return measurement


def _is_file(path: str, status: os.stat_result | None) -> bool:
    if status is None or stat.S_ISDIR(status.st_mode):
        return False
    return stat.S_ISREG(status.st_mode) or failures.isfile(path)


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries of one cache: its directory without symbolic links, and the urls of their archives.

    suffixes: of archives; the process that looks at a batch may know nothing of conda.
    """

    directory: str
    entries: tuple[Entry, ...]
    urls: Mapping[str, str]
    suffixes: tuple[str, ...]


#: So many that handing them over costs little, and so few that nobody waits for the other one's last.
BATCH = 16


def batches(directory: str, entries: Sequence[Entry], urls: Mapping[str, str], size: int) -> Iterator[Batch]:
    """Divide the entries of a cache; `urls` are those of all archives that conda has fetched into it."""
    suffixes = archive_suffixes()
    for first in range(0, len(entries), size):
        some = tuple(entries[first : first + size])
        names = (entry.dist + suffix for entry in some for suffix in suffixes)
        yield Batch(directory, some, {name: urls[name] for name in names if name in urls}, suffixes)


class Inspecting:
    """The work of looking at batches of entries, for a worker pool; `progress` is told how many were looked at here.

    No symbolic link is followed. mounts: the mount points. contents: read them all, as long as that is not enough.
    """

    def __init__(
        self,
        mounts: frozenset[str],
        *,
        contents: Enough | None = None,
        progress: Callable[[int], object] = lambda entries: None,
    ) -> None:
        self._mounts = mounts
        self._contents = contents
        self._progress = progress

    def __reduce__(self) -> tuple[type[Inspecting], tuple[frozenset[str]]]:
        # The other process shows no progress, and reads no contents: that is for threads.
        return Inspecting, (self._mounts,)

    def do(self, batch: Batch) -> list[Inspected]:
        """Return what is seen at each entry."""
        found = []
        for entry in batch.entries:
            found.append(_Inspection(batch, entry, self._mounts, self._contents).result())
            self._progress(1)
        return found

    do_in_worker = do

    def take(self, found: list[Inspected]) -> list[Inspected]:
        """Return what was seen in the other process."""
        self._progress(len(found))
        return found


class QuickCheck:
    """The work of checking batches of directories by names and sizes, one stat a file; most are expected to be whole.

    progress: takes how many were checked.
    """

    def __init__(self, progress: Callable[[int], object] = lambda directories: None) -> None:
        self._progress = progress

    def __reduce__(self) -> tuple[type[QuickCheck], tuple[()]]:
        return QuickCheck, ()

    def do(self, directories: Sequence[str]) -> list[bool]:
        """Return which of the directories call for a closer look."""
        return self.take([_needs_inspection(directory) for directory in directories])

    do_in_worker = do

    def take(self, found: list[bool]) -> list[bool]:
        """Return what was seen in the other process."""
        self._progress(len(found))
        return found


def _needs_inspection(directory: str) -> bool:
    try:
        return directory_damage(directory) is not None
    except OSError as error:
        failures.note(error)
        return True


class _Inspection:
    """What the looks at the parts of one entry of a batch share."""

    def __init__(self, batch: Batch, entry: Entry, mounts: frozenset[str], contents: Enough | None) -> None:
        self._batch = batch
        self._parts = entry.parts
        self._directory = os.path.join(batch.directory, entry.dist)
        self._archives = [part.name for part in entry.parts if part.kind is PartKind.ARCHIVE and not part.is_link]
        # Whether conda has fetched an archive of it.
        self._fetched = any(entry.dist + suffix in batch.urls for suffix in batch.suffixes)
        self._mounts = mounts
        self._contents = contents
        self._seen = Inspected()

    def result(self) -> Inspected:
        """Look at the extracted directory and the archives."""
        for part in self._parts:
            path = os.path.join(self._batch.directory, part.name)
            damage = None
            try:
                if part.is_link:
                    self._seen.sure = False
                elif part.kind is PartKind.EXTRACTED:
                    damage = self._extracted(path)
                elif part.kind is PartKind.ARCHIVE:
                    damage = self._archive(path, part.name)
            except OSError as error:
                failures.note(error)
                # What can't be read is no leftover for that; the evidence will say so.
                self._seen.sure = False
            if damage is not None:
                self._seen.damages[part] = damage
        return self._seen

    def _extracted(self, path: str) -> Damage | None:
        statuses: Statuses = {}
        self._seen.measurements[path] = _measure(path, self._mounts, statuses)
        described = None
        with suppress(OSError, ValueError):
            described = self._seen.descriptions[path] = describe(path, statuses)
        record = described.record if described is not None else {}
        # Of a record without a package nothing may suggest that the archive beside it is superfluous.
        alone = is_record_only(statuses) and any(archive_record(path, name, record) for name in self._archives)
        if alone or not self._was_package(path, statuses):
            self._seen.sure = False
            return None
        indexed = described is not None and described.indexed
        return directory_damage(path, statuses=statuses, indexed=indexed, contents=self._contents)

    def _was_package(self, path: str, statuses: Statuses) -> bool:
        """Return whether a directory ever was a package: anything may be called so, as channels in mamba's caches.

        It has metadata, or conda has fetched its archive, or nothing is in it at all, or its archive is a package:
        another user's directory may lie beside an archive of it. An environment is none.
        """
        if META in statuses:
            return False
        return (
            not statuses
            or any(_is_file(os.path.join(path, name), statuses.get(name)) for name in _METADATA)
            or self._fetched
            or any(holds_package(os.path.join(self._batch.directory, name)) for name in self._archives)
        )

    def _archive(self, path: str, name: str) -> Damage | None:
        status = os.lstat(path)
        self._seen.measurements[path] = measure(path, mounts=self._mounts, top=status)
        if not stat.S_ISREG(status.st_mode):
            self._seen.sure = False
            return None
        described = self._seen.descriptions.get(self._directory)
        record = archive_record(self._directory, name, None if described is None else described.record)
        url, last = record.get("url"), self._batch.urls.get(name)
        # It came from another channel that has one of this name, so the record is not of it.
        if isinstance(url, str) and last and without_credentials(url) != without_credentials(last):
            record = {}
        known = bool(record) or name in self._batch.urls
        return archive_damage(path, status.st_size, record, known=known, contents=self._contents)
