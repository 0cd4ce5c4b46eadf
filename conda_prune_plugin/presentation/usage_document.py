"""The JSON document of `conda prune usage`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.model import Notice
from ..core.report import CacheUsage, EnvironmentUsage, FileSystem, Usage
from ..core.usage import Account
from .document import SCHEMA, iso_time, warnings


def usage_document(usage: Usage, notices: Iterable[Notice]) -> dict[str, Any]:
    """Return the document: sizes in bytes, times in ISO 8601 and UTC, paths absolute."""
    return {
        "schema": SCHEMA,
        "success": True,
        "environments": [_environment(item) for item in usage.environments],
        "caches": [_cache(item) for item in usage.caches],
        "file_systems": [_file_system(item) for item in usage.file_systems],
        "totals": {
            "environments": len(usage.environments),
            "caches": len(usage.caches),
            "apparent": usage.apparent,
            "allocated": usage.allocated,
            "reclaimable": usage.reclaimable,
            "exact": usage.exact,
        },
        "warnings": warnings(notices),
    }


def _environment(item: EnvironmentUsage) -> dict[str, Any]:
    return {
        "path": item.root.path,
        "name": item.root.name,
        "state": item.root.state.value,
        "packages": len(item.root.dists),
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
