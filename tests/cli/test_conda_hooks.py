"""conda's hooks for hints on errors and for `conda clean`: what they say, and silence on a conda without them."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from conda import CondaError
from conda.exceptions import NoSpaceLeftError
from conda.plugins import types

from conda_prune_plugin.plugin import conda_clean_paths, conda_error_hints

if TYPE_CHECKING:
    from machine import Machine

#: What asks the hook as conda does, with a class of conda's in which it puts the answer, if this conda has none.
ASK = """
from conda_prune_plugin.embedded import activate_for_commands
activate_for_commands()
import json
from types import SimpleNamespace
from conda.plugins import types
types.CondaCleanPath = getattr(types, "CondaCleanPath", SimpleNamespace)
from conda_prune_plugin.plugin import conda_clean_paths
(offered,) = conda_clean_paths()
print(json.dumps([offered.name, list(offered.find("/the/prefix"))]))
"""


@pytest.mark.parametrize(
    ("error", "hints"),
    [
        (NoSpaceLeftError(OSError(errno.ENOSPC, "No space left on device")), 1),
        (CondaError("It failed.", caused_by=OSError(errno.EDQUOT, "Disk quota exceeded")), 1),
        (CondaError("It failed.", caused_by=OSError(errno.EACCES, "Permission denied")), 0),
        (CondaError("It failed."), 0),
    ],
    ids=["full", "quota", "closed", "other"],
)
def test_on_a_full_disk_conda_suggests_a_look_at_unused_packages(
    monkeypatch: pytest.MonkeyPatch, error: CondaError, hints: int
) -> None:
    # Only conda from 26.7 on has it.
    monkeypatch.setattr(types, "CondaErrorHint", getattr(types, "CondaErrorHint", SimpleNamespace), raising=False)

    given = list(conda_error_hints(error))

    assert [hint.hint_code for hint in given] == ["prune_package_caches"] * hints
    assert all("`conda prune --dry-run`" in hint.text for hint in given)


def test_a_conda_without_the_hooks_gets_nothing_from_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CondaErrorHint", "CondaCleanPath"):
        monkeypatch.delattr(types, name, raising=False)

    assert list(conda_error_hints(NoSpaceLeftError(OSError(errno.ENOSPC, "No space left on device")))) == []
    assert list(conda_clean_paths()) == []


def test_conda_clean_is_offered_backups_of_packages_and_nothing_else(machine: Machine) -> None:
    for options in (
        ("--only", "libalpha", "--backup"),
        (
            "--only",
            "innerlinks",
        ),
    ):
        machine.prune("--yes", "--ignore-unreadable", *options)
    assert machine.run("prune", "envs", "copy", "--remove", "--backup", "--yes").code == 0
    runs = machine.run("prune", "restore", "--json").json["runs"]
    (backup,) = (run["run"] for run in runs if any(dist.startswith("libalpha") for dist in run["dists"]))
    assert len(runs) == 3

    done = subprocess.run(
        [sys.executable, "-c", ASK], env=machine.environ(), capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout) == ["prune-backups", [str(machine.cache / ".conda-prune" / backup)]]
