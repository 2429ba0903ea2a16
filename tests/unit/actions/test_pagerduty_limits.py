"""What PagerDuty takes: texts, keys, links and details are made to fit, whatever a label holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.actions.pagerduty.limits import (
    CUT,
    MAX_KEY,
    MAX_LINKS,
    MAX_TEXT,
    Link,
    clean,
    dedup_key_of,
    fitted,
    one_line,
    plain,
    shortened,
    size,
    web_links,
)

any_text = st.text(st.characters(exclude_categories=()))  # halves of surrogate pairs too
any_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner) | st.dictionaries(any_text, inner),
    max_leaves=20,
)


def units(text: str) -> int:
    """The length in UTF-16 units; UnicodeEncodeError when UTF-8 could not carry it."""
    text.encode("utf-8")
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("<!channel> </p><script>", "<!channel> </p><script>"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("nul\0 bell\x07 escape\x1b[31m c1\x9b", "nul  bell  escape [31m c1 "),
        ("half \ud800 and \udc00", "half \ufffd and \ufffd"),
        ("pair \ud83d\ude00", "pair 😀"),
    ],
)
def test_a_text_is_cleaned(text: str, cleaned: str) -> None:
    """Control characters become spaces, half a surrogate pair U+FFFD; everything else stays as it is."""
    assert clean(text) == cleaned


@given(any_text)
def test_one_line_is_one_line_that_fits(text: str) -> None:
    """Whatever comes in, one line of UTF-8 of at most 1024 units comes out, and a cut is noted."""
    cuts: list[str] = []
    line = one_line("summary", text, cuts)
    assert line == " ".join(line.split())
    assert units(line) <= MAX_TEXT
    assert line.endswith("…") if cuts else line == " ".join(clean(text).split())


def test_a_long_line_is_cut_and_said() -> None:
    """10,000 characters become 1024, the last of which is an ellipsis."""
    cuts: list[str] = []
    assert one_line("summary", "x" * 10_000, cuts) == "x" * 1023 + "…"
    assert cuts == ["summary: 1024 of 10000 characters"]


def test_no_character_is_halved() -> None:
    """An emoji is two units and is kept or left out as a whole."""
    assert shortened("😀😀😀", 6) == "😀😀😀"
    assert shortened("😀😀😀", 5) == "😀😀…"
    assert shortened("😀😀😀", 4) == "😀…"


@pytest.mark.parametrize("key", ["inc-01m8415zgnt26h7029fv62dd99", "a b&c=%+/", "x" * 255])
def test_a_key_that_fits_stays(key: str) -> None:
    """A key of up to 255 printable ASCII characters is sent as it is."""
    assert dedup_key_of(key) == key


@pytest.mark.parametrize("key", ["x" * 256, "ä", "a\nb", "\ud800", "\0", "😀" * 500], ids=ascii)
def test_a_key_that_does_not_is_hashed(key: str) -> None:
    """Any other is sent as its beginning and its hash: printable, within 255, always the same, and its own."""
    hashed = dedup_key_of(key)
    assert len(hashed) <= MAX_KEY
    assert hashed.isascii()
    assert hashed.isprintable()
    assert hashed == dedup_key_of(key) != dedup_key_of(key + "x")


def test_links_lead_to_the_web() -> None:
    """What is no http or https address is left out, and so is what is too long or beyond the twentieth; it is said."""
    cuts: list[str] = []
    found = [
        Link(href="https://x.example/a?b=1#c", text=" two\nlines "),
        Link(href="HTTP://x.example"),
        Link(href="javascript:alert(1)", text="click"),
        Link(href="https://x.example/a b"),
        Link(href="https://"),
        Link(href="https://x.example/" + "a" * 2000),
        Link(href=""),
    ]
    assert web_links(found, cuts) == [
        {"href": "https://x.example/a?b=1#c", "text": "two lines"},
        {"href": "HTTP://x.example", "text": "HTTP://x.example"},
    ]
    assert cuts == ["links: 2 of 7"]
    assert len(web_links(found[:1] * 50, cuts)) == MAX_LINKS


def test_values_become_what_json_knows() -> None:
    """Durations, moments and odd numbers are told as text; other values keep their type."""
    value = {
        "for": timedelta(minutes=90),
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "naive": datetime(2026, 1, 2),  # noqa: DTZ001 - what a bug would leave
        "n": [1, 2.5, float("nan"), float("-inf"), True, None, (3,)],
        "odd": {7},
    }
    assert plain(value) == {
        "for": "1h30m",
        "at": "2026-01-02T00:00:00Z",
        "naive": "2026-01-02 00:00:00",
        "n": [1, 2.5, "nan", "-inf", True, None, [3]],
        "odd": "{7}",
    }


def test_deep_values_end() -> None:
    """What nests deeper than twenty levels ends in an ellipsis."""
    deep: object = "end"
    for _ in range(500):
        deep = [deep]
    assert json.dumps(plain(deep), ensure_ascii=False).count("[") == 20


def test_details_that_fit_stay() -> None:
    """Nothing is added to details that fit when nothing was cut."""
    assert fitted({"a": "b"}, 10_000, []) == {"a": "b"}
    assert fitted({}, 10_000, []) == {}


def test_an_earlier_cut_is_said_in_the_details() -> None:
    """What was cut of the other texts is said in the details, even if there are none."""
    assert fitted({}, 10_000, ["summary: 1024 of 2000 characters"]) == {
        CUT: "summary: 1024 of 2000 characters"
    }


def test_long_texts_are_shortened_before_anything_is_left_out() -> None:
    """Beside a text of a megabyte the short ones stay whole, and the long one keeps its beginning."""
    cuts: list[str] = []
    details = fitted({"log": "x" * 1_000_000, "host": "db-1", "lines": ["y" * 50_000]}, 100_000, cuts)
    assert details["host"] == "db-1"
    assert details["log"] == "x" * 16_383 + "…"
    assert size(details) <= 100_000
    assert details[CUT] == cuts[0]
    assert cuts[0].startswith("details: ")


def test_too_many_entries_lose_the_last() -> None:
    """When even short texts are too many the first entries stay, and it is said how many."""
    cuts: list[str] = []
    details = fitted({f"label {number}": "z" * 100 for number in range(5_000)}, 100_000, cuts)
    assert size(details) <= 100_000
    assert "label 0" in details
    assert "label 4999" not in details
    assert f"{len(details) - 1} of 5000 entries" in cuts[0]


@given(st.dictionaries(any_text, any_value), st.integers(2_000, 5_000))
def test_details_always_fit(details: dict[str, object], room: int) -> None:
    """Whatever the details hold, they come out as JSON in UTF-8 that fits."""
    assert size(fitted(details, room, [])) <= room
