"""The "Did you mean" of every error message about a misspelled word."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Say which known word was probably meant: " Did you mean 'x'?", or "" when none is close.

    The answer starts with a space, so that it can be appended to a sentence as it is.
    """
    candidates = {name.lower(): name for name in sorted(known)}
    close = get_close_matches(word.lower(), candidates, n=1)
    return f" Did you mean '{candidates[close[0]]}'?" if close else ""
