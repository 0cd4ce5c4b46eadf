"""The main loop of a worker process.

A module of its own, since the second process is to be at work before the first one is: it imports only what it needs.
"""

from __future__ import annotations

import gc
import pickle
import signal
import struct
import sys
from importlib import import_module
from typing import Any

from ... import failures

#: What goes before each answer: its length in bytes.
LENGTH = struct.Struct("<Q")


def serve() -> None:
    """Be the second process: do what standard input asks for until it ends."""
    # None of what is made here refers to itself.
    gc.disable()
    # The user's Ctrl-C reaches both processes; one message is enough.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    work: Any = None
    while True:
        try:
            number, question = pickle.load(questions)  # noqa: S301
        except EOFError:
            return
        if number is None:
            work = import_module(question) if isinstance(question, str) else question
            continue
        try:
            answer = work.do_in_worker(question)
        except ImportError:
            # What seldom is needed comes with conda, which need not be here.
            answer = None
        message = pickle.dumps((answer, failures.take()), protocol=pickle.HIGHEST_PROTOCOL)
        answers.write(LENGTH.pack(len(message)))
        answers.write(message)
        answers.flush()
