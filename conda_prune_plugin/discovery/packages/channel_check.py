"""Check that channels still have a package, through conda's own index fetching.

conda keeps indexes in the package cache. A plan must not write there, so they are fetched into a temporary directory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...core.evidence import Evidence
from ...core.notices import Notice
from ..clients.conda_context import fetch_index, is_offline
from .package_urls import without_credentials

#: Of a ``repodata.json``: the records of ``.tar.bz2`` and of ``.conda`` archives.
_KEYS = frozenset({"packages", "packages.conda"})

#: Of a later ``repodata.json``: an object for each format, its records by dist. Wheels are there only.
_LATER = "v3"

#: What a channel offers: records by file name; or why it can't be checked.
_Index = Mapping[str, Mapping[str, Any]] | str


def check_sources(
    evidence: Iterable[Evidence], progress: Callable[[int], None]
) -> tuple[tuple[Evidence, ...], tuple[Notice, ...]]:
    """Return the evidence, with packages that their channels no longer have as irreplaceable, and notices on channels.

    If a channel can't be checked, its packages count as irreplaceable too. `progress` is called with the number of
    channels checked so far.
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
            f"Can't check the channel {channel} ({index}), so its packages are kept as irreplaceable.",
            "",
        )
        for channel, index in indexes.items()
        if isinstance(index, str)
    )
    return tuple(_checked(item, indexes) for item in items), notices


def _channel(item: Evidence) -> str:
    """Return the url of the channel's directory that a package came from; files such as wheels may lie elsewhere."""
    record = item.record or {}
    channel = record.get("channel")
    if isinstance(channel, str) and "://" in channel and channel.rsplit("/", 1)[-1] == record.get("subdir"):
        return without_credentials(channel) or channel
    return (item.source or "").rsplit("/", 1)[0]


def _fetch(channel: str, place: Path) -> _Index:
    if is_offline() and not channel.startswith("file:"):
        return "conda is offline"
    try:
        index = fetch_index(channel, place)
    except Exception as error:  # noqa: BLE001 - conda's parsing and its error texts end on odd input with anything.
        try:
            lines = str(error).strip().splitlines()
        except (ValueError, TypeError, KeyError):
            # conda formats its messages with %, which a url with a stray one breaks.
            lines = []
        return lines[0] if lines else type(error).__name__
    if index is None or not _KEYS & index.keys():
        return "it has no index"
    records: dict[str, Mapping[str, Any]] = {}
    parts = {key: index.get(key, {}) for key in sorted(_KEYS)}
    later = index.get(_LATER, {})
    parts |= later if isinstance(later, dict) else {_LATER: later}
    for key, part in parts.items():
        if not isinstance(part, dict) or not all(isinstance(record, dict) for record in part.values()):
            return "its index is malformed"
        for name, record in part.items():
            url = record.get("url")
            # The later format gives no file names: it is the end of the url, or made of dist and format.
            later_name = url.rsplit("/", 1)[-1] if isinstance(url, str) else f"{name}.{key}"
            records[name if key in _KEYS else later_name] = record
    return records


def _checked(item: Evidence, indexes: Mapping[str, _Index]) -> Evidence:
    if item.irreplaceable is not None or item.doubt is not None or item.unreadable is not None:
        return item
    if not item.source:
        return replace(item, irreplaceable="it has no channel that could be checked")
    channel, name = _channel(item), item.source.rsplit("/", 1)[-1]
    index = indexes[channel]
    if isinstance(index, str):
        return replace(item, irreplaceable=f"the channel {channel} can't be checked")
    if name not in index:
        return replace(item, irreplaceable=f"the channel {channel} no longer has it")
    sha256 = index[name].get("sha256")
    if sha256 and item.sha256 and sha256 != item.sha256:
        return replace(item, irreplaceable=f"the channel {channel} now has a different package of that name")
    return item
