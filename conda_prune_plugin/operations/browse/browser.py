"""The data behind the browser: rows, their children, and the space that all marked rows free together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from ...core.accounting import hedge
from ...core.envs.environment_use import Environment
from ...core.file_status import allocated
from ...core.model import Inventory, Root
from ...core.plan import Plan, Remove
from ...core.rules.explanation import Explanation
from ...core.units import NO_SPACE, Space, Unit, plural
from ...core.usage.disk_usage import Inodes, Tree, joined, occupied, released
from ...core.usage.package_usage import zoom
from ...core.usage.usage_report import OtherCache
from ...discovery.roots.conda_meta import package_files
from ...discovery.roots.environments_txt import is_environment_backup
from ...discovery.usage.file_owners import contents
from ...discovery.usage.other_tools import other_caches
from ...failures import realpath, suppress
from ...presentation.browse.rows import (
    Marked,
    Row,
    Rows,
    Size,
    View,
    by_key,
    environment_rows,
    listed_rows,
    note_rows,
    package_rows,
    tool_rows,
    zoomed_rows,
)
from ...presentation.terminal.progress import Reporter
from ..envs.list_envs import Listing, list_environments
from ..envs.remove_envs import PreparedRemoval, prepare_removal
from ..interaction import Interaction, Output
from ..options import EnvsOptions
from ..prune.planning import plan_without

#: So many files of a package are listed.
_MOST_FILES = 2_000

#: A scan changes nothing and asks nothing.
_READING = Output(json=False, dry_run=True, yes=False, quiet=True, verbosity=0)


class Browser:
    """One scan of everything, and the answers to questions about it. Nothing is written.

    Called from several threads, one scan at a time. other_patience: how many seconds to measure other tools' caches.
    """

    def __init__(self, options: EnvsOptions, other_patience: float | None) -> None:
        self._options, self._patience = options, other_patience
        self._listing: Listing | None = None
        self._others: tuple[OtherCache, ...] = ()
        self._explained: Mapping[str, Explanation] = {}
        self._plans: dict[frozenset[str], Plan] = {}

    @property
    def scanned(self) -> bool:
        """Whether a scan was completed since the last change."""
        return self._listing is not None

    def forget(self) -> None:
        """Forget the scan, since something was changed."""
        self._listing = None
        self._plans.clear()

    def scan(self, reporter: Reporter, listed: Callable[[Rows], None], measured: Callable[[str, Size], None]) -> Rows:
        """Scan everything and return all rows. Raises `PruneError`.

        listed: called with the names before anything is measured. measured: with the path of each environment when it
        was walked.
        """

        def walked(root: Root, tree: Tree, inodes: Inodes) -> None:
            measured(root.path, _size((tree,), inodes))

        def found(inventory: Inventory) -> None:
            roots = tuple(root for root in inventory.roots if not is_environment_backup(root.path))
            listed(listed_rows(replace(inventory, roots=roots)))

        interaction = Interaction(_READING, reporter)
        listing = list_environments(self._options, interaction, found, walked)
        self._others = other_caches(os.environ, reporter.counter("Counting files of other tools"), self._patience)
        self._plans, self._explained = {}, by_key(listing.plan)
        self._listing = listing
        return self.rows()

    def rows(self) -> Rows:
        """Return all rows of the completed scan."""
        listing = self.listing
        now, scan = listing.result.now, listing.scan
        parts = {item.cache.path: item.parts for item in scan.caches}
        sizes = {
            key: _size((parts[found.entry.cache].get(part.name, Tree()) for part in found.entry.parts), scan.inodes)
            for key, found in self._explained.items()
        }
        rows = package_rows(self._explained, sizes, now)
        return {
            View.ENVIRONMENTS: tuple(environment_rows(listing.environments, listing.result.kept, now)),
            View.PACKAGES: rows[View.PACKAGES],
            View.LEFTOVERS: (*rows[View.LEFTOVERS], *tool_rows(self._others)),
        }

    @property
    def listing(self) -> Listing:
        """The completed scan."""
        assert self._listing is not None  # noqa: S101  # Nothing is asked before.
        return self._listing

    def environment(self, path: str) -> Environment | None:
        """Return the environment at a path, None if there is none."""
        return next((item for item in self.listing.environments if item.path == path), None)

    def explanation(self, key: str) -> Explanation | None:
        """Return the decision on a package or a leftover by its row's key, None if there is none."""
        return self._explained.get(key)

    def below(self, row: Row) -> tuple[Row, ...]:
        """Return the rows below one: packages of an environment, files of a package in it, users of a cached one."""
        if row.top and self.environment(row.key) is None:
            return note_rows(row)
        scan = self.listing.scan
        if row.top:
            root = next(root for root, _ in scan.environments if root.path == row.key)
            return zoomed_rows(
                row, zoom(contents(root, scan), (root for root, _ in scan.environments), scan.inodes, NO_SPACE)
            )
        prefix, dist = row.key.rsplit("\n", 1)
        return tuple(_file_rows(row, prefix, dist))

    def marked(self, keys: Collection[str]) -> Marked:
        """Return what marked rows stand for, and what all of it frees together; see `Marked.refused`."""
        listing = self.listing
        scan = listing.scan
        environments = frozenset(item.path for item in listing.environments if item.path in keys)
        known, removals, refused = self._explained, dict[str, Remove](), dict[str, str]()
        rest = sorted(set(keys) - environments)
        if any(key not in known or known[key].removal is None for key in rest):
            known = by_key(self._plan_without(environments))
        for key in rest:
            found = known.get(key)
            if found is not None and found.removal is not None:
                removals[key] = found.removal
            else:
                refused[key] = "not found" if found is None else "; ".join(reason.detail for reason in found.reasons)
        trees = [tree for root, tree in scan.environments if root.path in environments]
        parts = {item.cache.path: item.parts for item in scan.caches}
        trees += [parts[one.entry.cache][part.name] for one in removals.values() for part in one.parts]
        return Marked(environments, removals, refused, _freed(trees, scan.inodes), hedge(listing.inventory.notices))

    def removal(self, marked: Marked) -> PreparedRemoval:
        """Return the removal of marked environments, as it would be carried out. Raises `PruneError`."""
        listing = self.listing
        shown = tuple(item for item in listing.environments if item.path in marked.environments)
        options = replace(listing.options, environments=tuple(item.path for item in shown), remove=True)
        chosen = replace(listing, options=options, result=replace(listing.result, shown=shown))
        return prepare_removal(chosen, Interaction(_READING, _silent()))

    def plan(self, marked: Marked) -> Plan:
        """Return the plan for marked packages and leftovers, as if marked environments were removed."""
        listing = self.listing
        options, removed = replace(listing.options, paths=marked.paths), frozenset(map(realpath, marked.environments))
        return plan_without(removed, listing.inventory, listing.scan, options, _silent())

    def _plan_without(self, environments: frozenset[str]) -> Plan:
        """Return the plan for the caches as if these environments were removed."""
        listing = self.listing
        if (plan := self._plans.get(environments)) is None:
            removed = frozenset(map(realpath, environments))
            plan = plan_without(removed, listing.inventory, listing.scan, listing.options, _silent())
            self._plans[environments] = plan
        return plan


