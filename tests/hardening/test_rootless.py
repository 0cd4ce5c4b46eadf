"""In a container that a user has started without being root he is root, but not to what belongs to others outside.

Such a user namespace is made for real by a process that becomes another user first, so these tests run as root only.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock  # noqa: F401  # In the processes of others it could not be imported any more.
import pytest
from places import as_another
from tiny import Tiny

from conda_prune_plugin.discovery.system.privileges import strangers
from conda_prune_plugin.execution.files.dir_fd import Directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

USER = 12345
#: A group that the user is in, and that his container does not know.
GROUP = 5000

_CLONE_NEWUSER = 0x10000000
_PR_SET_DUMPABLE = 4


def _enter_container() -> None:
    os.setgroups([GROUP])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    libc = ctypes.CDLL(None, use_errno=True)
    # Else its own files in /proc belong to root.
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWUSER):
        raise PermissionError("no user namespaces here")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {USER} 1"), ("gid_map", f"0 {USER} 1")):
        Path("/proc/self", name).write_text(text)
    strangers.cache_clear()


def _inside(do: Callable[[], Any]) -> Any:
    """Return what a function returns in a container of the user's."""
    answer = as_another(_enter_container, do)
    if isinstance(answer, str) and "no user namespaces here" in answer:
        pytest.skip("user namespaces are not allowed here")
    return answer


@pytest.fixture
def theirs() -> Iterator[Tiny]:
    """A cache of the user's and the group's, in a place that everybody may enter."""
    directory = Path(tempfile.mkdtemp(prefix="conda-prune-test-"))
    directory.chmod(0o755)
    tiny = Tiny(directory / "it")
    for dist in ("a-1-0", "b-1-0"):
        tiny.add(dist, archive=True)
    for item in (directory / "it", *(directory / "it").rglob("*")):
        os.chown(item, USER, GROUP, follow_symlinks=False)
    yield tiny
    shutil.rmtree(directory)


def _prune(tiny: Tiny) -> dict[str, str]:
    """Plan and execute; return why each entry was kept, or what became of it."""
    plan = tiny.plan()
    kept = {decision.entry.dist: decision.reasons[0].kind.value for decision in plan.keep}
    done = {outcome.entry.dist: outcome.error or outcome.result.value for outcome in tiny.execute(plan).outcomes}
    return kept | done


def test_a_cache_whose_group_the_container_does_not_know_is_pruned_as_outside(theirs: Tiny) -> None:
    assert _inside(lambda: _prune(theirs)) == {"a-1-0": "removed", "b-1-0": "removed"}
    assert theirs.names() == {"urls.txt"}
    assert {path.lstat().st_uid for path in theirs.cache.rglob("*")} == {USER}


def test_what_cannot_be_given_to_its_owner_there_never_runs_as_who_restores_it(theirs: Tiny) -> None:
    tool = theirs.cache / "a-1-0" / "lib" / "one"

    def restore_status() -> None:
        with Directory.open(str(tool.parent)) as directory:
            directory.restore_status(tool.name, 0o4755, (GROUP, GROUP), 0)

    os.chown(tool.parent, USER, USER)

    assert _inside(restore_status) is None
    assert (tool.stat().st_uid, stat.S_IMODE(tool.stat().st_mode)) == (USER, 0o755)


def test_in_a_sticky_cache_only_what_is_the_user_s_goes_there(theirs: Tiny) -> None:
    for path in (theirs.cache / "b-1-0", *(theirs.cache / "b-1-0").rglob("*")):
        os.chown(path, 0, 0)
    os.chown(theirs.cache, 0, 0)
    theirs.cache.chmod(0o1777)

    assert _inside(lambda: _prune(theirs)) == {"a-1-0": "removed", "b-1-0": "read-only"}


def test_what_holds_a_directory_of_somebody_outside_is_kept_there(theirs: Tiny) -> None:
    os.chown(theirs.cache / "b-1-0" / "lib", 0, 0)

    assert _inside(lambda: _prune(theirs)) == {"a-1-0": "removed", "b-1-0": "read-only"}
