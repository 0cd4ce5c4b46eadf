"""The settings in ``.condarc`` (below ``plugins:``) and ``CONDA_PLUGINS_...``: registration and values.

conda asks for the registration at every command, and knows types, files and precedence. It does not know which file a
wrong value comes from (it says ``<<merged>>``), so that is looked up here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from conda.plugins.types import CondaSetting

    from .errors import SettingError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One setting: what `parse` makes of the value that conda gives.

    many: a list, which conda merges out of all places; in an environment variable its items are separated by that.
    """

    name: str
    description: str
    types: type | tuple[type, ...]
    default: Any
    parse: Callable[[Any], T]
    many: str | None = None

    def value(self) -> T:
        """Return what is in effect without options. Raises `SettingError`."""
        from conda.common.configuration import ConfigurationError

        try:
            found = getattr(_plugins(), self.name)
        except (ConfigurationError, AttributeError, TypeError) as error:
            # Of a list where there should be a number, and the like, conda makes an AttributeError.
            raise self._error(_wrong_value(self.name, error), f"it has to be {self._expected()}") from error
        if self.types is int and (raw := _raw(self.name)) is not None and str(raw).strip() != str(found):
            # conda cuts 1.5 to 1 and takes true for 1.
            raise self._error(raw, f"it has to be {self._expected()}")
        if self.many is not None and any(None in raw for _, raw in _raw_values(self.name) if isinstance(raw, list)):
            # conda makes the text "None" of it.
            raise self._error(None, f"it has to be {self._expected()}")
        try:
            return self.parse(found)
        except ValueError as error:
            # A parser of a list raises with the item that is wrong as second argument.
            raise self._error(error.args[1] if len(error.args) > 1 else found, str(error.args[0])) from error

    def _expected(self) -> str:
        if self.many is not None:
            return "a list of texts"
        if self.types is bool:
            return "true or false"
        return "a whole number" if self.types is int else "a text"

    def _error(self, value: object, problem: str) -> SettingError:
        from .errors import SettingError

        source, path = _source(self.name, value)
        return SettingError(
            f"The setting {self.name} = {value!r} in {source} is wrong: {problem}.",
            hint=f"`conda config --describe plugins.{self.name}` explains it; correct it there, or take it out.",
            path=path,
        )


def _age(value: str | None) -> float | None:
    from .core.units import parse_age

    return None if value is None else parse_age(value)


def _count(value: int) -> int:
    if value < 0:
        raise ValueError("it is below zero")
    return int(value)


def _specs(values: Iterable[str]) -> tuple[str, ...]:
    from .discovery.clients.conda_specs import require_specs

    values = tuple(values)
    require_specs(values)
    return values


def _paths(values: Iterable[str]) -> tuple[str, ...]:
    for value in values:
        if not os.path.isabs(os.path.expanduser(os.path.expandvars(value))):
            raise ValueError("it is not an absolute path", value)
    return tuple(os.path.expanduser(os.path.expandvars(value)) for value in values)


def _auto(value: str) -> str:
    # For YAML 1.1 ``on`` and ``off`` are other words for ``true`` and ``false``, and some that write .condarc think so.
    word = {"true": "on", "false": "off"}.get(value.lower(), value.lower())
    if word not in ("off", "hint", "on"):
        raise ValueError("it has to be off, hint or on")
    return word


def _size(value: str) -> int:
    from .core.units import parse_size

    return parse_size(value)


#: conda makes a text of what YAML takes for a number, such as ``0``.
_AGE_TYPES = (str, type(None))

