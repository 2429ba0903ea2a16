"""What leaves the house in a document: no mail address, no sign that cannot be seen, no text without an end.

Senders, servers and people wrote these texts, so they may hold anything. Markup is no matter here: each writer of
documents escapes what it is given.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from runbookd.language.media import cut, one_line

T = TypeVar("T")

LONGEST = 500
"""Characters of one text that are told."""

HIDDEN = "(a mail address)"
_LOCAL = r"""[^\s@<>()\[\]{}|,;:"\\/=]"""
_LABEL = r"""[^\s@<>()\[\]{}|,;:"'\\/=.]+"""
_ADDRESS = re.compile(rf"(?<!{_LOCAL}){_LOCAL}++@(?:{_LABEL}\.)+{_LABEL}")
"""https://www.rfc-editor.org/rfc/rfc5322#section-3.4.1, but for quoted names.

A host needs a dot here, for images are named `app@sha256:…`.
"""


def harmless(value: T, hidden: Collection[str] = ()) -> T:
    """Return a tree of dataclasses and tuples with each text in it on one line, bounded, and without mail addresses.

    `hidden` are addresses known from elsewhere, which need not look like one.
    """
    cleaned: T = _clean(value, [each for each in sorted(hidden, key=len, reverse=True) if each])
    return cleaned


def _clean(value: Any, hidden: list[str]) -> Any:
    if type(value) is str:
        return _text(value, hidden)
    if isinstance(value, tuple):
        return tuple(_clean(each, hidden) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        told = {each.name: _clean(getattr(value, each.name), hidden) for each in fields(value)}
        return replace(value, **told)
    return value


def _text(text: str, hidden: list[str]) -> str:
    told = one_line(text[: 10 * LONGEST])
    for address in hidden:
        told = told.replace(address, HIDDEN)
    return cut(_ADDRESS.sub(HIDDEN, told).strip(), LONGEST, "text")
