"""What ``conda prune envs`` changes: environments removed or moved aside, registries cleaned."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from os.path import dirname, join, realpath

from ... import settings
from ...cli.options import patience_of
from ...core.envs.environment_use import Departed, Environment
from ...core.model import Notice, Result, RootState
from ...core.run import Disposal, Run
from ...core.units import format_size, plural
from ...core.usage.disk_usage import released
from ...discovery.envs.use_evidence import AWAY
from ...discovery.system.measure import measure
from ...errors import INTERRUPTED, PruneError
from ...execution.environment_preflight import Tools
from ...execution.files.environments_txt_lines import take_out
from ...presentation.envs_output import EnvsReport
from ...presentation.plan_text import printable
from ..env_registration import register_found, unregister
from ..interaction import confirm, may_ask
from ..prune.preflight import refuse_running
from ..prune.run_prune import run as prune
from ..prune.what_if import plan_without
from ..run_as_owner import farewell_as_owner, take_away_as_owners
from ..runs.run_store import new_run_id, stopped_notice
from ..runs.state_dirs import forget_places, note_place
from .eligibility import Leaving, allowed, leaving, objection, refuse_protected, why_protected
from .list_envs import Look, Session


class Removal:
    """Removes environments, or moves them aside."""

    def __init__(self, session: Session, look: Look, disposal: Disposal | None = None) -> None:
        self._session = session
        self._look = look
        self._force = bool(session.arguments.force)
        given = session.arguments.backup
        backup = settings.BACKUP.value() if given is None else given
        self._disposal = disposal or (Disposal.BACKUP if backup else Disposal.DELETE)

    def run(self, report: EnvsReport, *, by_name: bool) -> int:
        """Do it and return the exit code; `by_name`: the user has named them himself. Raises `PruneError`."""
        session = self._session
        going, staying = allowed(report.shown, by_age=not by_name, force=self._force)
        if by_name:
            refuse_protected(staying)
        for environment, found in staying:
            message = f"{environment.path} stays: {why_protected(found)}."
            session.notices.append(Notice("protected", message, environment.path))
        goers = self.leavers(going, report.now)
        report = self.foreseen(report, goers)
        session.show(report, final=False)
        if session.output.dry_run or not goers:
            session.show(report, final=True)
            return session.code
        self.refuse_running()
        if not confirm(self._question(goers, report), session.output, session.reporter):
            return 1
        self.refuse_running()
        report = self.carry_out(report, goers)
        if not session.output.json:
            session.show(report, final=True)
        report = self._prune(report)
        if session.output.json:
            session.show(report, final=True)
        return session.code

    def leavers(self, going: Iterable[Environment], now: float) -> tuple[Leaving, ...]:
        """Return what the removal of each environment needs; one that is gone meanwhile is told and stops no other."""
        found = []
        for environment in going:
            try:
                found.append(leaving(environment, self._look.scan, now))
            except OSError as error:
                self._session.failed = True
                message = f"{environment.path} can't be removed: {error.strerror or error}."
                self._session.notices.append(Notice("removal", message, environment.path))
        return tuple(found)

    def foreseen(self, report: EnvsReport, goers: Sequence[Leaving]) -> EnvsReport:
        """Return the report with what the removal would free, here and in the caches."""
        look = self._look
        paths = frozenset(realpath(item.environment.path) for item in goers)
        then = look.plan.reclaimable
        if goers and self._disposal is Disposal.DELETE:
            session = self._session
            then = plan_without(
                paths, look.inventory, look.survey, look.scan, session.choice, session.reporter
            ).reclaimable
        trees = [tree for root, tree in look.scan.environments if realpath(root.path) in paths]
        return replace(
            report,
            leaving=tuple((item.environment, item.losses) for item in goers),
            disposal=self._disposal,
            released=released(trees, look.scan.inodes) - sum(item.kept for item in goers),
            reclaimable=look.plan.reclaimable,
            reclaimable_then=then,
        )

    def refuse_running(self) -> None:
        """Refuse while another conda installs: it may be into one of these environments. Raises `RunningError`."""
        ignored = self._session.arguments.ignore_running and self._session.output.yes
        if not (self._force or ignored):
            refuse_running(self._look.inventory.caches)

    def _question(self, goers: Sequence[Leaving], report: EnvsReport) -> str:
        names = ", ".join(printable(item.environment.root.name or item.environment.path) for item in goers)
        noun, size = plural(len(goers), "environment"), format_size(report.released)
        if self._disposal is Disposal.BACKUP:
            return f"Move {noun} aside: {names} ({size}, which stay on the disk until they are purged)?"
        return f"Remove {noun}: {names} ({size})?"

    def carry_out(self, report: EnvsReport, goers: Sequence[Leaving]) -> EnvsReport:
        """Take environments away and return the report with what became of them."""
        session = self._session
        started = time.time()
        run = Run(new_run_id(started), started, self._disposal)
        tools = Tools(
            objection=(lambda path: None) if self._force else objection,
            farewell=farewell_as_owner,
            unregister=lambda path: unregister(session.settings.registries, path),
            note=lambda place: note_place(session.settings, place, run),
            measure=lambda path, dir_fd: measure(path, dir_fd=dir_fd),
            progress=session.reporter.counter("Removing files", sum(item.departure.files for item in goers)),
            patience=patience_of(session.arguments, session.output, session.reporter),
        )
        try:
            removed = take_away_as_owners([item.departure for item in goers], run, tools)
        finally:
            forget_places(session.settings)
        session.reporter.clear()
        session.failed |= removed.failed
        session.interrupted |= removed.interrupted
        session.notices += _warnings(removed.outcomes)
        return replace(report, run=run, outcomes=removed.outcomes)

    def _prune(self, report: EnvsReport) -> EnvsReport:
        """Prune the caches if that is wanted, or might be: it shows its plan and asks."""
        session = self._session
        done = {outcome.result for outcome in report.outcomes} & {Result.REMOVED, Result.BACKED_UP}
        asked = may_ask(session.output) and not session.output.yes and report.reclaimable_then > 0
        wanted = session.arguments.prune or (asked and Result.REMOVED in done)
        if session.interrupted or not done or not wanted:
            return report
        session.arguments.backup = None
        documents: list[Mapping[str, object]] = []
        try:
            code = prune(session.arguments, publish=documents.append, declined="Nothing was removed from the caches.")
        except PruneError as error:
            if not session.output.json:
                session.tell("The caches could not be pruned:")
                raise
            # The environments are gone all the same, and their outcomes have to be told.
            code, documents = error.return_code, [error.dump_map()]
        except (OSError, KeyboardInterrupt) as error:
            if not session.output.json:
                raise
            code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
            session.notices.append(stopped_notice("prune", "The caches could not be pruned", error))
        session.interrupted |= code == INTERRUPTED
        # Without --prune it was a question, to which no is an answer like any other.
        session.failed |= code != 0 and bool(session.arguments.prune)
        return replace(report, pruned=documents[0] if documents else None)


def fix(session: Session, look: Look, report: EnvsReport) -> int:
    """Clean registries and move leftovers of interrupted creations aside; return the exit code."""
    force = bool(session.arguments.force)
    only_listed = _only_listed(session, look)
    lines = {
        registry: tuple(
            prefix for prefix, why in stale if (force or why != AWAY) and realpath(prefix) not in only_listed
        )
        for registry, stale in report.stale.items()
    }
    lines = {registry: prefixes for registry, prefixes in lines.items() if prefixes}
    removal = Removal(session, look, Disposal.BACKUP)
    broken, staying = allowed([item for item in look.environments if _is_leftover(item)], by_age=False, force=force)
    for environment, found in staying:
        message = f"{environment.path} stays: {why_protected(found)}."
        session.notices.append(Notice("protected", message, environment.path))
    goers = _harmless(session, removal.leavers(broken, report.now))
    report = replace(removal.foreseen(replace(report, shown=broken), goers), fix=lines)
    session.show(report, final=False)
    count = sum(map(len, lines.values()))
    if session.output.dry_run or not (count or goers):
        session.show(report, final=True)
        return session.code
    wanted = [f"take {plural(count, 'line')} out of the registry"] if count else []
    wanted += [f"move {plural(len(goers), 'broken environment')} aside"] if goers else []
    # An environment that another conda is creating right now looks like one whose creation was interrupted.
    if goers:
        removal.refuse_running()
    question = f"{' and '.join(wanted).capitalize()}?"
    if not confirm(question, session.output, session.reporter, "Nothing was removed or changed."):
        return 1
    if goers:
        removal.refuse_running()
    session.show(_fixed(session, removal, report, goers, lines), final=True)
    return session.code


def _fixed(
    session: Session, removal: Removal, report: EnvsReport, goers: Sequence[Leaving], lines: Mapping[str, Sequence[str]]
) -> EnvsReport:
    """Take lines out of registries and move environments aside; return the report with what became of both."""
    report = replace(report, copies=_take_out(session, lines) if _register_found(session, lines) else ())
    try:
        return removal.carry_out(report, goers) if goers else report
    except (PruneError, KeyboardInterrupt) as error:
        if not report.copies:
            raise
        # The registry is another one by now, and where the old one is has to be told.
        session.failed = True
        session.interrupted = isinstance(error, KeyboardInterrupt)
        session.notices.append(stopped_notice("removal", "No environment was moved aside", error))
        return report


def _only_listed(session: Session, look: Look) -> frozenset[str]:
    """Return the half-removed environments that only their line in a registry leads to, and report them."""
    directories = session.settings.envs_dirs
    found = set()
    for environment in look.environments:
        path = environment.path
        if environment.root.state is not RootState.HALF_REMOVED or dirname(path) in directories:
            continue
        if environment.registered and not _is_leftover(environment):
            found.add(realpath(path))
            message = f"Kept the line of {path}: it is half removed. To remove it: conda prune envs {path} --remove"
            session.notices.append(Notice("registry", message, path))
    return frozenset(found)


def _is_leftover(environment: Environment) -> bool:
    return any(problem.kind == "interrupted" for problem in environment.problems)


def _harmless(session: Session, goers: Iterable[Leaving]) -> tuple[Leaving, ...]:
    """Return the environments that hold nothing but files of packages; the others are reported and stay."""
    found = []
    for item in goers:
        if item.losses.files:
            path = item.environment.path
            message = (
                f"Kept {path}: its creation or removal was interrupted, but it holds "
                f"{plural(item.losses.files, 'file')} of no package. To remove it: conda prune envs {path} --remove"
            )
            session.notices.append(Notice("protected", message, path))
        else:
            found.append(item)
    return tuple(found)


def _register_found(session: Session, lines: Mapping[str, Sequence[str]]) -> bool:
    """Register what only these lines lead to, because it was renamed; return whether they may go."""
    found, trouble = register_found(session.settings, tuple(chain.from_iterable(lines.values())))
    for prefix in found:
        message = f"Registered {prefix}, which lies beside a missing environment and was not registered."
        session.notices.append(Notice("registered", message, prefix))
    if trouble is not None:
        session.failed = True
        message = f"The registry stays as it is: {trouble}, and nothing else leads to it."
        session.notices.append(Notice("registry", message, ""))
    return trouble is None


def _take_out(session: Session, lines: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Take lines out of registries and return the paths of the copies of what they were."""
    copies = []
    for registry, prefixes in lines.items():
        copy = f"environments.txt.{new_run_id(time.time())}"
        try:
            if take_out(registry, prefixes, copy):
                copies.append(join(dirname(realpath(registry)), copy))
        except OSError as error:
            session.failed = True
            message = f"The registry {registry} can't be changed: {error.strerror or error}."
            session.notices.append(Notice("registry", message, registry))
    return tuple(copies)


def _warnings(outcomes: Sequence[Departed]) -> list[Notice]:
    return [
        Notice("removal", f"{outcome.path}: {outcome.warning}.", outcome.path)
        for outcome in outcomes
        if outcome.warning is not None
    ]
