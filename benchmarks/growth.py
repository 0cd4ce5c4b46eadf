"""How the scan grows with what is installed: ten times the records and entries, at most eleven times the time."""

from __future__ import annotations

from pathlib import Path

from .install import Install, Size, generate
from .timing import Compared, alternate, part

#: The same number of records in each environment, so that entries, environments and records all grow by ten.
_SMALL, _LARGE = Size(400, 4, 100), Size(4_000, 40, 100)


def compare(directory: Path, rounds: int) -> list[Compared]:
    """Return the comparison of two installs that are generated for it."""
    installs = []
    for name, size in (("growth-small", _SMALL), ("growth-large", _LARGE)):
        install = Install(directory / name)
        installs.append(install if install.cache.exists() else generate(install.directory, size))
    small, large = (part(install.environ(), "scan") for install in installs)
    runs = alternate({"large": large, "small": small}, rounds)
    return [Compared("scan of ten times as much", "scan", runs["large"], runs["small"], 11.0)]
