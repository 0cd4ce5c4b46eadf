"""conda's channels: their names and urls, credentials in these, and their indexes.

All of conda's code is imported when it is asked for: most urls need none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def masked(url: str) -> str:
    """Return a url without login and with its token masked. Raises `ValueError` for what can't be a url."""
    from conda.common.url import mask_anaconda_token, remove_auth

    return str(mask_anaconda_token(remove_auth(url)))


def channel_name(place: str) -> str:
    """Return the canonical name of the channel that a url or a name means. conda raises anything for odd ones."""
    from conda.models.channel import Channel

    return str(Channel(place).canonical_name)


def configured_channels() -> tuple[str, ...]:
    """Return the configured channels, as configured."""
    from conda.base.context import context

    return tuple(context.channels)


#: What `conda.common.url.mask_anaconda_token` leaves of a token.
_MASKED_TOKEN = "/t/<TOKEN>"  # noqa: S105


def with_credentials(url: str) -> str:
    """Return a masked url with the login or token that conda's configuration has for its channel."""
    from conda.base.context import context
    from conda.models.channel import Channel

    plain = url.replace(_MASKED_TOKEN, "")
    configured = (*map(Channel, context.channels), *context.custom_channels.values())
    for channel in configured:
        for complete in channel.urls(with_credentials=True, subdirs=("noarch",)):
            base = Channel(complete).base_url
            if base and plain.startswith(f"{base}/"):
                return str(complete.removesuffix("/noarch") + plain.removeprefix(base))
    return plain


def fetch_index(channel: str, place: Path) -> Mapping[str, Any] | None:
    """Return the ``repodata.json`` of a channel's directory, cached in a place of the caller's; None for no object.

    conda's fetching, parsing and error texts end on odd input with any exception.
    """
    from conda.base.constants import REPODATA_FN
    from conda.gateways.repodata import RepodataFetch, get_repo_interface
    from conda.models.channel import Channel

    fetch = RepodataFetch(place, Channel(channel), REPODATA_FN, repo_interface_cls=get_repo_interface())
    index, _ = fetch.fetch_latest_parsed()
    return index if isinstance(index, dict) else None
