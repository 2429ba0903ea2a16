"""Places inside YAML text: from bytes to characters, from a parser's complaint or an offset to line and column."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml
from yaml.reader import Reader

from runbookd.errors import ContentError, Problem

MAX_BYTES = 1_048_576
"""The largest file read: what a Kubernetes ConfigMap can hold (https://kubernetes.io/docs/concepts/configuration/configmap/)."""

_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")
_BLOCKS = {"|", ">"}


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, both counted from 1, in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value as written. `style` is its quote, `|` or `>` for blocks, None when plain.

    `is_text` is True when it is a text whatever it looks like.
    """

    place: Place
    text: str
    style: str | None
    is_text: bool


def decode(file: str, body: bytes) -> str:
    """Return the text of a file. Raises ContentError when it is too large or not UTF-8."""
    if len(body) > MAX_BYTES:
        message = f"the file is larger than {MAX_BYTES} bytes; split it"
        raise ContentError((Problem(file, None, None, message),))
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode("utf-8").removeprefix("\ufeff")
        raise _refusal(file, before, "this is not UTF-8 text; save the file as UTF-8") from None
    if found := Reader.NON_PRINTABLE.search(text):
        message = f"the control character U+{ord(found[0]):04X} is not allowed; write it as an escape in double quotes"
        raise _refusal(file, text[: found.start()], message)
    return text


def _refusal(file: str, before: str, message: str) -> ContentError:
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return ContentError((Problem(file, line, column, message),))


def explain(file: str, text: str, error: yaml.MarkedYAMLError) -> Problem:
    """Say what the parser complains of, where, and what usually helps."""
    unfinished_key = "could not find expected ':'" in str(error.problem)  # told at the next line, or the end
    mark = error.context_mark if unfinished_key else error.problem_mark
    if mark is None:  # pragma: no cover - the parser always says where
        return Problem(file, None, None, str(error.problem))
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    said = "this is neither `key: value` nor a list item" if unfinished_key else str(error.problem)
    return Problem(
        file, mark.line + 1, mark.column + 1, _hint(said, line, mark.column) or f"not valid YAML: {said}"
    )


def _hint(said: str, line: str, column: int) -> str | None:
    """Return a better sentence than the parser's own for the mistakes people make most; None for others."""
    character = line[column : column + 1]
    if "\t" in line[: len(line) - len(line.lstrip())] or character == "\t":
        return "a tab is used for indentation; use spaces"
    if "cannot start any token" in said:
        return f"a value cannot start with {character!r}; put it in quotes"
    if "mapping values are not allowed" in said:
        return (
            "a colon is not allowed here; quote a text that holds ': ', and indent the keys of one map alike"
        )
    if character == ":" and said.startswith("did not find expected"):
        return "a key is missing before the colon"
    if "${" in line and "{" in line.replace("${", ""):
        return f"not valid YAML: {said}; inside {{...}} put a text that holds ${{...}} in quotes"
    return None


def place_within(text: str, scalar: Scalar, line: int, column: int) -> Place:
    """Return where line and column (from 1) of a scalar's text stand in the file.

    Where folding has moved the words (`>` blocks, plain and quoted texts over several lines) that is its beginning.
    """
    lines = text.splitlines()
    if scalar.style == "|":
        body = lines[scalar.place.line :]
        indent = next((len(each) - len(each.lstrip(" ")) for each in body if each.strip()), 0)
        return Place(scalar.place.line + line, column + indent)
    if scalar.style in _BLOCKS or line > 1:
        return scalar.place
    raw = lines[scalar.place.line - 1][scalar.place.column - 1 :]
    if scalar.style is None:
        fits = raw.startswith(scalar.text)
        return Place(scalar.place.line, scalar.place.column + column - 1) if fits else scalar.place
    offset = _raw_offset(raw, scalar.style, column)
    return scalar.place if offset is None else Place(scalar.place.line, scalar.place.column + offset)


def _raw_offset(raw: str, quote: str, column: int) -> int | None:
    """Return how far into the quoted source the `column`th character of its value stands; None past the line."""
    offset = 1
    for _ in range(column - 1):
        if quote == '"' and (escape := _ESCAPE.match(raw, offset)):
            offset = escape.end()
        elif quote == "'" and raw.startswith("''", offset):
            offset += 2
        else:
            offset += 1
        if offset >= len(raw):
            return None
    return offset
