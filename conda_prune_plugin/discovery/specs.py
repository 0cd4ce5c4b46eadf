"""conda's package specifications, as the core and the command line need them."""

from __future__ import annotations

from typing import Any


def parse_spec(text: str) -> Any:
    """Return conda's `MatchSpec` of a text. Raises `ValueError`, with a text meant for the user."""
    from conda.exceptions import CondaError
    from conda.models.match_spec import MatchSpec

    # conda takes an empty text for a specification that everything matches.
    if not text.strip():
        raise ValueError("an empty text is no package specification")
    try:
        return MatchSpec(text)
    except (CondaError, ValueError, AssertionError, AttributeError, KeyError, TypeError) as error:
        # conda's parser ends on some nonsense with whatever its steps raise.
        raise ValueError(f"{text!r} is not a package specification such as numpy, 'numpy>=1.26' or 'nump*'") from error
