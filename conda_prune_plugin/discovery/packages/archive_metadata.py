"""The metadata of an archive that conda didn't download, and that may be anything."""

from __future__ import annotations

import json
import os
import posixpath
import stat
import tarfile
from collections.abc import Collection, Iterator

from ... import failures
from ..clients.archive_names import is_wheel
from ..system.safe_read import dist_of, is_of_content

#: A larger .tar.bz2 is not searched for its metadata, which may be at its end: unpacking takes time. In bytes.
LARGEST_SEARCHED = 64 << 20

#: The largest index that is read, in bytes: a few bytes of an archive may unpack to any number.
LARGEST_INDEX = 1 << 20

_INDEX = "info/index.json"

#: The tag of wheels that run everywhere.
_PURE = "py3-none-any"


def dist_in_archive(path: str) -> str:
    """Return the dist that an archive holds. Raises `OSError`, or `ValueError` with the reason why it is unknown."""
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("its archive is not a regular file")
    if path.endswith(".tar.bz2") and status.st_size > LARGEST_SEARCHED:
        raise ValueError("its archive was not downloaded by conda and is too large to look into")
    try:
        dist = _dist_in_wheel(path) if is_wheel(path) else _dist_in_index(path)
        if dist is not None:
            return dist
    except Exception as error:
        failures.raise_cause(error, path)
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
                tags = headers.get_all("Tag") or [_PURE]
                tag = _PURE if _PURE in tags or max(tags).endswith("-none-any") else max(tags)
                number = headers.get("Build", "")
                build = f"{tag}_{int(number) if number.isdigit() else 0}".replace("-", "_")
                return dist_of({"name": name, "version": version, "build": build})
    return None


def holds_package(path: str) -> bool:
    """Return True if an archive can be read as a package. Raises `OSError`."""
    try:
        dist_in_archive(path)
    except ValueError:
        return False
    return True


def require_contained(path: str) -> None:
    """Refuse a package archive that would write outside of the directory it is extracted into.

    Extraction follows the links that it has made, and a name that comes twice is written through what the first one
    made, such as a hard link to a file of the caller. No package needs either (see tarfile's "Extraction filters").

    Raises `ValueError` with the reason, or `OSError`.
    """
    seen: set[str] = set()
    links: set[str] = set()
    for member in _members(path):
        name = posixpath.normpath(member.name)
        if name in (".", "") and member.isdir():
            continue
        if why := _escapes(member, name, seen, links):
            raise ValueError(f"its archive is unsafe to extract: {member.name!r} {why}")
        if not member.isdir():
            seen.add(name)
        if member.issym():
            links.add(name)


def _members(path: str) -> Iterator[tarfile.TarInfo]:
    """Give the members of all components of a package, in the order of extraction. Raises `ValueError` or `OSError`."""
    import zipfile

    from conda_package_streaming.package_streaming import CondaComponent, stream_conda_component

    components = (CondaComponent.pkg, CondaComponent.info) if path.endswith(".conda") else (CondaComponent.pkg,)
    try:
        if is_wheel(path):
            with zipfile.ZipFile(path) as wheel:
                yield from (tarfile.TarInfo(item.filename) for item in wheel.infolist() if not item.is_dir())
            return
        for component in components:
            for _, member in stream_conda_component(path, component=component):
                yield member
    except Exception as error:
        failures.raise_cause(error, path)
        # As in `dist_in_archive`: whatever the libraries raise, it can't be read.
        if isinstance(error, OSError) and not is_of_content(error):
            raise
        raise ValueError(f"its archive can't be read: {error}") from error


def _escapes(member: tarfile.TarInfo, name: str, seen: Collection[str], links: Collection[str]) -> str | None:
    """Return why a member is unsafe to extract after those seen so far, None if it is safe."""
    if posixpath.isabs(name) or name == ".." or name.startswith("../") or "\0" in name:
        return "lies outside"
    if name in seen and not member.isdir():
        return "comes twice"
    above = name
    while above := posixpath.dirname(above):
        if above in links:
            return f"lies behind the link {above!r}"
    if member.islnk() and posixpath.normpath(member.linkname) not in seen:
        return f"is a hard link to {member.linkname!r}, which is not in the package"
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        return "is not a file, directory or link"
    return None
