"""``conda prune usage``: measure, and show it as text, JSON, HTML or export."""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import stat
import sys
import time
from contextlib import suppress

from ..discovery.usage.file_owners import cached_parts
from ..errors import ReportError
from ..operations.interaction import Output, interacting
from ..operations.options import UsageOptions
from ..operations.prune.measure_usage import UsageResult, list_files, measure_usage
from ..presentation.json_output import print_document
from .parsing.arguments import usage_options
from .parsing.option_table import CHOICES, options_of
from .parsing.output_options import conda_output


class ReportFile:
    """The file of a report; an earlier one is replaced."""

    def __init__(self, path: str) -> None:
        """Check that a report can be written there. Raises `ReportError`."""
        self.path = os.path.abspath(os.path.expanduser(path))
        directory = os.path.dirname(self.path)
        problem = None
        if os.path.isdir(self.path):
            problem = "it is a directory"
        elif os.path.exists(self.path) and not stat.S_ISREG(os.stat(self.path).st_mode):
            problem = "it exists and is not a regular file"
        elif not os.path.isdir(directory):
            problem = f"there is no directory {directory}"
        elif not os.access(directory, os.W_OK):
            problem = f"you don't have permission to write in {directory}"
        if problem:
            raise self._error(problem)

    def write(self, text: str) -> None:
        """Write the report to a temporary file, then rename that. Raises `ReportError`."""
        temporary = f"{self.path}.{secrets.token_hex(4)}.part"
        try:
            with open(temporary, "x", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
            os.replace(temporary, self.path)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary)
            raise self._error(str(error.strerror)) from error

    def _error(self, problem: str) -> ReportError:
        return ReportError(
            f"The report can't be written to {self.path}: {problem}.",
            hint="Give --html a file in a directory that you can write to.",
            path=self.path,
        )


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    options, output = usage_options(arguments), conda_output()
    if options.export is not None:
        return _export(options, output)
    with interacting(output) as interaction:
        file = None if options.html is None else ReportFile(options.html)
        result = measure_usage(options, interaction.reporter)
        if file is not None and not output.dry_run:
            from ..presentation.usage.html_report import report

            parts, inodes, command = cached_parts(result.scan), result.scan.inodes, _prune_command(arguments)
            file.write(report(result.usage, result.contents, parts, inodes, now=time.time(), command=command))
    if output.json:
        from ..presentation.environment_documents import usage_document

        print_document(usage_document(result.usage, result.notices, packages=result.packages, zoomed=result.zoomed))
    else:
        _show(result, output, file, summary=arguments.summary, inodes=options.inodes)
    return 0


def _export(options: UsageOptions, output: Output) -> int:
    """Write the files of one environment, or of everything, in ncdu's format."""
    from ..presentation.plan_text import show_notices
    from ..presentation.terminal.console import console
    from ..presentation.usage.ncdu import write_ncdu

    try:
        piped = stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        piped = False
    # ncdu at the other end of a pipe draws on the same terminal, and shows its own progress.
    with interacting(output, progress=not piped) as interaction:
        trees, notices = list_files(options, interaction.reporter)
        notices += tuple(write_ncdu(sys.stdout, trees, now=time.time()))
    show_notices(console(sys.stderr), notices)
    return 0


def _prune_command(arguments: argparse.Namespace) -> str:
    """Return the command that frees what is shown as reclaimable: `conda prune` with the options that chose it."""
    words = ["conda", "prune"]
    for _, option in options_of("prune"):
        if option.dest in CHOICES | {"min_age", "pkgs_dir", "roots", "searches"}:
            value = getattr(arguments, option.dest)
            if isinstance(value, bool):
                words += [option.name] * value
            elif isinstance(value, list):
                words += [word for text in value for word in (option.name, text)]
            elif value is not None:
                words += [option.name, getattr(arguments, f"{option.dest}_text")]
    return shlex.join(words)


def _show(result: UsageResult, output: Output, file: ReportFile | None, *, summary: bool, inodes: bool) -> None:
    from ..presentation.plan_text import show_notices
    from ..presentation.terminal.console import console
    from ..presentation.usage.package_text import show_packages, show_zoom
    from ..presentation.usage.usage_text import show_usage, show_usage_summary

    out, whole = console(sys.stdout), output.verbosity > 0
    if result.zoomed is not None:
        show_zoom(
            out, *result.zoomed, whole=whole, inodes=inodes, recent=result.kept_by_age, own_files=result.own_files
        )
    if result.packages is not None:
        names = {one.root.path: one.root.name or one.root.path for one in result.usage.environments}
        show_packages(out, result.packages, names, whole=whole, inodes=inodes)
    if summary:
        show_usage_summary(out, result.usage, recent=result.recent, inodes=inodes)
    elif result.zoomed is None and result.packages is None:
        now, verbosity = time.time(), output.verbosity
        show_usage(out, result.usage, now=now, recent=result.recent, verbosity=verbosity, inodes=inodes)
    if file is not None:
        verb = "Would write" if output.dry_run else "Wrote"
        out.print(f"{verb} the report to {file.path}.")
    sys.stdout.flush()
    show_notices(console(sys.stderr), result.notices)
