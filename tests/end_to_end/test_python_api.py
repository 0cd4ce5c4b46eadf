"""The Python API on packages and environments that real conda has made: silent, and the same as the command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pytest
from tiny import Tiny

from conda_prune_plugin import api

if TYPE_CHECKING:
    from machine import Machine

DOCUMENT = (Path(__file__).parents[2] / "docs" / "reference" / "python-api.md").read_text()

#: What the tests want to know of a plan and of its execution.
TELL = """
def told(result, *more):
    import json
    outcomes = {outcome.entry.dist: str(outcome.result) for outcome in result.outcomes}
    print(json.dumps([outcomes, sum(outcome.freed for outcome in result.outcomes), result.failed, *more]))
"""


def _run(machine: Machine, script: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        env=machine.environ(**environ),
        cwd=machine.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _answer(machine: Machine, script: str, **environ: str) -> Any:
    """Return what a script says, which is all that is printed."""
    done = _run(machine, script, **environ)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def whole(machine: Machine) -> Machine:
    """A machine whose registered environments all exist, so that none that is unknown may soft-link anything."""
    registry = machine.home / ".conda" / "environments.txt"
    lines = registry.read_text().splitlines(keepends=True)
    registry.write_text("".join(line for line in lines if Path(line.strip()).is_dir()))
    return machine


def _dists(machine: Machine) -> set[str]:
    return {path.name for path in machine.cache.glob("*-*-*")}


def test_the_example_of_the_documents_moves_aside_and_puts_back(whole: Machine) -> None:
    match = re.search(r"<!-- example: api -->\n```python\n(.*?)\n```", DOCUMENT, re.DOTALL)
    assert match
    # Everything on this machine is young.
    code = match[1].replace("older_than=30 * 86_400", "min_age=0.0")
    before = _dists(whole)
    aside = "import os; print(*sorted(os.listdir(os.environ['CONDA_PKGS_DIRS'])), sep='|')\n"

    done = _run(whole, code.replace("if result.left", f"{aside}if result.left"))

    assert done.returncode == 0, done.stderr
    assert not done.stderr
    lines = done.stdout.splitlines()
    (listing,) = (line for line in lines if "|" in line)
    going = {line.split()[0] for line in lines[: lines.index(listing)]}
    assert "innerlinks-2.0-0" in going
    assert "innerlinks-2.0-0" not in listing.split("|")
    assert _dists(whole) == before


def test_a_plan_is_that_of_the_command_and_frees_what_it_says(whole: Machine) -> None:
    shown = whole.prune("--dry-run", "--json").json
    before = _dists(whole)
    script = (
        f"{TELL}\nfrom conda_prune_plugin import api\n"
        "prepared = api.plan(api.PruneOptions(min_age=0.0))\n"
        "before = sorted(d.entry.dist for d in prepared.plan.remove)\n"
        "result = api.execute(prepared)\n"
        "left = [d.entry.dist for d in api.plan(api.PruneOptions(min_age=0.0)).plan.remove]\n"
        "told(result, before, prepared.plan.reclaimable, left, result.exit_code)\n"
    )

    outcomes, freed, failed, going, reclaimable, left, code = _answer(whole, script)

    assert going == sorted(item["dist"] for item in shown["remove"])
    assert reclaimable == freed == shown["totals"]["reclaimable"] > 0
    assert set(outcomes.values()) == {"removed"}
    assert (failed, left, code) == (False, [], 0)
    assert _dists(whole) < before


def test_settings_count_only_for_configured_options(machine: Machine) -> None:
    script = (
        "from conda_prune_plugin import api\n"
        "import json\n"
        "plans = [api.plan(make(min_age=0.0)) for make in (api.configured_options, api.PruneOptions)]\n"
        "print(json.dumps([sorted({d.entry.dist for d in p.plan.remove}) for p in plans]))\n"
    )

    configured, without = _answer(machine, script, CONDA_PLUGINS_PRUNE_KEEP="innerlinks")

    assert set(without) - set(configured) == {"innerlinks-2.0-0"}
    # A file counts too: no command of conda's has read it in this process.
    (machine.directory / "condarc").write_text("plugins:\n  prune_keep: [innerlinks]\n")
    assert _answer(machine, script) == [configured, without]


def test_usage_and_discovery_write_nothing_and_say_what_the_command_says(machine: Machine) -> None:
    shown = machine.run("prune", "usage", "--no-other-caches", "--json").json
    script = (
        "from conda_prune_plugin import api\n"
        "import json\n"
        "result = api.usage(api.UsageOptions(other_caches=False))\n"
        "found = api.discover()\n"
        "roots = sorted(r.path for r in found.roots if r.kind is api.RootKind.ENVIRONMENT)\n"
        "entries = sum(len(cache.entries) for cache in found.caches)\n"
        "print(json.dumps([result.usage.allocated, len(result.usage.environments), roots, entries]))\n"
    )

    allocated, count, roots, entries = _answer(machine, script)

    assert allocated == shown["totals"]["allocated"]
    assert count == len(shown["environments"])
    assert {str(path) for path in machine.environments} <= set(roots)
    assert entries == len({path.name for path in machine.cache.glob("*-*-*") if path.is_dir()} | {"onlyarchive-1.0-0"})


def test_what_was_deleted_is_fetched_again(whole: Machine) -> None:
    before = _dists(whole)
    script = (
        f"{TELL}\nfrom conda_prune_plugin import api\n"
        "result = api.execute(api.plan(api.PruneOptions(min_age=0.0, only=('innerlinks',))))\n"
        "runs = [run.id for run in api.list_runs().runs]\n"
        "options = api.RestoreOptions(run=result.left.id)\n"
        "dry = [entry.dist for entry in api.restore(options, dry_run=True).entries]\n"
        "told(api.restore(options), dry, runs == [result.left.id])\n"
    )

    outcomes, _, failed, dry, listed = _answer(whole, script)

    assert outcomes == {"innerlinks-2.0-0": "restored"}
    assert dry == ["innerlinks-2.0-0"]
    assert (failed, listed) == (False, True)
    assert _dists(whole) == before


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("older_than", "PruneOptions(older_than=-1.0)"),
        ("older_than", "PruneOptions(older_than=float('nan'))"),
        ("keep", "PruneOptions(keep='numpy')"),
        ("keep", "PruneOptions(keep=('numpy >= = 1',))"),
        ("pkgs_dirs", "PruneOptions(pkgs_dirs='/pkgs')"),
        ("roots", "PruneOptions(roots=[b'/env'])"),
        ("preset", "PruneOptions(preset='image')"),
        ("destination", "PruneOptions(disposal=api.Disposal.ARCHIVE)"),
        ("destination", "PruneOptions(disposal=api.Disposal.ARCHIVE, destination='relative')"),
        ("destination", "PruneOptions(destination='/elsewhere')"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_the_name_of_the_field(
    empty: Machine, name: str, options: str
) -> None:
    script = (
        "from conda_prune_plugin import api\n"
        "import json\n"
        "try:\n"
        f"    api.plan(api.{options})\n"
        "except api.UsageError as error:\n"
        "    print(json.dumps([error.message, error.hint]))\n"
    )

    message, hint = _answer(empty, script)

    assert message.partition("=")[0] == name
    assert hint


def test_a_restore_needs_a_run_and_a_specification_that_is_one() -> None:
    with pytest.raises(api.UsageError, match="run"):
        api.restore(api.RestoreOptions())
    with pytest.raises(api.UsageError, match="only="):
        api.restore(api.RestoreOptions(run="last", only="numpy >= = 1"))


def test_an_error_of_conda_is_one_of_ours(empty: Machine) -> None:
    script = (
        "from conda_prune_plugin import api\n"
        "import json\n"
        "try:\n"
        "    api.discover()\n"
        "except api.CondaRefusedError as error:\n"
        "    print(json.dumps(error.hint))\n"
    )

    assert "show-sources" in _answer(empty, script, CONDA_CHANNEL_PRIORITY="maybe", CONDA_REGISTER_ENVS="maybe")


def test_a_plan_writes_nothing_of_an_interrupted_run_and_its_execution_finishes_that(empty: Machine) -> None:
    tiny = Tiny(empty.directory / "it")
    tiny.add("idle-1-0")
    folder = tiny.cache / ".conda-prune" / "20260101T000000Z-00000000"
    folder.mkdir(parents=True)
    script = (
        f"{TELL}\nfrom conda_prune_plugin import api\n"
        f"options = api.PruneOptions(min_age=0.0, include_irreplaceable=True, pkgs_dirs=({str(tiny.cache)!r},))\n"
        "prepared = api.plan(options)\n"
        "told(api.execute(prepared))\n"
    )

    outcomes, _, failed = _answer(empty, script)

    assert outcomes == {"idle-1-0": "removed"}
    assert not failed


def test_an_error_of_the_disk_is_a_notice_of_its_call_and_of_no_other(empty: Machine) -> None:
    script = (
        "import errno, json\n"
        "from conda_prune_plugin import api, failures\n"
        "load = api.load_configuration\n"
        "api.load_configuration = lambda: load() or failures.note(OSError(errno.EIO, 'I/O error', '/broken'))\n"
        "prepared = api.plan()\n"
        "api.load_configuration = load\n"
        "result = api.execute(prepared)\n"
        "found = [prepared, result, api.plan()]\n"
        "kinds = [[notice.path for notice in one.notices if notice.kind == 'disk-error'] for one in found]\n"
        "print(json.dumps([kinds, [one.failed for one in found]]))\n"
    )

    kinds, failed = _answer(empty, script)

    # What a plan did not see counts for its execution too.
    assert kinds == [["/broken"], ["/broken"], []]
    assert failed == [True, True, False]


def test_every_public_name_is_there_and_explained() -> None:
    functions = {name for name in api.__all__ if isinstance(getattr(api, name), FunctionType)}

    assert sorted(api.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)) == api.__all__
    assert not [name for name in api.__all__ if not getattr(api, name).__doc__]
    assert functions == set(re.findall(r"^\| `(\w+)\(", DOCUMENT, re.MULTILINE))
    assert (Path(api.__file__).parent / "py.typed").is_file()
