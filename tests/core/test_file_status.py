"""What the status of a file tells, on every system."""

from __future__ import annotations

import os
import stat
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from conda_prune_plugin.core import file_status

if TYPE_CHECKING:
    from pathlib import Path


def _status(**fields: int) -> os.stat_result:
    """A status as other systems give it, which this one can't make."""
    return cast("os.stat_result", SimpleNamespace(**fields))


def test_what_a_file_takes_is_counted_in_blocks_or_else_in_whole_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    assert file_status.allocated(_status(st_blocks=3, st_size=1)) == 1536

    monkeypatch.setattr(file_status, "KNOWS_BLOCKS", False)
    lengths = (0, 1, 4096, 4097)

    assert [file_status.allocated(_status(st_size=length)) for length in lengths] == [0, 4096, 4096, 8192]
    assert isinstance(file_status.allocated(_status(st_size=1)), int)


def test_a_directory_is_one_that_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _status(st_mode=stat.S_IFDIR, st_file_attributes=stat.FILE_ATTRIBUTE_DIRECTORY)
    junction = _status(st_mode=stat.S_IFDIR, st_file_attributes=stat.FILE_ATTRIBUTE_REPARSE_POINT)
    file = _status(st_mode=stat.S_IFREG, st_file_attributes=stat.FILE_ATTRIBUTE_REPARSE_POINT)

    for windows in (False, True):
        monkeypatch.setattr(file_status, "ON_WINDOWS", windows)
        assert file_status.is_directory(plain)
        assert file_status.is_directory(_status(st_mode=stat.S_IFDIR))
        assert file_status.is_directory(junction) is not windows
        assert not file_status.is_directory(file)


def test_why_something_can_t_be_removed_is_said_for_flags_and_junctions(monkeypatch: pytest.MonkeyPatch) -> None:
    locked = _status(st_mode=stat.S_IFREG, st_flags=stat.UF_IMMUTABLE)
    hidden = _status(st_mode=stat.S_IFREG, st_flags=stat.UF_HIDDEN)
    junction = _status(st_mode=stat.S_IFDIR, st_file_attributes=stat.FILE_ATTRIBUTE_REPARSE_POINT)
    cloud = _status(st_mode=stat.S_IFREG, st_file_attributes=stat.FILE_ATTRIBUTE_REPARSE_POINT)

    for windows in (False, True):
        monkeypatch.setattr(file_status, "ON_WINDOWS", windows)
        assert file_status.irremovable(locked) == "is locked by a flag"
        assert file_status.irremovable(hidden) is file_status.irremovable(cloud) is None
        assert file_status.irremovable(_status(st_mode=stat.S_IFDIR)) is None
        assert file_status.irremovable(junction) == ("is a junction, which is never followed" if windows else None)


def test_the_status_of_what_was_listed_is_the_link_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (item,) = os.scandir(tmp_path)

    for windows in (False, True):
        monkeypatch.setattr(file_status, "ON_WINDOWS", windows)
        assert stat.S_ISLNK(file_status.listed_status(item).st_mode)
    # What Windows' listing has told lacks half of it, so it is asked again there.
    (tmp_path / "link").unlink()
    monkeypatch.setattr(file_status, "ON_WINDOWS", False)
    assert stat.S_ISLNK(file_status.listed_status(item).st_mode)
    monkeypatch.setattr(file_status, "ON_WINDOWS", True)
    with pytest.raises(FileNotFoundError):
        file_status.listed_status(item)
