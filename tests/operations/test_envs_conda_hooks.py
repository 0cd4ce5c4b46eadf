"""What packages do outside of an environment is undone when it goes, and kept when it is to come back."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from crash import run_failing

from conda_prune_plugin.demo.demo_packages import File, Package, build_channel
from conda_prune_plugin.demo.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from machine import Answer, Machine

_SAYS = b'#!/bin/bash\necho said\necho "$PKG_NAME $PREFIX" >> ~/left\n'
_FAILS = b"#!/bin/bash\necho said\nexit 3\n"

#: menuinst as conda calls it, for it is not to be had here: what it was asked for is in a file.
_MENUINST = """\
import os

def install(path, remove=False, prefix=None, root_prefix=None):
    print("said")
    if "broken" in path:
        raise RuntimeError("no such item")
    with open(os.path.expanduser("~/menus"), "a") as stream:
        stream.write(f"{os.path.relpath(path, prefix)} {remove}\\n")
"""


@pytest.fixture
def polite(empty: Machine) -> Machine:
    """A machine with an environment whose packages have scripts and menu items, one of each broken."""
    packages = (
        Package("able", "1.0", files={"bin/.able-pre-unlink.sh": File(_FAILS), "Menu/broken.json": File(b"{}")}),
        Package("kind", "1.0", files={"bin/.kind-pre-unlink.sh": File(_SAYS), "Menu/kind.json": File(b"{}")}),
    )
    build_channel(empty.directory / "channel", packages)
    empty.install("create", "-n", "e", "able", "kind")
    return empty


def _remove(machine: Machine, *more: str, **environ: str) -> Answer:
    return machine.run("prune", "envs", "e", "--remove", "--yes", "--ignore-running", *more, **environ)


def test_all_scripts_are_run_and_menu_items_removed_though_one_fails(polite: Machine) -> None:
    modules = polite.directory / "modules"
    modules.mkdir()
    (modules / "menuinst.py").write_text(_MENUINST)

    answer = _remove(polite, "--json", PYTHONPATH=str(modules))

    assert answer.code == 0
    assert (polite.home / "left").read_text() == f"kind {polite.envs / 'e'}\n"
    assert (polite.home / "menus").read_text() == "Menu/kind.json True\n"
    (warning,) = answer.json["warnings"]
    assert "its pre-unlink scripts: failed for able" in warning["message"]
    assert "its menu Menu/broken.json: no such item" in warning["message"]


def test_menu_items_that_nobody_here_can_remove_are_named(polite: Machine) -> None:
    answer = _remove(polite)

    assert answer.code == 0
    assert "menu Menu/kind.json: menuinst, which would remove it, is not installed" in " ".join(answer.err.split())
    assert "Traceback" not in answer.err
    assert "said" not in answer.out


def test_a_backup_keeps_both(polite: Machine) -> None:
    assert _remove(polite, "--backup").code == 0

    assert not (polite.home / "left").exists()


@pytest.mark.debian
def test_where_the_environment_cant_be_moved_no_script_is_run(polite: Machine) -> None:
    command = ("prune", "envs", "e", "--remove", "--yes", "--ignore-running", "--json")

    # As a lower layer of an overlay answers.
    end = run_failing(
        Sandbox(polite.directory),
        command,
        lambda _, path: "error=EXDEV" if path == str(polite.envs) else "",
        among=("renameat", "renameat2"),
    )

    assert end.code == 1
    assert "lower layer of an overlay" in end.output
    assert not (polite.home / "left").exists()
    assert (polite.envs / "e" / "conda-meta" / "history").is_file()


@pytest.mark.debian
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("redirect", ["off", "on"])
def test_in_a_lower_layer_of_a_real_overlay_no_script_is_run_unless_the_environment_can_go(
    polite: Machine, redirect: str
) -> None:
    layers = polite.directory / "layers"
    subprocess.run(["mount", "-t", "tmpfs", "none", _made(layers)], check=True)  # noqa: S607
    try:
        polite.envs.rename(polite.directory / "lower")
        lower, upper, work = polite.directory / "lower", _made(layers / "upper"), _made(layers / "work")
        options = f"lowerdir={lower},upperdir={upper},workdir={work},redirect_dir={redirect}"
        overlay = ["mount", "-t", "overlay", "-o", options, "none", str(_made(polite.envs))]
        subprocess.run(overlay, check=True)
        answer = _remove(polite, "--json")
        there = (polite.envs / "e" / "conda-meta" / "history").is_file()
    finally:
        for mounted in (polite.envs, layers):
            subprocess.run(["umount", "--lazy", str(mounted)], check=False)  # noqa: S607

    (outcome,) = answer.json["outcomes"]
    ran = (polite.home / "left").exists()
    if redirect == "off":
        assert (answer.code, there, ran) == (1, True, False)
        assert "lower layer of an overlay" in outcome["error"]
    else:
        assert (answer.code, there, ran) == (0, False, True)
    # The layer below is never changed.
    assert (lower / "e" / "conda-meta" / "history").is_file()


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
