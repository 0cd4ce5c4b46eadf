"""Making an environment again from what was exported before it was removed.

conda itself creates it from the ``@EXPLICIT`` file, in a process of its own: first offline, from what the caches still
hold, then, unless conda is configured to be offline, with the network. pip, if the environment has it, installs what it
had installed, each in exactly the version and from the source that is recorded, without dependencies.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.decision import Outcome
from ..core.model import Entry, Part, Result
from ..core.units import plural
from ..discovery.exports import EXPLICIT, FROZEN, PINNED, PIP, PIP_DETAILS, VARIABLES
from ..discovery.records import META, read_environment, with_contents
from ..execution.aside import reason
from ..execution.departure import LOST
from ..execution.exports import EXPORTS
from ..execution.own_files import bring_back
from ..execution.owners import is_root
from ..execution.receipt import FILES, ReceiptEntry
from ..execution.reserve import reserved
from ..execution.runs import StoredRun
from ..execution.state import LockedCache
from ..execution.tree import hand_over

#: So many of the user's own files that could not be put back are named.
_NAMED = 10

#: So much of what a failed command has said is repeated, in characters.
_TOLD = 400


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of one environment, and what the user should know about it."""

    outcome: Outcome
    warnings: tuple[str, ...] = ()


class _NotMadeError(Exception):
    """conda could not make an environment; the text says why."""


def rebuild(here: LockedCache, stored: StoredRun, entry: ReceiptEntry) -> Rebuilt:
    """Make one environment of a run again at the place where it was, if nothing is there.

    It is made whole or not at all, also if the user interrupts it; only what pip had installed may be missing.
    """
    from conda.base.context import context

    prefix = os.path.join(stored.cache.path, entry.dist)
    exports = os.path.join(stored.path, EXPORTS, entry.dist)
    if not os.path.isfile(os.path.join(exports, EXPLICIT)):
        # It was half removed, and nothing told of what to make it from; or somebody has deleted that.
        told = _own_files_alone(here, stored, entry)
        return _rebuilt(stored, entry, Result.FAILED, f"{exports} does not hold what it was to be rebuilt from", *told)
    why = None
    for offline in dict.fromkeys((True, bool(context.offline))):
        try:
            with reserved(here, stored.id, entry.dist):
                _make(prefix, exports, offline=offline)
                warnings, failure = _with_pip(prefix, exports)
                if is_root():
                    hand_over(here.directory, entry.dist, here.directory)
            result = Result.RESTORED if failure is None else Result.FAILED
            told = (*warnings, *_without(prefix, entry), *_own_files_back(here, stored, entry, made=True))
            return _rebuilt(stored, entry, result, failure, *told)
        except FileExistsError:
            # It may have been made by a restore that was interrupted before these were back.
            told = _own_files_back(here, stored, entry, made=False)
            why = f"{prefix} is there already; nothing is overwritten"
            return _rebuilt(stored, entry, Result.SKIPPED, why, *told)
        except (_NotMadeError, OSError) as error:
            why = reason(error) if isinstance(error, OSError) else str(error)
    return _rebuilt(stored, entry, Result.FAILED, why, *_where_own_files_are(stored, entry))


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


def _own_files_back(here: LockedCache, stored: StoredRun, entry: ReceiptEntry, *, made: bool) -> tuple[str, ...]:
    """Move the user's own files back into an environment that is there; return what to say of them."""
    prefix = os.path.join(stored.cache.path, entry.dist)
    if not stored.keeps_files or not os.path.isdir(os.path.join(prefix, META)):
        return _where_own_files_are(stored, entry)
    return _moved_back(here, stored, entry, tell=not made)


def _own_files_alone(here: LockedCache, stored: StoredRun, entry: ReceiptEntry) -> tuple[str, ...]:
    """Move the user's own files back where an environment was that can't be made again; return what to say of them."""
    if not _kept(stored, entry):
        return ()
    try:
        here.directory.make_own(entry.dist).close()
    except OSError:
        return _where_own_files_are(stored, entry)
    return _moved_back(here, stored, entry, tell=True)


def _kept(stored: StoredRun, entry: ReceiptEntry) -> bool:
    """Return whether the run's folder holds files of the user's own of an environment."""
    return os.path.isdir(os.path.join(stored.path, FILES, entry.dist))


def _where_own_files_are(stored: StoredRun, entry: ReceiptEntry) -> tuple[str, ...]:
    place = os.path.join(stored.path, FILES, entry.dist)
    return (f"Your own files of {entry.dist} stay in {place}.",) if _kept(stored, entry) else ()


