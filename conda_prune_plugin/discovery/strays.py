"""What bears the name of a leftover: partial downloads, trash, and what rattler leaves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from ..core.model import Cache, ReasonKind
from ..core.names import is_dist_name
from .archive_names import archive_dist
from .rattler import strays as of_rattler

#: What conda (`conda.gateways.connection.download`), and conda up to 24 and mamba, call a download that is not done.
_PARTIAL = (".partial", ".part")

#: What conda puts behind the name of an archive or a package that it replaces (``.c~``) or can't delete (``.trash``,
#: `conda.base.constants.CONDA_TEMP_EXTENSIONS`). Others use them too: editors for backups of C sources.
_SUFFIXES = (".c~", ".trash")

#: What could not be deleted, conda's and mamba's; a number may follow.
_WORDS = (".conda_trash", ".mamba_trash")

_MARKED = re.compile(
    "|".join([*(re.escape(suffix) + r"\Z" for suffix in (*_PARTIAL, *_SUFFIXES)), *map(re.escape, _WORDS)])
)


def is_left_aside(name: str) -> bool:
    """Return whether a name is one that clients give to what they leave aside at work: no entry is called so."""
    return _MARKED.search(name) is not None


#: Where old versions of conda move what can't be deleted.
_TRASH = ".trash"

_TRASH_DETAIL = "set aside by an install or removal that did not come to its end"

#: Name, reason, detail, and the dist that it is of, where its name tells.
Stray = tuple[str, ReasonKind, str, str | None]


def strays(cache: Cache) -> Iterator[Stray]:
    """Give all that bears the name of a leftover in a cache, sorted by name; links and devices are none."""
    try:
        with os.scandir(cache.real_path) as listing:
            items = list(listing)
    except OSError:
        return
    yield from sorted(of_rattler(cache, items))
    # Nearly everything in a cache bears no such name.
    for item in sorted((item for item in items if is_left_aside(item.name)), key=lambda item: item.name):
        is_file = item.is_file(follow_symlinks=False)
        partial = next((suffix for suffix in _PARTIAL if item.name.endswith(suffix)), None)
        if partial is not None:
            dist = archive_dist(item.name.removesuffix(partial))
            if dist is not None and is_file:
                yield item.name, ReasonKind.PARTIAL_DOWNLOAD, "a download that was cut off", dist
        elif is_file or item.is_dir(follow_symlinks=False):
            yield from _trash(item.name)


def _trash(name: str) -> Iterator[Stray]:
    suffix = next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), None)
    mark = suffix or next((word for word in _WORDS if word in name), None)
    if mark is None:
        return
    of = name[: name.rindex(mark)]
    dist = archive_dist(of) or of
    known = dist if is_dist_name(dist) else None
    if known is not None or suffix is None or name == _TRASH:
        yield name, ReasonKind.TRASH, _TRASH_DETAIL, known
