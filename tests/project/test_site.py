"""The site has what the program has: options, settings, fields, messages. Its example commands run."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import generated
import pytest
from test_ci_snippets import conda_on_path

import conda_prune_plugin
from conda_prune_plugin import errors
from conda_prune_plugin.cli.parsing.command_table import COMMANDS
from conda_prune_plugin.cli.parsing.option_table import options_of
from conda_prune_plugin.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine import Machine

PACKAGE = Path(conda_prune_plugin.__file__).parent
MESSAGES = (generated.DOCS / "how-to" / "messages.md").read_text()


@pytest.mark.parametrize("command", ["prune", *COMMANDS])
def test_the_command_line_has_every_option_of_a_command(command: str) -> None:
    title = "conda prune" if command == "prune" else f"conda prune {command}"
    (section,) = re.findall(rf"^## `{title}`\n(.*?)(?=^## |\Z)", generated.command_line(), re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"`(-[\w-]+)", section))

    assert {name for _, option in options_of(command) for name in option.names if name.startswith("-")} <= named


def test_a_text_of_the_help_is_shown_as_it_is() -> None:
    assert generated._escaped("a *b* <c> `d*`") == r"a \*b\* \<c\> `d*`"


def test_the_settings_and_the_fields_of_json_are_all_on_the_site() -> None:
    assert re.findall(r"^\| `(\w+)`", generated.settings(), re.MULTILINE) == [setting.name for setting in SETTINGS]
    assert set(re.findall(r"^## `(\w+)`", generated.json_fields(), re.MULTILINE)) == generated._described()


def test_links_out_of_the_site_lead_to_the_repository() -> None:
    page = generated.DOCS / "how-to" / "ci.md"

    assert generated.page("[a](../../action.yml)", page) == f"[a]({generated.REPOSITORY}/blob/main/action.yml)"
    assert generated.page("[a](../../benchmarks/)", page) == f"[a]({generated.REPOSITORY}/tree/main/benchmarks)"
    assert generated.page("[a](../../CHANGELOG.md)", page) == "[a](../reference/changelog.md)"
    for stays in ("[a](environments.md#removal)", "[a](https://conda.org)", "[a](#removal)"):
        assert generated.page(stays, page) == stays


def _kinds() -> Iterator[str]:
    """Yield the kinds of all notices that the package makes."""
    for module in PACKAGE.rglob("*.py"):
        tree = ast.parse(module.read_text())
        for scope in ast.walk(tree):
            if isinstance(scope, (ast.FunctionDef, ast.Module)):
                yield from _kinds_in(scope, module)


def _kinds_in(scope: ast.FunctionDef | ast.Module, module: Path) -> Iterator[str]:
    for call in ast.walk(scope):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or not call.args:
            continue
        if call.func.id not in ("Notice", "stopped_notice"):
            continue
        kind = call.args[0]
        if isinstance(kind, ast.Constant):
            yield str(kind.value)
        elif isinstance(kind, ast.Name) and isinstance(scope, ast.FunctionDef):
            yield from _texts_of(kind.id, scope, module)


def _texts_of(name: str, scope: ast.FunctionDef, module: Path) -> Iterator[str]:
    """Yield the texts that a name may stand for: a constant of the module, or what the function assigns to it."""
    path = module.relative_to(PACKAGE.parent).with_suffix("")
    constant = getattr(importlib.import_module(".".join(path.parts)), name, None)
    if isinstance(constant, str):
        yield constant
    for assigned in ast.walk(scope):
        if isinstance(assigned, ast.Assign) and isinstance(assigned.targets[0], ast.Tuple):
            names = [ast.unparse(target) for target in assigned.targets[0].elts]
            if name in names and isinstance(assigned.value, ast.Tuple):
                value = assigned.value.elts[names.index(name)]
                if isinstance(value, ast.Constant):
                    yield str(value.value)


def _entries(*headings: str) -> list[str]:
    sections = "".join(
        re.findall(rf"^## (?:{'|'.join(headings)})\n(.*?)(?=^## |\Z)", MESSAGES, re.DOTALL | re.MULTILINE)
    )
    return re.findall(r"^\| `([\w-]+)` \|", sections, re.MULTILINE)


def test_every_error_has_an_entry_among_the_messages() -> None:
    classes = {
        name for name, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, errors.PruneError)
    }
    entries = _entries("Errors")

    assert sorted(entries) == sorted(classes - {"PruneError"})


def test_every_kind_of_notice_has_an_entry_among_the_messages() -> None:
    kinds = set(_kinds())
    entries = _entries(r"Warnings about [^\n]*")

    assert {"missing-environment", "unreadable-neighbour", "disk-error", "prune"} <= kinds
    assert sorted(entries) == sorted(kinds)


#: The commands of each page, in their order.
PAGES = {
    path.name: [
        line.strip()
        for block in re.findall(r"<!-- commands: \w+ -->\n *```sh\n(.*?)\n *```", path.read_text(), re.DOTALL)
        for line in block.splitlines()
    ]
    for path in sorted(generated.DOCS.rglob("*.md"))
}


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, commands in PAGES.items() if commands])
def test_the_commands_of_a_page_run(machine: Machine, page: str) -> None:
    registry = machine.home / ".conda" / "environments.txt"
    registry.write_text(
        "".join(f"{line}\n" for line in registry.read_text().split("\n") if Path(line, "conda-meta").is_dir())
    )
    (machine.home / "projects").mkdir()
    # Everything here is young, and nobody is here to answer.
    script = re.sub(r"conda prune(?= --|\n)", "conda prune --min-age 0", "\n".join([*PAGES[page], ""]))
    script = script.replace("envs old ", "envs copy ")
    variables = conda_on_path(machine, CONDA_ALWAYS_YES="true")

    done = subprocess.run(
        ["bash", "-ex", "-c", script],  # noqa: S607
        env={**variables, "HOME": os.fspath(machine.home)},
        cwd=machine.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
