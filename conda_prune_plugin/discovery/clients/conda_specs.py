"""conda's package specifications and versions: `MatchSpec` and `VersionOrder`, with errors for users.

conda's parser and its comparison end on some nonsense with whatever their steps raise; here that is a `ValueError`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from conda.exceptions import CondaError
from conda.models.match_spec import MatchSpec
from conda.models.records import PackageRecord
from conda.models.version import VersionOrder

from .conda_context import environment_specifiers

#: The fields of a record that a specification can ask for.
FIELDS = frozenset(MatchSpec.FIELD_NAMES)

#: The longest specification that is parsed, in characters: conda's parser takes time by the square of the length.
_LONGEST_SPEC = 1_000

#: The name of an entry whose version has an epoch.
_ENTRY = re.compile(r"[\w.-]+-\d+![\w.+!]+-[\w.+]+", re.ASCII)


class PackageSpec:
    """A package specification.

    name: the only name that it matches, None if it may match several. fields: what of a record it asks for.
    """

    def __init__(self, text: str) -> None:
        """Parse a text. Raises `ValueError`, with a text meant for the user."""
        # conda takes an empty text for a specification that everything matches.
        if not text.strip():
            raise ValueError("an empty text is no package specification")
        if len(text) > _LONGEST_SPEC:
            raise ValueError(f"{text[:40]!r}... has {len(text):,} characters: too long for a package specification")
        try:
            self._spec = MatchSpec(text)
        except (CondaError, ValueError, AssertionError, AttributeError, KeyError, TypeError, re.error) as error:
            raise ValueError(
                f"{text!r} is not a package specification such as numpy, 'numpy>=1.26' or 'nump*'"
            ) from error
        self.name: str | None = self._spec.get_exact_value("name")
        self.fields = frozenset(field for field in FIELDS if self._spec.get_raw_value(field) is not None)

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Return whether a record is what is asked for.

        Raises `ValueError`, `TypeError` or `AttributeError` for a record that conda can't make sense of.
        """
        try:
            # What is not asked for has to be there all the same.
            return bool(self._spec.match(PackageRecord(**{"build_number": 0, **record})))
        except CondaError as error:
            raise ValueError(f"conda can't make sense of the record: {error}") from error


def parse_spec(text: str) -> PackageSpec | None:
    """Return the specification that a text is; None for the name of an entry that conda takes for none.

    conda's parser does not know the epoch of a version such as ``x264-1!164.3095-h1_2``. Raises `ValueError`.
    """
    try:
        return PackageSpec(text)
    except ValueError:
        if _ENTRY.fullmatch(text.strip()):
            return None
        raise


def require_specs(texts: Iterable[str]) -> None:
    """Raise `ValueError`, with the text as second argument, for a text that nothing can match."""
    for text in texts:
        try:
            parse_spec(text)
        except ValueError as error:
            raise ValueError(str(error), text) from error


def entry_matcher(text: str) -> Callable[[str, Mapping[str, Any]], bool]:
    """Return whether a dist, or else its record, is what a text asks for. Raises `ValueError`."""
    spec = parse_spec(text)

    def matches(dist: str, record: Mapping[str, Any]) -> bool:
        try:
            return text.strip() == dist or (spec is not None and spec.matches(record))
        except ValueError:
            return False  # A version that is none for conda.

    return matches


def version_key(version: str) -> VersionOrder | None:
    """Return what sorts a version as conda does, None for what is none."""
    try:
        return VersionOrder(version)
    except (CondaError, ValueError):
        return None


def requested_packages(path: str) -> tuple[str, ...]:
    """Return the specifications in an environment's file that a plugin of conda reads; none if no plugin does.

    Only plugins that know the name of the file are asked: by its content, conda takes any text for requirements. Those
    for lockfiles are not asked: they download packages. Raises `ValueError`, with a text meant for the user.
    """
    for name, make_reader in environment_specifiers(os.path.basename(path)):
        try:
            reader = make_reader(path)
            if not reader.can_handle():
                continue
        except Exception:  # noqa: BLE001, S112  # A plugin says so by any error.
            continue
        try:
            environments = [reader.env_for(platform) for platform in reader.available_platforms]
        except Exception as error:
            raise ValueError(f"conda's plugin {name} can't read it: {error}") from error
        found = dict.fromkeys(str(spec) for environment in environments for spec in environment.requested_packages)
        for record in (record for environment in environments for record in environment.explicit_packages):
            found[f"{record.name}={record.version}={record.build}"] = None
        return tuple(found)
    return ()
