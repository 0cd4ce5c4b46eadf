"""The JSON document of `conda prune usage`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ...core.notices import Notice
from ...core.usage.disk_usage import Account
from ...core.usage.package_usage import PackageUsage, Zoom
from ...core.usage.usage_report import CacheUsage, EnvironmentUsage, FileSystem, OtherCache, Usage
from ..plan_json import SCHEMA, iso_time, warnings_document


def usage_document(
    usage: Usage,
    notices: Iterable[Notice],
    *,
    packages: Iterable[PackageUsage] | None = None,
    zoomed: tuple[EnvironmentUsage, Zoom] | None = None,
) -> dict[str, Any]:
    """Return the document: sizes in bytes, times in ISO 8601 and UTC, paths absolute."""
    document = {
        "schema": SCHEMA,
        "success": True,
        "environments": [_environment(item) for item in usage.environments],
        "caches": [_cache(item) for item in usage.caches],
        "other_caches": [_other_cache(item) for item in usage.other_caches],
        "file_systems": [_file_system(item) for item in usage.file_systems],
        "totals": {
            "environments": len(usage.environments),
            "caches": len(usage.caches),
            "apparent": usage.apparent,
            "allocated": usage.allocated,
            "reclaimable": usage.reclaimable,
            "exact": usage.exact,
        },
        "warnings": warnings_document(notices),
    }
    if packages is not None:
        document["packages"] = [_package(item) for item in packages]
    if zoomed is not None:
        document["environment"] = {**_environment(zoomed[0]), **_zoom(*zoomed)}
    return document


def _package(item: PackageUsage) -> dict[str, Any]:
    return {
        "name": item.name,
        "versions": [
            {
                "dist": version.dist,
                "environments": list(version.environments),
                "cached": version.cached,
                "allocated": version.allocated,
            }
            for version in item.versions
        ],
        "environments": item.environments,
        "allocated": item.allocated,
        "shared": item.shared,
        "duplicated": item.duplicated,
    }


def _zoom(environment: EnvironmentUsage, zoom: Zoom) -> dict[str, Any]:
    return {
        "kept": zoom.kept,
        "dists": [
            {
                "dist": share.dist,
                "files": share.files,
                "allocated": share.allocated,
                "own": share.own,
                "other_environments": share.others,
            }
            for share in zoom.packages
        ],
        "unrecorded": {
            "files": zoom.other_files,
            "allocated": zoom.other,
            "largest": [
                {"path": os.path.join(environment.root.path, name), "allocated": size} for name, size in zoom.strangers
            ],
        },
        "records": zoom.records,
        "directories_allocated": zoom.directories,
    }


def _environment(item: EnvironmentUsage) -> dict[str, Any]:
    return {
        "path": item.root.path,
        "name": item.root.name,
        "state": item.root.state.value,
        "packages": len(item.root.packages),
        **_account(item.account),
        "pip": {"packages": list(item.pip.names), "files": item.pip.files, "allocated": item.pip.allocated},
        "last_changed": iso_time(item.changed),
        "last_used": iso_time(item.used),
        "last_used_from": "access" if item.keeps_access else None,
    }


def _cache(item: CacheUsage) -> dict[str, Any]:
    return {
        "path": item.cache.path,
        "client": item.cache.client,
        "writable": item.cache.writable,
        "entries": len(item.cache.entries),
        **_account(item.account),
        "kinds": dict(item.kinds),
        "reclaimable": item.reclaimable,
        "recent": item.recent,
    }


def _other_cache(item: OtherCache) -> dict[str, Any]:
    return {
        "kind": item.kind.value,
        "path": item.path,
        "allocated": item.allocated,
        "complete": item.complete,
        "command": item.command,
    }


def _account(account: Account) -> dict[str, int]:
    return {
        "files": account.files,
        "directories": account.directories,
        "apparent": account.apparent,
        "allocated": account.allocated,
        "own": account.own,
        "shared": account.shared,
        "shared_with_caches": account.with_caches,
        "shared_with_environments": account.with_environments,
        "shared_elsewhere": account.elsewhere,
    }


def _file_system(system: FileSystem) -> dict[str, Any]:
    return {
        "path": system.point,
        "type": system.type,
        "size": system.size,
        "free": system.free,
        "reflinks": system.reflinks,
    }
