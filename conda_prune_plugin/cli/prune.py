"""``conda prune``: prepare, show the plan, ask, carry it out, and show the result as text, JSON or GitHub annotations.

Text is imported only where it is shown: with ``--json`` a command needs neither it nor rich.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from ..core.accounting import hedge
from ..core.model import ReasonKind, Verdict
from ..core.notices import DAMAGED, STILL_DAMAGED, Notice
from ..core.plan import what_goes
from ..core.rules.targets import Target
from ..core.run import Disposal
from ..core.units import Unit, format_age, format_size, plural
from ..operations.interaction import Output, confirm, interacting
from ..operations.options import PruneOptions
from ..operations.prune.prepare_prune import PreparedPrune, PruneResult, check_may_run, prepare
from ..presentation.documents import prune_document
from ..presentation.github import annotate, summarize
from ..presentation.json_output import print_document
from ..presentation.terminal.printable import is_github
from .parsing.arguments import prune_options
from .parsing.output_options import conda_output

#: The exit code if the user answers no.
DECLINED = 1

#: The kinds of notices about the result, not the plan.
_OF_RESULT = frozenset({"purged", "unsettled", "unrecorded", "interrupted", STILL_DAMAGED})

#: The reasons for which only its age keeps a damaged package from being repaired.
_TOO_RECENT = {ReasonKind.ENVIRONMENT, ReasonKind.RECENT}


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    result = prune_with(prune_options(arguments), conda_output(), sort=arguments.sort)
    return DECLINED if result is None else result.exit_code


def prune_with(
    options: PruneOptions,
    output: Output,
    *,
    print_json: bool = True,
    declined: str = "Nothing was removed.",
    sort: str = "size",
) -> PruneResult | None:
    """Plan, show the plan, ask, carry it out and show the result; return it, or None if the user declined.

    print_json: print the JSON document if --json was given; otherwise the caller makes it a part of its own (see
    `document_of`). declined: the message if the user declines. sort: the order of the packages to remove, one of
    `plan_text.SORTS`.

    Raises `PruneError`.
    """
    with interacting(output) as interaction:
        prepared = prepare(options, interaction)
        _show_plan(prepared, sort)
        if prepared.changes:
            check_may_run(prepared)
            if not what_goes(prepared.plan):
                declined = "Nothing was repaired."
            if not confirm(_question(prepared), prepared.interaction, declined):
                return None
            # Once more: time has passed since the question.
            check_may_run(prepared)
        result = prepared.unchanged
        if not prepared.output.dry_run:
            from ..operations.prune.run_prune import carry_out

            result = carry_out(prepared)
        _show_result(result, prepared.output, print_json=print_json, inodes=_shows_inodes(prepared))
        return result


def _show_plan(prepared: PreparedPrune, sort: str = "size") -> None:
    """Show the plan and what the user should know before it is carried out."""
    output, options, check = prepared.output, prepared.options, prepared.options.check
    if not (output.json or output.quiet):
        from ..presentation import plan_text
        from ..presentation.terminal.console import console

        out = console(sys.stdout)
        plan, disposal, search = prepared.plan, options.disposal, options.search
        nothing = _unrepaired(prepared) if Target.REPAIR in options.targets else "Nothing to remove."

        def warn() -> None:
            if search.hashes or search.repair:
                plan_text.show_verified(out, plan, contents=search.hashes)
            sys.stdout.flush()
            _warn(prepared.notices, output)
            if plan.remove and prepared.changes and not output.yes:
                plan_text.show_risk(console(sys.stderr), prepared.notices)

        now, verbosity = time.time(), output.verbosity
        inodes = _shows_inodes(prepared)
        plan_text.show_plan(
            out,
            plan,
            now=now,
            verbosity=verbosity,
            sort=sort,
            disposal=disposal,
            inodes=inodes,
            nothing=nothing,
            dry_run=output.dry_run,
            notices=warn,
        )
        if check is not None:
            plan_text.show_check(out, check, plan)
        sys.stdout.flush()
    elif not (output.json and output.quiet):
        _warn(prepared.notices, output)


def _unrepaired(prepared: PreparedPrune) -> str:
    """Return that nothing is repaired, and whether that is because the damaged packages are too recent."""
    if not any(notice.kind == DAMAGED for notice in prepared.notices):
        return "Nothing to repair."
    leftovers = (keep for keep in prepared.plan.keep if keep.verdict is Verdict.LEFTOVER)
    if recent := sum({reason.kind for reason in keep.reasons} >= _TOO_RECENT for keep in leftovers):
        age = format_age(prepared.options.min_age)
        return f"Nothing was repaired: {plural(recent, 'damaged package')} changed less than {age} ago."
    return "Nothing was repaired."


def _shows_inodes(prepared: PreparedPrune) -> bool:
    """Return whether to show inodes beside bytes: with a verbosity, or with a limit that counts them."""
    options = prepared.options
    limited = options.max_inodes is not None or options.free_inodes is not None
    checked = options.check is not None and options.check.unit is Unit.INODES
    return prepared.output.verbosity > 0 or limited or checked


def _question(prepared: PreparedPrune) -> str:
    """Return the question before a removal. The numbers stand right above it, except with ``--quiet``."""
    plan, options = prepared.plan, prepared.options
    backup = options.disposal is Disposal.BACKUP and bool(plan.remove)
    damaged = plural(len(plan.repair), "damaged package")
    what = what_goes(plan, backup=backup)
    if not what:
        return f"Repair {damaged}?"
    if prepared.output.quiet:
        purged = " once purged" if backup else ""
        what += f" (frees {hedge(plan.inventory.notices)}{format_size(plan.reclaimable)}{purged})"
    elif not plan.repair:
        what = "them"
        if backup:
            what += " aside, and delete the other files" if plan.other else " aside"
    verb = "Move" if backup else "Remove"
    if options.disposal is Disposal.ARCHIVE and plan.remove:
        verb = f"Archive the packages in {options.destination}, then remove"
    return f"Repair {damaged}, then {verb.lower()} {what}?" if plan.repair else f"{verb} {what}?"


def _show_result(result: PruneResult, output: Output, *, print_json: bool, inodes: bool) -> None:
    """Show the result of a prune; the JSON document only with `print_json`."""
    if not output.json:
        _show_outcomes(result, output, inodes=inodes)
    elif print_json:
        print_document(document_of(result))
    kinds = frozenset({"unsettled", "unrecorded", STILL_DAMAGED}) if output.quiet else _OF_RESULT
    _warn((notice for notice in result.notices if notice.kind in kinds), output)
    if is_github(os.environ):
        annotate((), result.outcomes)
        summarize(result.plan, result.outcomes, dry_run=result.dry_run, check=result.check, shrinkage=result.shrinkage)


def document_of(result: PruneResult) -> dict[str, Any]:
    """Return the JSON document of a prune."""
    return prune_document(
        result.plan,
        dry_run=result.dry_run,
        run=result.left,
        outcomes=result.outcomes,
        others=result.others,
        notices=result.notices,
        success=not result.failed,
        check=result.check,
        shrinkage=result.shrinkage,
    )


def _show_outcomes(result: PruneResult, output: Output, *, inodes: bool) -> None:
    from ..presentation.outcome_text import show_outcomes, show_shrinkage
    from ..presentation.terminal.console import console

    out, err = console(sys.stdout), console(sys.stderr)
    plan, run, undoable = result.plan, result.run, result.left is not None
    if run is not None:
        show_outcomes(
            out,
            err,
            plan,
            run,
            result.outcomes,
            result.others,
            quiet=output.quiet,
            undoable=undoable,
            inodes=inodes,
        )
    if result.shrinkage is not None and not output.quiet:
        show_shrinkage(out, result.shrinkage, inodes=inodes)
    sys.stdout.flush()


def _warn(notices: Iterable[Notice], output: Output) -> None:
    if is_github(os.environ):
        annotate(notices)
    elif not output.json:
        from ..presentation.plan_text import show_notices
        from ..presentation.terminal.console import console

        show_notices(console(sys.stderr), notices)
