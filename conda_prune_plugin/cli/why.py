"""``conda prune why``: its parser, and the choice of text or JSON."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from .parsing import help_text

if TYPE_CHECKING:
    from ..operations.interaction import Output
    from ..operations.prune.explain import Explanations

DESCRIPTION = """\
Explain why packages in the caches are kept, or why they can be removed.

Shows the environments that use a package and how its files are linked, the
revision, lockfile or rule that keeps it, or how long it has been unused. The
options are those of `conda prune`, and so is the answer. Changes nothing.
"""

EPILOG = """\
examples:
  conda prune why numpy            all numpy packages in the caches
  conda prune why 'numpy>=2' scipy
                                   several packages
  conda prune why --all            everything that keeps packages
  conda prune why --find projects  find unknown environments below projects

Exits with 1 if a SPEC matches no package in the caches.
"""


#: Options with another meaning here than in ``conda prune`` itself.
OWN = frozenset[str]()

#: Options of ``conda prune`` itself that this command honours before its name.
ABOVE = frozenset[str]()


def configure_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's parser and return it."""
    from .parsing.shared_options import add_places, add_policies, add_roots

    parser: argparse.ArgumentParser = help_text.add_command(
        commands,
        "why",
        "Explain why packages are kept or removed.",
        "[OPTIONS] [SPEC ...]",
        DESCRIPTION,
        EPILOG,
    )
    parser.add_argument("specs", metavar="SPEC", nargs="*", help="A package, such as numpy or 'numpy>=2'.")
    parser.add_argument(
        "--all", action="store_true", help="List everything that keeps packages, and the space that only it keeps."
    )
    parser.add_argument(
        "--find",
        metavar="DIR",
        help="Search DIR for the unknown environments that hard-link to packages in the caches.",
    )
    add_policies(parser)
    add_roots(add_places(parser))
    help_text.add_output_options(parser, verbose="Show complete lists.", quiet="Don't show progress.")
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
    from ..presentation.why_text import show_why

    found, alone = result.found, result.alone
    places = {entry: [(link.path, link.environment) for link in held] for entry, held in result.locations.items()}
    if output.json:
        from ..presentation.documents import why_document
        from ..presentation.json_output import print_document

        print_document(why_document(found, places, alone, result.notices, success=result.complete))
        return
    from ..presentation.plan_text import show_notices
    from ..presentation.terminal.console import console

    show_why(console(sys.stdout), found, places, alone, now=time.time(), whole=output.verbosity > 0)
    sys.stdout.flush()
    show_notices(console(sys.stderr), result.notices)
