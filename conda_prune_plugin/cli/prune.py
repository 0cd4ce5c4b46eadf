"""``conda prune``: its parser, and one run: prepare, show the plan, ask, carry out, show the result."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .parsing import shared_options as common
from .parsing.shared_options import (
    add_ci,
    add_lock_timeout,
    add_output_and_prompt_options,
    add_policies,
    add_roots,
    add_targets,
    conda_output,
)

if TYPE_CHECKING:
    from ..discovery.inventory import Beginning
    from ..operations.interaction import Output
    from ..operations.options import PruneOptions
    from ..operations.prune.run_prune import PruneResult

#: The exit code after a no.
DECLINED = 1

DESCRIPTION = """\
Remove what no environment needs from conda's package caches.

Finds every environment and every package cache, shows which packages nothing
references and how many bytes they really take, asks, and removes them.
Packages in use stay, however they are linked. The default is to remove the
extracted directories and the archives of unreferenced packages, and what
failed installs and removals have left.
"""

EPILOG = """\
examples:
  conda prune --dry-run            show the plan, change nothing
  conda prune                      show the plan, ask, remove
  conda prune --tarballs --yes     remove archives of unreferenced packages, don't ask
  conda prune --all                and index caches, log files, all archives, temporary files
  conda prune --search /projects   also keep what environments below /projects use
  conda prune --backup             move packages aside, to be restored or purged
  conda prune --older-than 30d     remove only what nothing has used for 30 days
  conda prune --max-size 10GB      remove the longest unused, until the caches hold 10 GB
  conda prune --lockfile pixi.lock --keep-newest 1
                                   keep what a lockfile names and the newest of each package
  conda prune --dry-run -v         say for every package that stays what keeps it
  conda prune --dry-run -vv        and for every package that goes why, and where it comes from
  conda prune --check 5GB          exit with 3 if more than 5 GB could go, change nothing
  conda prune usage                show where the disk goes
  conda prune demo                 try it in a throw-away sandbox
"""


def configure_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = DESCRIPTION
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_targets(parser)
    add_policies(parser)
    _add_undo(parser.add_argument_group("how to undo it"))
    add_places(parser)
    _add_others(parser.add_argument_group("other programs"))
    add_ci(parser.add_argument_group("in continuous integration"))
    add_output_and_prompt_options(parser)


def add_places(parser: argparse.ArgumentParser) -> None:
    """Add the options that name caches and roots."""
    where = common.add_places(parser)
    where.add_argument(
        "--ignore-unreadable",
        action="store_true",
        help="Go on though an environment, or a place where one may be, can't be read; what only it soft-links may be "
        "removed.",
    )
    add_roots(where)


def _add_undo(group: Any) -> None:
    group.add_argument(
        "--backup",
        action="store_true",
        default=None,
        help="Move packages aside inside the cache instead of deleting them: instant, and `conda prune restore` puts "
        "them back as they were. Frees nothing until `conda prune purge`.",
    )
    group.add_argument(
        "--no-backup", dest="backup", action="store_false", help="Delete, also if the setting prune_backup says else."
    )
    group.add_argument(
        "--backup-to",
        metavar="DIR",
        help="Write compressed archives of the packages into DIR, read them back, and delete the packages then.",
    )


def _add_others(group: Any) -> None:
    add_lock_timeout(group)
    group.add_argument(
        "--ignore-running",
        action="store_true",
        help="With --yes: go on though another conda, mamba or pixi is installing something right now.",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    from ..discovery.clients.conda_context import pkgs_dirs
    from ..discovery.system.worker import WorkerPool, worthwhile

    with WorkerPool(at_once=False) as workers:
        if worthwhile(arguments.pkgs_dir or pkgs_dirs()):
            # It starts, and begins to read environments, while this process imports the rest.
            workers.start("conda_prune_plugin.discovery.packages.inspection")
        from ..discovery.inventory import begin

        beginning = begin(workers)
        from .parsing.arguments import prune_options

        result = prune_with(prune_options(arguments), conda_output(), beginning)
        return DECLINED if result is None else result.exit_code


def prune_with(
    options: PruneOptions,
    output: Output,
    beginning: Beginning | None = None,
    *,
    print_json: bool = True,
    declined: str = "Nothing was removed.",
) -> PruneResult | None:
    """Plan, show the plan, ask, carry it out and show what became of it; return that, or None if the answer was no.

    beginning: of the discovery, if it has begun. print_json: print the JSON document if one was asked for; otherwise
    the caller makes it a part of its own (see `prune_screen.document_of`). declined: what to print after a no.

    Raises `PruneError`.
    """
    from ..operations.interaction import confirm, interacting
    from ..operations.prune.prepare_prune import check_may_run, prepare
    from ..operations.prune.run_prune import carry_out, finish_without_changes
    from .prune_screen import import_text, question, show_plan, show_result

    is_text = not (output.json or output.quiet)
    with interacting(output) as interaction:
        prepared = prepare(options, interaction, beginning, meanwhile=import_text if is_text else None)
        show_plan(prepared)
        if prepared.changes:
            check_may_run(prepared)
            if not confirm(question(prepared), prepared.interaction, declined):
                return None
            # Once more: the answer may have taken its time.
            check_may_run(prepared)
            result = carry_out(prepared)
        else:
            result = finish_without_changes(prepared)
        show_result(result, prepared.output, print_json=print_json)
        return result
