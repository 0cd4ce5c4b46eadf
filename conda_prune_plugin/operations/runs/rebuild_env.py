"""Rebuild a removed environment from its exports, and put the user's own files back into it.

conda itself creates it from the ``@EXPLICIT`` file, in a process of its own: first offline, from what the caches still
hold, then, unless conda is configured to be offline, with the network. pip, if the environment has it, installs what it
had installed, each in exactly the version and from the source that is recorded, without dependencies.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ... import failures
from ...core.layout import META
from ...core.model import Entry, Part, Result
from ...core.plan import Outcome
from ...core.units import plural
from ...discovery.clients.conda_context import is_offline
from ...discovery.envs.export import EXPLICIT, FROZEN, PINNED, PIP, PIP_DETAILS, VARIABLES
from ...discovery.envs.own_file_search import changed_after
from ...discovery.roots.conda_meta import read_environment, with_contents
from ...discovery.usage.pip_packages import python_packages
from ...errors import reason
from ...execution.environment_preflight import LOST
from ...execution.locks.tethered_command import run_tethered
from ...execution.recover import own_work_message
from ...execution.state.receipt import FILES, ReceiptEntry
from ...execution.state.saved_own_files import bring_back
from ...execution.state.state_dir import EXPORTS, LockedCache
from ...execution.state.stored_runs import StoredRun
from ...execution.state.unfinished_rebuild import OwnWorkError, clear, unfinished

#: How much of a failed command's output is repeated, in characters.
_MOST_CHARACTERS = 400

#: How many names a message has at most.
_NAMED = 10

_NOT_BACK = "some of your own files were not put back"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of one environment, and what the user should know about it."""

    outcome: Outcome
    warnings: tuple[str, ...] = ()


class _NotMadeError(Exception):
    """conda could not make an environment; the text says why."""


def outcome(stored: StoredRun, entry: ReceiptEntry, result: Result, error: str | None) -> Outcome:
    """Return the outcome of an environment."""
    parts = tuple(Part(part.kind, part.name) for part in entry.parts)
    files = entry.files - _lost(entry) if result is Result.RESTORED else 0
    return Outcome(Entry(stored.cache.path, entry.dist, parts), result, files, 0, error)


def _lost(entry: ReceiptEntry) -> int:
    """Return how many files the environment had that are in no package; earlier versions did not note that."""
    lost = (entry.record or {}).get(LOST)
    return lost if isinstance(lost, int) and 0 <= lost <= entry.files else 0


