"""Show the plan, the question and the result of ``conda prune`` as text, JSON and GitHub annotations."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from ..core.accounting import hedge
from ..core.notices import Notice
from ..core.plan import what_goes
from ..core.run import Disposal
from ..core.units import format_size, plural
from ..operations.interaction import Output
from ..operations.prune.prepare_prune import PreparedPrune
from ..operations.prune.run_prune import PruneResult
from ..presentation.documents import prune_document
from ..presentation.github import annotate, summarize
from ..presentation.json_output import print_document
from ..presentation.terminal.printable import is_github

#: The kinds of notices about the result, not the plan.
_OF_RESULT = frozenset({"purged", "unsettled", "unrecorded", "interrupted"})


def import_text() -> None:
    """Import the text presentation. It takes long, so do it while a worker inspects packages."""
    import_module("..presentation.plan_text", __package__)


def show_plan(prepared: PreparedPrune, sort: str = "size") -> None:
    """Show the plan and what the user should know before it is carried out; `sort` is one of `plan_text.SORTS`."""
    output, check = prepared.output, prepared.options.check
    if not (output.json or output.quiet):
        from ..presentation import plan_text
        from ..presentation.terminal.console import console

        out = console(sys.stdout)
        plan_text.show_plan(
            out,
            prepared.plan,
            now=time.time(),
            verbosity=output.verbosity,
            sort=sort,
            disposal=prepared.options.disposal,
        )
        if check is not None:
            plan_text.show_check(console(sys.stdout), check, prepared.plan)
        sys.stdout.flush()
    if not output.quiet:
        _warn(prepared.notices, output)


def question(prepared: PreparedPrune) -> str:
    """Return the question before a removal."""
    plan, options = prepared.plan, prepared.options
    what, files = what_goes(plan), plural(plan.files, "file")
    size = hedge(plan.inventory.notices) + format_size(plan.reclaimable)
    # Other files have no backup, because conda recreates them.
    other = ", and delete what is not a package" if plan.other else ""
    if options.disposal is Disposal.BACKUP and plan.remove:
        return f"Move {what} aside ({files}, frees {size} once purged){other}?"
    if options.disposal is Disposal.ARCHIVE and plan.remove:
        return f"Archive {what} in {options.destination} and remove them ({files}, frees {size}){other}?"
    mended = plural(len(plan.repair), "damaged package")
    if not plan.repair:
        return f"Remove {what} ({files}, frees {size})?"
    return f"Repair {mended} and remove {what} ({files}, frees {size})?" if what else f"Repair {mended}?"


def show_result(result: PruneResult, output: Output, *, print_json: bool = True) -> None:
    """Show the result of a prune; the JSON document only with `print_json`."""
    if not output.json:
        _show_outcomes(result, output)
    elif print_json:
        print_document(document_of(result))
    kinds = _OF_RESULT
    if output.quiet:
        # Quiet has hidden the cleanup of earlier runs, which may be the only failure.
        kinds = kinds | {"cut-off-run"} if result.failed else frozenset({"unsettled", "unrecorded"})
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


def _show_outcomes(result: PruneResult, output: Output) -> None:
    from ..presentation.outcome_text import show_outcomes, show_shrinkage
    from ..presentation.terminal.console import console

    out, err = console(sys.stdout), console(sys.stderr)
    if result.run is not None:
        show_outcomes(
            out,
            err,
            result.plan,
            result.run,
            result.outcomes,
            result.others,
            quiet=output.quiet,
            undoable=result.left is not None,
        )
    if result.shrinkage is not None and not output.quiet:
        show_shrinkage(out, result.shrinkage)
    sys.stdout.flush()


def _warn(notices: Iterable[Notice], output: Output) -> None:
    if is_github(os.environ):
        annotate(notices)
    elif not output.json:
        from ..presentation.plan_text import show_notices
        from ..presentation.terminal.console import console

        show_notices(console(sys.stderr), notices)
