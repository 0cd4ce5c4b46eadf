"""One run of ``conda prune usage``: discover, walk, plan, show. Nothing is written but a report asked for."""

from __future__ import annotations

import argparse
import os
import shlex
import stat
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TextIO

from ... import failures
from ...cli.bad_usage import nearest
from ...cli.options import Output
from ...cli.policy_options import CHOICES
from ...core.dist_names import TRASH
from ...core.model import Inventory, Notice, Root, RootKind, RootState
from ...core.plan import Plan
from ...core.usage.package_usage import Contents, PackageUsage, Zoom, packages, zoom
from ...core.usage.usage_report import EnvironmentUsage, OtherCache, Usage
from ...discovery.inventory import Beginning, discover
from ...discovery.packages.package_identity import Names
from ...discovery.usage.file_owners import cached_parts, contents
from ...discovery.usage.other_tools import PATIENCE, other_caches
from ...discovery.usage.survey import Scan, Survey, make_usage
from ...errors import NoSuchEnvironmentError, UsageError
from ...presentation.json_output import print_document
from ...presentation.terminal.progress import Reporter
from ...presentation.usage.usage_json import usage_document
from .plan_prune import Choice, request
from .report_file import ReportFile
from .what_if import plan_without


def run(arguments: argparse.Namespace, beginning: Beginning) -> int:
    """Run the command, whose discovery has begun, and return its exit code. Raises `PruneError`."""
    output = Output.from_context()
    # ncdu at the other end of a pipe draws on the same terminal, and shows its own progress.
    piped = arguments.export is not None and _is_pipe(sys.stdout)
    with Reporter(sys.stderr, enabled=not (output.json or output.quiet or piped)) as reporter:
        return _Run(arguments, output, reporter).run(beginning)


def _is_pipe(stream: TextIO) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


class _Run:
    """What the steps of one run share."""

    def __init__(self, arguments: argparse.Namespace, output: Output, reporter: Reporter) -> None:
        self._output = output
        self._reporter = reporter
        self._request = request(arguments)
        self._choice = Choice(arguments)
        self._name: str | None = arguments.environment
        self._by_package = bool(arguments.by_package)
        self._file = None if arguments.html is None else ReportFile(arguments.html)
        self._command = _prune_command(arguments)
        self._export = arguments.export is not None
        if self._export and (output.json or self._file or self._by_package):
            raise UsageError(
                "--export can't be combined with --json, --html or --packages.",
                hint="Each writes a document of its own: run the command once for each.",
            )
        self._other_caches: bool | None = arguments.other_caches
        self._wanted: str | None = None

    def run(self, beginning: Beginning) -> int:
        """Do it and return the exit code."""
        inventory = discover(self._request, self._reporter.phase("Looking for environments"), beginning).inventory
        environments = tuple(root for root in inventory.roots if root.kind is RootKind.ENVIRONMENT)
        if self._name is not None:
            self._wanted = find_environment(environments, self._name)
        if self._export:
            return self._write_export(replace(inventory, roots=environments))
        survey = Survey(
            replace(inventory, roots=environments), beginning.reader.crew, self._reporter.counter("Counting files")
        )
        survey.walk_caches()
        plan, remarks = self._choice.plan(inventory, self._reporter, time.time(), survey.measured)
        scan = survey.walk_environments()
        kept = self._kept(inventory, plan, survey, scan)
        usage = replace(make_usage(scan, plan), other_caches=self._others())
        found = self._contents(scan)
        notices = (*inventory.notices, *scan.notices, *remarks)
        if self._file and not self._output.dry_run:
            self._report(self._file, usage, found, scan)
        self._reporter.clear()
        by_package = None
        if self._by_package:
            by_package = packages(cached_parts(scan, Names(inventory.roots)), found, scan.inodes)
        self._show(usage, by_package, self._zoomed(usage, found, scan, kept), notices)
        return 0

    def _write_export(self, inventory: Inventory) -> int:
        """Write what ncdu reads, of one environment or of everything, and return the exit code."""
        from ...discovery.usage.file_listing import listing
        from ...presentation.plan_text import console, show_notices
        from ...presentation.usage.ncdu import write_ncdu

        trees = listing(inventory, self._wanted, self._reporter.counter("Listing files"))
        notices = write_ncdu(sys.stdout, trees, now=time.time())
        self._reporter.clear()
        show_notices(console(sys.stderr), (*inventory.notices, *notices))
        return 0

    def _others(self) -> tuple[OtherCache, ...]:
        """Return the caches of other tools, where they are shown."""
        if self._other_caches is False or self._by_package or self._wanted is not None:
            return ()
        progress = self._reporter.counter("Counting files of other tools")
        return other_caches(os.environ, progress, None if self._other_caches else PATIENCE)

    def _contents(self, scan: Scan) -> tuple[Contents, ...]:
        """Return whose the files are, in those environments where it matters."""
        everything = self._by_package or self._file is not None
        roots = [root for root, _ in scan.environments if everything or failures.realpath(root.path) == self._wanted]
        progress = self._reporter.phase("Reading records", len(roots))
        found = []
        for done, root in enumerate(roots):
            progress(done)
            found.append(contents(root, scan))
        return tuple(found)

    def _kept(self, inventory: Inventory, plan: Plan, survey: Survey, scan: Scan) -> int:
        """Return by how much what a prune gives back would grow if the environment asked for were removed."""
        if self._wanted is None:
            return 0
        then = plan_without({self._wanted}, inventory, survey, scan, self._choice, self._reporter)
        return then.reclaimable - plan.reclaimable

    def _zoomed(
        self, usage: Usage, found: Iterable[Contents], scan: Scan, kept: int
    ) -> tuple[EnvironmentUsage, Zoom] | None:
        if self._wanted is None:
            return None
        item = next(item for item in found if failures.realpath(item.root.path) == self._wanted)
        environment = next(one for one in usage.environments if one.root is item.root)
        roots = (root for root, _ in scan.environments)
        return environment, zoom(item, roots, scan.inodes, kept)

    def _report(self, file: ReportFile, usage: Usage, found: Sequence[Contents], scan: Scan) -> None:
        from ...presentation.usage.html_report import report

        file.write(report(usage, found, cached_parts(scan), scan.inodes, now=time.time(), command=self._command))

    def _show(
        self,
        usage: Usage,
        by_package: Sequence[PackageUsage] | None,
        zoomed: tuple[EnvironmentUsage, Zoom] | None,
        notices: Sequence[Notice],
    ) -> None:
        if self._output.json:
            print_document(usage_document(usage, notices, packages=by_package, zoomed=zoomed))
            return
        from ...presentation.plan_text import console, show_notices
        from ...presentation.usage.package_text import show_packages, show_zoom
        from ...presentation.usage.usage_text import show_usage

        out, whole = console(sys.stdout), self._output.verbosity > 0
        if zoomed is not None:
            show_zoom(out, *zoomed, whole=whole)
        if by_package is not None:
            names = {item.root.path: item.root.name or item.root.path for item in usage.environments}
            show_packages(out, by_package, names, whole=whole)
        if zoomed is None and by_package is None:
            show_usage(out, usage, now=time.time())
        if self._file:
            where = "would be written to" if self._output.dry_run else "is in"
            out.print(f"The report {where} {self._file.path}.")
        sys.stdout.flush()
        show_notices(console(sys.stderr), notices)


