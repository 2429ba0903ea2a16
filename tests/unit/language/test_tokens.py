"""The words of an expression are told apart well enough to find names and closing braces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.language.tokens import literal, place, references, tokenize

NAMES = frozenset({"event", "inputs", "steps", "item"})


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("a.b", "name other name"),
        ("\"a\\\"}\" + '''x'y'''", "text other text"),
        ('r"\\" rb', "text name"),
        ("b'x' 1.5e3 0xFFu", "text number number"),
        ("a // b }\n c", "name name"),
        ("`a-b` '", "quoted other"),
    ],
)
def test_words_are_told_apart(text: str, kinds: str) -> None:
    """Each kind of word is recognised; blanks and comments are left out."""
    assert " ".join(token.kind for token in tokenize(text)) == kinds


@given(st.text())
def test_every_word_is_where_it_says(text: str) -> None:
    """Whatever the text, each word's offsets cut exactly that word out of it."""
    assert all(text[token.start : token.end] == token.text for token in tokenize(text))


@pytest.mark.parametrize(
    ("written", "stands_for"),
    [
        ('"a"', "a"),
        ("''", ""),
        ('""', ""),
        ("'''a'b'''", "a'b"),
        ('r"a\\d"', "a\\d"),
        ('R"""x"""', "x"),
        ('"a\\n"', None),
        ('b"a"', None),
    ],
)
def test_a_text_stands_for_its_content(written: str, stands_for: str | None) -> None:
    """Plain and raw texts give their content; escapes and bytes are left to the engine."""
    (token,) = tokenize(written)
    assert literal(token) == stands_for


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("event.labels.namespace", {("event", "labels", "namespace")}),
        ('event.labels["a b"] == steps.x.y', {("event", "labels", "a b"), ("steps", "x", "y")}),
        ('event.labels[?"team"].orValue("none")', {("event", "labels", "team")}),
        ("event.?labels.?team", {("event", "labels", "team")}),
        ("event.labels.`a-b`", {("event", "labels", "a-b")}),
        ("event.name.startsWith(inputs.prefix)", {("event", "name"), ("inputs", "prefix")}),
        ("event.labels[inputs.key]", {("event", "labels"), ("inputs", "key")}),
        ('event.labels["a\\n"]', {("event", "labels")}),
        ('"event.name" // steps.x', set()),
        ("other.event.name + event()", set()),
        ("item ? event.name : inputs.x", {("item",), ("event", "name"), ("inputs", "x")}),
        ("event.labels[?inputs.key]", {("event", "labels"), ("inputs", "key")}),
        ("steps.l.all(x, x.event > item)", {("steps", "l"), ("item",)}),
        ("x.?event", set()),
        ("? event", {("event",)}),
    ],
)
def test_the_paths_an_expression_reads_are_found(text: str, paths: set[tuple[str, ...]]) -> None:
    """Dotted and indexed paths are found; texts, comments, methods and fields of other names are not."""
    assert references(text, NAMES) == paths


def test_a_place_is_what_an_editor_shows() -> None:
    """Offsets become lines and columns from 1."""
    assert [place("ab\ncd", offset) for offset in (0, 2, 3, 4)] == [(1, 1), (1, 3), (2, 1), (2, 2)]
