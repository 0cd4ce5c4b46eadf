"""``conda prune dedupe``: share the storage of files that are stored more than once."""

from __future__ import annotations

import argparse
import sys

from ..core.usage.sharing import SharePlan
from ..errors import exit_code
from ..operations.dedupe.share_duplicates import DedupeResult, carry_out_dedupe, plan_dedupe
from ..operations.interaction import Output, confirm, interacting
from ..presentation.dedupe_text import show_outcomes, show_shares, summary
from ..presentation.documents import dedupe_document
from ..presentation.json_output import print_document
from ..presentation.plan_text import show_notices
from ..presentation.terminal.console import console, print_line
from .parsing.arguments import dedupe_options
from .parsing.output_options import conda_output


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    options, output = dedupe_options(arguments), conda_output()
    with interacting(output) as interaction:
        result = DedupeResult(plan_dedupe(options, interaction.reporter))
        _show_plan(result.plan, output)
        if result.plan.shares and not output.dry_run:
            if not confirm("Share their storage?", interaction, "Nothing was changed."):
                return 1
            result = carry_out_dedupe(result.plan, interaction)
        _show_result(result, output)
    return exit_code(failed=result.failed, interrupted=result.interrupted)


def _show_plan(plan: SharePlan, output: Output) -> None:
    if output.json:
        return
    out = console(sys.stdout)
    show_notices(console(sys.stderr), plan.notices)
    if not output.quiet:
        show_shares(out, plan, whole=output.verbosity > 0)
        print_line(out, summary(plan))


def _show_result(result: DedupeResult, output: Output) -> None:
    if output.json:
        success = not (result.failed or result.interrupted)
        print_document(dedupe_document(result.plan, result.outcomes, success=success, dry_run=output.dry_run))
    elif result.outcomes:
        show_outcomes(console(sys.stdout), console(sys.stderr), result.outcomes, quiet=output.quiet)
