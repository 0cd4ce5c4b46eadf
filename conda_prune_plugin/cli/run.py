"""One run of ``conda prune``: discover, plan, show, confirm, execute, report."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from collections.abc import Sequence

from ..core.model import Cache, Inventory, Notice, PartKind, Plan
from ..core.planner import with_links
from ..core.units import format_size, plural
from ..discovery.inventory import Discovery, discover
from ..discovery.links import measure_links
from ..discovery.measure import measure
from ..errors import UnreadableEnvironmentError
from ..execution.execute import Execution, Tools, execute
from ..execution.recovery import cut_off_runs, recover
from ..presentation.document import prune_document
from ..presentation.progress import Reporter
from .confirm import confirm, may_ask
from .options import Output
from .policies import Choice, request


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    output = Output.from_context()
    with Reporter(sys.stderr, enabled=not (output.json or output.quiet)) as reporter:
        return _Run(arguments, output, reporter).run()


class _Run:
    """What the steps of one run share: the options, the output and the progress."""

    def __init__(self, arguments: argparse.Namespace, output: Output, reporter: Reporter) -> None:
        self._output = output
        self._reporter = reporter
        self._failed = False
        self._ignore_unreadable = bool(arguments.ignore_unreadable)
        self._choice = Choice(arguments, _kinds(arguments))
        self._request = request(arguments)

    def run(self) -> int:
        """Do it and return the exit code."""
        discovery, recovered = self._discover()
        notices = (*recovered, *discovery.inventory.notices)
        plan, remarks = self._plan(discovery)
        notices += remarks
        self._show(plan, notices)
        if self._output.dry_run or not plan.remove:
            self._report(plan, notices, None, Execution(()))
            return 1 if self._failed else 0
        self._refuse_hidden_roots(plan.inventory, notices)
        if not confirm(_question(plan), self._output):
            self._tell("Nothing was removed.")
            return 1
        run_id = _run_id()
        execution = self._execute(plan, run_id, discovery)
        self._failed |= execution.failed
        self._report(plan, notices, run_id, execution)
        return 1 if self._failed else 0

    def _discover(self) -> tuple[Discovery, tuple[Notice, ...]]:
        """Look around, and once more if an earlier run left something that could be finished."""
        words = "Looking for environments"
        discovery = discover(self._request, self._reporter.phase(words))
        left = [(cache, run) for cache in discovery.inventory.caches for run in cut_off_runs(cache)]
        if not left:
            return discovery, ()
        if not self._output.dry_run and (self._output.yes or may_ask(self._output)):
            caches = dict.fromkeys(cache for cache, _ in left if cache.writable)
            progress = self._reporter.counter("Finishing an earlier run")
            notices: list[Notice] = []
            for cache in caches:
                done, complete = recover(cache, self._tell, progress)
                notices += done
                self._failed |= not complete
            return discover(self._request, self._reporter.phase(words)), tuple(notices)
        return discovery, tuple(_cut_off(cache, run) for cache, run in left)

    def _plan(self, discovery: Discovery) -> tuple[Plan, tuple[Notice, ...]]:
        inventory = discovery.inventory
        plan, remarks = self._choice.plan(inventory, self._reporter, time.time())
        if self._output.verbosity:
            plan = with_links(plan, measure_links(inventory.caches, (*plan.keep, *plan.remove)))
        return plan, remarks

    def _refuse_hidden_roots(self, inventory: Inventory, notices: Sequence[Notice]) -> None:
        """Refuse if an environment that is not known may soft-link what goes; nothing else of it can be harmed."""
        if inventory.soft_links is None or self._ignore_unreadable:
            return
        for notice in notices:
            if notice.hides_roots:
                raise UnreadableEnvironmentError(
                    f"{notice.message} Soft links are possible: {inventory.soft_links}.",
                    hint="Make it readable, take it out of the registry if it is gone for good (`conda env list` does "
                    "that), or go on with --ignore-unreadable: only what it soft-links can be harmed. "
                    "Nothing was removed.",
                    path=notice.path,
                )

    def _execute(self, plan: Plan, run_id: str, discovery: Discovery) -> Execution:
        tools = Tools(
            references=discovery.watch.references,
            measure=lambda path, dir_fd: measure(path, dir_fd=dir_fd),
            progress=self._reporter.counter("Removing files", plan.files),
            notify=self._tell,
        )
        execution = execute(plan, run_id, tools)
        self._reporter.clear()
        return execution

    def _show(self, plan: Plan, notices: Sequence[Notice]) -> None:
        if self._output.json:
            return
        from ..presentation.text import console, show_notices, show_plan

        if not self._output.quiet:
            show_plan(console(sys.stdout), plan, now=time.time(), kept=self._output.verbosity > 0)
            sys.stdout.flush()
        show_notices(console(sys.stderr), notices)

    def _report(self, plan: Plan, notices: Sequence[Notice], run_id: str | None, execution: Execution) -> None:
        if self._output.json:
            document = prune_document(
                plan,
                dry_run=self._output.dry_run,
                run=run_id,
                outcomes=execution.outcomes,
                notices=notices,
                success=not self._failed,
            )
            print(json.dumps(document, indent=2))
        elif execution.outcomes:
            from ..presentation.text import console, show_outcomes

            show_outcomes(console(sys.stdout), console(sys.stderr), execution.outcomes, quiet=self._output.quiet)

    def _tell(self, message: str) -> None:
        self._reporter.clear()
        if not self._output.quiet:
            print(message, file=sys.stderr, flush=True)


def _kinds(arguments: argparse.Namespace) -> frozenset[PartKind]:
    asked_for = ((PartKind.EXTRACTED, arguments.packages), (PartKind.ARCHIVE, arguments.tarballs))
    return frozenset(kind for kind, given in asked_for if given) or frozenset(PartKind)


def _question(plan: Plan) -> str:
    entries = plural(len(plan.remove), "entry", "entries")
    return f"Remove {entries} for good ({plural(plan.files, 'file')}, {format_size(plan.reclaimable)})?"


def _cut_off(cache: Cache, run_id: str) -> Notice:
    message = (
        f"{cache.path} has the run {run_id}, which was cut off or still goes on; "
        "the next prune that may write finishes what it left."
    )
    return Notice("cut-off-run", message, cache.path)


def _run_id() -> str:
    """Return a name that sorts by time; the random end keeps two runs of one second apart."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"
