"""The judge sees what it is there to see: each kind of harm, done by hand."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from machine import Machine

from .oracle import Oracle

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.debian, pytest.mark.slow]


def _receipt(machine: Machine, **changes: object) -> None:
    folder = machine.cache / ".conda-prune" / "run"
    (folder / "0").mkdir(parents=True)
    part = {"kind": "extracted", "name": "symlinks-2.0-0", "number": "0"}
    (folder / "receipt.json").write_text(json.dumps({"state": "done", "entries": [{"parts": [part]}], **changes}))


HARM: dict[str, tuple[str, Callable[[Machine], object]]] = {
    "a package that is copied": ("in use and was removed", lambda it: shutil.rmtree(it.entry("allprefix-2.0-0"))),
    "a package of metadata alone": ("in use and was removed", lambda it: shutil.rmtree(it.entry("metaonly-1.0-0"))),
    "a package that is soft-linked": ("envs/soft changed", lambda it: shutil.rmtree(it.entry("symlinks-1.0-0"))),
    "an archive in use": ("archive libbeta", lambda it: (it.cache / "libbeta-1.0-0.conda").unlink()),
    "a file of a package in use": (
        "in use and changed",
        lambda it: (it.entry("libbeta-1.0-0") / "info/files").unlink(),
    ),
    "a file of an unused package": ("half there", lambda it: (it.entry("innerlinks-2.0-0") / "bin/inner").unlink()),
    "a cut archive": ("archive onlyarchive", lambda it: (it.cache / "onlyarchive-1.0-0.conda").write_bytes(b"x")),
    "an environment": ("envs/hard changed", lambda it: shutil.rmtree(it.envs / "hard")),
    "a record": ("envs/hard changed", lambda it: next((it.envs / "hard/conda-meta").glob("libalpha*")).unlink()),
    "an unfinished run": ("unfinished", lambda it: _receipt(it, state="begun")),
    "half a backup": ("half a backup", _receipt),
}


@pytest.mark.parametrize("name", HARM)
def test_harm_is_seen(machine: Machine, name: str) -> None:
    what, harm = HARM[name]
    oracle = Oracle(machine.directory)
    before = oracle.look()
    assert oracle.judge(before, before) == oracle.unfinished() == []

    harm(machine)

    assert any(what in wrong for wrong in (*oracle.judge(before, oracle.look()), *oracle.unfinished()))


def test_bytes_are_counted_as_du_counts_them(machine: Machine) -> None:
    oracle = Oracle(machine.directory)
    before = oracle.look().allocated
    shutil.rmtree(machine.entry("innerlinks-2.0-0"))

    # 50,000 bytes under three names, and small files and directories.
    assert 50_000 < before - oracle.look().allocated < 150_000
