"""Ask channels whether they still have a package, through conda's own index fetching.

conda keeps these in the package cache. A plan must not write there, so this cache of an index is a temporary one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...core.evidence import Evidence
from ...core.notices import Notice
from ..clients.conda_channels import fetch_index
from ..clients.conda_context import is_offline
from .package_urls import without_credentials

#: Of a ``repodata.json``: the records of ``.tar.bz2`` and of ``.conda`` archives.
_KEYS = frozenset({"packages", "packages.conda"})

#: Of a later ``repodata.json``: an object for each format, its records by dist. Wheels are there only.
_LATER = "v3"


@dataclass(frozen=True, slots=True)
class _Index:
    """What a channel offers: records by file name, or why it could not be asked."""

    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    failure: str | None = None


def check_sources(
    evidence: Iterable[Evidence], progress: Callable[[int], None]
) -> tuple[tuple[Evidence, ...], tuple[Notice, ...]]:
    """Return the evidence with what its channels have no more as irreplaceable, and what could not be asked.

    What a channel that can't be asked has is not known, so that is irreplaceable too. `progress` is called with the
    number of channels asked so far.
    """
    items = tuple(evidence)
    channels = dict.fromkeys(_channel(item) for item in items if item.source and item.irreplaceable is None)
    indexes: dict[str, _Index] = {}
    with tempfile.TemporaryDirectory(prefix="conda-prune-") as directory:
        for number, channel in enumerate(channels):
            progress(number)
            indexes[channel] = _fetch(channel, Path(directory) / str(number))
    notices = tuple(
        Notice(
            "channel-not-asked",
            f"Can't check the channel {channel} ({index.failure}), so its packages are kept as irreplaceable.",
            "",
        )
        for channel, index in indexes.items()
        if index.failure is not None
    )
    return tuple(_checked(item, indexes) for item in items), notices


def _channel(item: Evidence) -> str:
    """Return the url of the channel's directory that a package came from: files may lie elsewhere, as wheels do."""
    record = item.record or {}
    channel = record.get("channel")
    if isinstance(channel, str) and "://" in channel and channel.rsplit("/", 1)[-1] == record.get("subdir"):
        return without_credentials(channel) or channel
    return (item.source or "").rsplit("/", 1)[0]


def _fetch(channel: str, place: Path) -> _Index:
    if is_offline() and not channel.startswith("file:"):
        return _Index(failure="conda is offline")
    try:
        index = fetch_index(channel, place)
    except Exception as error:  # noqa: BLE001 - conda's parsing and its error texts end on odd input with anything.
        return _Index(failure=_words(error))
    if index is None or not _KEYS & index.keys():
        return _Index(failure="it gave no index")
    records: dict[str, Mapping[str, Any]] = {}
    parts = {key: index.get(key, {}) for key in sorted(_KEYS)}
    later = index.get(_LATER, {})
    parts |= later if isinstance(later, dict) else {_LATER: later}
    for key, part in parts.items():
        if not isinstance(part, dict) or not all(isinstance(record, dict) for record in part.values()):
            return _Index(failure="its index is malformed")
        records |= part if key in _KEYS else {_file_name(dist, key, record): record for dist, record in part.items()}
    return _Index(records)


def _file_name(dist: str, suffix: str, record: Mapping[str, Any]) -> str:
    """Return the name of the file that a record of the later format is of: its url's, or what it would be called."""
    url = record.get("url")
    return url.rsplit("/", 1)[-1] if isinstance(url, str) else f"{dist}.{suffix}"


def _words(error: Exception) -> str:
    try:
        lines = str(error).strip().splitlines()
    except (ValueError, TypeError, KeyError):
        # conda formats its messages with %, which a url with a stray one breaks.
        lines = []
    return lines[0] if lines else type(error).__name__


def _checked(item: Evidence, indexes: Mapping[str, _Index]) -> Evidence:
    if item.irreplaceable is not None or item.doubt is not None or item.unreadable is not None:
        return item
    if not item.source:
        return replace(item, irreplaceable="there is no channel that could be asked whether it still has it")
    channel, name = _channel(item), item.source.rsplit("/", 1)[-1]
    index = indexes[channel]
    if index.failure is not None:
        return replace(item, irreplaceable=f"the channel {channel} could not be asked whether it still has it")
    if name not in index.records:
        return replace(item, irreplaceable=f"the channel {channel} does not have it any more")
    sha256 = index.records[name].get("sha256")
    if sha256 and item.sha256 and sha256 != item.sha256:
        return replace(item, irreplaceable=f"the channel {channel} has another package of that name now")
    return item
