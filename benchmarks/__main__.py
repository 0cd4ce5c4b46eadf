"""``python -m benchmarks {backup,usage} [--size M] [--rounds 7] [--directory DIR]``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from . import backup, usage
from .install import SIZES, Install, generate

COMMANDS = {"backup": backup.compare, "usage": usage.compare}


def main() -> int:
    """Generate an install and run one benchmark on it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=sys.modules["benchmarks"].__doc__)
    parser.add_argument("command", choices=sorted(COMMANDS))
    parser.add_argument("--size", choices=sorted(SIZES), default="M", help="how large an install (default: M)")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is run (default: 7)")
    parser.add_argument(
        "--directory", type=Path, help="make the install here, or use the one that is here, and keep it"
    )
    arguments = parser.parse_args()
    size = SIZES[arguments.size]
    if arguments.directory is not None:
        install = Install(arguments.directory.absolute())
        if not install.cache.exists():
            generate(install.directory, size)
        return COMMANDS[arguments.command](install, arguments.rounds)
    with tempfile.TemporaryDirectory(prefix="conda-prune-benchmark-") as directory:
        return COMMANDS[arguments.command](generate(Path(directory) / "install", size), arguments.rounds)


if __name__ == "__main__":
    sys.exit(main())
