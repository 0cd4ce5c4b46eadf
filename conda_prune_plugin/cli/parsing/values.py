"""Parse the values of single options; an error names the option."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TypeVar

from ... import settings
from ...core.units import parse_age
from ...discovery.clients import conda_specs
from ...errors import UsageError
from ...execution.locks.run_lock import DEFAULT_PATIENCE

T = TypeVar("T")

HINT = "`conda prune --help-all` explains the options."


def parsed(pair: tuple[str, str] | None, parse: Callable[[str], T], default: T) -> T:
    """Return the parsed value of an option kept by `shared_options.Value`, or the default without the option.

    Raises `UsageError`, naming the option.
    """
    if pair is None:
        return default
    option, text = pair
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}.", hint=HINT) from error


def parse_timeout(text: str) -> float:
    """Return the seconds in ``90``, ``90s`` or ``5m``. Raises `ValueError`."""
    text = text.strip()
    return float(text) if text.isascii() and text.isdecimal() else parse_age(text)


def parse_count(text: str) -> int:
    """Return a whole number, 0 or more. Raises `ValueError` with a message for the user."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a whole number; write for instance 0, 1 or 2")
    return int(text)


def value_of(
    pair: tuple[str, str] | None, parse: Callable[[str], T], setting: settings.Setting[T], instead: T | None = None
) -> T:
    """Return the value of the option, of the preset (`instead`), or of the setting, in this order.

    Raises `UsageError` or `SettingError`.
    """
    if pair is not None:
        default: T = setting.default
        return parsed(pair, parse, default)
    return setting.value() if instead is None else instead


def specs_of(option: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Return the texts if all are package specifications. Raises `UsageError`, naming the option."""
    try:
        conda_specs.require_specs(texts)
    except ValueError as error:
        raise UsageError(f"{option}: {error.args[0]}.", hint=HINT) from error
    return tuple(texts)


def spec_of(text: str) -> str:
    """Return the text if it is a package specification. Raises `ValueError`."""
    conda_specs.entry_matcher(text)
    return text


def lock_timeout_of(arguments: argparse.Namespace) -> float:
    """Return how many seconds to wait for a lock. Raises `UsageError`."""
    return parsed(arguments.lock_timeout, parse_timeout, DEFAULT_PATIENCE)
