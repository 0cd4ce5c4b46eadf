"""Environments, evidence of their use and results of removals, as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from ..core.envs.environment_use import Environment, Losses, last_evidence, protections
from ..core.envs.envs_result import EnvsResult
from ..core.model import Result
from ..core.run import Disposal
from ..core.units import format_age, format_size, plural
from .terminal.console import print_command
from .terminal.printable import printable
from .terminal.tables import Row, show_table

#: Why lines of a registry are stale.
_STALE = {
    "gone": "deleted",
    "away": "missing with the directory above, as if a disk were not mounted (--force removes these too)",
    "no-environment": "not an environment",
}

#: Of columns that don't fit the first goes first.
_DROPPED = ("created", "python", "changed", "packages", "shared")

#: How many of what points into an environment, or runs from it, a listing names.
_NAMED = 3

#: So many removals are listed without -v, and more if something of them can't be rebuilt.
_LISTED = 20


def show_environments(out: Console, result: EnvsResult, *, whole: bool, quiet: bool) -> None:
    """Print the environments with their evidence, stale lines, and what is about to go; `whole` leaves out nothing."""
    if result.remove:
        _show_removal(out, result, whole=whole, quiet=quiet)
    elif result.fix is None:
        _show_list(out, result, whole=whole)
    if not quiet and (result.fix is not None or not result.remove):
        _show_stale(out, result, whole=whole)


def _show_list(out: Console, result: EnvsResult, *, whole: bool) -> None:
    wanted = "" if result.unused_for is None else f" unused for {printable(result.unused_for)}"
    if not result.shown:
        out.print(f"No environments{wanted} found.")
        return
    twins = {} if whole else _folded(result.shown)
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
        if twins.get(item.path, item.path) == item.path
    ]
    headings = ("own", "shared", "packages", "python", "created", "changed", "last used")
    show_table(out, "  environment", headings, rows, drop=_DROPPED)
    if any(not item.usage.keeps_access for item in result.shown):
        out.print(Text("  ? unknown: its file system keeps no access times", style="dim"))
    out.print()
    of = "" if result.unused_for is None else f" of {result.count:,}"
    own = format_size(sum(item.usage.account.own for item in result.shown))
    out.print(f"{plural(len(result.shown), 'environment')}{of}{wanted}, own {own}.")


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
    marks = [word for word, holds in (("base", item.base), ("active", item.active), ("frozen", item.frozen)) if holds]
    return marks + ([] if item.registered or item.base else ["not registered"])


def _below(item: Environment, result: EnvsResult, *, whole: bool) -> Iterable[str]:
    """Give the lines under an environment."""
    if item.root.name is not None and whole:
        yield f"    {printable(item.path)}"
    if (result.unused_for is not None or whole) and (last := last_evidence(item, result.now)):
        age = format_age(result.now - last.time)
        yield f"    last sign of use: {last.kind} {age} ago ({printable(last.detail)})"
    if marks := _marks(item):
        yield f"    {', '.join(marks)}"
    for problem in item.problems:
        yield f"    broken: {printable(problem.detail)}"
    running = [f"process {process.pid}: {printable(process.command)}" for process in item.running]
    pointing = [f"{pointer.kind}: {printable(pointer.path)}" for pointer in item.pointers]
    for lines in (running, pointing):
        limit = len(lines) if whole else _NAMED
        yield from (f"    {line}" for line in lines[:limit])
        if len(lines) > limit:
            yield f"    and {len(lines) - limit:,} more (-v lists all)"
    others = [path for path in item.alike if path != item.path]
    if others and _first_of_group(item, result.shown):
        more = len(others) - 1
        rest = f" and {more:,} more" + ("" if whole else " (-v lists all)") if more else ""
        yield f"    same packages as {printable(others[0])}{rest}"


def _first_of_group(item: Environment, shown: Iterable[Environment]) -> bool:
    """Return whether an environment is the first in the list of those with the same packages."""
    return next(other for other in shown if other.alike[:1] == item.alike[:1]) is item


def _show_removal(out: Console, result: EnvsResult, *, whole: bool, quiet: bool) -> None:
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
        verb = "move aside" if backup else "remove"
        out.print(Text(f"{verb} {printable(environment.path)}", style="bold", overflow="fold"))
        line = f"  own {format_size(account.own)}, shared {format_size(account.shared)}, "
        line += f"{plural(len(environment.root.packages), 'package')}"
        if last := last_evidence(environment, result.now):
            line += f", {last.kind} {format_age(result.now - last.time)} ago"
        out.print(Text(line, overflow="fold"))
        if not quiet:
            for found in protections(environment, by_age=False):
                out.print(Text(f"  forced, although {printable(found.detail)}", overflow="fold"))
        if kept := len(losses.kept):
            names = ", ".join(printable(path) for path in losses.kept[:_NAMED])
            more = f" and {kept - _NAMED:,} more" if kept > _NAMED else ""
            out.print(Text(f"  keeps your own files for `conda prune restore`: {names}{more}", overflow="fold"))
        for text in lost:
            out.print(Text(f"  {text}", overflow="fold"))
    if unlisted:
        out.print(f"and {unlisted:,} more (-v lists all)")
    if backup:
        out.print(
            f"This frees {format_size(result.released)} once purged. Until then their packages stay in the caches."
        )
        return
    later = result.reclaimable_then - result.reclaimable
    then = f" `conda prune` then frees {format_size(later)} more." if later > 0 else ""
    out.print(f"This frees {format_size(result.released)}.{then}")


def _losses_text(losses: Losses) -> Iterable[str]:
    for name, why, size in losses.packages:
        yield f"can't be rebuilt: {printable(name)} ({format_size(size)}): {printable(why)}"
    if losses.files:
        yield f"can't be rebuilt: {plural(losses.files, 'file')} of no package ({format_size(losses.size)}), such as"
        for path, size in losses.largest[:_NAMED]:
            yield f"  {printable(path)} ({format_size(size)})"


def _show_stale(out: Console, result: EnvsResult, *, whole: bool) -> None:
    """Print which lines of registries lead to no environment: those of one kind as one line."""
    for registry, stale in result.stale.items():
        if not stale:
            continue
        out.print(Text(f"{printable(registry)} lists {plural(len(stale), 'path')} without an environment:"))
        for kind, words in _STALE.items():
            prefixes = [printable(prefix) for prefix, why in stale if why == kind]
            if not prefixes:
                continue
            if whole:
                out.print(Text(f"  {len(prefixes):,} {words}:"))
                for prefix in prefixes:
                    out.print(Text(f"    {prefix}"), soft_wrap=True)
                continue
            named = ", ".join(prefixes[:_NAMED])
            more = f" and {len(prefixes) - _NAMED:,} more (-v lists all)" if len(prefixes) > _NAMED else ""
            out.print(Text(f"  {len(prefixes):,} {words}: {named}{more}", overflow="fold"))
        if result.fix is None:
            out.print("Clean up the registry:")
            print_command(out, "conda prune envs --fix-registry")


def show_changes(out: Console, err: Console, result: EnvsResult, *, quiet: bool) -> None:
    """Print what was not done and why, then what was done (not if `quiet`)."""
    for outcome in result.outcomes:
        if outcome.result in (Result.SKIPPED, Result.FAILED):
            style = "red" if outcome.result is Result.FAILED else "yellow"
            err.print(Text.assemble((outcome.result.value, style), printable(f": {outcome.path}: {outcome.error}")))
    if not quiet:
        for line in _done(result):
            # Not wrapped: it may hold a command to copy.
            out.print(Text(line), soft_wrap=True)


def _done(result: EnvsResult) -> Iterable[str]:
    if result.copies and result.fix:
        count = sum(map(len, result.fix.values()))
        yield f"Removed {plural(count, 'line')} from the registry. The old one is {printable(result.copies[0])}"
    if result.fix is not None:
        yield from _unfixed(result)
    done = [outcome for outcome in result.outcomes if outcome.result in (Result.REMOVED, Result.BACKED_UP)]
    if not done or result.run is None:
        return
    noun = plural(len(done), "environment")
    if result.disposal is Disposal.BACKUP:
        yield f"Moved {noun} aside. This frees nothing until you purge it."
        yield f"To undo: conda prune restore {result.run.id}"
        yield f"To free the space: conda prune purge {result.run.id}"
        return
    yield f"Removed {noun}, freed {format_size(sum(outcome.freed for outcome in done))}."
    exports = [outcome.exports for outcome in done if outcome.exports is not None]
    for folder in exports[:_NAMED]:
        yield f"Saved what is needed to rebuild it: {printable(folder)}"
    if len(exports) > _NAMED:
        yield f"and {len(exports) - _NAMED:,} more"
    if exports:
        yield f"To rebuild: conda prune restore {result.run.id}"


def _unfixed(result: EnvsResult) -> Iterable[str]:
    """Give what stays in the registries though it leads to no environment, or that nothing is wrong with them."""
    fixed = {prefix for prefixes in (result.fix or {}).values() for prefix in prefixes}
    left = {prefix: why for stale in result.stale.values() for prefix, why in stale if prefix not in fixed}
    away = sum(why == "away" for why in left.values())
    if away:
        yield f"Kept {plural(away, 'line')} of environments whose disk may not be mounted (--force removes them too)."
    if not (fixed or left or result.remove):
        yield "Nothing to fix."


def _ago(time: float | None, now: float) -> str:
    return "unknown" if time is None else f"{format_age(now - time)} ago"


def _used(item: Environment, now: float) -> str:
    if item.running or item.active:
        return "now"
    if not item.usage.keeps_access:
        return "?"
    return "never" if item.usage.used is None and item.usage.changed is not None else _ago(item.usage.used, now)
