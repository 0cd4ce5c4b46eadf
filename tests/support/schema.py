"""The published schema, and a stricter reading of it: what it does not describe is a breach."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "output.schema.json").read_text())

#: A field by which each kind of document is told from the others.
_MARKS = {
    "registries": "envs",
    "remove": "plan",
    "file_systems": "usage",
    "share": "dedupe",
    "runs": "runs",
    "packages": "why",
    "exception_name": "error",
}


def check(document: dict[str, Any]) -> None:
    """Raise `jsonschema.ValidationError` if a document is not what the schema says, or has a field more."""
    kind = next((kind for mark, kind in _MARKS.items() if mark in document), None)
    assert kind is not None, f"no document of ours: {sorted(document)}"
    _validator(kind).validate(document)


@cache
def _validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": _strict(SCHEMA["$defs"])})


def _strict(schema: Any) -> Any:
    """Return a schema in which no object may have more than what is described.

    The published one allows it, because fields are only ever added.
    """
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    stricter = {name: _strict(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        stricter.setdefault("unevaluatedProperties", False)
    return stricter
