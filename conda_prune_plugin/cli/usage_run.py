"""One run of ``conda prune usage``: discover, walk, plan, show. Nothing is written but a report asked for."""

from __future__ import annotations

import argparse
import json
import sys
import time

from ..core.model import Inventory, Notice, Plan
from ..core.planner import make_plan
from ..core.policy import DEFAULT_MIN_AGE, Policy
from ..core.reachability import candidates, references
from ..core.report import Usage
from ..core.units import parse_age
from ..discovery.candidates import gather_evidence
from ..discovery.inventory import Request, discover
from ..discovery.usage import Survey, make_usage
from ..presentation.progress import Reporter
from ..presentation.usage_document import usage_document
from .options import Output, parsed


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    output = Output.from_context()
    with Reporter(sys.stderr, enabled=not (output.json or output.quiet)) as reporter:
        return _Run(arguments, output, reporter).run()


class _Run:
    """What the steps of one run share."""

    def __init__(self, arguments: argparse.Namespace, output: Output, reporter: Reporter) -> None:
        self._output = output
        self._reporter = reporter
        self._request = Request(tuple(arguments.pkgs_dir), tuple(arguments.root), tuple(arguments.search))
        self._policy = Policy(min_age=parsed(arguments.min_age, parse_age, DEFAULT_MIN_AGE))

    def run(self) -> int:
        """Do it and return the exit code."""
        inventory = discover(self._request, self._reporter.phase("Looking for environments")).inventory
        with Survey(inventory, self._reporter.counter("Counting files")) as survey:
            survey.walk_caches()
            plan = self._plan(inventory, survey)
            scan = survey.walk_environments()
        usage = make_usage(scan, plan)
        self._reporter.clear()
        self._show(usage, (*inventory.notices, *scan.notices))
        return 0

    def _plan(self, inventory: Inventory, survey: Survey) -> Plan:
        """Return what ``conda prune`` would do now."""
        entries = candidates(inventory, references(inventory.roots))
        evidence = gather_evidence(inventory.caches, entries, lambda done: None, survey.measured)
        return make_plan(inventory, evidence, self._policy, time.time())

    def _show(self, usage: Usage, notices: tuple[Notice, ...]) -> None:
        if self._output.json:
            print(json.dumps(usage_document(usage, notices), indent=2))
            return
        from ..presentation.text import console, show_notices
        from ..presentation.usage import show_usage

        if not self._output.quiet:
            show_usage(console(sys.stdout), usage, now=time.time())
            sys.stdout.flush()
        show_notices(console(sys.stderr), notices)
