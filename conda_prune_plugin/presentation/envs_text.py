"""Environments, evidence of their use and results of removals, as text."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from ..core.envs.environment_use import Environment, Losses, last_evidence, protections
from ..core.envs.envs_result import EnvsResult
from ..core.model import Result
from ..core.run import Disposal
from ..core.units import format_age, format_size, plural
from .terminal.printable import printable
from .terminal.tables import Row, show_table

#: Why a line of the registry is stale, in words.
_STALE = {
    "gone": "is gone",
    "away": "is not there, nor is the directory above it: a disk may not be mounted (--force takes it for gone)",
    "no-environment": "is not an environment",
}

#: How many of what points into an environment, or runs from it, a listing names.
_NAMED = 3


#: So many stale lines of a registry are all named.
_STALE_NAMED = 10


def show_environments(out: Console, result: EnvsResult, *, whole: bool, quiet: bool) -> None:
    """Print the environments with their evidence, stale lines, and what is about to go; `whole` leaves out nothing."""
    if result.remove:
        _show_removal(out, result, quiet=quiet)
    elif result.fix is None:
        _show_list(out, result, whole=whole)
    if not quiet and (result.fix is not None or not result.remove):
        _show_stale(out, result, whole=whole)


def _show_list(out: Console, result: EnvsResult, *, whole: bool) -> None:
    if not result.shown:
        wanted = "" if result.unused_for is None else f" that nothing has used for {printable(result.unused_for)}"
        out.print(f"There is no environment{wanted}.")
        return
    rows = [
        Row(
            f"  {printable(item.root.name or item.path)}",
            (
                format_size(item.usage.account.own),
                format_size(item.usage.account.shared),
                f"{len(item.root.packages):,}",
                item.python or "-",
                _ago(item.created, result.now),
                _ago(item.usage.changed, result.now),
                _used(item, result.now),
            ),
            tuple(_below(item, result, whole=whole)),
        )
        for item in result.shown
    ]
    show_table(out, "  environment", ("own", "shared", "packages", "python", "created", "changed", "used"), rows)
    if any(not item.usage.keeps_access for item in result.shown):
        out.print("  ? its file system keeps no times of access")
    out.print()
    wanted = "" if result.unused_for is None else f" of {result.count:,} unused for {printable(result.unused_for)}"
    own = format_size(sum(item.usage.account.own for item in result.shown))
    out.print(f"{plural(len(result.shown), 'environment')}{wanted}, own bytes {own}.")


def _below(item: Environment, result: EnvsResult, *, whole: bool) -> Iterable[str]:
    """Give the lines under an environment."""
    if item.root.name is not None and whole:
        yield f"    {printable(item.path)}"
    if (result.unused_for is not None or whole) and (last := last_evidence(item, result.now)):
        age = format_age(result.now - last.time)
        yield f"    last evidence: {last.kind}, {age} ago ({printable(last.detail)})"
    marks = [word for word, holds in (("base", item.base), ("active", item.active), ("frozen", item.frozen)) if holds]
    marks += [] if item.registered or item.base else ["not registered"]
    if marks:
        yield f"    {', '.join(marks)}"
    for problem in item.problems:
        yield f"    broken: {printable(problem.detail)}"
    running = [f"process {process.pid}: {printable(process.command)}" for process in item.running]
    pointing = [f"{pointer.kind}: {printable(pointer.path)}" for pointer in item.pointers]
    for lines in (running, pointing):
        limit = len(lines) if whole else _NAMED
        yield from (f"    {line}" for line in lines[:limit])
        if len(lines) > limit:
            yield f"    and {len(lines) - limit:,} more (-v names them)"
    if (other := next((path for path in item.alike if path != item.path), None)) is not None:
        more = len(item.alike) - 2
        yield f"    same packages as {printable(other)}" + (f" and {more:,} more" if more else "")


def _show_removal(out: Console, result: EnvsResult, *, quiet: bool) -> None:
    backup = result.disposal is Disposal.BACKUP
    for environment, losses in result.remove:
        account = environment.usage.account
        verb = "move aside" if backup else "remove"
        out.print(Text(f"{verb} {printable(environment.path)}", style="bold", overflow="fold"))
        line = f"  own {format_size(account.own)}, shared {format_size(account.shared)}, "
        line += f"{plural(len(environment.root.packages), 'package')}"
        if last := last_evidence(environment, result.now):
            line += f"; {last.kind} {format_age(result.now - last.time)} ago"
        out.print(Text(line, overflow="fold"))
        if not quiet:
            for found in protections(environment, by_age=False):
                out.print(Text(f"  although {printable(found.detail)}", overflow="fold"))
        if kept := len(losses.kept):
            names = ", ".join(printable(path) for path in losses.kept[:_NAMED]) + (", ..." if kept > _NAMED else "")
            out.print(Text(f"  keeps your own files for `conda prune restore`: {names}", overflow="fold"))
        # What is lost for good is told even to those who want to hear little.
        if not backup:
            for text in _losses_text(losses):
                out.print(Text(f"  {text}", overflow="fold"))
    if backup:
        out.print("A backup frees nothing until it is purged, and its packages stay in the caches until then.")
    else:
        more = result.reclaimable_then - result.reclaimable
        out.print(
            f"{format_size(result.released)} come back. `conda prune` would give back "
            f"{format_size(result.reclaimable_then)} then, {format_size(more)} more than now."
        )


def _losses_text(losses: Losses) -> Iterable[str]:
    for name, why, size in losses.packages:
        yield f"can't be rebuilt: {printable(name)} ({format_size(size)}): {printable(why)}"
    if losses.files:
        yield f"can't be rebuilt: {plural(losses.files, 'file')} of no package ({format_size(losses.size)}), such as"
        for path, size in losses.largest[:_NAMED]:
            yield f"  {printable(path)} ({format_size(size)})"


def _show_stale(out: Console, result: EnvsResult, *, whole: bool) -> None:
    for registry, stale in result.stale.items():
        if not stale:
            continue
        out.print(Text(f"{printable(registry)} lists {plural(len(stale), 'place')} without an environment:"))
        limit = len(stale) if whole or len(stale) <= _STALE_NAMED else _NAMED
        for prefix, why in stale[:limit]:
            out.print(Text(f"  {printable(prefix)} {_STALE[why]}", overflow="fold"))
        if len(stale) > limit:
            out.print(f"  and {len(stale) - limit:,} more (-v names them)")
        if result.fix is None:
            out.print("  `conda prune envs --fix-registry` takes out what is gone.")


def show_changes(out: Console, err: Console, result: EnvsResult, *, quiet: bool) -> None:
    """Print what was done (not if `quiet`), and what was not and why."""
    if not quiet:
        for line in _done(result):
            out.print(Text(line, overflow="fold"))
    for outcome in result.outcomes:
        if outcome.result in (Result.SKIPPED, Result.FAILED):
            style = "red" if outcome.result is Result.FAILED else "yellow"
            err.print(Text.assemble((outcome.result.value, style), printable(f": {outcome.path}: {outcome.error}")))


def _done(result: EnvsResult) -> Iterable[str]:
    if result.copies and result.fix:
        count = sum(map(len, result.fix.values()))
        yield f"Took {plural(count, 'line')} out of the registry; the copy of before is {printable(result.copies[0])}."
    elif result.fix == {} and not result.remove:
        yield "There is nothing to fix."
    done = [outcome for outcome in result.outcomes if outcome.result in (Result.REMOVED, Result.BACKED_UP)]
    if not done or result.run is None:
        return
    noun = plural(len(done), "environment")
    if result.disposal is Disposal.BACKUP:
        yield f"Moved {noun} aside. This frees nothing before `conda prune purge {result.run.id}`."
        yield f"To have it back as it was: conda prune restore {result.run.id}"
        return
    yield f"Removed {noun}; {format_size(sum(outcome.freed for outcome in done))} freed."
    exports = [outcome.exports for outcome in done if outcome.exports is not None]
    for folder in exports:
        yield f"What is needed to rebuild it is in {printable(folder)}"
    if exports:
        yield f"To rebuild it: conda prune restore {result.run.id}"


def _ago(time: float | None, now: float) -> str:
    return "unknown" if time is None else f"{format_age(now - time)} ago"


def _used(item: Environment, now: float) -> str:
    if item.running or item.active:
        return "now"
    if not item.usage.keeps_access:
        return "?"
    return "not since" if item.usage.used is None and item.usage.changed is not None else _ago(item.usage.used, now)
