"""A document as one file of HTML: no scripts, nothing loaded, light or dark as its reader likes, and fit to be printed.

The policy in it holds a browser to that (https://www.w3.org/TR/CSP3/#meta-element).
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files
from typing import assert_never

from runbookd.reports.document import (
    Blank,
    Block,
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

_STYLE = files("runbookd.reports").joinpath("document.css").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{_HASH}'"


def as_html(document: Document) -> str:
    """Write a document; half a surrogate pair, which UTF-8 has not, becomes a question mark."""
    blocks = "\n".join(map(_block, document.blocks))
    page = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{escape(document.title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(document.title)}</h1>
{blocks}
</main>
</body>
</html>
"""
    return page.encode("utf-8", "replace").decode("utf-8")


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
        case Paragraph():
            return f"<p>{_words(block.words)}</p>"
        case Bullets():
            items = "\n".join(f"<li>{_words(item)}</li>" for item in block.items)
            return f"<ul>\n{items}\n</ul>"
        case Table():
            return _table(block)
    assert_never(block)


def _table(table: Table) -> str:
    """Write a table into a frame of its own, which a narrow screen can move sideways."""
    name = escape(", ".join(table.columns))
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    rows = "\n".join(f"<tr>{''.join(f'<td>{_words(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return (
        f'<div class="table" role="region" tabindex="0" aria-label="{name}">\n'
        f"<table>\n<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def _words(words: Words) -> str:
    return "".join(map(_part, parts(words)))


def _part(part: Part) -> str:
    text = escape(str(part))
    if isinstance(part, Code):
        return f"<code>{text}</code>"
    return f'<span class="blank">{text}</span>' if isinstance(part, Blank) else text
