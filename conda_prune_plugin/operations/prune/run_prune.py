"""One run of ``conda prune``: discover, plan, show, confirm, execute, report."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ... import failures, settings
from ...cli.arguments import search_of, targets_of
from ...cli.ci_presets import forget, with_preset
from ...cli.options import Output, parsed, patience_of
from ...core.dist_names import STATE
from ...core.model import Notice
from ...core.plan import Plan
from ...core.precision import hedge
from ...core.rules.planner import with_links
from ...core.run import Check, Disposal, Run, Shrinkage
from ...core.summary import what_goes
from ...core.units import format_size, parse_size, plural, size_as_typed
from ...discovery.inventory import Beginning, Discovery, begin, discover
from ...discovery.system.processes import can_look
from ...discovery.system.worker import Crew
from ...presentation.github import is_github
from ...presentation.github_output import annotate, summarize
from ...presentation.json_output import print_document
from ...presentation.plan_json import prune_document
from ...presentation.terminal.progress import Reporter
from ..interaction import confirm, may_ask
from .integrity_check import damaged_in_use
from .plan_prune import Choice, request
from .preflight import disposal, refuse_destination, refuse_hidden_roots, refuse_running, running_notices

if TYPE_CHECKING:
    from ...execution.sweep import Execution


def run(
    arguments: argparse.Namespace,
    output: Output | None = None,
    publish: Callable[[Mapping[str, Any]], None] = print_document,
    beginning: Beginning | None = None,
    declined: str = "Nothing was removed.",
) -> int:
    """Run the command and return its exit code. Raises `PruneError`.

    output: what conda was asked for. publish: takes the JSON document, if one was asked for. beginning: of the
    discovery, if it has begun. declined: what to print if the user says no.
    """
    output = output or Output.from_context()
    arguments = with_preset(arguments)
    if arguments.ci is not None:
        # Nobody is there to be asked.
        output = replace(output, yes=True)
    with Reporter(sys.stderr, enabled=not (output.json or output.quiet)) as reporter:
        return _Run(arguments, output, reporter, publish, declined).run(beginning or begin(Crew(at_once=False)))


_UNRECORDED = "{} had no room for a receipt, so `conda prune restore` can't fetch again what was removed there."

#: The exit code of ``--check`` when there is more to reclaim.
_EXCEEDED = 3


class _Run:
    """What the steps of one run share: the options, the output and the progress."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        output: Output,
        reporter: Reporter,
        publish: Callable[[Mapping[str, Any]], None],
        declined: str,
    ) -> None:
        self._check = parsed(arguments.check, lambda text: Check(parse_size(text), size_as_typed(text)), None)
        self._output = output if self._check is None else replace(output, dry_run=True)
        self._reporter = reporter
        self._publish = publish
        self._declined = declined
        self._preset: str | None = arguments.ci
        self._shrinkage: Shrinkage | None = None
        self._left: Run | None = None
        self._failed = False
        self._interrupted = False
        self._on_github = is_github(os.environ)
        self._patience = patience_of(arguments, output, reporter)
        self._ignore_unreadable = bool(arguments.ignore_unreadable)
        self._ignore_running = bool(arguments.ignore_running) and output.yes
        self._disposal, self._destination = disposal(arguments)
        settings.require_all()
        self._purge_after = settings.PURGE_AFTER.value()
        targets = targets_of(arguments)
        self._search = search_of(arguments, targets)
        self._choice = Choice(arguments, targets, self._search)
        self._request = request(arguments)

    def run(self, beginning: Beginning) -> int:
        """Do it and return the exit code."""
        # Nobody is to wait for an answer with a second process at hand.
        with beginning.reader.crew:
            discovery, plan, notices = self._look_around(beginning)
        if self._ignore_unreadable:
            failures.accept(notice.path for notice in notices if notice.hides_roots)
        self._show(plan, notices)
        if self._output.dry_run or not plan.changes:
            self._settle_preset(plan, None)
            self._report(plan, (*notices, *self._purge_old(None)), None, None)
            return self._code(plan)
        if plan.remove and not self._ignore_unreadable:
            refuse_hidden_roots(plan.inventory, notices)
        self._refuse_running(plan)
        if not confirm(self._question(plan), self._output, self._reporter, self._declined):
            return 1
        # Once more: the answer may have taken its time.
        self._refuse_running(plan)
        from ...execution.state.stored_runs import has_left

        run = self._new_run()
        execution = self._execute(plan, run, discovery)
        self._failed |= execution.failed
        notices += tuple(Notice("unsettled", message, "") for message in execution.unsettled)
        notices += tuple(Notice("unrecorded", _UNRECORDED.format(path), path) for path in execution.unrecorded)
        notices += self._settle(plan, run, execution)
        self._left = run if has_left(run.id, plan.inventory.caches) else None
        self._report(plan, notices, run, execution)
        return self._code(plan)

    def _settle(self, plan: Plan, run: Run, execution: Execution) -> tuple[Notice, ...]:
        """Do what comes after a removal; return what to say of it. Stopped here, the removal is told all the same."""
        from ..runs.run_store import interrupted_notice

        self._interrupted = execution.interrupted
        try:
            self._settle_preset(plan, run)
            return (interrupted_notice(),) if execution.interrupted else self._purge_old(run)
        except KeyboardInterrupt:
            self._reporter.clear()
            self._failed = self._interrupted = True
            if self._shrinkage is not None and self._shrinkage.after is None:
                self._shrinkage = None  # Nobody knows by how much.
            return (interrupted_notice(),)

    def _look_around(self, beginning: Beginning) -> tuple[Discovery, Plan, tuple[Notice, ...]]:
        """Discover and plan; return also what the user should know."""
        crew = beginning.reader.crew
        discovery, recovered = self._discover(beginning)
        caches = discovery.inventory.caches
        refuse_destination(self._destination, caches)
        if not (self._output.json or self._output.quiet):
            # What shows the plan takes long to import: that is done while the other process looks at packages.
            crew.meanwhile(partial(import_module, "..presentation.text", __package__))
        plan, remarks = self._plan(discovery, crew)
        notices = (*recovered, *discovery.inventory.notices, *remarks)
        if self._preset is not None:
            self._shrinkage = Shrinkage(self._preset, self._held(plan))
        if plan.changes and (self._output.dry_run or self._ignore_running or not can_look()):
            notices += running_notices(caches)
        if plan.remove and not self._output.dry_run and not self._search.everything:
            notices += damaged_in_use(plan.inventory, self._reporter, crew)
        return discovery, plan, notices

    def _held(self, plan: Plan) -> int:
        from ...discovery.packages.cache_size import held

        size = held(plan.inventory.caches, self._reporter.phase("Measuring the caches"))
        self._reporter.clear()
        return size

    def _settle_preset(self, plan: Plan, run: Run | None) -> None:
        """Measure what a preset has left; nobody comes back to a job to undo its run, so the receipt goes too."""
        if self._shrinkage is None or self._output.dry_run:
            return
        self._shrinkage = replace(self._shrinkage, after=self._held(plan))
        if run is not None and not self._failed:
            forget(run, self._request.pkgs_dirs, self._patience)

    def _code(self, plan: Plan) -> int:
        if self._check is not None and self._check.exceeded(plan.reclaimable):
            return _EXCEEDED
        from ..runs.run_store import exit_code

        return exit_code(failed=self._failed, interrupted=self._interrupted)

    def _refuse_running(self, plan: Plan) -> None:
        if not self._ignore_running:
            refuse_running(plan.inventory.caches)

    def _discover(self, beginning: Beginning) -> tuple[Discovery, tuple[Notice, ...]]:
        """Look around, and once more if an earlier run left something that could be finished."""
        words = "Looking for environments"
        discovery = discover(self._request, self._reporter.phase(words), beginning)
        caches = discovery.inventory.caches
        if not any(failures.lexists(os.path.join(cache.real_path, STATE)) for cache in caches):
            return discovery, ()
        if self._output.dry_run or not (self._output.yes or may_ask(self._output)):
            from ...execution.recover import cut_off_runs
            from ..runs.run_store import cut_off_notice

            return discovery, tuple(cut_off_notice(run) for cache in caches for run in cut_off_runs(cache))
        from .apply_plan import finish_earlier_runs

        something, notices, complete = finish_earlier_runs(caches, self._patience, self._reporter)
        self._failed |= not complete
        return discover(self._request, self._reporter.phase(words)) if something else discovery, notices

    def _plan(self, discovery: Discovery, crew: Crew) -> tuple[Plan, tuple[Notice, ...]]:
        inventory = discovery.inventory
        plan, remarks = self._choice.plan(inventory, self._reporter, time.time(), crew=crew)
        if self._output.verbosity:
            from ...discovery.links.link_types import measure_links

            self._reporter.phase("Looking how environments link")
            plan = with_links(plan, measure_links(inventory, (*plan.keep, *plan.remove)))
            self._reporter.clear()
        return plan, remarks

    def _new_run(self) -> Run:
        from ..runs.run_store import new_run_id

        now = time.time()
        return Run(new_run_id(now), now, self._disposal, self._destination)

    def _execute(self, plan: Plan, run: Run, discovery: Discovery) -> Execution:
        from .apply_plan import carry_out

        return carry_out(plan, run, self._new_run(), discovery.watch, self._reporter, self._patience)

    def _show(self, plan: Plan, notices: Sequence[Notice]) -> None:
        if not (self._output.json or self._output.quiet):
            from ...presentation.plan_text import console, show_check, show_plan

            show_plan(console(sys.stdout), plan, now=time.time(), verbosity=self._output.verbosity)
            if self._check is not None:
                show_check(console(sys.stdout), self._check, plan)
            sys.stdout.flush()
        if not self._output.quiet:
            self._warn(notices)

    def _warn(self, notices: Iterable[Notice]) -> None:
        if self._on_github:
            annotate(notices)
        elif not self._output.json:
            from ...presentation.plan_text import console, show_notices

            show_notices(console(sys.stderr), notices)

    def _purge_old(self, run: Run | None) -> tuple[Notice, ...]:
        """Delete what older runs have left, if the setting ``prune_purge_after`` says so; never what this one did."""
        if self._purge_after is None or self._output.dry_run or not (self._output.yes or may_ask(self._output)):
            return ()
        from .apply_plan import purge_old_runs

        spared = None if run is None else run.id
        notices, complete = purge_old_runs(
            self._request.pkgs_dirs, self._purge_after, spared, self._reporter, self._patience
        )
        self._failed |= not complete
        return notices

    def _report(self, plan: Plan, notices: Sequence[Notice], run: Run | None, execution: Execution | None) -> None:
        outcomes = execution.outcomes if execution else ()
        others = execution.others if execution else ()
        if self._output.json:
            document = prune_document(
                plan,
                dry_run=self._output.dry_run,
                run=self._left,
                outcomes=outcomes,
                others=others,
                notices=notices,
                success=not self._failed,
                check=self._check,
                shrinkage=self._shrinkage,
            )
            self._publish(document)
        else:
            from ...presentation.plan_text import console, show_outcomes, show_shrinkage

            out, err = console(sys.stdout), console(sys.stderr)
            if run is not None:
                show_outcomes(
                    out,
                    err,
                    run,
                    outcomes,
                    others,
                    quiet=self._output.quiet,
                    hedge=hedge(plan.inventory.notices),
                    undoable=self._left is not None,
                )
            if self._shrinkage is not None and not self._output.quiet:
                show_shrinkage(out, self._shrinkage)
            sys.stdout.flush()
        told = {"purged", "unsettled", "unrecorded", "interrupted"}
        if self._output.quiet:
            # So far nobody was told of what was cleared before, which may be all that has failed.
            told = told | {"cut-off-run"} if self._failed else {"unsettled", "unrecorded"}
        self._warn(notice for notice in notices if notice.kind in told)
        if self._on_github:
            annotate((), outcomes)
            summarize(plan, outcomes, dry_run=self._output.dry_run, check=self._check, shrinkage=self._shrinkage)

    def _question(self, plan: Plan) -> str:
        entries = what_goes(plan)
        size = f"{plural(plan.files, 'file')}, {hedge(plan.inventory.notices)}{format_size(plan.reclaimable)}"
        # Nothing is gained by a copy of what conda makes anew.
        other = ", and delete what is not a package" if plan.other else ""
        if self._disposal is Disposal.BACKUP and plan.remove:
            return f"Move {entries} aside ({size}, which stay on the disk until they are purged){other}?"
        if self._disposal is Disposal.ARCHIVE and plan.remove:
            return f"Archive {entries} in {self._destination} and remove them ({size}){other}?"
        mended = plural(len(plan.repair), "damaged package")
        if not plan.repair:
            return f"Remove {entries} ({size})?"
        return f"Repair {mended} and remove {entries} ({size})?" if entries else f"Repair {mended}?"
