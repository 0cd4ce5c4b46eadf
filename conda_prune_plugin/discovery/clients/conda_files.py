"""What conda's own code makes of the files of conda: records, and what ``conda clean`` looks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any, cast


def in_link_order(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Return name, version and build of records in the order in which they can be linked.

    Each stands behind what it depends on. conda's models raise anything on odd records.
    """
    from conda.models.prefix_graph import PrefixGraph
    from conda.models.records import PrefixRecord

    ordered = PrefixGraph(PrefixRecord(**record) for record in records).graph
    return [(record.name, record.version, record.build) for record in ordered]


def index_caches(caches: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Give cache and path of each index cache that ``conda clean`` removes, in these caches."""
    from conda.cli import main_clean

    return _in_caches(main_clean.find_index_cache, tuple(caches))


def log_files(caches: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Give cache and path of each log file that ``conda clean`` removes, in these caches."""
    from conda.cli import main_clean

    return _in_caches(main_clean.find_logfiles, tuple(caches))


def _in_caches(finder: Callable[[], list[str]], caches: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Give cache and path of what a finder of conda's finds in these caches.

    It asks a function of its module for the caches, which opens every ``urls.txt`` for appending to see whether it may,
    and misses caches without one; here that function gives ours.
    """
    plain = cast(FunctionType, finder)
    ours = {**plain.__globals__, "find_pkgs_dirs": lambda: list(caches)}
    for path in FunctionType(plain.__code__, ours)():
        top = next((top for top in caches if path.startswith(os.path.join(top, ""))), None)
        if top is not None:
            yield top, path
