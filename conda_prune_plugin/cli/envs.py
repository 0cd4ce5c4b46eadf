"""``conda prune envs``: list environments, remove some, clean up registries; show it as text or JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..core.envs.environment_use import EnvsResult
from ..core.model import Result
from ..core.run import Disposal
from ..core.units import plural
from ..errors import INTERRUPTED, PruneError, exit_code
from ..operations.envs.list_envs import Listing, list_environments
from ..operations.interaction import Interaction, Output, confirm, interacting, may_ask
from ..operations.options import PruneOptions
from ..presentation.environment_documents import envs_document
from ..presentation.json_output import print_document
from ..presentation.terminal.printable import printable
from .parsing.arguments import envs_options, prune_options_after_removal
from .parsing.output_options import conda_output


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    options = envs_options(arguments)
    with interacting(conda_output()) as interaction:
        listing, screen = (
            list_environments(options, interaction),
            _Screen(interaction.output, registry=not options.environments),
        )
        if options.fix_registry:
            return _fix(listing, interaction, screen)
        if options.remove:
            code = remove_listed(listing, interaction, lambda: prune_options_after_removal(arguments))
            return 1 if code is None else code
        screen.show_environments(listing.result)
        if interaction.output.json:
            screen.show_changes(listing.result)
        return exit_code(failed=listing.result.failed, interrupted=False)


class _Screen:
    """Shows results step by step and each notice once. JSON is one document at the end."""

    def __init__(self, output: Output, *, registry: bool) -> None:
        self._output, self._registry = output, registry
        self._shown = 0

    def show_environments(self, result: EnvsResult) -> None:
        """Show the environments and the planned changes."""
        from ..presentation.envs_text import show_environments
        from ..presentation.terminal.console import console

        if not self._output.json:
            whole, quiet = self._output.verbosity > 0, self._output.quiet
            show_environments(
                console(sys.stdout),
                result,
                whole=whole,
                quiet=quiet,
                registry=self._registry,
                dry_run=self._output.dry_run,
            )
            self._show_notices(result)

    def show_changes(self, result: EnvsResult, pruned: Mapping[str, Any] | None = None) -> int:
        """Show the outcomes and return the exit code; `pruned` is the JSON document of a prune afterwards."""
        from ..presentation.envs_text import show_changes
        from ..presentation.terminal.console import console

        if self._output.json:
            print_document(envs_document(result, dry_run=self._output.dry_run, pruned=pruned))
        else:
            quiet, dry_run = self._output.quiet, self._output.dry_run
            show_changes(console(sys.stdout), console(sys.stderr), result, quiet=quiet, dry_run=dry_run)
            self._show_notices(result)
        return exit_code(failed=result.failed, interrupted=result.interrupted)

    def _show_notices(self, result: EnvsResult) -> None:
        from ..presentation.plan_text import show_notices
        from ..presentation.terminal.console import console

        sys.stdout.flush()
        show_notices(console(sys.stderr), result.notices[self._shown :])
        self._shown = len(result.notices)


def remove_listed(
    listing: Listing, interaction: Interaction, pruning: Callable[[], PruneOptions] | None = None
) -> int | None:
    """Remove the chosen environments: show what goes, ask, carry it out; return the exit code, None if declined.

    pruning: returns the options of the prune of the caches afterwards; without it none is offered. Raises `PruneError`.
    """
    from ..operations.envs.remove_envs import carry_out_removal, check_may_run, prepare_removal

    output, screen = interaction.output, _Screen(interaction.output, registry=not listing.options.environments)
    prepared = prepare_removal(listing, interaction)
    screen.show_environments(prepared.result)
    if output.dry_run or not prepared.removals:
        return screen.show_changes(prepared.result)
    environments = [removal.environment for removal in prepared.removals]
    noun = plural(len(environments), "environment")
    names = ", ".join(printable(item.root.name or item.path) for item in environments)
    # What it frees stands right above.
    question = f"Remove {noun}: {names}?"
    if prepared.disposal is Disposal.BACKUP:
        question = f"Move {noun} aside: {names}?"
    check_may_run(prepared, interaction)
    if not confirm(question, interaction):
        return None
    # Once more: time has passed since the question.
    check_may_run(prepared, interaction)
    result, pruned = carry_out_removal(prepared, interaction), None
    # Text comes before that of the prune; JSON is one document that contains the one of the prune.
    if not output.json:
        screen.show_changes(result)
    done = {outcome.result for outcome in result.outcomes} & {Result.REMOVED, Result.BACKED_UP}
    may_offer = may_ask(output) and not output.yes and result.reclaimable_then > 0 and Result.REMOVED in done
    if pruning and done and not result.interrupted and (listing.options.prune or may_offer):
        result, pruned = _prune(pruning, result, interaction, asked=listing.options.prune)
    if output.json:
        screen.show_changes(result, pruned)
    return exit_code(failed=result.failed, interrupted=result.interrupted)


def _prune(
    pruning: Callable[[], PruneOptions], result: EnvsResult, interaction: Interaction, *, asked: bool
) -> tuple[EnvsResult, Mapping[str, Any] | None]:
    """Prune the caches, which shows a plan and asks; return the updated result and the JSON document of the prune."""
    from ..operations.runs.run_store import stopped_notice
    from .prune import DECLINED, document_of, prune_with

    document: Mapping[str, Any] | None = None
    try:
        declined = "Nothing was removed from the caches."
        pruned = prune_with(pruning(), interaction.output, print_json=False, declined=declined)
        code = DECLINED if pruned is None else pruned.exit_code
        document = None if pruned is None or not interaction.output.json else document_of(pruned)
    except PruneError as error:
        if not interaction.output.json:
            interaction.tell("The caches could not be pruned:")
            raise
        # The environments are removed all the same, so their outcomes have to be reported.
        code, document = error.return_code, error.dump_map()
    except (OSError, KeyboardInterrupt) as error:
        if not interaction.output.json:
            raise
        code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
        notice = stopped_notice("prune", "The caches could not be pruned", error)
        result = replace(result, notices=(*result.notices, notice))
    # Without --prune the user was asked, and declining is not a failure.
    failed = result.failed or (code != 0 and asked)
    return replace(result, failed=failed, interrupted=result.interrupted or code == INTERRUPTED), document


def _fix(listing: Listing, interaction: Interaction, screen: _Screen) -> int:
    from ..operations.envs.fix_registry import carry_out_fix, prepare_fix
    from ..operations.envs.remove_envs import check_may_run

    prepared = prepare_fix(listing, interaction)
    broken = len(prepared.removals)
    screen.show_environments(prepared.result)
    if interaction.output.dry_run or not (prepared.lines or broken):
        return screen.show_changes(prepared.result)
    changes = [f"remove {plural(prepared.lines, 'line')} from environments.txt"] if prepared.lines else []
    changes += [f"move {plural(broken, 'broken environment')} aside"] if broken else []
    # An environment that another conda is creating looks like one whose creation was interrupted.
    if broken:
        check_may_run(prepared, interaction)
    if not confirm(f"{' and '.join(changes).capitalize()}?", interaction, "Nothing was removed or changed."):
        return 1
    if broken:
        check_may_run(prepared, interaction)
    return screen.show_changes(carry_out_fix(prepared, interaction))
