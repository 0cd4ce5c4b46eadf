"""Where tests put things, and whose process looks at them."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conda_prune_plugin.discovery.clients.archive_names import archive_suffixes

_SHARED_MEMORY = Path("/dev/shm")

#: Where a file system in memory is, None where there is none: some ten thousand fsyncs take their time on a disk.
IN_MEMORY = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None


def temporary() -> tempfile.TemporaryDirectory[str]:
    """Return a directory in memory if there is such a file system, to be removed at the end."""
    return tempfile.TemporaryDirectory(dir=IN_MEMORY)


def as_another(become: Callable[[], object], do: Callable[[], Any]) -> Any:
    """Return what a function returns, in JSON, in a process that has become another user before; or its traceback."""
    # The other user may not be able to read the Python that runs this: conda's plugins with what these import, and what
    # psutil needs.
    archive_suffixes()
    importlib.import_module("psutil")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            become()
            answer = json.dumps(do())
        except BaseException:  # noqa: BLE001
            answer = json.dumps(traceback.format_exc())
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        answer = json.load(stream)
    os.waitpid(pid, 0)
    return answer
