"""Text on its way to Slack: whole, harmless, and cut only between characters, escapes and links."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.actions.slack.texts import clean, cut, escape, fit, one_line, size, unescape

ANY = st.text(alphabet=st.characters(), max_size=80)
MARKUP = st.lists(
    st.sampled_from(
        ["&amp;", "&lt;", "&gt;", "<https://a.example|a word>", "<@U012AB3CD>", "😀", "a", " ", "\n", "é"]
    ),
    max_size=60,
).map("".join)
ATOMS = re.compile(r"&(?:amp|lt|gt);|<[^>]*>|.", re.DOTALL)


@pytest.mark.parametrize(
    ("given_text", "cleaned"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("nul\x00 bell\x07 escape\x1b[31m delete\x7f next\x85", "nul bell escape[31m delete next"),
        ("half \ud83d, other half \ude00", "half \ufffd, other half \ufffd"),
        ("two halves \ud83d\ude00", "two halves 😀"),
        ("whole 😀", "whole 😀"),
    ],
    ids=ascii,
)
def test_what_no_message_may_hold_is_taken_out(given_text: str, cleaned: str) -> None:
    """Control characters go, line ends are one kind, half a surrogate pair becomes U+FFFD."""
    assert clean(given_text) == cleaned


def test_what_is_no_text_is_left_alone() -> None:
    """A value that is no text is for the model to refuse."""
    assert clean(7) == 7


@given(st.text(alphabet=st.characters(categories=None), max_size=50))
def test_whatever_comes_can_be_sent(text: str) -> None:
    """Cleaned text, whatever it was, has a form in UTF-8, and is left as it is by cleaning it again."""
    cleaned = clean(text)
    assert isinstance(cleaned, str)
    cleaned.encode()
    assert clean(cleaned) == cleaned


@given(ANY)
def test_escaping_shows_what_is_written(text: str) -> None:
    """Escaped text holds no bracket of markup, and escaping what is escaped changes nothing."""
    escaped = escape(text)
    assert not set("<>") & set(escaped)
    assert escape(escaped) == escaped
    assert unescape(escaped) == unescape(text)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<!channel> & more", "&lt;!channel&gt; &amp; more"),
        ("&lt;!channel&gt; &amp; more", "&lt;!channel&gt; &amp; more"),
        ("&nbsp;", "&amp;nbsp;"),
    ],
)
def test_escapes_are_slacks_three(text: str, escaped: str) -> None:
    """`&`, `<` and `>` are escaped, once."""
    assert escape(text) == escaped


def test_one_line_has_no_breaks() -> None:
    """Every run of white space is one space."""
    assert one_line("  a\n\tb\u2028c\x0b ") == "a b c"


@given(ANY)
def test_size_is_that_of_json(text: str) -> None:
    """The size is never less than what the text's own characters, or UTF-16, or its form in JSON would take."""
    cleaned = str(clean(text))
    in_json = json.dumps(cleaned, ensure_ascii=False)[1:-1]
    assert size(cleaned) == len(in_json.encode("utf-16-le")) // 2
    assert size(cleaned) >= len(cleaned)


@given(MARKUP, st.integers(min_value=1, max_value=120))
def test_a_cut_text_fits_and_nothing_in_it_is_broken(text: str, most: int) -> None:
    """What is cut is no larger than allowed, and consists of whole escapes, links and characters of the text."""
    short = cut(text, most)
    assert size(short) <= most
    if short != text:
        assert short.endswith("…")
        kept = ATOMS.findall(short[:-1])
        assert ATOMS.findall(text)[: len(kept)] == kept


@given(MARKUP, st.integers(min_value=0, max_value=120))
def test_a_text_is_parted_where_it_may_be(text: str, most: int) -> None:
    """The place to part is within what fits, in its second half, and after a whole escape, link or character."""
    end, gap = fit(text, most)
    assert size(text[:end]) <= most
    assert end // 2 <= gap <= end
    assert text[:gap] == "".join(ATOMS.findall(text)[: len(ATOMS.findall(text[:gap]))])


def test_a_line_end_is_the_best_place_to_part() -> None:
    """A text is parted after a line, else after a word, else anywhere."""
    assert fit("one two\nthree four", 14) == (13, 8)
    assert fit("one two three four", 14) == (14, 14)
    assert fit("one two three four", 12) == (12, 8)
    assert fit("onetwothreefour", 12) == (12, 12)
