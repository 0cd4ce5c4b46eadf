"""Show the environments, questions and results of ``conda prune envs`` as text and JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.envs.envs_result import EnvsResult
    from ..operations.envs.fix_registry import PreparedFix
    from ..operations.envs.remove_envs import PreparedRemoval
    from ..operations.interaction import Output


def question(prepared: PreparedRemoval) -> str:
    """Return the question before a removal."""
    from ..core.run import Disposal
    from ..core.units import format_size, plural
    from ..presentation.terminal.printable import printable

    environments = [item.environment for item in prepared.removals]
    names = ", ".join(printable(item.root.name or item.path) for item in environments)
    noun, size = plural(len(environments), "environment"), format_size(prepared.result.released)
    if prepared.disposal is Disposal.BACKUP:
        return f"Move {noun} aside: {names} ({size}, which stay on the disk until they are purged)?"
    return f"Remove {noun}: {names} ({size})?"


def question_of_fix(prepared: PreparedFix) -> str:
    """Return the question before the registry is cleaned."""
    from ..core.units import plural

    broken = len(prepared.removal.removals)
    wanted = [f"take {plural(prepared.count, 'line')} out of the registry"] if prepared.count else []
    wanted += [f"move {plural(broken, 'broken environment')} aside"] if broken else []
    return f"{' and '.join(wanted).capitalize()}?"


def exit_code_of(result: EnvsResult) -> int:
    """Return the exit code of the command."""
    from ..errors import exit_code

    return exit_code(failed=result.failed, interrupted=result.interrupted)


class EnvsScreen:
    """Shows results step by step and each notice once. JSON is one document at the end."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._shown = 0

    def show_environments(self, result: EnvsResult) -> None:
        """Show the environments, and what is about to be done with them."""
        from ..presentation.envs_text import show_environments
        from ..presentation.terminal.console import console

        if not self._output.json:
            whole, quiet = self._output.verbosity > 0, self._output.quiet
            show_environments(console(sys.stdout), result, whole=whole, quiet=quiet)
            self._show_notices(result)

    def show_changes(self, result: EnvsResult, pruned: Mapping[str, Any] | None = None) -> int:
        """Show the outcomes and return the exit code; `pruned` is the JSON document of a prune afterwards."""
        from ..presentation.environment_documents import envs_document
        from ..presentation.envs_text import show_changes
        from ..presentation.json_output import print_document
        from ..presentation.terminal.console import console

        if self._output.json:
            print_document(envs_document(result, dry_run=self._output.dry_run, pruned=pruned))
        else:
            show_changes(console(sys.stdout), console(sys.stderr), result, quiet=self._output.quiet)
            self._show_notices(result)
        return exit_code_of(result)

    def _show_notices(self, result: EnvsResult) -> None:
        from ..presentation.plan_text import show_notices
        from ..presentation.terminal.console import console

        sys.stdout.flush()
        show_notices(console(sys.stderr), result.notices[self._shown :])
        self._shown = len(result.notices)
