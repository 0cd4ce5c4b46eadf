"""The kinds of values on the command line, and how each is parsed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...core.units import parse_age, parse_limit, parse_size
from ...discovery.clients.conda_specs import require_specs
from ...settings import parse_count


def _timeout(text: str) -> float:
    """Return the seconds in ``90``, ``90s`` or ``5m``. Raises `ValueError`."""
    text = text.strip()
    return float(text) if text.isascii() and text.isdecimal() else parse_age(text)


def _spec(text: str) -> str:
    try:
        require_specs([text])
    except ValueError as error:
        raise ValueError(error.args[0]) from error
    return text


def _directory(text: str) -> str:
    if not text:
        raise ValueError("a directory name is required")
    return text


def _file(text: str) -> str:
    if not text:
        raise ValueError("a file name is required")
    return text


#: By metavar, what parses a text. Raises `ValueError` with a message for the user.
KINDS: dict[str, Callable[[str], Any]] = {
    "AGE": parse_age,
    "SIZE": parse_size,
    "LIMIT": parse_limit,
    "N": parse_count,
    "TIME": _timeout,
    "SPEC": _spec,
    "DIR": _directory,
    "PREFIX": _directory,
    "FILE": _file,
    "NAME": str,
    "RUN": str,
    "COMMAND": str,
}