def _silent() -> Reporter:
    return Reporter(sys.stderr, enabled=False)


def _size(trees: Iterable[Tree], inodes: Inodes) -> Size:
    """Return the size of one thing that consists of some trees."""
    whole = (joined(trees),)
    freed = _freed(whole, inodes)
    return Size(freed.bytes, occupied(whole, inodes) - freed.bytes, freed.inodes)


def _freed(trees: Iterable[Tree], inodes: Inodes) -> Space:
    trees = tuple(trees)
    return Space(*(released(trees, inodes, unit) for unit in Unit))


def _file_rows(above: Row, prefix: str, dist: str) -> Iterator[Row]:
    """Yield the files of a package in an environment, the largest first."""
    found = []
    names: list[str] = []
    with suppress(OSError, ValueError):
        names = package_files(prefix, dist)
    for name in names:
        with suppress(OSError):
            status = os.lstat(os.path.join(prefix, name))
            size, links = allocated(status), status.st_nlink
            found.append(Row(f"{above.key}\n{name}", name, _file_size(size, links), depth=above.depth + 1))
    found.sort(key=lambda row: (-(row.size.own + row.size.shared) if row.size else 0, row.name))
    yield from found[:_MOST_FILES]
    if len(found) > _MOST_FILES:
        rest = plural(len(found) - _MOST_FILES, "smaller file")
        yield Row(f"{above.key}\n", f"and {rest}", depth=above.depth + 1)


def _file_size(size: int, links: int) -> Size:
    return Size(size, 0, 1) if links == 1 else Size(0, size, 0)
