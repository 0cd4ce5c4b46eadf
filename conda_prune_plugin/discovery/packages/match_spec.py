"""Match package specifications of conda against the entries of the caches."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from conda.exceptions import CondaError
from conda.models.match_spec import MatchSpec
from conda.models.records import PackageRecord
from conda.models.version import VersionOrder

from ... import failures
from ...core.dist_names import is_dist_name, package_name, plain_dist
from ...core.layout import INDEX, RECORD
from ...core.model import Cache, Entry, PartKind
from ..system.safe_read import dist_of, read_object
from .package_identity import Names
from .package_urls import read_urls

#: What the name of an entry says by itself; for all else its record has to be opened.
_IN_THE_NAME = frozenset({"name", "version", "build"})


#: The longest specification that is parsed, in characters: conda's parser takes time by the square of the length.
_LONGEST_SPEC = 1_000

#: The name of an entry whose version has an epoch.
_ENTRY = re.compile(r"[\w.-]+-\d+![\w.+!]+-[\w.+]+", re.ASCII)

#: What a record says of the archive that was extracted, and not of another one of the same package.
_OF_ONE_ARCHIVE = frozenset({"fn", "md5", "sha256"})


def parse_spec(text: str) -> MatchSpec:
    """Return conda's `MatchSpec` of a text. Raises `ValueError`, with a text meant for the user."""
    # conda takes an empty text for a specification that everything matches.
    if not text.strip():
        raise ValueError("an empty text is no package specification")
    if len(text) > _LONGEST_SPEC:
        raise ValueError(f"{text[:40]!r}... has {len(text):,} characters: too long for a package specification")
    try:
        return MatchSpec(text)
    except (CondaError, ValueError, AssertionError, AttributeError, KeyError, TypeError, re.error) as error:
        # conda's parser ends on some nonsense with whatever its steps raise.
        raise ValueError(f"{text!r} is not a package specification such as numpy, 'numpy>=1.26' or 'nump*'") from error


def require_specs(texts: Iterable[str]) -> None:
    """Raise `ValueError`, with the text as second argument, for a text that nothing can match."""
    for text in texts:
        try:
            _specification(text)
        except ValueError as error:
            raise ValueError(str(error), text) from error


def _specification(text: str) -> MatchSpec | None:
    """Return the specification that a text is; None for the name of an entry that conda takes for none.

    conda's parser does not know the epoch of a version such as ``x264-1!164.3095-h1_2``. Raises `ValueError`.
    """
    try:
        return parse_spec(text)
    except ValueError:
        if _ENTRY.fullmatch(text.strip()):
            return None
        raise


def entry_matcher(text: str) -> Callable[[str, Mapping[str, Any]], bool]:
    """Return whether a dist, or else its record, is what a text asks for. Raises `ValueError`."""
    spec = _specification(text)

    def matches(dist: str, record: Mapping[str, Any]) -> bool:
        try:
            return text.strip() == dist or (spec is not None and bool(spec.match(record)))
        except CondaError:
            return False  # A version that is none for conda.

    return matches


def version_key(version: str) -> VersionOrder | None:
    """Return what sorts a version as conda does, None for what is none."""
    try:
        return VersionOrder(version)
    except (CondaError, ValueError):
        return None


def matching(
    texts: Iterable[str], caches: Iterable[Cache], *, doubtful: bool, names: Names | None = None
) -> frozenset[Entry]:
    """Return the entries that match one of the specifications, or bear its very name.

    doubtful: whether those are among them of which it can't be said, because what they have to match is not known.
    names: by which entries are known, where environments have been read.

    Raises `ValueError` for what is no specification.
    """
    names = names or Names()
    specs = {text: _specification(text) for text in texts}
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


def _matches(spec: MatchSpec, cache: Cache, entry: Entry, names: Iterable[str], doubtful: bool) -> bool:
    """Return whether an entry matches by one of its names."""
    known = list(filter(is_dist_name, names))
    wanted = spec.get_exact_value("name")
    fitting = [dist for dist in known if wanted is None or wanted.lower() == package_name(dist).lower()]
    if known and not fitting:
        return False
    needed = {field for field in MatchSpec.FIELD_NAMES if spec.get_raw_value(field) is not None}
    try:
        records = [_from_name(dist) for dist in fitting]
        if not known or needed - _IN_THE_NAME:
            opened = _from_metadata(cache, entry)
            records = [{**record, **name} for record in opened for name in records] or opened
        return any(_fits(spec, needed, record, doubtful) for record in records)
    except (CondaError, OSError, ValueError, TypeError, AttributeError) as error:
        failures.note(error)
        # Metadata of any kind may be in there.
        return doubtful


def _fits(spec: MatchSpec, needed: set[str], record: Mapping[str, Any], doubtful: bool) -> bool:
    if needed - record.keys():
        return doubtful
    # What is not asked for has to be there all the same.
    return bool(spec.match(PackageRecord(**{"build_number": 0, **record})))


def _from_name(dist: str) -> dict[str, Any]:
    name, version, build = dist.rsplit("-", 2)
    # In conda's specifications names are in lower case; those of files need not be.
    return {"name": name.lower(), "version": version, "build": build}


def _from_metadata(cache: Cache, entry: Entry) -> list[dict[str, Any]]:
    """Return what the record, or `urls.txt`, says of an entry: for each of its archives, with what is known of that.

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
    known = {key: value for key, value in record.items() if key in MatchSpec.FIELD_NAMES and value is not None}
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
