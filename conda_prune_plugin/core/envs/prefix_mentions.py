"""Find prefixes of environments in texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence


class Mentions:
    """Finds the prefixes that texts mention; of nested ones only the innermost counts.

    home: the directory of ``~`` and ``$HOME``. The time for a text doesn't depend on the number of prefixes, as it
    would with one pattern of all of them.
    """

    def __init__(self, prefixes: Sequence[str], names: Mapping[str, str], home: str) -> None:
        self._home = home
        self._names = names
        self._prefixes = frozenset(prefixes)
        # Where a prefix may begin, and the beginnings of prefixes up to each place where a path may end.
        firsts = "".join(map(re.escape, sorted({prefix[0] for prefix in prefixes})))
        self._start = re.compile(rf"(?<![\w.-])[{firsts}]") if firsts else None
        self._beginnings = frozenset(prefix[: end.start()] for prefix in prefixes for end in _END.finditer(prefix))

    def paths(self, text: str) -> frozenset[str]:
        """Return the prefixes whose path is in a text."""
        if self._start is None:
            return frozenset()
        text = _HOME.sub(lambda found: self._home + found["end"], text)
        found = set()
        start = self._start.search(text)
        while start is not None:
            prefix = self._longest_at(text, start.start())
            found.add(prefix)
            start = self._start.search(text, start.end() if prefix is None else start.start() + len(prefix))
        return frozenset(prefix for prefix in found if prefix is not None)

    def activated(self, text: str) -> frozenset[str]:
        """Return the prefixes whose path is in a shell script, or that it activates or runs by name."""
        named = {name for groups in _BY_NAME.findall(text) for name in groups}
        return self.paths(text) | {self._names[name] for name in named if name in self._names}

    def _longest_at(self, text: str, start: int) -> str | None:
        """Return the longest prefix that starts here in a text and ends where a path may end."""
        longest = None
        for end in _END.finditer(text, start + 1):
            path = text[start : end.start()]
            if path in self._prefixes:
                longest = path
            if path not in self._beginnings:
                break
        return longest


#: Where a path may end: before a separator, or at the end of the text.
_END = re.compile(r"(?=[/\s\"'`:;,)\]}<>|&?#\\]|$)")


_HOME = re.compile(r"(?:~|\$HOME|\$\{HOME\}|\$\{env:HOME\}|\$\{userHome\}|\$USER_HOME\$|%h)(?P<end>/)")


_BY_NAME = re.compile(
    r"(?m)^[^#\n]*?\b(?:(?:conda|mamba|micromamba|source)\s+activate\s+[\"']?([\w.+-]+)"
    r"|(?:conda|mamba|micromamba)\s+run\s+(?:-\S+\s+)*?(?:-n|--name)[ =][\"']?([\w.+-]+)"
    r"|layout\s+(?:ana|mini|micro)?conda\s+[\"']?([\w.+-]+))"
)
