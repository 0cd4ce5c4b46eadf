"""Exports of removed environments, in ``<run>/environment-exports/<name>/`` next to the receipt.

They may hold passwords (environment variables, urls), so no other user may read them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..files.dir_fd import Directory
from ..files.remove_tree import remove
from .state_dir import DOOMED

EXPORTS = "environment-exports"

#: While they are deleted.
DOOMED_EXPORTS = EXPORTS + DOOMED

_PRIVATE = 0o700


def write_exports(folder: Directory, name: str, files: Mapping[str, bytes]) -> None:
    """Write the files of one environment and make them outlast a crash. Raises `OSError`."""
    with folder.make_own(EXPORTS) as exports:
        exports.chmod(_PRIVATE)
        with exports.make_own(name) as place:
            place.chmod(_PRIVATE)
            for file, content in files.items():
                with os.fdopen(place.open_file(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                place.hand_over(file)
            place.sync()
        exports.sync()


def drop_exports(folder: Directory) -> None:
    """Delete all exports of a run, marked first, so that a deletion that is interrupted is known. Raises `OSError`."""
    if folder.exists(EXPORTS):
        folder.move(EXPORTS, folder, DOOMED_EXPORTS)
    if folder.exists(DOOMED_EXPORTS):
        remove(folder, DOOMED_EXPORTS)
