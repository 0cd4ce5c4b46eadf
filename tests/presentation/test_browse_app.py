"""The browser: each key, each promise, and what stands on the screen."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Browsing, browsing, fill, inside
from machine import Machine, listing
from textual import events

from conda_prune_plugin.cli.browse import Texts
from conda_prune_plugin.core.units import Space
from conda_prune_plugin.operations.browse.browser import Browser
from conda_prune_plugin.operations.options import EnvsOptions
from conda_prune_plugin.presentation.browse.browse_keys import KEYS, bottom_line
from conda_prune_plugin.presentation.browse.browse_source import Action, Intent, Place
from conda_prune_plugin.presentation.browse.row_lines import line
from conda_prune_plugin.presentation.browse.rows import Row, Rows, Size, Sort, View
from conda_prune_plugin.presentation.browse.scan_reporter import ScanAbandonedError, ScanReporter

#: Read before a test hides conda's variables.
WRITE = os.environ.get("CONDA_PRUNE_SCREENS") == "write"

SCREENS = Path(__file__).with_name("screens")

Told = Callable[[Browsing], Awaitable[None]]
Browse = Callable[..., "Intent | None"]


@pytest.fixture(scope="module")
def browsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine to browse, which this process uses; no story changes it."""
    machine = Machine(tmp_path_factory.mktemp("browsed") / "it")
    machine.create()
    fill(machine)
    for number in range(100):
        (machine.cache / f"p{number:03}-1-0.conda.partial").write_bytes(b"x")
    with inside(machine):
        yield machine


def _unscanned() -> Texts:
    return Texts(Browser(EnvsOptions(min_age=0.0), None))


def _tell(story: Told, source: Texts, place: Place | None = None, size: tuple[int, int] = (80, 24)) -> Intent | None:
    """Tell a story in the browser, and return what the user wants done at its end."""

    async def told() -> Intent | None:
        async with browsing(source, place, size) as at:
            await at.settled()
            await story(at)
        return at.app.return_value

    return asyncio.run(told())


@pytest.fixture(scope="module")
def browse(browsed: Machine) -> Callable[..., Intent | None]:
    """Return what tells a story in a browser that has scanned the machine."""
    source = _unscanned()
    source.scan(ScanReporter(), lambda rows: None, lambda path, size: None)
    return lambda story, **more: _tell(story, source, **more)


def test_all_lists_are_shown_and_own_bytes_come_first(browse: Browse) -> None:
    async def story(at: Browsing) -> None:
        assert set(at.names) == {"work", "kept", "test"}
        assert "Environments 3" in at.screen
        await at.press("tab")
        assert set(at.names) == {"alone-1-0", "shared-1-0", "unused-1-0", "older-2.0-1"}
        sizes = [row.size.own for row in at.app.list.rows if row.size]
        assert sizes == sorted(sizes, reverse=True)
        await at.press("3")
        assert "broken-1-0.conda.partial" in at.names
        await at.press("tab", "2", "1")
        assert at.app.place.view is View.ENVIRONMENTS

    assert browse(story) is None


def test_a_mark_is_set_and_removed_and_the_sum_stands_below(browse: Browse) -> None:
    async def story(at: Browsing) -> None:
        await at.go_to("work")
        screen = await at.press("space")
        assert "[x] + work" in screen
        assert re.search(r"Marked: 1 environment\. Together they free [\d.]+ KiB", screen)
        await at.go_to("work")
        assert "Nothing is marked" in await at.press("space")

    assert browse(story) is None


def test_marks_together_free_more_than_each_alone(browse: Browse) -> None:
    freed: list[Space] = []
    own: list[int] = []

    async def story(at: Browsing) -> None:
        await at.press("2")
        own.extend(row.size.own for row in at.app.list.rows if row.name == "alone-1-0" and row.size)
        for keys in (("work",), ("alone-1-0",), ("work", "alone-1-0")):
            at.app.mark(frozenset())
            await at.settled()
            for name in keys:
                await at.press("1" if name == "work" else "2")
                await at.go_to(name)
                await at.press("space")
            freed.append(at.app.marks.freed)

    browse(story)
    # The package can't be marked alone, since the environment uses it.
    assert freed[1].bytes == 0
    assert freed[2].bytes > freed[0].bytes + own[0]


