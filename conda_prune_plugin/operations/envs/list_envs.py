"""One run of ``conda prune envs``: discover, walk, look for evidence, show; what is changed is in `remove_envs`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ... import failures
from ...cli.options import Output, parsed, patience_of, teller
from ...core.envs.environment_use import Environment, is_unused_for
from ...core.model import Inventory, Notice, RootKind
from ...core.plan import Plan
from ...core.units import parse_age
from ...discovery.clients.conda import Settings, conda_settings
from ...discovery.envs.own_file_search import Boundaries, find_own_files
from ...discovery.envs.use_evidence import gather, stale_lines
from ...discovery.inventory import SOFT_LINKS_POSSIBLE, begin, discover
from ...discovery.roots.backups import is_set_aside
from ...discovery.roots.conda_meta import MISSING
from ...discovery.system.worker import Crew
from ...discovery.usage.survey import Scan, Survey, make_usage
from ...errors import ProtectedEnvironmentError, UsageError
from ...execution.recover import cut_off_runs, needs_recovery
from ...presentation.envs_output import EnvsReport, envs_document, show_changes, show_environments
from ...presentation.json_output import print_document
from ...presentation.plan_text import console, printable, show_notices
from ...presentation.terminal.progress import Reporter
from ..env_registration import unregister_departed
from ..interaction import may_ask
from ..prune.measure_usage import find_environment
from ..prune.plan_prune import Choice, request
from ..run_as_owner import recover_as_owner
from ..runs.run_store import cut_off_notice, exit_code
from ..runs.state_dirs import places

_HINT = "`conda prune envs --help` explains the options."

#: What is missing is told as a line of the registry, and what it may have soft-linked stops no environment's removal.
_NOT_HERE = (MISSING, SOFT_LINKS_POSSIBLE)


@dataclass(slots=True)
class Session:
    """What the steps of one run share; `failed`: something did not work; `interrupted`: the user stopped it."""

    arguments: argparse.Namespace
    output: Output
    reporter: Reporter
    choice: Choice
    settings: Settings
    notices: list[Notice] = field(default_factory=list)
    failed: bool = False
    interrupted: bool = False
    told: int = 0

    @property
    def code(self) -> int:
        """The exit code."""
        return exit_code(failed=self.failed, interrupted=self.interrupted)

    def tell(self, message: str) -> None:
        """Say something while the work goes on."""
        teller(self.output, self.reporter)(message)

    def show(self, report: EnvsReport, *, final: bool) -> None:
        """Show what was found and is about to be done, or at last what was done; JSON is one document at the end."""
        if self.output.json:
            if final:
                print_document(envs_document(report, self.notices, success=not self.failed))
            return
        out = console(sys.stdout)
        if final:
            show_changes(out, console(sys.stderr), report, quiet=self.output.quiet)
        else:
            show_environments(out, report, whole=self.output.verbosity > 0, quiet=self.output.quiet)
        sys.stdout.flush()
        show_notices(console(sys.stderr), self.notices[self.told :])
        self.told = len(self.notices)


@dataclass(frozen=True, slots=True)
class Look:
    """What was found."""

    inventory: Inventory
    plan: Plan
    survey: Survey
    scan: Scan
    environments: tuple[Environment, ...]


def run(arguments: argparse.Namespace, crew: Crew) -> int:
    """Run the command, walking with a crew, and return its exit code. Raises `PruneError`."""
    _require_sense(arguments)
    output = Output.from_context()
    with Reporter(sys.stderr, enabled=not (output.json or output.quiet)) as reporter:
        session = Session(arguments, output, reporter, Choice(arguments), conda_settings())
        unused_for = parsed(arguments.unused_for, parse_age, None)
        _recover(session)
        look, named = _look(session, crew)
        chosen = _chosen(look.environments, named, unused_for)
        report = EnvsReport(
            shown=chosen,
            count=len(look.environments),
            stale=stale_lines(session.settings),
            now=time.time(),
            unused_for=arguments.unused_for and printable(arguments.unused_for[1]),
            dry_run=output.dry_run,
        )
        if arguments.remove or arguments.fix_registry:
            from .remove_envs import Removal, fix

            if arguments.fix_registry:
                return fix(session, look, report)
            return Removal(session, look).run(report, by_name=bool(named))
        session.show(report, final=output.json)
        return session.code


def _require_sense(arguments: argparse.Namespace) -> None:
    """Refuse what means nothing, or may mean something else. Raises `UsageError` or `ProtectedEnvironmentError`."""
    chosen = bool(arguments.environments) or arguments.unused_for is not None
    if arguments.remove and not chosen:
        raise UsageError("--remove needs names of environments, or --unused-for.", hint=_HINT)
    if arguments.fix_registry and (arguments.remove or chosen):
        raise UsageError("--fix-registry is for the whole registry and goes alone.", hint=_HINT)
    if arguments.remove:
        _refuse_links(arguments.environments)
    changing = arguments.remove or arguments.fix_registry
    for option, given, fits in (
        ("--force", arguments.force, changing),
        ("--prune", arguments.prune, arguments.remove),
        ("--backup", arguments.backup is not None, arguments.remove),
    ):
        if given and not fits:
            raise UsageError(f"{option} means nothing without --remove.", hint=_HINT)


def _refuse_links(environments: Iterable[str]) -> None:
    """Refuse to remove what a symbolic link leads to: it may be meant just to get rid of the link.

    Raises `ProtectedEnvironmentError`.
    """
    for name in environments:
        path = os.path.abspath(os.path.expanduser(name))
        if os.sep in name and failures.islink(path):
            raise ProtectedEnvironmentError(
                f"{path} is a symbolic link.",
                hint=f"Name the directory that it leads to, {failures.realpath(path)}. Nothing was removed.",
                path=path,
            )


def _recover(session: Session) -> None:
    """Finish what an earlier removal left, if anything may be changed; else say that there is something."""
    arguments, output = session.arguments, session.output
    changes = (arguments.remove or arguments.fix_registry) and not output.dry_run and (output.yes or may_ask(output))
    patience = patience_of(arguments, output, session.reporter)
    found = places(session.settings)
    for place in found:
        if not changes:
            session.notices += map(cut_off_notice, cut_off_runs(place))
        elif place.writable and needs_recovery(place):
            done, complete = recover_as_owner(place, patience, session.reporter.counter("Finishing an earlier run"))
            session.notices += done
            session.failed |= not complete
    # --fix-registry does so with a copy.
    if changes and arguments.remove:
        unregister_departed(session.settings.registries, found)


def _look(session: Session, crew: Crew) -> tuple[Look, tuple[str, ...]]:
    """Return what there is, and the real paths of the environments that were named."""
    reporter = session.reporter
    progress = reporter.phase("Looking for environments")
    inventory = discover(request(session.arguments), progress, begin(crew)).inventory
    roots = tuple(root for root in inventory.roots if root.kind is RootKind.ENVIRONMENT)
    in_place = [root for root in roots if not is_set_aside(root.path)]
    named = tuple(find_environment(in_place, name) for name in session.arguments.environments)
    survey = Survey(replace(inventory, roots=roots), crew, reporter.counter("Counting files"))
    survey.walk_caches()
    plan, remarks = session.choice.plan(inventory, reporter, time.time(), survey.measured)
    scan = survey.walk_environments()
    usages = [item for item in make_usage(scan, plan).environments if not is_set_aside(item.root.path)]
    reporter.phase("Looking for evidence of use")(0)
    boundaries, asked = Boundaries(scan.boundaries), frozenset(named)
    environments = tuple(
        _with_own_files(item, scan, boundaries) if not asked or failures.realpath(item.path) in asked else item
        for item in gather(usages, inventory, session.settings)
    )
    reporter.clear()
    found = (*inventory.notices, *scan.notices, *remarks)
    session.notices += [notice for notice in found if notice.kind not in _NOT_HERE]
    return Look(inventory, plan, survey, scan, environments), named


def _with_own_files(environment: Environment, scan: Scan, boundaries: Boundaries) -> Environment:
    root = environment.root
    found = find_own_files(root, scan.pip.get(root, ()), environment.created, boundaries)
    return environment if found is None else replace(environment, own_files=found)


def _chosen(every: Sequence[Environment], named: Sequence[str], unused_for: float | None) -> tuple[Environment, ...]:
    now, asked = time.time(), frozenset(named)
    return tuple(
        environment
        for environment in every
        if (not asked or failures.realpath(environment.path) in asked)
        and (unused_for is None or is_unused_for(environment, unused_for, now))
    )
