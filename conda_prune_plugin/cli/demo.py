"""``conda prune demo``: a prune of real packages and environments in a temporary sandbox."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from ..demo.sandbox import Sandbox
from ..errors import DemoError, UsageError
from .parsing.output_options import conda_output


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `DemoError` or `UsageError`."""
    if conda_output().json:
        raise UsageError("The demo has no JSON output.", hint="Run it without --json.")
    if arguments.sandbox is None:
        _require_one_place(tempfile.gettempdir(), "Set TMPDIR to a directory with a plain path.")
        with tempfile.TemporaryDirectory(prefix="conda-prune-demo-") as directory:
            return _tell(Path(directory))
    sandbox = Path(arguments.sandbox).absolute()
    _require_one_place(str(sandbox), "Give --keep a plain path.")
    try:
        sandbox.mkdir(parents=True)
    except OSError as error:
        raise DemoError(
            f"Can't create the sandbox in {sandbox}: {error.strerror}.",
            hint="Give --keep a directory that does not exist yet.",
            path=str(sandbox),
        ) from error
    code = _tell(sandbox)
    if code == 0 and os.name == "posix":
        shell = shlex.quote(str(Sandbox(sandbox).write_shell()))
        print(f"\nKept the sandbox. To open a shell that uses its caches and environments, run:\n\n  {shell}")
    return code


def _require_one_place(path: str, hint: str) -> None:
    """Refuse a path that conda's variables would read as another path, or several. Raises `DemoError`.

    conda splits CONDA_PKGS_DIRS at commas and CONDA_ENVS_DIRS at `os.pathsep`, strips spaces, and expands variables.
    """
    split = [mark for mark in (",", os.pathsep, "$", "\n") if mark in path]
    if split or path != path.strip() or os.path.expandvars(path) != path:
        raise DemoError(
            f"Can't create the sandbox in {path}: conda would read it as another path, or several.",
            hint=f"{hint} It can't contain a comma, {os.pathsep!r} or a variable, or start or end with a space.",
            path=path,
        )


def _tell(directory: Path) -> int:
    command = [sys.executable, "-m", "conda_prune_plugin.demo.story", str(directory)]
    # With an empty standard input nothing in the sandbox can wait for an answer.
    told = subprocess.run(
        command, env=Sandbox(directory).environ(), cwd=directory, stdin=subprocess.DEVNULL, check=False
    )
    return told.returncode
