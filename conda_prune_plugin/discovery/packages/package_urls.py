"""Read where the packages in a cache were downloaded from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from ... import failures
from ...core.layout import URLS
from ..clients.conda_channels import masked
from ..system.safe_read import read_regular

#: A url with neither login nor token (``/t/``), which conda's functions give back as it is; they take their time.
_PLAIN = re.compile(r"(?!.*/t/)https?://[a-z0-9-]+(?:\.[a-z0-9-]+)*(?:/[\w.+!~=-]+)+", re.ASCII)


def read_urls(cache: str) -> Mapping[str, str]:
    """Return for each archive that conda fetched into a cache the url that it came from last."""
    try:
        lines = read_regular(os.path.join(cache, URLS)).decode("utf-8", "replace").split()
    except OSError as error:
        failures.note(error)
        return {}
    # The last download of a name is the one that is there.
    return {url.rsplit("/", 1)[-1]: url for url in lines}


def is_plain(url: str) -> bool:
    """Return whether a url is one of those that most packages have: of a channel, with neither login nor token."""
    return _PLAIN.fullmatch(url) is not None


def without_credentials(url: str | None) -> str | None:
    """Return a url without login and token; None for what can't be a url."""
    if url and is_plain(url):
        return url
    try:
        return masked(url) if url else None
    except ValueError:
        return None
