"""The one JSON document of a command, as text that people can read too."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_begun = ContextVar("_begun", default=False)


def expect_document() -> None:
    """Begin a command, which has not printed anything yet."""
    _begun.set(False)


def print_document(document: Mapping[str, Any]) -> None:
    """Print the document of a command on standard output; however slowly that is read, Ctrl-C does not cut it off."""
    text = _text(document)
    with _uninterrupted():
        _begun.set(True)
        print(text, flush=True)


def document_begun() -> bool:
    """Return whether the command has printed its document, or tried to: a second one would spoil it."""
    return _begun.get()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C mean nothing: all that was to be stopped is done. Whoever reads standard output can still close it."""
    before = signal.getsignal(signal.SIGINT)
    # Only the main thread gets to know of it, and what is not Python's own could not be put back.
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _text(document: Mapping[str, Any]) -> str:
    """Return a document with each of its fields, and each item of a list in it, on a line of its own.

    With an indent all the way down json would leave its encoder in C, which is ten times as fast.
    """
    return "{\n" + ",\n".join(f"  {json.dumps(key)}: {_field(value)}" for key, value in document.items()) + "\n}"


def _field(value: object) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value)
    return "[\n" + ",\n".join(f"    {json.dumps(item)}" for item in value) + "\n  ]"
