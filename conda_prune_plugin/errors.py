"""The errors of `conda prune`: a message that names the thing, and a hint what to do."""

from __future__ import annotations

import traceback
from typing import Any

from conda import CondaError as CondaError  # noqa: PLC0414  # Everybody else takes it from here.

#: The exit code after Ctrl-C, as shells have it: 128 and the number of SIGINT.
INTERRUPTED = 130


def exit_code(*, failed: bool, interrupted: bool) -> int:
    """Return the exit code of a command that has reported what it did."""
    return INTERRUPTED if interrupted else int(failed)


class PruneError(CondaError):
    """Refused, or something failed: nothing was changed by what raised it.

    Attributes `hint` and `path` go into the JSON form together with the fields that every document has.
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
        """Return conda's error form; the hint is a field of its own there."""
        return {**super().dump_map(), "message": self.message, "error": f"{type(self).__name__}: {self.message}"}


class UsageError(PruneError):
    """The command line asks for something that makes no sense."""

    return_code = 2


class SettingError(UsageError):
    """A setting in ``.condarc`` or in the environment has a value that makes no sense."""


class NoSuchDirectoryError(PruneError):
    """A directory named on the command line does not exist or cannot be read."""


class NoSuchEnvironmentError(PruneError):
    """A name or a prefix on the command line is none of an environment that is known."""


class ProtectedEnvironmentError(PruneError):
    """An environment that was to be removed is in use, wanted by something else, or must stay."""


class ReportError(PruneError):
    """The report can't be written."""


class NotACacheError(PruneError):
    """A directory named as a package cache is something else."""


class LockfileError(PruneError):
    """A lockfile can't be read or understood, so what it names is not known."""


class NoSuchPackageError(PruneError):
    """No entry of any cache matches what was asked for."""


class ConfirmationError(PruneError):
    """Nobody is there to confirm."""


class UnreadableEnvironmentError(PruneError):
    """An environment, or a place where some may be, can't be read, so what is referenced is not known."""


class LockTimeoutError(PruneError):
    """Another run holds the lock of a cache."""


class InterruptedByUserError(PruneError):
    """Ctrl-C, at a question or at a moment when there is nothing to report."""

    return_code = INTERRUPTED


class SystemRefusedError(PruneError):
    """The operating system failed to do something that nobody was prepared for."""


class CondaRefusedError(PruneError):
    """conda itself failed at something, mostly at its configuration."""


class RunningError(PruneError):
    """Another program is installing packages right now."""


class NoSuchRunError(PruneError):
    """A run named on the command line has left nothing, or nothing that fits."""


class StateError(PruneError):
    """The program's own state below a cache can't be written or trusted."""


class NoRoomError(StateError):
    """The disk, or the quota, is too full for even the program's own state."""


class DemoError(PruneError):
    """The demonstration could not be set up."""


def is_of_configuration(error: Exception) -> bool:
    """Return whether conda failed at a value of its configuration: for some it has no error of its own."""
    module = [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    return module == "conda.common.configuration"


def refused_by_conda(error: Exception) -> PruneError:
    """Return an error of conda's own in the form of ours."""
    from conda.common.configuration import ConfigurationError

    hint = "What was begun the next run finishes or takes back."
    if isinstance(error, ConfigurationError) or is_of_configuration(error):
        hint = "`conda config --show-sources` shows what conda is configured to do, and where that is written."
    # On one line: conda's messages have several.
    message = " ".join(str(error).split())
    return CondaRefusedError(f"conda failed: {type(error).__name__}: {message}", hint=hint)


def refused_by_system(error: OSError) -> PruneError:
    """Return an error of the operating system that nothing was prepared for in the form of ours."""
    return SystemRefusedError(
        f"The system refused something: {reason(error)}.",
        hint="Nothing is lost: what was not deleted is at its place, or the next run puts it back.",
    )


def reason(error: OSError) -> str:
    """Return what an error says, with the path that it is about."""
    where = f" ({error.filename})" if isinstance(error.filename, str) else ""
    return f"{error.strerror or error}{where}"
