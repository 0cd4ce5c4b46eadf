"""``conda prune envs``: list environments, remove some, clean up registries."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .parsing import help_text
from .parsing.shared_options import (
    CHOICES,
    Value,
    add_backup,
    add_ignore_running,
    add_lock_timeout,
    add_min_age,
    add_places,
    conda_output,
)

if TYPE_CHECKING:
    from ..core.envs.envs_result import EnvsResult
    from ..operations.envs.list_envs import Listing
    from ..operations.interaction import Interaction, Output
    from .envs_screen import EnvsScreen

DESCRIPTION = """\
List environments and when they were last used, or remove some.

For each environment: own and shared space, when it was created, changed and
last used, the processes that run from it, what refers to it (Jupyter kernels,
editors, shell files, cron, systemd, scripts), and whether it is frozen, broken
or a duplicate of another.

--remove first exports what is needed to rebuild the environment, then deletes
it. With --backup it moves the environment aside instead. `conda prune restore`
undoes both. The base environment is never removed. Environments that are
active, frozen, running or referred to are removed only with --force.
"""

EPILOG = """\
examples:
  conda prune envs                        all environments, largest first
  conda prune envs -v work                one environment in detail
  conda prune envs --unused-for 90d       environments unused for 90 days
  conda prune envs old test --remove      remove two environments
  conda prune envs old --remove --backup  move one aside until it is purged
  conda prune envs --unused-for 1y --remove --prune --yes
                                          remove and prune, don't ask
  conda prune envs --fix-registry         clean up environments.txt
"""


#: Options with another meaning here than in ``conda prune`` itself.
OWN = frozenset[str]()

#: Options of ``conda prune`` itself that this command honours before its name.
ABOVE = CHOICES | {"ignore_unreadable"}


def configure_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's parser and return it."""
    parser: argparse.ArgumentParser = help_text.add_command(
        commands,
        "envs",
        "List environments and their last use, or remove some.",
        "[OPTIONS] [NAME ...]",
        DESCRIPTION,
        EPILOG,
    )
    parser.add_argument("environments", metavar="NAME", nargs="*", help="Only these environments (name or path).")
    which = parser.add_argument_group("which environments")
    which.add_argument(
        "--unused-for",
        "--older-than",
        dest="unused_for",
        metavar="AGE",
        action=Value,
        help="Only environments unused for at least AGE (12h, 30d, 8w, 6mo).",
    )
    _add_removal(parser.add_argument_group("removing environments"))
    add_min_age(add_places(parser))
    help_text.add_output_options(
        parser,
        verbose="Show all evidence of use and complete lists.",
        dry_run="With --remove or --fix-registry: change nothing.",
        yes="With --remove or --fix-registry: don't ask.",
    )
    parser.set_defaults(prune_command=execute)
    return parser


def _add_removal(group: Any) -> None:
    group.add_argument(
        "--remove", action="store_true", help="Remove the named environments, or those that --unused-for finds."
    )
    group.add_argument(
        "--force",
        action="store_true",
        help="Also remove environments that are active, frozen, running, referred to, or hold files of your own. With "
        "--fix-registry: also remove lines for missing disks. Never the base environment.",
    )
    add_backup(group)
    group.add_argument(
        "--prune",
        action="store_true",
        help="Prune the caches afterwards. (Asks by default; with --yes the default is no.)",
    )
    group.add_argument(
        "--fix-registry",
        action="store_true",
        help="Remove lines of missing environments from environments.txt, keeping a copy, and move remains of "
        "interrupted creations aside.",
    )
    add_lock_timeout(group)
    add_ignore_running(group)


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    from ..operations.envs.list_envs import list_environments
    from ..operations.interaction import interacting
    from .envs_screen import EnvsScreen, exit_code_of
    from .parsing.arguments import envs_options

    options = envs_options(arguments)
    with interacting(conda_output()) as interaction:
        listing, screen = list_environments(options, interaction), EnvsScreen(interaction.output)
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
    # Once more: time has passed since the question.
    check_may_run(prepared, interaction)
    result, pruned = carry_out_removal(prepared, interaction), None
    # Text comes before that of the prune; JSON is one document that contains the one of the prune.
    if not output.json:
        screen.show_changes(result)
    if _prune_is_due(listing, result, output):
        result, pruned = _prune(arguments, result, interaction)
    if output.json:
        screen.show_changes(result, pruned)
    return exit_code_of(result)


def _prune_is_due(listing: Listing, result: EnvsResult, output: Output) -> bool:
    """Return True if the caches should be pruned, or the user should be asked."""
    from ..core.model import Result
    from ..operations.interaction import may_ask

    done = {outcome.result for outcome in result.outcomes} & {Result.REMOVED, Result.BACKED_UP}
    asked = may_ask(output) and not output.yes and result.reclaimable_then > 0
    return not result.interrupted and bool(done) and (listing.options.prune or (asked and Result.REMOVED in done))


def _prune(
    arguments: argparse.Namespace, result: EnvsResult, interaction: Interaction
) -> tuple[EnvsResult, Mapping[str, Any] | None]:
    """Prune the caches, which shows a plan and asks; return the updated result and the JSON document of the prune."""
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
        # The environments are removed all the same, so their outcomes have to be reported.
        code, document = error.return_code, error.dump_map()
    except (OSError, KeyboardInterrupt) as error:
        if not interaction.output.json:
            raise
        code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
        notice = stopped_notice("prune", "The caches could not be pruned", error)
        result = replace(result, notices=(*result.notices, notice))
    # Without --prune the user was asked, and declining is not a failure.
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
    # An environment that another conda is creating looks like one whose creation was interrupted.
    if broken:
        check_may_run(prepared.removal, interaction)
    if not confirm(question_of_fix(prepared), interaction, "Nothing was removed or changed."):
        return 1
    if broken:
        check_may_run(prepared.removal, interaction)
    return screen.show_changes(carry_out_fix(prepared, interaction))
