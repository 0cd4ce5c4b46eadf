"""The parts of the site that are made from the program: the command line, the settings and the JSON documents.

A comment such as ``<!-- generated: command_line -->`` is replaced by the result of the function of that name.
Links to files that are not in the site lead to the repository.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conda_prune_plugin.embedded import activate

activate()

from conda_prune_plugin.cli.parsing.parsers import configure_parser  # noqa: E402
from conda_prune_plugin.settings import SETTINGS  # noqa: E402

DOCS = Path(__file__).parent
REPOSITORY = "https://github.com/conda-incubator/conda-prune"


def command_line() -> str:
    """Return a section for each command with its arguments and options, from its parser."""
    top = argparse.ArgumentParser()
    configure_parser(top)
    (commands,) = (action.choices for action in top._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    return "\n\n".join(line for parser in (top, *commands.values()) for line in _command(parser))


def _command(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## `{parser.prog}`"
    yield f"```text\n{parser.usage}\n```"
    yield _escaped(parser.description or "")
    # argparse has no public way to ask for its options.
    for group in parser._action_groups:  # noqa: SLF001
        actions = [action for action in group._group_actions if action.help != argparse.SUPPRESS]  # noqa: SLF001
        if not actions or isinstance(actions[0], argparse._SubParsersAction):  # noqa: SLF001
            continue
        yield f"**{(group.title or '').capitalize()}**"
        yield from (f"{_names(action)}\n: {_escaped(action.help or '')}" for action in actions)
    if parser.epilog:
        yield f"```text\n{parser.epilog.strip()}\n```"


def _names(action: argparse.Action) -> str:
    """Return the names of an option, each with the kind of its value."""
    if not action.option_strings:
        return f"`{action.metavar or action.dest.upper()}`"
    value = "" if action.nargs == 0 else f" {action.metavar or '{' + ','.join(action.choices or ()) + '}'}"
    return ", ".join(f"`{name}{value}`" for name in action.option_strings)


def _escaped(text: str) -> str:
    """Return a text of the help as Markdown: only its backticks mean the same there."""
    parts = re.split(r"(`[^`]*`)", text.strip())
    return "".join(part if part.startswith("`") else re.sub(r"([*_<>\[\]~|])", r"\\\1", part) for part in parts)


def settings() -> str:
    """Return the table of all settings."""
    rows = [
        f"| `{setting.name}` | {setting.description.replace('|', chr(92) + '|')} | {_default(setting.default)} |"
        for setting in SETTINGS
    ]
    return "\n".join(("| setting | meaning | default |", "|---|---|---|", *rows))


def _default(value: object) -> str:
    if value is None or value == ():
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def json_fields() -> str:
    """Return a table of the fields of each document and each part that has a name in the schema."""
    schema = json.loads((DOCS / "output.schema.json").read_text())
    return "\n\n".join(
        line for name, part in schema["$defs"].items() if "properties" in part for line in _fields(name, part)
    )


def _fields(name: str, part: dict[str, Any]) -> Iterator[str]:
    yield f"## `{name}`"
    if "description" in part:
        yield _escaped(part["description"])
    rows = [
        f"| `{field}` | {_kind(value)} | {_escaped(value.get('description', ''))} |"
        for field, value in part["properties"].items()
    ]
    yield "\n".join(("| field | value | meaning |", "|---|---|---|", *rows))


def _kind(value: dict[str, Any]) -> str:
    """Return in words what a field holds."""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name})" if name in _described() else name
    if "enum" in value or "const" in value:
        return ", ".join(f"`{word}`" for word in value.get("enum", [value.get("const")]))
    if "anyOf" in value:
        return " or ".join(_kind(one) for one in value["anyOf"])
    kind = value.get("type", "any")
    if kind == "array":
        return f"list of {_kind(value.get('items', {}))}"
    if "properties" in value:
        return "object: " + ", ".join(f"`{field}`" for field in value["properties"])
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _described() -> set[str]:
    schema = json.loads((DOCS / "output.schema.json").read_text())
    return {name for name, part in schema["$defs"].items() if "properties" in part}


PARTS = {"command_line": command_line, "settings": settings, "json_fields": json_fields}


def page(text: str, path: Path) -> str:
    """Return the text of a page with its generated parts, and with links that work on the site."""
    text = re.sub(r"<!-- generated: (\w+) -->", lambda found: PARTS[found[1]](), text)
    return re.sub(r"\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)", lambda link: _link(link, path.parent), text)


def _link(link: re.Match[str], directory: Path) -> str:
    target = Path(os.path.normpath(directory / link[1]))
    if target.is_relative_to(DOCS) and target.suffix in {".md", ".svg", ".png"}:
        return link[0]
    top = DOCS.parent
    if target == top / "CHANGELOG.md":
        return f"]({os.path.relpath(DOCS / 'reference' / 'changelog.md', directory)}{link[2] or ''})"
    kind = "tree" if target.is_dir() else "blob"
    return f"]({REPOSITORY}/{kind}/main/{target.relative_to(top).as_posix()}{link[2] or ''})"
