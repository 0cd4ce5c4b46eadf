"""The command from outside: prompts, exit codes, JSON, and bad input."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from machine import UNREFERENCED, Machine, contents, listing
from paused import BEFORE_LEAVING, paused
from schema import check
from terminal import at_a_terminal
from tiny import Tiny

if TYPE_CHECKING:
    pass


@pytest.fixture
def unused(empty: Machine) -> Machine:
    """A machine with one unreferenced package, which takes no conda to make."""
    _tiny(empty).add("unused-1-0", archive=True)
    return empty


def _tiny(machine: Machine) -> Tiny:
    tiny = Tiny.__new__(Tiny)
    tiny.cache, tiny.envs = machine.cache, machine.envs
    return tiny


def test_without_a_terminal_nothing_is_removed_unless_yes_was_said(unused: Machine) -> None:
    for stdin in ("", "y\n"):
        answer = unused.run("prune", "--min-age", "0", stdin=stdin)
        assert answer.code == 1
        assert "--yes" in answer.err
    assert unused.entry("unused-1-0").exists()

    assert unused.prune(CONDA_ALWAYS_YES="true").code == 0
    assert not unused.entry("unused-1-0").exists()


@pytest.mark.posix
def test_json_without_yes_is_an_error_in_json(unused: Machine) -> None:
    with at_a_terminal(unused, "--min-age", "0", "--json", ahead=b"y\n") as terminal:
        code = terminal.wait()
    answer = unused.prune("--json")

    assert code == answer.code == 1
    assert '"success": false' in terminal.screen
    assert answer.json["success"] is False
    assert answer.json["exception_name"] == "ConfirmationError"
    assert "--dry-run" in answer.json["hint"]
    assert unused.entry("unused-1-0").exists()


@pytest.mark.parametrize("options", [("--json",), ("--json", "-v"), ("--json", "-q"), ("--json", "-vv")])
def test_standard_output_is_one_json_document(unused: Machine, options: tuple[str, ...]) -> None:
    plan = unused.prune("--dry-run", *options)
    refused = unused.prune("--pkgs-dir", "/does/not/exist", *options)
    done = unused.prune("--yes", *options)
    nothing = unused.prune("--yes", *options)

    assert (plan.code, refused.code, done.code, nothing.code) == (0, 1, 0, 0)
    assert [answer.json["success"] for answer in (plan, refused, done, nothing)] == [True, False, True, True]
    assert [answer.json["schema"] for answer in (plan, refused, done, nothing)] == [1, 1, 1, 1]
    assert plan.json["dry_run"] is True
    assert plan.json["run"] is None
    assert plan.json["outcomes"] == []
    assert done.json["run"]
    assert [outcome["result"] for outcome in done.json["outcomes"]] == ["removed"]
    assert (nothing.json["remove"], nothing.json["run"]) == ([], None)


def test_quiet_is_silent(unused: Machine) -> None:
    dry, done = unused.prune("--quiet", "--dry-run"), unused.prune("--quiet", "--yes")

    assert [(answer.code, answer.out, answer.err) for answer in (dry, done)] == [(0, "", "")] * 2
    assert not unused.entry("unused-1-0").exists()


def test_quiet_shows_warnings_and_nothing_else(unused: Machine) -> None:
    unused.registry.parent.mkdir(exist_ok=True)
    unused.registry.write_text("/does/not/exist\n")

    quiet, loud = unused.prune("--quiet", "--dry-run"), unused.prune("--dry-run")

    assert (quiet.code, quiet.out, quiet.err) == (0, "", loud.err)
    assert "/does/not/exist" in quiet.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--min-age", "soon"), 2, ("--min-age", "'soon'", "12h")),
        (("--pkgs-dir", "/does/not/exist%s"), 1, ("/does/not/exist%s", "pkgs_dirs")),
        (("--root", "/does/not/exist"), 1, ("/does/not/exist", "conda env list")),
        (("--search", "/does/not/exist"), 1, ("/does/not/exist", "--search")),
    ],
)
def test_bad_input_is_refused_with_what_to_do(
    unused: Machine, arguments: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    answer = unused.run("prune", "--min-age", "0", "--yes", *arguments)

    assert answer.code == code
    assert all(word in answer.err for word in words), answer.err
    assert answer.out == ""
    assert unused.entry("unused-1-0").exists()


@pytest.mark.parametrize(
    "arguments", [("--no-such-option",), ("no-such-command",), ("--pkgs-dir",), ("demo", "--keep")]
)
def test_what_argparse_refuses_is_bad_usage_in_text_and_in_json(unused: Machine, arguments: tuple[str, ...]) -> None:
    text, document = unused.prune(*arguments), unused.prune("--json", *arguments)

    assert (text.code, text.out) == (2, "")
    assert text.err.startswith("error: ")
    assert "usage:" not in text.err
    assert document.code == 2
    assert document.json["success"] is False
    assert document.err == ""


def test_a_closed_stream_is_no_error(unused: Machine) -> None:
    command = f'"{sys.executable}" -m conda_prune_plugin.embedded prune --dry-run'
    for redirection in (">&-", "2>&-", ">&- 2>&-"):
        done = subprocess.run(f"{command} {redirection}", shell=True, env=unused.environ(), check=False)  # noqa: S602
        assert done.returncode == 0


@pytest.mark.linux  # Only there is a device that is always full.
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["--dry-run", "--dry-run --json", "restore --json", "why --all --json"])
def test_a_full_disk_behind_standard_output_is_told_in_a_line(unused: Machine, arguments: str, unbuffered: str) -> None:
    command = f'"{sys.executable}" -m conda_prune_plugin.embedded prune {arguments} >/dev/full'

    done = subprocess.run(  # noqa: S602
        command,
        shell=True,
        env=unused.environ(PYTHONUNBUFFERED=unbuffered),
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "error: The operating system reported an error: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.linux  # Only there is a device that is always full.
def test_with_a_full_disk_behind_standard_error_a_lock_is_waited_for_as_well(unused: Machine) -> None:
    state = unused.cache / ".conda-prune"
    state.mkdir()
    before = sorted(os.listdir(unused.cache))
    command = f'"{sys.executable}" -m conda_prune_plugin.embedded prune --min-age 0 --yes --lock-timeout 1 --json'

    with FileLock(state / "lock"):
        done = subprocess.run(  # noqa: S602
            f"{command} 2>/dev/full",
            shell=True,
            env=unused.environ(PYTHONUNBUFFERED=""),
            check=False,
            capture_output=True,
            text=True,
        )

    assert (done.returncode, json.loads(done.stdout)["exception_name"]) == (1, "LockTimeoutError")
    assert sorted(os.listdir(unused.cache)) == before


@pytest.mark.linux  # Only there has a pipe a chosen size.
def test_an_interruption_does_not_cut_off_a_document_that_is_read_slowly(unused: Machine) -> None:
    import fcntl

    for number in range(20):
        _tiny(unused).add(f"more{number}-1-0")
    # Started in the background of a shell Python would not be interrupted.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from conda_prune_plugin.embedded import main; sys.exit(main(['prune', '--dry-run', '--json']))"
    )
    reading, writing = os.pipe()
    room = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1)
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=unused.environ(), stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)

    deadline = time.monotonic() + 60
    while _waiting(reading) < room:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the document has room in the pipe"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    with os.fdopen(reading) as stream:
        document = json.load(stream)
    _, err = process.communicate(timeout=60)

    assert len(document["keep"]) == 21
    assert (process.returncode, err) == (0, "")


def test_an_interruption_after_the_document_gives_no_second_one(unused: Machine) -> None:
    with paused(unused, BEFORE_LEAVING, "prune", "--dry-run", "--json") as prune:
        assert prune.interrupt() == 130

    document, end = json.JSONDecoder().raw_decode(prune.output)
    assert document["success"] is True
    assert prune.output[end:].startswith("\nerror: Interrupted.")


@pytest.mark.parametrize(
    ("moment", "arguments"),
    [
        ("conda_prune_plugin.execution.sweep:remove", ("--all",)),
        ("conda_prune_plugin.execution.purge_backups:remove", ()),
        ("conda_prune_plugin.operations.prune.run_prune:_with_shrinkage", ("--ci", "image")),
    ],
)
def test_interrupted_by_what_comes_after_it_a_removal_is_told(
    unused: Machine, moment: str, arguments: tuple[str, ...]
) -> None:
    _tiny(unused).add("older-1-0")
    assert unused.prune("--only", "older", "--backup", "--yes").code == 0
    (unused.cache / "cache").mkdir()
    (unused.cache / "cache" / "0123abcd.json").write_text("{}")
    command = ("prune", "--min-age", "0", "--yes", "--ignore-running", *arguments, "--json")
    with paused(unused, moment, *command, CONDA_PLUGINS_PRUNE_PURGE_AFTER="0") as prune:
        assert prune.interrupt() == 130

    document = json.loads(prune.output)
    check(document)
    assert not document["success"]
    assert document["outcomes"][0]["dist"] == "unused-1-0"
    assert document["outcomes"][0]["result"] == "removed"
    assert document["ci"] is None
    assert "interrupted" in {warning["kind"] for warning in document["warnings"]}
    (left,) = (run for run in unused.run("prune", "restore", "--json").json["runs"] if run["run"] == document["run"])
    assert left["dists"] == ["unused-1-0"]


def _waiting(pipe: int) -> int:
    """Return how many bytes nobody has read yet."""
    import fcntl
    import termios

    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4), sys.byteorder)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_error_in_json_that_nobody_reads_any_more_is_no_error_of_its_own(unused: Machine, unbuffered: str) -> None:
    command = [sys.executable, "-m", "conda_prune_plugin.embedded", "prune", "--json", "--min-age", "soon"]
    reading, writing = os.pipe()
    os.close(reading)

    with os.fdopen(writing, "wb") as nobody:
        done = subprocess.run(
            command,
            env=unused.environ(PYTHONUNBUFFERED=unbuffered),
            check=False,
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert (done.returncode, done.stderr) == (2, "")


@pytest.mark.parametrize("columns", ["0", "20", "48", "60", "200"])
def test_at_any_width_no_name_and_no_number_is_lost(machine: Machine, columns: str) -> None:
    answer = machine.prune("--dry-run", "-v", COLUMNS=columns, FORCE_COLOR="1", PYTHONIOENCODING="ascii")

    assert answer.code == 0, answer.err
    shown = "".join(answer.out.split())
    plan = machine.prune("--dry-run", "--json").json
    assert all(item["dist"] in shown for item in (*plan["remove"], *plan["keep"]))


def test_without_any_cache_it_says_where_it_looked(empty: Machine) -> None:
    nowhere = empty.directory / "nowhere"

    answer = empty.prune("--yes", CONDA_PKGS_DIRS=str(nowhere))

    assert answer.code == 0
    assert str(nowhere) in answer.err
    assert "--pkgs-dir" in answer.err
    assert not nowhere.exists()


def test_an_unreadable_environment_is_told_and_stops_the_removal_unless_ignored(unused: Machine) -> None:
    prefix = unused.envs / "secret"
    prefix.mkdir()
    # As unreadable to root as to anybody: a link that leads to itself.
    (prefix / "conda-meta").symlink_to("conda-meta")

    soft = {"CONDA_ALLOW_SOFTLINKS": "true"}
    dry, refused = unused.prune("--dry-run", "--json", **soft), unused.prune("--yes", **soft)

    assert dry.code == 0
    assert [root["state"] for root in dry.json["roots"] if root["path"] == str(prefix)] == ["unreadable"]
    assert [warning["kind"] for warning in dry.json["warnings"]] == ["unreadable-environment", "soft-links-possible"]
    assert refused.code == 1
    assert str(prefix) in refused.err
    assert unused.entry("unused-1-0").exists()
    assert unused.prune("--yes", "--ignore-unreadable", **soft).code == 0
    assert not unused.entry("unused-1-0").exists()


def test_an_unreadable_environment_stops_the_removal_though_no_other_has_soft_links(unused: Machine) -> None:
    """It can't testify for itself, and may be the only one that has some."""
    prefix = unused.envs / "secret"
    prefix.mkdir()
    (prefix / "conda-meta").symlink_to("conda-meta")
    unused.registry.parent.mkdir()
    unused.registry.write_text(f"{unused.directory}/gone\n")

    refused = unused.prune("--yes", "--json")

    assert refused.code == 1
    assert refused.json["path"] == str(prefix)
    assert unused.entry("unused-1-0").exists()
    assert unused.prune("--yes", "--ignore-unreadable").code == 0
    assert not unused.entry("unused-1-0").exists()


