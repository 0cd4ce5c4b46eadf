"""A machine to browse, and the browser on it: keys are pressed and the screen is read, without a terminal."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import pytest
from tiny import tiny_on

from conda_prune_plugin.demo.demo_packages import File, Item
from conda_prune_plugin.presentation.browse.browse_app import BrowseApp
from conda_prune_plugin.presentation.browse.browse_source import Intent, Place, Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

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
            record = tiny.record(tiny.use(env, dist), dist)
            files_of = [f"lib/{dist}/{part}" for part in "ab"]
            record.write_text(json.dumps({**json.loads(record.read_text()), "files": files_of}))
    for name in ("kept/conda-meta/frozen", "work/lib/model.bin"):
        (machine.envs / name).write_bytes(b"x" * 9000 if name.endswith("bin") else b"")
    (machine.cache / "broken-1-0.conda.partial").write_bytes(b"x" * 5000)


@contextmanager
def inside(machine: Machine) -> Iterator[None]:
    """Let this process use conda on the machine."""
    from conda.base.context import reset_context

    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("CONDA", "XDG", "MAMBA")):
                patch.delenv(name)
        for name, value in machine.environ().items():
            patch.setenv(name, value)
        reset_context()
        yield
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
        await self.press("home", *["down"] * self.names.index(name))

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
    source: Source, place: Place | None = None, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[Browsing]:
    """Start the browser."""
    app = BrowseApp(source, place or Place())
    async with app.run_test(size=size) as pilot:
        yield Browsing(app, pilot)
