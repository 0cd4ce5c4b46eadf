"""What Windows and macOS lack is taken away, and all commands still do their work.

That these are the only differences nobody can test here: paths, locks and the kernel stay those of Linux.
"""

from __future__ import annotations

import ast
import json
import ntpath
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from machine import UNREFERENCED, Answer, contents, listing
from other_systems import MODULES_NOT_ON_WINDOWS, NOT_ON_MACOS, NOT_ON_WINDOWS
from tiny import Tiny

import conda_prune_plugin
from conda_prune_plugin.core.dist_names import extended, is_file_name
from conda_prune_plugin.demo.sandbox import Sandbox
from conda_prune_plugin.operations.envs import fix_registry

if TYPE_CHECKING:
    from machine import Machine

_SCRIPT = Path(__file__).parents[1] / "support" / "other_systems.py"
_PACKAGE = Path(conda_prune_plugin.__file__).parent

#: Modules of the standard library that only some systems have.
_ONLY_SOME = {*MODULES_NOT_ON_WINDOWS, "posix", "msvcrt", "winreg", "_winapi", "nt"}

#: What `os` has only on some systems: to be asked for before it is used.
_OS_ONLY_SOME = {*NOT_ON_WINDOWS, *NOT_ON_MACOS}

#: What a guarded place asks. Only who works by descriptors has a `dir_fd`, and mamba's lock needs `fcntl`.
_QUESTIONS = ("hasattr", "BY_DESCRIPTOR", "ON_WINDOWS", "dir_fd", "fcntl", "_MAMBA_BYTE", "_OURS", "own_user")

SYSTEMS = ("windows", "macos")

#: Without ``/proc`` nobody can see whose caches another program uses.
_PRUNE = ("prune", "--min-age", "0", "--yes", "--json", "--ignore-running")


def _on(system: str, sandbox: Sandbox, *commands: tuple[str, ...], odd: tuple[Path, ...] = ()) -> list[Answer]:
    """Return what the commands say, one after the other, on a system without what it lacks."""
    question = {"commands": commands, "odd": [str(path) for path in odd]}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", _SCRIPT, system],
        env=sandbox.environ(),
        cwd=sandbox.directory,
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=True,
    )
    return [Answer(*answer) for answer in json.loads(done.stdout)]