def test_a_missing_environment_is_told_and_stops_nothing_where_no_soft_links_are_seen(unused: Machine) -> None:
    unused.registry.parent.mkdir()
    unused.registry.write_text(f"{unused.directory}/gone\n")

    done = unused.prune("--yes", "--json")

    assert done.code == 0
    assert "missing-environment" in [warning["kind"] for warning in done.json["warnings"]]
    assert not unused.entry("unused-1-0").exists()


def test_what_an_earlier_run_could_not_delete_is_a_failure_until_it_can_be(unused: Machine) -> None:
    run = unused.cache / ".conda-prune" / "20260101T000000Z-abcd"
    (run / "0.deleting").mkdir(parents=True)
    (run / "receipt.json").write_text('{"schema": 99}')

    answers = [unused.prune("--yes", "--json") for _ in range(2)]

    assert [answer.code for answer in answers] == [1, 1]
    assert [answer.json["success"] for answer in answers] == [False, False]
    assert "cut-off-run" in [warning["kind"] for warning in answers[1].json["warnings"]]
    assert (run / "0.deleting").exists()


@pytest.mark.parametrize("receipt", ['{"schema": 2}', None])
@pytest.mark.parametrize("command", [(), ("purge", "--all")])
def test_a_run_that_nothing_explains_fails_and_is_told_with_what_to_delete_even_quietly(
    unused: Machine, command: tuple[str, ...], receipt: str | None
) -> None:
    run = unused.cache / ".conda-prune" / "20260101T000000Z-abcd"
    (run / "0").mkdir(parents=True)
    if receipt is not None:
        (run / "receipt.json").write_text(receipt)
    arguments = ("prune", *command, "--yes")

    quiet, loud, document = (unused.run(*arguments, *more) for more in (("--quiet",), (), ("--json",)))

    assert [answer.code for answer in (quiet, loud, document)] == [1, 1, 1]
    assert not document.json["success"]
    assert quiet.out == ""
    told = (quiet.err, loud.err, document.json["warnings"][0]["message"])
    assert [text.count(f"delete {run}.") for text in told] == [1, 1, 1]
    assert (run / "0").exists()
    run.rename(unused.directory / "away")
    assert unused.run(*arguments).code == 0


