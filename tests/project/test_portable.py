"""The tests can be collected where Python lacks what it has on POSIX systems only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]

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
