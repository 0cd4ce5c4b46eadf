"""What is said while the work goes on, and how much: progress, verbosity, silence, and errors that say what to do."""

from __future__ import annotations

import ast
import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tiny import tiny_on

import conda_prune_plugin
from conda_prune_plugin import errors
from conda_prune_plugin.presentation.terminal.progress import Reporter

if TYPE_CHECKING:
    from machine import Machine

PACKAGE = Path(conda_prune_plugin.__file__).parent

#: Longer than anything here can take.
PATIENCE = 30.0


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and tells when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        length = super().write(text)
        if text.strip():
            self.written.set()
        return length


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")


def test_a_phase_that_tells_of_no_progress_gets_its_line_all_the_same() -> None:
    stream = Terminal()

    with Reporter(stream, enabled=True, delay=0) as reporter:
        reporter.phase("Looking at a slow disk")
        assert stream.written.wait(PATIENCE)

    assert "Looking at a slow disk" in stream.getvalue()


def test_with_no_more_threads_progress_is_shown_all_the_same() -> None:
    stream = Terminal()
    # No thread can have a stack of that size, so none starts.
    usual = threading.stack_size(1 << 50)

    try:
        with Reporter(stream, enabled=True, delay=0) as reporter:
            add = reporter.counter("Working", 2)
            add(1)
            add(1)
    finally:
        threading.stack_size(usual)

    assert "Working" in stream.getvalue()
    assert "2/2" in stream.getvalue()


def test_a_phase_that_is_over_draws_nothing_any_more() -> None:
    stream = Terminal()

    with Reporter(stream, enabled=True, delay=PATIENCE) as reporter:
        reporter.phase("Quick")
        late = threading.enumerate()
        reporter.clear()

    assert stream.getvalue() == ""
    assert not [thread for thread in late if isinstance(thread, threading.Timer) and not thread.finished.is_set()]


@pytest.mark.parametrize("words", ["[/red] [bold", "below /a[/]b", "\x1b[31m\n"])
def test_words_with_markup_or_control_characters_are_shown_as_they_are(words: str) -> None:
    stream = Terminal()

    with Reporter(stream, enabled=True, delay=0) as reporter:
        update = reporter.phase(words, 3)
        assert stream.written.wait(PATIENCE)
        update(2)

    assert words.encode("unicode_escape").decode() in stream.getvalue()


def test_without_a_terminal_or_when_it_is_not_wanted_there_is_no_progress() -> None:
    pipe, silenced = io.StringIO(), Terminal()

    for stream, enabled in ((pipe, True), (silenced, False)):
        with Reporter(stream, enabled=enabled, delay=0) as reporter:
            add = reporter.counter("Working", 2)
            add(1)
            add(1)

    assert (pipe.getvalue(), silenced.getvalue()) == ("", "")
    assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())


def test_v_lists_what_stays_and_vv_says_why_the_rest_goes(empty: Machine) -> None:
    tiny = tiny_on(empty)
    tiny.add("unused-1-0")
    tiny.add("used-1-0")
    tiny.use("e", "used-1-0")

    plain, listed, explained = (empty.prune("--dry-run", *options).out for options in ((), ("-v",), ("-vv",)))

    assert "used by e" not in plain
    assert "used by e (" in listed
    assert "no environment uses it" not in listed
    assert "used by e (" in explained
    assert "no environment uses it\n    from https://host/linux-64/unused-1-0.conda\n" in explained


def _raised() -> list[tuple[str, ast.Call]]:
    """Return where errors of ours are made, and how."""
    ours = {
        name for name, item in vars(errors).items() if isinstance(item, type) and item.__module__ == errors.__name__
    }
    found: list[tuple[str, ast.Call]] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        made = (call for call in calls if isinstance(call.func, ast.Name) and call.func.id in ours)
        found += [(f"{path.relative_to(PACKAGE)}:{call.lineno}", call) for call in made]
    return found


def _texts(node: ast.AST | None) -> str:
    """Return the fixed text of an expression."""
    constants = (item.value for item in ast.walk(node) if isinstance(item, ast.Constant)) if node else ()
    return "".join(text for text in constants if isinstance(text, str))


@pytest.mark.parametrize(("where", "call"), [pytest.param(*item, id=item[0]) for item in _raised()])
def test_every_error_is_a_sentence_and_says_what_to_do(where: str, call: ast.Call) -> None:
    hint = next((keyword.value for keyword in call.keywords if keyword.arg == "hint"), None)

    assert call.args, where
    assert hint is not None, where
    if isinstance(hint, (ast.Constant, ast.JoinedStr)):
        assert len(_texts(hint).split()) >= 3, where
        assert _texts(hint).rstrip()[-1] in ".:`", where


def test_the_walk_over_errors_finds_them() -> None:
    assert len(_raised()) > 30