def test_strange_paths_are_printed_on_one_line_and_kept_in_json(empty: Machine) -> None:
    cache = empty.directory / "ca\nche %s \x1b[31m"
    other = empty.directory / os.fsdecode(b"by\xfftes")
    for path in (cache, other):
        (path / "a-1-0" / "info").mkdir(parents=True)

    text = empty.prune("--dry-run", "-v", "--pkgs-dir", cache, "--pkgs-dir", other)
    document = empty.prune("--dry-run", "--json", "--pkgs-dir", cache, "--pkgs-dir", other).json

    assert text.code == 0, text.err
    assert r"ca\nche %s \x1b[31m" in text.out
    assert [item["path"] for item in document["caches"]] == [str(cache), str(other)]


@pytest.mark.slow
def test_root_and_search_protect_what_the_registry_does_not_know(machine: Machine) -> None:
    """With soft links: for hard links, the link count alone would keep them."""
    unknown = machine.directory / "deep" / "down" / "unknown"
    machine.install("create", "-p", unknown, "symlinks=2.0", CONDA_ALWAYS_SOFTLINK="true", CONDA_REGISTER_ENVS="false")
    before = contents(unknown)

    def removed(*options: str | os.PathLike[str]) -> set[str]:
        return {item["dist"] for item in machine.prune("--dry-run", "--json", *options).json["remove"]}

    assert "symlinks-2.0-0" in removed()
    assert "symlinks-2.0-0" not in removed("--root", unknown)
    assert removed("--search", machine.directory / "deep") == UNREFERENCED - {"symlinks-2.0-0"}
    assert machine.prune("--yes", "--search", machine.directory, "--ignore-unreadable").code == 0
    assert contents(unknown) == before


