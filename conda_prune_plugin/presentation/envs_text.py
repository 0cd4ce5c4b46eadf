"""Environments, evidence of their use and results of removals, as text."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from rich.console import Console

from ..core.envs.environment_use import Environment, EnvsResult, LastEvidence, Losses, last_evidence, protections
from ..core.model import Result
from ..core.notices import EVEN_UNMOUNTED, FIX_REGISTRY
from ..core.run import Disposal
from ..core.units import Space, age_as_typed, format_age, format_size, format_space, plural
from .terminal.console import (
    SHOWS_ALL,
    STEP,
    and_more,
    listed,
    print_command,
    print_line,
    print_problem,
    print_steps,
    print_unbroken,
)
from .terminal.tables import Row, show_table

#: Why lines of a registry are stale.
_STALE = {
    "gone": "deleted",
    "away": "missing along with their parent directory: the disk may not be mounted",
    "no-environment": "not an environment",
}

#: Of columns that don't fit the first goes first.
_DROPPED = ("created", "python", "changed", "packages", "shared inodes", "shared", "own inodes")

#: How many of what points into an environment, or runs from it, a listing names.
_NAMED = 3

#: So many removals are listed without -v, and more if something of them can't be rebuilt.
_LISTED = 20

#: The step after a list of environments.
REMOVE = "To remove an environment: conda prune envs NAME --remove"

NO_ACCESS_TIMES = "  ? unknown: its file system keeps no access times"


def show_environments(
    out: Console, result: EnvsResult, *, whole: bool, quiet: bool, registry: bool = True, dry_run: bool = False
) -> None:
    """Print the environments with their evidence, stale lines of registries, and what is about to go.

    `whole` leaves out nothing; without `registry` stale lines are. In a `dry_run` nothing goes.
    """
    if result.remove:
        _show_removal(out, result, whole=whole, quiet=quiet, dry_run=dry_run)
    elif result.fix is None:
        _show_list(out, result, whole=whole)
    if registry and not quiet and (result.fix is not None or not result.remove):
        _show_stale(out, result, whole=whole)


def last_used(used: float | None, changed: float | None, now: float, *, keeps_access: bool) -> str:
    """Return when an environment was last used, for a column of a table."""
    if not keeps_access:
        return "?"
    # Without a time of change it can't be read, or is none of conda's.
    return "never" if used is None and changed is not None else ago(used, now)


def ago(time: float | None, now: float) -> str:
    """Return how long ago a time was, for a column of a table."""
    return "unknown" if time is None else f"{format_age(now - time)} ago"


def _show_list(out: Console, result: EnvsResult, *, whole: bool) -> None:
    wanted = "" if result.unused_for is None else f" unused for {age_as_typed(result.unused_for)}"
    if not result.shown:
        since = ": all were created, changed or used since" if wanted and result.count else ""
        print_line(out, f"No environments{wanted} found{since}.")
        return
    twins = {} if whole else _folded(result.shown)
    rows = []
    for item in result.shown:
        if twins.get(item.path, item.path) != item.path:
            continue
        usage, now = item.usage, result.now
        used = last_used(usage.used, usage.changed, now, keeps_access=usage.keeps_access)
        cells = (
            format_size(usage.account.own),
            format_size(usage.account.own + result.kept.get(item.path, 0)),
            format_size(usage.account.shared),
            *((f"{usage.account.own_inodes:,}", f"{usage.account.shared_inodes:,}") if whole else ()),
            f"{len(item.root.packages):,}",
            item.python or "-",
            ago(item.created, now),
            ago(usage.changed, now),
            "now" if item.running or item.active else used,
        )
        rows.append(Row(f"  {item.root.name or item.path}", cells, tuple(_below(item, result, whole=whole))))
    inodes = ("own inodes", "shared inodes") if whole else ()
    headings = ("own", "with prune", "shared", *inodes, "packages", "python", "created", "changed", "last used")
    show_table(out, "  environment", headings, rows, drop=_DROPPED)
    print_line(
        out,
        "  own: freed by removing it; with prune: if the caches are pruned afterwards (recent packages: --min-age 0)",
        style="dim",
    )
    if any(not item.usage.keeps_access for item in result.shown):
        print_line(out, NO_ACCESS_TIMES, style="dim")
    out.print()
    accounts = [item.usage.account for item in result.shown]
    own = Space(sum(account.own for account in accounts), sum(account.own_inodes for account in accounts))
    count = plural(len(result.shown), "environment")
    if result.unused_for is not None:
        count = f"{len(result.shown):,} of {plural(result.count, 'environment')}"
    print_line(out, f"{count}{wanted}, own {format_space(own, inodes=whole)}.")
    if any(not item.base for item in result.shown):
        print_line(out, REMOVE)


def _folded(environments: Sequence[Environment]) -> dict[str, str]:
    """Return for each environment of a large group with the same packages the one that stands for it in a list.

    One with something to say of its own stands for itself.
    """
    groups: dict[str, list[Environment]] = {}
    for item in environments:
        if len(item.alike) > _NAMED and not (_marks(item) or item.problems or item.running or item.pointers):
            groups.setdefault(item.alike[0], []).append(item)
    return {item.path: alike[0].path for alike in groups.values() for item in alike}


def _marks(item: Environment) -> list[str]:
    marks = {
        "base": item.base,
        "active": item.active,
        "frozen": item.frozen,
        "not registered": not (item.registered or item.base),
    }
    return [word for word, holds in marks.items() if holds]


def _below(item: Environment, result: EnvsResult, *, whole: bool) -> Iterable[str]:
    """Give the lines under an environment."""
    if item.root.name is not None and whole:
        yield f"    {item.path}"
    if (result.unused_for is not None or whole) and (last := last_evidence(item, result.now)):
        yield f"    last sign of use: {_sign(last, result.now)} ({last.detail})"
    if marks := _marks(item):
        yield f"    {', '.join(marks)}"
    for problem in item.problems:
        yield f"    broken: {problem.detail}"
    running = [process.words for process in item.running]
    pointing = [f"{pointer.kind}: {pointer.path}" for pointer in item.pointers]
    for lines in (running, pointing):
        limit = len(lines) if whole else _NAMED
        yield from (f"    {line}" for line in lines[:limit])
        if len(lines) > limit:
            yield f"    {and_more(len(lines) - limit)}"
    others = [path for path in item.alike if path != item.path]
    # Only the first in the list of those with the same packages says so.
    if others and next(other for other in result.shown if other.alike[:1] == item.alike[:1]) is item:
        yield f"    same packages as {listed(others, 1, hint='' if whole else SHOWS_ALL)}"


def _sign(last: LastEvidence, now: float) -> str:
    """Return the last evidence of use and its time, for a sentence."""
    return f"{last.kind} now" if last.time >= now else f"{last.kind} {ago(last.time, now)}"


def _show_removal(out: Console, result: EnvsResult, *, whole: bool, quiet: bool, dry_run: bool) -> None:
    backup = result.disposal is Disposal.BACKUP
    ranked = sorted(result.remove, key=lambda pair: -pair[0].usage.account.own)
    unlisted = 0
    for number, (environment, losses) in enumerate(ranked):
        # What is lost for good is said even to those who want to hear little.
        lost = [] if backup else list(_losses_text(losses))
        if number >= _LISTED and not whole and not lost:
            unlisted += 1
            continue
        account = environment.usage.account
        verb = f"{'would ' if dry_run else ''}{'move aside' if backup else 'remove'}"
        print_line(out, f"{verb} {environment.path}", style="bold")
        own, shared = Space(account.own, account.own_inodes), Space(account.shared, account.shared_inodes)
        line = f"  own {format_space(own, inodes=whole)}, shared {format_space(shared, inodes=whole)}, "
        line += plural(len(environment.root.packages), "package")
        if last := last_evidence(environment, result.now):
            line += f", {_sign(last, result.now)}"
        print_line(out, line)
        for found in () if quiet else protections(environment, by_age=False):
            print_line(out, f"  removed because of --force: {found.detail}")
        if losses.kept:
            print_line(out, f"  keeps your own files for `conda prune restore`: {listed(losses.kept, _NAMED)}")
        for text in lost:
            print_line(out, f"  {text}")
    if unlisted:
        print_line(out, and_more(unlisted))
    freed = format_space(Space(result.released, result.released_inodes), inodes=whole)
    frees = "This would free" if dry_run else "This frees"
    if backup:
        them = "it" if len(ranked) == 1 else "them"
        out.print(f"{frees} {freed} once purged. Until then the packages in use by {them} stay in the caches.")
        return
    now = Space(result.reclaimable, result.reclaimable_inodes)
    later = Space(result.reclaimable_then, result.reclaimable_inodes_then) - now
    more = f" `conda prune` then frees {format_space(later, inodes=whole)} more." if later.bytes > 0 else ""
    out.print(f"{frees} {freed}.{more}")
    # Right above the question, because nothing brings these back.
    if count := sum(losses.files for _, losses in ranked):
        size = format_size(sum(losses.size for _, losses in ranked))
        largest = [
            (of, os.path.join(environment.path, path) if len(ranked) > 1 else path)
            for environment, losses in ranked
            for path, of in losses.largest
        ]
        names = [path for _, path in sorted(largest, reverse=True)[:_NAMED]]
        more = f" and {count - len(names):,} more" if count > len(names) else ""
        files = plural(count, "file")
        also = f"This {'would also delete' if dry_run else 'also deletes'} {files} ({size})"
        print_line(out, f"{also} that can't be restored: {', '.join(names)}{more}")


def _losses_text(losses: Losses) -> Iterable[str]:
    for name, why, size in losses.packages:
        yield f"can't be rebuilt: {name} ({format_size(size)}): {why}"


def _show_stale(out: Console, result: EnvsResult, *, whole: bool) -> None:
    """Print which lines of registries lead to no environment: those of one kind as one line."""
    for registry, stale in result.stale.items():
        if not stale:
            continue
        print_line(out, f"{registry} lists {plural(len(stale), 'path')} without an environment:")
        for kind, words in _STALE.items():
            prefixes = [prefix for prefix, why in stale if why == kind]
            if prefixes and whole:
                print_line(out, f"  {len(prefixes):,} {words}:")
                for prefix in prefixes:
                    print_unbroken(out, f"    {prefix}")
            elif prefixes:
                print_line(out, f"  {len(prefixes):,} {words}: {listed(prefixes, _NAMED, hint=SHOWS_ALL)}")
        kinds = {why for _, why in stale}
        if result.fix is None and kinds != {"away"}:
            out.print("Clean up the registry:")
            print_command(out, FIX_REGISTRY)
        elif result.fix is None:
            out.print("If you deleted them:")
            print_command(out, FIX_REGISTRY + EVEN_UNMOUNTED)


def show_changes(out: Console, err: Console, result: EnvsResult, *, quiet: bool, dry_run: bool = False) -> None:
    """Print what was not done and why, then what was done or would be in a `dry_run` (not if `quiet`)."""
    for outcome in result.outcomes:
        if outcome.result in (Result.SKIPPED, Result.FAILED):
            print_problem(err, outcome.result.value, f"{outcome.path}: {outcome.error}")
    if not quiet:
        print_steps(out, (*_registry_changes(result, dry_run=dry_run), *_changes(result)))


def _registry_changes(result: EnvsResult, *, dry_run: bool) -> Iterable[str]:
    if result.fix and (result.copies or dry_run):
        lines = plural(sum(map(len, result.fix.values())), "line")
        yield f"{'Would remove' if dry_run else 'Removed'} {lines} from environments.txt."
        if result.copies:
            yield "Saved the old file as:"
            yield f"{STEP}{result.copies[0]}"
    if result.fix is not None:
        fixed = {prefix for prefixes in result.fix.values() for prefix in prefixes}
        left = {prefix: why for stale in result.stale.values() for prefix, why in stale if prefix not in fixed}
        if away := sum(why == "away" for why in left.values()):
            lines = plural(away, "line")
            yield f"Kept {lines} of environments whose disk may not be mounted. If you deleted them:"
            yield f"{STEP}{FIX_REGISTRY}{EVEN_UNMOUNTED}"
        if not (fixed or left or result.remove):
            yield "Nothing to fix."


def _changes(result: EnvsResult) -> Iterable[str]:
    done = [outcome for outcome in result.outcomes if outcome.result in (Result.REMOVED, Result.BACKED_UP)]
    if not done or result.run is None:
        return
    environments = plural(len(done), "environment")
    if result.disposal is Disposal.BACKUP:
        yield f"Moved {environments} aside. This frees nothing until you purge it."
        yield f"To undo: conda prune restore {result.run.id}"
        yield f"To free the space: conda prune purge {result.run.id}"
        return
    yield f"Removed {environments}, freed {format_size(sum(outcome.freed for outcome in done))}."
    exports = [outcome.exports for outcome in done if outcome.exports is not None]
    if exports:
        yield "Exports to rebuild from:"
    yield from (f"{STEP}{folder}" for folder in exports[:_NAMED])
    if len(exports) > _NAMED:
        yield f"{STEP}{and_more(len(exports) - _NAMED, hint='')}"
    if exports:
        yield f"To rebuild: conda prune restore {result.run.id}"
