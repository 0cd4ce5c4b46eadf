"""``conda prune envs``: list environments, remove some, clean registries."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .parsing.shared_options import (
    CHOICES,
    Value,
    add_lock_timeout,
    add_output_and_prompt_options,
    add_places,
    conda_output,
)

if TYPE_CHECKING:
    from ..core.envs.envs_result import EnvsResult
    from ..operations.envs.list_envs import Listing
    from ..operations.interaction import Interaction, Output
    from .envs_screen import EnvsScreen

DESCRIPTION = """\
List environments with the evidence of their use, or take some away.

For each: its own and shared bytes, when it was created, changed and last used,
which processes run from it, what points into it (Jupyter kernels, editors,
direnv and shell files, cron, systemd, scripts), whether it is frozen, broken or
has the same packages as another.

--remove first writes what is needed to rebuild an environment into a folder
that it names, and deletes the environment then, or with --backup moves it aside
by one rename. `conda prune restore` brings back either. The base environment is
never removed, and what is active, frozen, running or pointed at only with
--force.
"""

EPILOG = """\
examples:
  conda prune envs                       all environments, the largest first
  conda prune envs -v work               one of them, with every piece of evidence
  conda prune envs --unused-for 90d      those that nothing has used for 90 days
  conda prune envs old test --remove     remove two, after a question
  conda prune envs old --remove --backup move one aside; frees nothing until purged
  conda prune envs --unused-for 1y --remove --prune --yes
                                         and remove what only they kept in the caches
  conda prune envs --fix-registry        clean environments.txt of what is gone
