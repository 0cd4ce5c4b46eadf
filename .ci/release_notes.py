"""Print the notes of a release, its section of the changelog: ``python .ci/release_notes.py VERSION``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def notes(changelog: str, version: str) -> str:
    """Return the section of a version without its heading. Raises `ValueError` if there is none."""
    found = re.search(
        rf"^## \[?{re.escape(version)}\]?(?:[ (][^\n]*)?\n(.*?)(?=^## |\Z)", changelog, re.DOTALL | re.MULTILINE
    )
    if not found or not found[1].strip():
        raise ValueError(f"CHANGELOG.md has no section for {version}")
    return found[1].strip()


if __name__ == "__main__":
    print(notes(CHANGELOG.read_text(), sys.argv[1]))
