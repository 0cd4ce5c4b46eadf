"""Backup, restore and purge: what was taken out comes back byte for byte, and goes for good only when that is asked."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from machine import UNREFERENCED, Answer, Machine, allocated, contents, listing, space, told
from tiny import Tiny

from conda_prune_plugin.core.model import Result
from conda_prune_plugin.core.run import Disposal, Run
from conda_prune_plugin.core.units import NO_SPACE, Space
from conda_prune_plugin.demo.demo_packages import File, Package, build_package
from conda_prune_plugin.discovery.packages.cache_listing import list_cache
from conda_prune_plugin.execution.locks.run_lock import Patience
from conda_prune_plugin.execution.ports import Fetch, UnfetchableError
from conda_prune_plugin.execution.restore_backups import restore
from conda_prune_plugin.execution.state.receipt import ReceiptEntry
from conda_prune_plugin.execution.state.state_dir import locked
from conda_prune_plugin.execution.state.stored_runs import stored_runs
from conda_prune_plugin.operations.runs.run_store import new_run_id


def _prune(machine: Machine, *arguments: str | os.PathLike[str], **environ: str) -> Answer:
    """Prune all that nothing uses, be its source known or not, though an environment was deleted by hand."""
    return machine.prune("--ignore-unreadable", "--include-irreplaceable", *arguments, **environ)


def _everything(machine: Machine) -> dict[str, tuple[object, ...]]:
    """Return what there is to know of the machine's caches and environments, but the time of the last status change."""
    found: dict[str, tuple[object, ...]] = {}
    for directory in (machine.cache, machine.envs, machine.elsewhere):
        for path, known in listing(directory).items():
            if ".conda-prune" not in path and path != str(machine.cache):
                found[path] = (*known[:4], *known[5:], os.lstat(path).st_ino, os.lstat(path).st_uid)
    return found


