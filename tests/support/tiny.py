"""A small cache and its environments, written by hand in conda's format: for what needs no conda to go wrong."""

from __future__ import annotations

import json
import os
import zipfile
from typing import TYPE_CHECKING

from conda_prune_plugin.core.layout import STATE
from conda_prune_plugin.core.model import Inventory
from conda_prune_plugin.core.plan import Plan
from conda_prune_plugin.core.rules.planner import make_plan
from conda_prune_plugin.core.rules.policy import Policy
from conda_prune_plugin.core.rules.reachability import candidates, references
from conda_prune_plugin.core.run import Disposal, Run
from conda_prune_plugin.demo.demo_packages import File, Item, Package, write_tree
from conda_prune_plugin.discovery.links.redundant import may_be_unlinked, unlinked
from conda_prune_plugin.discovery.links.soft_links import environments_of, soft_links
from conda_prune_plugin.discovery.packages.cache_listing import find_caches
from conda_prune_plugin.discovery.packages.removal_evidence import gather_evidence
from conda_prune_plugin.discovery.roots.environments import Sources
from conda_prune_plugin.discovery.roots.watch import RootWatch
from conda_prune_plugin.discovery.system.measure import measure
from conda_prune_plugin.execution.locks.run_lock import Patience
from conda_prune_plugin.execution.ports import Ports
from conda_prune_plugin.execution.sweep import Execution, execute

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from machine import Machine

    from conda_prune_plugin.core.evidence import Measurement


class Tiny:
    """A cache in ``pkgs`` and environments in ``envs`` below a directory."""

    def __init__(self, directory: Path) -> None:
        self.cache = directory / "pkgs"
        self.envs = directory / "envs"
        self.cache.mkdir(parents=True)
        self.envs.mkdir()
        (self.cache / "urls.txt").touch()
        self.notes: list[str] = []
        self.before_measuring: Callable[[str], None] = lambda name: None
        self.on_progress: Callable[[int], None] = lambda files: None

    def add(self, dist: str, files: dict[str, Item] | None = None, *, archive: bool = False) -> Path:
        """Add an extracted directory, and an archive if asked for."""
        name, version, build = dist.rsplit("-", 2)
        default: dict[str, Item] = {"lib/one": File(b"1" * 5000), "lib/two": File(b"2" * 5000)}
        tree = self.cache / dist
        write_tree(Package(name, version, build, files=default if files is None else files), tree)
        (tree / "info" / "repodata_record.json").write_text(
            json.dumps({"name": name, "version": version, "build": build, "url": f"https://host/linux-64/{dist}.conda"})
        )
        if archive:
            write_archive(self.cache / f"{dist}.conda", 7000)
        return tree

    def use(self, env: str, dist: str, *, link: bool = True, record: bool = True) -> Path:
        """Put a package into an environment, by hard links and a record; return the environment."""
        prefix = self.envs / env
        (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
        (prefix / "conda-meta" / "history").touch()
        tree = self.cache / dist
        if link:
            for path in sorted(tree.rglob("*")):
                relative = path.relative_to(tree)
                if path.is_file() and relative.parts[0] != "info":
                    (prefix / relative).parent.mkdir(parents=True, exist_ok=True)
                    os.link(path, prefix / relative)
        if record:
            self.record(prefix, dist)
        return prefix

    def record(self, prefix: Path, dist: str) -> Path:
        """Write a record into an environment."""
        name, version, build = dist.rsplit("-", 2)
        path = prefix / "conda-meta" / f"{dist}.json"
        path.write_text(json.dumps({"name": name, "version": version, "build": build, "files": [], "fill": "x" * 300}))
        return path

    def watch(self) -> RootWatch:
        """Return the watch over the environments."""
        caches, _ = find_caches((str(self.cache),), ())
        return RootWatch(Sources(envs_dirs=(str(self.envs),)), caches)

    def inventory(self, watch: RootWatch | None = None) -> Inventory:
        """Return what there is."""
        caches, notices = find_caches((str(self.cache),), ())
        watch = watch or self.watch()
        return Inventory(caches, watch.roots, (*notices, *watch.notices))

    def plan(self, watch: RootWatch | None = None, policy: Policy | None = None) -> Plan:
        """Return the plan for the cache, by default whatever the age of its entries."""
        inventory = self.inventory(watch)
        entries = candidates(inventory, references(inventory.roots))
        evidence = gather_evidence(inventory.caches, entries, lambda done: None)
        return make_plan(inventory, evidence, policy or Policy(min_age=0), 2e9)

    def plan_unlinked(self) -> tuple[Plan, RootWatch]:
        """Return the plan that also takes what environments have without sharing a file, and its watch."""
        watch = self.watch()
        inventory = self.inventory(watch)
        referenced = references(inventory.roots)
        softly = soft_links(environments_of(inventory.roots), inventory.caches, lambda seen: None)
        lone = may_be_unlinked(inventory, referenced, softly)
        entries = (*candidates(inventory, referenced), *lone)
        evidence = gather_evidence(inventory.caches, entries, lambda done: None)
        going = {item.entry: item for item in unlinked(evidence, frozenset(lone))}
        evidence = tuple(going.get(item.entry, item) for item in evidence)
        return make_plan(inventory, evidence, Policy(min_age=0), 2e9), watch

    def execute(
        self, plan: Plan, watch: RootWatch | None = None, run: Run | None = None, patience: float = 300.0
    ) -> Execution:
        """Carry a plan out; by default in a run called ``run-1`` that deletes."""
        watch = watch or self.watch()

        def measured(name: str, dir_fd: int | None) -> Measurement:
            self.before_measuring(name)
            return measure(name, dir_fd=dir_fd)

        tools = Ports(
            watch.references,
            watch.soft_links,
            measured,
            self.on_progress,
            Patience(patience, self.notes.append),
        )
        return execute(plan, run or Run("run-1", 0.0, Disposal.DELETE), tools)

    def names(self) -> set[str]:
        """Return what is in the cache; not our own state, if it holds nothing but receipts of finished runs."""
        found = set(os.listdir(self.cache))
        left = {str(path.relative_to(self.cache)) for path in (self.cache / STATE).rglob("*")}
        receipts = list((self.cache / STATE).glob("*/receipt.json"))
        for receipt in receipts:
            if json.loads(receipt.read_text())["state"] == "done":
                left -= {str(path.relative_to(self.cache)) for path in (receipt, receipt.parent)}
        return found - {STATE} if receipts and not left else found


def tiny_on(machine: Machine) -> Tiny:
    """Return what writes into the cache and the environments of a machine that is there already."""
    tiny = Tiny.__new__(Tiny)
    tiny.cache, tiny.envs = machine.cache, machine.envs
    return tiny


def write_archive(path: Path, size: int) -> None:
    """Write a file that can be opened as an archive, and nothing more, with somewhat more than `size` bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        # With a date of its own, so that it is the same whenever it is written.
        archive.writestr(zipfile.ZipInfo("content"), b"x" * size)
