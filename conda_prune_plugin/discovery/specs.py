"""conda's package specifications against the entries of the caches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from conda.exceptions import CondaError
from conda.models.match_spec import MatchSpec
from conda.models.records import PackageRecord
from conda.models.version import VersionOrder

from ..core.model import Cache, Entry
from ..core.names import is_dist_name, package_name
from .caches import INDEX
from .candidates import RECORD, read_urls
from .reading import dist_of, read_object

#: What the name of an entry says by itself; for all else its record has to be opened.
_IN_THE_NAME = frozenset({"name", "version", "build"})


def parse_spec(text: str) -> MatchSpec:
    """Return conda's `MatchSpec` of a text. Raises `ValueError`, with a text meant for the user."""
    # conda takes an empty text for a specification that everything matches.
    if not text.strip():
        raise ValueError("an empty text is no package specification")
    try:
        return MatchSpec(text)
    except (CondaError, ValueError, AssertionError, AttributeError, KeyError, TypeError) as error:
        # conda's parser ends on some nonsense with whatever its steps raise.
        raise ValueError(f"{text!r} is not a package specification such as numpy, 'numpy>=1.26' or 'nump*'") from error


def version_key(version: str) -> VersionOrder | None:
    """Return what sorts a version as conda does, None for what is none."""
    try:
        return VersionOrder(version)
    except (CondaError, ValueError):
        return None


def matching(texts: Iterable[str], caches: Iterable[Cache], *, doubtful: bool) -> frozenset[Entry]:
    """Return the entries that match one of the specifications, or bear its very name.

    doubtful: whether those are among them of which it can't be said, because what they have to match is not known.

    Raises `ValueError` for what is no specification.
    """
    specs = {text: parse_spec(text) for text in texts}
    return frozenset(
        entry
        for cache in caches
        for entry in cache.entries
        if any(text.strip() == entry.dist or _matches(spec, cache, entry, doubtful) for text, spec in specs.items())
    )


def _matches(spec: MatchSpec, cache: Cache, entry: Entry, doubtful: bool) -> bool:
    named = is_dist_name(entry.dist)
    wanted = spec.get_exact_value("name")
    if named and wanted is not None and wanted != package_name(entry.dist).lower():
        return False
    needed = {field for field in MatchSpec.FIELD_NAMES if spec.get_raw_value(field) is not None}
    try:
        record = _from_name(entry.dist) if named else {}
        if not named or needed - _IN_THE_NAME:
            record = {**record, **_from_metadata(cache, entry)}
        if needed - record.keys():
            return doubtful
        return bool(spec.match(PackageRecord(**record)))
    except (CondaError, OSError, ValueError, TypeError, AttributeError):
        # Metadata of any kind may be in there.
        return doubtful


def _from_name(dist: str) -> dict[str, Any]:
    name, version, build = dist.rsplit("-", 2)
    return {"name": name, "version": version, "build": build, "build_number": 0}


def _from_metadata(cache: Cache, entry: Entry) -> dict[str, Any]:
    """Return what the record, or `urls.txt`, says of an entry. Raises `OSError` or `ValueError`."""
    path = os.path.join(cache.real_path, entry.dist)
    if os.path.lexists(os.path.join(path, RECORD)):
        record = dict(read_object(os.path.join(path, RECORD)))
    elif os.path.lexists(os.path.join(path, INDEX)):
        record = dict(read_object(os.path.join(path, INDEX)))
    else:
        record = _from_name(entry.dist)
        # Not known from a name.
        del record["build_number"]
    dist_of(record)
    urls: Mapping[str, str] = read_urls(cache.real_path)
    url = record.get("url") or next((urls[part.name] for part in entry.parts if part.name in urls), None)
    if isinstance(url, str):
        record |= {"url": url, "channel": url.rsplit("/", 1)[0], "fn": url.rsplit("/", 1)[-1]}
    else:
        record.pop("channel", None)
    known: Callable[[str], bool] = {*MatchSpec.FIELD_NAMES, "build_number"}.__contains__
    return {"build_number": 0, **{key: value for key, value in record.items() if known(key) and value is not None}}
