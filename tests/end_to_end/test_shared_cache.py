"""Two users with homes and registries of their own, and one cache: neither harms the other.

The users are real: the commands run as them, so these tests run as root only. Their names and homes are invented.
"""

from __future__ import annotations

import encodings.cp437  # noqa: F401  # For zip files; in the processes of others nothing can be imported any more.
import json
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine import contents, listing
from places import as_another
from tiny import Tiny

from conda_prune_plugin.core.layout import STATE
from conda_prune_plugin.demo.sandbox import Sandbox
from conda_prune_plugin.embedded import main
from conda_prune_plugin.execution.files.dir_fd import Directory
from conda_prune_plugin.execution.locks.run_lock import Patience, exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.usefixtures("_imported"),
]

#: The group that both are in.
GROUP = 5000
#: Whatever else goes on on this machine: whose caches the processes of others use can't be seen.
PRUNE = ("prune", "--min-age", "0", "--yes", "--json", "--ignore-running")


@pytest.fixture(scope="module")
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import here what the commands import, since others can't read it."""
    import filelock  # noqa: F401

    from conda_prune_plugin.cli.parsing import arguments  # noqa: F401
    from conda_prune_plugin.operations import conda_fetch  # noqa: F401
    from conda_prune_plugin.operations.envs import fix_registry, remove_envs  # noqa: F401
    from conda_prune_plugin.operations.runs import purge_runs, restore_runs  # noqa: F401
    from conda_prune_plugin.presentation import environment_documents, envs_text, runs_text  # noqa: F401

    sandbox = Sandbox(tmp_path_factory.mktemp("imported"))
    sandbox.create()
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(sandbox.environ())
        _forget_this_machine()
        main(["prune", "--dry-run", "--quiet"])
    finally:
        os.environ.clear()
        os.environ.update(before)
        _forget_this_machine()


