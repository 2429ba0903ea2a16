"""Documents as Markdown and HTML: they show what they are given, whatever it is, and never obey it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from html.parser import HTMLParser

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from runbookd.reports.document import (
    Blank,
    Bullets,
    Code,
    Document,
    Heading,
    Paragraph,
    Part,
    Table,
    Words,
    parts,
)
from runbookd.reports.document_html import as_html
from runbookd.reports.document_markdown import as_markdown

PIECES = (
    "<script>alert(1)</script>", "</p>", "<!-- ", "[a](http://x.org)", "![i](y)", "[x]: http://e.org", "**b**",
    "__u__", "a_b", "_", "`", "``", "|", "\\", "\\|", "\n", "\n\n", "# ", " #", "- ", "+ ", "1. ", "1) ", "---",
    "===", "***", "~~s~~", "$$", "&lt;", "&#60;", "<http://a.org>", "www.evil.org", "@team", "a@b.org", "    ", "\t",
    "> ", "{", "é", "😀", "\u2028", "\ud83d", "<!channel>",
)  # fmt: skip
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=10).map("".join)
PART: st.SearchStrategy[Part] = HOSTILE | HOSTILE.map(Code) | HOSTILE.map(Blank)
WORDS: st.SearchStrategy[Words] = PART | st.lists(PART, min_size=1, max_size=3).map(
    lambda row: tuple(each for part in row for each in (part, " "))
)


def shown(words: Words) -> str:
    """What a reader sees of words, without blanks: those of no width are not seen, and others may be one."""
    return seen("".join(map(str, parts(words))))


def seen(text: str) -> str:
    """A text without blanks."""
    whole = text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    return re.sub(r"[\s\u200b\x1c-\x1f\x85]+", "", whole)


def document(title: str, paragraph: Words, item: Words, cells: tuple[Words, Words]) -> Document:
    """A document with one of each."""
    below = (
        Paragraph(("p ", *parts(paragraph))),
        Heading(f"H{title}"),
        Bullets((item, "x")),
        Table(("A", "B"), (cells, ("1", "2"))),
    )
    return Document(f"T{title}", below)


KINDS = ["heading", "paragraph", "heading", "bullet_list", "list_item", "paragraph", "list_item", "paragraph"]
TABLE = ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td", "tr", "td", "td"]


@settings(deadline=None, max_examples=100)
@given(HOSTILE, WORDS, WORDS, st.tuples(WORDS, WORDS))
def test_no_text_is_markup_in_markdown(
    title: str, paragraph: Words, item: Words, cells: tuple[Words, Words]
) -> None:
    """Whatever the texts, there is one block for each that was written, no link, no HTML, and every text is whole."""
    assume(shown(item))  # an item without words has no paragraph
    whole = document(title, paragraph, item, cells)
    text = as_markdown(whole).encode("utf-8", "replace").decode()
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    opened = [token.type.removesuffix("_open") for token in tokens if token.nesting == 1]
    assert opened == [*KINDS, *TABLE]
    assert {each.type for token in tokens for each in token.children or ()} <= {
        "text", "text_special", "code_inline", "strong_open", "strong_close"
    }  # fmt: skip
    texts = [inline(token) for token in tokens if token.type == "inline"]
    wanted = [f"T{title}", ("p ", *parts(paragraph)), f"H{title}", item, "x", "A", "B", *cells, "1", "2"]
    assert texts == [shown(each) for each in wanted]


def inline(token: Token) -> str:
    """What a reader sees of a line."""
    return seen("".join(child.content for child in token.children or ()))


def test_texts_in_a_row_are_not_markup_together() -> None:
    """What is harmless in two pieces stays so when they meet."""
    whole = Document("t", (Paragraph(("&", "lt; [a]", "(http://x) _", "b_ ", Code("c"), Blank("d"))),))
    assert as_markdown(whole) == "# t\n\n\\&lt; \\[a\\](`http://x`) \\_b\\_ `c`**[to be filled in: d]**\n"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("clock_breached 3 * 4", "clock_breached 3 \\* 4"),
        ("# no heading", "\\# no heading"),
        ("- no item", "\\- no item"),
        ("1. no item", "1\\. no item"),
        ("2026-01-05 and #ops", "2026-01-05 and #ops"),
        ("@team app@sha256:ab a@b.org", "@\u200bteam app@sha256:ab a@\u200bb.org"),
        ("see www.evil.org, https://evil.org", "see `www.evil.org`, `https://evil.org`"),
        ("[a](https://e.org/?x=y_z&t=1)<!channel>", "\\[a\\](`https://e.org/?x=y_z&t=1`)\\<!channel\\>"),
        ("a`http://b`http://c", "a\\`\u200b`http://b`\\`\u200b`http://c`"),
        ("a\nb", "a b"),
    ],
)
def test_text_is_escaped_only_where_it_must_be(text: str, written: str) -> None:
    """What people go on to edit stays readable."""
    assert as_markdown(Document("t", (Paragraph(text),))) == f"# t\n\n{written}\n"


def test_code_that_cannot_be_quoted_is_text() -> None:
    """A back quote or a pipe would end it."""
    row = (Code("a|b"), Code("a`b"), Code(" "), Code("a<b"))
    assert as_markdown(Document("t", (Table(("1", "2", "3", "4"), (row,)),))).splitlines()[-1] == (
        "| a\\|b | a\\`b |  | `a<b` |"
    )


class Reader(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, and the texts of its body."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """An element ends, which has to be the one that began last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text."""
        if "style" not in self.open:
            self.texts.append(data)


def read(page: str) -> Reader:
    """Read a page."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


@settings(deadline=None, max_examples=100)
@given(HOSTILE, WORDS, WORDS, st.tuples(WORDS, WORDS))
def test_no_text_is_markup_in_html(
    title: str, paragraph: Words, item: Words, cells: tuple[Words, Words]
) -> None:
    """Whatever the texts, the page has the elements that were written, and shows every text."""
    page = read(as_html(document(title, paragraph, item, cells)))
    plain = read(as_html(document("", "", "", ("", ""))))
    assert [each for each in page.elements if each not in {"code", "span"}] == plain.elements
    assert page.attributes <= plain.attributes | {"class"}
    told = [
        f"T{title}",
        f"T{title}",
        ("p ", *parts(paragraph)),
        f"H{title}",
        item,
        "x",
        "A",
        "B",
        *cells,
        "1",
        "2",
    ]
    assert seen("".join(page.texts)) == "".join(map(shown, told))


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    """Its policy allows its own style and nothing else, and the style names no address."""
    page = as_html(Document("t", ()))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert "default-src &#x27;none&#x27;; base-uri &#x27;none&#x27;; form-action &#x27;none&#x27;" in page
    assert f"style-src &#x27;sha256-{digest}&#x27;" in page
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
