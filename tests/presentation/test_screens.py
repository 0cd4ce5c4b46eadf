"""One snapshot of the main screens: words change in one place, and tests elsewhere assert kinds and numbers.

``CONDA_PRUNE_SCREENS=write`` writes what the program prints now; read the difference aloud before it is committed.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from conda_prune_plugin.core.evidence import Identity
from conda_prune_plugin.core.model import (
    Cache,
    Entry,
    Inventory,
    LastUsedFrom,
    LinkKind,
    Part,
    PartKind,
    ReasonKind,
    Result,
    Verdict,
)
from conda_prune_plugin.core.notices import STILL_DAMAGED, Notice
from conda_prune_plugin.core.plan import Keep, Outcome, Plan, Reason, Remove
from conda_prune_plugin.core.rules.explanation import Explanation
from conda_prune_plugin.core.run import Check, Disposal, Run, RunSummary, Shrinkage
from conda_prune_plugin.core.units import Unit
from conda_prune_plugin.discovery.roots.conda_meta import missing_notice
from conda_prune_plugin.presentation.outcome_text import show_outcomes, show_shrinkage
from conda_prune_plugin.presentation.plan_text import LINES, show_check, show_notices, show_plan, show_verified
from conda_prune_plugin.presentation.runs_text import show_restored, show_runs
from conda_prune_plugin.presentation.terminal.tables import Row, show_table
from conda_prune_plugin.presentation.why_text import show_why

SCREENS = Path(__file__).with_name("screens")
DAY, NOW = 86_400.0, 1_800_000_000.0
RUN = Run("20270115T080000Z-0123abcd", NOW)


def _entry(number: int, cache: str = "/pkgs") -> Entry:
    dist = f"package{number:03}-1.0-0"
    return Entry(cache, dist, (Part(PartKind.EXTRACTED, dist), Part(PartKind.ARCHIVE, f"{dist}.conda")))


def _remove(number: int, **changes: Any) -> Remove:
    entry = _entry(number)
    fields: dict[str, Any] = {
        "parts": entry.parts,
        "identities": (Identity(1, 2, 3),),
        "reasons": (Reason(ReasonKind.UNREFERENCED, "no environment uses it"),),
        "files": 10,
        "apparent": 900_000,
        "reclaimable": (number + 1) << 20,
        "last_used": NOW - (number + 1) * DAY,
        "last_used_from": LastUsedFrom.LINK if number % 2 else LastUsedFrom.EXTRACTION,
        **dict.fromkeys(("source", "sha256", "record")),
        "names": frozenset(),
        "known_links": (),
        **changes,
    }
    return Remove(entry, **fields)


def _keep(number: int, kind: ReasonKind, detail: str = "why", cache: str = "/pkgs", size: int = 0) -> Keep:
    return Keep(_entry(number, cache), Verdict.UNREFERENCED, (Reason(kind, detail),), size)


def _plan(count: int, *keep: Keep, caches: tuple[Cache, ...] = ()) -> Plan:
    remove = tuple(map(_remove, range(count)))
    entries = (*(decision.entry for decision in remove), *(decision.entry for decision in keep))
    return Plan(Inventory(caches or (Cache("/pkgs", "/pkgs", "conda", True, entries),), ()), remove, keep)


def _used_by(count: int) -> tuple[Reason, ...]:
    return tuple(
        Reason(ReasonKind.ENVIRONMENT, f"used by e{number}", f"/envs/e{number}", LinkKind.HARD)
        for number in range(count)
    )


MANY = _plan(
    600,
    *(_keep(number, ReasonKind.ENVIRONMENT) for number in range(600, 900)),
    _keep(900, ReasonKind.RECENT),
    _keep(901, ReasonKind.IRREPLACEABLE, "no url is known (--include-irreplaceable)"),
)
CLOSED = _plan(
    0,
    _keep(0, ReasonKind.READ_ONLY, cache="/opt/conda/pkgs", size=12 << 20),
    caches=(
        Cache("/opt/conda/pkgs", "/opt/conda/pkgs", "conda", False, (_entry(0, "/opt/conda/pkgs"),), owner="root"),
    ),
)


def _plan_screen(out: Console) -> None:
    show_plan(out, MANY, now=NOW, verbosity=0)


def _inodes_screen(out: Console) -> None:
    remove = tuple(_remove(number, reclaimable_inodes=1000 + number) for number in range(3))
    closed = replace(CLOSED.keep[0], reclaimable_inodes=1200)
    cache = Cache("/pkgs", "/pkgs", "conda", True, tuple(item.entry for item in remove))
    inventory = replace(CLOSED.inventory, caches=(cache, *CLOSED.inventory.caches))
    plan = replace(CLOSED, inventory=inventory, remove=remove, keep=(closed,))
    show_plan(out, plan, now=NOW, verbosity=1, sort="inodes")
    show_check(out, Check(20_000, unit=Unit.INODES), plan)
    done = [Outcome(item.entry, Result.REMOVED, 10, 1 << 20, freed_inodes=12) for item in remove]
    show_outcomes(out, out, plan, RUN, done, (), quiet=False, inodes=True)
    show_shrinkage(out, Shrinkage("image", 5 << 20, 1 << 20, 4000, 1000), inodes=True)


def _damage_screen(out: Console) -> None:
    directory = Entry("/pkgs", _entry(1).dist, _entry(1).parts[:1])
    corrupt = Reason(ReasonKind.CORRUPT, "1 of 4 files changed (lib/a)")
    unused = Reason(ReasonKind.NOT_SELECTED, "not in use, and --repair removes nothing without --leftovers")
    keep = (
        Keep(directory, Verdict.LEFTOVER, (*_used_by(1), corrupt)),
        Keep(replace(directory, dist="unused-1-0"), Verdict.LEFTOVER, (unused, corrupt)),
        Keep(_entry(1), Verdict.REACHABLE, _used_by(1)),
        # The archive of the package that is in use: no damaged package more.
        Keep(Entry("/pkgs", f"{_entry(1).dist}.conda", _entry(1).parts[1:]), Verdict.LEFTOVER, (unused, corrupt)),
    )
    plan = _plan(1, *keep)
    notices = (
        missing_notice("/an/environment/that/is/away"),
        Notice(
            STILL_DAMAGED,
            f"Environment e0 hard-links the old files of {_entry(1).dist}. Reinstall there: `conda install -n e0`",
            "/envs/e0",
            command="conda install -n e0",
        ),
        *(
            Notice(STILL_DAMAGED, f"Environment e{n}. `conda -n e{n}`", "", command=f"conda -n e{n}")
            for n in range(1, 5)
        ),
    )

    def tell() -> None:
        for contents in (True, False):
            show_verified(out, plan, contents=contents)
        show_notices(out, notices)

    show_plan(out, plan, now=NOW, verbosity=1, disposal=Disposal.BACKUP, notices=tell)


def _closed_screen(out: Console) -> None:
    show_plan(out, CLOSED, now=NOW, verbosity=0)


def _result_screen(out: Console) -> None:
    outcomes = [Outcome(_entry(number), Result.REMOVED, 10, 1 << 20) for number in range(2)]
    outcomes += [Outcome(_entry(n), Result.FAILED, error=f"/pkgs/{_entry(n).dist}: permission denied") for n in (2, 3)]
    outcomes += [Outcome(_entry(n), Result.FAILED, error="the disk is full") for n in range(4, 9)]
    show_outcomes(out, out, MANY, RUN, outcomes, (), quiet=False)
    # Of two packages one can't be downloaded again, or neither can.
    for lost in (1, 2):
        final = [
            replace(item, irreplaceable="built here") if n < lost else item for n, item in enumerate(MANY.remove[:2])
        ]
        done = [Outcome(item.entry, Result.REMOVED, 10, 1 << 20) for item in final]
        show_outcomes(out, out, replace(MANY, remove=tuple(final)), RUN, done, (), quiet=False)


def _why_screen(out: Console) -> None:
    show_why(out, [Explanation(_entry(0), Verdict.REACHABLE, _used_by(18), None)], {}, None, now=NOW)


def _runs_screen(out: Console) -> None:
    def summary(name: str, **more: Any) -> RunSummary:
        dists = tuple(_entry(number).dist for number in range(5))
        disposal = more.pop("disposal", Disposal.DELETE)
        return RunSummary(name, Run(name, NOW - DAY, disposal), ("/pkgs",), dists, 9, **{"complete": True, **more})

    runs = [
        summary("20270101T000000Z-00000001", stored=0, size=5 << 20),
        summary("20270102T000000Z-00000002", stored=3 << 20, size=5 << 20, disposal=Disposal.BACKUP),
        summary("20270103T000000Z-00000003", stored=2 << 20, size=5 << 20, disposal=Disposal.ARCHIVE, in_place=True),
        summary("20270104T000000Z-00000004", stored=0, size=5 << 20, environments=True, rebuildable=False),
        summary("20270105T000000Z-00000005", stored=0, complete=False),
    ]
    show_runs(out, runs, NOW)


def _restored_screen(out: Console) -> None:
    outcomes = [Outcome(_entry(0), Result.RESTORED, 10)]
    outcomes += [Outcome(_entry(n), Result.FAILED, error=f"http://x/{_entry(n).dist}.conda: 404") for n in range(1, 9)]
    show_restored(out, out, RUN.id, outcomes, quiet=False)


def _table_screen(out: Console) -> None:
    rows = [Row(f"  environment-{'x' * length}", ("1.0 MiB", "2.0 MiB", "123", "1 year ago")) for length in (1, 40)]
    for width in (80, 50, 30):
        narrow = Console(file=out.file, width=width)
        show_table(narrow, "  environment", ("own", "shared", "packages", "used"), rows, drop=("packages", "shared"))


@pytest.mark.parametrize(
    "screen",
    [
        _plan_screen,
        _damage_screen,
        _inodes_screen,
        _closed_screen,
        _result_screen,
        _why_screen,
        _runs_screen,
        _restored_screen,
        _table_screen,
    ],
    ids=lambda screen: screen.__name__.strip("_"),
)
def test_a_screen_is_as_it_was_read(screen: Any) -> None:
    stream = io.StringIO()
    screen(Console(file=stream, width=80, markup=False, highlight=False, emoji=False))
    path = SCREENS / f"{screen.__name__.strip('_')}.txt"
    if os.environ.get("CONDA_PRUNE_SCREENS") == "write":
        SCREENS.mkdir(exist_ok=True)
        path.write_text(stream.getvalue())

    assert stream.getvalue() == path.read_text()
    assert max(map(len, stream.getvalue().splitlines())) <= 80


def test_the_summary_of_a_large_plan_stands_on_the_last_screen() -> None:
    stream = io.StringIO()
    show_plan(Console(file=stream, width=80, markup=False, highlight=False), MANY, now=NOW, verbosity=0)
    lines = stream.getvalue().splitlines()

    assert sum(line.startswith("  package") for line in lines) == LINES
    assert f"{600 - LINES} more" in stream.getvalue()
    assert any("300 in use" in line for line in lines[-10:])
