"""``conda prune why``: its parser, and the choice of text or JSON."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..operations.interaction import Output
    from ..operations.prune.explain import Explanations

DESCRIPTION = """\
Say of packages in the caches what keeps them, or why they would go.

Takes the options of conda prune that choose packages, caches and roots, but
for -p and -t, and gives the reasons of its plan: which environments have a package and how it is linked (measured on
the files), which revision, line of a lockfile or rule keeps it, and since when
nothing uses what would go. Nothing is changed.
"""

EPILOG = """\
examples:
  conda prune why numpy            all entries of numpy in the caches
  conda prune why 'numpy>=2' scipy-1.11.4-py311_0
  conda prune why --all            all roots, and what each of them alone keeps
  conda prune why --find /projects look for the environments below /projects that
                                   hold what is hard-linked from somewhere unknown

With a SPEC that matches nothing in the caches the exit code is 1.
"""


#: Options that mean something else here than in ``conda prune`` itself.
OWN = frozenset[str]()

#: Options that only ``conda prune`` itself has and that count here all the same: before the command's name.
ABOVE = frozenset[str]()


def configure_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's parser and return it."""
    from .parsing.shared_options import add_output_and_prompt_options, add_policies
    from .prune import add_places

    parser: argparse.ArgumentParser = commands.add_parser(
        "why",
        help="Say what keeps packages, or why they would go.",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("specs", metavar="SPEC", nargs="*", help="A package specification, or the name of an entry.")
    parser.add_argument("--all", action="store_true", help="List all roots, and what each of them alone keeps.")
    parser.add_argument(
        "--find",
        metavar="DIR",
        help="Look below DIR for the files that share their inode with entries that are linked from somewhere unknown.",
    )
    add_policies(parser)
    add_places(parser)
    add_output_and_prompt_options(parser)
    parser.set_defaults(prune_command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    from ..operations.interaction import interacting
    from ..operations.prune.explain import explain
    from .parsing.arguments import why_options
    from .parsing.shared_options import conda_output

    options, output = why_options(arguments), conda_output()
    with interacting(output) as interaction:
        result = explain(options, interaction.reporter)
    _show(result, output)
    return 0 if result.complete else 1


def _show(result: Explanations, output: Output) -> None:
    from ..presentation.why_output import show_why, why_document

    found, alone = result.found, result.alone
    places = {entry: [(link.path, link.environment) for link in held] for entry, held in result.locations.items()}
    if output.json:
        from ..presentation.json_output import print_document

        print_document(why_document(found, places, alone, result.notices, success=result.complete))
        return
    from ..presentation.plan_text import show_notices
    from ..presentation.terminal.console import console

    show_why(console(sys.stdout), found, places, alone, now=time.time())
    sys.stdout.flush()
    show_notices(console(sys.stderr), result.notices)