class Rebuild:
    """The rebuild of one environment of a run at its place, unless something else is there.

    It is made whole or not at all, also if the user interrupts it; only what pip had installed may be missing. What a
    rebuild that was killed has left is removed first.
    """

    def __init__(self, here: LockedCache, stored: StoredRun, entry: ReceiptEntry) -> None:
        self._here, self._stored, self._entry = here, stored, entry
        self._prefix = os.path.join(stored.cache.path, entry.dist)
        self._exports = os.path.join(stored.path, EXPORTS, entry.dist)
        self._own_files = os.path.join(stored.path, FILES, entry.dist)
        self._warnings: list[str] = []

    def rebuild(self) -> Rebuilt:
        """Make the environment again, and put the user's own files back into it."""
        if not failures.isfile(os.path.join(self._exports, EXPLICIT)):
            # It was half removed, so it could not be exported; or another process has deleted the exports.
            return self._rebuilt(Result.FAILED, self._without_exports())
        error: str | None = None
        for offline in dict.fromkeys((True, is_offline())):
            try:
                with self._here.state.child(self._stored.id) as folder:
                    clear(self._here.directory, folder, changed_after)
                with unfinished(self._here, self._stored.id, self._entry.dist) as beat:
                    self._run_conda(beat, offline=offline)
                    warnings, error = self._run_pip(beat)
            except FileExistsError:
                return self._rebuilt(*self._there_already())
            except OwnWorkError as work:
                error = own_work_message(work)
                break
            except (_NotMadeError, OSError) as raised:
                error = reason(raised)
            else:
                self._warnings += warnings
                if lost := _lost(self._entry):
                    self._warnings.append(
                        f"{self._prefix}: it had {plural(lost, 'file')} of no package, which were not exported."
                    )
                if not self._own_files_back(tell=False):
                    error = error or _NOT_BACK
                return self._rebuilt(Result.RESTORED if error is None else Result.FAILED, error)
        self._say_where_own_files_are()
        return self._rebuilt(Result.FAILED, error)

    def _rebuilt(self, result: Result, error: str | None) -> Rebuilt:
        return Rebuilt(outcome(self._stored, self._entry, result, error), tuple(self._warnings))

    def _without_exports(self) -> str:
        """Put the user's own files back where an environment was that can't be made again; return why it can't."""
        if failures.isdir(self._own_files):
            try:
                self._here.directory.make_own(self._entry.dist).close()
            except OSError:
                self._say_where_own_files_are()
            else:
                self._move_own_files(tell=True)
        return f"{self._exports} lacks the export to rebuild it from"

    def _there_already(self) -> tuple[Result, str]:
        """Return the result for an environment whose place is taken, and the error."""
        # It may have been made by a restore that was interrupted before these were back.
        back = self._own_files_back(tell=True)
        if missing := self._missing():
            return Result.FAILED, f"{self._prefix} already exists, but without {_first(missing)}"
        if not back:
            return Result.FAILED, _NOT_BACK
        return Result.SKIPPED, f"{self._prefix} already exists"

    def _run_conda(self, beat: Callable[[], None], *, offline: bool) -> None:
        """Let conda create the environment in an empty directory. Raises `_NotMadeError` or `OSError`."""
        command = ["create", "--prefix", self._prefix, "--yes", "--quiet", "--no-default-packages"]
        lines = self._explicit()
        if any(line[:1] not in ("#", "@", "") for line in lines):
            command += ["--file", os.path.join(self._exports, EXPLICIT)]
        # Our module runs the conda that runs this.
        error = self._run(
            [sys.executable, "-m", "conda_prune_plugin.embedded", *command, *(["--offline"] * offline)], beat
        )
        if error is not None:
            raise _NotMadeError(error)
        if missing := self._missing_dists():
            raise _NotMadeError(f"conda has made it without {', '.join(missing)}")
        for name in (VARIABLES, PINNED, FROZEN):
            if failures.isfile(os.path.join(self._exports, name)):
                shutil.copyfile(os.path.join(self._exports, name), os.path.join(self._prefix, META, name))

    def _run_pip(self, beat: Callable[[], None]) -> tuple[list[str], str | None]:
        """Install what pip had installed; return what the user has to do, and what went wrong."""
        try:
            packages = self._pip_packages()
        except (OSError, ValueError) as error:
            return [], f"conda has made {self._prefix}, but its list of pip packages can't be read: {error}"
        lost = [item for item in packages if item["requirement"] is None]
        warnings = [f"{self._prefix}: {item['name']} can't be installed again: {item['why']}." for item in lost]
        if len(packages) == len(lost):
            return warnings, None
        python = os.path.join(self._prefix, "python.exe")
        if not failures.exists(python):
            python = os.path.join(self._prefix, "bin", "python")
        requirements = os.path.join(self._exports, PIP)
        command = [python, "-m", "pip", "install", "--no-deps", "--requirement", requirements]
        options = ["--no-input", "--disable-pip-version-check", *(["--no-index"] * is_offline())]
        failure = self._run([*command, *options], beat, PIP_REQUIRE_VIRTUALENV="0")
        if failure is None:
            return warnings, None
        again = shlex.join(command)
        return warnings, f"conda has made {self._prefix}, but pip has failed ({failure}). To try again: {again}"

    def _run(self, command: Sequence[str], beat: Callable[[], None], **environ: str) -> str | None:
        """Run a command, which ends with this process and holds its lock until then; return its error, if any."""
        # conda must not start a prune of its own here.
        variables = {**os.environ, "CONDA_PLUGINS_PRUNE_AUTO": "off", **environ}
        try:
            code, output = run_tethered(command, variables, self._here.lock, beat)
        except OSError as error:
            return f"{command[0]}: {error.strerror or error}"
        if code == 0:
            return None
        said = " ".join(output.decode("utf-8", "replace").split())
        return said[-_MOST_CHARACTERS:] or f"exit code {code}"

    def _explicit(self) -> list[str]:
        with open(os.path.join(self._exports, EXPLICIT), encoding="utf-8", errors="surrogateescape") as stream:
            return [line.strip() for line in stream]

    def _pip_packages(self) -> list[dict[str, Any]]:
        """Return what pip had installed. Raises `OSError`, or `ValueError` if that can't be understood."""
        with open(os.path.join(self._exports, PIP_DETAILS), encoding="utf-8") as stream:
            packages: list[dict[str, Any]] = json.load(stream)
        return packages

    def _missing_dists(self) -> list[str]:
        """Return the dists of the ``@EXPLICIT`` file that the environment doesn't have; all if it can't be read."""
        from ...discovery.clients.archive_names import archive_dist

        names = (line.partition("#")[0].rsplit("/", 1)[-1] for line in self._explicit())
        wanted = {dist for dist in map(archive_dist, names) if dist is not None}
        try:
            made, _ = read_environment(self._prefix, None)
            return sorted(wanted - with_contents(made, frozenset(wanted)).dists)
        except OSError as error:
            failures.note(error)
            return sorted(wanted)

    def _missing(self) -> list[str]:
        """Return what the environment had of conda and of pip and doesn't have, as far as a rebuild brings it back."""
        missing = self._missing_dists()
        try:
            packages = self._pip_packages()
        except (OSError, ValueError):
            return missing
        there = {(package.name.lower(), package.version) for package in python_packages(self._prefix, frozenset())}
        lost = (
            item for item in packages if item["requirement"] and (item["name"].lower(), item["version"]) not in there
        )
        return [*missing, *(f"{item['name']}=={item['version']}" for item in lost)]

    def _say_where_own_files_are(self) -> bool:
        """Say where the user's own files are if the run's folder still holds them; return whether it does not."""
        if failures.isdir(self._own_files):
            self._warnings.append(f"Your own files of {self._entry.dist} stay in {self._own_files}.")
            return False
        return True

    def _own_files_back(self, *, tell: bool) -> bool:
        """Move the user's own files back into an environment that is there; return whether none of them is left."""
        if self._stored.keeps_files and failures.isdir(os.path.join(self._prefix, META)):
            return self._move_own_files(tell=tell)
        return self._say_where_own_files_are()

    def _move_own_files(self, *, tell: bool) -> bool:
        prefix = self._prefix
        try:
            with self._here.state.child(self._stored.id) as folder:
                moved, left = bring_back(folder, self._entry, self._here.directory)
        except (OSError, ValueError) as error:
            place = os.path.join(self._stored.path, FILES)
            self._warnings.append(f"{prefix}: your own files stay in {place}: {reason(error)}.")
            return False
        if moved and tell:
            self._warnings.append(f"{prefix}: your own files are back ({moved:,}).")
        if left:
            names = plural(len(left), "file or directory", "files and directories")
            self._warnings.append(
                f"{prefix}: {names} of yours were not put back, because something else is in their place. "
                f"Find them in the run's folder: {_first(left)}"
            )
        return not left


def _first(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''}"
