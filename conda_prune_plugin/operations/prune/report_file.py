"""The file of a report: checked before the work begins, and written completely or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress

from ...errors import ReportError


class ReportFile:
    """The file of a report; an earlier one is replaced."""

    def __init__(self, path: str) -> None:
        """Check that a report can be written there. Raises `ReportError`."""
        self.path = os.path.abspath(os.path.expanduser(path))
        directory = os.path.dirname(self.path)
        problem = None
        if os.path.isdir(self.path):
            problem = "it is a directory"
        elif os.path.exists(self.path) and not stat.S_ISREG(os.stat(self.path).st_mode):
            problem = "it exists and is not a regular file"
        elif not os.path.isdir(directory):
            problem = f"there is no directory {directory}"
        elif not os.access(directory, os.W_OK):
            problem = f"you don't have permission to write in {directory}"
        if problem:
            raise self._error(problem)

    def write(self, text: str) -> None:
        """Write the report to a temporary file, then rename that. Raises `ReportError`."""
        temporary = f"{self.path}.{secrets.token_hex(4)}.part"
        try:
            with open(temporary, "x", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
            os.replace(temporary, self.path)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary)
            raise self._error(str(error.strerror)) from error

    def _error(self, problem: str) -> ReportError:
        return ReportError(
            f"The report can't be written to {self.path}: {problem}.",
            hint="Give --html a file in a directory that you can write to.",
            path=self.path,
        )