KEEP = Setting(
    "prune_keep",
    "Package specifications (MatchSpec). Packages in the caches that match one are never removed by `conda prune`.",
    str,
    (),
    _specs,
    # As in conda's own pinned_packages: a comma is part of a specification.
    many="&",
)
OLDER_THAN = Setting(
    "prune_older_than",
    "`conda prune` removes only what was last used at least this long ago (12h, 30d, 8w, 6mo; 0 for any time).",
    _AGE_TYPES,
    None,
    _age,
)
KEEP_REVISIONS = Setting(
    "prune_keep_revisions",
    "`conda prune` keeps what the given number of revisions before the present one held in each environment, for "
    "`conda install --revision`.",
    int,
    0,
    _count,
)
KEEP_NEWEST = Setting(
    "prune_keep_newest",
    "`conda prune` keeps this many of the newest versions of each package name.",
    int,
    0,
    _count,
)
BACKUP = Setting(
    "prune_backup",
    "Whether `conda prune` moves packages aside, so that they can be restored, instead of deleting them.",
    bool,
    False,
    bool,
)
PURGE_AFTER = Setting(
    "prune_purge_after",
    "Backups of `conda prune` that are older than this (30d, 8w, 6mo) are deleted by its next run; unset: never.",
    _AGE_TYPES,
    None,
    _age,
)
ROOTS = Setting(
    "prune_roots",
    "Absolute paths of environments whose packages `conda prune` keeps, in addition to those that conda knows.",
    str,
    (),
    _paths,
    # As in conda's own envs_dirs.
    many=os.pathsep,
)
AUTO = Setting(
    "prune_auto",
    "What happens after install, update, remove and env remove, at most once a day, if more than prune_auto_threshold "
    "could be reclaimed: nothing (off), a line that says so (hint), or a prune that moves packages aside, so that they "
    "can be restored (on).",
    str,
    "off",
    _auto,
)
AUTO_THRESHOLD = Setting(
    "prune_auto_threshold",
    "How much has to be reclaimable (500MB, 2.5GiB) before prune_auto does anything.",
    str,
    "1GB",
    _size,
)

SETTINGS: tuple[Setting[Any], ...] = (
    KEEP,
    OLDER_THAN,
    KEEP_REVISIONS,
    KEEP_NEWEST,
    BACKUP,
    PURGE_AFTER,
    ROOTS,
    AUTO,
    AUTO_THRESHOLD,
)


def require_all() -> None:
    """Check all settings, also those that count only later or elsewhere. Raises `SettingError` for the first wrong."""
    for setting in SETTINGS:
        setting.value()


def register() -> Iterator[CondaSetting]:
    """Give conda all settings."""
    from conda.common.configuration import PrimitiveParameter, SequenceParameter
    from conda.plugins.types import CondaSetting

    for setting in SETTINGS:
        if setting.many is not None:
            element = PrimitiveParameter("", element_type=str)
            parameter = SequenceParameter(element, default=setting.default, string_delimiter=setting.many)
        else:
            parameter = PrimitiveParameter(setting.default, element_type=setting.types)
        yield CondaSetting(name=setting.name, description=setting.description, parameter=parameter)


def _wrong_value(name: str, error: Any) -> object:
    """Return the value that one of conda's errors is about; of several errors, the first's."""
    first = error.errors[0] if getattr(error, "errors", None) else error
    return first.parameter_value if hasattr(first, "parameter_value") else _raw(name)


def _plugins() -> Any:
    """Return conda's object with the values of all plugins' settings."""
    from conda.base.context import context

    if not hasattr(type(context.plugins), KEEP.name):
        # After a second command in one process conda 24.7.1 has forgotten the settings, but not this object.
        context.__dict__.pop("plugins", None)
    return context.plugins


def _source(name: str, value: object) -> tuple[str, str | None]:
    """Return in words where a value was set, and the path of the file if it was one."""
    for source, raw in _raw_values(name):
        items = (raw, *raw) if isinstance(raw, (list, tuple)) else (raw,)
        # What an environment variable says is a list only after it was split.
        if str(value) in map(str, items) or (source == "envvars" and str(value) in str(raw)):
            if source == "envvars":
                return f"the environment variable CONDA_PLUGINS_{name.upper()}", None
            return source, source
    return "conda's configuration", None


def _raw(name: str) -> object:
    """Return the value of a setting as it was written where it is in effect, None where it is set nowhere."""
    return next((raw for _, raw in _raw_values(name)), None)


def _raw_values(name: str) -> Iterator[tuple[str, Any]]:
    """Give source and value, as written there, of each place that sets a setting; the one that wins comes first."""
    for source, parameters in reversed(list(_plugins().raw_data.items())):
        if name in parameters:
            yield str(source), _plain(parameters[name])


def _plain(parameter: Any) -> Any:
    """Return what conda has wrapped, item by item, to remember comments and places."""
    raw = getattr(parameter, "_raw_value", parameter)
    return [_plain(item) for item in raw] if isinstance(raw, (list, tuple)) else raw
