"""Other programs read conda's parser: completion, MCP servers. They see all commands and options, and can call them."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from machine import Machine
from tiny import tiny_on

from conda_prune_plugin.cli.parsing.command_table import COMMANDS
from conda_prune_plugin.cli.parsing.option_table import options_of
from conda_prune_plugin.embedded import activate

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What a reader of parsers may know: the kinds of actions that argparse documents.
KINDS = (
    argparse._StoreAction,
    argparse._StoreTrueAction,
    argparse._StoreFalseAction,
    argparse._AppendAction,
    argparse._CountAction,
    argparse._HelpAction,
    argparse._VersionAction,
    argparse.BooleanOptionalAction,
)

#: The calls that a machine makes before anybody says yes.
READING = (("prune", "--dry-run"), ("prune", "usage"), ("prune", "why", "--all"), ("prune", "envs"))


@pytest.fixture
def filled(empty: Machine) -> Machine:
    """A machine with an environment and a package that nothing uses."""
    tiny = tiny_on(empty)
    tiny.add("used-1-0")
    tiny.add("unused-1-0")
    tiny.use("work", "used-1-0")
    return empty


def _prune_parser() -> argparse.ArgumentParser:
    activate()
    from conda.cli.conda_argparse import generate_parser

    (commands,) = _subparsers(generate_parser())
    prune: argparse.ArgumentParser = commands.choices["prune"]
    return prune


def _subparsers(parser: argparse.ArgumentParser) -> Iterator[argparse._SubParsersAction[Any]]:
    return (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))


def test_whoever_walks_the_parser_sees_every_command_option_choice_and_help() -> None:
    prune = _prune_parser()
    (commands,) = _subparsers(prune)
    helped = {action.dest: action.help for action in commands._choices_actions}

    assert helped == {name: command.summary for name, command in COMMANDS.items()}
    for name, parser in {"prune": prune, **commands.choices}.items():
        actions = {option: action for action in parser._actions for option in action.option_strings or [action.dest]}
        assert parser.description
        for _, option in options_of(name):
            action = actions[option.name]
            assert action.help == option.help
            assert action.choices == option.more.get("choices")
            assert set(option.names) <= {*action.option_strings, action.dest}
        kinds = [action for action in parser._actions if not isinstance(action, (*KINDS, argparse._SubParsersAction))]
        assert kinds == []


def test_no_command_offers_an_option_of_conda_that_does_nothing_here() -> None:
    prune = _prune_parser()
    (commands,) = _subparsers(prune)

    for parser in (prune, *commands.choices.values()):
        assert "--console" not in parser._option_string_actions
        with pytest.raises(SystemExit):
            parser.parse_args(["--console", "json"])


def test_a_machine_can_ask_in_json_and_removes_nothing_without_a_yes(filled: Machine) -> None:
    before = sorted(filled.cache.iterdir())

    for words in READING:
        assert filled.run(*words, "--json").json["schema"] == 1
    refused = filled.prune("--json")

    assert refused.code == 1
    assert refused.json["error"]
    assert sorted(filled.cache.iterdir()) == before


def _fresh(machine: Machine, script: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", script], env=machine.environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_conda_cli_mcp_offers_the_commands_and_a_call_without_yes_removes_nothing(filled: Machine) -> None:
    pytest.importorskip("conda_cli_mcp.command")
    script = (
        "import json\n"
        "from conda_prune_plugin.embedded import activate; activate()\n"
        "from conda.cli.conda_argparse import generate_parser\n"
        "from conda_cli_mcp.command import command_tools\n"
        "from conda_cli_mcp.discovery import inspect_parser\n"
        "program = inspect_parser(generate_parser())\n"
        "tools = {tool.name: tool for tool in command_tools(program) if tool.path[0] == 'prune'}\n"
        "calls = {\n"
        "    'conda_prune': {'dry_run': True, 'json': True},\n"
        "    'conda_prune_usage': {'json': True},\n"
        "    'conda_prune_why': {'all': True, 'json': True},\n"
        "    'conda_prune_envs': {'json': True},\n"
        "}\n"
        "print(json.dumps({\n"
        "    'tools': {name: sorted(tool.input_schema['properties']) for name, tool in tools.items()},\n"
        "    'calls': [tools[name].compile(values) for name, values in calls.items()],\n"
        "    'removal': tools['conda_prune'].compile({'json': True, 'min_age': '0'}),\n"
        "    'not understood': [str(one) for one in program.diagnostics if 'prune' in one.path],\n"
        "}))\n"
    )
    before = sorted(filled.cache.iterdir())

    offered = _fresh(filled, script)

    assert set(offered["tools"]) == {"conda_prune", *(f"conda_prune_{name}" for name in COMMANDS)}
    assert {"dry_run", "json", "yes", "older_than"} <= set(offered["tools"]["conda_prune"])
    assert offered["not understood"] == []
    assert "--yes" not in {word for call in offered["calls"] for word in call}
    for words in offered["calls"]:
        assert filled.run(*words).json["schema"] == 1
    assert filled.run(*offered["removal"]).code == 1
    assert sorted(filled.cache.iterdir()) == before


def test_conda_completion_completes_commands_options_and_choices(filled: Machine) -> None:
    pytest.importorskip("conda_completion.introspect")
    script = (
        "import json\n"
        "from conda_prune_plugin.embedded import activate; activate()\n"
        "from conda_completion.introspect import generate_manifest\n"
        "prune = generate_manifest().commands['prune']\n"
        "print(json.dumps({\n"
        "    'options': sorted(prune.options),\n"
        "    'choices': prune.options['--ci'].choices,\n"
        "    'commands': {name: sorted(command.options) for name, command in prune.subcommands.items()},\n"
        "}))\n"
    )

    manifest = _fresh(filled, script)

    assert set(manifest["commands"]) == set(COMMANDS)
    assert manifest["choices"] == ["image", "cache"]
    assert {option.name for _, option in options_of("prune")} <= {*manifest["options"], "--no-backup"}
    assert {"--json", "--dry-run", "--yes", "--verbose"} <= set(manifest["options"])
    assert {"--html", "--packages", "--json"} <= set(manifest["commands"]["usage"])
