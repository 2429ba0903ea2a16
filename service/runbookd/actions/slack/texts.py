"""Text on its way to Slack: made harmless, measured, and cut only where it can be cut.

Slack's markup (mrkdwn) knows three escapes, `&amp;` `&lt;` `&gt;`, and puts links and mentions in angle brackets:
https://docs.slack.dev/messaging/formatting-message-text. Nothing here escapes what is already escaped, and nothing is
cut inside an escape, a link, or a character beyond the basic plane.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_ATOM = re.compile(r"&(?:amp|lt|gt);|<[^<>\n]{1,2000}>|.", re.DOTALL)
"""What is never cut: an escape, a link or mention, else one character."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_TWO_IN_JSON = frozenset('"\\\n\t')
ELLIPSIS = "…"


def clean(value: object) -> object:
    """Text as Slack takes it: whole characters, no control characters but line breaks and tabs; the rest as it is.

    Halves of a surrogate pair are joined where both are there, and become U+FFFD where one is missing.
    """
    if not isinstance(value, str):
        return value
    whole = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _CONTROL.sub("", whole.replace("\r\n", "\n").replace("\r", "\n"))


Words = Annotated[str, BeforeValidator(clean)]
"""Text from anywhere, perhaps of a label: what no message may hold is taken out before it is looked at."""


def escape(text: str) -> str:
    """Plain text as markup that shows it; text that is escaped already stays as it is."""
    return "".join(_ESCAPES.get(char, char) for char in unescape(text))


def unescape(text: str) -> str:
    """Markup's three escapes as the characters they stand for, once."""
    for char, written in reversed(_ESCAPES.items()):
        text = text.replace(written, char)
    return text


def one_line(text: str) -> str:
    """The text with every run of white space, line breaks too, as one space."""
    return " ".join(text.split())


def size(text: str) -> int:
    """How long Slack may take the text to be: UTF-16 units of its form in JSON.

    What the limits count is told nowhere; this is the longest of the ways it is reported to be done
    (https://github.com/slackapi/bolt-js/issues/2867), so what fits by it fits.
    """
    return len(text.encode("utf-16-le", "surrogatepass")) // 2 + sum(char in _TWO_IN_JSON for char in text)


def cut(text: str, most: int) -> str:
    """The text if it is no larger than `most`, else its beginning and an ellipsis."""
    end, _ = fit(text, most)
    if end == len(text):
        return text
    end, _ = fit(text, most - size(ELLIPSIS))
    return text[:end].rstrip() + ELLIPSIS


def fit(text: str, most: int) -> tuple[int, int]:
    """How many characters of the text fit into `most`, and after how many of these it is best parted.

    That is after a line, or else after a word, if one ends in the second half of what fits.
    """
    taken = end = line = word = 0
    for found in _ATOM.finditer(text):
        atom = found.group()
        taken += size(atom)
        if taken > most:
            break
        end = found.end()
        if atom == "\n":
            line = end
        elif atom.isspace():
            word = end
    return end, next((gap for gap in (line, word) if gap * 2 > end), end)
