"""Root works on the caches and environments of a user who is up to something: the user gains nothing by it.

Each command is a real one of root's; the cache and the environments belong to another user, who has prepared them.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from crash import run
from tiny import Tiny

from conda_prune_plugin.core.layout import STATE
from conda_prune_plugin.demo.demo_packages import Package, build_package
from conda_prune_plugin.demo.sandbox import Sandbox

from .test_unsafe_archives import HOSTILE, _archive

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)

NOBODY = 65534
PRUNE = ("prune", "--min-age", "0", "--yes", "--json")


class Theirs:
    """A cache and environments of another user, and a secret of root's beside them."""

    def __init__(self, directory: Path) -> None:
        directory.chmod(0o755)
        self.directory = directory
        self.tiny = Tiny(directory / "it")
        self.sandbox = Sandbox(directory / "it")
        self.sandbox.create()
        self.secret = directory / "secret-1-0.conda"
        self.secret.write_text("of root")
        self.secret.chmod(0o600)

    def run(self, *command: str) -> Any:
        """Give everything to the user, run a command of root's, and return its document."""
        self.give()
        return json.loads(run(self.sandbox, *command).output)

    def give(self) -> None:
        """Give everything in the sandbox to the user."""
        for item in (self.sandbox.directory, *self.sandbox.directory.rglob("*")):
            os.chown(item, NOBODY, NOBODY, follow_symlinks=False)

    def owners(self) -> set[int]:
        """Return whose the cache and everything in it is."""
        return {path.lstat().st_uid for path in (self.tiny.cache, *self.tiny.cache.rglob("*"))}

    def plant(self, **entry: Any) -> str:
        """Write the receipt of a finished run in the cache, and return its id."""
        return self.plant_in(self.tiny.cache, **entry)

    def plant_in(self, place: Path, **entry: Any) -> str:
        """Write the receipt of a finished run in a directory, and return its id."""
        folder = place / STATE / "20990101T000000Z-00000000"
        folder.mkdir(parents=True)
        values = {"dist": "secret-1-0", "files": 1, "apparent": 0, "reclaimable": 0, "last_used": None, "source": None}
        values |= {"parts": [{"kind": "archive", "name": "secret-1-0.conda", "number": "0"}]}
        values |= {"sha256": None, "record": None, "reasons": []}
        document = {"schema": 1, "run": folder.name, "started": 4e9, "disposal": "delete", "destination": None}
        document |= {"state": "done", "cache": str(self.tiny.cache), "entries": [values | entry]}
        (folder / "receipt.json").write_text(json.dumps(document))
        return folder.name


@pytest.fixture
def theirs() -> Iterator[Theirs]:
    directory = Path(tempfile.mkdtemp(prefix="conda-prune-test-"))
    yield Theirs(directory)
    shutil.rmtree(directory)


def test_what_root_does_there_leaves_nothing_of_roots(theirs: Theirs) -> None:
    for dist in ("a-1-0", "b-1-0"):
        theirs.tiny.add(dist, archive=True)
    theirs.tiny.use("e", "b-1-0")

    document = theirs.run(*PRUNE, "--backup")

    assert {item["dist"]: item["result"] for item in document["outcomes"]} == {"a-1-0": "backed-up"}
    assert theirs.owners() == {NOBODY}
    restored = json.loads(run(theirs.sandbox, "prune", "restore", "last", "--json").output)
    assert [item["result"] for item in restored["outcomes"]] == ["restored"]
    assert theirs.owners() == {NOBODY}
    removed = json.loads(run(theirs.sandbox, *PRUNE).output)
    assert [item["result"] for item in removed["outcomes"]] == ["removed"]
    assert removed["totals"]["reclaimable"] == sum(item["freed"] for item in removed["outcomes"]) > 0
    purged = json.loads(run(theirs.sandbox, "prune", "purge", "--all", "--yes", "--json").output)
    assert [item["result"] for item in purged["runs"]] == ["purged"]
    assert theirs.owners() == {NOBODY}
    assert not (theirs.tiny.cache / STATE).exists()


def test_one_purge_takes_archives_that_root_wrote_and_backups_of_the_same_cache(theirs: Theirs) -> None:
    archives = theirs.directory / "archives"
    archives.mkdir(mode=0o700)
    theirs.tiny.add("a-1-0")
    assert theirs.run(*PRUNE, "--backup-to", str(archives))["success"] is True
    theirs.tiny.add("b-1-0")
    assert theirs.run(*PRUNE, "--backup")["success"] is True

    purged = json.loads(run(theirs.sandbox, "prune", "purge", "--all", "--lock-timeout", "1", "--yes", "--json").output)

    assert [item["result"] for item in purged["runs"]] == ["purged", "purged"]
    assert not (theirs.tiny.cache / STATE).exists()
    assert list(archives.iterdir()) == []


