"""Reasons, as text: those of each package, and of all that a plan keeps in a few lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console

from ..core.model import LinkKind, PartKind, ReasonKind, Verdict
from ..core.plan import Keep, Plan, Reason, Remove
from ..core.units import plural
from .terminal.console import STEP, and_more, print_line, print_unbroken
from .terminal.printable import printable

#: A column of reasons narrower than this is no help.
_NARROWEST_REASON = 24

#: So many packages that can't be downloaded again are named.
_NAMED = 5

#: How the summary puts each reason to keep a package.
_KEPT_BECAUSE = {
    ReasonKind.ENVIRONMENT: "in use by environments",
    ReasonKind.REVISION: "in an earlier revision of an environment (--keep-revisions)",
    ReasonKind.LOCKFILE: "named by a lockfile (--lockfile)",
    ReasonKind.KEEP: "kept by a rule (--keep)",
    ReasonKind.LINKED: "hard-linked by an unknown environment (add it with --root or --search)",
    ReasonKind.NEWEST: "newest versions (--keep-newest)",
    ReasonKind.IRREPLACEABLE: "can't be downloaded again (remove them with --include-irreplaceable)",
    ReasonKind.RECENT: "downloaded or changed too recently (include them with --min-age 0)",
    ReasonKind.LOCKED: "in use by a running process",
    ReasonKind.UNREADABLE: "can't be read (-v shows why)",
    ReasonKind.READ_ONLY: "can't be removed (-v shows why)",
    ReasonKind.PARTIAL_DOWNLOAD: "partial downloads",
    ReasonKind.INCOMPLETE_EXTRACTION: "incomplete extractions",
    ReasonKind.TRASH: "trash",
    ReasonKind.CORRUPT: "corrupt",
    ReasonKind.NOT_SELECTED: "unused, but excluded by your options",
    ReasonKind.UNKNOWN: "can't be judged (-v shows why)",
}

#: What is wrong with a damaged package.
DAMAGED = frozenset({ReasonKind.CORRUPT, ReasonKind.INCOMPLETE_EXTRACTION})

#: Why nothing can be removed from a cache that the user can't write to.
_NO_PERMISSION = "no permission to remove"

#: An option that the detail of a reason names, and the one that removes leftovers.
_OPTION, _LEFTOVERS = re.compile(r"--[a-z-]+"), "--leftovers"

#: What is said of leftovers that stay: of damaged archives, damaged packages, and all others.
_DAMAGED_ARCHIVES = f"damaged archives (remove them: conda prune --verify {_LEFTOVERS})"
_DAMAGED, _OTHERS = (f"{what} (remove them with {_LEFTOVERS})" for what in ("damaged, but not in use", "leftovers"))

#: The same of a single one.
_SINGULAR = {
    _DAMAGED_ARCHIVES: f"damaged archive (remove it: conda prune --verify {_LEFTOVERS})",
    _DAMAGED: f"damaged, but not in use (remove it with {_LEFTOVERS})",
    _OTHERS: f"leftover (remove it with {_LEFTOVERS})",
}

#: How an environment holds the files of an entry.
_LINKED = {
    LinkKind.HARD: "hard-linked",
    LinkKind.SOFT: "soft-linked",
    LinkKind.COPY: "copied",
    LinkKind.RECORDED: "recorded only",
}


def show_kept(out: Console, plan: Plan, verbosity: int) -> None:
    """Print how many packages stay, by the strongest reason of each."""
    writable = {cache.path: cache.writable for cache in plan.inventory.caches}
    # Of a damaged package its directory and its archive are decided on, in this order.
    once: dict[tuple[str, str, bool], Keep] = {}
    for item in plan.keep:
        once.setdefault((item.entry.cache, item.entry.dist, is_leftover(item)), item)
    counts: Counter[str] = Counter()
    for decision in once.values():
        kind = decision.reasons[0].kind
        closed = kind is ReasonKind.READ_ONLY and not writable[decision.entry.cache]
        options = dict.fromkeys(_OPTION.findall(decision.reasons[0].detail))
        if kind is ReasonKind.NOT_SELECTED and _LEFTOVERS in options:
            is_damaged = decision.reasons[-1].kind in DAMAGED
            is_archive = decision.entry.parts[0].kind is PartKind.ARCHIVE
            counts[_DAMAGED_ARCHIVES if is_damaged and is_archive else _DAMAGED if is_damaged else _OTHERS] += 1
        elif kind is ReasonKind.NOT_SELECTED and options:
            counts[f"unused, but excluded by {', '.join(options)}"] += 1
        else:
            counts[_NO_PERMISSION if closed else _KEPT_BECAUSE[kind]] += 1
    leftovers = sum(map(is_leftover, once.values()))
    nouns = {"package": len(once) - leftovers, "leftover": leftovers}
    kept = " and ".join(plural(count, noun) for noun, count in nouns.items() if count)
    if len(counts) == 1:
        ((words, count),) = counts.items()
        out.print(f"Keep {kept}: {_numbered(words, count)}.")
    else:
        out.print(f"Keep {kept}:")
        width = len(f"{max(counts.values()):,}")
        for words, count in counts.most_common():
            print_line(out, f"  {count:>{width},} {_numbered(words, count)}")
    lone = [decision for decision in plan.keep if decision.reasons[0].kind is ReasonKind.IRREPLACEABLE]
    if lone and not verbosity:
        # They exist nowhere else, so they are named even where nothing else is.
        for decision in lone[:_NAMED]:
            print_line(out, f"    {decision.entry.dist}: {_reason_text(decision.reasons[0])}")
        if len(lone) > _NAMED:
            print_line(out, f"    {and_more(len(lone) - _NAMED)}")


def _numbered(words: str, count: int) -> str:
    """Return words on leftovers in the singular, if they are on a single one."""
    return _SINGULAR.get(words, words) if count == 1 else words


def is_leftover(decision: Keep) -> bool:
    """Return whether a decision is on a leftover, and not on a damaged package that environments use."""
    is_package = decision.entry.parts[0].kind is PartKind.EXTRACTED
    in_use = is_package and any(reason.kind is ReasonKind.ENVIRONMENT for reason in decision.reasons)
    return decision.verdict is Verdict.LEFTOVER and not in_use


def show_reasons(out: Console, verb: str, decisions: Sequence[Keep | Remove], *, whole: bool) -> None:
    """Print each package with the reasons to keep or to remove it."""
    rows: list[tuple[str, str, str]] = []
    for decision in decisions:
        reasons = list(reason_texts(decision.reasons, whole=whole, more="-vv"))
        source = ""
        if isinstance(decision, Remove):
            source = f"from {decision.source}" if decision.source else "of unknown origin"
        rows.append((printable(f"  {decision.entry.dist}"), "; ".join(reasons), source))
    column = max(len(f"  {verb}"), *(len(name) for name, *_ in rows)) + 2
    if column + _NARROWEST_REASON > out.width:
        for name, reason, source in rows:
            print_line(out, f"{name}: {reason}")
            _print_source(out, source)
        return
    print_line(out, f"{f'  {verb}':<{column}}because", style="dim")
    for name, reason, source in rows:
        print_line(out, f"{name:<{column}}{reason}", hanging=column)
        _print_source(out, source)


def _print_source(out: Console, source: str) -> None:
    """Print where a package comes from on a line of its own, which no terminal breaks before its end."""
    if source:
        print_unbroken(out, f"{STEP}{source}")


#: So many environments that use a package are named; how a reason names one.
_ENVIRONMENTS, _USED_BY = 3, "used by "


def reason_texts(reasons: Sequence[Reason], *, whole: bool, more: str = "-v") -> Iterator[str]:
    """Give reasons in words; many environments that use a package are one, unless the `whole` is wanted.

    more: the option that shows the whole.
    """
    alike = [reason for reason in reasons if reason.detail.startswith(_USED_BY)]
    if len(alike) < 2:
        yield from map(_reason_text, reasons)
        return
    shown = len(alike) if whole else _ENVIRONMENTS
    names = ", ".join(reason.detail.removeprefix(_USED_BY) for reason in alike[:shown])
    links = Counter(_LINKED[reason.link] for reason in alike if reason.link)
    how = [words if count == len(alike) else f"{count:,} {words}" for words, count in links.most_common()]
    if len(alike) > shown:
        hint = ", ".join([*how, f"{more} shows all"])
        yield f"{_USED_BY}{names} {and_more(len(alike) - shown, hint=hint)}"
    else:
        linked = f" ({', '.join(how)})" if how else ""
        yield f"{_USED_BY}{names}{linked}"
    yield from (_reason_text(reason) for reason in reasons if reason not in alike)


def _reason_text(reason: Reason) -> str:
    """Return a reason in words, with the link kind where it was measured."""
    return f"{reason.detail} ({_LINKED[reason.link]})" if reason.link else reason.detail
