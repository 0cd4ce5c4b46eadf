"""Suggest the word that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the one of some words that is most like a word, if one is."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(words))), None)
