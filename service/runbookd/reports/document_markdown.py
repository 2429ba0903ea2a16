"""A document as Markdown: CommonMark (https://spec.commonmark.org/0.31.2/) with the tables of GitHub's
(https://github.github.com/gfm/#tables-extension-).

Text is escaped where it could be taken for markup, and only there, for people edit what is written here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import reduce
from itertools import groupby
from typing import assert_never

from runbookd.reports.document import (
    Blank,
    Block,
    Bullets,
    Document,
    Heading,
    Paragraph,
    Part,
    Table,
    Words,
)
from runbookd.reports.document import parts as parts_of

_MARKUP = re.compile(
    r"[\\`*\[\]<>~$]"  # code, emphasis, links, images, HTML, mathematics
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis, but not within a word
    r"|&(?=[#\w])"  # entities
    r"|:(?=//)|(?<=[wW]{3})\."  # what is left of addresses that become links by themselves
    r"|(?<=\s)#(?=#*\s*$)",  # the end of a heading
)
_URL = re.compile(
    r"""((?:[A-Za-z][A-Za-z0-9+.-]{0,20}://|[wW]{3}\.)[^\s`|\\<>"()\[\]{}]*[^\s`|\\<>"()\[\]{}.,;:!?'*_~])"""
)
"""An address, as far as it can stand between back quotes: there it is no link, and what is copied is what was told."""
_BLOCK = re.compile(r"^([#+=-])")
_ORDINAL = re.compile(r"^(\d{1,9})([.)])")
"""What at its start would make a line a heading or an item of a list."""
_SPACE = re.compile(r"\s+")
_MENTION = re.compile(r"(?<![A-Za-z0-9])@(?=\w)|@(?=[\w-]+\.)")
_NO_CODE = re.compile(r"[`|\\]|^\s*$")
"""What cannot stand between back quotes, in a table or elsewhere."""
_GAP = "\u200b"
"""A blank of no width: where Markdown is shown `@name` calls somebody, `a@b.c` becomes a link, and back quotes side by
side are one mark."""


def as_markdown(document: Document) -> str:
    """Write a document; every paragraph and row of a table is one line."""
    blocks: list[Block] = [Heading(document.title, 1), *document.blocks]
    return "\n\n".join(_block(block) for block in blocks) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {_line(block.text)}"
        case Paragraph():
            return _line(block.words)
        case Bullets():
            return "\n".join(f"- {_line(item)}" for item in block.items)
        case Table():
            rule = _row("---" for _ in block.columns)
            rows = [_row(map(_cell, row)) for row in block.rows]
            return "\n".join([_row(map(_cell, block.columns)), rule, *rows])
    assert_never(block)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(words: Words) -> str:
    return _joined(words).replace("|", r"\|")


def _line(words: Words) -> str:
    """Write words that begin a line, so that they begin nothing else."""
    return _BLOCK.sub(r"\\\1", _ORDINAL.sub(r"\1\\\2", _joined(words)))


def _joined(words: Words) -> str:
    """Write what stands in one place; texts in a row are one, so that they are not markup together."""
    written: list[str] = []
    for is_text, run in groupby(parts_of(words), key=lambda part: isinstance(part, str)):
        together = list(run)
        written += [_escaped("".join(map(str, together)))] if is_text else map(_marked, together)
    return reduce(_beside, written, "").strip()


def _marked(part: Part) -> str:
    if isinstance(part, Blank):
        return f"**[to be filled in: {_escaped(part.what)}]**"
    text = _SPACE.sub(" ", str(part)).strip()
    return _escaped(text) if _NO_CODE.search(text) else f"`{text}`"


def _escaped(text: str) -> str:
    plain, *others = _URL.split(_SPACE.sub(" ", text))
    written = _quiet(plain)
    for url, after in zip(others[::2], others[1::2], strict=True):
        written = _beside(_beside(written, f"`{url}`"), _quiet(after))
    return written


def _quiet(text: str) -> str:
    """Escape text without addresses."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", _MENTION.sub(f"@{_GAP}", text))


def _beside(before: str, after: str) -> str:
    return f"{before}{_GAP if before.endswith('`') and after.startswith('`') else ''}{after}"
