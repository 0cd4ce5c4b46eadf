"""The JSON document of ``conda prune``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from os.path import basename, join
from typing import Any

from ..core.accounting import precision
from ..core.model import Cache, OtherKind, PartKind, Root
from ..core.notices import Notice
from ..core.plan import Keep, Other, OtherOutcome, Outcome, Plan, Reason, Remove, Repair
from ..core.run import Check, Run, Shrinkage

#: Changes only if a field must change its meaning; fields are added without.
SCHEMA = 1

#: The documents of reasons, by the identity of these: thousands of entries are kept for the same few environments.
_RecordsShown = dict[int, dict[str, Any]]


def prune_document(
    plan: Plan,
    *,
    dry_run: bool,
    run: Run | None,
    outcomes: Sequence[Outcome],
    others: Sequence[OtherOutcome] = (),
    notices: Iterable[Notice],
    success: bool,
    check: Check | None = None,
    shrinkage: Shrinkage | None = None,
) -> dict[str, Any]:
    """Return the document of `conda prune --json`: sizes in bytes, times in ISO 8601 and UTC, paths absolute."""
    told: _RecordsShown = {}
    return {
        "schema": SCHEMA,
        "success": success,
        "dry_run": dry_run,
        "run": run.id if run else None,
        "disposal": run.disposal.value if run else None,
        "caches": [_cache(cache) for cache in plan.inventory.caches],
        "roots": [root_document(root) for root in plan.inventory.roots],
        "remove": [_remove(decision, told) for decision in plan.remove],
        "keep": [_keep(decision, told) for decision in plan.keep],
        "other": {kind.value: [_other(other) for other in plan.other if other.kind is kind] for kind in OtherKind},
        "totals": {
            "remove": len(plan.remove),
            "keep": len(plan.keep),
            "other": len(plan.other),
            "files": plan.files,
            "apparent": plan.apparent,
            "reclaimable": plan.reclaimable,
            "precision": precision(plan.inventory.notices).value,
        },
        "check": check and {"limit": check.limit, "exceeded": check.exceeded(plan.reclaimable)},
        "ci": shrinkage and asdict(shrinkage),
        "repair": [_repair(item) for item in plan.repair],
        "outcomes": [*map(outcome_document, outcomes), *map(_other_outcome, others)],
        "warnings": warnings_document(notices),
    }


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """Return what became of one entry; `freed` in bytes."""
    return {
        "dist": outcome.entry.dist,
        "cache": outcome.entry.cache,
        "result": outcome.result.value,
        "freed": outcome.freed,
        "error": outcome.error,
    }


def _repair(item: Repair) -> dict[str, Any]:
    entry = item.removal.entry
    return {
        "dist": entry.dist,
        "cache": entry.cache,
        "path": item.removal.paths[0],
        "archive": join(entry.cache, item.archive),
        "detail": item.removal.reasons[0].detail,
    }


def _other(other: Other) -> dict[str, Any]:
    return {
        "path": other.path,
        "files": other.files,
        "apparent": other.apparent,
        "reclaimable": other.reclaimable,
    }


def _other_outcome(outcome: OtherOutcome) -> dict[str, Any]:
    """Return what became of what is no entry: in the same form, with its kind and path."""
    return {
        "dist": basename(outcome.other.path),
        "cache": outcome.other.top,
        "kind": outcome.other.kind.value,
        "path": outcome.other.path,
        "result": outcome.result.value,
        "freed": outcome.freed,
        "error": outcome.error,
    }


def warnings_document(notices: Iterable[Notice]) -> list[dict[str, Any]]:
    """Return the warnings of any document."""
    return [{"kind": notice.kind, "message": notice.message, "path": notice.path or None} for notice in notices]


def iso_time(time: float | None) -> str | None:
    """Return a time as ISO 8601 in UTC, to the second; None for one that no calendar has."""
    if time is None:
        return None
    try:
        return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return None


def _cache(cache: Cache) -> dict[str, Any]:
    return {
        "path": cache.path,
        "client": cache.client,
        "writable": cache.writable,
        "entries": len(cache.entries),
    }


def root_document(root: Root) -> dict[str, Any]:
    """Return a root; a rule has no path."""
    return {
        "kind": root.kind.value,
        "path": root.path or None,
        "name": root.name,
        "state": root.state.value,
        "packages": len(root.packages),
    }


def _remove(decision: Remove, told: _RecordsShown) -> dict[str, Any]:
    return {
        "dist": decision.entry.dist,
        "cache": decision.entry.cache,
        "parts": list(dict.fromkeys(part.kind.value for part in decision.parts if part.kind is not PartKind.LOCK)),
        "paths": list(decision.paths),
        "reasons": _reasons(decision.reasons, told),
        "files": decision.files,
        "apparent": decision.apparent,
        "reclaimable": decision.reclaimable,
        "last_used": iso_time(decision.last_used),
        "last_used_from": decision.last_used_from.value if decision.last_used_from else None,
        "source": decision.source,
    }


def _keep(decision: Keep, told: _RecordsShown) -> dict[str, Any]:
    return {
        "dist": decision.entry.dist,
        "cache": decision.entry.cache,
        "verdict": decision.verdict.value,
        "reasons": _reasons(decision.reasons, told),
    }


def _reasons(reasons: Sequence[Reason], told: _RecordsShown) -> list[dict[str, Any]]:
    return [told.get(id(reason)) or told.setdefault(id(reason), reason_document(reason)) for reason in reasons]


def reason_document(reason: Reason) -> dict[str, Any]:
    """Return a reason of any decision."""
    document: dict[str, Any] = {"kind": reason.kind.value, "detail": reason.detail}
    if reason.root is not None:
        document["root"] = reason.root
    if reason.link is not None:
        document["link"] = reason.link.value
    return document
