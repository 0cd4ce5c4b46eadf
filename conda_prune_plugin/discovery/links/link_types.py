"""How an environment links the files of an entry, measured on the files.

``link.type`` of a record is what was asked for per package, not what happened per file, and mamba always writes 1.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from ... import failures
from ...core.layout import META
from ...core.model import Cache, Entry, Inventory, LinkKind, PartKind, ReasonKind
from ...core.plan import Keep, Remove
from ...core.rules.planner import Links
from ...failures import suppress
from ..packages.package_identity import Names
from ..system.safe_read import read_object

#: The reasons that are about an environment's files.
_OF_ENVIRONMENTS = (ReasonKind.ENVIRONMENT, ReasonKind.UNLINKED)


def measure_links(inventory: Inventory, decisions: Iterable[Keep | Remove]) -> Links:
    """Return the link kind for every entry and environment that names it: hard or soft if any file is so.

    `RECORDED` if there are no files to tell it from: the package has none, or entry or record can't be read.
    """
    by_path = {cache.path: cache for cache in inventory.caches}
    names = Names(inventory.roots)
    found: dict[tuple[Entry, str], LinkKind] = {}
    for decision in decisions:
        entry = decision.entry
        directory = _extracted(by_path[entry.cache], entry)
        prefixes = [reason.root for reason in decision.reasons if reason.kind in _OF_ENVIRONMENTS and reason.root]
        inodes = _inodes(directory) if directory and prefixes else frozenset()
        for prefix in prefixes:
            known = names.of(by_path[entry.cache], entry)
            files = _installed_files(prefix, known, directory) if directory else []
            found[entry, prefix] = _link_kind(directory or "", inodes, [os.path.join(prefix, name) for name in files])
    return found


def _extracted(cache: Cache, entry: Entry) -> str | None:
    parts = (part for part in entry.parts if part.kind is PartKind.EXTRACTED and not part.is_link)
    return next((os.path.join(cache.real_path, part.name) for part in parts), None)


def _installed_files(prefix: str, names: Iterable[str], directory: str) -> list[str]:
    """Return the files of the record that an environment has by one of some names.

    Without one (half-removed environments) those of the package.
    """
    for dist in names:
        try:
            files = read_object(os.path.join(prefix, META, f"{dist}.json")).get("files")
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            failures.note(error)
            return []
        return [name for name in files if isinstance(name, str)] if isinstance(files, list) else []
    return _names_below(directory)


def _names_below(directory: str) -> list[str]:
    return [
        os.path.relpath(os.path.join(top, name), directory) for top, _, names in os.walk(directory) for name in names
    ]


def _inodes(directory: str) -> frozenset[tuple[int, int]]:
    found = set()
    pending = [directory]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as listing:
            for item in listing:
                if item.is_dir(follow_symlinks=False):
                    pending.append(item.path)
                    continue
                with suppress(FileNotFoundError):
                    # Not by the item: on Windows it knows neither number.
                    status = os.lstat(item.path)
                    found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _link_kind(directory: str, inodes: frozenset[tuple[int, int]], installed: Iterable[str]) -> LinkKind:
    found = LinkKind.RECORDED
    for path in installed:
        try:
            status = os.lstat(path)
        except (OSError, ValueError) as error:
            failures.note(error)
            continue  # ValueError: a record can name what no file can be named.
        if (status.st_dev, status.st_ino) in inodes:
            return LinkKind.HARD
        if stat.S_ISLNK(status.st_mode) and failures.realpath(path).startswith(os.path.join(directory, "")):
            return LinkKind.SOFT
        found = LinkKind.COPY
    return found
