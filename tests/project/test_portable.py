"""The tests can be collected where Python lacks what only POSIX systems have, and those that use that are marked."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from other_systems import NOT_ON_WINDOWS

TOP = Path(__file__).parents[2]
MODULES = sorted((TOP / "tests").rglob("test_*.py"))

#: Takes away what Python on Windows lacks, after what other projects do on Linux only was imported.
COLLECT = """
import os
import sys
import pytest
from conda_prune_plugin.embedded import activate
activate()
import conda.core.package_cache_data
import filelock
import psutil
sys.path.insert(0, "tests/support")
from other_systems import MODULES_NOT_ON_WINDOWS, NOT_ON_WINDOWS
sys.modules.update(dict.fromkeys(MODULES_NOT_ON_WINDOWS))
# ctypes asks for the last one on Linux.
for name in {*NOT_ON_WINDOWS} - {"uname"}:
    vars(os).pop(name, None)
sys.exit(pytest.main(["--collect-only", "--quiet", "-n0", "-p", "no:cacheprovider", "tests"]))
"""


@pytest.mark.slow
def test_all_tests_can_be_collected_without_what_only_posix_systems_have() -> None:
    done = subprocess.run([sys.executable, "-c", COLLECT], cwd=TOP, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "tests/cli/test_prompts.py::" in done.stdout


def _lacking(node: ast.AST) -> set[str]:
    """Return what a part of a module uses of `os` and `signal` that Windows lacks."""
    return {
        name.attr
        for name in ast.walk(node)
        if isinstance(name, ast.Attribute)
        and ast.unparse(name.value) in ("os", "signal")
        and name.attr in {*NOT_ON_WINDOWS, "SIGKILL", "SIGSTOP", "SIGCONT", "SIGHUP"} - {"uname"}
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_test_that_uses_what_windows_lacks_is_marked(path: Path) -> None:
    """Whatever it does itself, or by a function of its module that it names."""
    body = ast.parse(path.read_text()).body
    whole = [ast.unparse(node) for node in body if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node)]
    defined = [node for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    lacking = {node.name for node in defined if _lacking(node)}
    unmarked = []
    for node in defined:
        names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)} | {node.name}
        decorators = " ".join([*map(ast.unparse, node.decorator_list), *whole])
        if (
            node.name.startswith("test_")
            and names & lacking
            and not re.search(r"posix|linux|debian|skipif", decorators)
        ):
            unmarked.append(node.name)

    assert unmarked == []
