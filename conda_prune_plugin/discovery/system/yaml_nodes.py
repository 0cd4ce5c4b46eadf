"""Parse YAML into nodes that know their lines, by libyaml where conda's environment has it: twenty times as fast.

PyYAML and ruamel.yaml both bring libyaml, or neither does. Their parsers give the same events, and these are composed
here: their own composers recurse, and that of ruamel.yaml.clib crashes on a deep file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

#: More collections in each other than any tool writes. ruamel.yaml takes time by their square.
_DEEPEST = 100


class Node(NamedTuple):
    """A scalar's text, a sequence's nodes, or a mapping's nodes by the text of their keys; and its line, from 1."""

    value: str | list[Node] | dict[str, Node]
    line: int

    @property
    def text(self) -> str:
        """The text of a scalar, empty for anything else."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def mapping(self) -> dict[str, Node]:
        """The nodes of a mapping, none for anything else."""
        return self.value if isinstance(self.value, dict) else {}


class BrokenYamlError(Exception):
    """A line that is no YAML, and why."""

    def __init__(self, line: int, problem: str = "it is not YAML") -> None:
        super().__init__(problem)
        self.line = line


def compose(text: str) -> Node | None:
    """Return the top node, None of an empty text. Raises `BrokenYamlError`."""
    parse, errors = _fastest()
    try:
        return _composed(parse(text))
    except errors:
        pass
    # Slower, with the line of the error.
    try:
        return _composed(YAML(typ="safe", pure=True).parse(text))
    except (YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        # An error about a character has an offset instead of a mark.
        line = mark.line if mark else text[: getattr(error, "position", 0)].count("\n")
        raise BrokenYamlError(line + 1, getattr(error, "problem", None) or "it is not YAML") from error


def _fastest() -> tuple[Callable[[str], Iterator[Any]], tuple[type[Exception], ...]]:
    """Return the fastest parser there is, and the errors that it raises."""
    try:
        import yaml

        loader = yaml.CBaseLoader
    except (ImportError, AttributeError):
        # ruamel.yaml has libyaml, or not.
        return YAML(typ="safe").parse, (YAMLError, ValueError)
    return lambda text: yaml.parse(text, Loader=loader), (yaml.YAMLError, ValueError)


def _composed(events: Iterator[Any]) -> Node | None:
    """Return the node that a parser's events describe."""
    top: Node | None = None
    anchors: dict[str, Node] = {}
    # The collections around an event, each with the key that waits for its value.
    around: list[tuple[Node, list[str]]] = []
    for event in events:
        kind = type(event).__name__
        if kind in ("MappingEndEvent", "SequenceEndEvent"):
            around.pop()
        elif kind == "DocumentStartEvent" and top is not None:
            raise BrokenYamlError(event.start_mark.line + 1, "there should be one document")
        elif kind in _NODES:
            node = _node(event, _NODES[kind], anchors)
            top = node if top is None else top
            if around:
                _add(node, *around[-1])
            if kind.endswith("StartEvent"):
                around.append((node, []))
                if len(around) > _DEEPEST:
                    raise BrokenYamlError(node.line, "it is nested too deeply")
    return top


#: The events that stand for a node, and what makes its value.
_NODES: dict[str, Callable[[Any], Any] | None] = {
    "ScalarEvent": lambda event: event.value,
    "SequenceStartEvent": lambda _: [],
    "MappingStartEvent": lambda _: {},
    "AliasEvent": None,
}


def _node(event: Any, value_of: Callable[[Any], Any] | None, anchors: dict[str, Node]) -> Node:
    """Return the node of an event; anchors: the nodes that aliases stand for."""
    line = event.start_mark.line + 1
    if value_of is None:
        if event.anchor not in anchors:
            raise BrokenYamlError(line, f"there is no anchor {event.anchor}")
        return anchors[event.anchor]
    node = Node(value_of(event), line)
    if event.anchor:
        anchors[event.anchor] = node
    return node


def _add(node: Node, around: Node, key: list[str]) -> None:
    """Add a node to the collection around it: to a mapping first as a key, then as its value."""
    if isinstance(around.value, list):
        around.value.append(node)
    elif isinstance(around.value, dict):
        if key:
            around.value[key.pop()] = node
        else:
            key.append(node.text)
