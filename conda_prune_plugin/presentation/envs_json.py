"""The JSON document of ``conda prune envs``."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.envs.environment_use import Environment, Losses, last_evidence, protections
from ..core.envs.envs_result import EnvsResult
from .plan_json import SCHEMA, iso_time, warnings_document

#: So many others with the same packages the document names for each environment; all of them it names once a group.
_MOST_DUPLICATES = 20


def envs_document(result: EnvsResult, *, dry_run: bool, pruned: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the document of ``conda prune envs --json``: sizes in bytes, times in ISO 8601 and UTC.

    pruned: the document of a prune afterwards.
    """
    losses = {environment.path: item for environment, item in result.remove}
    return {
        "schema": SCHEMA,
        "success": not result.failed,
        "dry_run": dry_run,
        "run": result.run.id if result.run else None,
        "disposal": result.disposal.value if result.disposal else None,
        "environments": [_environment(item, result.now) for item in result.shown],
        "duplicate_groups": _groups(result.shown),
        "registries": [
            {
                "path": registry,
                "stale": [{"prefix": prefix, "kind": why} for prefix, why in stale],
                "taken_out": list((result.fix or {}).get(registry, ())),
            }
            for registry, stale in result.stale.items()
        ],
        "copies": list(result.copies),
        "remove": [
            {
                "path": path,
                "not_rebuildable": _losses(path, item),
                "own_files": [os.path.join(path, name) for name in item.kept],
            }
            for path, item in losses.items()
        ],
        "totals": {
            "environments": result.count,
            "remove": len(result.remove),
            "released": result.released,
            "reclaimable": result.reclaimable,
            "reclaimable_then": result.reclaimable_then,
        },
        "outcomes": [
            {
                "path": outcome.path,
                "result": outcome.result.value,
                "freed": outcome.freed,
                "error": outcome.error,
                "exports": outcome.exports,
            }
            for outcome in result.outcomes
        ],
        "prune": pruned,
        "warnings": warnings_document(result.notices),
    }


def _environment(item: Environment, now: float) -> dict[str, Any]:
    usage, last = item.usage, last_evidence(item, now)
    return {
        "path": item.path,
        "name": item.root.name,
        "state": item.root.state.value,
        "packages": len(item.root.packages),
        "pip_packages": list(usage.pip.names),
        "files": usage.account.files,
        "apparent": usage.account.apparent,
        "own": usage.account.own,
        "shared": usage.account.shared,
        "python": item.python,
        "created": iso_time(item.created),
        "changed": iso_time(usage.changed),
        "used": iso_time(usage.used),
        "keeps_access": usage.keeps_access,
        "last_evidence": last and {"kind": last.kind.value, "time": iso_time(last.time), "detail": last.detail},
        "running": [{"pid": process.pid, "command": process.command} for process in item.running],
        "pointers": [{"kind": pointer.kind, "path": pointer.path} for pointer in item.pointers],
        "registered": item.registered,
        "active": item.active,
        "frozen": item.frozen,
        "problems": [{"kind": problem.kind, "detail": problem.detail} for problem in item.problems],
        "duplicates": list(itertools.islice((path for path in item.alike if path != item.path), _MOST_DUPLICATES)),
        "duplicate_count": max(len(item.alike) - 1, 0),
        "protected": [{"kind": found.kind.value, "detail": found.detail} for found in protections(item, by_age=False)],
    }


def _losses(prefix: str, losses: Losses) -> dict[str, Any]:
    return {
        "packages": [{"name": name, "why": why, "size": size} for name, why, size in losses.packages],
        "files": losses.files,
        "size": losses.size,
        "largest": [{"path": os.path.join(prefix, name), "size": size} for name, size in losses.largest],
    }


def _groups(environments: Iterable[Environment]) -> list[list[str]]:
    """Return all environments with the same packages as one of these, each group once."""
    groups = {item.alike[0]: item.alike for item in environments if len(item.alike) > 1}
    return [list(group) for group in groups.values()]
