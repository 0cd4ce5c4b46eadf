"""The errors of `conda prune`: a message that names the thing, and a hint on what to do."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from conda import CondaError as CondaError  # noqa: PLC0414  # All other modules import it from here.

#: The exit code after Ctrl-C, as in shells: 128 and the number of SIGINT.
INTERRUPTED = 130


def exit_code(*, failed: bool, interrupted: bool) -> int:
    """Return the exit code of a command that has reported what it did."""
    return INTERRUPTED if interrupted else int(failed)


class PruneError(CondaError):
    """A refusal or a failure. Whatever raises it has changed nothing.

    Attributes `hint` and `path` are part of the JSON form, with the fields that every document has.
    """

    return_code = 1

    def __init__(self, message: str, *, hint: str, path: str | None = None) -> None:
        super().__init__(message)
        self.schema = 1
        self.success = False
        self.warnings: list[dict[str, str]] = []
        self.hint = hint
        self.path = path

    def __str__(self) -> str:
        # conda's own __str__ formats the message with %, which a path with a percent sign breaks.
        return f"{self.message}\n{self.hint}"

    def dump_map(self) -> dict[str, Any]:
        """Return conda's JSON form of an error, with the hint in a field of its own."""
        return {**super().dump_map(), "message": self.message, "error": f"{type(self).__name__}: {self.message}"}


class UsageError(PruneError):
    """The command line or the options make no sense."""

    return_code = 2


class SettingError(UsageError):
    """A setting in ``.condarc`` or in the environment has an invalid value."""


class NoSuchDirectoryError(PruneError):
    """A named directory does not exist or can't be read."""


class NoSuchEnvironmentError(PruneError):
    """No known environment has the given name or prefix."""


class ProtectedEnvironmentError(PruneError):
    """An environment that was named for removal is in use, referred to, or must stay."""


class ReportError(PruneError):
    """The report can't be written."""


class NotACacheError(PruneError):
    """A directory named as a package cache is something else."""


class LockfileError(PruneError):
    """A lockfile can't be read or understood, so the packages that it lists are unknown."""


class NoSuchPackageError(PruneError):
    """No package in the caches matches."""


class ConfirmationError(PruneError):
    """A question can't be asked."""


class UnreadableEnvironmentError(PruneError):
    """An environment, or a place where some may be, can't be read, so the packages in use are unknown."""


class LockTimeoutError(PruneError):
    """Another run holds the lock of a cache."""


class InterruptedByUserError(PruneError):
    """Ctrl-C, at a question or when there is nothing to report."""

    return_code = INTERRUPTED


class SystemRefusedError(PruneError):
    """An error of the operating system that no code expected."""


class CondaRefusedError(PruneError):
    """conda itself failed, mostly because of its configuration."""


class RunningError(PruneError):
    """Another program is installing packages right now."""


class NoSuchRunError(PruneError):
    """A named run left nothing, or nothing that matches."""


class StateError(PruneError):
    """The program's own state below a cache can't be written or trusted."""


class NoRoomError(StateError):
    """The disk or the quota has no room even for the program's own state."""


class DemoError(PruneError):
    """The sandbox of the demo can't be created."""


@contextmanager
def conda_refusals() -> Iterator[None]:
    """Turn conda's errors into a `CondaRefusedError`, also those that some settings raise in other classes."""
    try:
        yield
    except PruneError:
        raise
    except CondaError as error:
        raise _refused_by_conda(error) from error
    except (AttributeError, TypeError) as error:
        if not _is_of_configuration(error):
            raise
        raise _refused_by_conda(error) from error


def _is_of_configuration(error: Exception) -> bool:
    modules = [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return modules[-1] == "conda.common.configuration"


def _refused_by_conda(error: Exception) -> CondaRefusedError:
    from conda.common.configuration import ConfigurationError

    hint = "The next run completes or rolls back whatever was unfinished."
    if isinstance(error, ConfigurationError) or _is_of_configuration(error):
        hint = "`conda config --show-sources` shows conda's settings, and the file of each."
    # conda's messages have several lines.
    message = " ".join(str(error).split())
    return CondaRefusedError(f"conda failed: {type(error).__name__}: {message}", hint=hint)


def refused_by_system(error: OSError) -> SystemRefusedError:
    """Return an error of the operating system in the form of ours."""
    return SystemRefusedError(
        f"The operating system reported an error: {reason(error)}.",
        hint="Nothing is lost: whatever was not deleted is still there, or the next run puts it back.",
    )


def reason(error: Exception) -> str:
    """Return the text of an error, with the path that one of the system is about."""
    if not isinstance(error, OSError):
        return error.message if isinstance(error, PruneError) else str(error)
    where = f" ({error.filename})" if isinstance(error.filename, str) else ""
    return f"{error.strerror or error}{where}"