def _prune_command(arguments: argparse.Namespace) -> str:
    """Return the command that frees what is shown as reclaimable: `conda prune` with the options that chose it."""
    words = ["conda", "prune"]
    for name in (*sorted(CHOICES), "min_age", "pkgs_dir", "root", "search"):
        value = getattr(arguments, name, None)
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [option] * value
        elif isinstance(value, list):
            words += [word for item in value for word in (option, str(item))]
        elif value is not None:
            # What `Value` keeps: the option as it was typed, and its text.
            words += [str(word) for word in value]
    return shlex.join(words)


def _called(roots: Iterable[Root], name: str) -> list[Root]:
    path = failures.realpath(os.path.expanduser(name))
    by_path = [root for root in roots if failures.realpath(root.path) == path]
    by_name = [root for root in roots if root.name == name]
    # As in conda, only what has a separator in it is a prefix.
    return by_path if os.sep in name else by_name or by_path


def find_environment(roots: Iterable[Root], name: str) -> str:
    """Return the real path of the environment that a name or a prefix means. Raises `NoSuchEnvironmentError`."""
    roots = [root for root in roots if root.state is not RootState.MISSING and failures.isdir(root.path)]
    # The second is what is left of it where its removal was interrupted on a full disk.
    found = _called(roots, name) or _called(roots, name.rstrip(os.sep) + TRASH)
    if len({failures.realpath(root.path) for root in found}) == 1:
        return failures.realpath(found[0].path)
    if found:
        places = ", ".join(root.path for root in found)
        raise NoSuchEnvironmentError(
            f"Several environments are called {name}: {places}.", hint="Give the prefix of one of them."
        )
    known = {root.path if os.sep in name else root.name or root.path for root in roots}
    close = nearest(name, sorted(known))
    raise NoSuchEnvironmentError(
        f"There is no environment {name}.",
        hint=(f"Did you mean {close}? " if close else "")
        + "`conda prune envs` lists all known environments; --root and --search add others.",
    )
