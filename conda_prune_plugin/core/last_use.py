"""When an entry was last used, as far as its files tell."""

from __future__ import annotations

from .model import Evidence, LastUsedFrom


def last_use(evidence: Evidence) -> tuple[float | None, LastUsedFrom | None]:
    """Return when an environment was last built from an entry or removed, and where that is known from.

    Making or removing a hard link changes the inode's ctime, and extraction sets the ctime of every file before it
    writes ``info/repodata_record.json``: a newer ctime means that a link was made or removed since. Without one, the
    time of fetching and extraction stands in.
    """
    payload = [item.payload_ctime for _, item in evidence.measurements if item.payload_ctime is not None]
    newest = max(payload, default=None)
    if newest is not None and (evidence.fetched is None or newest > evidence.fetched):
        return newest, LastUsedFrom.LINK
    return evidence.fetched, None if evidence.fetched is None else LastUsedFrom.EXTRACTION
