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

#: The largest registry that is read, in bytes and in lines that aren't empty. Ten thousand environments take one or two
#: megabytes, and conda takes lines out when it lists environments.
LARGEST_REGISTRY, MOST_LINES = 16 << 20, 100_000

#: A line of a registry from its first letter on. There may be any number of empty lines.
_LINE = re.compile(rb"\S.*")


def registered_prefixes(registry: str, overlong: list[int] | None = None) -> tuple[str, ...]:
    """Return the environments that a registry file lists; none if there is no such file.

    conda ends each prefix with a newline and writes newlines in a prefix as they are, so a line that is no environment
    is tried together with those after it. Lines that are no absolute path are not conda's. Lines longer than any path
    are skipped, and their numbers added to `overlong`.

    Raises `OSError`, also for a larger registry than any real one.
    """
    try:
        content = read_regular(registry, LARGEST_REGISTRY)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    if beyond := next(itertools.islice(_LINE.finditer(content), MOST_LINES, None), None):
        number = content.count(b"\n", 0, beyond.start()) + 1
        raise OSError(errno.EFBIG, f"line {number:,} is one more than a registry may have", registry)
    prefixes: list[str] = []
    end = counted = 0
    number = 1
    for line in _LINE.finditer(content):
        number += content.count(b"\n", counted, line.start())
        counted = line.start()
        if line.end() - line.start() > LONGEST_PATH:
            if overlong is not None:
                overlong.append(number)
            continue
        stripped = os.fsdecode(line[0].rstrip())
        if line.start() < end or not os.path.isabs(stripped) or "\0" in stripped:
            continue
        found = list(filter(failures.lexists, _spellings(line[0])))
        if not found:
            found, end = _over_lines(content, line.start(), line.end())
        prefixes += map(os.path.abspath, found or [stripped])
    return tuple(prefixes)


def _spellings(text: bytes) -> Iterable[str]:
    """Return the paths that a line may mean: a blank at its end may belong to the path, or may have been typed."""
    return map(os.fsdecode, dict.fromkeys((text.rstrip(), text)))


def _over_lines(content: bytes, start: int, end: int) -> tuple[list[str], int]:
    """Return the environments that a line names together with up to four after it, and where the last one ends."""
    for _ in range(4):
        following = content.find(b"\n", end + 1)
        end = len(content) if following < 0 else following
        if end - start > LONGEST_PATH:
            break
        found = [path for path in _spellings(content[start:end]) if failures.lexists(os.path.join(path, META))]
        if found:
            return found, end
    return [], start
