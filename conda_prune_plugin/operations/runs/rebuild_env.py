"""Rebuild a removed environment from its exports.

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
from collections.abc import Callable, Iterable, Sequence
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
from ...execution.files.ownership import is_root
from ...execution.files.tree_tar import hand_over
from ...execution.locks.tethered_command import run_tethered
from ...execution.recover import own_work_message
from ...execution.state.receipt import ReceiptEntry
from ...execution.state.saved_exports import EXPORTS
from ...execution.state.state_dir import LockedCache
from ...execution.state.stored_runs import StoredRun
from ...execution.state.unfinished_rebuild import OwnWorkError, clear, unfinished
from .restore_own_files import first_names, own_files_alone, own_files_back, where_own_files_are

#: So much of what a failed command has said is repeated, in characters.
_MOST_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of one environment, and what the user should know about it."""

    outcome: Outcome
    warnings: tuple[str, ...] = ()


class _NotMadeError(Exception):
    """conda could not make an environment; the text says why."""


#: Runs a command and returns the end of what it said if it failed.
_Run = Callable[..., "str | None"]


def rebuild(here: LockedCache, stored: StoredRun, entry: ReceiptEntry) -> Rebuilt:
    """Make one environment of a run again at the place where it was, if nothing is there.

    It is made whole or not at all, also if the user interrupts it; only what pip had installed may be missing. What a
    rebuild that was killed has left is removed first.
    """
    prefix = os.path.join(stored.cache.path, entry.dist)
    exports = os.path.join(stored.path, EXPORTS, entry.dist)
    if not failures.isfile(os.path.join(exports, EXPLICIT)):
        # It was half removed, and nothing told of what to make it from; or somebody has deleted that.
        told = own_files_alone(here, stored, entry)
        return _rebuilt(stored, entry, Result.FAILED, f"{exports} does not hold what it was to be rebuilt from", *told)
    why = None
    for offline in dict.fromkeys((True, is_offline())):
        try:
            with here.state.child(stored.id) as folder:
                clear(here.directory, folder, changed_after)
            with unfinished(here, stored.id, entry.dist) as beat:
                warnings, failure = _made(here, entry, prefix, exports, _runner(here, beat), offline=offline)
            own = own_files_back(here, stored, entry, made=True)
            failure = failure or own.trouble
            result = Result.RESTORED if failure is None else Result.FAILED
            return _rebuilt(stored, entry, result, failure, *warnings, *_without(prefix, entry), *own.told)
        except FileExistsError:
            return _there_already(here, stored, entry, exports)
        except OwnWorkError as work:
            why = own_work_message(work)
            break
        except (_NotMadeError, OSError) as error:
            why = reason(error) if isinstance(error, OSError) else str(error)
    return _rebuilt(stored, entry, Result.FAILED, why, *where_own_files_are(stored, entry))


def _made(
    here: LockedCache, entry: ReceiptEntry, prefix: str, exports: str, run: _Run, *, offline: bool
) -> tuple[tuple[str, ...], str | None]:
    """Fill the directory of an environment; return warnings, and what went wrong with pip.

    Raises `_NotMadeError` or `OSError`.
    """
    _make(prefix, exports, run, offline=offline)
    done = _with_pip(prefix, exports, run)
    if is_root():
        hand_over(here.directory, entry.dist, here.directory)
    return done


def _there_already(here: LockedCache, stored: StoredRun, entry: ReceiptEntry, exports: str) -> Rebuilt:
    """Return what becomes of an environment in whose place there is something."""
    prefix = os.path.join(stored.cache.path, entry.dist)
    # It may have been made by a restore that was interrupted before these were back.
    own = own_files_back(here, stored, entry, made=False)
    why = f"{prefix} is there already; nothing is overwritten"
    result = Result.SKIPPED
    if missing := _missing(prefix, exports):
        why, result = (
            f"{prefix} is there already, without {first_names(missing)}; nothing is overwritten",
            Result.FAILED,
        )
    elif own.trouble:
        why, result = own.trouble, Result.FAILED
    return _rebuilt(stored, entry, result, why, *own.told)


def _missing(prefix: str, exports: str) -> list[str]:
    """Return what the environment had of conda and of pip, as far as it can be had again, and what is there has not."""
    wanted = _wanted(exports)
    missing = sorted(wanted - _present(prefix, wanted))
    try:
        packages = _pip_packages(exports)
    except (OSError, ValueError):
        return missing
    there = {(package.name.lower(), package.version) for package in python_packages(prefix, frozenset())}
    lost = (item for item in packages if item["requirement"] and (item["name"].lower(), item["version"]) not in there)
    return [*missing, *(f"{item['name']}=={item['version']}" for item in lost)]


def _present(prefix: str, wanted: Iterable[str]) -> frozenset[str]:
    """Return the dists that an environment has; none if it can't be read."""
    try:
        made, _ = read_environment(prefix, None)
        return with_contents(made, frozenset(wanted)).dists
    except OSError as error:
        failures.note(error)
        return frozenset()


