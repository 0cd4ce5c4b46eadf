"""Real conda, and what ``conda doctor --fix`` calls of ours, for which nothing is too young (see ``--min-age``).

The time of a change can't be set back, and ``conda doctor`` has no such option.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import TYPE_CHECKING

from machine import Answer

if TYPE_CHECKING:
    from machine import Machine

#: Instead of a command: the fixer alone, which conda has a use for only from 26.1 on. It is asked as conda asks.
FIX = "fix"


def ageless(machine: Machine, *command: str, stdin: str = "", **environ: str) -> Answer:
    """Run ``conda COMMAND`` and return what it said."""
    done = subprocess.run(
        [sys.executable, __file__, *command],
        env=machine.environ(**environ),
        cwd=machine.directory,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def _confirm(question: str) -> None:
    from conda.exceptions import CondaSystemExit

    print(question)
    if sys.stdin.readline() != "yes\n":
        raise CondaSystemExit("no")


def _main() -> int:
    from conda_prune_plugin.embedded import activate, main

    activate()
    from conda_prune_plugin.cli import doctor
    from conda_prune_plugin.cli.parsing import arguments

    setattr(arguments, "DEFAULT_MIN_AGE", 0.0)  # noqa: B010
    if sys.argv[1:] == [FIX]:
        return doctor.fix("", argparse.Namespace(), _confirm)
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(_main())