def test_a_protected_row_says_why_and_cannot_be_marked(browse: Browse) -> None:
    async def story(at: Browsing) -> None:
        await at.go_to("kept")
        assert "frozen" in at.screen.splitlines()[-3]
        assert "[-]" in at.screen
        screen = await at.press("space")
        assert "Protected: it is frozen" in screen
        assert at.app.place.marked == frozenset()
        await at.press("2")
        await at.go_to("shared-1-0")
        assert "Protected: used by" in await at.press("space")
        assert at.app.place.marked == frozenset()

    assert browse(story) is None


def test_a_mark_goes_when_the_environment_stays_after_all(browse: Browse) -> None:
    async def story(at: Browsing) -> None:
        await at.go_to("work")
        await at.press("space", "2")
        await at.go_to("alone-1-0")
        await at.press("space")
        assert len(at.app.place.marked) == 2
        await at.press("1")
        await at.go_to("work")
        assert "Dropped 1 mark: used by work" in await at.press("space")
        assert at.app.place.marked == frozenset()

    assert browse(story) is None


def test_rows_open_in_place_down_to_files_and_close_again(browse: Browse) -> None:
    async def story(at: Browsing) -> None:
        await at.go_to("work")
        await at.press("enter")
        assert {"alone-1-0", "shared-1-0"} < set(at.names)
        await at.go_to("alone-1-0")
        await at.press("space")
        assert at.app.place.marked == frozenset()
        await at.press("enter")
        assert {"lib/alone-1-0/a", "lib/alone-1-0/b"} < set(at.names)
        await at.press("left", "left")
        assert at.row == "work"
        await at.press("left")
        assert len(at.names) == 3
        await at.press("right", "enter")
        assert len(at.names) == 3
        await at.press("2")
        await at.go_to("shared-1-0")
        await at.press("enter")
        assert {"kept: used by work", "kept: used by test"} < set(at.names)

    assert browse(story) is None


def test_why_explains_environments_packages_and_rows_below(browse: Browse) -> None:
    async def story(at: Browsing) -> None:
        await at.go_to("kept")
        screen = await at.press("w")
        assert "protected: it is frozen" in screen
        await at.press("escape", "2")
        await at.go_to("shared-1-0")
        screen = await at.press("w")
        assert re.search(r"shared-1-0 in\s.*:\s+in use", screen)
        await at.press("escape", "enter", "down")
        assert "shared-1-0 in" in await at.press("w")

    assert browse(story, size=(240, 30)) is None


def test_the_plan_is_that_of_the_commands_and_enter_carries_it_out(browsed: Machine, browse: Browse) -> None:
    async def story(at: Browsing) -> None:
        assert "Nothing is marked" in await at.press("d")
        await at.go_to("work")
        await at.press("space", "2")
        await at.go_to("unused-1-0")
        await at.press("space")
        screen = await at.press("d")
        assert f"remove {browsed.envs / 'work'}" in screen
        assert "unused-1-0" in screen
        await at.press("escape")
        assert at.app.return_value is None
        await at.press("d")
        await at.press("enter")

    intent = browse(story, size=(240, 60))
    assert intent is not None
    assert intent.action is Action.REMOVE
    assert intent.marked.environments == {str(browsed.envs / "work")}
    assert {os.path.basename(path) for path in intent.marked.paths} == {"unused-1-0", "unused-1-0.conda"}


@pytest.mark.parametrize(("key", "action"), [("r", Action.REMOVE), ("b", Action.BACKUP), ("u", Action.RESTORE)])
def test_keys_that_change_something_only_leave_the_browser(
    browsed: Machine, key: str, action: Action, browse: Browse
) -> None:
    before = listing(browsed.directory)

    async def story(at: Browsing) -> None:
        if action is not Action.RESTORE:
            assert "Nothing is marked" in await at.press(key)
            await at.go_to("work")
            await at.press("space")
        await at.press(key)

    intent = browse(story)
    assert intent is not None
    assert intent.action is action
    assert listing(browsed.directory) == before


