"""Print a command's one JSON document, indented for people."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .. import failures
from ..core.notices import Notice

_begun = ContextVar("_begun", default=False)


def expect_document() -> None:
    """Begin a command that has not printed a document yet."""
    _begun.set(False)


def print_document(document: Mapping[str, Any]) -> None:
    """Print the document of a command on standard output; Ctrl-C doesn't interrupt it."""
    document = _with_failures(document)
    # Encode everything before the first line is printed, so that an error can be reported in a document of its own.
    lines = list(_lines(document))
    with _uninterrupted():
        _begun.set(True)
        sys.stdout.writelines(lines)
        sys.stdout.flush()


def document_begun() -> bool:
    """Return whether the command has begun to print its document."""
    return _begun.get()


def _with_failures(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document that also reports disk failures; if there were any, it is no success."""
    if not failures.noted():
        return document
    from .documents import warnings_document
    from .terminal.notice_groups import mark_as_shown, unreported_failures

    warnings = document["warnings"]
    mark_as_shown(Notice(item["kind"], item["message"], item["path"] or "") for item in warnings)
    return {**document, "success": False, "warnings": [*warnings, *warnings_document(unreported_failures())]}


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C: the work is done, and the reader of standard output can still close it."""
    before = signal.getsignal(signal.SIGINT)
    # Only the main thread gets signals, and a handler that isn't Python's own can't be restored.
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Give the lines of a document: one for each field, and for each item of a list in it.

    With an indent, json wouldn't use its encoder in C, which is ten times as fast.
    """
    # None of our documents contains itself.
    encode = json.JSONEncoder(check_circular=False).encode
    before = "{\n"
    for key, value in document.items():
        yield f"{before}  {encode(key)}: "
        before = ",\n"
        if not isinstance(value, list) or not value:
            yield encode(value)
            continue
        yield "[\n    "
        yield encode(value[0])
        for item in value[1:]:
            yield ",\n    "
            yield encode(item)
        yield "\n  ]"
    yield "\n}\n"
