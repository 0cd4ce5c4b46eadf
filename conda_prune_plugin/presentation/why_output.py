"""Explanations, as text and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from ..core.model import Entry, LastUsedFrom, ReasonKind, Root, RootKind, RootState, Verdict
from ..core.notices import Notice
from ..core.plan import Remove
from ..core.rules.explanation import Explanation, KeptAlone
from ..core.units import format_age, format_size
from .plan_json import SCHEMA, iso_time, reason_document, root_document, warnings_document
from .plan_text import LINES, is_in_use, reason_texts
from .terminal.printable import printable
from .terminal.tables import Row, show_table

#: For each entry the files that hold it, each with the environment that it lies in, if any.
Places = Mapping[Entry, Sequence[tuple[str, "str | None"]]]

#: More files of one entry than these are counted, not listed.
_MANY = 3


def why_document(
    found: Iterable[Explanation],
    places: Places,
    alone: Iterable[KeptAlone] | None,
    notices: Iterable[Notice],
    *,
    success: bool,
) -> dict[str, Any]:
    """Return the document of `conda prune why --json`; `roots` and `found` only where they were asked for."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "success": success,
        "packages": [_package(item, places) for item in found],
        "warnings": warnings_document(notices),
    }
    if alone is not None:
        document["roots"] = [
            {
                **root_document(item.root),
                "alone": [{"dist": entry.dist, "cache": entry.cache} for entry in item.entries],
                "reclaimable": item.reclaimable,
            }
            for item in alone
        ]
    return document


def _package(item: Explanation, places: Places) -> dict[str, Any]:
    document: dict[str, Any] = {
        "dist": item.entry.dist,
        "cache": item.entry.cache,
        "verdict": item.verdict.value,
        "remove": item.removal is not None,
        "reasons": [reason_document(reason) for reason in item.reasons],
    }
    if item.removal is not None:
        document |= {
            "reclaimable": item.removal.reclaimable,
            "last_used": iso_time(item.removal.last_used),
            "last_used_from": item.removal.last_used_from.value if item.removal.last_used_from else None,
            "source": item.removal.source,
        }
    if item.entry in places:
        document["found"] = [{"path": path, "environment": prefix} for path, prefix in places[item.entry]]
    return document


#: How a verdict is put.
_VERDICTS = {
    Verdict.REACHABLE: "in use",
    Verdict.UNREFERENCED: "unused",
    Verdict.UNKNOWN: "can't be judged",
    Verdict.LEFTOVER: "leftover",
}


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
        out.print(Text(printable(item.entry.dist), style="bold", overflow="fold"), end="")
        out.print(Text(f" in {printable(item.entry.cache)}: {_verdict(item)}", overflow="fold"))
        for reason in reason_texts(item.reasons, whole=whole):
            _line(out, f"{'kept' if item.removal is None else 'removable'}: {reason}")
        if item.removal is not None:
            _line(out, f"frees {format_size(item.removal.reclaimable)}{_since(item.removal, now)}")
        for line in _held(places.get(item.entry)):
            _line(out, line)
    if not found and alone is None:
        out.print("No package in the caches is hard-linked by an unknown environment.")
    if alone is not None:
        _show_alone(out, alone, whole=whole)


def _verdict(item: Explanation) -> str:
    """Return the verdict in words; a package that only a rule or a lockfile names is not in use."""
    of_environments = (ReasonKind.ENVIRONMENT, ReasonKind.LINKED, ReasonKind.UNLINKED)
    if item.verdict is Verdict.REACHABLE and not any(reason.kind in of_environments for reason in item.reasons):
        kept = (ReasonKind.TARBALL, ReasonKind.EXTRACTED)
        return "in use" if any(reason.kind in kept for reason in item.reasons) else "unused, but kept"
    return _VERDICTS[item.verdict]


def _line(out: Console, text: str) -> None:
    out.print(Text(f"  {printable(text)}", overflow="fold"))


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


def _held(places: Sequence[tuple[str, str | None]] | None) -> Iterable[str]:
    if places is None:
        return
    if not places:
        yield "found: nothing in that directory is linked to it"
    by_prefix: dict[str | None, list[str]] = {}
    for path, prefix in places:
        by_prefix.setdefault(prefix, []).append(path)
    for prefix, paths in by_prefix.items():
        where = f"environment {prefix}" if prefix else "outside of environments"
        more = f" and {len(paths) - _MANY:,} more" if len(paths) > _MANY else ""
        yield f"found: {where} ({', '.join(paths[:_MANY])}{more})"


def _show_alone(out: Console, alone: Sequence[KeptAlone], *, whole: bool) -> None:
    if not alone:
        out.print("No environments, lockfiles or rules found: nothing keeps a package.")
        return
    environments = all(item.root.kind is RootKind.ENVIRONMENT for item in alone)
    what = "one environment" if environments else "one environment, lockfile or rule"
    out.print(f"Space in the caches that removing {what} would free:")
    ranked = sorted(alone, key=lambda item: -item.reclaimable)
    shown = ranked if whole else ranked[:LINES]
    rows = [
        Row(
            _root(item.root, whole=whole),
            (format_size(item.reclaimable), f"{len(item.entries):,}", f"{len(item.root.packages):,}"),
        )
        for item in shown
    ]
    show_table(out, "  only it uses", ("frees", "packages", "of"), rows)
    if len(ranked) > len(shown):
        _line(out, f"and {len(ranked) - len(shown):,} more (-v shows all)")


def _root(root: Root, *, whole: bool) -> str:
    state = "" if root.state is RootState.OK else f", {root.state}"
    name = root.name or root.path
    path = f" ({root.path})" if whole and root.path and root.path != name else ""
    return printable(f"  {root.kind} {name}{path}{state}")
