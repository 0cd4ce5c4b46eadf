"""Compares the mutants that survived the last run with those that were looked at: survivors.txt, beside this file.

Fails where one survived that is not listed with a reason, or where one is listed that did not survive. With any
argument the run was one of a part of the core, and only the former counts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

LIST = Path(__file__).with_name("survivors.txt")

PART = len(sys.argv) > 1

#: One that never ends is noticed. Of a run of a part the others may have no result.
NOTICED = ("killed", "timeout", *(("not checked",) if PART else ()))


def main() -> int:
    """Return the exit code, having said what differs."""
    found = set(_survivors())
    listed = set(_listed(LIST.read_text()))
    gone = [] if PART else sorted(listed - found)
    for text in sorted(found - listed):
        print(f"No test notices this, and it is not in {LIST.name}:\n{text}\n")
    for text in gone:
        print(f"Listed in {LIST.name}, but a test notices it, or the code is gone:\n{text}\n")
    print(f"{len(found)} mutants survived, {len(found - listed)} of them not listed; {len(gone)} listed ones did not")
    return int(bool(found - listed or gone))


def _survivors() -> Iterator[str]:
    """Give the function and the changed lines of each mutant that no test noticed."""
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            status = status_by_exit_code[code]
            if status in NOTICED:
                continue
            function, owner = orig_function_and_class_names_from_key(name)
            place = ".".join(filter(None, (Path(path).stem, owner, function)))
            changed = get_diff_for_mutant(name, path=path).splitlines()[3:]
            lines = [f"{line[0]} {line[1:].strip()}" for line in changed if line[:1] in ("-", "+")]
            yield "\n".join([place if status == "survived" else f"{place} ({status})", *lines])


def _listed(text: str) -> Iterator[str]:
    """Give the paragraphs in which an indented line gives a reason, without it."""
    for paragraph in text.split("\n\n"):
        lines = [line for line in paragraph.splitlines() if not line.startswith("#")]
        place = [line for line in lines if not line.startswith(" ")]
        if len(place) < len(lines):
            yield "\n".join(place)


if __name__ == "__main__":
    sys.exit(main())
