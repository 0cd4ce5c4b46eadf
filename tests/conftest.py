"""Fixtures: the machine, whole and fresh for every test that changes it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from conda_prune_plugin.embedded import activate

# Before any test module imports conda.
activate()

import prepared  # noqa: E402
from machine import Machine, copy_tree  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

# A shell starts what runs in its background with SIGINT ignored, and nohup with SIGHUP: so would be all processes that
# tests interrupt, or whose terminal they close.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# However slow the machine is; and what one run has found is not left in the checkout.
settings.register_profile("ours", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")
# For daily work; the gate tries more.
settings.register_profile("quick", settings.get_profile("ours"), max_examples=20)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the options of tests/hardening (see its README)."""
    group = parser.getgroup("hardening")
    group.addoption(
        "--soak-minutes", type=float, default=0, help="go on for so long, in all of tests/hardening together"
    )
    group.addoption("--soak-seed", type=int, help="the first seed; the gate's is 1, a long run's is random")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests in tests/hardening have counted, and from which seed on."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "hardening":
                    terminalreporter.write_line(f"{report.nodeid}: {value}")


#: Whether this system is one that a marker asks for.
SYSTEMS = {"posix": os.name == "posix", "linux": sys.platform.startswith("linux")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs conda on a machine of its own, so that daily work can leave it out; skip what can't run here."""
    for item in items:
        for marker, here in SYSTEMS.items():
            if not here and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"needs {marker}"))
        known = {*getattr(item, "fixturenames", ()), *vars(getattr(item, "module", None) or item)}
        if known & {"machine", "empty", "Machine", "Sandbox"}:
            item.add_marker("conda")


def pytest_sessionfinish() -> None:
    """End what the commands are forked from."""
    prepared.stop()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, Path]:
    """A machine, and the place of its untouched copy."""
    directory = tmp_path_factory.mktemp("machine")
    machine = Machine(directory / "it")
    machine.build()
    copy_tree(machine.directory, directory / "copy")
    return machine, directory / "copy"


@pytest.fixture
def machine(built: tuple[Machine, Path]) -> Machine:
    """A machine that the test may change."""
    machine, copy = built
    shutil.rmtree(machine.directory)
    copy_tree(copy, machine.directory)
    return machine


@pytest.fixture
def empty(tmp_path: Path) -> Machine:
    """A machine without packages and environments."""
    machine = Machine(tmp_path / "it")
    machine.create()
    return machine