"""


#: Options that mean something else here than in ``conda prune`` itself.
OWN = frozenset[str]()

#: Options that only ``conda prune`` itself has and that count here all the same: before the command's name.
ABOVE = CHOICES | {"ignore_unreadable"}


def configure_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's parser and return it."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "envs",
        help="List environments with evidence of use, or remove some.",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("environments", metavar="NAME", nargs="*", help="Only these, by name or prefix.")
    which = parser.add_argument_group("which environments")
    which.add_argument(
        "--unused-for",
        "--older-than",
        dest="unused_for",
        metavar="AGE",
        action=Value,
        help="Only those of which all evidence of use is at least this old (12h, 30d, 8w, 6mo).",
    )
    _add_removal(parser.add_argument_group("what to do with them"))
    add_places(parser).add_argument(
        "--min-age",
        metavar="AGE",
        action=Value,
        help="What counts as too young to be reclaimable in the caches, as for conda prune (default: 10m).",
    )
    add_lock_timeout(parser)
    parser.add_argument(
        "--ignore-running",
        action="store_true",
        help="With --yes: go on though another conda, mamba or pixi is installing something right now.",
    )
    add_output_and_prompt_options(parser)
    parser.set_defaults(prune_command=execute)
    return parser


def _add_removal(group: Any) -> None:
    group.add_argument("--remove", action="store_true", help="Remove those named, or those found by --unused-for.")
    group.add_argument(
        "--force",
        action="store_true",
        help="Also what is active, frozen, running, or pointed at; with --fix-registry also lines on places that are "
        "away. Never the base environment.",
    )
    group.add_argument(
        "--backup",
        action="store_true",
        default=None,
        help="Move environments aside instead of deleting them; frees nothing until `conda prune purge`.",
    )
    group.add_argument(
        "--no-backup", dest="backup", action="store_false", help="Delete, also if the setting prune_backup says else."
    )
    group.add_argument(
        "--prune", action="store_true", help="Afterwards prune the caches; without it that is asked, with --yes not."
    )
    group.add_argument(
        "--fix-registry",
        action="store_true",
        help="Take lines out of environments.txt whose environment is gone, keeping a copy, and move leftovers of "
        "interrupted creations aside.",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    from functools import partial
    from importlib import import_module

    from ..discovery.system.worker import WorkerPool

    # The second process starts while this one imports the rest.
    with WorkerPool() as workers:
        # What shows the result takes long to import: that is done while the other process counts files.
        workers.meanwhile(partial(import_module, "..presentation.envs_text", __package__))
        from ..operations.envs.list_envs import list_environments
        from ..operations.interaction import interacting
        from .envs_screen import EnvsScreen, exit_code_of
        from .parsing.arguments import envs_options

        options = envs_options(arguments)
        with interacting(conda_output()) as interaction:
            listing, screen = list_environments(options, interaction, workers), EnvsScreen(interaction.output)
            if options.fix_registry:
                return _fix(listing, interaction, screen)
            if options.remove:
                return _remove(listing, interaction, screen, arguments)
            screen.show_environments(listing.result)
            if interaction.output.json:
                screen.show_changes(listing.result)
            return exit_code_of(listing.result)


def _remove(listing: Listing, interaction: Interaction, screen: EnvsScreen, arguments: argparse.Namespace) -> int:
    from ..operations.envs.remove_envs import carry_out_removal, check_may_run, prepare_removal
    from ..operations.interaction import confirm
    from .envs_screen import exit_code_of, question

    output = interaction.output
    prepared = prepare_removal(listing, interaction)
    screen.show_environments(prepared.result)
    if output.dry_run or not prepared.removals:
        return screen.show_changes(prepared.result)
    check_may_run(prepared, interaction)
    if not confirm(question(prepared), interaction):
        return 1
    # Once more: the answer may have taken its time.
    check_may_run(prepared, interaction)
    result, pruned = carry_out_removal(prepared, interaction), None
    # Text is shown before the prune shows its own; JSON is one document with that of the prune in it.
    if not output.json:
        screen.show_changes(result)
    if _prune_is_due(listing, result, output):
        result, pruned = _prune(arguments, result, interaction)
    if output.json:
        screen.show_changes(result, pruned)
    return exit_code_of(result)


def _prune_is_due(listing: Listing, result: EnvsResult, output: Output) -> bool:
    """Return whether the caches are to be pruned, or the user is to be asked."""
    from ..core.model import Result
    from ..operations.interaction import may_ask

    done = {outcome.result for outcome in result.outcomes} & {Result.REMOVED, Result.BACKED_UP}
    asked = may_ask(output) and not output.yes and result.reclaimable_then > 0
    return not result.interrupted and bool(done) and (listing.options.prune or (asked and Result.REMOVED in done))


def _prune(
    arguments: argparse.Namespace, result: EnvsResult, interaction: Interaction
) -> tuple[EnvsResult, Mapping[str, Any] | None]:
    """Prune the caches, which shows a plan and asks; return the result with how that went, and the document of it."""
    from dataclasses import replace

    from ..errors import INTERRUPTED, PruneError
    from ..operations.runs.run_store import stopped_notice
    from .parsing.arguments import prune_options_after_removal
    from .prune import DECLINED, prune_with
    from .prune_screen import document_of

    document: Mapping[str, Any] | None = None
    try:
        options = prune_options_after_removal(arguments)
        declined = "Nothing was removed from the caches."
        pruned = prune_with(options, interaction.output, print_json=False, declined=declined)
        code = DECLINED if pruned is None else pruned.exit_code
        document = None if pruned is None or not interaction.output.json else document_of(pruned)
    except PruneError as error:
        if not interaction.output.json:
            interaction.tell("The caches could not be pruned:")
            raise
        # The environments are gone all the same, and their outcomes have to be told.
        code, document = error.return_code, error.dump_map()
    except (OSError, KeyboardInterrupt) as error:
        if not interaction.output.json:
            raise
        code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
        notice = stopped_notice("prune", "The caches could not be pruned", error)
        result = replace(result, notices=(*result.notices, notice))
    # Without --prune it was a question, to which no is an answer like any other.
    failed = result.failed or (code != 0 and bool(arguments.prune))
    return replace(result, failed=failed, interrupted=result.interrupted or code == INTERRUPTED), document


def _fix(listing: Listing, interaction: Interaction, screen: EnvsScreen) -> int:
    from ..operations.envs.fix_registry import carry_out_fix, prepare_fix
    from ..operations.envs.remove_envs import check_may_run
    from ..operations.interaction import confirm
    from .envs_screen import question_of_fix

    prepared = prepare_fix(listing, interaction)
    broken = prepared.removal.removals
    screen.show_environments(prepared.result)
    if interaction.output.dry_run or not (prepared.count or broken):
        return screen.show_changes(prepared.result)
    # An environment that another conda is creating right now looks like one whose creation was interrupted.
    if broken:
        check_may_run(prepared.removal, interaction)
    if not confirm(question_of_fix(prepared), interaction, "Nothing was removed or changed."):
        return 1
    if broken:
        check_may_run(prepared.removal, interaction)
    return screen.show_changes(carry_out_fix(prepared, interaction))
