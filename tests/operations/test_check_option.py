"""``--check SIZE``: a question with an exit code for an answer, which changes nothing."""

from __future__ import annotations

import re

import pytest
from machine import Machine, listing, space
from tiny import tiny_on


@pytest.fixture
def unused(empty: Machine) -> Machine:
    """A machine with one unreferenced package."""
    tiny_on(empty).add("unused-1-0", archive=True)
    return empty


@pytest.mark.parametrize("options", [(), ("--json",), ("--quiet",), ("--yes",), ("--yes", "--json", "--backup")])
def test_more_than_the_limit_is_exit_code_three_and_changes_nothing(unused: Machine, options: tuple[str, ...]) -> None:
    reclaimable = unused.prune("--dry-run", "--json").json["totals"]["reclaimable"]
    before = listing(unused.directory)

    more = unused.prune("--check", f"{reclaimable - 1}B", *options)
    exactly = unused.prune("--check", f"{reclaimable}B", *options)

    assert (more.code, exactly.code) == (3, 0), more.err + exactly.err
    assert listing(unused.directory) == before
    if "--json" in options:
        assert more.json["check"] == {"limit": reclaimable - 1, "unit": "bytes", "exceeded": True}
        assert exactly.json["check"] == {"limit": reclaimable, "unit": "bytes", "exceeded": False}
        assert more.json["dry_run"] is True
        assert more.json["success"] is True
    elif "--quiet" in options:
        assert (more.out, more.err) == ("", "")
    else:
        assert "more than" in more.out
        assert "within the limit" in exactly.out


def test_a_limit_of_files_counts_inodes(unused: Machine) -> None:
    count = space(unused.cache / "unused-1-0", unused.cache / "unused-1-0.conda").inodes

    more = unused.prune("--check", f"{count - 1}files", "--json")
    exactly = unused.prune("--check", f"{count} inodes", "--json")

    assert (more.code, exactly.code) == (3, 0), more.err + exactly.err
    assert more.json["check"] == {"limit": count - 1, "unit": "inodes", "exceeded": True}
    assert exactly.json["check"] == {"limit": count, "unit": "inodes", "exceeded": False}
    assert f"{count} files can be freed, within the limit of 20,000 files." in unused.prune("--check", "20000files").out
    summary = unused.directory / "summary.md"
    summary.touch()
    unused.prune("--check", "1file", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert f"{count} files reclaimable, more than the limit of 1 file." in summary.read_text()


def test_only_what_is_selected_counts(unused: Machine) -> None:
    assert unused.prune("--check", "0", "--only", "other").code == 0
    assert unused.prune("--check", "0").code == 3
    assert unused.prune("--check", "0", min_age="10m").code == 0


def test_the_limit_is_echoed_in_the_unit_in_which_it_was_typed(unused: Machine) -> None:
    assert "within the limit of 1 MB." in unused.prune("--check", "1MB").out
    assert "more than the limit of 1 KiB." in unused.prune("--check", "1kib").out
    summary = unused.directory / "summary.md"
    summary.touch()
    unused.prune("--check", "2g", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert "within the limit of 2 G." in summary.read_text()
    unused.prune("--check", "99files", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert re.search(r"[1-9]\d* files reclaimable, within the limit of 99 files\.", summary.read_text())


@pytest.mark.parametrize("limit", ["much", "-3files", "1.5files", "20000"])
def test_a_limit_that_is_none_is_bad_usage(unused: Machine, limit: str) -> None:
    answer = unused.prune(f"--check={limit}", "--json")

    assert answer.code == 2
    assert "--check" in answer.json["message"]
    assert answer.json["hint"]


def test_without_a_check_the_document_says_that_there_was_none(unused: Machine) -> None:
    assert unused.prune("--dry-run", "--json").json["check"] is None
