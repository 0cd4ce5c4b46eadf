"""Space on a file system: bytes and inodes, which limits and quotas count alike."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Word


class Unit(Word):
    """What a limit counts. A quota of files counts inodes: files, directories and symbolic links."""

    BYTES = "bytes"
    INODES = "inodes"


@dataclass(frozen=True, slots=True)
class Space:
    """Allocated bytes, and the number of inodes."""

    bytes: int = 0
    inodes: int = 0

    def __add__(self, other: Space) -> Space:
        return Space(self.bytes + other.bytes, self.inodes + other.inodes)

    def __sub__(self, other: Space) -> Space:
        return Space(self.bytes - other.bytes, self.inodes - other.inodes)

    def of(self, unit: Unit) -> int:
        """Return how much it is of one unit."""
        return self.bytes if unit is Unit.BYTES else self.inodes


#: The start of a sum.
NO_SPACE = Space()
