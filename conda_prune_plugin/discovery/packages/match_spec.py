"""Match package specifications of conda against the entries of the caches."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ... import failures
from ...core.dist_names import is_dist_name, package_name, plain_dist
from ...core.layout import INDEX, RECORD
from ...core.model import Cache, Entry, PartKind
from ..clients.conda_specs import FIELDS, PackageSpec, parse_spec
from ..system.safe_read import dist_of, read_object
from .package_identity import Names
from .package_urls import read_urls

#: The fields that the name of an entry tells; for all others its record has to be opened.
_IN_THE_NAME = frozenset({"name", "version", "build"})

#: The fields of a record that are those of the archive it was extracted from, not of another one of the package.
_OF_ONE_ARCHIVE = frozenset({"fn", "md5", "sha256"})


def matching(
    texts: Iterable[str], caches: Iterable[Cache], *, doubtful: bool, names: Names | None = None
) -> frozenset[Entry]:
    """Return the entries that match one of the specifications, or have its text as a name.

    doubtful: include those whose metadata doesn't say whether they match. names: of the entries, if environments have
    been read.

    Raises `ValueError` for an invalid specification.
    """
    names = names or Names()
    specs = {text: parse_spec(text) for text in texts}
    return frozenset(
        entry
        for cache in caches
        for entry in cache.entries
        if any(
            text.strip() in (entry.dist, *names.of(cache, entry))
            or (spec is not None and _matches(spec, cache, entry, names.of(cache, entry), doubtful))
            for text, spec in specs.items()
        )
    )


def _matches(spec: PackageSpec, cache: Cache, entry: Entry, names: Iterable[str], doubtful: bool) -> bool:
    """Return whether an entry matches by one of its names."""
    known = list(filter(is_dist_name, names))
    fitting = [dist for dist in known if spec.name is None or spec.name.lower() == package_name(dist).lower()]
    if known and not fitting:
        return False
    try:
        records = [_from_name(dist) for dist in fitting]
        if not known or spec.fields - _IN_THE_NAME:
            opened = _from_metadata(cache, entry)
            records = [{**record, **name} for record in opened for name in records] or opened
        return any(doubtful if spec.fields - record.keys() else spec.matches(record) for record in records)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        failures.note(error)
        # The metadata may be of any kind.
        return doubtful


def _from_name(dist: str) -> dict[str, Any]:
    name, version, build = dist.rsplit("-", 2)
    # In conda's specifications names are in lower case; those of files need not be.
    return {"name": name.lower(), "version": version, "build": build}


def _from_metadata(cache: Cache, entry: Entry) -> list[dict[str, Any]]:
    """Return the fields of an entry from its record and `urls.txt`, one for each url that it came from.

    Raises `OSError` or `ValueError`.
    """
    path = os.path.join(cache.real_path, entry.dist)
    if failures.lexists(os.path.join(path, RECORD)):
        record = dict(read_object(os.path.join(path, RECORD)))
    elif failures.lexists(os.path.join(path, INDEX)):
        record = dict(read_object(os.path.join(path, INDEX)))
    else:
        record = _from_name(plain_dist(entry.dist))
    dist_of(record)
    known = {key: value for key, value in record.items() if key in FIELDS and value is not None}
    recorded = known.pop("url", None)
    known.pop("channel", None)
    urls = read_urls(cache.real_path)
    archives = [part.name for part in entry.parts if part.kind is PartKind.ARCHIVE]
    found = {url: known for url in [recorded] if isinstance(url, str)}
    # The hashes of a record are those of the archive that it came from.
    other = {key: value for key, value in known.items() if not found or key not in _OF_ONE_ARCHIVE}
    for name in archives:
        if name in urls:
            found.setdefault(urls[name], other)
    located = [
        {
            # Records of old have none; a url ends with it, and the name of the file.
            "subdir": "".join(url.split("/")[-2:-1]),
            **fields,
            "url": url,
            "channel": url.rsplit("/", 1)[0],
            "fn": url.rsplit("/", 1)[-1],
        }
        for url, fields in found.items()
    ]
    return located or [known]
