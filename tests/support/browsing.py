"""A machine to browse, and the browser on it: keys are pressed and the screen is read, without a terminal."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tiny import tiny_on

from conda_prune_plugin.cli.browse import Texts
from conda_prune_plugin.demo.demo_packages import File, Item
from conda_prune_plugin.operations.browse.browser import Browser
from conda_prune_plugin.operations.options import EnvsOptions
from conda_prune_plugin.presentation.browse.browse_app import BrowseApp
from conda_prune_plugin.presentation.browse.browse_source import Intent, Place, Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest
    from machine import Machine
    from textual.pilot import Pilot

#: How often it is asked whether all threads are done, in seconds.
_OFTEN = 0.005


def fill(machine: Machine) -> None:
    """Make three environments, one of them frozen, that share packages, two unused packages and a leftover."""
    tiny = tiny_on(machine)
    for number, dist in enumerate(("alone-1-0", "shared-1-0", "unused-1-0", "older-2.0-1"), 1):
        files: dict[str, Item] = {f"lib/{dist}/{part}": File(f"{dist}{part}".encode() * 4000 * number) for part in "ab"}
        tiny.add(dist, files, archive=dist.endswith("-0"))
    for env, dists in (("work", ("alone-1-0", "shared-1-0")), ("test", ("shared-1-0",)), ("kept", ("shared-1-0",))):
        for dist in dists:
            tiny.use(env, dist)
    for name in ("kept/conda-meta/frozen", "work/lib/model.bin"):
        (machine.envs / name).write_bytes(b"x" * 9000 if name.endswith("bin") else b"")
    (machine.cache / "broken-1-0.conda.partial").write_bytes(b"x" * 5000)


def inside(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process use conda on the machine until the end of the test."""
    from conda.base.context import reset_context

    for name in list(os.environ):
        if name.startswith(("CONDA", "XDG", "MAMBA")):
            monkeypatch.delenv(name)
    for name, value in machine.environ().items():
        monkeypatch.setenv(name, value)
    reset_context()


class Browsing:
    """A browser, the keys and the screen."""

    def __init__(self, app: BrowseApp, pilot: Pilot[Intent]) -> None:
        self.app, self._pilot = app, pilot

    async def press(self, *keys: str) -> str:
        """Press keys, wait until nothing is at work any more, and return the screen."""
        await self._pilot.press(*keys)
        return await self.settled()

    async def type(self, text: str) -> str:
        """Type a text."""
        return await self.press(*text)

    async def settled(self) -> str:
        """Wait until nothing is at work any more, and return the screen."""
        await self._pilot.pause()
        while self.app.busy and self.app.is_running and self.app.return_value is None:
            await asyncio.sleep(_OFTEN)
            await self._pilot.pause()
        await self._pilot.pause()
        if self.app.failure is not None:
            raise self.app.failure
        return self.screen

    async def click(self, column: int, line: int) -> str:
        """Click on the screen."""
        await self._pilot.click(offset=(column, line))
        return await self.settled()

    async def resize(self, width: int, height: int) -> str:
        """Give the terminal another size."""
        await self._pilot.resize_terminal(width, height)
        return await self.settled()

    async def go_to(self, name: str) -> None:
        """Move the cursor to the row with a name."""
        await self.press("home")
        for _ in self.app.list.rows:
            if self.row == name:
                return
            await self.press("down")
        raise LookupError(name)

    @property
    def row(self) -> str:
        """The name of the row under the cursor."""
        assert self.app.list.current is not None
        return self.app.list.current.name

    @property
    def names(self) -> list[str]:
        """The names of all rows, in their order."""
        return [row.name for row in self.app.list.rows]

    @property
    def screen(self) -> str:
        """What stands on the screen."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips) + "\n"


@asynccontextmanager
async def browsing(
    place: Place | None = None, size: tuple[int, int] = (80, 24), source: Source | None = None
) -> AsyncIterator[Browsing]:
    """Start the browser on the machine that conda uses."""
    options = EnvsOptions(min_age=0.0)
    app = BrowseApp(source or Texts(Browser(options, None)), place or Place())
    async with app.run_test(size=size) as pilot:
        yield Browsing(app, pilot)
