"""``python -m benchmarks {all,plan,usage,removal,backup,others,growth} [--size S M L] [--rounds 5]``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from . import backup, growth, others, plan, removal, timing, usage
from .install import SIZES, Install, generate

#: What is compared on each size of install.
COMMANDS = {
    "plan": plan.compare,
    "usage": usage.compare,
    "removal": removal.compare,
    "backup": backup.compare,
    "others": others.compare,
}


def main() -> int:
    """Generate installs and compare on them; return 0 if every goal was reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=sys.modules["benchmarks"].__doc__)
    parser.add_argument("command", choices=["all", *COMMANDS, "growth"])
    parser.add_argument("--size", choices=SIZES, nargs="+", default=["M"], help="how large an install (default: M)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is run (default: 5)")
    parser.add_argument("--directory", type=Path, help="make the installs here, or use those that are here; keep them")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, {platform.system()} {platform.release()}, Python {platform.python_version()}")
    with ExitStack() as stack:
        directory = arguments.directory
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conda-prune-benchmark-")))
        reached = True
        for size in arguments.size if arguments.command != "growth" else ():
            reached &= _compare(arguments.command, directory.absolute() / size, size, arguments.rounds)
        if arguments.command in ("all", "growth"):
            reached &= _report(growth.compare(directory.absolute(), arguments.rounds))
    return 0 if reached else 1


def _compare(command: str, directory: Path, size: str, rounds: int) -> bool:
    install = Install(directory)
    if not install.cache.exists():
        generate(directory, SIZES[size])
    print(f"\n{size}: {SIZES[size].packages} packages, {SIZES[size].environments} environments; medians of {rounds}")
    reached = True
    for compare in COMMANDS.values() if command == "all" else (COMMANDS[command],):
        reached &= _report(compare(install, rounds))
    return reached


def _report(compared: list[timing.Compared]) -> bool:
    for one in compared:
        print(f"  {one}", flush=True)
    return all(one.wall <= one.goal for one in compared)


if __name__ == "__main__":
    sys.exit(main())