def _forget_this_machine() -> None:
    """Let conda read its configuration anew."""
    from conda.base.context import reset_context
    from conda.core.package_cache_data import PackageCacheData
    from conda.core.prefix_data import PrefixData

    reset_context()
    PackageCacheData.clear()
    PrefixData._cache_.clear()


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a home."""

    name: str
    number: int
    home: Path

    @property
    def registry(self) -> Path:
        return self.home / ".conda" / "environments.txt"

    @property
    def envs(self) -> Path:
        return self.home / "envs"


@dataclass(frozen=True, slots=True)
class Office:
    """A cache that ann and bob share."""

    directory: Path
    tiny: Tiny
    ann: User
    bob: User
    root: User

    def own(self, path: Path, user: User) -> None:
        """Give a tree to a user and the group."""
        for item in (path, *path.rglob("*")):
            os.chown(item, user.number, GROUP, follow_symlinks=False)

    def open_to_group(self, mode: int = 0o2775) -> None:
        """Let the whole group change the cache and what is in it."""
        for item in (self.tiny.cache, *self.tiny.cache.rglob("*")):
            item.chmod(mode if item == self.tiny.cache else 0o2775 if item.is_dir() else 0o664)

    def use(self, user: User, env: str, dist: str, how: str) -> Path:
        """Let an environment of a user have a package: linked hard, soft, or copied."""
        prefix = user.envs / env
        (prefix / "conda-meta").mkdir(parents=True)
        (prefix / "conda-meta" / "history").touch()
        for path in sorted((self.tiny.cache / dist / "lib").iterdir()):
            (prefix / "lib").mkdir(exist_ok=True)
            target = prefix / "lib" / path.name
            ways: dict[str, Callable[[Path, Path], object]] = {"hard": os.link, "soft": os.symlink, "copy": shutil.copy}
            ways[how](path, target)
        self.tiny.record(prefix, dist)
        user.registry.parent.mkdir(exist_ok=True)
        with user.registry.open("a") as registry:
            registry.write(f"{prefix}\n")
        self.own(user.home, user)
        return prefix

    def run(self, user: User, *command: str, umask: int = 0o022) -> Any:
        """Return exit code and document of a command that a user runs."""

        def do() -> Any:
            os.umask(umask)
            os.environ.clear()
            os.environ.update(Sandbox(self.directory).environ(HOME=str(user.home), CONDA_ENVS_DIRS=str(user.envs)))
            _forget_this_machine()
            os.chdir("/")
            printed = user.home / "printed"
            descriptor = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            sys.stdout = os.fdopen(descriptor, "w")
            try:
                code = main(command)
            except SystemExit as stop:
                code = int(stop.code or 0)
            sys.stdout.flush()
            text = printed.read_text()
            printed.unlink()
            return [code, json.loads(text)]

        return self.become(user, do)

    def become(self, user: User, do: Callable[[], Any]) -> Any:
        """Return what a function returns in a process of a user, who finds these users in the password database."""
        return as_another(lambda: self._be(user), do)

    def _be(self, user: User) -> None:
        import pwd

        known = {
            person.number: pwd.struct_passwd((person.name, "", person.number, GROUP, "", str(person.home), ""))
            for person in (self.ann, self.bob, self.root)
        }
        pwd.getpwuid = known.__getitem__
        pwd.getpwall = lambda: list(known.values())
        if user.number:
            os.setgroups([GROUP])
            os.setresgid(GROUP, GROUP, GROUP)
            os.setresuid(user.number, user.number, user.number)


@pytest.fixture
def office() -> Iterator[Office]:
    """A cache with one package for each use and one for nobody, in a place that everybody may enter."""
    directory = Path(tempfile.mkdtemp(prefix="conda-prune-test-"))
    directory.chmod(0o755)
    tiny = Tiny(directory)
    Sandbox(directory).create()
    users = [User(name, number, directory / name) for name, number in (("ann", 5001), ("bob", 5002), ("root", 0))]
    for user in users:
        user.envs.mkdir(parents=True)
    office = Office(directory, tiny, *users)
    for dist in ("annhard-1-0", "bobhard-1-0", "bobsoft-1-0", "bobcopy-1-0", "nobodys-1-0"):
        tiny.add(dist, archive=True)
    office.use(office.ann, "hers", "annhard-1-0", "hard")
    office.use(office.bob, "his", "bobhard-1-0", "hard")
    office.use(office.bob, "soft", "bobsoft-1-0", "soft")
    office.use(office.bob, "copied", "bobcopy-1-0", "copy")
    office.own(tiny.cache, office.ann)
    office.own(tiny.cache / "bobsoft-1-0", office.bob)
    office.open_to_group()
    for user in users:
        office.own(user.home, user)
    yield office
    shutil.rmtree(directory)


def _removed(answer: Any) -> set[str]:
    code, document = answer
    assert code == 0, document
    return {outcome["dist"] for outcome in document["outcomes"] if outcome["result"] in ("removed", "backed-up")}


def _warnings(document: Any) -> set[str]:
    return {item["kind"] for item in document["warnings"]} - {"running"}


def _used(office: Office) -> dict[str, tuple[object, ...]]:
    return contents(office.ann.envs) | contents(office.bob.envs)


def test_each_prunes_what_neither_uses_and_the_other_can_undo_it(office: Office) -> None:
    used = _used(office)

    assert _removed(office.run(office.ann, *PRUNE, "--backup", umask=0o077)) == {"nobodys-1-0"}
    assert _used(office) == used

    # The newest of his own runs there is none.
    assert office.run(office.bob, "prune", "restore", "last", "--json", umask=0o077)[0] == 1
    (run,) = office.run(office.bob, "prune", "restore", "--json")[1]["runs"]
    code, document = office.run(office.bob, "prune", "restore", run["run"], "--json", umask=0o077)
    assert code == 0, document
    assert [outcome["result"] for outcome in document["outcomes"]] == ["restored"]
    assert _removed(office.run(office.bob, *PRUNE, umask=0o077)) == {"nobodys-1-0"}
    # What bob did is no run that was cut off for ann, whatever his umask.
    code, document = office.run(office.ann, *PRUNE, umask=0o077)
    assert (code, document["remove"], _warnings(document)) == (0, [], set())
    assert _used(office) == used


def test_where_soft_links_are_made_whose_registry_is_hidden_is_not_harmed_unless_one_says_so(office: Office) -> None:
    office.use(office.ann, "softly", "annhard-1-0", "soft")
    office.bob.home.chmod(0o700)
    used = _used(office)

    code, document = office.run(office.ann, *PRUNE)
    assert code == 1
    assert document["exception_name"] == "UnreadableEnvironmentError"
    assert document["message"].startswith("bob ")
    assert office.run(office.ann, *PRUNE[:3], "--dry-run", "--json")[0] == 0
    assert _used(office) == used

    # Hard links tell of bob's environment all the same, and a copy loses nothing.
    assert _removed(office.run(office.ann, *PRUNE, "--ignore-unreadable")) >= {"nobodys-1-0", "bobsoft-1-0"}
    assert (office.tiny.cache / "bobhard-1-0").exists()


def test_where_nothing_speaks_for_soft_links_a_closed_home_stops_nobody(office: Office) -> None:
    shutil.rmtree(office.bob.envs / "soft")
    office.bob.home.chmod(0o700)
    used = _used(office)

    answer = office.run(office.ann, *PRUNE)

    # What has been copied is not needed any more, only wanted.
    assert _removed(answer) == {"nobodys-1-0", "bobsoft-1-0", "bobcopy-1-0"}
    assert _warnings(answer[1]) == {"unreadable-neighbour"}
    assert _used(office) == used


def test_who_has_a_cache_alone_asks_nobody(office: Office) -> None:
    office.bob.home.chmod(0o700)
    office.own(office.tiny.cache, office.ann)
    office.tiny.cache.chmod(0o755)

    code, document = office.run(office.ann, *PRUNE[:3], "--dry-run", "--json")

    assert (code, _warnings(document)) == (0, set())


def test_root_knows_the_environments_of_all_and_rewrites_nothing_of_theirs(office: Office) -> None:
    for user in (office.ann, office.bob):
        user.home.chmod(0o700)
    homes = [listing(user.home) for user in (office.ann, office.bob)]
    owners = {path.lstat().st_uid for path in office.tiny.cache.rglob("*")}

    assert _removed(office.run(office.root, *PRUNE)) == {"nobodys-1-0"}

    assert [listing(user.home) for user in (office.ann, office.bob)] == homes
    assert {path.lstat().st_uid for path in office.tiny.cache.rglob("*")} == owners
    # Nothing that root left there is in the way of the others.
    assert office.run(office.bob, *PRUNE, "--ignore-unreadable", "--only", "bobhard")[0] == 0


def test_while_one_works_on_the_cache_the_other_waits(office: Office) -> None:
    (office.tiny.cache / STATE).mkdir()
    (office.tiny.cache / STATE).chmod(0o2775)
    os.chown(office.tiny.cache / STATE, office.bob.number, GROUP)

    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            office._be(office.bob)
            os.umask(0o077)
            with (
                Directory.open(str(office.tiny.cache)) as cache,
                cache.child(STATE) as state,
                exclusive(state, cache, Patience(2.0)),
            ):
                os.write(writing, b"held")
                signal.pause()
        finally:
            os._exit(0)
    assert os.read(reading, 4) == b"held"

    code, document = office.run(office.ann, *PRUNE, "--lock-timeout", "0")

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(writing)
    os.close(reading)
    assert (code, document["exception_name"]) == (1, "LockTimeoutError")
    assert (office.tiny.cache / "nobodys-1-0").exists()
    # The one who was killed leaves a lock that nobody holds.
    assert _removed(office.run(office.ann, *PRUNE)) == {"nobodys-1-0"}


def test_in_a_sticky_cache_each_removes_only_his_own(office: Office) -> None:
    office.tiny.add("annsown-1-0")
    office.own(office.tiny.cache, office.root)
    office.own(office.tiny.cache / "annsown-1-0", office.ann)
    office.own(office.tiny.cache / "nobodys-1-0", office.bob)
    office.open_to_group(0o1777)

    assert _removed(office.run(office.ann, *PRUNE)) == {"annsown-1-0"}
    code, document = office.run(office.bob, *PRUNE)
    assert code == 0, document
    # Its archive belongs to root.
    assert {outcome["dist"] for outcome in document["outcomes"]} == set()
    assert (office.tiny.cache / "nobodys-1-0").exists()


def test_what_one_was_killed_at_the_other_finishes_or_names(office: Office) -> None:
    folder = office.tiny.cache / STATE / "20260101T000000Z-0000"
    folder.mkdir(parents=True)
    document = {
        "schema": 1,
        "run": folder.name,
        "started": 1.0,
        "disposal": "delete",
        "destination": None,
        "state": "begun",
        "cache": str(office.tiny.cache),
        "entries": [
            {"dist": "nobodys-1-0", "parts": [{"kind": "extracted", "name": "nobodys-1-0", "number": "0"}]}
            | {"files": 7, "apparent": 0, "reclaimable": 0, "last_used": None, "source": None, "sha256": None}
            | {"record": None, "reasons": []}
        ],
    }
    (folder / "receipt.json").write_text(json.dumps(document))
    os.rename(office.tiny.cache / "nobodys-1-0", folder / "0")
    office.own(office.tiny.cache, office.bob)
    office.open_to_group()

    code, document = office.run(office.ann, *PRUNE)

    assert code == 0, document
    assert _warnings(document) == {"cut-off-run"}
    assert not (office.tiny.cache / "nobodys-1-0").exists()


@pytest.mark.parametrize("run", ["last", "20990101T000000Z-00000000"])
@pytest.mark.parametrize("who", ["bob", "root"])
def test_a_receipt_of_another_user_fetches_no_file_that_only_its_reader_may_read(
    office: Office, run: str, who: str
) -> None:
    reader = getattr(office, who)
    secret = reader.home / "key-1-0.conda"
    secret.write_text("secret")
    os.chown(secret, reader.number, GROUP)
    secret.chmod(0o600)
    office.own(office.tiny.cache, office.root)
    office.open_to_group(0o1777)
    folder = office.tiny.cache / STATE / "20990101T000000Z-00000000"
    folder.mkdir(parents=True)
    part = {"kind": "archive", "name": secret.name, "number": "0"}
    entry = {"dist": "key-1-0", "parts": [part], "files": 1, "apparent": 0, "reclaimable": 0, "last_used": None}
    entry |= {"source": f"file://{secret}", "sha256": None, "record": None, "reasons": []}
    document = {"schema": 1, "run": folder.name, "started": 4e9, "disposal": "delete", "destination": None}
    document |= {"state": "done", "cache": str(office.tiny.cache), "entries": [entry]}
    (folder / "receipt.json").write_text(json.dumps(document))
    office.own(office.tiny.cache / STATE, office.ann)
    (office.tiny.cache / STATE).chmod(0o1777)

    code, answer = office.run(reader, "prune", "restore", run, "--json")

    assert code == 1, answer
    assert not (office.tiny.cache / secret.name).exists()
    assert not list(office.tiny.cache.rglob("key-1-0*"))