def _moved_back(here: LockedCache, stored: StoredRun, entry: ReceiptEntry, *, tell: bool) -> tuple[str, ...]:
    prefix = os.path.join(stored.cache.path, entry.dist)
    try:
        with here.state.child(stored.id) as folder:
            moved, left = bring_back(folder, entry, here.directory)
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        return (f"{prefix}: your own files stay in {os.path.join(stored.path, FILES)}: {why}.",)
    told = [f"{prefix}: your own files are back ({moved:,})."] if moved and tell else []
    if left:
        names = plural(len(left), "file or directory", "files and directories")
        told.append(
            f"{prefix}: {names} of yours were not put back, because something else is in their place. "
            f"Find them in the run's folder: {', '.join(left[:_NAMED])}{', ...' if len(left) > _NAMED else ''}"
        )
    return tuple(told)


def _make(prefix: str, exports: str, *, offline: bool) -> None:
    """Let conda create an environment in an empty directory. Raises `_NotMadeError` or `OSError`."""
    command = ["create", "--prefix", prefix, "--yes", "--quiet", "--no-default-packages"]
    explicit = os.path.join(exports, EXPLICIT)
    if _has_packages(explicit):
        command += ["--file", explicit]
    # Our module runs the conda that runs this.
    error = _run([sys.executable, "-m", "conda_prune_plugin.embedded", *command, *(["--offline"] * offline)])
    if error is not None:
        raise _NotMadeError(error)
    made, _ = read_environment(prefix, None)
    wanted = _wanted(exports)
    missing = wanted - with_contents(made, frozenset(wanted)).dists
    if missing:
        raise _NotMadeError(f"conda has made it without {', '.join(sorted(missing))}")
    for name in (VARIABLES, PINNED, FROZEN):
        if os.path.isfile(os.path.join(exports, name)):
            shutil.copyfile(os.path.join(exports, name), os.path.join(prefix, META, name))


def _has_packages(explicit: str) -> bool:
    with open(explicit, encoding="utf-8", errors="surrogateescape") as stream:
        return any(line[:1] not in ("#", "@", "\n") for line in stream)


def _wanted(exports: str) -> set[str]:
    """Return the dists of an ``@EXPLICIT`` file."""
    from ..discovery.archive_names import archive_dist

    found = set()
    with open(os.path.join(exports, EXPLICIT), encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            dist = archive_dist(line.strip().partition("#")[0].rsplit("/", 1)[-1])
            if dist is not None:
                found.add(dist)
    return found


def _with_pip(prefix: str, exports: str) -> tuple[tuple[str, ...], str | None]:
    """Install what pip had installed; return what the user has to do himself, and what went wrong."""
    try:
        with open(os.path.join(exports, PIP_DETAILS), encoding="utf-8") as stream:
            packages = json.load(stream)
    except (OSError, ValueError):
        return ("Nothing is known of its pip packages.",), None
    lost = [item for item in packages if item["requirement"] is None]
    warnings = tuple(f"{prefix}: {item['name']} can't be installed again: {item['why']}." for item in lost)
    if len(packages) == len(lost):
        return warnings, None
    requirements = os.path.join(exports, PIP)
    command = [_python(prefix), "-m", "pip", "install", "--no-deps", "--requirement", requirements]
    error = _run([*command, "--no-input", "--disable-pip-version-check", *_offline()], PIP_REQUIRE_VIRTUALENV="0")
    if error is None:
        return warnings, None
    return warnings, f"conda has made {prefix}, but pip has failed ({error}). To try again: {shlex.join(command)}"


def _offline() -> list[str]:
    from conda.base.context import context

    return ["--no-index"] if context.offline else []


def _python(prefix: str) -> str:
    windows = os.path.join(prefix, "python.exe")
    return windows if os.path.exists(windows) else os.path.join(prefix, "bin", "python")


def _run(command: Sequence[str], **environ: str) -> str | None:
    """Run a command; return the end of what it said if it failed."""
    try:
        done = subprocess.run(
            command,
            # What conda does here must not start a prune of its own.
            env={**os.environ, "CONDA_PLUGINS_PRUNE_AUTO": "off", **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except OSError as error:
        return f"{command[0]}: {error.strerror or error}"
    if done.returncode == 0:
        return None
    said = " ".join(done.stdout.decode("utf-8", "replace").split())
    return said[-_TOLD:] or f"exit code {done.returncode}"
