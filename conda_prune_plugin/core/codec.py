"""Frozen values as JSON values and back, checked against their types.

For values that come from a process that is not trusted: what does not fit the annotations of the expected type is
refused, and nothing but the expected types is ever made. Supported are frozen dataclasses, enums, tuples, mappings with
string keys, optional values, and the values of JSON itself.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints


def encode(value: object) -> Any:
    """Return a value as JSON values: dataclasses become lists of their fields, enums their values."""
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [encode(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, bytes):
        return "".join(map(chr, value))
    if isinstance(value, tuple):
        return list(map(encode, value))
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    return value


def decode(expected: object, data: object) -> Any:
    """Return the value of a type that `encode` has turned into JSON values. Raises `ValueError` for anything else."""
    return _decode(expected, data)


def _decode(expected: Any, data: Any) -> Any:
    if get_origin(expected) is not None:
        return _decode_generic(get_origin(expected), get_args(expected), data)
    if expected is Any:
        return data
    if issubclass(expected, Enum):
        return expected(data)
    if dataclasses.is_dataclass(expected):
        return _decode_fields(expected, data)
    if expected is bytes:
        _require(isinstance(data, str), data)
        return bytes(map(ord, data))
    _require(type(data) is expected or (expected is float and type(data) is int), data)
    return float(data) if expected is float else data


def _decode_generic(origin: Any, arguments: tuple[Any, ...], data: Any) -> Any:
    if origin in (Union, types.UnionType):
        return _decode_union(arguments, data)
    if origin is tuple:
        return _decode_tuple(arguments, data)
    _require(isinstance(data, dict), data)
    return {key: _decode(arguments[1], item) for key, item in data.items()}


def _decode_union(options: tuple[Any, ...], data: Any) -> Any:
    if data is None and type(None) in options:
        return None
    (only,) = (option for option in options if option is not type(None))
    return _decode(only, data)


def _decode_tuple(arguments: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    _require(isinstance(data, list), data)
    if len(arguments) == 2 and arguments[1] is ...:
        return tuple(_decode(arguments[0], item) for item in data)
    _require(len(data) == len(arguments), data)
    return tuple(map(_decode, arguments, data))


def _decode_fields(expected: Any, data: Any) -> Any:
    hints = _hints(expected)
    fields = dataclasses.fields(expected)
    _require(isinstance(data, list) and len(data) == len(fields), data)
    return expected(*(_decode(hints[field.name], item) for field, item in zip(fields, data)))


@functools.cache
def _hints(expected: type) -> Mapping[str, Any]:
    return get_type_hints(expected)


def _require(fits: bool, data: object) -> None:
    if not fits:
        raise ValueError(f"{data!r:.80} is not what was expected")
