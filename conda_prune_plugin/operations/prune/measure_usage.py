"""Measure disk usage: discover, walk, plan. Nothing is written."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ... import failures
from ...core.layout import TRASH
from ...core.model import Cache, Entry, Inventory, ReasonKind, Root, RootKind, RootState
from ...core.notices import Notice
from ...core.plan import Plan
from ...core.suggestion import nearest
from ...core.units import NO_SPACE, Space, Unit
from ...core.usage.package_usage import Contents, PackageUsage, Zoom, packages, zoom
from ...core.usage.usage_report import EnvironmentUsage, Usage
from ...discovery.envs.own_file_search import find_own_files
from ...discovery.envs.use_evidence import created
from ...discovery.inventory import discover
from ...discovery.packages.package_identity import Names
from ...discovery.usage.file_listing import Listed, listing
from ...discovery.usage.file_owners import cached_parts, contents
from ...discovery.usage.file_systems import file_systems
from ...discovery.usage.other_tools import PATIENCE, other_caches
from ...discovery.usage.survey import Scan, make_usage, survey
from ...errors import NoSuchEnvironmentError
from ...presentation.terminal.progress import Reporter
from ..options import UsageOptions
from .planning import make_prune_plan, plan_without


@dataclass(frozen=True, slots=True)
class UsageResult:
    """Disk usage.

    usage: of all environments and caches. packages: of each package, with `by_package`. zoomed: the one environment
    that was asked for. contents: the owners of files, in the environments where they are shown.
    recent: what packages take that only their age keeps. kept_by_age: some of those that only the one environment keeps
    are too recent for a prune. own_files: how many files of the user protect it from removal.
    """

    usage: Usage
    packages: tuple[PackageUsage, ...] | None
    zoomed: tuple[EnvironmentUsage, Zoom] | None
    contents: tuple[Contents, ...]
    scan: Scan
    notices: tuple[Notice, ...]
    recent: Space = NO_SPACE
    kept_by_age: bool = False
    own_files: int = 0


def measure_usage(options: UsageOptions, reporter: Reporter) -> UsageResult:
    """Walk environments and caches. Raises `PruneError`."""
    inventory, environments, wanted = _look(options, reporter)
    scan = survey(replace(inventory, roots=environments), reporter.counter("Counting files"))
    plan, remarks = make_prune_plan(options, inventory, reporter, time.time(), scan.measured)
    kept, later, unit = NO_SPACE, NO_SPACE, Unit.INODES if options.inodes else Unit.BYTES
    # Of any age: nothing else keeps what was downloaded a moment ago.
    ageless, recent = replace(options, min_age=0.0), _recent(plan)
    now = plan
    if wanted is not None or recent:
        now, _ = make_prune_plan(ageless, inventory, reporter, time.time(), scan.measured)
    if wanted is not None:
        kept = plan_without({wanted}, inventory, scan, ageless, reporter).frees - now.frees
        later = plan_without({wanted}, inventory, scan, options, reporter).frees - plan.frees
    usage = make_usage(scan, plan, file_systems(scan), unit)
    if options.other_caches is not False and not options.by_package and wanted is None:
        progress = reporter.counter("Counting files of other tools")
        patience = None if options.other_caches else PATIENCE
        usage = replace(usage, other_caches=other_caches(os.environ, progress, patience))
    everything = options.by_package or options.html is not None
    listed = [root for root, _ in scan.environments if everything or failures.realpath(root.path) == wanted]
    progress = reporter.phase("Reading records", len(listed))
    found = []
    for done, root in enumerate(listed):
        progress(done)
        found.append(contents(root, scan))
    by_package = None
    if options.by_package:
        by_package = tuple(packages(cached_parts(scan, Names(inventory.roots)), found, scan.inodes, unit))
    zoomed, own = None, None
    if wanted is not None:
        mine = next(one for one in found if failures.realpath(one.root.path) == wanted)
        environment = next(one for one in usage.environments if one.root is mine.root)
        zoomed = environment, zoom(mine, (root for root, _ in scan.environments), scan.inodes, kept, unit)
        own = find_own_files(mine.root, scan.pip.get(mine.root, ()), created(mine.root), scan.tops)
        if by_package is not None:
            by_package = tuple(
                item for item in by_package if any(mine.root.path in version.environments for version in item.versions)
            )
    return UsageResult(
        usage,
        by_package,
        zoomed,
        tuple(found),
        scan,
        (*inventory.notices, *scan.notices, *remarks),
        recent=sum((decision.frees for decision in now.remove if decision.entry in recent), NO_SPACE),
        kept_by_age=later.bytes < kept.bytes,
        own_files=0 if own is None else len(own.files),
    )


def _recent(plan: Plan) -> frozenset[Entry]:
    """Return the entries that a plan keeps only for their age."""
    kept = (item for item in plan.keep if {reason.kind for reason in item.reasons} == {ReasonKind.RECENT})
    return frozenset(item.entry for item in kept)


def _look(options: UsageOptions, reporter: Reporter) -> tuple[Inventory, tuple[Root, ...], str | None]:
    """Return the inventory, the environments in it, and the real path of the one that was asked for."""
    inventory = discover(options, reporter.phase("Looking for environments")).inventory
    environments = tuple(root for root in inventory.roots if root.kind is RootKind.ENVIRONMENT)
    name = options.environment
    return inventory, environments, None if name is None else find_environment(environments, name, inventory.caches)


def list_files(
    options: UsageOptions, reporter: Reporter
) -> tuple[Iterator[tuple[str, Iterator[Listed]]], tuple[Notice, ...]]:
    """Return an iterator over every file of one environment, or of everything, and notices. Raises `PruneError`."""
    inventory, environments, wanted = _look(options, reporter)
    trees = listing(replace(inventory, roots=environments), wanted, reporter.counter("Listing files"))
    return trees, inventory.notices


def _called(roots: Iterable[Root], name: str) -> list[Root]:
    path = failures.realpath(os.path.expanduser(name))
    by_path = [root for root in roots if failures.realpath(root.path) == path]
    by_name = [root for root in roots if root.name == name]
    # As in conda, only what has a separator in it is a prefix.
    return by_path if os.sep in name else by_name or by_path


def find_environment(roots: Iterable[Root], name: str, caches: Iterable[Cache]) -> str:
    """Return the real path of the environment with a name or a prefix. Raises `NoSuchEnvironmentError`.

    caches: where the name may be that of a package.
    """
    roots = [root for root in roots if root.state is not RootState.MISSING and failures.isdir(root.path)]
    # The second is the remains of an environment whose removal was interrupted on a full disk.
    found = _called(roots, name) or _called(roots, name.rstrip(os.sep) + TRASH)
    if len({failures.realpath(root.path) for root in found}) == 1:
        return failures.realpath(found[0].path)
    if found:
        places = ", ".join(root.path for root in found)
        raise NoSuchEnvironmentError(
            f"Several environments have the name {name}: {places}.", hint="Give the prefix of one of them."
        )
    if name == "remove":
        hint = "To remove an environment: conda prune envs NAME --remove"
        raise NoSuchEnvironmentError(f"No environment {name} found.", hint=hint)
    if any(entry.dist.rsplit("-", 2)[0] == name for cache in caches for entry in cache.entries):
        hint = f"{name} is a package: run `conda prune why {name}`."
        raise NoSuchEnvironmentError(f"No environment {name} found.", hint=hint)
    known = {root.path if os.sep in name else root.name or root.path for root in roots}
    close = nearest(name, sorted(known))
    raise NoSuchEnvironmentError(
        f"No environment {name} found.",
        hint=(f"Did you mean {close}? " if close else "")
        + "`conda prune envs` lists all known environments; --root and --search add others.",
    )
