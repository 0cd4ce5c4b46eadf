"""The JSON documents of the commands: sizes in bytes, times in ISO 8601 and UTC, paths absolute.

``docs/json.md`` is their contract. Each is declared by the names of its fields, in their order.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..core.accounting import precision
from ..core.codec import encode
from ..core.model import Entry, OtherKind, PartKind, Root
from ..core.notices import Notice
from ..core.plan import OtherOutcome, Outcome, Plan, Reason
from ..core.run import Check, PurgeOutcome, Run, RunSummary, Shrinkage
from ..core.usage.sharing import ShareOutcome, SharePlan, gains

if TYPE_CHECKING:
    from ..core.rules.explanation import Explanation, KeptAlone

#: Changes only if a field must change its meaning; fields are added without.
SCHEMA = 1

#: The fields that hold times.
_TIMES = frozenset({"created", "changed", "used", "last_used", "last_changed", "time"})

#: For each entry the files that hold it, each with the environment that it lies in, if any.
Places = Mapping[Entry, Sequence[tuple[str, "str | None"]]]


def iso_time(time: float | None) -> str | None:
    """Return a time as ISO 8601 in UTC, to the second; None for one that no calendar has."""
    if time is None:
        return None
    try:
        return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return None


def fields(value: object, names: str, **computed: Any) -> dict[str, Any]:
    """Return an object with these fields, in this order: attributes of a value, or what was computed.

    ``dist=entry.dist`` is the field `dist` with the value of the attribute `dist` of the attribute `entry`.
    """
    return {name: computed[name] if name in computed else read(value) for name, read in _readers(names)}


@functools.cache
def _readers(names: str) -> tuple[tuple[str, Callable[[object], Any]], ...]:
    return tuple(_reader(*word.partition("=")[::2]) for word in names.split())


def _reader(name: str, path: str) -> tuple[str, Callable[[object], Any]]:
    attribute = attrgetter(path or name)
    shown: Callable[[Any], Any] = iso_time if name in _TIMES else encode
    return name, lambda value: shown(attribute(value))


def warnings_document(notices: Iterable[Notice]) -> list[dict[str, Any]]:
    """Return the warnings of any document."""
    return [fields(notice, "kind message path", path=notice.path or None) for notice in notices]


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
    """Return the document of `conda prune --json`."""
    reasons = _Reasons()
    return {
        "schema": SCHEMA,
        "success": success,
        "dry_run": dry_run,
        "run": run.id if run else None,
        "disposal": run.disposal.value if run else None,
        "caches": [
            fields(cache, "path client writable entries", entries=len(cache.entries)) for cache in plan.inventory.caches
        ],
        "roots": [_root(root) for root in plan.inventory.roots],
        "remove": [
            fields(
                decision,
                "dist=entry.dist cache=entry.cache parts paths reasons files apparent reclaimable "
                "reclaimable_inodes last_used last_used_from source",
                parts=list(dict.fromkeys(part.kind.value for part in decision.parts if part.kind is not PartKind.LOCK)),
                reasons=reasons.of(decision.reasons),
            )
            for decision in plan.remove
        ],
        "keep": [
            fields(decision, "dist=entry.dist cache=entry.cache verdict reasons", reasons=reasons.of(decision.reasons))
            for decision in plan.keep
        ],
        "other": {
            kind.value: [
                fields(other, "path files apparent reclaimable reclaimable_inodes")
                for other in plan.other
                if other.kind == kind
            ]
            for kind in OtherKind
        },
        "totals": fields(
            plan,
            "remove keep other files apparent reclaimable reclaimable_inodes precision",
            remove=len(plan.remove),
            keep=len(plan.keep),
            other=len(plan.other),
            precision=precision(plan.inventory.notices).value,
        ),
        "check": check and fields(check, "limit unit exceeded", exceeded=check.exceeded(plan.frees)),
        "ci": shrinkage and asdict(shrinkage),
        "repair": [
            fields(
                item,
                "dist=removal.entry.dist cache=removal.entry.cache path archive detail",
                path=item.removal.paths[0],
                archive=os.path.join(item.removal.entry.cache, item.archive),
                detail=item.removal.reasons[0].detail,
            )
            for item in plan.repair
        ],
        "outcomes": [
            *map(_outcome, outcomes),
            *(
                fields(
                    outcome,
                    "dist cache=other.top kind=other.kind path=other.path result freed freed_inodes error",
                    dist=os.path.basename(outcome.other.path),
                )
                for outcome in others
            ),
        ],
        "warnings": warnings_document(notices),
    }


class _Reasons:
    """Objects of reasons, made once for the thousands of entries that are kept for the same few environments."""

    def __init__(self) -> None:
        self._by_identity: dict[int, dict[str, Any]] = {}

    def of(self, reasons: Sequence[Reason]) -> list[dict[str, Any]]:
        known = self._by_identity
        return [known.get(id(reason)) or known.setdefault(id(reason), _reason(reason)) for reason in reasons]


def _reason(reason: Reason) -> dict[str, Any]:
    return {name: value for name, value in fields(reason, "kind detail root link").items() if value is not None}


def _root(root: Root) -> dict[str, Any]:
    return fields(root, "kind path name state packages", path=root.path or None, packages=len(root.packages))


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return fields(outcome, "dist=entry.dist cache=entry.cache result freed freed_inodes error")


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
        "packages": [_explanation(item, places) for item in found],
        "warnings": warnings_document(notices),
    }
    if alone is not None:
        document["roots"] = [
            {
                **_root(item.root),
                "alone": [fields(entry, "dist cache") for entry in item.entries],
                **fields(item, "reclaimable reclaimable_inodes"),
            }
            for item in alone
        ]
    return document


def _explanation(item: Explanation, places: Places) -> dict[str, Any]:
    document = fields(
        item,
        "dist=entry.dist cache=entry.cache verdict remove reasons",
        remove=item.removal is not None,
        reasons=[_reason(reason) for reason in item.reasons],
    )
    if item.removal is not None:
        document |= fields(item.removal, "reclaimable reclaimable_inodes last_used last_used_from source")
    if item.entry in places:
        document["found"] = [{"path": path, "environment": prefix} for path, prefix in places[item.entry]]
    return document


def runs_document(
    runs: Iterable[dict[str, Any]],
    notices: Iterable[Notice],
    *,
    success: bool,
    dry_run: bool,
    outcomes: Sequence[Outcome] = (),
) -> dict[str, Any]:
    """Return the document of ``restore`` and ``purge``."""
    return {
        "schema": SCHEMA,
        "success": success,
        "dry_run": dry_run,
        "runs": list(runs),
        "outcomes": [_outcome(outcome) for outcome in outcomes],
        "warnings": warnings_document(notices),
    }


def run_document(summary: RunSummary) -> dict[str, Any]:
    """Return one run."""
    run = summary.run
    return fields(
        summary,
        "run=id time disposal destination caches entries dists files bytes=stored inodes=stored_inodes complete "
        "environments own_files",
        time=iso_time(run.started) if run else None,
        disposal=run.disposal.value if run else None,
        destination=run.destination if run else None,
        entries=len(summary.dists),
    )


def purged_document(outcome: PurgeOutcome) -> dict[str, Any]:
    """Return a run that was to be purged."""
    return {**run_document(outcome.summary), **fields(outcome, "result freed freed_inodes error")}


def restored_document(summary: RunSummary, dists: Sequence[str], files: int) -> dict[str, Any]:
    """Return a run of which some entries, with so many files, were to be restored."""
    return {**run_document(summary), "dists": list(dists), "entries": len(dists), "files": files}


def dedupe_document(
    plan: SharePlan, outcomes: Sequence[ShareOutcome], *, success: bool, dry_run: bool
) -> dict[str, Any]:
    """Return the document of ``conda prune dedupe --json``."""
    return {
        "schema": SCHEMA,
        "success": success,
        "dry_run": dry_run,
        "share": [fields(item, "path=file.path source=source.path package=file.package frees") for item in plan.shares],
        "places": [
            fields(gain, "path=place.path name=place.name kind=place.kind package files frees")
            for gain in gains(plan.shares, by_package=True)
        ],
        "left": [{"reason": why.value, "files": files, "bytes": size} for why, (files, size) in plan.left.items()],
        "totals": fields(plan, "files frees exact", files=len(plan.shares)),
        "outcomes": [fields(outcome, "path result freed error") for outcome in outcomes],
        "warnings": warnings_document(plan.notices),
    }
