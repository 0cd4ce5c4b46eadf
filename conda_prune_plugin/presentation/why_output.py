"""Explanations, as text and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from ..core.model import Entry, RootState
from ..core.notices import Notice
from ..core.plan import Remove
from ..core.rules.explanation import Explanation, KeptAlone
from ..core.units import format_age, format_size, plural
from .plan_json import SCHEMA, iso_time, reason_document, root_document, warnings_document
from .plan_text import reason_text
from .terminal.printable import printable

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


def show_why(
    out: Console, found: Sequence[Explanation], places: Places, alone: Sequence[KeptAlone] | None, *, now: float
) -> None:
    """Print every explanation in a paragraph of its own, then what each root alone keeps."""
    for item in found:
        out.print(Text(printable(item.entry.dist), style="bold", overflow="fold"), end="")
        out.print(Text(f" in {printable(item.entry.cache)}: {item.verdict}", overflow="fold"))
        for reason in item.reasons:
            _line(out, f"{'stays' if item.removal is None else 'goes'}: {reason_text(reason)}")
        if item.removal is not None:
            _line(out, f"{_since(item.removal, now)}; {format_size(item.removal.reclaimable)} reclaimable")
        for line in _held(places.get(item.entry)):
            _line(out, line)
    if not found and alone is None:
        out.print("Nothing in the caches is linked from somewhere unknown.")
    if alone is not None:
        _show_alone(out, alone)


def _line(out: Console, text: str) -> None:
    out.print(Text(f"  {printable(text)}", overflow="fold"))


def _since(removal: Remove, now: float) -> str:
    if removal.last_used is None:
        return "when it was last used is not known"
    age = format_age(now - removal.last_used)
    time = iso_time(removal.last_used) or "unknown"
    if removal.last_used_from is not None and removal.last_used_from.value == "link":
        return f"unused since {time} ({age} ago), when a link to its files was last made or removed"
    return f"unused since {time} ({age} ago), when it was fetched or extracted"


def _held(places: Sequence[tuple[str, str | None]] | None) -> Iterable[str]:
    if places is None:
        return
    if not places:
        yield "found: nothing there holds it"
    by_prefix: dict[str | None, list[str]] = {}
    for path, prefix in places:
        by_prefix.setdefault(prefix, []).append(path)
    for prefix, paths in by_prefix.items():
        where = f"the environment {prefix}" if prefix else "no environment"
        more = f" and {len(paths) - _MANY:,} more" if len(paths) > _MANY else ""
        yield f"found: {where} ({', '.join(paths[:_MANY])}{more})"


def _show_alone(out: Console, alone: Sequence[KeptAlone]) -> None:
    if not alone:
        out.print("There are no roots: nothing is kept.")
        return
    out.print("Bytes that could be reclaimed if one root went away, and what only it names:")
    width = max(len(format_size(item.reclaimable)) for item in alone)
    for item in sorted(alone, key=lambda item: -item.reclaimable):
        root = item.root
        state = "" if root.state is RootState.OK else f", {root.state}"
        name = root.name or root.path
        path = f" ({root.path})" if root.path and root.path != name else ""
        entries = f"{len(item.entries):,} of {plural(len(root.packages), 'package')}"
        _line(out, f"{format_size(item.reclaimable):>{width}}  {root.kind} {name}{path}: {entries}{state}")
