"""What is printed into a file on a full disk is written when there is room."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

import pytest

from conda_prune_plugin.presentation.terminal.streams import settle, waiting_for_space

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each of the next writes takes, negative for an error; as many as there are after that."""
    left: list[int] = []
    write = os.write

    def limited(descriptor: int, data: bytearray) -> int:
        number = left.pop(0) if left else len(data)
        if number < 0:
            raise OSError(-number, os.strerror(-number))
        return write(descriptor, data[:number])

    monkeypatch.setattr(os, "write", limited)
    return left


def test_it_is_complete_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: list[int]) -> None:
    with (tmp_path / "printed").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        stream.write("before\n")
        with waiting_for_space():
            room += [3, -errno.ENOSPC, -errno.EDQUOT]
            for word in ("one", "two", "three"):
                print(word, flush=True)
            settle(sys.stdout)
        assert sys.stdout is stream

    assert (tmp_path / "printed").read_text() == "before\none\ntwo\nthree\n"


def test_a_disk_that_stays_full_is_an_error_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: list[int]
) -> None:
    with (tmp_path / "printed").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with waiting_for_space():
            room += [-errno.ENOSPC] * 2
            print("lost", flush=True)
            with pytest.raises(OSError, match="No space"):
                settle(sys.stdout)


def test_any_other_error_is_one_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: list[int]) -> None:
    with (tmp_path / "printed").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with waiting_for_space():
            room.append(-errno.EIO)
            with pytest.raises(OSError, match="Input/output"):
                print("lost", flush=True)


def test_what_is_no_file_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with waiting_for_space():
            assert sys.stdout is pipe
