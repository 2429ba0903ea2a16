"""Templates: the `${expression}` in the values of a rule or playbook.

A text that is one `${expression}` and nothing else becomes the typed value; within a longer text the value is
written out. `$${` stands for a plain `${`. What an expression gives is never looked at again: a label that holds
`${...}` stays that text. `${secret.NAME}` gives a stand-in that only the performer of an action resolves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from runbookd.errors import EvaluationError, LanguageError, MissingValue
from runbookd.language.cel import Expression, Scope, compile_expression
from runbookd.language.cel_errors import quote
from runbookd.language.tokens import place, tokenize
from runbookd.language.values import MAX_DEPTH, SecretRef, SecretText, canonical_json, utc_text
from runbookd.model.durations import format_duration

__all__ = ["SecretRef", "SecretText", "Template", "compile_template"]

_OPENING = re.compile(r"\$?\$\{")
_SECRET = re.compile(r"\s*secret\.([A-Za-z_][A-Za-z0-9_]*)\s*")
_WHOLE_NUMBERS = (
    2**53
)  # up to here a float without a fraction is shown as a whole number, as CEL's string() does

_Part: TypeAlias = "str | SecretRef | Expression"
_Node: TypeAlias = "_Text | SecretRef | Expression | dict[str, _Node] | list[_Node] | _Constant"


@dataclass(frozen=True, slots=True)
class _Text:
    """A text with expressions or secrets inside."""

    parts: tuple[_Part, ...]


@dataclass(frozen=True, slots=True)
class _Constant:
    """A value without expressions."""

    value: object


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled tree of values; made by `compile_template`."""

    root: _Node
    references: frozenset[tuple[str, ...]]
    """The dotted paths its expressions read; ("secret", NAME) for each secret."""
    is_constant: bool
    """Whether it renders to the same value whatever the scope."""

    def render(self, scope: Scope) -> Any:
        """Compute the value, with new lists and maps each time.

        Gives what `Expression.evaluate` gives, and SecretRef and SecretText in place of secrets. Raises MissingValue
        for a value that is not there and for null inside a text, EvaluationError for any other failure.
        """
        return _render(self.root, scope)


def compile_template(value: object) -> Template:
    """Compile a tree of JSON types whose texts may hold `${expression}`; map keys may not.

    Raises LanguageError with the place inside the text that is wrong; the message starts with the path to the text.
    """
    reads: set[tuple[str, ...]] = set()
    root = _compile(value, (), reads)
    return Template(root, frozenset(reads), is_constant=not _dynamic(root))


def _compile(value: object, path: tuple[str, ...], reads: set[tuple[str, ...]]) -> _Node:
    if len(path) > MAX_DEPTH:
        raise LanguageError(f"The value nests deeper than {MAX_DEPTH} levels.")
    if isinstance(value, str):
        try:
            return _compile_text(value, reads)
        except LanguageError as error:
            where = f"{'.'.join(path)}: " if path else ""
            raise LanguageError(f"{where}{error}", line=error.line, column=error.column) from None
    if isinstance(value, Mapping):
        for key in value:
            if _OPENING.search(str(key)):
                raise LanguageError(
                    f"{'.'.join((*path, str(key)))}: a key is taken as it is; move ${{...}} to a value."
                )
        return {str(key): _compile(item, (*path, str(key)), reads) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_compile(item, (*path, str(index)), reads) for index, item in enumerate(value)]
    return _Constant(value)


def _compile_text(text: str, reads: set[tuple[str, ...]]) -> _Node:
    parts: list[_Part] = []
    written, position = "", 0
    while (opening := _OPENING.search(text, position)) is not None:
        written += text[position : opening.start()]
        if len(opening[0]) == len("$${"):
            written, position = written + "${", opening.end()
            continue
        end = _closing(text, opening.end())
        parts += [written] if written else []
        parts.append(_compile_part(text, opening.end(), end, reads))
        written, position = "", end + 1
    written += text[position:]
    if not parts:
        return _Constant(written)
    parts += [written] if written else []
    only = parts[0]
    return _Text(tuple(parts)) if len(parts) > 1 or isinstance(only, str) else only


def _closing(text: str, start: int) -> int:
    """Find the brace that closes the expression starting at `start`; braces in texts and maps do not count."""
    depth = 0
    for token in tokenize(text, start):
        if token.text == "}" and depth == 0:
            return token.start
        depth += {"{": 1, "}": -1}.get(token.text, 0)
    line, column = place(text, start - 2)
    raise LanguageError(
        f"The ${{ in {quote(text)} is never closed; add the }}, or write $${{ for a plain ${{.",
        line=line,
        column=column,
    )


def _compile_part(text: str, start: int, end: int, reads: set[tuple[str, ...]]) -> SecretRef | Expression:
    source = text[start:end]
    secret = _SECRET.fullmatch(source)
    if secret is not None:
        reads.add(("secret", secret[1]))
        return SecretRef(secret[1])
    try:
        expression = compile_expression(source)
    except LanguageError as error:
        line, column = _outer_place(text, start, error)
        raise LanguageError(str(error), line=line, column=column) from None
    reads |= expression.references
    return expression


def _outer_place(text: str, start: int, error: LanguageError) -> tuple[int, int]:
    """Move a place inside an expression to the text around it."""
    line, column = place(text, start)
    inner_line, inner_column = error.line or 1, error.column or 1
    return line + inner_line - 1, inner_column + (column - 1 if inner_line == 1 else 0)


def _dynamic(node: _Node) -> bool:
    if isinstance(node, dict):
        return any(_dynamic(item) for item in node.values())
    if isinstance(node, list):
        return any(_dynamic(item) for item in node)
    return not isinstance(node, _Constant)


def _render(node: _Node, scope: Scope) -> Any:
    if isinstance(node, _Constant):
        return node.value
    if isinstance(node, Expression):
        return node.evaluate(scope)
    if isinstance(node, SecretRef):
        return node
    if isinstance(node, _Text):
        return _render_text(node, scope)
    if isinstance(node, dict):
        return {key: _render(item, scope) for key, item in node.items()}
    return [_render(item, scope) for item in node]


def _render_text(node: _Text, scope: Scope) -> str | SecretText:
    parts: list[str | SecretRef] = []
    for part in node.parts:
        value = part.evaluate(scope) if isinstance(part, Expression) else part
        if isinstance(value, SecretText):
            parts += value.parts
        elif isinstance(value, SecretRef):
            parts.append(value)
        elif value is None:
            raise MissingValue(
                f"{quote(str(part))} is null, and a text around it needs a value; give it a default."
            )
        else:
            parts.append(_written(value))
    if any(isinstance(part, SecretRef) for part in parts):
        return SecretText(tuple(parts))
    return "".join(str(part) for part in parts)


def _written(value: object) -> str:
    """Write a value inside a text: texts as they are, durations as 1h30m, timestamps as RFC 3339, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        return canonical_json(_plain(value))
    return canonical_json(value) if isinstance(value, bool) else str(_plain(value))


def _plain(value: object) -> object:
    """Reduce a value to JSON types, in the form people read."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, SecretRef | SecretText):
        raise EvaluationError(
            "A secret inside a list or map cannot be written into a text; write it out by itself."
        )
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE_NUMBERS:
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
