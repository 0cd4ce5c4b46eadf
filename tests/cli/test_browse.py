"""``conda prune browse`` at a terminal: nothing goes without the plan and a typed yes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import fill
from machine import Machine, listing
from terminal import INTERRUPT, Terminal, at_a_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

BROWSE = ("--min-age", "0", "browse")
READY, QUESTION, BACK = "Nothing is marked.", "[y/N]", "Press Enter to go back to the browser."

#: Marks the one unused package that sorts last by name.
MARK_UNUSED = (b"2", b"/", b"unused", b"\r", b" ")


@pytest.fixture
def filled(empty: Machine) -> Machine:
    """A machine to browse."""
    fill(empty)
    return empty


def _type(terminal: Terminal, *keys: bytes) -> None:
    for key in keys:
        terminal.type(key)


def test_nothing_is_removed_without_the_plan_and_a_typed_yes(filled: Machine) -> None:
    unused = filled.entry("unused-1-0")
    with at_a_terminal(filled, *BROWSE, "--yes") as terminal:
        terminal.wait_for(READY)
        _type(terminal, *MARK_UNUSED)
        terminal.wait_for("Marked: 1 package")
        # What is typed ahead answers no question.
        _type(terminal, b"r", b"yes\n")
        terminal.wait_for(QUESTION)
        assert "unused-1-0" in terminal.screen.rsplit("parts", 1)[1]
        _type(terminal, b"\n")
        terminal.wait_for(BACK)
        assert unused.is_dir()
        marked = terminal.screen.count("Marked: 1 package")
        _type(terminal, b"\n")
        # The marks are still there.
        terminal.wait_for("Marked: 1 package", marked + 1)
        _type(terminal, b"r")
        terminal.wait_for(QUESTION, 2)
        assert unused.is_dir()
        _type(terminal, b"yes\n")
        terminal.wait_for(BACK, 2)
        assert not unused.exists()
        _type(terminal, b"\n")
        terminal.wait_for(READY, 2)
        _type(terminal, b"q")
        assert terminal.wait() == 0
    assert filled.entry("older-2.0-1").is_dir()


def test_the_last_run_is_restored_after_a_yes(filled: Machine) -> None:
    assert filled.prune("--backup", "--only", "unused", "--yes").code == 0
    with at_a_terminal(filled, *BROWSE) as terminal:
        terminal.wait_for(READY)
        _type(terminal, b"u")
        terminal.wait_for(QUESTION)
        _type(terminal, b"\n")
        terminal.wait_for(BACK)
        assert not filled.entry("unused-1-0").exists()
        ready = terminal.screen.count(READY)
        _type(terminal, b"\n")
        terminal.wait_for(READY, ready + 1)
        _type(terminal, b"u")
        terminal.wait_for(QUESTION, 2)
        _type(terminal, b"y\n")
        terminal.wait_for(BACK, 2)
    assert filled.entry("unused-1-0").is_dir()


def test_ctrl_c_leaves_everything_as_it_was(filled: Machine) -> None:
    before = listing(filled.cache), listing(filled.envs)
    with at_a_terminal(filled, *BROWSE) as terminal:
        terminal.wait_for(READY)
        _type(terminal, *MARK_UNUSED)
        terminal.wait_for("Marked: 1 package")
        terminal.type(INTERRUPT)
        assert terminal.wait() == 130
    # The other screen is left, and the cursor is back.
    assert terminal.screen.count("\x1b[?1049h") == terminal.screen.count("\x1b[?1049l")
    assert (listing(filled.cache), listing(filled.envs)) == before


def test_ctrl_c_at_the_question_removes_nothing(filled: Machine) -> None:
    with at_a_terminal(filled, *BROWSE) as terminal:
        terminal.wait_for(READY)
        _type(terminal, *MARK_UNUSED)
        terminal.wait_for("Marked: 1 package")
        _type(terminal, b"r")
        terminal.wait_for(QUESTION)
        terminal.type(INTERRUPT)
        assert terminal.wait() == 130
    assert filled.entry("unused-1-0").is_dir()


def test_a_terminal_that_dies_leaves_everything_as_it_was(filled: Machine) -> None:
    before = listing(filled.cache), listing(filled.envs)
    with at_a_terminal(filled, *BROWSE) as terminal:
        terminal.wait_for(READY)
        _type(terminal, *MARK_UNUSED)
        terminal.wait_for("Marked: 1 package")
        terminal.hang_up()
    assert (listing(filled.cache), listing(filled.envs)) == before


@pytest.mark.parametrize("arguments", [("--json",), ()], ids=["json", "pipe"])
def test_json_and_pipes_are_refused_with_a_hint(filled: Machine, arguments: tuple[str, ...]) -> None:
    answer = filled.run("prune", "browse", *arguments)

    assert answer.code == 2
    hint = answer.json["hint"] if arguments else answer.err
    assert "conda prune usage --json" in hint


WITHOUT = """
import sys
sys.modules["textual"] = None
from conda_prune_plugin.embedded import main
sys.argv[1:] = {arguments!r}
sys.exit(main())
"""


def test_without_textual_one_line_says_how_to_install_it(filled: Machine) -> None:
    with at_a_terminal(filled, code=WITHOUT.format(arguments=["prune", "browse"])) as terminal:
        assert terminal.wait() == 2

    assert "pip install 'conda-prune[tui]'" in terminal.screen
    assert "Traceback" not in terminal.screen


def test_no_other_command_needs_textual(filled: Machine) -> None:
    for arguments in (["prune", "--dry-run"], ["prune", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT.format(arguments=arguments)],
            env=filled.environ(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


class _Tmux:
    """A real tmux with the browser in it."""

    def __init__(self, machine: Machine, directory: Path) -> None:
        self._tmux = ["tmux", "-S", str(directory / "s"), "-f", "/dev/null"]
        self._environ = machine.environ(TERM="xterm-256color", LC_ALL="C.UTF-8")
        program = f"{sys.executable} -m conda_prune_plugin.embedded prune {' '.join(BROWSE)}"
        self.run("new-session", "-d", "-x", "80", "-y", "24", f"{program}; echo END; sleep 60")

    def run(self, *arguments: str) -> str:
        """Run a command of tmux."""
        command = [*self._tmux, *arguments]
        return subprocess.run(command, env=self._environ, capture_output=True, text=True, check=True).stdout

    def wait_for(self, text: str) -> str:
        """Wait until a text is on the screen, and return the screen."""
        deadline = time.monotonic() + 60
        while text not in (screen := self.run("capture-pane", "-p")):
            assert time.monotonic() < deadline, screen
            time.sleep(0.05)
        return screen


@pytest.fixture
def tmux(filled: Machine, tmp_path: Path) -> Iterator[_Tmux]:
    """The browser in tmux."""
    session = _Tmux(filled, tmp_path)
    yield session
    session.run("kill-server")


@pytest.mark.debian
def test_in_a_real_tmux_marks_are_removed_after_a_yes(tmux: _Tmux, filled: Machine) -> None:
    screen = tmux.wait_for(READY)
    assert "Environments 3" in screen.splitlines()[0]
    assert all(len(line) <= 80 for line in screen.splitlines())
    tmux.run("send-keys", "2", "/", "unused", "Enter", "Space")
    tmux.wait_for("Marked: 1 package")
    tmux.run("resize-window", "-x", "120", "-y", "30")
    tmux.wait_for("inodes  ")
    tmux.run("send-keys", "d")
    tmux.wait_for("Enter remove it")
    tmux.run("send-keys", "Enter")
    tmux.wait_for(QUESTION)
    assert filled.entry("unused-1-0").is_dir()
    tmux.run("send-keys", "y", "Enter")
    tmux.wait_for(BACK)
    assert not filled.entry("unused-1-0").exists()
    tmux.run("send-keys", "Enter")
    tmux.wait_for(READY)
    tmux.run("send-keys", "q")
    tmux.wait_for("END")
