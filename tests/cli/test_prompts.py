"""Questions: answered only after they were seen, by a clear yes, and never half."""

from __future__ import annotations

import io
import os
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from machine import Machine
from terminal import END_OF_INPUT, INTERRUPT, at_a_terminal
from tiny import tiny_on

from conda_prune_plugin.errors import ConfirmationError
from conda_prune_plugin.operations.interaction import Interaction, Output, confirm, forget_typed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conda_prune_plugin.presentation.terminal.progress import Reporter

PROMPT = "[y/N]"

#: Every question there is but the one after another, and what says so if the answer is no.
QUESTIONS = {
    "prune": ("--min-age", "0"),
    "remove": ("envs", "old", "--remove"),
    "fix-registry": ("envs", "--fix-registry"),
    "purge": ("purge", "--all"),
}


@pytest.fixture
def asked(empty: Machine) -> Machine:
    """A machine on which there is something to ask about by every command that asks."""
    tiny = tiny_on(empty)
    tiny.add("backed-1-0")
    assert empty.prune("--backup", "--yes").code == 0
    tiny.add("unused-1-0")
    tiny.add("used-1-0")
    tiny.use("old", "used-1-0")
    empty.registry.parent.mkdir(exist_ok=True)
    empty.registry.write_text(f"{empty.envs / 'gone'}\n")
    return empty


def _state(machine: Machine) -> tuple[object, ...]:
    """Return all that the answers yes would change."""
    receipts = sorted((machine.cache / ".conda-prune").glob("*/receipt.json"))
    there = [path.exists() for path in (machine.entry("unused-1-0"), machine.envs / "old" / "conda-meta")]
    return (machine.registry.read_text(), there, receipts)


@pytest.mark.posix
@pytest.mark.parametrize("question", QUESTIONS)
def test_what_was_typed_before_a_question_does_not_answer_it(asked: Machine, question: str) -> None:
    before = _state(asked)

    with at_a_terminal(asked, *QUESTIONS[question], ahead=b"y\ny\nyes\ny") as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(b"n\n")
        code = terminal.wait()

    assert code == 1
    assert _state(asked) == before
    assert "Nothing was " in terminal.screen.split(PROMPT)[-1]


@pytest.mark.posix
@pytest.mark.parametrize("question", QUESTIONS)
def test_an_interrupted_question_changes_nothing_and_is_exit_code_130(asked: Machine, question: str) -> None:
    before = _state(asked)

    with at_a_terminal(asked, *QUESTIONS[question]) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(INTERRUPT)
        code = terminal.wait()

    assert code == 130
    assert _state(asked) == before
    assert "Nothing was " in terminal.screen.split(PROMPT)[-1]
    assert "Traceback" not in terminal.screen


@pytest.mark.posix
@pytest.mark.parametrize(
    "keys", [b"\n", b"n\n", b"yes please\n", b"\xff\n", END_OF_INPUT], ids=["enter", "n", "other", "no text", "end"]
)
def test_the_answer_is_no_unless_it_is_a_clear_yes(asked: Machine, keys: bytes) -> None:
    with at_a_terminal(asked, *QUESTIONS["prune"]) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(keys)
        code = terminal.wait()

    assert code == 1
    assert "\nNothing was removed.\n" in terminal.screen.split(PROMPT)[-1]
    assert asked.entry("unused-1-0").exists()


@pytest.mark.posix
@pytest.mark.parametrize("keys", [b"y\n", b" YES \n"])
def test_a_yes_removes(asked: Machine, keys: bytes) -> None:
    with at_a_terminal(asked, *QUESTIONS["prune"]) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(keys)
        code = terminal.wait()

    assert code == 0
    assert not asked.entry("unused-1-0").exists()


@pytest.mark.posix
def test_a_yes_to_the_first_question_does_not_answer_the_second(asked: Machine) -> None:
    with at_a_terminal(asked, *QUESTIONS["remove"], "--min-age", "0") as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(b"y\ny\n")
        terminal.wait_for(PROMPT, 2)
        terminal.type(b"n\n")
        code = terminal.wait()

    assert code == 0
    assert not (asked.envs / "old").exists()
    assert asked.entry("unused-1-0").exists()
    assert "Nothing was removed from the caches" in terminal.screen.split(PROMPT)[-1]


@pytest.mark.posix
def test_an_interruption_at_the_second_question_is_not_taken_for_a_no(asked: Machine) -> None:
    with at_a_terminal(asked, *QUESTIONS["remove"], "--min-age", "0") as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(b"y\n")
        terminal.wait_for(PROMPT, 2)
        terminal.type(INTERRUPT)
        code = terminal.wait()

    assert code == 130
    assert not (asked.envs / "old").exists()
    assert asked.entry("unused-1-0").exists()


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The other end of the terminal that standard input is."""
    import pty

    master, slave = pty.openpty()
    with open(slave) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield master
    os.close(master)


def _with(reporter: object) -> Interaction:
    output = Output(json=False, dry_run=False, yes=False, quiet=False, verbosity=0)
    return Interaction(output, cast("Reporter", reporter))


@pytest.mark.posix
def test_the_progress_is_cleared_before_the_question_and_not_after(
    keyboard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import termios

    screen = _Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(termios, "tcflush", lambda *_: os.write(keyboard, b"no\n"))
    reporter = SimpleNamespace(clear=lambda: screen.write("<cleared>"))

    assert not confirm("Remove it?", _with(reporter), "Kept.")

    assert screen.getvalue() == "<cleared>Remove it? [y/N] Kept.\n"


@pytest.mark.posix
def test_a_question_is_put_where_it_can_be_seen(keyboard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import termios

    screen = _Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(termios, "tcflush", lambda *_: os.write(keyboard, b"y\n"))

    assert confirm("Remove it?", _with(SimpleNamespace(clear=lambda: None)))

    assert "Remove it?" in screen.getvalue()


@pytest.mark.posix
def test_where_what_was_typed_cannot_be_discarded_nothing_is_asked(
    keyboard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import termios

    def refuse(*_: object) -> None:
        raise termios.error(5, "Input/output error")

    monkeypatch.setattr(termios, "tcflush", refuse)
    os.write(keyboard, b"y\n")

    with pytest.raises(ConfirmationError):
        confirm("Remove it?", _with(SimpleNamespace(clear=lambda: None)))


def test_on_windows_typed_keys_are_discarded_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = list("yes\r")
    console = SimpleNamespace(kbhit=lambda: bool(keys), getwch=keys.pop)
    monkeypatch.setitem(sys.modules, "termios", None)
    monkeypatch.setitem(sys.modules, "msvcrt", console)

    forget_typed()

    assert keys == []


@pytest.mark.slow
@pytest.mark.posix
def test_a_no_to_a_repair_says_that_nothing_was_repaired(machine: Machine) -> None:
    part = machine.entry("libalpha-2.0-0") / "lib" / "libalpha" / "part0.so"
    part.unlink()

    with at_a_terminal(machine, "--repair", "--min-age", "0") as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(b"n\n")
        code = terminal.wait()

    assert code == 1
    assert "\nNothing was repaired.\n" in terminal.screen.split(PROMPT)[-1]
    assert not part.exists()
