"""Label matchers mean what they mean in Alertmanager."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbookd.errors import LanguageError
from runbookd.language.matchers import OPERATORS, Matcher, parse_matcher

TEXTS = st.text(st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("text", "label", "op", "value"),
    [
        ('namespace="prod"', "namespace", "=", "prod"),
        (" namespace != prod ", "namespace", "!=", "prod"),
        ('namespace=~"med.*"', "namespace", "=~", "med.*"),
        ("namespace!~a|b", "namespace", "!~", "a|b"),
        ("a=", "a", "=", ""),
        ('a=""', "a", "=", ""),
        ("a=b c", "a", "=", "b c"),
        ("job:rate=x", "job:rate", "=", "x"),
        ('a="q\\"\\\\\\n"', "a", "=", 'q"\\\n'),
        ('a=~"x\\.y\\d"', "a", "=~", "x\\.y\\d"),
        ("a=x\\", "a", "=", "x\\"),
        ("a=é,{x", "a", "=", "é,{x"),
        ('"é x"="y"', "é x", "=", "y"),
        ("é=y", "é", "=", "y"),
        ('"a"="\\a\\x41\\101\\u00e9\\U0001F600\\""', "a", "=", '\aAAé😀"'),
        ('"a.b" =~ c.*', "a.b", "=~", "c.*"),
    ],
)
def test_matchers_are_read_as_alertmanager_reads_them(text: str, label: str, op: str, value: str) -> None:
    """Bare and quoted words, spaces, escapes and UTF-8 names are understood; a stray backslash is kept."""
    assert parse_matcher(text) == Matcher(label, op, value)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "label name"),
        ("=b", 1, "label name"),
        ("a", 2, "one of = != =~ !~"),
        ("a > b", 3, "one of = != =~ !~"),
        ('a=="b"', 3, "a value"),
        ('a="b', 3, "a value"),
        ('a="', 3, "a value"),
        ('a="b"c', 6, "more text"),
        ('a=b"c', 4, "more text"),
        ('"a"="\\d"', 6, r"unknown escape \\d"),
        ('"a"="x\\ud800"', 7, "unknown escape"),
        ('"a"="\\xff"', 6, "unknown escape"),
        ('"a"="\\U00110000"', 6, "unknown escape"),
        ("{a=b}", 1, "braces"),
        (" a=b}", 2, "braces"),
        ('""="b"', 4, "needs a label name"),
        ('a=~"("', 4, "not a regular expression: missing \\)"),
        ('a="\ud800"', 4, "Unicode"),
    ],
)
def test_mistakes_are_reported_with_their_column(text: str, column: int, message: str) -> None:
    """A mistake is a LanguageError at the column where it stands."""
    with pytest.raises(LanguageError, match=message) as refused:
        parse_matcher(text)
    assert (refused.value.line, refused.value.column) == (1, column)


def test_an_unknown_operator_is_refused() -> None:
    """A matcher cannot be made with an operator Alertmanager does not have."""
    with pytest.raises(LanguageError, match="'==' is not a matcher's operator"):
        Matcher("a", "==", "b")


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("a=x", "x", True),
        ("a=x", "y", False),
        ("a!=x", "y", True),
        ("a!=x", None, True),
        ("a=", None, True),
        ('a=""', "x", False),
        ("a=~x.*", "xyz", True),
        ("a=~x", "xx", False),
        ("a=~.*", None, True),
        ("a=~.+", None, False),
        ("a=~x|y", "y", True),
        ("a=~x|y", "xy", False),
        ("a=~x|", None, True),
        ("a!~x|y", "x", False),
        ("a!~x.*", None, True),
        ("a=~x.y", "x\ny", False),
        ("a=~(?i)X", "x", True),
        ("a=~é.", "éß", True),
    ],
)
def test_a_matcher_holds_as_in_alertmanager(text: str, value: str | None, holds: bool) -> None:  # noqa: FBT001  # the expectation
    """Regular expressions match the whole value, and a missing label is the empty text."""
    labels = {"b": "other"} if value is None else {"a": value}
    assert parse_matcher(text).matches(labels) is holds


@pytest.mark.parametrize(
    ("text", "literals"),
    [
        ("a=x", ("x",)),
        ("a=", None),
        ("a!=x", None),
        ("a=~x", ("x",)),
        ("a=~x|y z|é", ("x", "y z", "é")),
        ('a=~"x\\.y|b"', ("x.y", "b")),
        ('a=~"x\\|y"', ("x|y",)),
        ("a=~x|", None),
        ("a=~x.*", None),
        ("a=~(x|y)", None),
        ('a=~"\\d"', None),
        ("a!~x", None),
    ],
)
def test_the_values_that_can_match_are_listed(text: str, literals: tuple[str, ...] | None) -> None:
    """Equality and plain alternations list their values; whatever takes the empty text or more does not."""
    assert parse_matcher(text).literals() == literals


@settings(deadline=None)
@given(st.text(alphabet="ab|.\\*"), st.text(alphabet="ab|.\\*"))
def test_listed_values_are_exactly_what_matches(pattern: str, value: str) -> None:
    """A pattern with listed values matches those and no others, as its regular expression says."""
    try:
        matcher = Matcher("a", "=~", pattern)
        slow = Matcher("a", "=~", f"(?:{pattern})")
    except LanguageError:
        return
    listed = matcher.literals()
    assert matcher.matches({"a": value}) == slow.matches({"a": value})
    assert listed is None or all(slow.matches({"a": literal}) for literal in listed)
    assert listed is None or "" not in listed


@settings(deadline=None)
@given(TEXTS.filter(bool), st.sampled_from(OPERATORS), TEXTS)
def test_a_written_matcher_is_read_back(label: str, op: str, value: str) -> None:
    """The canonical text of any matcher reads as the same matcher."""
    try:
        matcher = Matcher(label, op, value)
    except LanguageError:
        return
    assert parse_matcher(str(matcher)) == matcher


@settings(deadline=None)
@given(st.text() | st.text(alphabet='ab=~!"\\{} x1\n'))
def test_no_text_crashes_the_reader(text: str) -> None:
    """Any text is a matcher or a LanguageError with a column."""
    try:
        matcher = parse_matcher(text)
    except LanguageError as error:
        assert error.column is not None  # noqa: PT017  # both ends are right
        return
    assert parse_matcher(str(matcher)) == matcher
