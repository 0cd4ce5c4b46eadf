"""The file of a report: checked before the work begins, and written completely or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress

from ...errors import ReportError, UsageError


class ReportFile:
    """Where a report goes; an earlier one is replaced."""

    def __init__(self, path: str) -> None:
        """Look whether a report can be made and written there. Raises `ReportError` or `UsageError`."""
        if not path:
            raise UsageError(
                "--html needs the name of a file.", hint="`conda prune usage --help` explains the options."
            )
        self.path = os.path.abspath(os.path.expanduser(path))
        directory = os.path.dirname(self.path)
        if os.path.isdir(self.path):
            problem = "it is a directory"
        elif os.path.exists(self.path) and not stat.S_ISREG(os.stat(self.path).st_mode):
            problem = "something that is no regular file is there"
        elif not os.path.isdir(directory):
            problem = f"there is no directory {directory}"
        elif not os.access(directory, os.W_OK):
            problem = f"nothing can be written in {directory}"
        else:
            return
        raise ReportError(
            f"The report can't be written to {self.path}: {problem}.",
            hint="Give --html the name of a file in a directory that you can write to.",
            path=self.path,
        )

    def write(self, text: str) -> None:
        """Write the report beside its place first, then put it there. Raises `ReportError`."""
        temporary = f"{self.path}.{secrets.token_hex(4)}.part"
        try:
            with open(temporary, "x", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
            os.replace(temporary, self.path)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary)
            raise ReportError(
                f"The report can't be written to {self.path}: {error.strerror}.",
                hint="Give --html another place.",
                path=self.path,
            ) from error
