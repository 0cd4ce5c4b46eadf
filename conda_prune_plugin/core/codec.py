"""Frozen values as JSON and back, checked against their types.

One encoder for everything that leaves the process: receipts, notes, JSON documents, and the results of a process that
works as another user. A dataclass becomes an object of its fields, an enum its value, a tuple or frozen set an array,
and bytes a string with a character for each byte. Decoding refuses data that doesn't fit the annotations of the
expected type, and creates nothing but these types: another user may have written it.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache, partial
from typing import Any, Union, get_args, get_origin, get_type_hints

#: The metadata of a dataclass field that is left out while it has its default, and may be missing.
OPTIONAL = types.MappingProxyType({"optional": True})

#: The encoding that gives each byte the character of its number.
_EACH_BYTE = "latin-1"

_SCALARS = frozenset({type(None), bool, int, float, str})


def encode(value: object) -> Any:
    """Return a value as nested JSON values, as ``json.loads(json.dumps(value, default=unfold))`` would."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, (list, tuple)):
        return list(map(encode, value))
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    return encode(unfold(value))


def unfold(value: object) -> Any:
    """Return one level of a value that JSON has no form for: the argument ``default`` of ``json.dumps``.

    Raises `TypeError` for a value that has no form here either.
    """
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        kind: Any = type(value)
        written = _written(kind)
        return {name: item for name, left_out in written if (item := getattr(value, name)) != left_out}
    if isinstance(value, bytes):
        return value.decode(_EACH_BYTE)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{value!r:.80} has no form in JSON")


@cache
def _written(kind: Any) -> tuple[tuple[str, object], ...]:
    """Return the names of a dataclass's fields, each with the value that is left out."""
    return tuple((item.name, item.default if item.metadata == OPTIONAL else MISSING) for item in fields(kind))


def decode(expected: object, data: object) -> Any:
    """Return the value of a type that was encoded to these JSON values. Raises `ValueError` for anything else.

    Types may be dataclasses, enums, tuples, mappings with string keys, optional values, bytes, the scalars, and `Any`.
    """
    try:
        return _decoder(expected)(data)
    except OverflowError as error:
        raise ValueError(f"a number is too large: {error}") from error


@cache
def _decoder(expected: Any) -> Callable[[Any], Any]:
    """Return the function that checks and converts JSON values of a type."""
    if get_origin(expected) is not None:
        return _generic_decoder(get_origin(expected), get_args(expected))
    if expected in _DECODERS:
        return _DECODERS[expected]
    if is_dataclass(expected):
        hints = get_type_hints(expected)
        decoders = {item.name: (_decoder(hints[item.name]), item.metadata == OPTIONAL) for item in fields(expected)}
        return partial(_dataclass, expected, decoders)
    return expected if issubclass(expected, Enum) else partial(_checked, expected)


def _generic_decoder(origin: Any, arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    if origin in (Union, types.UnionType):
        (only,) = (_decoder(option) for option in arguments if option is not type(None))
        return lambda data: None if data is None else only(data)
    if origin is tuple and arguments[-1] is ...:
        item = _decoder(arguments[0])
        return lambda data: tuple(map(item, _checked(list, data)))
    if origin is tuple:
        return partial(_tuple, tuple(map(_decoder, arguments)))
    value = _decoder(arguments[1])
    return lambda data: {key: value(item) for key, item in _checked(dict, data).items()}


def _dataclass(expected: Any, decoders: Mapping[str, tuple[Callable[[Any], Any], bool]], data: Any) -> Any:
    given = _checked(dict, data)
    for name, (_, optional) in decoders.items():
        if name not in given and not optional:
            raise ValueError(f"{given!r:.80} has no {name}")
    return expected(**{name: decoder(given[name]) for name, (decoder, _) in decoders.items() if name in given})


def _tuple(decoders: tuple[Callable[[Any], Any], ...], data: Any) -> tuple[Any, ...]:
    if len(_checked(list, data)) != len(decoders):
        raise _unexpected(data)
    return tuple(decoder(item) for decoder, item in zip(decoders, data))


def _float(data: Any) -> float:
    if type(data) not in (int, float) or not math.isfinite(data):
        raise _unexpected(data)
    return float(data)


def _checked(kind: type, data: Any) -> Any:
    # A bool is an int for `isinstance`.
    if type(data) is not kind:
        raise _unexpected(data)
    return data


def _unexpected(data: object) -> ValueError:
    return ValueError(f"{data!r:.80} has an unexpected form")


_DECODERS: Mapping[Any, Callable[[Any], Any]] = {
    Any: lambda data: data,
    bytes: lambda data: _checked(str, data).encode(_EACH_BYTE),
    float: _float,
}
