"""What is copied or read as one stays on one line, however narrow the terminal is, and no text is lost."""

from __future__ import annotations

import io
import os
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from conda_prune_plugin.core.model import Entry, LinkKind, Part, PartKind, ReasonKind, Verdict
from conda_prune_plugin.core.plan import Keep, Reason
from conda_prune_plugin.presentation.reasons_text import show_reasons
from conda_prune_plugin.presentation.terminal.console import console, print_line, print_steps
from conda_prune_plugin.presentation.terminal.tables import Row, show_table
from conda_prune_plugin.presentation.terminal.wrapping import wrapped

WHOLE = (
    "`conda prune --verify --repair`",
    "20.0 KiB",
    "1,024 MB",
    "7 B",
    "--min-age 0",
    "--search DIR",
    "--ci image",
    "/a/path-with-hyphens/that-is-longer-than-a-line",
)


@pytest.mark.parametrize("width", range(8, 60, 3))
@pytest.mark.parametrize("whole", WHOLE)
def test_commands_sizes_options_and_paths_are_not_broken(whole: str, width: int) -> None:
    lines = wrapped(f"Some words before it {whole} and after it.", width, "  ", "    ")

    assert any(whole in line for line in lines)
    assert all(len(line) <= width or len(line.strip()) <= max(len(whole) + 1, 6) for line in lines)


@pytest.mark.parametrize("width", range(20, 60, 7))
def test_a_command_at_the_end_behind_a_colon_is_not_broken(width: int) -> None:
    command = "conda prune envs /some/where --remove"

    assert wrapped(f"It can be removed. To remove it: {command}", width)[-1].endswith(command)
    assert len(wrapped("It failed: conda has no words for it, but many of them", 20)) > 2


@given(st.text("ab `-B1 :", max_size=80), st.integers(5, 40))
def test_only_spaces_are_lost(text: str, width: int) -> None:
    assert "".join("".join(wrapped(text, width)).split()) == "".join(text.split())


def _console(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False)


def _lines(out: Console) -> list[str]:
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().splitlines()


def test_indented_steps_are_not_broken_and_text_is() -> None:
    out = _console(30)

    print_steps(out, ("Some words that are too long for a line:", f"    {WHOLE[-1]} x y z"))

    assert _lines(out)[-1] == f"    {WHOLE[-1]} x y z"
    assert len(_lines(out)) == 3


def test_a_long_line_goes_on_at_the_column_asked_for() -> None:
    out = _console(30)

    print_line(out, "name      a reason that is too long for a line", hanging=10)

    assert len(_lines(out)) > 1
    assert all(line.startswith(" " * 10) and line[10] != " " for line in _lines(out)[1:])


@pytest.mark.parametrize("width", [30, 80, 10_000])
def test_reasons_end_in_no_spaces(width: int) -> None:
    out = _console(width)
    reason = Reason(ReasonKind.ENVIRONMENT, "used by an environment with a name", "/e", LinkKind.HARD)
    keep = [
        Keep(Entry("/p", dist, (Part(PartKind.EXTRACTED, dist),)), Verdict.REACHABLE, (reason,) * 2)
        for dist in ("a-1-0", "longer-1.0-0")
    ]

    show_reasons(out, "keep", keep, whole=True)

    assert sum("used by" in line for line in _lines(out)) == 2
    assert [line for line in _lines(out) if line != line.rstrip()] == []


@pytest.mark.posix
@pytest.mark.parametrize("name", ["short", "x" * 70])
def test_a_table_in_a_pipe_at_a_terminal_has_the_columns_that_fit_it_and_one_line_a_row(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import fcntl
    import pty
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
    out = console(io.StringIO())

    with os.fdopen(slave, "w") as stream, os.fdopen(master), monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        show_table(out, "name", ("a", "b" * 60, "c"), [Row(name, ("1", "2", "3"))], drop=("b" * 60,))

    lines = _lines(out)
    assert len(lines) == 2
    assert lines[0].split() == ["name", "a", "c"]
    assert lines[1].split() == [name, "1", "3"]
