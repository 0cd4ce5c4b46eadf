"""Whatever may write finishes the interrupted removal of an environment, `conda prune` too; else it is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash import run
from machine import listing
from tiny import Tiny

from conda_prune_plugin.demo.sandbox import Sandbox

if TYPE_CHECKING:
    from crash import End

REMOVE = ("--remove", "--backup", "--force", "--yes", "--ignore-running")
PRUNE = ("prune", "--yes", "--ignore-running", "--json")


class Killed:
    """The removal of an environment that was killed, in a directory that only the registry leads to, or a note."""

    def __init__(self, directory: Path, *, configured: bool = True) -> None:
        tiny = Tiny(directory)
        tiny.add("a-1-0")
        self.sandbox = Sandbox(directory)
        self.sandbox.create()
        self.sandbox.registry.parent.mkdir()
        self.place = tiny.envs if configured else directory / "elsewhere"
        self.prefix = tiny.use("e", "a-1-0")
        if not configured:
            self.place.mkdir()
            self.prefix = self.prefix.rename(self.place / "e")
        self.sandbox.registry.write_text(f"{self.prefix}\n")
        self.whole = listing(self.prefix)

    def kill(self, *, before_settled: bool) -> None:
        """Make what a kill leaves: the environment in quarantine, or marked for deletion and still registered."""
        assert run(self.sandbox, "prune", "envs", str(self.prefix), *REMOVE).code == 0
        (receipt,) = self.place.glob(".conda-prune/*/receipt.json")
        document = json.loads(receipt.read_text())
        receipt.write_text(json.dumps({**document, "state": "begun", "disposal": "delete"}))
        receipt.with_name("receipt.json.new").touch()
        if not before_settled:
            (receipt.parent / "0").rename(receipt.parent / "0.deleting")
        self.sandbox.registry.write_text(f"{self.prefix}\n")

    def left(self) -> set[str]:
        """Return the names of what the run has left in its folder."""
        return {path.name for path in self.place.glob(".conda-prune/*/*")}

    def prune(self, *options: str) -> tuple[End, list[str]]:
        """Prune, and return how that ended, with the kinds of its warnings."""
        end = run(self.sandbox, *PRUNE, *options)
        return end, [warning["kind"] for warning in json.loads(end.output)["warnings"]]


@pytest.mark.parametrize("configured", [True, False])
def test_a_prune_completes_the_deletion_of_an_environment_that_was_killed(tmp_path: Path, configured: bool) -> None:
    killed = Killed(tmp_path / "it", configured=configured)
    killed.kill(before_settled=False)

    end, kinds = killed.prune()

    assert (end.code, kinds.count("cut-off-run")) == (0, 1), end.output
    assert killed.left() == {"receipt.json", "environment-exports"}
    assert str(killed.prefix) not in killed.sandbox.registry.read_text()
    assert "cut-off-run" not in killed.prune()[1]


@pytest.mark.parametrize("configured", [True, False])
def test_a_prune_rolls_back_a_removal_that_was_killed_before(tmp_path: Path, configured: bool) -> None:
    killed = Killed(tmp_path / "it", configured=configured)
    killed.kill(before_settled=True)

    end, kinds = killed.prune()

    assert (end.code, kinds.count("cut-off-run")) == (0, 1), end.output
    assert killed.left() == set()
    assert {path: known[5] for path, known in listing(killed.prefix).items()} == {
        path: known[5] for path, known in killed.whole.items()
    }
    assert killed.sandbox.registry.read_text() == f"{killed.prefix}\n"
    # What it references stays: it is looked for again when it is back.
    assert (tmp_path / "it" / "pkgs" / "a-1-0").is_dir()


def test_a_dry_run_says_so_once_and_leaves_it(tmp_path: Path) -> None:
    killed = Killed(tmp_path / "it", configured=False)
    killed.kill(before_settled=False)
    before = listing(killed.place)

    end, kinds = killed.prune("--dry-run")

    assert (end.code, kinds.count("cut-off-run")) == (0, 1), end.output
    assert listing(killed.place) == before


def test_with_caches_named_nothing_else_is_touched(tmp_path: Path) -> None:
    killed = Killed(tmp_path / "it")
    killed.kill(before_settled=False)

    _, kinds = killed.prune("--pkgs-dir", str(tmp_path / "it" / "pkgs"))

    assert "cut-off-run" not in kinds
    assert "0.deleting" in killed.left()


def test_exports_of_a_killed_removal_are_found_when_the_environment_was_deleted_by_hand(tmp_path: Path) -> None:
    killed = Killed(tmp_path / "it", configured=False)
    killed.kill(before_settled=True)
    shutil.rmtree(next(killed.place.glob(".conda-prune/*/0")))
    killed.sandbox.registry.write_text("")

    end, _ = killed.prune()

    assert (end.code, killed.left()) == (0, {"receipt.json", "environment-exports"}), end.output
