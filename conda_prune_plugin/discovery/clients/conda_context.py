"""What conda's configuration and constants say, value by value, and what its own code makes of channels and files.

All of conda's code is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any


def _context() -> Any:
    from conda.base.context import context

    return context


def load_configuration() -> None:
    """Read conda's configuration, unless conda has done so in this process; a program of the user's has not."""
    from conda.base.context import reset_context

    # What conda has read is known by its sources: files, and the words of the command line.
    if not any(values for source, values in _context().raw_data.items() if source != "envvars"):
        reset_context()


def pkgs_dirs() -> tuple[str, ...]:
    """Return the configured package caches."""
    return tuple(map(str, _context().pkgs_dirs))


def envs_dirs() -> tuple[str, ...]:
    """Return the configured directories of environments."""
    return tuple(map(str, _context().envs_dirs))


def root_prefix() -> str:
    """Return the prefix of the installation."""
    return str(_context().root_prefix)


def target_prefix() -> str | None:
    """Return the prefix of the environment that the command line or the shell means, if any."""
    prefix = _context().target_prefix
    return None if prefix is None else str(prefix)


def registry(home: str) -> str:
    """Return the path of the registry (``environments.txt``) in a home."""
    from conda.core.envs_manager import get_user_environments_txt_file

    return str(get_user_environments_txt_file(home))


def where_not_registered() -> tuple[str, ...]:
    """Return the sources that keep conda from registering environments: ``envvars``, or paths of files."""
    context = _context()
    if context.register_envs:
        return ()
    sources = tuple(str(source) for source, values in context.raw_data.items() if REGISTER in values)
    return sources or ("conda's configuration",)


#: conda's setting for whether a new environment gets a line in the registry.
REGISTER = "register_envs"

#: conda's and mamba's settings by which they make soft links.
SOFT_LINKS = ("allow_softlinks", "always_softlink")


def soft_link_settings() -> tuple[str, ...]:
    """Return the names of the settings that are on and make conda link softly."""
    context = _context()
    return tuple(name for name in SOFT_LINKS if getattr(context, name))


def build_work_dir() -> str:
    """Return where conda-build works."""
    return str(_context().croot)


def local_builds() -> tuple[str, ...]:
    """Return the directories where packages are that were built on this machine."""
    return tuple(str(path) for path in _context().conda_build_local_paths)


def is_offline() -> bool:
    """Return whether conda is configured to use no network."""
    return bool(_context().offline)


def platform() -> str:
    """Return the name of this platform in channels, such as ``linux-64``."""
    return str(_context().subdir)


def solver() -> str:
    """Return the name of the configured solver."""
    return str(_context().solver)


def is_older_than(version: str) -> bool:
    """Return whether this conda is older than a version."""
    from conda import __version__
    from conda.models.version import VersionOrder

    return bool(VersionOrder(__version__) < VersionOrder(version))


def archive_extractors() -> frozenset[str] | None:
    """Return the suffixes of the archives that plugins of conda extract; None where conda has no hook for that."""
    manager = _context().plugin_manager
    if not hasattr(manager, "get_package_extractors"):
        return None
    return frozenset(manager.get_package_extractors())


def temporary_endings() -> tuple[str, ...]:
    """Return the endings of the names of temporary files (``.c~``, ``.trash``)."""
    from conda.base.constants import CONDA_TEMP_EXTENSIONS

    return tuple(CONDA_TEMP_EXTENSIONS)


def environment_specifiers(file_name: str) -> Iterator[tuple[str, Callable[[str], Any]]]:
    """Give name and reader of the formats of environments, not lockfiles, that plugins know by a file's name.

    conda has the hook from 25.3 on, and tells names and lockfiles from 26.1 on.
    """
    hooks: dict[str, Any] = getattr(_context().plugin_manager, "get_environment_specifiers", dict)()
    for name, hook in hooks.items():
        kind = getattr(getattr(hook, "environment_format", None), "name", "")
        if kind == "environment" and any(fnmatch(file_name, known) for known in hook.default_filenames):
            yield name, hook.environment_spec


def masked(url: str) -> str:
    """Return a url without login and with its token masked. Raises `ValueError` for an invalid url."""
    from conda.common.url import mask_anaconda_token, remove_auth

    return str(mask_anaconda_token(remove_auth(url)))


def channel_name(place: str) -> str:
    """Return the canonical name of the channel that a url or a name means. conda raises anything for odd ones."""
    from conda.models.channel import Channel

    return str(Channel(place).canonical_name)


def configured_channels() -> tuple[str, ...]:
    """Return the configured channels, as configured."""
    return tuple(_context().channels)


#: What `conda.common.url.mask_anaconda_token` leaves of a token.
_MASKED_TOKEN = "/t/<TOKEN>"  # noqa: S105


def with_credentials(url: str) -> str:
    """Return a masked url with the login or token that conda's configuration has for its channel."""
    from conda.models.channel import Channel

    context, plain = _context(), url.replace(_MASKED_TOKEN, "")
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


def in_link_order(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Return name, version and build of records in the order in which they can be linked.

    Each stands behind what it depends on. conda's models raise anything on odd records.
    """
    from conda.models.prefix_graph import PrefixGraph
    from conda.models.records import PrefixRecord

    ordered = PrefixGraph(PrefixRecord(**record) for record in records).graph
    return [(record.name, record.version, record.build) for record in ordered]
