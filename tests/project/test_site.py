"""The site has what the program has: options, settings, fields, messages. Its example commands run."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import generated
import pytest

import conda_prune_plugin
from conda_prune_plugin import errors
from conda_prune_plugin.cli.parsing.command_table import COMMANDS
from conda_prune_plugin.cli.parsing.option_table import options_of
from conda_prune_plugin.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine import Machine

TOP = generated.DOCS.parent
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


def _commands(page: Path) -> list[str]:
    """Return the commands of a page, in their order; of the README also those that its tables have after a wish."""
    text = page.read_text()
    blocks = re.findall(r"<!-- commands: \w+ -->\n *```sh\n(.*?)\n *```", text, re.DOTALL)
    cells = re.findall(r"^\| [^|]* \| (`conda prune .*) \|$", text, re.MULTILINE) if page.name == "README.md" else []
    lines = [line for block in blocks for line in block.splitlines()]
    lines += [command for cell in cells for command in re.findall(r"`(conda prune [^`]*)`", cell)]
    return [line.split("  #")[0].strip() for line in lines]


PAGES = {page.name: _commands(page) for page in (TOP / "README.md", *sorted(generated.DOCS.rglob("*.md")))}

#: What a page names, and what this machine has in its place.
HERE = {"envs old ": "envs copy ", "numpy": "libalpha", "pixi.lock": "explicit.txt"}


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, commands in PAGES.items() if commands])
def test_the_commands_of_a_page_run(machine: Machine, page: str) -> None:
    lines = machine.registry.read_text().splitlines()
    machine.registry.write_text("".join(f"{line}\n" for line in lines if Path(line, "conda-meta").is_dir()))
    (machine.home / "projects").mkdir()
    (machine.directory / "explicit.txt").write_text(f"@EXPLICIT\n{machine.channel}/linux-64/libalpha-1.0-0.conda\n")

    # That one needs a terminal; tests/cli/test_browse.py has it.
    for command in filter(lambda line: line != "conda prune browse", PAGES[page]):
        # Everything here is young, and nobody is here to answer.
        here = re.sub(r"^conda prune(?= --|$)", "conda prune --min-age 0", command).replace("~", str(machine.home))
        for named, had in HERE.items():
            here = here.replace(named, had)
        program, *arguments = shlex.split(here)
        answer = machine.run(*arguments, CONDA_ALWAYS_YES="true")
        assert (program, answer.code) == ("conda", 0), f"{command}: {answer.out}{answer.err}"
