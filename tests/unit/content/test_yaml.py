"""YAML means what YAML 1.2 says, with places, and nothing in it is unbounded."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.content.yaml import MAX_DEPTH, MAX_VALUES, Document, parse
from runbookd.content.yaml_text import MAX_BYTES
from runbookd.errors import ContentError


def read(text: str) -> Document:
    """Parse a text as a file."""
    return parse("f.yaml", text.encode())


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("NO", "NO"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("-7", -7),
        ("+7", 7),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("08:00", "08:00"),
        ("2024-01-02", "2024-01-02"),
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'null'", "null"),
        ('"true"', "true"),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("=", "="),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("0b11", "0b11"),
        ("|\n  a\n  b\n", "a\nb\n"),
        (">-\n  a\n  b\n", "a b"),
    ],
)
def test_plain_values(written: str, value: object) -> None:
    """Plain values are those of YAML 1.2's core schema, whatever YAML 1.1 made of them."""
    assert read(f"a: {written}").data == {"a": value}


@pytest.mark.parametrize(("written", "key"), [("on", "on"), ("012", "012"), ("true", "true"), ("1.0", "1.0")])
def test_keys_are_texts(written: str, key: str) -> None:
    """A key is the text it is written as: `on:` is not True."""
    assert read(f"{written}: 1").data == {key: 1}


def test_places_of_keys_and_values() -> None:
    """Every key and value has its line and column, in characters."""
    document = read("ä: [x, {b: 1}]\nc:\n  - d\n")
    assert (document.values["ä", 1, "b"].line, document.values["ä", 1, "b"].column) == (1, 12)
    assert (document.keys["ä", 1, "b"].line, document.keys["ä", 1, "b"].column) == (1, 9)
    assert (document.values["c", 0].line, document.values["c", 0].column) == (3, 5)


@pytest.mark.parametrize(
    ("text", "line", "column", "place"),
    [
        ("a: hello\n", 1, 3, (1, 6)),
        ("a: 'it''s here'\n", 1, 6, (1, 11)),
        ('a: "t\\tab\\u00e9x"\n', 1, 5, (1, 10)),
        ('a: "t\\tab\\u00e9x"\n', 1, 6, (1, 16)),
        ("a: |\n  one\n  two\n", 2, 2, (3, 4)),
        ("a: |-\n\n    one\n", 2, 1, (3, 5)),
        ("a: >\n  one\n  two\n", 1, 6, (1, 4)),
        ('a: "one\n  two"\n', 1, 6, (1, 4)),
        ("a: one\n  two\n", 1, 6, (1, 4)),
        ("a: hello\n", 2, 1, (1, 4)),
        ("a: [1]\n", 1, 1, (1, 4)),
    ],
)
def test_places_inside_texts(text: str, line: int, column: int, place: tuple[int, int]) -> None:
    """A place inside a text is found behind quotes, escapes and indentation; folded texts have only a start."""
    problem = read(text).problem_inside("x", ("a",), line, column)
    assert (problem.line, problem.column) == place


def test_a_problem_with_what_is_not_written() -> None:
    """A mistake about something absent is told at what surrounds it; one in an empty file has no place."""
    assert str(read("a: {b: 1}").problem("x", ("a", "c", "d"), at_key=True)) == "f.yaml:1:4: x"
    assert str(read("").problem("x", ("a",))) == "f.yaml: x"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "\n\n"])
def test_empty_files(text: str) -> None:
    """A file without content is one without mistakes."""
    assert read(text).data is None


def test_a_byte_order_mark_is_no_content() -> None:
    """Files of editors that write one are read."""
    assert parse("f.yaml", b"\xef\xbb\xbfa: 1\n").data == {"a": 1}


def test_anchors_are_expanded_with_their_places() -> None:
    """An alias has the value and the places of what it stands for; a key may have an anchor too."""
    document = read("a: &x {b: 1}\nc: *x\n&k d: 1\ne: *k\n")
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}, "d": 1, "e": "d"}
    assert document.values["c", "b"] == document.values["a", "b"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"a: \xff\n", "f.yaml:1:4: this is not UTF-8 text"),
        ("a: 1\nb: \u00fc".encode("latin-1"), "f.yaml:2:4: this is not UTF-8 text"),
        ("a: 1".encode("utf-16"), "f.yaml:1:1: this is not UTF-8 text"),
        (b"a: " + b"x" * MAX_BYTES, "f.yaml: the file is larger than 1048576 bytes"),
        (b"a: x\x00", "f.yaml:1:5: the control character U+0000"),
        (b"a:\n  " + b"[" * 100_000, f"f.yaml:2:{MAX_DEPTH + 2}: nested deeper than {MAX_DEPTH} levels"),
        (b"a: " + b"{b: " * 100_000, f"nested deeper than {MAX_DEPTH} levels"),
    ],
)
def test_bounds(body: bytes, message: str) -> None:
    """Files too large, too deep or of other encodings are refused before anything is built of them."""
    with pytest.raises(ContentError, match=r"^f\.yaml") as raised:
        parse("f.yaml", body)
    assert message in str(raised.value)


def test_an_alias_bomb_is_refused() -> None:
    """Ten lines that would make a thousand million values are refused after a bounded number of them."""
    lines = ["a0: &a0 [" + ",".join("x" * 10) + "]"]
    lines += [f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 9)]
    with pytest.raises(ContentError, match=f"larger than {MAX_VALUES} values"):
        read("\n".join(lines))


def test_aliases_cannot_nest_deeper_than_texts() -> None:
    """Depth by aliases is depth."""
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, MAX_DEPTH)]
    with pytest.raises(ContentError, match=f"{MAX_DEPTH} levels"):
        read("\n".join(lines))


def test_every_duplicate_key_is_told() -> None:
    """One reading shows them all."""
    with pytest.raises(ContentError) as raised:
        read("a: 1\na: 2\nb: {c: 1, c: 2}\na: 3\n")
    assert [(each.line, each.column) for each in raised.value.problems] == [(2, 1), (3, 11), (4, 1)]


@given(
    st.binary(max_size=200) | st.text(alphabet="a:-[]{}\n #&*!|>'\"%@`,?~\t$<", max_size=80).map(str.encode)
)
def test_no_bytes_crash_it(body: bytes) -> None:
    """Whatever a file holds, the answer is data or problems with its name."""
    with contextlib.suppress(ContentError):
        parse("f.yaml", body)


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff\u2028\u2029")
    ),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdefg", min_size=1), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(TREES)
def test_what_others_write_is_read_as_meant(tree: object) -> None:
    """JSON is YAML 1.2: whatever it holds comes back as it was, and has a place."""
    document = read(json.dumps({"root": tree}, ensure_ascii=False))
    assert document.data == {"root": tree}
    assert ("root",) in document.values
