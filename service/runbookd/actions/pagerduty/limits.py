"""What PagerDuty takes, and how what is longer is cut, so that a page is never lost to the size of its words. Pure.

Summary and key: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/ (1024 and 255 characters); the whole
request: https://developer.pagerduty.com/docs/events-api-v2/overview/ (512 KB). It does not say what a character is, so
UTF-16 units are counted: an emoji is two. For the other texts it names no limit; ours keep them readable.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from runbookd.errors import RunbookdError
from runbookd.language.values import utc_text
from runbookd.model.durations import format_duration

MAX_TEXT = 1024
MAX_KEY = 255
MAX_BODY = 512_000
"""Bytes of one request."""
UNKNOWN = "(none given)"
"""In place of a text that PagerDuty wants and that is blank."""
MAX_LINKS = 20
MAX_LINK = 2000
CUT = "cut by runbookd"
"""The name under which the details say what was cut."""

_MAX_DEPTH = 20
_SHORTER = (16_384, 4_096, 1_024, 256, 64)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WEB = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)


def whole(text: object) -> object:
    """A text with halves of surrogate pairs, which JSON may smuggle in, as U+FFFD; anything else as it is."""
    if not isinstance(text, str):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


Words = Annotated[str, BeforeValidator(whole), StringConstraints(min_length=1)]
"""A text that says something."""


class Link(BaseModel):
    """A link shown with an event."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    href: str = Field(description="Where it leads, http or https; anything else is left out.")
    text: str = Field(default="", description="What is shown for it. Empty: the address.")


def clean(text: str) -> str:
    """The text as UTF-8 can carry it: half surrogates become U+FFFD, controls but tabs and line breaks a space."""
    return _CONTROL.sub(" ", str(whole(text)))


def one_line(name: str, text: str, cuts: list[str]) -> str:
    """The text cleaned, on one line, of at most MAX_TEXT characters; a cut is noted under this name."""
    words = " ".join(clean(text).split())
    short = shortened(words, MAX_TEXT)
    if short != words:
        cuts.append(f"{name}: {MAX_TEXT} of {_length(words)} characters")
    return short


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and an ellipsis, in at most so many UTF-16 units; no character is halved."""
    if _length(text) <= longest:
        return text
    return text.encode("utf-16-le")[: 2 * (longest - 1)].decode("utf-16-le", "ignore") + "…"


def dedup_key_of(key: str) -> str:
    """The key PagerDuty is given: this one, or, too long or not printable ASCII, its beginning and its SHA-256.

    The same key always gives the same, and another key another.
    """
    if key.isascii() and key.isprintable() and len(key) <= MAX_KEY:
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    head = "".join(character for character in key if character.isascii() and character.isprintable())
    return f"{head[: MAX_KEY - len(digest) - 1]}-{digest}"


def web_links(found: Sequence[Link], cuts: list[str]) -> list[dict[str, str]]:
    """Links as events carry them; what is no http or https URL, or too many, is left out and noted."""
    named = [(clean(link.href).strip(), link.text) for link in found]
    fit = [(href, text) for href, text in named if len(href) <= MAX_LINK and _WEB.fullmatch(href)]
    fit = fit[:MAX_LINKS]
    if len(fit) < len(found):
        cuts.append(f"links: {len(fit)} of {len(found)}")
    return [{"href": href, "text": one_line("link", text, cuts) or href} for href, text in fit]


def plain(value: object, depth: int = _MAX_DEPTH) -> object:
    """The value as JSON can carry it: cleaned texts, durations as `1h30m`, moments as RFC 3339, no NaN."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping | list | tuple) and depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return {clean(str(key)): plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth - 1) for item in value]
    return clean(_written(value))


def fitted(details: Mapping[str, object], room: int, cuts: list[str]) -> dict[str, object]:
    """The details in at most `room` bytes of JSON, and under CUT what was cut, here and before.

    Long texts are shortened first, all alike; only when short texts are still too many are the last ones left out.
    """
    clear = {clean(name): plain(value) for name, value in details.items()}
    room -= 1024 + size(cuts)  # what is said under CUT
    kept = clear
    if size(clear) > room:
        kept = _cut(clear, room)
        cuts.append(f"details: {size(kept)} of {size(clear)} bytes, {len(kept)} of {len(clear)} entries")
    return kept | {CUT: "; ".join(cuts)} if cuts else kept


def size(value: object) -> int:
    """Bytes of the value as JSON in UTF-8."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _cut(details: dict[str, object], room: int) -> dict[str, object]:
    short = details
    for longest in _SHORTER:
        short = {shortened(name, longest): _shorter(value, longest) for name, value in details.items()}
        if size(short) <= room:
            return short
    kept: dict[str, object] = {}
    for name, value in short.items():
        room -= size({name: value})
        if room < 0:
            break
        kept[name] = value
    return kept


def _shorter(value: object, longest: int) -> object:
    if isinstance(value, str):
        return shortened(value, longest)
    if isinstance(value, dict):
        return {shortened(name, longest): _shorter(item, longest) for name, item in value.items()}
    return [_shorter(item, longest) for item in value] if isinstance(value, list) else value


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _written(value: object) -> str:
    try:
        if isinstance(value, timedelta):
            return format_duration(value)
        return utc_text(value) if isinstance(value, datetime) else str(value)
    except RunbookdError:
        return str(value)
