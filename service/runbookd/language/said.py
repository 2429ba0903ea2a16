"""What people write and whom they name, at whichever door: how long it may be, and what is no name."""

from __future__ import annotations

import re
from typing import Final

from runbookd.language.media import one_line

LONGEST_TEXT: Final = 10_000
"""Characters of a note or reason."""

LONGEST_NAME: Final = 100
"""Characters of a person's name."""

_SPACES = re.compile(r" +")


def text_fault(text: str) -> str:
    """Say why a note or reason is not taken; empty when it is."""
    return _too_long(text, LONGEST_TEXT)


def name_fault(name: str) -> str:
    """Say why nobody is called so; empty when somebody may be: it is one line, of characters that can be seen."""
    if not name.strip():
        return "it is empty"
    if one_line(name) != _SPACES.sub(" ", name):
        return "a name is one line, without characters that cannot be seen"
    return _too_long(name, LONGEST_NAME)


def _too_long(text: str, longest: int) -> str:
    return f"it has {len(text)} characters; at most {longest} are taken" if len(text) > longest else ""
