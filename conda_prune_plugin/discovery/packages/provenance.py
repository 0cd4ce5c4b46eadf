"""Whether a package can be downloaded again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import url2pathname

from ... import failures
from .package_urls import is_plain

#: What conda can fetch from (conda.gateways.connection.session.CondaSession), and rattler besides.
_REMOTE = frozenset({"http", "https", "ftp", "s3", "gs", "oci"})

#: Where conda-build puts what it builds, below the root prefix or the home (`Context.conda_build_local_paths`).
_BUILDS = "conda-bld"


def irreplaceable(url: str | None, builds: Iterable[str]) -> str | None:
    """Return why what came from a url can't be fetched again, None if it probably can.

    Only this machine is looked at. A local build counts as gone though its file is still there: it is a copy of the
    build directory, which is cleaned like a cache.
    """
    if url and is_plain(url):
        return None
    try:
        parts = urlsplit(url or "")
        # Looked at only when it is asked for.
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme in _REMOTE:
        return None
    if parts.scheme != "file":
        return "no url is known to fetch it from again"
    path = _path(parts)
    if _BUILDS in Path(path).parts or any(path.startswith(os.path.join(build, "")) for build in builds):
        return "it was built on this machine"
    return None if failures.exists(path) else f"its source {path} is not there any more"


def _path(parts: SplitResult) -> str:
    """Return the path that a ``file:`` url names, on another host too: such a path exists on Windows."""
    address = parts.path if parts.netloc in ("", "localhost") else f"//{parts.netloc}{parts.path}"
    try:
        return url2pathname(address)
    except OSError as error:
        failures.note(error)
        # From Python 3.14 on it takes no other host where there are no such paths.
        return unquote(address)
