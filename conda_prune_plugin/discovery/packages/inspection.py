"""Inspect an entry in one pass: measure it, read its metadata, check its integrity.

One listing a directory, one stat a file and one reading of each metadata file serve all three.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ... import failures
from ...core.evidence import Measurement
from ...core.layout import META
from ...core.model import Entry, Part, PartKind
from ...failures import suppress
from ..clients.archive_names import archive_suffixes
from ..system.extents import FileSystems
from ..system.measure import Measure, Statuses, measure
from .archive_metadata import holds_package
from .integrity import Damage, Enough, archive_damage, archive_record, directory_damage, is_record_only
from .package_identity import Description, describe
from .package_urls import without_credentials

#: The files that make a directory a package. Not info/files, which is a common name.
_METADATA = tuple(
    os.path.join("info", name) for name in ("index.json", "paths.json", "repodata_record.json", "about.json")
)


#: The file that every client writes into an environment, and that no package contains.
_HISTORY = os.path.join(META, "history")


@dataclass(slots=True)
class Inspected:
    """The damage found in an entry, by part. sure: there is no doubt on the other parts."""

    damages: dict[Part, Damage] = field(default_factory=dict)
    sure: bool = True


class Memory:
    """Measurements and descriptions by path, so that each is made once; `measured` gives those made before.

    systems: the mounted file systems.
    """

    def __init__(self, measured: Measure | None = None) -> None:
        self.systems = FileSystems()
        self._measured = measured or self._measure
        self._measurements: dict[str, Measurement] = {}
        self._descriptions: dict[str, Description] = {}

    def measured(self, path: str) -> Measurement:
        """Return the measurement of something. Raises `OSError`."""
        return self._measurements.get(path) or self._measured(path)

    def look(self, path: str, statuses: Statuses | None = None, top: os.stat_result | None = None) -> None:
        """Measure a part of an entry, and remember it. statuses, top: as for `measure`. Raises `OSError`."""
        self._measurements[path] = self._measure(path, statuses, top)

    def described(self, path: str, statuses: Statuses | None = None) -> Description:
        """Return the identity of an extracted directory. Raises `OSError` or `ValueError`."""
        if path not in self._descriptions:
            self._descriptions[path] = describe(path, statuses)
        return self._descriptions[path]

    def _measure(self, path: str, statuses: Statuses | None = None, top: os.stat_result | None = None) -> Measurement:
        """Measure a part of an entry, and note an environment that lies in it, which would be removed with it."""
        statuses = {} if statuses is None else statuses
        measurement = measure(path, systems=self.systems, top=top, statuses=statuses)
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


def inspect(
    memory: Memory, cache: str, entry: Entry, urls: Mapping[str, str], contents: Enough | None = None
) -> Inspected:
    """Inspect the extracted directory and the archives of an entry; no symbolic link is followed.

    memory: learns measurements and descriptions. cache: the real path of its cache. urls: of all archives that conda
    has fetched into that. contents: read all files until this returns True; None to compare names and sizes only.
    """
    return _Inspection(memory, cache, entry, urls, contents).result()


class _Inspection:
    """The inspection of one entry."""

    def __init__(
        self, memory: Memory, cache: str, entry: Entry, urls: Mapping[str, str], contents: Enough | None
    ) -> None:
        self._memory = memory
        self._cache = cache
        self._entry = entry
        self._archives = [part.name for part in entry.parts if part.kind is PartKind.ARCHIVE and not part.is_link]
        self._record: Mapping[str, Any] | None = None
        self._urls = urls
        self._contents = contents
        self._seen = Inspected()

    def result(self) -> Inspected:
        """Return the damage in its parts."""
        for part in self._entry.parts:
            path = os.path.join(self._cache, part.name)
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
                # An unreadable part isn't a leftover; the evidence reports it.
                self._seen.sure = False
            if damage is not None:
                self._seen.damages[part] = damage
        return self._seen

    def _extracted(self, path: str) -> Damage | None:
        statuses: Statuses = {}
        self._memory.look(path, statuses)
        indexed = False
        with suppress(OSError, ValueError):
            described = self._memory.described(path, statuses)
            self._record, indexed = described.record, described.indexed
        # A record without a package must not make the archive beside it look superfluous.
        record = self._record or {}
        alone = is_record_only(statuses) and any(archive_record(path, name, record) for name in self._archives)
        if alone or not self._was_package(path, statuses):
            self._seen.sure = False
            return None
        return directory_damage(path, statuses=statuses, indexed=indexed, contents=self._contents)

    def _was_package(self, path: str, statuses: Statuses) -> bool:
        """Return True if a directory was a package once; other directories may have the name of one.

        It has metadata, or is empty, or conda has fetched its archive, or the archive beside it is a package. An
        environment isn't one.
        """
        if META in statuses:
            return False
        return (
            not statuses
            or any(_is_file(os.path.join(path, name), statuses.get(name)) for name in _METADATA)
            or any(self._entry.dist + suffix in self._urls for suffix in archive_suffixes())
            or any(holds_package(os.path.join(self._cache, name)) for name in self._archives)
        )

    def _archive(self, path: str, name: str) -> Damage | None:
        status = os.lstat(path)
        self._memory.look(path, top=status)
        if not stat.S_ISREG(status.st_mode):
            self._seen.sure = False
            return None
        record = archive_record(os.path.join(self._cache, self._entry.dist), name, self._record)
        url, last = record.get("url"), self._urls.get(name)
        # The record is of an archive with this name from another channel.
        if isinstance(url, str) and last and without_credentials(url) != without_credentials(last):
            record = {}
        known = bool(record) or name in self._urls
        return archive_damage(path, status.st_size, record, known=known, contents=self._contents)
