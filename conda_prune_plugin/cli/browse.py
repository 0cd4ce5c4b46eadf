"""``conda prune browse``: see, mark and remove environments and packages in the terminal.

The browser itself changes nothing. What the user marked is carried out by the other commands' code between two of its
runs, on the ordinary screen: plan, question, progress, result.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..core.run import Disposal
from ..core.units import plural
from ..errors import InterruptedByUserError, PruneError, UsageError
from ..operations.interaction import Output, confirm, interacting
from ..operations.options import EnvsOptions, PruneOptions, RestoreOptions
from .failure_report import report_error
from .parsing.arguments import browse_options, prune_options
from .parsing.output_options import conda_output

if TYPE_CHECKING:
    from rich.console import Console

    from ..operations.browse.browser import Browser
    from ..presentation.browse.browse_source import Intent
    from ..presentation.browse.rows import Marked, Row

_INSTALL = "python -m pip install 'conda-prune[tui]'"


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    # Every removal is asked for, whatever .condarc says.
    output = replace(conda_output(), yes=False)
    _require_terminal(output)
    try:
        from ..presentation.browse.browse_app import BrowseApp
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "textual":
            raise
        raise UsageError("conda prune browse needs textual.", hint=f"Install it with: {_INSTALL}") from error
    from ..discovery.usage.other_tools import PATIENCE
    from ..operations.browse.browser import Browser
    from ..presentation.browse.browse_source import Place

    options = browse_options(arguments)
    browser, place = Browser(options, PATIENCE), Place()
    while True:
        app = BrowseApp(Texts(browser), place)
        intent = app.run()
        if app.failure is not None:
            raise app.failure
        if app.interrupted:
            raise InterruptedByUserError("Interrupted.", hint="Nothing was removed but what you confirmed.")
        if intent is None:
            return app.return_code or 0
        if carry_out(intent, options, prune_options(arguments), output):
            browser.forget()
            place.marked = frozenset()
        try:
            input("Press Enter to go back to the browser. ")
        except EOFError:
            return 0


def _require_terminal(output: Output) -> None:
    """Refuse to browse without a terminal. Raises `UsageError`."""
    if output.json:
        problem = "It has no JSON output"
    elif not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        # textual draws on standard error.
        problem = "Standard input, output or error is not a terminal"
    else:
        return
    hint = "Use `conda prune usage --json`, `conda prune envs --json` or `conda prune --dry-run --json` in scripts."
    raise UsageError(f"conda prune browse needs a terminal. {problem}.", hint=hint)


def carry_out(intent: Intent, options: EnvsOptions, packages: PruneOptions, output: Output) -> bool:
    """Carry out what the user wants; return whether anything may have been changed."""
    from ..presentation.browse.browse_source import Action

    disposal = Disposal.BACKUP if intent.action is Action.BACKUP else options.disposal
    try:
        if intent.action is Action.RESTORE:
            return _restore(RestoreOptions(run="last", pkgs_dirs=options.pkgs_dirs), output)
        if disposal is Disposal.DELETE:
            print(intent.marked)
        return _remove(intent.marked, options, packages, output, disposal) and not output.dry_run
    except PruneError as error:
        report_error(error)
        return True


def _remove(marked: Marked, options: EnvsOptions, packages: PruneOptions, output: Output, disposal: Disposal) -> bool:
    """Remove environments first, and then packages, which may have been in use by these. Raises `PruneError`."""
    from ..operations.envs.list_envs import list_environments
    from .envs import remove_listed
    from .prune import prune_with

    code: int | None = 0
    if marked.environments:
        chosen = replace(options, environments=tuple(sorted(marked.environments)), remove=True, disposal=disposal)
        with interacting(output) as interaction:
            code = remove_listed(list_environments(chosen, interaction), interaction)
    if marked.paths and code == 0:
        result = prune_with(replace(packages, paths=marked.paths, disposal=disposal), output)
        return result is not None or bool(marked.environments)
    return code is not None


def _restore(options: RestoreOptions, output: Output) -> bool:
    """Restore a run if the user says yes; return whether that was done. Raises `PruneError`."""
    from ..operations.runs.restore_runs import restore_run
    from .restore import show_result

    with interacting(output) as interaction:
        dry = replace(output, dry_run=True)
        shown = restore_run(options, replace(interaction, output=dry))
        show_result(shown, dry)
        question = f"Restore {plural(len(shown.entries), 'item')}?"
        if output.dry_run or not confirm(question, interaction, "Nothing was restored."):
            return False
        show_result(restore_run(replace(options, run=shown.run.id), interaction), output)
    return True


class Texts:
    """The browser's answers, with explanations and plans as text."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.scan, self.rows, self.below, self.marked = browser.scan, browser.rows, browser.below, browser.marked

    @property
    def scanned(self) -> bool:
        """Whether there is a completed scan."""
        return self._browser.scanned

    def why(self, row: Row, width: int) -> str:
        """Explain a row."""
        from ..presentation.envs_text import show_environments
        from ..presentation.why_text import show_why

        result = self._browser.listing.result
        environment, explanation = self._browser.environment(row.key), self._browser.explanation(row.key)

        def show(out: Console) -> None:
            if environment is not None:
                alone = replace(result, shown=(environment,))
                show_environments(out, alone, whole=True, quiet=False, registry=False)
            elif explanation is not None:
                show_why(out, (explanation,), {}, None, now=result.now, whole=True)
            # The explanation of a package has the same reasons.
            for note in row.notes if explanation is None else ():
                out.print(note)

        return _text(show, width)

    def plan(self, marked: Marked, width: int) -> str:
        """Return the plan for the marked rows, as the commands print it, or the error that prevents it."""
        from ..presentation.envs_text import show_environments
        from ..presentation.plan_text import show_plan

        browser = self._browser

        def show(out: Console) -> None:
            if marked.environments:
                result = browser.removal(marked).result
                show_environments(out, result, whole=False, quiet=False, registry=False)
                out.print()
            if marked.removals:
                show_plan(out, browser.plan(marked), now=browser.listing.result.now, verbosity=0)

        try:
            return f"{marked}\n\n{_text(show, width)}"
        except PruneError as error:
            return f"{error.message}\n{error.hint}"


def _text(show: Callable[[Console], None], width: int) -> str:
    from rich.console import Console

    out = Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False)
    show(out)
    return str(out.file.getvalue())  # type: ignore[attr-defined]