def test_rows_are_sorted_and_filtered(browse: Browse) -> None:
    async def story(at: Browsing) -> None:
        await at.press("2")
        for sort in (Sort.INODES, Sort.USED, Sort.NAME, Sort.OWN):
            await at.press("s")
            assert at.app.place.sort is sort
            if sort is Sort.NAME:
                assert at.names == sorted(at.names)
        await at.press("slash")
        await at.type("ALON q")
        assert at.names == []
        await at.press("backspace", "backspace")
        assert at.names == ["alone-1-0"]
        await at.press("enter", "s")
        assert at.names == ["alone-1-0"]
        await at.press("escape")
        assert len(at.names) == 4

    assert browse(story) is None


def test_keys_typed_at_once_act_in_their_order(browse: Browse) -> None:
    async def story(at: Browsing) -> None:
        # As fast as a terminal hands over what was pasted, without a pause between.
        for key in ("2", "slash", *"older", "enter", "space", "escape", "1", "slash", *"u", "backspace", "escape"):
            character = key if len(key) == 1 else " " if key == "space" else None
            at.app.post_message(events.Key(key, character))
        await at.settled()
        assert {key.partition("\n")[2] for key in at.app.place.marked} == {"older-2.0-1"}
        assert len(at.names) == 3

    assert browse(story) is None


def test_the_help_has_every_key_and_the_bottom_line_fits(browse: Browse) -> None:
    async def story(at: Browsing) -> None:
        screen = await at.press("question_mark")
        assert all(key.help[:20] in screen for key in KEYS if key.shown)
        await at.press("escape")
        assert at.screen.splitlines()[-1].strip() == bottom_line()

    assert browse(story, size=(80, 60)) is None
    assert len(bottom_line()) <= 80


@pytest.mark.parametrize(("key", "interrupted"), [("q", False), ("ctrl+c", True)])
def test_quitting_leaves_everything_as_it_was(browsed: Machine, key: str, interrupted: bool, browse: Browse) -> None:
    before = listing(browsed.directory)

    async def story(at: Browsing) -> None:
        await at.go_to("work")
        await at.press("space", "w", "escape")
        await at.press(key)
        assert at.app.interrupted is interrupted

    assert browse(story) is None
    assert listing(browsed.directory) == before


def test_a_click_moves_opens_and_marks(browsed: Machine, browse: Browse) -> None:
    async def story(at: Browsing) -> None:
        await at.go_to("kept")
        number = at.names.index("work")
        await at.click(30, 2 + number)
        assert (at.row, len(at.names)) == ("work", 3)
        await at.click(30, 2 + number)
        assert len(at.names) > 3
        await at.click(3, 2 + number)
        assert at.app.place.marked == {str(browsed.envs / "work")}

    assert browse(story) is None


def test_every_line_fits_into_a_terminal_of_any_size(browse: Browse) -> None:
    async def story(at: Browsing) -> None:
        for width, height in ((140, 40), (60, 12), (30, 10), (80, 24)):
            screen = await at.resize(width, height)
            assert max(map(len, screen.splitlines())) <= width
            assert len(screen.splitlines()) == height
            assert "work" in screen

    assert browse(story) is None


def test_the_cursor_reaches_the_ends_of_a_long_list(browse: Browse) -> None:
    async def story(at: Browsing) -> None:
        await at.press("3")
        for key in ("end", "pageup", "home", "pagedown", "k", "j"):
            screen = await at.press(key)
            assert f"> [ ] + {at.row}" in screen
        await at.press("end")
        assert at.row == at.names[-1]

    assert browse(story) is None


def test_marks_view_and_order_outlast_a_run_of_the_browser(browsed: Machine) -> None:
    source, place = Texts(Browser(EnvsOptions(min_age=0.0), None)), Place()

    async def first(at: Browsing) -> None:
        await at.press("2", "s")
        await at.go_to("unused-1-0")
        await at.press("space")

    async def told(story: Told) -> None:
        async with browsing(source, place) as at:
            await at.settled()
            await story(at)

    async def second(at: Browsing) -> None:
        assert "Marked: 1 package." in at.screen
        assert at.app.place.sort is Sort.INODES
        assert at.row in at.names

    asyncio.run(told(first))
    asyncio.run(told(second))


