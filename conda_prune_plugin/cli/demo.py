"""``conda prune demo``: real packages and environments in a throw-away sandbox, a prune, and the numbers."""

from __future__ import annotations

import argparse
import os
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

DESCRIPTION = """\
Make a sandbox with real packages and real environments, show what conda clean
would remove there, prune it, and compare the predicted with the freed bytes.

Nothing outside of the sandbox is read or written, and it is deleted at the end.
"""


#: Options that mean something else here than in ``conda prune`` itself.
OWN = frozenset({"keep"})

#: Options that only ``conda prune`` itself has and that count here all the same: before the command's name.
ABOVE = frozenset[str]()


def configure_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's parser and return it."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="Try it in a throw-away sandbox.",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--keep", metavar="DIR", help="Make the sandbox in DIR, which must not exist, and leave it there."
    )
    parser.set_defaults(prune_command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `DemoError` or `UsageError`."""
    import tempfile
    from pathlib import Path

    from ..errors import DemoError, UsageError
    from .parsing.shared_options import conda_output

    if conda_output().json:
        raise UsageError("The demo is a story for people and has no JSON form.", hint="Leave out --json.")
    if arguments.keep is None:
        _require_one_place(tempfile.gettempdir(), "Set TMPDIR to a directory with a plain path.")
        with tempfile.TemporaryDirectory(prefix="conda-prune-demo-") as directory:
            return _tell(Path(directory))
    sandbox = Path(arguments.keep).absolute()
    _require_one_place(str(sandbox), "Give --keep a plain path.")
    try:
        sandbox.mkdir(parents=True)
    except OSError as error:
        raise DemoError(
            f"The sandbox can't be made in {sandbox}: {error.strerror}.",
            hint="Give --keep a directory that does not exist yet.",
            path=str(sandbox),
        ) from error
    code = _tell(sandbox)
    if code == 0 and os.name == "posix":
        from ..demo.sandbox import Sandbox

        shell = shlex.quote(str(Sandbox(sandbox).write_shell()))
        print(f"\nThe sandbox stays. This opens a shell whose caches and environments are those in there:\n\n  {shell}")
    return code


def _require_one_place(path: str, hint: str) -> None:
    """Refuse a path that conda's variables would take for several paths, or for another one. Raises `DemoError`.

    conda splits CONDA_PKGS_DIRS at commas and CONDA_ENVS_DIRS at `os.pathsep`, strips blanks, and expands variables.
    """
    from ..errors import DemoError

    split = [mark for mark in (",", os.pathsep, "$", "\n") if mark in path]
    if split or path != path.strip() or os.path.expandvars(path) != path:
        raise DemoError(
            f"The sandbox can't be made in {path}: conda would read it as another path, or several.",
            hint=f"{hint} It must have no comma, {os.pathsep!r}, variable, or blank at its ends.",
            path=path,
        )


def _tell(directory: Path) -> int:
    import subprocess
    import sys

    from ..demo.sandbox import Sandbox

    command = [sys.executable, "-m", "conda_prune_plugin.demo.story", str(directory)]
    # Its standard input is empty: nothing in the sandbox may wait for an answer.
    told = subprocess.run(
        command, env=Sandbox(directory).environ(), cwd=directory, stdin=subprocess.DEVNULL, check=False
    )
    return told.returncode
