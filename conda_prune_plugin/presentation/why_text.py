"""Explanations, as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from ..core.model import LastUsedFrom, ReasonKind, Root, RootKind, RootState, Verdict
from ..core.plan import Remove
from ..core.rules.explanation import Explanation, KeptAlone
from ..core.units import format_age, format_size, format_space, plural
from .documents import Places, iso_time
from .envs_text import REMOVE
from .plan_text import LINES, is_in_use
from .reasons_text import reason_texts
from .terminal.console import listed, print_line, print_rest
from .terminal.printable import printable
from .terminal.tables import Row, show_table

#: How a verdict is put.
_VERDICTS = {
    Verdict.REACHABLE: "in use",
    Verdict.UNREFERENCED: "unused",
    Verdict.UNKNOWN: "can't be judged",
    Verdict.LEFTOVER: "leftover",
}

#: The reasons of packages that are in use: not those that only a rule or a lockfile names.
_IN_USE = frozenset(
    {
        ReasonKind.ENVIRONMENT,
        ReasonKind.LINKED,
        ReasonKind.UNLINKED,
        ReasonKind.TARBALL,
        ReasonKind.EXTRACTED,
    }
)


def show_why(
    out: Console,
    found: Sequence[Explanation],
    places: Places,
    alone: Sequence[KeptAlone] | None,
    *,
    now: float,
    whole: bool = False,
) -> None:
    """Print every explanation in a paragraph of its own, then what each root alone keeps."""
    for item in found:
        in_use = any(reason.kind in _IN_USE for reason in item.reasons)
        verdict = _VERDICTS[item.verdict] if in_use or item.verdict is not Verdict.REACHABLE else "unused, but kept"
        out.print(Text(printable(item.entry.dist), style="bold", overflow="fold"), end="")
        print_line(out, f" in {item.entry.cache}: {verdict}")
        for reason in reason_texts(item.reasons, whole=whole):
            print_line(out, f"  {'kept' if item.removal is None else 'removable'}: {reason}")
        if item.removal is not None:
            freed = format_space(item.removal.frees, inodes=whole)
            print_line(out, f"  frees {freed}{_since(item.removal, now)}")
        for line in _holders(places.get(item.entry)):
            print_line(out, f"  found: {line}")
    if not found and alone is None:
        out.print("No package in the caches is hard-linked by an unknown environment.")
    if alone is not None:
        _show_alone(out, alone, whole=whole)


def _since(removal: Remove, now: float) -> str:
    """Return when a package was last used, to follow what it frees; nothing of one that is in use."""
    if is_in_use(removal):
        return ""
    if removal.last_used is None:
        return "; last used: unknown"
    age = format_age(now - removal.last_used)
    time = iso_time(removal.last_used) or "unknown"
    if removal.last_used_from is LastUsedFrom.LINK:
        return f"; last hard link made or removed {age} ago ({time})"
    return f"; age of the files: {age} ({time}), no hard link shows a later use"


def _holders(places: Sequence[tuple[str, str | None]] | None) -> Iterable[str]:
    """Give the environments that the files linked to an entry lie in, if anyone looked for these."""
    if places is not None and not places:
        yield "nothing in that directory is linked to it"
    by_prefix: dict[str | None, list[str]] = {}
    for path, prefix in places or ():
        by_prefix.setdefault(prefix, []).append(path)
    for prefix, paths in by_prefix.items():
        yield f"{f'environment {prefix}' if prefix else 'outside of environments'} ({listed(paths)})"


def _show_alone(out: Console, alone: Sequence[KeptAlone], *, whole: bool) -> None:
    if not alone:
        out.print("No environments, lockfiles or rules found: nothing keeps a package.")
        return
    missing = [item for item in alone if item.root.state is RootState.MISSING and not item.entries]
    alone = [item for item in alone if item not in missing]
    environments = all(item.root.kind is RootKind.ENVIRONMENT for item in alone)
    what = "one environment" if environments else "one environment, lockfile or rule"
    out.print(f"Space in the caches that removing {what} would free:")
    ranked = sorted(alone, key=lambda item: -item.reclaimable)
    shown = ranked if whole else ranked[:LINES]
    rows = [
        Row(
            _root(item.root, whole=whole, kind=not environments),
            (
                format_size(item.reclaimable),
                *((f"{item.reclaimable_inodes:,}",) if whole else ()),
                f"{len(item.entries):,}",
                f"{len(item.root.packages):,}",
            ),
        )
        for item in shown
    ]
    heading = "  environment" if environments else "  kept by"
    headings = ("frees", *(("inodes",) if whole else ()), "packages only it uses", "all packages")
    show_table(out, heading, headings, rows)
    print_rest(out, len(ranked) - len(shown))
    if missing:
        print_line(out, f"  and {plural(len(missing), 'missing environment')}", style="dim")
    if any(item.root.kind is RootKind.ENVIRONMENT for item in alone):
        print_line(out, REMOVE)


def _root(root: Root, *, whole: bool, kind: bool) -> str:
    state = "" if root.state is RootState.OK else f", {root.state}"
    name = root.name or root.path
    path = f" ({root.path})" if whole and root.path and root.path != name else ""
    return f"  {f'{root.kind} ' if kind else ''}{name}{path}{state}"
