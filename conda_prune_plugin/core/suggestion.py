"""Suggest a word for a misspelled one."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the most similar of some words, None if there is none."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(words))), None)