@pytest.mark.parametrize("run_id", ["last", None])
def test_a_receipt_hands_over_no_file_that_its_owner_cannot_read(theirs: Theirs, run_id: str | None) -> None:
    planted = theirs.plant(source=f"file://{theirs.secret}")

    document = theirs.run("prune", "restore", run_id or planted, "--json")

    assert [item["result"] for item in document["outcomes"]] == ["failed"]
    assert not list(theirs.tiny.cache.rglob("secret-1-0*"))


@pytest.mark.parametrize("kind", ["a link", "a further name", "the directory is a link"])
def test_a_lock_that_is_another_file_is_neither_made_nor_emptied(theirs: Theirs, kind: str) -> None:
    theirs.tiny.add("a-1-0")
    state, place = theirs.tiny.cache / STATE, theirs.directory / "of-root"
    place.mkdir(mode=0o700)
    (place / "lock").write_text("precious")
    if kind == "the directory is a link":
        state.symlink_to(place)
    else:
        state.mkdir()
        (state / "lock").symlink_to(place / "lock") if kind == "a link" else os.link(place / "lock", state / "lock")

    theirs.run(*PRUNE)

    assert sorted(path.name for path in place.iterdir()) == ["lock"]
    assert (place / "lock").read_text() == "precious"


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
def test_a_repair_writes_through_no_link_of_an_archive(theirs: Theirs, members: Any) -> None:
    tree = theirs.tiny.add("a-1-0")
    theirs.tiny.use("e", "a-1-0")
    path = _archive(theirs.tiny.cache / "a-1-0.tar.bz2", *members(theirs.secret))
    record = json.loads((tree / "info" / "repodata_record.json").read_text())
    record |= {"url": f"https://host/linux-64/{path.name}", "size": path.stat().st_size}
    (tree / "info" / "repodata_record.json").write_text(json.dumps(record))
    (tree / "lib" / "one").unlink()

    document = theirs.run(*PRUNE, "--leftovers", "--repair")

    assert {item["result"] for item in document["outcomes"]} <= {"failed", "skipped"}
    assert theirs.secret.read_text() == "of root"
    assert (theirs.secret.stat().st_nlink, theirs.secret.stat().st_uid) == (1, 0)


def _with_script(theirs: Theirs) -> Path:
    """Give an environment a script that its package runs before it is removed; return the file that it tells who in."""
    told = theirs.directory / "told"
    told.touch()
    told.chmod(0o666)
    theirs.tiny.add("a-1-0")
    prefix = theirs.tiny.use("e", "a-1-0")
    script = prefix / "bin" / ".a-pre-unlink.sh"
    script.parent.mkdir()
    script.write_text(f"id -u >> {told}\n")
    script.chmod(0o755)
    return told


def test_a_script_of_a_package_never_runs_as_root(theirs: Theirs) -> None:
    told = _with_script(theirs)

    document = theirs.run("prune", "envs", "e", "--remove", "--yes", "--force", "--json")

    assert [item["result"] for item in document["outcomes"]] == ["removed"]
    assert set(told.read_text().split()) <= {str(NOBODY)}


def test_a_script_of_another_user_in_an_environment_of_roots_is_not_run(theirs: Theirs) -> None:
    told = _with_script(theirs)
    script = theirs.tiny.envs / "e" / "bin" / ".a-pre-unlink.sh"
    os.chown(script, NOBODY, NOBODY)

    document = json.loads(run(theirs.sandbox, "prune", "envs", "e", "--remove", "--yes", "--force", "--json").output)

    assert [item["result"] for item in document["outcomes"]] == ["removed"]
    assert told.read_text() == ""
    assert any("another user" in item["message"] for item in document["warnings"])


def test_an_export_copies_no_file_that_the_owner_of_the_environment_cannot_read(theirs: Theirs) -> None:
    theirs.tiny.add("a-1-0")
    prefix = theirs.tiny.use("e", "a-1-0")
    (prefix / "conda-meta" / "pinned").symlink_to(theirs.secret)

    document = theirs.run("prune", "envs", "e", "--remove", "--yes", "--force", "--json")

    (outcome,) = document["outcomes"]
    assert outcome["result"] == "removed"
    exported = [path.read_bytes() for path in Path(outcome["exports"]).iterdir()]
    assert exported
    assert not any(b"of root" in content for content in exported)


