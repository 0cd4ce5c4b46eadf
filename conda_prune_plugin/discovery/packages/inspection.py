"""Inspect an entry in one pass: measure it, read its metadata, check its integrity.

Nothing is asked twice: one listing a directory, one stat a file, one reading of each piece of metadata serve all three.
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ... import failures
from ...core.evidence import Measurement
from ...core.layout import META
from ...core.model import Entry, Part, PartKind
from ...failures import suppress
from ..clients.archive_names import archive_suffixes
from ..system.measure import Measure, Statuses, measure
from ..system.mounts import mount_points
from .archive_metadata import holds_package
from .extracted_metadata import Description, describe
from .integrity import Damage, Enough, archive_damage, archive_record, directory_damage, is_record_only
from .package_urls import without_credentials

#: What shows that a directory was a package. Not info/files, which is a name that anybody might give.
_METADATA = tuple(
    os.path.join("info", name) for name in ("index.json", "paths.json", "repodata_record.json", "about.json")
)


#: What every client writes into an environment that it makes, and no package brings along.
_HISTORY = os.path.join(META, "history")


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a look at an entry has shown.

    measurements and descriptions: by path, of what could be read.
    damages: the parts that are not whole. sure: no other part could be in doubt.
    """

    measurements: Mapping[str, Measurement]
    descriptions: Mapping[str, Description]
    damages: Mapping[Part, Damage]
    sure: bool


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

    def measured(self, path: str) -> Measurement:
        """Return the measurement of something. Raises `OSError`."""
        return self._measurements.get(path) or self._measure(path)

    def described(self, path: str) -> Description:
        """Return what an extracted directory says of itself. Raises `OSError` or `ValueError`."""
        if path not in self._descriptions:
            self._descriptions[path] = describe(path)
        return self._descriptions[path]


def _measure(path: str, mounts: frozenset[str], statuses: Statuses | None = None) -> Measurement:
    """Measure a part of an entry, and look whether somebody has made an environment in there, which would go with it.

    `statuses` is filled with what is below. Raises `OSError`.
    """
    statuses = {} if statuses is None else statuses
    measurement = measure(path, mounts=mounts, statuses=statuses)
    # Nearly never, and asked of all names at once: this is done for every file of every candidate.
    if _HISTORY not in "\0".join(statuses):
        return measurement
    found = next((name for name in statuses if name.endswith(_HISTORY) and _history_of(path, name)), None)
    if found is None:
        return measurement
    return replace(measurement, obstacle=f"an environment lies in it: {_history_of(path, found)}")


def _history_of(top: str, name: str) -> str | None:
    """Return the environment whose history a name below a directory is, None if it is another file."""
    prefix, meta = os.path.split(os.path.dirname(os.path.join(top, name)))
    return prefix if meta == META else None


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


def inspect(batch: Batch, entry: Entry, mounts: frozenset[str], *, contents: Enough | None = None) -> Inspected:
    """Look at the extracted directory and the archives of an entry of a batch; no symbolic link is followed.

    mounts: the mount points. contents: read them all, as long as that is not enough.
    """
    looking = _Inspection(batch, entry, mounts, contents)
    damages: dict[Part, Damage] = {}
    for part in entry.parts:
        try:
            damage = looking.at(part)
        except OSError as error:
            failures.note(error)
            # What can't be read is no leftover for that; the evidence will say so.
            looking.sure = False
        else:
            if damage is not None:
                damages[part] = damage
    return Inspected(looking.measurements, looking.descriptions, damages, looking.sure)


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
    """The work of looking at batches of entries; `progress` is told how many were looked at."""

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

    def do(self, batch: Batch) -> list[Inspected]:
        """Return what is seen at each entry."""
        found = []
        for entry in batch.entries:
            found.append(inspect(batch, entry, self._mounts, contents=self._contents))
            self._progress(1)
        return found


class _Inspection:
    """What the looks at the parts of one entry share."""

    def __init__(self, batch: Batch, entry: Entry, mounts: frozenset[str], contents: Enough | None) -> None:
        self.measurements: dict[str, Measurement] = {}
        self.descriptions: dict[str, Description] = {}
        self.sure = True
        self._directory = batch.directory
        self._entry = entry
        self._urls = batch.urls
        self._suffixes = batch.suffixes
        self._mounts = mounts
        self._contents = contents

    def at(self, part: Part) -> Damage | None:
        """Return what is wrong with a part, None if nothing is or it can't be told. Raises `OSError`."""
        path = os.path.join(self._directory, part.name)
        if part.kind is PartKind.EXTRACTED and not part.is_link:
            return self._extracted(path)
        if part.kind is PartKind.ARCHIVE and not part.is_link:
            return self._archive(path, part.name)
        self.sure = self.sure and not part.is_link
        return None

    def _extracted(self, path: str) -> Damage | None:
        statuses: Statuses = {}
        self.measurements[path] = _measure(path, self._mounts, statuses)
        with suppress(OSError, ValueError):
            self.descriptions[path] = describe(path, statuses)
        described = self.descriptions.get(path)
        indexed = described is not None and described.indexed
        if not self._was_package(path, statuses):
            self.sure = False
            return None
        if is_record_only(statuses) and self._records_archive(path):
            # Nothing of it may make somebody believe that the archive beside it is superfluous.
            self.sure = False
            return None
        return directory_damage(path, statuses=statuses, indexed=indexed, contents=self._contents)

    def _records_archive(self, path: str) -> bool:
        described = self.descriptions.get(path)
        archives = (part.name for part in self._entry.parts if part.kind is PartKind.ARCHIVE and not part.is_link)
        return described is not None and any(archive_record(path, name, described.record) for name in archives)

    def _was_package(self, path: str, statuses: Statuses) -> bool:
        """Return whether a directory ever was a package: anything may be called so, as channels in mamba's caches.

        It has metadata, or conda has fetched its archive, or nothing is in it at all, or its archive is a package:
        another user's directory may lie beside an archive of it. An environment is none.
        """
        if META in statuses:
            return False
        if not statuses or any(_is_file(os.path.join(path, name), statuses.get(name)) for name in _METADATA):
            return True
        if any(self._entry.dist + suffix in self._urls for suffix in self._suffixes):
            return True
        archives = (part for part in self._entry.parts if part.kind is PartKind.ARCHIVE and not part.is_link)
        return any(holds_package(os.path.join(self._directory, part.name)) for part in archives)

    def _archive(self, path: str, name: str) -> Damage | None:
        status = os.lstat(path)
        self.measurements[path] = measure(path, mounts=self._mounts, top=status)
        if not stat.S_ISREG(status.st_mode):
            self.sure = False
            return None
        record = self._record_of(name)
        known = bool(record) or name in self._urls
        return archive_damage(path, status.st_size, record, known=known, contents=self._contents)

    def _record_of(self, archive: str) -> Mapping[str, Any]:
        """Return what is recorded of an archive; nothing if it came from another channel that has one of this name."""
        directory = os.path.join(self._directory, self._entry.dist)
        described = self.descriptions.get(directory)
        record = archive_record(directory, archive, None if described is None else described.record)
        url, last = record.get("url"), self._urls.get(archive)
        if not isinstance(url, str) or not last or url == last:
            return record
        return record if without_credentials(url) == without_credentials(last) else {}
