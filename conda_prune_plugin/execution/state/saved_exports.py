"""Exports of removed environments, in ``<run>/environment-exports/<name>/`` next to the receipt.

They may contain passwords (environment variables, urls), so no other user may read them.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..files.dir_fd import Directory
from .state_dir import DOOMED, remove_marked, write_file

EXPORTS = "environment-exports"

#: While they are deleted.
DOOMED_EXPORTS = EXPORTS + DOOMED


def write_exports(folder: Directory, name: str, files: Mapping[str, bytes]) -> None:
    """Write the files of one environment and make them outlast a crash. Raises `OSError`."""
    with folder.make_own(EXPORTS) as exports, exports.make_own(name) as place:
        exports.chmod(0o700)
        place.chmod(0o700)
        for file, content in files.items():
            write_file(place, file, content, 0o600)
        place.sync()
        exports.sync()


def drop_exports(folder: Directory) -> None:
    """Delete all exports of a run. Raises `OSError`."""
    remove_marked(folder, EXPORTS)
