"""Values on their way to people: each on one line, in words, and harmless where it is read.

A value may come from a label, so it is taken for an attack: it has no line breaks of its own, nothing that turns the
direction of the text around it, no markup, and mentions nobody.
"""

from __future__ import annotations

import html
import re
from datetime import datetime, timedelta
from typing import Literal

from runbookd.language.values import utc_text

Medium = Literal["text", "html", "slack"]

LONGEST_VALUE = 2_000
"""Characters of one value that are told."""

NOT_KNOWN = "not known"
_BLANKS = re.compile(r"\s+")
# Control characters, and those that turn the direction of what follows (https://www.unicode.org/reports/tr9/).
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_HALVES = re.compile("[\ud800-\udfff]")
_MENTION = re.compile(r"(?<![A-Za-z0-9])@(?=\w)|@(?=(?:here|channel|everyone|group)\b)", re.IGNORECASE)
_GAP = "\u200b"  # a blank of no width
_HALF_ESCAPE = re.compile(r"(&[a-z]{0,3}|<[^<>]{0,255})$")
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def spoken(value: object) -> str:
    """Write a value for people, on one line: timestamps as RFC 3339 in UTC, lengths of time as `1 hour 5 minutes`.

    Raises EvaluationError for a timestamp without a zone.
    """
    if value is None:
        return NOT_KNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return utc_text(value.replace(microsecond=0))
    if isinstance(value, timedelta):
        return in_words(value)
    return cut(one_line(str(value)), LONGEST_VALUE, "text")


def spoken_for_slack(value: object) -> str:
    """Write a value for Slack: its three special characters escaped, mentions broken.

    https://docs.slack.dev/messaging/formatting-message-text says which they are, and that Slack makes mentions of
    plain text by itself.
    """
    escaped = html.escape(spoken(value), quote=False)
    return _MENTION.sub(f"@{_GAP}", escaped)


def as_html(text: str) -> str:
    """Turn plain text into HTML that looks the same: paragraphs and line breaks, everything else escaped."""
    paragraphs = (html.escape(each.strip("\n")) for each in re.split(r"\n{2,}", text) if each.strip())
    return "\n".join("<p>{}</p>".format(each.replace("\n", "<br>\n")) for each in paragraphs)


def one_line(text: str) -> str:
    """Put a text on one line, without what cannot be seen or sent."""
    return _UNSEEN.sub("", _BLANKS.sub(" ", _HALVES.sub("\ufffd", text)))


def cut(text: str, longest: int, medium: Medium) -> str:
    """Shorten a text, for Slack not within an escape or a link."""
    if len(text) <= longest:
        return text
    kept = text[: longest - 1]
    return f"{_HALF_ESCAPE.sub('', kept) if medium == 'slack' else kept}…"


def in_words(length: timedelta) -> str:
    """Write a length of time in its two largest units, rounded down: `1 hour 5 minutes`, `45 seconds`."""
    left = max(length // timedelta(seconds=1), 0)
    counts = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        counts.append((count, unit))
    first = next((index for index, (count, _) in enumerate(counts) if count), len(counts) - 1)
    told = [counted(*each) for each in counts[first : first + 2] if each[0]]
    return " ".join(told) or counted(0, "second")


def in_minutes(length: timedelta) -> str:
    """Write a length of time in minutes, rounded up, so that what is promised is never sooner than what is kept."""
    return counted(max(-(-length // timedelta(minutes=1)), 0), "minute")


def counted(count: int, unit: str) -> str:
    """Write a number with its unit: `1 minute`, `2 minutes`."""
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
