"""Read registries of environments, such as ``~/.conda/environments.txt``."""

from __future__ import annotations

import errno
import itertools
import os
import re
from collections.abc import Iterable

from ... import failures
from ...core.layout import META
from ..system.safe_read import LONGEST_PATH, read_regular

#: The largest registry that is read, in bytes, and with how many lines that say something. Ten thousand environments
#: take one or two megabytes; conda takes lines out when it lists environments.
LARGEST_REGISTRY, MOST_LINES = 16 << 20, 100_000

#: A line of a registry that says something, from its first letter on; of others there may be any number.
_LINE = re.compile(rb"\S.*")


def registered_prefixes(registry: str, overlong: list[int] | None = None) -> tuple[str, ...]:
    """Return the environments that a registry file lists; none if there is no such file.

    conda ends each prefix with a newline and writes newlines inside of one as they are, so lines that are no
    environment are tried together with those behind them. What is no absolute path was not written by conda, and
    what is longer than any path names nothing: the numbers of such lines go into `overlong`.

    Raises `OSError`, also if there is more in it than in any registry.
    """
    try:
        content = read_regular(registry, LARGEST_REGISTRY)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    # Before anything is asked for.
    if (beyond := next(itertools.islice(_LINE.finditer(content), MOST_LINES, None), None)) is not None:
        number = content.count(b"\n", 0, beyond.start()) + 1
        raise OSError(errno.EFBIG, f"line {number:,} is one more than a registry may have", registry)
    prefixes: list[str] = []
    done = counted = 0
    number = 1
    for line in _LINE.finditer(content):
        number += content.count(b"\n", counted, line.start())
        counted = line.start()
        if line.end() - line.start() > LONGEST_PATH:
            if overlong is not None:
                overlong.append(number)
            continue
        stripped = os.fsdecode(line[0].rstrip())
        if line.start() < done or not os.path.isabs(stripped) or "\0" in stripped:
            continue
        found = list(filter(failures.lexists, _spellings(line[0])))
        if not found:
            found, done = _over_lines(content, line.start(), line.end())
        prefixes += map(os.path.abspath, found or [stripped])
    return tuple(prefixes)


def _spellings(text: bytes) -> Iterable[str]:
    """Return what a line may name: a path may end in a blank, and so may a line that somebody has written by hand."""
    return map(os.fsdecode, dict.fromkeys((text.rstrip(), text)))


def _over_lines(content: bytes, start: int, end: int) -> tuple[list[str], int]:
    """Return the environments that a line names together with up to four behind it, and where the last one ends."""
    for _ in range(4):
        following = content.find(b"\n", end + 1)
        end = len(content) if following < 0 else following
        if end - start > LONGEST_PATH:
            break
        found = [path for path in _spellings(content[start:end]) if failures.lexists(os.path.join(path, META))]
        if found:
            return found, end
    return [], start