def _as_seen(system: str, found: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """Return contents without the modes that Windows does not have."""
    return {path: item[system == "windows" :] for path, item in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_command_works_without_what_linux_has(machine: Machine, system: str, tmp_path: Path) -> None:
    environments = {path: contents(path) for path in machine.environments}
    cache, before = contents(machine.cache), listing(machine.directory)
    plain = machine.prune("--dry-run", "--json").json

    answers = _on(
        system,
        machine,
        ("prune", "--min-age", "0", "--dry-run", "--json"),
        ("prune", "usage", "--json"),
        ("prune", "why", "--all", "--json"),
    )
    assert [answer.code for answer in answers] == [0, 0, 0], answers
    plan = answers[0].json
    assert {entry["dist"] for entry in plan["remove"]} == UNREFERENCED
    if system == "macos":
        assert plan["remove"] == plain["remove"]
    assert plan["totals"]["apparent"] == plain["totals"]["apparent"]
    assert (plan["totals"]["reclaimable"] == plain["totals"]["reclaimable"]) == (system == "macos")
    assert ("estimated-sizes" in {item["kind"] for item in plan["warnings"]}) == (system == "windows")
    assert plan["totals"]["precision"] == {"windows": "about", "macos": "exact"}[system]
    assert listing(machine.directory) == before

    prune = (*_PRUNE, "--ignore-unreadable")
    answers = _on(
        system,
        machine,
        (*prune, "--backup"),
        ("prune", "restore", "last", "--json"),
        (*prune, "--backup-to", str(tmp_path / "archives")),
        ("prune", "restore", "last", "--json"),
    )
    assert [answer.code for answer in answers] == [0, 0, 0, 0], answers
    assert [{outcome["result"] for outcome in answer.json["outcomes"]} for answer in answers] == [
        {"backed-up"},
        {"restored"},
    ] * 2
    left = {path: item for path, item in contents(machine.cache).items() if ".conda-prune" not in path}
    assert _as_seen(system, left) == _as_seen(system, cache)

    answers = _on(system, machine, ("prune", "purge", "--all", "--yes", "--json"), prune, prune)
    assert [answer.code for answer in answers] == [0, 0, 0], answers
    assert {outcome["result"] for outcome in answers[1].json["outcomes"]} == {"removed"}
    assert answers[2].json["remove"] == []
    assert {path: contents(path) for path in machine.environments} == environments


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A cache with two entries that may go."""
    tiny = Tiny(tmp_path / "it")
    for dist in ("a-1-0", "b-1-0"):
        tiny.add(dist)
    Sandbox(tmp_path / "it").create()
    return tiny


def _results(answer: Answer) -> dict[str, str]:
    document = answer.json
    kept = {entry["dist"]: entry["reasons"][0]["kind"] for entry in document["keep"]}
    return kept | {outcome["dist"]: outcome["result"] for outcome in document["outcomes"]}


def test_links_of_an_unknown_environment_are_counted_where_listings_tell_no_links(tiny: Tiny, tmp_path: Path) -> None:
    os.link(tiny.cache / "a-1-0" / "lib" / "one", tmp_path / "linked")

    (answer,) = _on("windows", Sandbox(tmp_path / "it"), _PRUNE)

    assert _results(answer) == {"a-1-0": "linked", "b-1-0": "removed"}


def test_read_only_files_go_on_windows_too(tiny: Tiny, tmp_path: Path) -> None:
    for path in (tiny.cache / "a-1-0" / "lib" / "one", tiny.cache / "a-1-0" / "lib"):
        path.chmod(path.stat().st_mode & ~0o222)

    (answer,) = _on("windows", Sandbox(tmp_path / "it"), _PRUNE)

    assert _results(answer) == {"a-1-0": "removed", "b-1-0": "removed"}
    assert not (tiny.cache / "a-1-0").exists()


def test_a_junction_is_never_followed_and_what_holds_one_is_kept(tiny: Tiny, tmp_path: Path) -> None:
    tiny.add("c-1-0")
    inner = tiny.cache / "a-1-0" / "lib"

    (answer,) = _on("windows", Sandbox(tmp_path / "it"), _PRUNE, odd=(inner, tiny.cache / "b-1-0"))

    results = _results(answer)
    assert (results["b-1-0"], results["c-1-0"]) == ("unknown", "removed")
    (kept,) = (entry for entry in answer.json["keep"] if entry["dist"] == "a-1-0")
    assert any("a junction" in reason["detail"] for reason in kept["reasons"])
    assert (inner / "one").exists()
    assert (tiny.cache / "b-1-0" / "lib" / "one").exists()


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_removed_environment_leaves_the_registry_and_nothing_else_does(
    tiny: Tiny, tmp_path: Path, system: str
) -> None:
    sandbox = Sandbox(tmp_path / "it")
    environment = tiny.use("e", "a-1-0")
    sandbox.registry.parent.mkdir(parents=True, exist_ok=True)
    sandbox.registry.write_text(f"/not/mounted\n{environment}\n/nor/this\n")

    (answer,) = _on(system, sandbox, ("prune", "envs", "e", "--remove", "--yes", "--ignore-running", "--json"))

    assert answer.code == 0, answer
    assert not environment.exists()
    assert sandbox.registry.read_text() == "/not/mounted\n/nor/this\n"


def test_what_a_flag_locks_on_macos_is_kept(tiny: Tiny, tmp_path: Path) -> None:
    (answer,) = _on("macos", Sandbox(tmp_path / "it"), _PRUNE, odd=(tiny.cache / "a-1-0" / "lib" / "one",))

    assert _results(answer) == {"a-1-0": "read-only", "b-1-0": "removed"}
    reason = next(entry for entry in answer.json["keep"] if entry["dist"] == "a-1-0")["reasons"][0]
    assert "locked by a flag" in reason["detail"]


def test_where_links_leave_no_time_the_time_of_extraction_stands_in_and_all_is_said(tiny: Tiny, tmp_path: Path) -> None:
    environment = tiny.use("e", "b-1-0")
    (environment / "lib" / "one").unlink()
    tiny.use("e2", "a-1-0")
    for name in ("e", "e2"):
        subprocess.run(["rm", "-r", str(tiny.envs / name)], check=True)  # noqa: S607

    on_linux = Sandbox(tmp_path / "it").conda("prune", "--min-age", "0", "--dry-run", "--json")
    shown, document = _on(
        "windows", Sandbox(tmp_path / "it"), (*_PRUNE[:3], "--dry-run"), (*_PRUNE[:3], "--dry-run", "--json")
    )

    assert {item["last_used_from"] for item in json.loads(on_linux.stdout)["remove"]} == {"link"}
    assert {item["last_used_from"] for item in document.json["remove"]} == {"extraction"}
    assert "about " in shown.out
    assert "rounded up to 4 KiB" in shown.err
    assert "Other programs can't be seen" not in shown.err


@pytest.mark.parametrize("name", ["D:a", "a:stream", "..\\a", "\\a", "a/b", "..", ".", "", "a\0"])
def test_no_name_leads_out_of_a_directory_on_windows(name: str) -> None:
    assert not is_file_name(name, "\\")
    assert is_file_name("a-1!2-0", "\\")
    assert is_file_name("a:b", "/")


@pytest.mark.parametrize(
    ("path", "long"),
    [
        (r"C:\pkgs\a-1-0", r"\\?\C:\pkgs\a-1-0"),
        (r"C:/pkgs/a-1-0", r"\\?\C:\pkgs\a-1-0"),
        (r"\\server\share\pkgs", r"\\?\UNC\server\share\pkgs"),
        (r"\\?\C:\pkgs", r"\\?\C:\pkgs"),
    ],
)
def test_a_path_on_windows_may_be_long(path: str, long: str) -> None:
    assert extended(path, "\\") == long
    assert extended("/pkgs/a-1-0", "/") == "/pkgs/a-1-0"


def test_where_the_registry_is_kept_is_told_on_windows_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dirname", "join", "realpath"):
        monkeypatch.setattr(fix_registry, name, getattr(ntpath, name), raising=False)
    monkeypatch.setattr(fix_registry, "take_out", lambda *arguments: True)
    conda = r"C:\Users\me\.conda"

    ((copy,), _) = fix_registry._take_out({rf"{conda}\environments.txt": ()})

    assert ntpath.dirname(copy) == conda
    assert ntpath.basename(copy).startswith("environments.txt.")


def _sources() -> list[Path]:
    return sorted(_PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(_PACKAGE)))
def test_what_only_some_systems_have_is_used_only_where_it_was_asked_for(path: Path) -> None:
    """A module is imported in a ``try``, or below a question; so is an attribute of `os` used."""
    unguarded: list[str] = []
    _look(ast.parse(path.read_text()), False, unguarded)
    assert unguarded == []


def _look(node: ast.AST, guarded: bool, unguarded: list[str]) -> None:
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
        names = [node.module or ""]
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
        names = [node.attr] if node.attr in _OS_ONLY_SOME else []
    if not guarded:
        unguarded += [name for name in names if name in _ONLY_SOME | _OS_ONLY_SOME]
    # A function that begins with a question, or asks anywhere, is a guarded place.
    asks = isinstance(node, (ast.If, ast.IfExp, ast.Try, ast.BoolOp, ast.FunctionDef)) and _asks(node)
    for child in ast.iter_child_nodes(node):
        _look(child, guarded or asks, unguarded)


def _asks(node: ast.AST) -> bool:
    """Return whether it asks for something that only some systems have, or catches that it is missing."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and inner.id in _QUESTIONS:
            return True
        if isinstance(inner, ast.ExceptHandler) and inner.type is not None:
            caught = {item.id for item in ast.walk(inner.type) if isinstance(item, ast.Name)}
            if caught & {"ImportError", "AttributeError"}:
                return True
    return False