class _Slow(Texts):
    """Stops after the names until it is told to go on."""

    def __init__(self, browser: Browser) -> None:
        super().__init__(browser)
        self.go, self._whole = threading.Event(), browser
        self.scan = self._scan

    def _scan(self, reporter: Any, listed: Callable[[Rows], None], measured: Callable[[str, Size], None]) -> Rows:
        def names(rows: Rows) -> None:
            listed(rows)
            measured(next(row.key for row in rows[View.ENVIRONMENTS] if row.name == "work"), Size(12345, 0, 1))
            self.go.wait()

        return self._whole.scan(reporter, names, measured)


def test_names_come_before_sizes_and_keys_are_answered_while_it_scans(browsed: Machine) -> None:
    source = _Slow(Browser(EnvsOptions(min_age=0.0), None))

    async def told() -> None:
        async with browsing(source) as at:
            while "work" not in at.screen or "12.1 KiB" not in at.screen:
                await asyncio.sleep(0.01)
            await at._pilot.press("end")
            assert at.app.list.cursor == 2
            await at._pilot.press("space")
            assert "Still measuring" in at.screen
            await at._pilot.press("2")
            assert "unused-1-0" in at.screen
            assert at.app.place.marked == frozenset()
            source.go.set()
            screen = await at.settled()
            assert "Nothing is marked. Space marks a row." in screen

    asyncio.run(told())


def test_quitting_ends_a_scan_that_is_under_way(browsed: Machine) -> None:
    source = _Slow(Browser(EnvsOptions(min_age=0.0), None))

    async def told() -> None:
        async with browsing(source) as at:
            await at._pilot.press("q")
        assert at.app._reporter.abandoned

    asyncio.run(told())
    source.go.set()
    reporter = ScanReporter()
    count = reporter.counter("Counting")
    count(3)
    assert reporter.words == "Counting 3"
    reporter.abandoned = True
    with pytest.raises(ScanAbandonedError):
        count(1)


def test_an_error_of_the_scan_ends_the_browser_and_is_kept(browsed: Machine) -> None:
    source = Texts(Browser(EnvsOptions(min_age=0.0, roots=(str(browsed.directory / "none"),)), None))

    async def told() -> Exception | None:
        async with browsing(source) as at:
            while at.app.failure is None:
                await asyncio.sleep(0.01)
        return at.app.failure

    assert "none" in str(asyncio.run(told()))


def test_a_name_cannot_write_to_the_terminal() -> None:
    row = Row("k", "evil\x1b[2J\nname", Size(1, 2, 3))

    text = line(row, 60, current=True, marked=(), opened=())

    assert len(text) == 60
    assert text.isprintable()


def _screen(text: str, machine: Machine) -> str:
    """Return a screen without what differs from one machine to the next."""
    text = text.replace(str(machine.directory), "DIR")
    text = re.sub(r"[\d.]+ (?:KiB|B)\b", lambda found: "#".rjust(len(found[0])), text)
    text = re.sub(r"(?:< 1 minute|\b\d+ minutes?) ago", lambda found: "ago".rjust(len(found[0])), text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@pytest.mark.parametrize("size", [(80, 24), (140, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_each_list_is_as_it_was_read(browsed: Machine, size: tuple[int, int], browse: Browse) -> None:
    shown = []

    async def story(at: Browsing) -> None:
        await at.press("s", "s", "s")
        await at.go_to("work")
        await at.press("space", "up")
        shown.extend([await at.press(view) for view in "123"])

    browse(story, size=size)
    path = SCREENS / f"browse_{size[0]}x{size[1]}.txt"
    text = _screen("".join(shown), browsed)
    if WRITE:
        path.write_text(text)

    assert text == path.read_text()


def test_without_colours_the_screen_says_the_same(monkeypatch: pytest.MonkeyPatch, browse: Browse) -> None:
    screens = []

    async def story(at: Browsing) -> None:
        await at.go_to("work")
        screens.append(await at.press("space"))

    browse(story)
    monkeypatch.setenv("NO_COLOR", "1")
    browse(story)

    assert screens[0] == screens[1]
