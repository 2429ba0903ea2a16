"""Conditions: CEL as in every other place, except that a label the event does not have is an empty text.

That is how Alertmanager's matchers see a missing label, and a `when:` stands beside them. Parameters and targets
stay strict: there a missing label is a mistake, never an empty text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from runbookd.errors import LanguageError
from runbookd.language.cel import Expression, compile_expression
from runbookd.language.tokens import literal, tokenize

if TYPE_CHECKING:
    from runbookd.language.tokens import Token

_MAPS = frozenset({"labels", "annotations"})


@lru_cache(maxsize=4096)
def compile_condition(text: str) -> Expression:
    """Compile a condition. Raises LanguageError as `compile_expression` does, with places in the text as written."""
    as_written = compile_expression(text)
    lenient = missing_labels_are_empty(text)
    if lenient == text:
        return as_written
    try:
        return compile_expression(lenient).called(text)
    except LanguageError as error:  # only labels have become more than anything: they are text now
        raise LanguageError(
            f"{str(error).replace(lenient, text)} Labels are text.", line=1, column=1
        ) from None


def missing_labels_are_empty(text: str) -> str:
    """Rewrite `event.labels.x` and `event.labels["x"]` so that a missing key gives "".

    What stands in `has(...)`, or is already optional, is left alone.
    """
    tokens = list(tokenize(text))
    parts, copied, index = [], 0, 0
    while index < len(tokens):
        found = _lookup(tokens, index)
        if found is None:
            index += 1
            continue
        key, after = found
        parts += [text[copied : tokens[index].start], f'event.{tokens[index + 2].text}[?{key}].orValue("")']
        copied, index = tokens[after - 1].end, after
    return "".join([*parts, text[copied:]])


def _lookup(tokens: list[Token], index: int) -> tuple[str, int] | None:
    """Read a label's lookup that starts here: its key as CEL text, and the index after it; None: there is none."""
    words = [token.text for token in tokens[index : index + 6]]
    if words[:2] != ["event", "."] or len(words) < 5 or words[2] not in _MAPS:  # noqa: PLR2004 - event . labels . x
        return None
    before = [token.text for token in tokens[max(0, index - 2) : index]]
    if before[-1:] == ["."] or before == ["has", "("]:
        return None
    if words[3] == "." and tokens[index + 4].kind in {"name", "quoted"} and words[5:] != ["("]:
        return '"' + words[4].strip("`") + '"', index + 5
    if (
        words[3] == "["
        and tokens[index + 4].kind == "text"
        and words[5:] == ["]"]
        and literal(tokens[index + 4])
    ):
        return words[4], index + 6
    return None
