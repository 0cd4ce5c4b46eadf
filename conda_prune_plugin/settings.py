"""The settings in ``.condarc`` (below ``plugins:``) and ``CONDA_PLUGINS_...``: registration and values.

conda asks for the registration at every command, and handles types, files and precedence. Its own validation of values
(``PrimitiveParameter(validation=...)``) is not used: it says ``<<merged>>`` instead of the file that an invalid value
comes from, and returns no parsed value.
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


# Made at every command of conda: what isn't used isn't generated.
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Setting(Generic[T]):
    """One setting.

    default: as in ``.condarc``. parse: converts the value that conda gives; raises `ValueError`. expected: names the
    kind of value. type: what conda takes; text also for numbers, because conda would cut 1.5 to 1 and take true for 1.
    many: the separator of items in an environment variable, for a list, which conda merges from all sources.
    """

    name: str
    description: str
    default: Any
    parse: Callable[[Any], T]
    expected: str = "a text"
    type: type | tuple[type, ...] = str
    many: str | None = None

    def value(self) -> T:
        """Return the value in effect. Raises `SettingError`."""
        from conda.common.configuration import ConfigurationError

        try:
            found = getattr(_plugins(), self.name)
        except (ConfigurationError, AttributeError, TypeError) as error:
            # conda raises an AttributeError for a list in place of a text, and the like.
            raise self._error(_wrong_value(self.name, error), f"it has to be {self.expected}") from error
        if self.many is not None and any(None in raw for _, raw in _raw_values(self.name) if isinstance(raw, list)):
            # conda turns it into the text "None".
            raise self._error(None, f"it has to be {self.expected}")
        try:
            return self.parse(found)
        except ValueError as error:
            # A parser of a list raises with the invalid item as second argument.
            raise self._error(error.args[1] if len(error.args) > 1 else found, str(error.args[0])) from error

    def _error(self, value: object, problem: str) -> SettingError:
        from .errors import SettingError

        source, path = _source(self.name, value)
        return SettingError(
            f"The setting {self.name} = {value!r} in {source} is invalid: {problem}.",
            hint=f"`conda config --describe plugins.{self.name}` explains it. Correct it there, or remove it.",
            path=path,
        )


def parse_count(text: str) -> int:
    """Return a whole number, 0 or more. Raises `ValueError` with a message for the user."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def _age(value: str | None) -> float | None:
    from .core.units import parse_age

    return None if value is None else parse_age(value)


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
    # In YAML 1.1 ``on`` and ``off`` mean ``true`` and ``false``, and some programs write .condarc that way.
    word = {"true": "on", "false": "off"}.get(value.lower(), value.lower())
    if word not in ("off", "hint", "on"):
        raise ValueError("it has to be off, hint or on")
    return word


def _size(value: str) -> int:
    from .core.units import parse_size

    return parse_size(value)


#: conda converts YAML numbers, such as ``0``, to text.
_OPTIONAL = (str, type(None))
_NUMBER = "a whole number"

KEEP = Setting(
    "prune_keep",
    "Package specifications (MatchSpec). `conda prune` never removes packages that match one of them.",
    (),
    _specs,
    "a list of texts",
    # As in conda's own pinned_packages: a comma is part of a specification.
    many="&",
)
OLDER_THAN = Setting(
    "prune_older_than",
    "`conda prune` removes only packages unused for at least this long (12h, 30d, 8w, 6mo; 0 for any time).",
    None,
    _age,
    type=_OPTIONAL,
)
KEEP_REVISIONS = Setting(
    "prune_keep_revisions",
    "`conda prune` keeps packages of this many earlier revisions of each environment, for `conda install --revision`.",
    "0",
    parse_count,
    _NUMBER,
)
KEEP_NEWEST = Setting(
    "prune_keep_newest",
    "`conda prune` keeps this many of the newest versions of each package.",
    "0",
    parse_count,
    _NUMBER,
)
BACKUP = Setting(
    "prune_backup",
    "`conda prune` moves packages to a backup instead of deleting them.",
    False,
    bool,
    "true or false",
    bool,
)
PURGE_AFTER = Setting(
    "prune_purge_after",
    "`conda prune` deletes backups older than this (30d, 8w, 6mo). Unset: never.",
    None,
    _age,
    type=_OPTIONAL,
)
ROOTS = Setting(
    "prune_roots",
    "Absolute paths of more environments whose packages `conda prune` keeps.",
    (),
    _paths,
    "a list of texts",
    # As in conda's own envs_dirs.
    many=os.pathsep,
)
AUTO = Setting(
    "prune_auto",
    "Action after install, update, remove and env remove, at most once a day, if more than prune_auto_threshold "
    "can be freed: nothing (off), print a line (hint), or prune with a backup (on).",
    "off",
    _auto,
)
AUTO_THRESHOLD = Setting(
    "prune_auto_threshold",
    "prune_auto does nothing unless more than this can be freed (500MB, 2.5GiB).",
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
    """Check all settings, also those not used now. Raises `SettingError` for the first invalid one."""
    for setting in SETTINGS:
        setting.value()


def register() -> Iterator[CondaSetting]:
    """Yield all settings for conda."""
    from conda.common.configuration import PrimitiveParameter, SequenceParameter
    from conda.plugins.types import CondaSetting

    for setting in SETTINGS:
        if setting.many is not None:
            element = PrimitiveParameter("", element_type=str)
            parameter = SequenceParameter(element, default=setting.default, string_delimiter=setting.many)
        else:
            parameter = PrimitiveParameter(setting.default, element_type=setting.type)
        yield CondaSetting(name=setting.name, description=setting.description, parameter=parameter)


def _wrong_value(name: str, error: Any) -> object:
    """Return the invalid value of a conda error, the first one of several errors."""
    first = error.errors[0] if getattr(error, "errors", None) else error
    if hasattr(first, "parameter_value"):
        return first.parameter_value
    return next((raw for _, raw in _raw_values(name)), None)


def _plugins() -> Any:
    """Return conda's object with the values of all plugins' settings."""
    from conda.base.context import context

    if not hasattr(type(context.plugins), KEEP.name):
        # After a second command in one process conda 24.7.1 has forgotten the settings, but not this object.
        context.__dict__.pop("plugins", None)
    return context.plugins


def _source(name: str, value: object) -> tuple[str, str | None]:
    """Return the source of a value in words, and its path if it is a file."""
    for source, raw in _raw_values(name):
        items = (raw, *raw) if isinstance(raw, (list, tuple)) else (raw,)
        # An environment variable is a list only after splitting.
        if str(value) in map(str, items) or (source == "envvars" and str(value) in str(raw)):
            if source == "envvars":
                return f"the environment variable CONDA_PLUGINS_{name.upper()}", None
            return source, source
    return "conda's configuration", None


def _raw_values(name: str) -> Iterator[tuple[str, Any]]:
    """Yield source and raw value of a setting, the one in effect first."""
    for source, parameters in reversed(list(_plugins().raw_data.items())):
        if name in parameters:
            yield str(source), _plain(parameters[name])


def _plain(parameter: Any) -> Any:
    """Return the value without the objects in which conda keeps comments and positions."""
    raw = getattr(parameter, "_raw_value", parameter)
    return [_plain(item) for item in raw] if isinstance(raw, (list, tuple)) else raw
