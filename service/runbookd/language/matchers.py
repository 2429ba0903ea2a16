r"""Label matchers, read and applied exactly as Alertmanager does: `namespace=~"med.*"`.

Grammar and meaning: https://prometheus.io/docs/alertmanager/latest/configuration/#matcher. As in Alertmanager's
default mode, the classic grammar has the first word and the UTF-8 grammar is asked when it does not apply; so a
backslash that starts no escape is kept, as in `"a\.b"`, and a label name in quotes may hold any character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from runbookd.errors import LanguageError
from runbookd.language.cel import matches_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

OPERATORS = ("=~", "!~", "!=", "=")

_CLASSIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_CLASSIC = re.compile(r"[\t\n\f\r ]*([a-zA-Z_:][a-zA-Z0-9_:]*)[\t\n\f\r ]*(=~|=|!=|!~)(.*)", re.DOTALL)
_CLASSIC_ESCAPE = re.compile(r'\\([n"\\])')
_BARE = r"[^\s{}!=~,\\\"'`]+"
_QUOTED = r'"(?:[^"\\\n]|\\[^\n])*"'
_WORD = re.compile(rf"\s*({_QUOTED}|{_BARE})\s*")
_OPERATOR = re.compile("|".join(OPERATORS))
_ESCAPE = re.compile(
    r'\\(?:([abfnrtv\\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([\s\S]))'
)
_CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_MEMORABLE = 256  # characters; longer label values are rare, and must not fill the memory
_LITERALS = re.compile(r"(?:[^\\.+*?()\[\]{}^$|]|\\[\\.+*?()\[\]{}^$|])+")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; a label that is not there counts as empty.

    `op` is one of `=`, `!=`, `=~`, `!~`; for the last two `value` is a regular expression (RE2) that has to match the
    whole label value. Raises LanguageError for an empty name, another operator or a wrong regular expression.
    """

    label: str
    op: str
    value: str

    def __post_init__(self) -> None:
        """Hold every matcher, however made, to the grammar."""
        if not self.label:
            raise LanguageError("A matcher needs a label name before its operator.")
        if self.op not in OPERATORS:
            raise LanguageError(f"'{self.op}' is not a matcher's operator; use one of = != =~ !~.")
        if self.op.endswith("~"):
            _fits(self.value, "")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the condition holds for these labels."""
        actual = labels.get(self.label, "")
        if self.op == "=":
            return actual == self.value
        if self.op == "!=":
            return actual != self.value
        return _fits(self.value, actual) == (self.op == "=~")

    def literals(self) -> tuple[str, ...] | None:
        """Give the only label values that can match, for an index; None when they cannot be listed.

        They are listed for `=` and for `=~` with nothing but texts between bars, as in `a|b|c`. A matcher that takes
        the empty text is never listed, because it also takes events without the label.
        """
        if self.op == "=":
            return (self.value,) if self.value else None
        return _alternatives(self.value) if self.op == "=~" else None

    def __str__(self) -> str:
        """Write the matcher so that `parse_matcher` reads the same one: `name="value"`."""
        name = self.label if _CLASSIC_NAME.fullmatch(self.label) else _quote(self.label)
        return f"{name}{self.op}{_quote(self.value)}"


def parse_matcher(text: str) -> Matcher:
    """Read one matcher; raises LanguageError with the column (from 1) of the first mistake."""
    for offset, character in enumerate(text):
        if "\ud800" <= character <= "\udfff":
            raise _mistake(text, offset, "holds a character that is not valid Unicode")
    stripped = text.strip()
    if stripped.startswith("{") or stripped.endswith("}"):
        raise _mistake(text, text.index(stripped), "is in braces; write one matcher without them")
    parts = _classic(text)
    if parts is None:
        parts = _utf8(text)
    try:
        return Matcher(*parts)
    except LanguageError as error:
        found = _OPERATOR.search(text)
        raise LanguageError(
            f"{error} In the matcher {text!r}.", line=1, column=found.end() + 1 if found else 1
        ) from None


def _classic(text: str) -> tuple[str, str, str] | None:
    """Read the grammar of Alertmanager before 0.27; None when the text is not of it."""
    match = _CLASSIC.fullmatch(text)
    if match is None:
        return None
    name, op, raw = match.groups()
    raw = raw.strip("\t\n\f\r ")
    quoted = raw.startswith('"')
    body = raw[1:] if quoted else raw
    closing = _unescaped_quote(body)
    if closing != (len(body) - 1 if quoted else -1) or (quoted and not body):
        return None
    return name, op, _CLASSIC_ESCAPE.sub(_classic_escape, body[:-1] if quoted else body)


def _unescaped_quote(body: str) -> int:
    """Find the first double quote no backslash belongs to; -1 when there is none."""
    found = re.match(r'(?:[^"\\]|\\[\s\S]|\\\Z)*"', body)
    return found.end() - 1 if found else -1


def _classic_escape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def _utf8(text: str) -> tuple[str, str, str]:
    """Read the grammar of Alertmanager since 0.27: name and value bare or in double quotes."""
    name, end = _word(text, 0, "a label name")
    op = _OPERATOR.match(text, end)
    if op is None:
        raise _mistake(text, end, "needs one of = != =~ !~ here")
    value, end = _word(text, op.end(), "a value")
    if end != len(text):
        raise _mistake(text, end, "has more text than one matcher here")
    return name, op[0], value


def _word(text: str, start: int, what: str) -> tuple[str, int]:
    match = _WORD.match(text, start)
    if match is None:
        raise _mistake(text, start, f"needs {what} here, in double quotes if it is not plain")
    word = match[1]
    if not word.startswith('"'):
        return word, match.end()
    return _ESCAPE.sub(lambda escape: _unescape(escape, text, match.start(1) + 1), word[1:-1]), match.end()


def _unescape(escape: re.Match[str], text: str, start: int) -> str:
    """Undo one escape of a Go string (https://go.dev/ref/spec#String_literals)."""
    control, byte, octal, short, long, _ = escape.groups()
    if control:
        return _CONTROL[control]
    try:
        if byte or octal:  # one byte of UTF-8: a character of its own only in ASCII
            return bytes([int(byte, 16) if byte else int(octal, 8)]).decode("ascii")
        character = chr(int(short or long or "", 16))
        character.encode()
    except ValueError:
        raise _mistake(text, start + escape.start(), f"has the unknown escape {escape[0]}") from None
    return character


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _mistake(text: str, offset: int, what: str) -> LanguageError:
    return LanguageError(f"The matcher {text!r} {what}.", line=1, column=offset + 1)


@lru_cache(maxsize=4096)
def _alternatives(pattern: str) -> tuple[str, ...] | None:
    """List the texts of a pattern that is nothing but texts between bars; None when it is more."""
    parts = re.split(r"(?<!\\)\|", pattern)
    if all(_LITERALS.fullmatch(part) for part in parts):
        return tuple(re.sub(r"\\([\s\S])", r"\1", part) for part in parts)
    return None


def _fits(pattern: str, text: str) -> bool:
    literals = _alternatives(pattern)
    if literals is not None:
        return text in literals
    return _remembered(pattern, text) if len(text) <= _MEMORABLE else matches_whole(pattern, text)


@lru_cache(maxsize=8192)
def _remembered(pattern: str, text: str) -> bool:
    """Keep the answer: label values repeat, and a match costs as much as fifty look-ups."""
    return matches_whole(pattern, text)
