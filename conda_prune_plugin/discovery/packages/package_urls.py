"""Where the packages in a cache were downloaded from, and whether they can be downloaded again."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ... import failures
from ...core.layout import URLS
from ..clients.conda_context import masked
from ..system.safe_read import read_regular

#: A url with neither login nor token (``/t/``), which conda's functions give back as it is; they take their time.
_PLAIN = re.compile(r"(?!.*/t/)https?://[a-z0-9-]+(?:\.[a-z0-9-]+)*(?:/[\w.+!~=-]+)+", re.ASCII)

#: What conda can fetch from (conda.gateways.connection.session.CondaSession), and rattler besides.
_REMOTE = frozenset({"http", "https", "ftp", "s3", "gs", "oci"})

#: Where conda-build puts what it builds, below the root prefix or the home (`Context.conda_build_local_paths`).
_BUILDS = "conda-bld"


def read_urls(cache: str) -> Mapping[str, str]:
    """Return the last url of each archive that conda fetched into a cache, by file name."""
    try:
        lines = read_regular(os.path.join(cache, URLS)).decode("utf-8", "replace").split()
    except OSError as error:
        failures.note(error)
        return {}
    # The last download of a name is the one that is there.
    return {url.rsplit("/", 1)[-1]: url for url in lines}


def without_credentials(url: str | None) -> str | None:
    """Return a url without login and token; None if it isn't a url."""
    if url and _PLAIN.fullmatch(url):
        return url
    try:
        return masked(url) if url else None
    except ValueError:
        return None


def irreplaceable(url: str | None, builds: Iterable[str]) -> str | None:
    """Return why a package from a url can't be downloaded again, None if it probably can.

    Nothing is asked over the network. A local build counts as irreplaceable even if its file exists, since the build
    directory is cleaned like a cache.
    """
    if url and _PLAIN.fullmatch(url):
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
        return "its download URL is unknown"
    # Also on another host: such a path exists on Windows.
    path = parts.path if parts.netloc in ("", "localhost") else f"//{parts.netloc}{parts.path}"
    try:
        path = url2pathname(path)
    except OSError as error:
        failures.note(error)
        # From Python 3.14 on it takes no other host where there are no such paths.
        path = unquote(path)
    if _BUILDS in Path(path).parts or any(path.startswith(os.path.join(build, "")) for build in builds):
        return "it was built on this machine"
    return None if failures.exists(path) else f"its source {path} is missing"
