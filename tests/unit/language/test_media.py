"""A value tells people what it is, on one line, and can do nothing where it is read."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.errors import EvaluationError
from runbookd.language.media import (
    LONGEST_VALUE,
    as_html,
    cut,
    in_minutes,
    in_words,
    one_line,
    spoken,
    spoken_for_slack,
)

ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text(
    "&<>@#!`*_~ \n\r\u2028\u202e\ud800chanelr|:/", max_size=60
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not known"),
        ("", ""),
        (True, "yes"),
        (False, "no"),
        (3, "3"),
        (0.5, "0.5"),
        ("two\r\nlines\tand\u2028more", "two lines and more"),
        ("  around\n", " around "),
        ("a\x00b\x1b[31mc\x7f", "ab[31mc"),
        ("a\u202eb\u2066c\ufeff", "abc"),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        ("👩\u200d💻 ❤\ufe0f", "👩\u200d💻 ❤\ufe0f"),
        (datetime(2026, 1, 5, 12, 0, 1, 5, tzinfo=UTC), "2026-01-05T12:00:01Z"),
        (datetime(2026, 1, 5, 12, tzinfo=timezone(timedelta(hours=2))), "2026-01-05T10:00:00Z"),
        (timedelta(minutes=65), "1 hour 5 minutes"),
    ],
)
def test_values_in_words(value: object, text: str) -> None:
    """A value is written as people say it, on one line, without what cannot be seen or sent."""
    assert spoken(value) == text


def test_a_timestamp_needs_a_zone() -> None:
    """A time of nobody knows where is not told."""
    with pytest.raises(EvaluationError, match="no timezone"):
        spoken(datetime(2026, 1, 5))  # noqa: DTZ001 - the mistake


@pytest.mark.parametrize(
    ("seconds", "words", "minutes"),
    [
        (-5, "0 seconds", "0 minutes"),
        (0, "0 seconds", "0 minutes"),
        (0.9, "0 seconds", "1 minute"),
        (1, "1 second", "1 minute"),
        (59, "59 seconds", "1 minute"),
        (60, "1 minute", "1 minute"),
        (61, "1 minute 1 second", "2 minutes"),
        (897, "14 minutes 57 seconds", "15 minutes"),
        (900, "15 minutes", "15 minutes"),
        (3600, "1 hour", "60 minutes"),
        (3605, "1 hour", "61 minutes"),
        (9_000, "2 hours 30 minutes", "150 minutes"),
        (86_400 + 300, "1 day", "1445 minutes"),
        (3 * 86_400 + 7_300, "3 days 2 hours", "4442 minutes"),
    ],
)
def test_lengths_of_time(seconds: float, words: str, minutes: str) -> None:
    """What has passed is rounded down, and what is promised is rounded up."""
    length = timedelta(seconds=seconds)
    assert (in_words(length), in_minutes(length)) == (words, minutes)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            "<!channel> <!here|here> <@U012AB3CD> <#C1|x>",
            "&lt;!channel&gt; &lt;!here|here&gt; &lt;@\u200bU012AB3CD&gt; &lt;#C1|x&gt;",
        ),
        ("a & b &lt;", "a &amp; b &amp;lt;"),
        ("@here and (@Channel)", "@\u200bhere and (@\u200bChannel)"),
        ("x@everyone _@here_ @anna", "x@\u200beveryone _@\u200bhere_ @\u200banna"),
        ("ops@yourdomain.com at 3 @ 4", "ops@yourdomain.com at 3 @ 4"),
        ('"quoted"', '"quoted"'),
    ],
)
def test_values_for_slack(value: str, text: str) -> None:
    """No value reaches Slack as markup, and none calls anybody."""
    assert spoken_for_slack(value) == text


@given(ANY_TEXT)
def test_no_value_gets_out_of_its_line(text: str) -> None:
    """Whatever a label holds, it stays one line of text that can be sent, and is bounded."""
    for written in (spoken(text), spoken_for_slack(text)):
        assert len(written.splitlines()) <= 1
        written.encode()
    assert len(spoken(text)) <= LONGEST_VALUE


@given(ANY_TEXT)
def test_no_value_is_markup_for_slack(text: str) -> None:
    """Slack reads a value back as the very text, with no markup of its own in it."""
    written = spoken_for_slack(text)
    assert not {"<", ">"} & set(written)
    assert html.unescape(written).replace("\u200b", "") == spoken(text).replace("\u200b", "")
    assert re.search(r"@(here|channel|everyone|group)\b", written, re.IGNORECASE) is None


@given(ANY_TEXT)
def test_html_holds_only_our_tags(text: str) -> None:
    """HTML made of a text has paragraphs and line breaks, and no other tag."""
    made = as_html(text)
    for tag in ("<p>", "</p>", "<br>"):
        made = made.replace(tag, "")
    assert not {"<", ">", '"', "'"} & set(made)


def test_html_looks_like_the_text() -> None:
    """Paragraphs and lines stay what they were, and a value stays a text."""
    text = "One & only\nsecond line\n\n\n\n</p><script>alert(1)</script>\n\n   "
    assert as_html(text) == (
        "<p>One &amp; only<br>\nsecond line</p>\n<p>&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;</p>"
    )


@pytest.mark.parametrize(
    ("text", "longest", "kept", "kept_for_slack"),
    [
        ("short", 5, "short", "short"),
        ("longer", 5, "long…", "long…"),
        ("ab&amp;cd", 6, "ab&am…", "ab…"),
        ("ab&amp;cd", 8, "ab&amp;…", "ab&amp;…"),
        ("a <https://x|y> b", 8, "a <http…", "a …"),
        ("1 < 2, and so on", 12, "1 < 2, and …", "1 …"),
    ],
)
def test_a_cut_is_seen_and_breaks_no_escape(text: str, longest: int, kept: str, kept_for_slack: str) -> None:
    """A text that is too long ends with an ellipsis, for Slack never within an escape or a link."""
    assert (cut(text, longest, "text"), cut(text, longest, "slack")) == (kept, kept_for_slack)


def test_a_value_of_ten_kilobytes_is_shortened() -> None:
    """One long label does not push everything else out of a message."""
    assert spoken("x" * 10_000) == "x" * (LONGEST_VALUE - 1) + "…"
    assert one_line("x" * 10_000) == "x" * 10_000
