"""What an archive says of itself that conda did not download: it may be anything with such a name."""

from __future__ import annotations

import json
import os
import stat
from email.message import Message

from .archive_names import is_wheel
from .reading import dist_of, is_of_content

#: A larger .tar.bz2 is not searched for its metadata: these may lie at its end, and unpacking takes its time. In bytes.
LARGEST_SEARCHED = 64 << 20

#: What is larger is no index, whatever it is called: a few bytes of an archive may unpack to any number. In bytes.
LARGEST_INDEX = 1 << 20

_INDEX = "info/index.json"

#: The tag of wheels that run everywhere.
_PURE = "py3-none-any"


def dist_in_archive(path: str) -> str:
    """Return the dist that an archive holds.

    Raises `OSError`, or `ValueError` with the reason why it is not known.
    """
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("its archive is no regular file")
    if path.endswith(".tar.bz2") and status.st_size > LARGEST_SEARCHED:
        raise ValueError("its archive was not downloaded by conda and is too large to look into")
    try:
        dist = _dist_in_wheel(path) if is_wheel(path) else _dist_in_index(path)
        if dist is not None:
            return dist
    except Exception as error:
        # zipfile, tarfile, bz2, json and one of three zstd libraries each have errors of their own for broken content,
        # and whichever it is, the archive is not understood and stays.
        if isinstance(error, OSError) and not is_of_content(error):
            error.filename = error.filename or path
            raise
    raise ValueError("its archive was not downloaded by conda and can't be read as a package")


def _dist_in_index(path: str) -> str | None:
    from conda_package_streaming.package_streaming import stream_conda_info

    for archive, member in stream_conda_info(path):
        if member.name == _INDEX and member.size <= LARGEST_INDEX and (stream := archive.extractfile(member)):
            return dist_of(json.loads(stream.read()))
    return None


def _dist_in_wheel(path: str) -> str | None:
    """Return the dist that conda-pypi makes of a wheel without the record of a channel.

    Name and version are those of the file's name, which ``*.dist-info`` repeats; the build is made of the tags
    (conda_pypi.package_extractors.whl, ``_create_build_string_from_wheel_meta_and_filename``).
    """
    import zipfile
    from email.parser import BytesHeaderParser

    name, version, *_ = [*os.path.basename(path).split("-"), ""]
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            directory, _, file_name = item.filename.partition("/")
            if directory.endswith(".dist-info") and file_name == "WHEEL" and item.file_size <= LARGEST_INDEX:
                headers = BytesHeaderParser().parsebytes(archive.read(item))
                return dist_of({"name": name, "version": version, "build": _wheel_build(headers)})
    return None


def _wheel_build(headers: Message) -> str:
    tags = headers.get_all("Tag") or [_PURE]
    tag = max(tags)
    if _PURE in tags or tag.endswith("-none-any"):
        tag = _PURE
    number = headers.get("Build", "")
    return f"{tag}_{int(number) if number.isdigit() else 0}".replace("-", "_")


def holds_package(path: str) -> bool:
    """Return whether an archive can be read as a package. Raises `OSError`."""
    try:
        dist_in_archive(path)
    except ValueError:
        return False
    return True
