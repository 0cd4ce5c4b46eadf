"""What an archive says of itself that conda did not download: it may be anything with such a name."""

from __future__ import annotations

import json
import os
import stat

from .reading import dist_of, is_of_content

#: A larger .tar.bz2 is not searched for its metadata: these may lie at its end, and unpacking takes its time. In bytes.
LARGEST_SEARCHED = 64 << 20

#: What is larger is no index, whatever it is called: a few bytes of an archive may unpack to any number. In bytes.
LARGEST_INDEX = 1 << 20

_INDEX = "info/index.json"


def dist_in_archive(path: str) -> str:
    """Return the dist that an archive holds.

    Raises `OSError`, or `ValueError` with the reason why it is not known.
    """
    from conda_package_streaming.package_streaming import stream_conda_info

    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("its archive is no regular file")
    if path.endswith(".tar.bz2") and status.st_size > LARGEST_SEARCHED:
        raise ValueError("its archive was not downloaded by conda and is too large to look into")
    try:
        for archive, member in stream_conda_info(path):
            if member.name == _INDEX and member.size <= LARGEST_INDEX and (stream := archive.extractfile(member)):
                return dist_of(json.loads(stream.read()))
    except Exception as error:
        # zipfile, tarfile, bz2, json and one of three zstd libraries each have errors of their own for broken content,
        # and whichever it is, the archive is not understood and stays.
        if isinstance(error, OSError) and not is_of_content(error):
            error.filename = error.filename or path
            raise
    raise ValueError("its archive was not downloaded by conda and can't be read as a package")


def holds_package(path: str) -> bool:
    """Return whether an archive can be read as a package. Raises `OSError`."""
    try:
        dist_in_archive(path)
    except ValueError:
        return False
    return True
