"""``conda prune usage``: its parser, and the choice of text, JSON, HTML or export."""

from __future__ import annotations

import argparse
import os
import stat
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from .parsing import help_text
from .parsing.shared_options import CHOICES, add_min_age, add_places, conda_output

if TYPE_CHECKING:
    from ..discovery.inventory import Beginning
    from ..operations.interaction import Output
    from ..operations.options import UsageOptions
    from ..operations.prune.measure_usage import UsageResult
    from ..operations.prune.report_file import ReportFile

DESCRIPTION = """\
Show what uses disk space: environments, package caches, and what can be freed.

Sizes are disk usage, with each file counted once, so the total matches du.
"Own" is what removing one environment would free. "Shared" is hard-linked
elsewhere, usually in a package cache.
"""

EPILOG = """\
examples:
  conda prune usage                environments and caches, largest first
  conda prune usage work           one environment in detail
  conda prune usage --summary      a short table with what can be freed
  conda prune usage --packages     packages, their versions and users
  conda prune usage --html u.html  a report to explore in a browser
  conda prune usage --export ncdu | ncdu -f -
                                   browse all files in ncdu
"""


#: Options with another meaning here than in ``conda prune`` itself.
OWN = frozenset[str]()

#: Options of ``conda prune`` itself that this command honours before its name.
ABOVE = CHOICES


def configure_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's parser and return it."""
    parser: argparse.ArgumentParser = help_text.add_command(
        commands, "usage", "Show what uses disk space.", "[OPTIONS] [NAME]", DESCRIPTION, EPILOG
    )
    parser.add_argument("environment", metavar="NAME", nargs="?", help="Show only this environment (name or path).")
    what = parser.add_argument_group("what to show")
    what.add_argument(
        "--packages",
        dest="by_package",
        action="store_true",
        help="List packages: versions, environments that use them, shared and duplicated space.",
    )
    what.add_argument(
        "--summary", action="store_true", help="Only a short table: what takes the space, and how much can be freed."
    )
    what.add_argument("--html", metavar="FILE", help="Write an interactive report for the browser to FILE.")
    what.add_argument(
        "--export",
        metavar="FORMAT",
        choices=("ncdu",),
        help="Write the list of all files to standard output. FORMAT is ncdu, which gdu reads too.",
    )
    add_min_age(what)
    what.add_argument(
        "--other-caches",
        action=argparse.BooleanOptionalAction,
        help="Measure caches of other tools (conda-build, pip, uv, ...) completely, or not at all. The default is to "
        "stop after a few seconds.",
    )
    add_places(parser)
    help_text.add_output_options(
        parser,
        verbose="Show complete lists.",
        quiet="Don't show progress.",
        dry_run="With --html: don't write the report.",
    )
    parser.set_defaults(prune_command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    from ..discovery.system.worker import WorkerPool

    # The worker starts, and begins to read environments, while this process imports the rest.
    with WorkerPool() as workers:
        from ..discovery.inventory import begin

        beginning = begin(workers)
        from .parsing.arguments import usage_options

        options = usage_options(arguments)
        if options.export is not None:
            return _export(options, beginning)
        return _run(options, beginning, _prune_command(arguments), summary=bool(arguments.summary))


def _export(options: UsageOptions, beginning: Beginning) -> int:
    """Write the files of one environment, or of everything, in ncdu's format."""
    from ..operations.interaction import interacting
    from ..operations.prune.measure_usage import list_files
    from ..presentation.plan_text import show_notices
    from ..presentation.terminal.console import console
    from ..presentation.usage.ncdu import write_ncdu

    # ncdu at the other end of a pipe draws on the same terminal, and shows its own progress.
    with interacting(conda_output(), progress=not _is_pipe(sys.stdout)) as interaction:
        trees, notices = list_files(options, interaction.reporter, beginning)
        notices += tuple(write_ncdu(sys.stdout, trees, now=time.time()))
    show_notices(console(sys.stderr), notices)
    return 0


def _is_pipe(stream: TextIO) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _prune_command(arguments: argparse.Namespace) -> str:
    """Return the command that frees what is shown as reclaimable: `conda prune` with the options that chose it."""
    import shlex

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


def _run(options: UsageOptions, beginning: Beginning, command: str, *, summary: bool) -> int:
    from ..operations.interaction import interacting
    from ..operations.prune.measure_usage import measure_usage
    from ..operations.prune.report_file import ReportFile

    output = conda_output()
    with interacting(output) as interaction:
        file = None if options.html is None else ReportFile(options.html)
        result = measure_usage(options, interaction.reporter, beginning)
        if file is not None and not output.dry_run:
            _write_report(file, result, command)
    if output.json:
        from ..presentation.environment_documents import usage_document
        from ..presentation.json_output import print_document

        print_document(usage_document(result.usage, result.notices, packages=result.packages, zoomed=result.zoomed))
    else:
        _show(result, output, file, summary=summary)
    return 0


def _write_report(file: ReportFile, result: UsageResult, command: str) -> None:
    from ..discovery.usage.file_owners import cached_parts
    from ..presentation.usage.html_report import report

    scan = result.scan
    parts = cached_parts(scan)
    file.write(report(result.usage, result.contents, parts, scan.inodes, now=time.time(), command=command))


def _show(result: UsageResult, output: Output, file: ReportFile | None, *, summary: bool) -> None:
    from ..presentation.plan_text import show_notices
    from ..presentation.terminal.console import console
    from ..presentation.usage.package_text import show_packages, show_zoom
    from ..presentation.usage.usage_text import show_usage, show_usage_summary

    out, whole = console(sys.stdout), output.verbosity > 0
    if result.zoomed is not None:
        show_zoom(out, *result.zoomed, whole=whole)
    if result.packages is not None:
        names = {item.root.path: item.root.name or item.root.path for item in result.usage.environments}
        show_packages(out, result.packages, names, whole=whole)
    if summary:
        show_usage_summary(out, result.usage)
    elif result.zoomed is None and result.packages is None:
        show_usage(out, result.usage, now=time.time(), verbosity=output.verbosity)
    if file is not None:
        verb = "Would write" if output.dry_run else "Wrote"
        out.print(f"{verb} the report to {file.path}.")
    sys.stdout.flush()
    show_notices(console(sys.stderr), result.notices)
