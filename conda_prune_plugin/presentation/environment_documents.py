"""The JSON documents of ``conda prune envs`` and ``usage``, declared as in `documents`."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.codec import encode
from ..core.envs.environment_use import Environment, EnvsResult, Losses, last_evidence, protections
from ..core.notices import Notice
from ..core.usage.disk_usage import Account
from ..core.usage.package_usage import PackageUsage, Zoom
from ..core.usage.usage_report import EnvironmentUsage, Usage
from .documents import SCHEMA, fields, iso_time, warnings_document

#: So many others with the same packages are named for each environment; the groups name all of them once.
_MOST_DUPLICATES = 20


def envs_document(result: EnvsResult, *, dry_run: bool, pruned: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the document of ``conda prune envs --json``; `pruned` is that of a prune afterwards."""
    fixed = result.fix or {}
    groups = {item.alike[0]: item.alike for item in result.shown if len(item.alike) > 1}
    return {
        "schema": SCHEMA,
        "success": not result.failed,
        "dry_run": dry_run,
        "run": result.run.id if result.run else None,
        "disposal": result.disposal.value if result.disposal else None,
        "environments": [_environment(item, result) for item in result.shown],
        "duplicate_groups": [list(group) for group in groups.values()],
        "registries": [
            {
                "path": registry,
                "stale": [{"prefix": prefix, "kind": why} for prefix, why in stale],
                "taken_out": list(fixed.get(registry, ())),
            }
            for registry, stale in result.stale.items()
        ],
        "copies": list(result.copies),
        "remove": [
            {
                "path": environment.path,
                "not_rebuildable": _losses(environment.path, losses),
                "own_files": [os.path.join(environment.path, name) for name in losses.kept],
            }
            for environment, losses in result.remove
        ],
        "totals": fields(
            result,
            "environments=count remove released reclaimable reclaimable_then "
            "released_inodes reclaimable_inodes reclaimable_inodes_then",
            remove=len(result.remove),
        ),
        "outcomes": [fields(outcome, "path result freed freed_inodes error exports") for outcome in result.outcomes],
        "prune": pruned,
        "warnings": warnings_document(result.notices),
    }


def _environment(item: Environment, result: EnvsResult) -> dict[str, Any]:
    last = last_evidence(item, result.now)
    others = (path for path in item.alike if path != item.path)
    return fields(
        item,
        "path name=root.name state=root.state packages pip_packages=usage.pip.names files=usage.account.files "
        "apparent=usage.account.apparent own=usage.account.own shared=usage.account.shared kept "
        "own_inodes=usage.account.own_inodes shared_inodes=usage.account.shared_inodes python created "
        "changed=usage.changed used=usage.used keeps_access=usage.keeps_access last_evidence running pointers "
        "registered active frozen problems duplicates duplicate_count protected",
        packages=len(item.root.packages),
        kept=result.kept.get(item.path, 0),
        last_evidence=last and fields(last, "kind time detail"),
        duplicates=list(itertools.islice(others, _MOST_DUPLICATES)),
        duplicate_count=max(len(item.alike) - 1, 0),
        protected=encode(protections(item, by_age=False)),
        running=[fields(process, "pid command") for process in item.running],
    )


def _losses(prefix: str, losses: Losses) -> dict[str, Any]:
    return fields(
        losses,
        "packages files size largest",
        packages=[{"name": name, "why": why, "size": size} for name, why, size in losses.packages],
        largest=[{"path": os.path.join(prefix, name), "size": size} for name, size in losses.largest],
    )


def usage_document(
    usage: Usage,
    notices: Iterable[Notice],
    *,
    packages: Iterable[PackageUsage] | None = None,
    zoomed: tuple[EnvironmentUsage, Zoom] | None = None,
) -> dict[str, Any]:
    """Return the document of `conda prune usage --json`."""
    document = {
        "schema": SCHEMA,
        "success": True,
        "environments": [_environment_usage(item) for item in usage.environments],
        "caches": [
            {
                **fields(item.cache, "path client writable entries", entries=len(item.cache.entries)),
                **_account(item.account),
                **fields(item, "kinds kinds_inodes reclaimable reclaimable_inodes recent"),
            }
            for item in usage.caches
        ],
        "other_caches": [fields(item, "kind path allocated inodes complete command") for item in usage.other_caches],
        "file_systems": [
            fields(
                system,
                "path=point type size free reflinks inodes free_inodes allocated allocated_inodes quotas quota_error",
            )
            for system in usage.file_systems
        ],
        "totals": fields(
            usage,
            "environments caches apparent allocated inodes reclaimable reclaimable_inodes exact",
            environments=len(usage.environments),
            caches=len(usage.caches),
        ),
        "warnings": warnings_document(notices),
    }
    if packages is not None:
        document["packages"] = encode(tuple(packages))
    if zoomed is not None:
        document["environment"] = {**_environment_usage(zoomed[0]), **_zoom(*zoomed)}
    return document


def _account(account: Account) -> dict[str, Any]:
    return fields(
        account,
        "files directories apparent allocated own shared shared_with_caches=with_caches "
        "shared_with_environments=with_environments shared_elsewhere=elsewhere "
        "inodes own_inodes shared_inodes",
    )


def _environment_usage(item: EnvironmentUsage) -> dict[str, Any]:
    return {
        **fields(item.root, "path name state packages", packages=len(item.root.packages)),
        **_account(item.account),
        "pip": fields(item.pip, "packages=names files allocated inodes"),
        "last_changed": iso_time(item.changed),
        "last_used": iso_time(item.used),
        "last_used_from": "access" if item.keeps_access else None,
    }


def _zoom(environment: EnvironmentUsage, zoom: Zoom) -> dict[str, Any]:
    top = environment.root.path
    return fields(
        zoom,
        "kept kept_inodes dists unrecorded records directories_allocated=directories",
        dists=[
            fields(share, "dist files allocated inodes own own_inodes other_environments=others")
            for share in zoom.packages
        ],
        unrecorded={
            "files": zoom.other_files,
            "allocated": zoom.other,
            "largest": [{"path": os.path.join(top, name), "allocated": size} for name, size in zoom.strangers],
        },
    )
