"""Measure disk usage: discover, walk, plan. Nothing is written."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ... import failures
from ...core.layout import TRASH
from ...core.model import Root, RootKind, RootState
from ...core.notices import Notice
from ...core.suggestion import nearest
from ...core.usage.package_usage import Contents, PackageUsage, Zoom, packages, zoom
from ...core.usage.usage_report import EnvironmentUsage, OtherCache, Usage
from ...discovery.inventory import discover
from ...discovery.packages.package_identity import Names
from ...discovery.usage.file_listing import Listed, listing
from ...discovery.usage.file_owners import cached_parts, contents
from ...discovery.usage.other_tools import PATIENCE, other_caches
from ...discovery.usage.survey import Scan, Survey, make_usage
from ...errors import NoSuchEnvironmentError
from ...presentation.terminal.progress import Reporter
from ..options import UsageOptions
from .planning import make_prune_plan, plan_without


@dataclass(frozen=True, slots=True)
class UsageResult:
    """Where the disk goes.

    usage: all environments and caches. packages: package by package, if that was asked for. zoomed: the one environment
    that was asked for. contents: whose the files are, in the environments where it matters.
    """

    usage: Usage
    packages: tuple[PackageUsage, ...] | None
    zoomed: tuple[EnvironmentUsage, Zoom] | None
    contents: tuple[Contents, ...]
    scan: Scan
    notices: tuple[Notice, ...]


def measure_usage(options: UsageOptions, reporter: Reporter) -> UsageResult:
    """Walk through environments and caches, and plan. Raises `PruneError`."""
    inventory = discover(options.request, reporter.phase("Looking for environments")).inventory
    environments = tuple(root for root in inventory.roots if root.kind is RootKind.ENVIRONMENT)
    wanted = None if options.environment is None else find_environment(environments, options.environment)
    survey = Survey(replace(inventory, roots=environments), reporter.counter("Counting files"))
    survey.walk_caches()
    plan, remarks = make_prune_plan(options, inventory, reporter, time.time(), survey.measured)
    scan = survey.walk_environments()
    kept = 0
    if wanted is not None:
        # Of any age: what was downloaded a moment ago is kept by nothing else either.
        ageless = replace(options, min_age=0.0)
        now, _ = make_prune_plan(ageless, inventory, reporter, time.time(), survey.measured)
        then = plan_without({wanted}, inventory, survey, scan, ageless, reporter)
        kept = then.reclaimable - now.reclaimable
    usage = replace(make_usage(scan, plan), other_caches=_others(options, reporter))
    found = _contents(options, wanted, scan, reporter)
    by_package = None
    if options.by_package:
        by_package = tuple(packages(cached_parts(scan, Names(inventory.roots)), found, scan.inodes))
    return UsageResult(
        usage,
        by_package,
        None if wanted is None else _zoomed(wanted, usage, found, scan, kept),
        found,
        scan,
        (*inventory.notices, *scan.notices, *remarks),
    )


def list_files(
    options: UsageOptions, reporter: Reporter
) -> tuple[Iterator[tuple[str, Iterator[Listed]]], tuple[Notice, ...]]:
    """Return every file of one environment or of everything, as they are found, and what to say so far.

    Raises `PruneError`.
    """
    inventory = discover(options.request, reporter.phase("Looking for environments")).inventory
    environments = tuple(root for root in inventory.roots if root.kind is RootKind.ENVIRONMENT)
    wanted = None if options.environment is None else find_environment(environments, options.environment)
    trees = listing(replace(inventory, roots=environments), wanted, reporter.counter("Listing files"))
    return trees, inventory.notices


def _others(options: UsageOptions, reporter: Reporter) -> tuple[OtherCache, ...]:
    """Return the caches of other tools, where they are shown."""
    if options.other_caches is False or options.by_package or options.environment is not None:
        return ()
    progress = reporter.counter("Counting files of other tools")
    return other_caches(os.environ, progress, None if options.other_caches else PATIENCE)


def _contents(options: UsageOptions, wanted: str | None, scan: Scan, reporter: Reporter) -> tuple[Contents, ...]:
    """Return whose the files are, in those environments where it matters."""
    everything = options.by_package or options.html is not None
    roots = [root for root, _ in scan.environments if everything or failures.realpath(root.path) == wanted]
    progress = reporter.phase("Reading records", len(roots))
    found = []
    for done, root in enumerate(roots):
        progress(done)
        found.append(contents(root, scan))
    return tuple(found)


def _zoomed(
    wanted: str, usage: Usage, found: Iterable[Contents], scan: Scan, kept: int
) -> tuple[EnvironmentUsage, Zoom]:
    """Return the environment at a real path; `kept`: by how much what a prune gives back would grow without it."""
    item = next(item for item in found if failures.realpath(item.root.path) == wanted)
    environment = next(one for one in usage.environments if one.root is item.root)
    return environment, zoom(item, (root for root, _ in scan.environments), scan.inodes, kept)


def _called(roots: Iterable[Root], name: str) -> list[Root]:
    path = failures.realpath(os.path.expanduser(name))
    by_path = [root for root in roots if failures.realpath(root.path) == path]
    by_name = [root for root in roots if root.name == name]
    # As in conda, only what has a separator in it is a prefix.
    return by_path if os.sep in name else by_name or by_path


def find_environment(roots: Iterable[Root], name: str) -> str:
    """Return the real path of the environment that a name or a prefix means. Raises `NoSuchEnvironmentError`."""
    roots = [root for root in roots if root.state is not RootState.MISSING and failures.isdir(root.path)]
    # The second is what is left of it where its removal was interrupted on a full disk.
    found = _called(roots, name) or _called(roots, name.rstrip(os.sep) + TRASH)
    if len({failures.realpath(root.path) for root in found}) == 1:
        return failures.realpath(found[0].path)
    if found:
        places = ", ".join(root.path for root in found)
        raise NoSuchEnvironmentError(
            f"Several environments are called {name}: {places}.", hint="Give the prefix of one of them."
        )
    known = {root.path if os.sep in name else root.name or root.path for root in roots}
    close = nearest(name, sorted(known))
    raise NoSuchEnvironmentError(
        f"There is no environment {name}.",
        hint=(f"Did you mean {close}? " if close else "")
        + "`conda prune envs` lists all known environments; --root and --search add others.",
    )
