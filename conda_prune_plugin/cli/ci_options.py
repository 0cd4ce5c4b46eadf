"""The options of ``conda prune`` for machines that nobody watches."""

from __future__ import annotations

from typing import Any

from .options import Value


def add_ci(group: Any) -> None:
    """Add the options for continuous integration."""
    group.add_argument(
        "--ci",
        choices=("image", "cache"),
        help="Without a question, and whatever its age: image makes the smallest layer, and leaves in the caches only "
        "what environments soft-link; cache leaves what is worth saving between runs: the archives, and what else "
        "conda needs to make the present environments again offline from any of its exports.",
    )
    group.add_argument(
        "--check",
        metavar="SIZE",
        action=Value,
        help="Change nothing; exit with 3 if more than SIZE (500MB, 2.5GiB) is reclaimable, with 0 if not.",
    )