def _without_inodes(found: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    return {path: (*known[:5], known[-1]) for path, known in found.items()}


def _runs(machine: Machine) -> list[dict[str, Any]]:
    answer = machine.run("prune", "restore", "--json")
    assert answer.code == 0
    return list(answer.json["runs"])


def _results(answer: Answer) -> dict[str, str]:
    return {outcome["dist"]: outcome["result"] for outcome in answer.json["outcomes"]}


def test_a_backup_frees_nothing_and_says_so_and_comes_back_as_the_same_files(machine: Machine) -> None:
    before, size = _everything(machine), allocated(machine.cache)

    answer = _prune(machine, "--backup", "--yes")

    assert answer.code == 0
    assert "frees nothing" in answer.out
    assert not any((machine.cache / dist).exists() for dist in UNREFERENCED)
    (run,) = _runs(machine)
    assert run["disposal"] == "backup"
    assert run["complete"]
    assert set(run["dists"]) == UNREFERENCED
    state = machine.cache / ".conda-prune"
    moved = allocated(*(path for path in (state / run["run"]).iterdir() if path.name != "receipt.json"))
    assert allocated(machine.cache) + moved == size

    restored = machine.run("prune", "restore", "last", "--json")

    assert _results(restored) == dict.fromkeys(UNREFERENCED, "restored")
    assert _everything(machine) == before
    assert not state.exists()


def test_purging_a_backup_frees_what_was_predicted(machine: Machine) -> None:
    predicted = told(_prune(machine, "--dry-run", "--json").json["totals"])
    before = space(machine.cache)
    assert told(*_prune(machine, "--backup", "--yes", "--json").json["outcomes"], by="freed") == NO_SPACE
    (stored,) = machine.run("prune", "restore", "--json").json["runs"]
    assert Space(stored["bytes"], stored["inodes"]) == predicted

    purged = machine.run("prune", "purge", "last", "--yes", "--json").json

    assert [told(run, by="freed") for run in purged["runs"]] == [predicted]
    assert before - space(machine.cache) == predicted
    assert not (machine.cache / ".conda-prune").exists()


def test_what_was_fetched_again_counts_as_never_linked_since(machine: Machine) -> None:
    assert _prune(machine, "--yes", "--include-irreplaceable").code == 0
    assert machine.run("prune", "restore", "last", "--only", "libalpha").code == 0

    plan = _prune(machine, "--dry-run", "--json").json

    (restored,) = (decision for decision in plan["remove"] if decision["dist"].startswith("libalpha-"))
    assert "extracted" in restored["parts"]
    assert restored["last_used_from"] == "extraction"


def test_purging_archives_frees_what_they_took_on_their_disk(machine: Machine, tmp_path: Path) -> None:
    assert _prune(machine, "--backup-to", str(tmp_path / "elsewhere"), "--yes").code == 0
    archives = [path for path in (tmp_path / "elsewhere").rglob("*.tar.*") if path.is_file()]
    held = sum(path.stat().st_blocks * 512 for path in archives)

    purged = machine.run("prune", "purge", "last", "--yes", "--json").json

    assert held > 0
    assert [run["freed"] for run in purged["runs"]] == [held]
    assert not any(path.exists() for path in archives)


def test_archives_elsewhere_come_back_byte_for_byte(machine: Machine, tmp_path: Path) -> None:
    entry = machine.entry("symlinks-2.0-0")
    (entry / "bin").mkdir()
    (entry / "bin" / "odd-\udce9").write_bytes(b"a name that is no UTF-8")
    (entry / "bin" / "tool").write_bytes(b"tool")
    (entry / "bin" / "tool").chmod(0o4755)
    (entry / "share").chmod(0o555)
    before = _everything(machine)

    answer = _prune(machine, "--backup-to", tmp_path / "elsewhere", "--yes", "--json")

    assert answer.code == 0
    assert _results(answer) == dict.fromkeys(UNREFERENCED, "backed-up")
    assert sum(outcome["freed"] for outcome in answer.json["outcomes"]) == answer.json["totals"]["reclaimable"]
    assert {path.name for path in tmp_path.rglob("*.tar.zst")} == {f"{dist}.tar.zst" for dist in UNREFERENCED}
    for _ in range(2):
        # The archives stay, so this works as often as one likes.
        restored = machine.run("prune", "restore", answer.json["run"], "--json")
        assert _results(restored) == dict.fromkeys(UNREFERENCED, "restored")
        assert _without_inodes(_everything(machine)) == _without_inodes(before)
        for dist in UNREFERENCED:
            for path in machine.cache.glob(f"{dist}*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    assert machine.run("prune", "purge", "--all", "--yes").code == 0
    assert list(tmp_path.rglob("*.tar.zst")) == []


def test_an_archive_that_has_changed_is_not_restored(machine: Machine, tmp_path: Path) -> None:
    run = _prune(machine, "--backup-to", tmp_path, "--yes", "--json").json["run"]
    archive = next(tmp_path.rglob("libalpha-1.0-0.tar.zst"))
    *content, last = archive.read_bytes()
    archive.write_bytes(bytes([*content, last ^ 1]))

    answer = machine.run("prune", "restore", run, "--json")

    assert answer.code == 1
    assert _results(answer) == dict.fromkeys(UNREFERENCED, "restored") | {"libalpha-1.0-0": "failed"}
    assert not machine.entry("libalpha-1.0-0").exists()


@pytest.mark.posix
def test_what_cannot_be_archived_stays_and_the_rest_goes_on(machine: Machine, tmp_path: Path) -> None:
    pipe = machine.entry("libalpha-1.0-0") / "lib" / "pipe"
    os.mkfifo(pipe)

    answer = _prune(machine, "--backup-to", tmp_path, "--yes", "--json")

    assert answer.code == 1
    assert _results(answer) == dict.fromkeys(UNREFERENCED, "backed-up") | {"libalpha-1.0-0": "failed"}
    assert pipe.exists()


def test_archives_cannot_go_into_a_cache_or_a_file(machine: Machine) -> None:
    before = listing(machine.directory)
    (machine.home / "file").touch()
    for place in (machine.cache, machine.cache / "backup", machine.home / "file"):
        answer = _prune(machine, "--backup-to", place, "--yes", "--json")
        assert answer.code == 2
        assert answer.json["exception_name"] == "UsageError"
    (machine.home / "file").unlink()
    assert {path: known[5] for path, known in before.items()} == {
        path: known[5] for path, known in listing(machine.directory).items()
    }


def test_what_was_deleted_is_fetched_again_by_conda(machine: Machine) -> None:
    before = contents(machine.cache)
    _prune(machine, "--yes")

    answer = machine.run("prune", "restore", "last", "--json")

    assert answer.code == 0
    assert _results(answer) == dict.fromkeys(UNREFERENCED, "restored")
    after = contents(machine.cache)
    for dist in UNREFERENCED:
        for path, known in before.items():
            if path.startswith(str(machine.cache / dist)) and not path.endswith("repodata_record.json"):
                assert after[path] == known
    # And conda takes them for what they are: with the archives of the channel gone it links them.
    for archive in (machine.directory / "channel").glob("*/*.conda"):
        archive.unlink()
    machine.install("create", "-n", "again", "--offline", "libalpha=1.0")
    assert (machine.envs / "again" / "conda-meta" / "libalpha-1.0-0.json").exists()


def test_an_archive_of_another_format_is_fetched_again_from_its_own_url_with_the_hash_it_had(machine: Machine) -> None:
    name = "bothformats-2.0-0.tar.bz2"
    # Without asking for what can't be had again.
    assert machine.prune("--ignore-unreadable", "--yes").code == 0
    assert not (machine.cache / name).exists()
    there = machine.directory / "channel" / "linux-64" / name
    content = there.read_bytes()
    there.write_bytes(content + b"x")

    failed = machine.run("prune", "restore", "last", "--only", "bothformats", "--json")
    there.write_bytes(content)
    restored = machine.run("prune", "restore", "last", "--only", "bothformats", "--json")

    assert (failed.code, restored.code) == (1, 0), restored.out
    assert (machine.cache / name).read_bytes() == content


def test_an_archive_that_conda_has_noted_no_url_of_is_irreplaceable(machine: Machine) -> None:
    urls = machine.cache / "urls.txt"
    lines = urls.read_text().splitlines()
    urls.write_text("".join(f"{line}\n" for line in lines if "bothformats-2.0-0.tar.bz2" not in line))

    kept = {entry["dist"]: entry["reasons"] for entry in machine.prune("--dry-run", "--json").json["keep"]}

    (reason,) = [one for one in kept["bothformats-2.0-0"] if one["kind"] == "irreplaceable"]
    assert reason["detail"].startswith("bothformats-2.0-0.tar.bz2: its download URL is unknown")


def test_without_its_channel_a_package_comes_out_of_the_archive_that_is_still_there(machine: Machine) -> None:
    before = contents(machine.entry("libalpha-1.0-0"))
    _prune(machine, "--packages", "--yes")
    shutil.move(machine.directory / "channel", machine.directory / "gone")

    answer = machine.run("prune", "restore", "last", "--only", "libalpha", "--json")

    assert _results(answer) == {"libalpha-1.0-0": "restored"}
    record = str(machine.entry("libalpha-1.0-0") / "info" / "repodata_record.json")
    after = contents(machine.entry("libalpha-1.0-0"))
    assert json.loads(Path(record).read_text())["url"].startswith("file://")
    assert {**after, record: None} == {**before, record: None}


def test_a_package_with_the_same_name_but_another_hash_is_not_restored(machine: Machine) -> None:
    _prune(machine, "--yes")
    other = Package("libalpha", "1.0", files={"lib/other": File(b"not what it was" * 1000)})
    build_package(other, machine.directory / "channel" / "linux-64", ".conda")

    answer = machine.run("prune", "restore", "last", "--only", "libalpha", "--json")

    assert answer.code == 1
    assert "sha256" in answer.json["outcomes"][0]["error"]
    assert not list(machine.cache.glob("libalpha-1.0*"))


def test_what_can_not_be_fetched_is_asked_for_once_and_told_once(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path / "it")
    tiny.add("a-1-0", archive=True)
    assert not tiny.execute(tiny.plan()).failed
    asked = []

    def gone(entry: ReceiptEntry, directory: str, name: str) -> None:
        asked.append(name)
        raise UnfetchableError(f"{name} is gone")

    (stored,) = stored_runs(list_cache(str(tiny.cache)))
    with locked(stored.cache, Patience()) as cache:
        (outcome,) = restore(cache, stored, lambda entry: True, Fetch(gone, gone), lambda done: None).outcomes

    assert asked == ["a-1-0.conda"]
    assert (outcome.result, outcome.error) == (Result.FAILED, "a-1-0.conda is gone")


def test_a_restore_never_overwrites(machine: Machine) -> None:
    _prune(machine, "--backup", "--yes")
    machine.install("create", "-n", "again", "libalpha=1.0")
    before = _everything(machine)

    answer = machine.run("prune", "restore", "last", "--json")

    assert answer.code == 0
    assert _results(answer)["libalpha-1.0-0"] == "skipped"
    assert before.items() <= _everything(machine).items()
    (run,) = _runs(machine)
    assert run["dists"] == ["libalpha-1.0-0"]


def test_only_what_matches_is_restored(machine: Machine) -> None:
    _prune(machine, "--backup", "--yes")

    answer = machine.run("prune", "restore", "last", "--only", "libalpha<2", "--json")

    assert _results(answer) == {"libalpha-1.0-0": "restored"}
    assert machine.entry("libalpha-1.0-0").is_dir()
    back = [item for top in machine.cache.glob("libalpha-1.0-0*") for item in (top, *top.rglob("*"))]
    assert answer.json["runs"][0]["files"] == sum(not item.is_dir() for item in back)
    assert set(_runs(machine)[0]["dists"]) == UNREFERENCED - {"libalpha-1.0-0"}
    nothing = machine.run("prune", "restore", "last", "--only", "no-such-package", "--json")
    assert (nothing.code, nothing.json["exception_name"]) == (1, "NoSuchRunError")
    wrong = machine.run("prune", "restore", "last", "--only", "a=b=c=d", "--json")
    assert (wrong.code, wrong.json["exception_name"]) == (2, "UsageError")


def test_listing_and_dry_runs_write_nothing(machine: Machine) -> None:
    _prune(machine, "--backup", "--yes")
    before = listing(machine.directory)

    for command in (
        ("restore",),
        ("restore", "last", "--dry-run"),
        ("purge", "--all", "--dry-run"),
        ("purge", "--all"),  # Without --yes and without a terminal nothing is deleted.
    ):
        machine.run("prune", *command, PYTHONDONTWRITEBYTECODE="1")

    assert listing(machine.directory) == before


def test_a_purge_has_to_be_confirmed_and_to_be_told_what(machine: Machine) -> None:
    _prune(machine, "--backup", "--yes")

    assert machine.run("prune", "purge", "--all", "--json").json["exception_name"] == "ConfirmationError"
    assert machine.run("prune", "purge").code == 2
    assert machine.run("prune", "purge", "last", "--all", "--yes").code == 2
    unknown = machine.run("prune", "purge", "20200101T000000Z-0000", "--yes", "--json")
    assert (unknown.code, unknown.json["exception_name"]) == (1, "NoSuchRunError")
    assert len(_runs(machine)) == 1


def _make_old(machine: Machine, days: float) -> None:
    for path in machine.cache.glob(".conda-prune/*/receipt.json"):
        receipt = json.loads(path.read_text())
        receipt["started"] -= days * 86400
        path.write_text(json.dumps(receipt))


def test_old_runs_are_purged_by_age_and_by_the_setting(machine: Machine) -> None:
    _prune(machine, "--backup", "--yes", "--packages")
    _make_old(machine, 10)
    _prune(machine, "--backup", "--yes", "--tarballs")

    assert machine.run("prune", "purge", "--older-than", "20d", "--yes", "--json").json["runs"] == []
    assert len(machine.run("prune", "purge", "--older-than", "9d", "--yes", "--json").json["runs"]) == 1
    (left,) = _runs(machine)

    _make_old(machine, 10)
    machine.install("create", "-n", "again", "libalpha=1.0")
    assert machine.run("remove", "-n", "again", "--all", "--yes").code == 0
    answer = _prune(machine, "--yes", "--json", CONDA_PLUGINS_PRUNE_PURGE_AFTER="9d")
    assert answer.code == 0
    assert [warning["kind"] for warning in answer.json["warnings"]].count("purged") == 1
    assert left["run"] not in {run["run"] for run in _runs(machine)}


def test_the_setting_makes_backups_and_the_option_wins(machine: Machine) -> None:
    answer = _prune(machine, "--yes", "--packages", "--json", CONDA_PLUGINS_PRUNE_BACKUP="true")
    assert set(_results(answer).values()) == {"backed-up"}

    answer = _prune(machine, "--yes", "--no-backup", "--json", CONDA_PLUGINS_PRUNE_BACKUP="true")
    assert set(_results(answer).values()) == {"removed"}
    both = _prune(machine, "--yes", "--backup", "--backup-to", "x", "--json")
    assert both.code == 2


def test_a_run_that_is_not_understood_is_left_alone_and_nothing_is_made_up_of_it(empty: Machine) -> None:
    run = empty.cache / ".conda-prune" / "20260101T000000Z-abcd"
    (run / "0").mkdir(parents=True)
    (run / "receipt.json").write_text('{"schema": 99}')

    (told,) = empty.run("prune", "restore", "--json").json["runs"]

    assert (told["run"], told["complete"], told["entries"]) == (run.name, False, 0)
    assert (told["time"], told["disposal"], told["destination"]) == (None, None, None)
    listed, purged = empty.run("prune", "restore"), empty.run("prune", "purge", run.name, "--yes")
    assert f"{run.name}  unknown" in listed.out
    assert "unreadable" in listed.out
    assert all(f"delete {run}." in answer.err for answer in (listed, purged))
    assert purged.code == 1
    assert (run / "0").exists()


def test_a_run_that_was_cut_off_before_it_had_a_receipt_is_said_to_be_finished_by_the_next_and_is(
    empty: Machine,
) -> None:
    run = empty.cache / ".conda-prune" / "20260101T000000Z-abcd"
    run.mkdir(parents=True)
    (run / "receipt.json.new").write_text('{"sch')

    listed = empty.run("prune", "restore")

    assert "unfinished" in listed.out
    assert "completes it" in listed.err
    assert empty.prune("--yes").code == 0
    assert not run.exists()


def test_runs_of_one_second_are_listed_in_their_order_and_last_is_the_newest(empty: Machine, tmp_path: Path) -> None:
    tiny = Tiny(tmp_path / "tiny")
    dists = [f"a-{number}-0" for number in range(8)]
    for number, dist in enumerate(dists):
        tiny.add(dist)
        started = 1_800_000_000 + number / 8
        assert not tiny.execute(tiny.plan(), run=Run(new_run_id(started), started, Disposal.BACKUP)).failed

    listed = empty.run("prune", "restore", "--pkgs-dir", tiny.cache, "--json").json["runs"]
    last = empty.run("prune", "restore", "last", "--pkgs-dir", tiny.cache, "--json").json

    assert [run["dists"] for run in listed] == [[dist] for dist in dists]
    assert [outcome["dist"] for outcome in last["outcomes"]] == dists[-1:]


@pytest.mark.parametrize("command", [("restore", "last"), ("purge", "last", "--yes")])
def test_with_nothing_there_it_says_so(empty: Machine, command: tuple[str, ...]) -> None:
    answer = empty.run("prune", *command)

    assert answer.code == 1
    assert answer.err.startswith("error: No run to ")
    assert empty.run("prune", "restore").out == "No run to restore.\n"
    assert empty.run("prune", "purge", "--all", "--yes").out == "Nothing to purge.\n"


def test_last_passes_over_what_is_back_and_the_beginning_of_an_id_is_enough(machine: Machine, tmp_path: Path) -> None:
    first = _prune(machine, "--backup-to", tmp_path, "--yes", "--json").json["run"]
    restored = machine.run("prune", "restore", first[:-3], "--json")
    assert (restored.code, restored.json["runs"][0]["run"]) == (0, first)

    assert machine.run("prune", "restore", "last", "--json").json["exception_name"] == "NoSuchRunError"
    assert [run["run"] for run in machine.run("prune", "restore", "--json").json["runs"]] == [first]
    assert f"conda prune purge {first}" in machine.run("prune", "restore").out
    second = _prune(machine, "--backup", "--yes", "--json").json["run"]
    both = machine.run("prune", "restore", "20", "--json").json
    assert both["exception_name"] == "NoSuchRunError"
    assert first in both["message"]
    assert second in both["message"]
    assert machine.run("prune", "restore", "last", "--json").json["runs"][0]["run"] == second
    assert machine.run("prune", "purge", "last", "--yes", "--json").json["runs"][0]["run"] == first


def test_a_purge_says_that_a_run_without_a_backup_frees_nothing_and_is_lost(machine: Machine) -> None:
    for option in ("--packages", "--backup"):
        _prune(machine, option, "--yes")

    listed = machine.run("prune", "purge", "--all", "--dry-run").out

    # The backup frees space; the run that deleted does not.
    assert len([line for line in listed.splitlines() if line.startswith("20")]) == 2
    assert "1 of these runs holds no backup" in listed
    assert "holds no backup" not in machine.run("prune", "purge", "last", "--dry-run").out
    first = machine.run("prune", "restore", "--json").json["runs"][0]["run"]
    assert "This run holds no backup" in machine.run("prune", "purge", first, "--dry-run").out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((), ()), (("last", "--all"), ("--all",)), (("--older-than", "1d", "--all"), ("--all", "--older-than"))],
)
def test_a_purge_takes_one_way_to_choose(empty: Machine, arguments: tuple[str, ...], named: tuple[str, ...]) -> None:
    refused = empty.run("prune", "purge", *arguments, "--json")

    assert (refused.code, refused.json["exception_name"]) == (2, "UsageError")
    assert "conda prune purge --all" in refused.json["hint"]
    assert ("combined" in refused.json["message"]) is bool(named)
    assert all(name in refused.json["message"] for name in named)


@pytest.mark.parametrize("option", ["--backup", "--no-backup"])
def test_a_plan_with_a_backup_moves_aside_in_summary_and_result(machine: Machine, option: str) -> None:
    shown = _prune(machine, option, "--yes").out.splitlines()

    aside = option == "--backup"
    assert sum(" aside" in line for line in shown) == 2 * aside
    assert sum(line.startswith("Remove") for line in shown) == 2 * (not aside)
