"""The words of a CEL expression: enough of its grammar to find names, texts and brackets without being fooled.

The grammar is https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax. Blanks and comments are left
out. Anything the grammar does not know becomes a one-character `other` token; the CEL compiler is the judge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
    (?P<skip>\s+ | //[^\n]*)
  | (?P<text>[bB]?(?:
        [rR](?: \"{3}[\s\S]*?\"{3} | '{3}[\s\S]*?'{3} | "[^"\r\n]*" | '[^'\r\n]*' )
      | \"{3}(?:[^\\]|\\[\s\S])*?\"{3} | '{3}(?:[^\\]|\\[\s\S])*?'{3}
      | "(?:[^"\\\r\n]|\\.)*" | '(?:[^'\\\r\n]|\\.)*' ))
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<quoted>`[^`\r\n]*`)
  | (?P<number>0x[0-9A-Fa-f]+[uU]? | [0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?[uU]?)
  | (?P<other>[\s\S])
    """,
    re.VERBOSE,
)

Kind = Literal["text", "name", "quoted", "number", "other"]


@dataclass(frozen=True, slots=True)
class Token:
    """One word: its kind, its text as written, and the offsets where it starts and ends (characters from 0)."""

    kind: Kind
    text: str
    start: int
    end: int


def tokenize(text: str, start: int = 0) -> Iterator[Token]:
    """Yield the words from `start` to the end of the text; never fails."""
    for match in _TOKEN.finditer(text, start):
        kind = match.lastgroup
        if kind != "skip":
            yield Token(kind, match[0], match.start(), match.end())  # type: ignore[arg-type]  # a group's name is a Kind


def literal(token: Token) -> str | None:
    """Give what a text token stands for; None when it has escapes or is of bytes, which no field name needs."""
    written = token.text
    if written[0] in "bB" or ("\\" in written and written[0] not in "rR"):
        return None
    quotes = written.lstrip("rR")
    width = 3 if quotes[:3] in {'"""', "'''"} else 1
    return quotes[width:-width]


def place(text: str, offset: int) -> tuple[int, int]:
    """Turn an offset (from 0) into the line and column an editor shows (both from 1)."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def references(text: str, names: frozenset[str]) -> frozenset[tuple[str, ...]]:
    """Find the dotted paths an expression reads, of those that start with one of the names.

    `a.b`, `a.?b`, `a["b"]`, `a[?"b"]` and a.`b` all read ("a", "b"). A path ends where the next step is not written
    out: at `a[i]`, a call or a method. A name a macro binds is not told apart, which costs at most a shorter path.
    """
    tokens = list(tokenize(text))
    found = set()
    for index, token in enumerate(tokens):
        after_dot = index > 0 and tokens[index - 1].text in {".", "?"} and _is_field(tokens, index - 1)
        if token.kind == "name" and token.text in names and not after_dot and not _is_call(tokens, index):
            found.add((token.text, *_steps(tokens, index + 1)))
    return frozenset(found)


def _is_field(tokens: list[Token], index: int) -> bool:
    """Tell the `.` of `a.b` and the `?` of `a.?b` from the `?` of `c ? a : b`."""
    return tokens[index].text == "." or (index > 0 and tokens[index - 1].text == ".")


def _is_call(tokens: list[Token], index: int) -> bool:
    return index + 1 < len(tokens) and tokens[index + 1].text == "("


def _steps(tokens: list[Token], index: int) -> Iterator[str]:
    """Yield the field names written out from `index` on."""
    while True:
        words = tokens[index : index + 4]
        optional = len(words) > 1 and words[1].text == "?"
        if optional:
            del words[1]
        if len(words) > 1 and words[0].text == "." and words[1].kind in {"name", "quoted"}:
            index += 3 if optional else 2
            if _is_call(tokens, index - 1):
                return
            yield words[1].text.strip("`")
        elif len(words) > 2 and (words[0].text, words[1].kind, words[2].text) == ("[", "text", "]"):  # noqa: PLR2004
            index += 4 if optional else 3
            name = literal(words[1])
            if name is None:
                return
            yield name
        else:
            return
