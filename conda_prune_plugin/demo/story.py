"""The demonstration: real conda fills a cache, `conda clean` and `conda prune` show their plans, and it is pruned.

``python -m conda_prune_plugin.demo.story DIRECTORY`` tells the story in a process of its own, whose environment
variables keep conda inside the sandbox in DIRECTORY. conda runs in that process, because a new one for each command
would take three times as long.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from ..embedded import activate, main, main_afresh
from .demo_packages import PLACEHOLDER, File, HardLink, Package, SymLink, build_channel
from .sandbox import Sandbox

# The same bytes every time; nothing that would compress to nothing.
_RANDOM = random.Random(20)  # noqa: S311


def packages() -> tuple[Package, ...]:
    """Return the packages of the demonstration: every way in which `conda clean` can go wrong, and plain ones."""

    def library(name: str, version: str, files: int, size: int) -> Package:
        content = {f"lib/{name}/{number}.so": File(_RANDOM.randbytes(size)) for number in range(files)}
        return Package(name, version, files=content)

    tool = File(_RANDOM.randbytes(900_000), executable=True)
    return (
        library("libnumbers", "1.0", 12, 250_000),
        library("libnumbers", "2.0", 12, 250_000),
        library("libpicture", "3.1", 30, 60_000),
        library("libforgotten", "0.9", 40, 50_000),
        Package("tool-with-two-names", "1.2", files={"bin/tool": tool, "bin/tool-1.2": HardLink("bin/tool")}),
        Package("settings", "1.0", files={"etc/settings": File(f"prefix={PLACEHOLDER}\n".encode() * 200)}),
        Package("meta", "2026", depends=("libnumbers", "settings"), noarch="generic", subdir="noarch"),
        Package(
            "viewer",
            "5.0",
            depends=("libpicture",),
            files={"bin/viewer": File(_RANDOM.randbytes(400_000), executable=True), "bin/v": SymLink("viewer")},
        ),
    )


class Story:
    """Runs conda in this process, one command after the other, and prints what matters."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def tell(self) -> int:
        """Tell the story; return 0 if everything in it came true."""
        self._sandbox.create()
        channel = build_channel(self._sandbox.directory / "channel", packages())
        source = ("--override-channels", "-c", channel)
        print("A sandbox: a channel of 8 small packages, and three environments made from it by real conda.\n")
        self._quietly("create", "-n", "work", "meta", "libnumbers=1.0", *source)
        self._quietly("install", "-n", "work", "libnumbers=2.0", *source)
        self._quietly("create", "-n", "pictures", "viewer", *source, CONDA_ALWAYS_SOFTLINK="true")
        self._quietly("create", "-n", "old", "libforgotten", "tool-with-two-names", *source)
        self._quietly("remove", "-n", "old", "--all")
        self._clean()
        return self._prune() or self._restore()

    def _clean(self) -> None:
        print("\nWhat conda clean would remove, judging by link counts:\n")
        print("$ conda clean --packages --dry-run")
        answer = self._json("clean", "--packages", "--dry-run")["packages"]
        going = sorted(name for names in answer["pkgs_dirs"].values() for name in names)
        used = {path.stem for path in self._sandbox.envs.glob("*/conda-meta/*.json")}
        for name in going:
            print(f"  {name}{'   <- in use!' if name in used else ''}")
        extracted = {path.name for path in self._sandbox.cache.glob("*-*-*") if path.is_dir()}
        for name in sorted(extracted - used - set(going)):
            print(f"  (and never {name}, which nothing uses)")

    def _prune(self) -> int:
        before = self._environments()
        size_before = _allocated(self._sandbox.cache)
        predicted = self._json("prune", "--min-age", "0", "--dry-run")["totals"]["reclaimable"]
        print("\nWhat conda prune removes, knowing what every environment uses")
        print("(--min-age 0, because everything here is only seconds old):\n")
        command = ("prune", "--min-age", "0", "--yes")
        print("$ conda", *command, flush=True)
        code = main(command)
        # Only the receipt lies below it.
        receipt = _allocated(self._sandbox.cache / ".conda-prune")
        freed = size_before - (_allocated(self._sandbox.cache) - receipt)
        left = [item["dist"] for item in self._json("prune", "--min-age", "0", "--dry-run")["remove"]]
        intact = self._environments() == before
        print(f"\nPredicted: {predicted:,} bytes.")
        print(f"Freed: {freed:,} bytes, as du counts the cache before and after,")
        print(f"not counting the record of {receipt:,} bytes kept for `restore`.")
        print(
            f"{len(before)} files in the environments, read before and after: {'identical' if intact else 'CHANGED'}."
        )
        print(f"Left to prune: {', '.join(left) or 'nothing'}.", flush=True)
        return 0 if code == 0 and intact and not left and freed == predicted else 1

    def _restore(self) -> int:
        print("\nAnd back again, fetched from the channel:\n\n$ conda prune restore last", flush=True)
        before = self._environments()
        code = main(("prune", "restore", "last"))
        return code if self._environments() == before else 1

    def _quietly(self, *command: str, **changes: str) -> None:
        shown = " ".join(word for word in command if not word.startswith(("file:", "--override", "-c")))
        print(f"$ {''.join(f'{key}={value} ' for key, value in changes.items())}conda {shown}", flush=True)
        output = io.StringIO()
        with _variables(changes), redirect_stdout(output), redirect_stderr(output):
            code = main_afresh((*command, "--yes", "--quiet"))
        if code:
            raise SystemExit(f"{output.getvalue()}\nconda failed with exit code {code}")

    def _json(self, *command: str) -> Any:
        output = io.StringIO()
        with redirect_stdout(output):
            code = main_afresh((*command, "--json"))
        if code:
            raise SystemExit(f"{output.getvalue()}\nconda failed with exit code {code}")
        return json.loads(output.getvalue())

    def _environments(self) -> dict[str, str]:
        """Return a hash of every file in the environments; a dangling link fails."""
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self._sandbox.envs.rglob("*"))
            if path.is_symlink() or path.is_file()
        }


@contextmanager
def _variables(changes: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _allocated(directory: Path) -> int:
    """Return the bytes that ``du`` would count."""
    found = [os.lstat(directory)]
    for path, directories, files in os.walk(directory):
        found += [os.lstat(os.path.join(path, name)) for name in (*directories, *files)]
    return 512 * sum(
        {
            (status.st_dev, status.st_ino): getattr(status, "st_blocks", status.st_size // 512) for status in found
        }.values()
    )


if __name__ == "__main__":
    activate()
    sys.exit(Story(Sandbox(Path(sys.argv[1]))).tell())