def interrupted(stored: StoredRun, entry: ReceiptEntry) -> Outcome:
    """Return the outcome of an environment that was not made, or not left, because the user stopped it."""
    return _rebuilt(stored, entry, Result.SKIPPED, "interrupted before it").outcome


def _rebuilt(stored: StoredRun, entry: ReceiptEntry, result: Result, error: str | None, *warnings: str) -> Rebuilt:
    parts = tuple(Part(part.kind, part.name) for part in entry.parts)
    files = entry.files - _lost(entry) if result is Result.RESTORED else 0
    return Rebuilt(Outcome(Entry(stored.cache.path, entry.dist, parts), result, files, 0, error), warnings)


def _lost(entry: ReceiptEntry) -> int:
    """Return how many files the environment had that are in no package; earlier versions did not note that."""
    lost = (entry.record or {}).get(LOST)
    return lost if isinstance(lost, int) and 0 <= lost <= entry.files else 0


def _without(prefix: str, entry: ReceiptEntry) -> tuple[str, ...]:
    lost = _lost(entry)
    words = f"{prefix}: it had {plural(lost, 'file')} of no package, which were not exported."
    return (words,) if lost else ()


def _make(prefix: str, exports: str, run: _Run, *, offline: bool) -> None:
    """Let conda create an environment in an empty directory. Raises `_NotMadeError` or `OSError`."""
    command = ["create", "--prefix", prefix, "--yes", "--quiet", "--no-default-packages"]
    explicit = os.path.join(exports, EXPLICIT)
    if _has_packages(explicit):
        command += ["--file", explicit]
    # Our module runs the conda that runs this.
    error = run([sys.executable, "-m", "conda_prune_plugin.embedded", *command, *(["--offline"] * offline)])
    if error is not None:
        raise _NotMadeError(error)
    wanted = _wanted(exports)
    if missing := wanted - _present(prefix, wanted):
        raise _NotMadeError(f"conda has made it without {', '.join(sorted(missing))}")
    for name in (VARIABLES, PINNED, FROZEN):
        if failures.isfile(os.path.join(exports, name)):
            shutil.copyfile(os.path.join(exports, name), os.path.join(prefix, META, name))


def _has_packages(explicit: str) -> bool:
    with open(explicit, encoding="utf-8", errors="surrogateescape") as stream:
        return any(line[:1] not in ("#", "@", "\n") for line in stream)


def _wanted(exports: str) -> set[str]:
    """Return the dists of an ``@EXPLICIT`` file."""
    from ...discovery.clients.archive_names import archive_dist

    found = set()
    with open(os.path.join(exports, EXPLICIT), encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            dist = archive_dist(line.strip().partition("#")[0].rsplit("/", 1)[-1])
            if dist is not None:
                found.add(dist)
    return found


def _with_pip(prefix: str, exports: str, run: _Run) -> tuple[tuple[str, ...], str | None]:
    """Install what pip had installed; return what the user has to do himself, and what went wrong."""
    try:
        packages = _pip_packages(exports)
    except (OSError, ValueError) as error:
        return (), f"conda has made {prefix}, but what pip had installed is not known: {error}"
    lost = [item for item in packages if item["requirement"] is None]
    warnings = tuple(f"{prefix}: {item['name']} can't be installed again: {item['why']}." for item in lost)
    if len(packages) == len(lost):
        return warnings, None
    requirements = os.path.join(exports, PIP)
    command = [_python(prefix), "-m", "pip", "install", "--no-deps", "--requirement", requirements]
    trouble = run([*command, "--no-input", "--disable-pip-version-check", *_offline()], PIP_REQUIRE_VIRTUALENV="0")
    if trouble is None:
        return warnings, None
    return warnings, f"conda has made {prefix}, but pip has failed ({trouble}). To try again: {shlex.join(command)}"


def _pip_packages(exports: str) -> list[dict[str, Any]]:
    """Return what pip had installed. Raises `OSError`, or `ValueError` if that can't be understood."""
    with open(os.path.join(exports, PIP_DETAILS), encoding="utf-8") as stream:
        packages: list[dict[str, Any]] = json.load(stream)
    return packages


def _offline() -> list[str]:
    return ["--no-index"] if is_offline() else []


def _python(prefix: str) -> str:
    windows = os.path.join(prefix, "python.exe")
    return windows if failures.exists(windows) else os.path.join(prefix, "bin", "python")


def _runner(here: LockedCache, beat: Callable[[], None]) -> _Run:
    """Return a function that runs a command, which ends with this process and holds its lock until then."""

    def run(command: Sequence[str], **environ: str) -> str | None:
        # What conda does here must not start a prune of its own.
        variables = {**os.environ, "CONDA_PLUGINS_PRUNE_AUTO": "off", **environ}
        try:
            code, output = run_tethered(command, variables, here.lock, beat)
        except OSError as error:
            return f"{command[0]}: {error.strerror or error}"
        if code == 0:
            return None
        said = " ".join(output.decode("utf-8", "replace").split())
        return said[-_MOST_CHARACTERS:] or f"exit code {code}"

    return run
