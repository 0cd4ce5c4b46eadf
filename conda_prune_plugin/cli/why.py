"""``conda prune why``: explain, and show it as text or JSON."""

from __future__ import annotations

import argparse
import sys
import time

from ..operations.interaction import interacting
from ..operations.prune.explain import explain
from ..presentation.documents import why_document
from ..presentation.json_output import print_document
from ..presentation.plan_text import show_notices
from ..presentation.terminal.console import console
from ..presentation.why_text import show_why
from .parsing.arguments import why_options
from .parsing.output_options import conda_output


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    options, output = why_options(arguments), conda_output()
    with interacting(output) as interaction:
        result = explain(options, interaction.reporter)
    places = {entry: [(link.path, link.environment) for link in held] for entry, held in result.locations.items()}
    if output.json:
        print_document(why_document(result.found, places, result.alone, result.notices, success=result.complete))
    else:
        whole = output.verbosity > 0
        show_why(console(sys.stdout), result.found, places, result.alone, now=time.time(), whole=whole)
        sys.stdout.flush()
        show_notices(console(sys.stderr), result.notices)
    return 0 if result.complete else 1