def test_a_package_that_was_deleted_is_fetched_as_its_owner(theirs: Theirs) -> None:
    channel = build_package(Package("b", "1", "0"), theirs.directory / "channel", ".conda")
    planted = theirs.plant(
        dist="b-1-0", source=f"file://{channel}", parts=[{"kind": "archive", "name": channel.name, "number": "0"}]
    )
    channel.parent.chmod(0o755)

    document = theirs.run("prune", "restore", planted, "--json")

    assert [item["result"] for item in document["outcomes"]] == ["restored"], document["outcomes"][0]["error"]
    assert (theirs.tiny.cache / channel.name).read_bytes() == channel.read_bytes()
    assert theirs.owners() == {NOBODY}


@pytest.mark.parametrize("run_id", ["last", None])
def test_an_environment_is_not_rebuilt_as_a_receipt_of_another_user_says(theirs: Theirs, run_id: str | None) -> None:
    channel = build_package(Package("b", "1", "0"), theirs.directory / "channel", ".conda")
    envs = theirs.sandbox.envs
    envs.chmod(0o1777)
    part = {"kind": "environment", "name": "e", "number": "0"}
    planted = theirs.plant_in(envs, dist="e", parts=[part])
    exports = envs / STATE / planted / "environment-exports" / "e"
    exports.mkdir(parents=True)
    (exports / "explicit.txt").write_text(f"@EXPLICIT\nfile://{channel}\n")
    (exports / "pip.json").write_text("[]")
    for path in (envs / STATE).rglob("*"):
        os.chown(path, NOBODY, NOBODY)

    document = json.loads(run(theirs.sandbox, "prune", "restore", run_id or planted, "--json").output)

    assert document["success"] is False
    assert not (envs / "e").exists()
    assert not (theirs.tiny.cache / "b-1-0").exists()


AGE = ("prune", "envs", "--unused-for", "0", "--remove", "--yes", "--json")


@pytest.mark.parametrize("command", [AGE, (*AGE, "--force")])
@pytest.mark.parametrize("owner", [0, NOBODY - 1])
def test_a_line_of_another_user_chooses_no_environment(theirs: Theirs, owner: int, command: tuple[str, ...]) -> None:
    prefix = _environment_elsewhere(theirs, owner)

    document = theirs.run(*command)

    (notice,) = [warning for warning in document["warnings"] if warning["path"] == str(prefix)]
    assert (notice["kind"], prefix.exists()) == ("protected", True)
    assert str(theirs.sandbox.registry) in notice["message"]
    # It is listed all the same, and may be named.
    assert str(prefix) in [item["path"] for item in theirs.run("prune", "envs", "--json")["environments"]]
    theirs.run("prune", "envs", str(prefix), "--remove", "--force", "--yes", "--json")
    assert not prefix.exists()


def test_what_lies_beside_a_line_of_another_user_is_not_chosen_either(theirs: Theirs) -> None:
    prefix = _environment_elsewhere(theirs, 0)
    theirs.sandbox.registry.write_text(f"{prefix.with_name('another')}\n")

    theirs.run(*AGE)

    assert prefix.exists()


def test_an_interrupted_creation_of_roots_is_not_set_aside_by_a_line_of_another_user(theirs: Theirs) -> None:
    prefix = _environment_elsewhere(theirs, 0)
    for path in (prefix / "conda-meta").iterdir():
        path.unlink()

    theirs.run("prune", "envs", "--fix-registry", "--force", "--yes", "--json")

    assert (prefix / "conda-meta").is_dir()


def test_the_line_of_a_user_counts_for_an_environment_of_that_user(theirs: Theirs) -> None:
    prefix = _environment_elsewhere(theirs, NOBODY)

    theirs.run(*AGE)

    assert not prefix.exists()


def _environment_elsewhere(theirs: Theirs, owner: int) -> Path:
    """Make an environment of a user outside of the sandbox, in a registry that is another user's."""
    theirs.tiny.add("a-1-0")
    made = theirs.tiny.use("e", "a-1-0")
    prefix = theirs.directory / "apart" / "e"
    prefix.parent.mkdir()
    made.rename(prefix)
    for item in (prefix.parent, prefix, *prefix.rglob("*")):
        os.chown(item, owner, owner, follow_symlinks=False)
    theirs.sandbox.registry.parent.mkdir(parents=True, exist_ok=True)
    theirs.sandbox.registry.write_text(f"{prefix}\n")
    return prefix