def test_a_cut_off_run_is_told_by_a_dry_run_and_cleared_by_the_next(unused: Machine) -> None:
    assert unused.prune("--backup", "--yes").code == 0
    (receipt,) = unused.cache.glob(".conda-prune/*/receipt.json")
    # As it is until the end of a run is written down.
    receipt.write_text(receipt.read_text().replace('"state": "done"', '"state": "begun"'))
    before = listing(unused.directory)

    dry = unused.prune("--dry-run", "--json").json
    assert listing(unused.directory) == before
    done = unused.prune("--yes", "--json").json

    assert [warning["kind"] for warning in dry["warnings"]] == ["cut-off-run"]
    assert "2 files and directories put back" in done["warnings"][0]["message"]
    assert [outcome["result"] for outcome in done["outcomes"]] == ["removed"]
    assert not unused.entry("unused-1-0").exists()


def test_a_reader_that_goes_away_gets_no_traceback(unused: Machine) -> None:
    command = f'"{sys.executable}" -m conda_prune_plugin.embedded prune --dry-run --json | true'

    done = subprocess.run(command, shell=True, env=unused.environ(), capture_output=True, text=True, check=False)  # noqa: S602

    assert done.stderr == ""


@pytest.mark.slow
def test_the_demo_tells_how_to_use_what_it_keeps_and_there_nothing_else_is_seen(empty: Machine) -> None:
    _tiny(empty).add("of-the-user-1-0")
    kept = empty.directory / "kept here"

    told = empty.run("prune", "demo", "--keep", kept).out
    entrance = shlex.split(told.splitlines()[-1])
    prune = ["conda", "prune", "--min-age", "0", "--yes", "--json"]
    # Where there is no such command, as on a machine with nothing but Python.
    environ = empty.environ(PATH=os.defpath)
    done = subprocess.run([*entrance, *prune], env=environ, capture_output=True, text=True, check=True)

    document = json.loads(done.stdout)
    assert [item["path"] for item in document["caches"]] == [str(kept / "pkgs")]
    assert document["totals"]["remove"] == 3
    assert (kept / "pkgs" / "meta-2026-0").is_dir()
    assert (empty.cache / "of-the-user-1-0").is_dir()


def test_the_demo_is_not_kept_over_something(empty: Machine) -> None:
    refused = empty.run("prune", "demo", "--keep", empty.directory)

    assert refused.code == 1
    assert "does not exist yet" in refused.err
    assert empty.run("prune", "--json", "demo").code == 2
