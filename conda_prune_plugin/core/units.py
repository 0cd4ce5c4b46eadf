"""Bytes, inodes and ages: how they add up, are parsed and are shown."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .model import Word

_DAY = 86_400.0
_YEAR = 365.2425 * _DAY

#: Seconds and the names of each unit, the short ones first; the last two are for output.
_AGE_NAMES = (
    (1.0, "s sec secs second seconds"),
    (60.0, "m min mins minute minutes"),
    (3_600.0, "h hr hrs hour hours"),
    (_DAY, "d day days"),
    (7 * _DAY, "w wk wks week weeks"),
    # A month is the Gregorian average, so that 12mo is a year.
    (_YEAR / 12, "mo mos month months"),
    (_YEAR, "y yr yrs year years"),
)
_AGE_UNITS = {name: seconds for seconds, names in _AGE_NAMES for name in names.split()}

#: Bytes of each unit. A letter alone is binary, as in coreutils: K is KiB.
_SIZE_UNITS = {"B": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("KMGT", start=1)
    for suffix, base in (("", 1024), ("B", 1000), ("iB", 1024))
}
_SIZE_NAMES = {unit.lower(): unit for unit in _SIZE_UNITS}

#: The units of a number of inodes, which quotas call files.
_INODE_UNITS = frozenset({"file", "files", "inode", "inodes"})

_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-z]*)", re.ASCII)


class Unit(Word):
    """What a limit counts. A quota of files counts inodes: files, directories and symbolic links."""

    BYTES = "bytes"
    INODES = "inodes"


@dataclass(frozen=True, slots=True)
class Space:
    """Allocated bytes, and the number of inodes."""

    bytes: int = 0
    inodes: int = 0

    def __add__(self, other: Space) -> Space:
        return Space(self.bytes + other.bytes, self.inodes + other.inodes)

    def __sub__(self, other: Space) -> Space:
        return Space(self.bytes - other.bytes, self.inodes - other.inodes)

    def of(self, unit: Unit) -> int:
        """Return how much it is of one unit."""
        return self.bytes if unit is Unit.BYTES else self.inodes


#: The start of a sum.
NO_SPACE = Space()


def parse_age(text: str) -> float:
    """Return the seconds that an AGE such as ``12h``, ``30 days``, ``8w``, ``6 months`` or ``0`` means.

    Raises `ValueError`, with a text meant for the user, on anything else.
    """
    match = _QUANTITY.fullmatch(text.strip().lower())
    if match and text.strip().endswith("M"):
        # Date formats write months like this, and minutes would remove far more.
        raise ValueError(f"{text!r} can mean minutes or months; write {match['number']}min or {match['number']}mo")
    if match and match["unit"] in _AGE_UNITS:
        return float(match["number"]) * _AGE_UNITS[match["unit"]]
    if match and not match["unit"] and not float(match["number"]):
        return 0.0
    if match and not match["unit"]:
        raise ValueError(
            f"{match['number']} has no unit; use {match['number']}m, {match['number']}h or {match['number']}d"
        )
    raise ValueError(f"{text!r} is not an age; write for instance 10m, 12h, 30d, 8w, 6mo, '2 weeks', or 0")


def age_as_typed(text: str) -> str:
    """Return an AGE in words, in the unit in which it was typed: ``30 days`` for ``30d``. Raises `ValueError`."""
    seconds, unit = parse_age(text), re.sub("[^a-z]", "", text.lower()) or "d"
    length, names = next((length, names.split()) for length, names in _AGE_NAMES if unit in names.split())
    number = seconds / length
    return f"{number:g} {names[-2 if number == 1 else -1]}"


def parse_size(text: str) -> int:
    """Return the bytes that a SIZE such as ``500MB`` (decimal), ``2.5GiB`` or ``5G`` (binary), ``1B`` or ``0`` means.

    Raises `ValueError`, with a text meant for the user, on anything else.
    """
    # Its import takes long, and few commands need it.
    from decimal import Decimal

    number, unit = _size_as_typed(text)
    return int(Decimal(number) * _SIZE_UNITS[unit])


def parse_limit(text: str) -> tuple[int, Unit]:
    """Return the amount and the unit of a LIMIT: a SIZE, or a number of inodes such as ``20000files``.

    Raises `ValueError`, with a text meant for the user, on anything else.
    """
    match = _QUANTITY.fullmatch(text.strip().lower())
    if match and match["unit"] in _INODE_UNITS and match["number"].isdecimal():
        return int(match["number"]), Unit.INODES
    if match and not match["unit"] and float(match["number"]):
        raise ValueError(f"{match['number']} has no unit; use {match['number']}MB or {match['number']}files")
    if not match or match["unit"] not in (*_SIZE_NAMES, ""):
        raise ValueError(f"{text!r} is not a limit; write for instance 500MB, 2.5GiB, 20000files, or 0")
    return parse_size(text), Unit.BYTES


def size_as_typed(text: str) -> str:
    """Return a SIZE in the unit in which it was typed: ``5 GB`` for ``5gb``. Raises `ValueError` like `parse_size`."""
    return " ".join(_size_as_typed(text))


def _size_as_typed(text: str) -> tuple[str, str]:
    match = _QUANTITY.fullmatch(text.strip().lower())
    if match and match["unit"] in _SIZE_NAMES:
        return match["number"], _SIZE_NAMES[match["unit"]]
    if match and not match["unit"] and not float(match["number"]):
        return "0", "B"
    if match and not match["unit"]:
        raise ValueError(f"{match['number']} has no unit; use {match['number']}MB or {match['number']}GB")
    raise ValueError(f"{text!r} is not a size; write for instance 500MB, 2.5GiB, 5G, 1B, or 0")


def exact_size(size: int) -> str:
    """Return bytes as they were probably typed, in the largest unit that takes one decimal: ``5 GB``, ``2.5 GiB``."""
    for power, letter in reversed(tuple(enumerate("KMGT", start=1))):
        for unit, suffix in ((1000**power, "B"), (1024**power, "iB")):
            if size >= unit and size * 10 % unit == 0:
                return f"{size / unit:,.1f}".removesuffix(".0") + f" {letter}{suffix}"
    return format_size(size)


def format_size(size: int, *, decimal: bool = False) -> str:
    """Return bytes in binary units, or decimal ones, at most five digits wide: ``0 B``, ``22.0 KiB``, ``1.4 GB``."""
    value, (base, suffix) = float(size), (1000, "B") if decimal else (1024, "iB")
    for letter in ("", "K", "M", "G"):
        # 1023.95 would print as 1024.0 of the smaller unit.
        if abs(value) < base - 0.05:
            return f"{value:.1f} {letter}{suffix}" if letter else f"{size} B"
        value /= base
    return f"{value:.1f} T{suffix}"


def format_amount(amount: int, unit: Unit) -> str:
    """Return so much of a unit: ``22.0 KiB``, ``1,204 inodes``."""
    return format_size(amount) if unit is Unit.BYTES else plural(amount, "inode")


def format_space(space: Space, *, inodes: bool) -> str:
    """Return the bytes of a space, and its inodes if these are wanted: ``22.0 KiB and 1,204 inodes``."""
    shown = (format_amount(space.of(unit), unit) for unit in Unit if inodes or unit is Unit.BYTES)
    return " and ".join(shown)


def format_age(seconds: float) -> str:
    """Return an age in words, in the largest unit that is at least one: ``3 weeks``, ``1 hour``, ``< 1 minute``.

    A time in the future, by a wrong clock, is ``< 1 minute`` too.
    """
    for length, names in reversed(_AGE_NAMES[1:]):
        if (count := int(seconds / length)) >= 1:
            return plural(count, *names.split()[-2:])
    return "< 1 minute"


def plural(count: int, word: str, words: str | None = None) -> str:
    """Return ``1 entry`` or ``3 entries``: a count and its noun."""
    return f"{count:,} {word if count == 1 else words or word + 's'}"
