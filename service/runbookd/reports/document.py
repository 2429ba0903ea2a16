"""A document for people, before it is Markdown or HTML: headings, paragraphs, lists and tables of plain text.

Texts may hold anything, markup too: the writers (`document_markdown.py`, `document_html.py`) show it, never obey it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """Something to be copied as it stands: an id, a command, a hash."""

    text: str

    def __str__(self) -> str:
        """Write it as it is shown."""
        return self.text


@dataclass(frozen=True, slots=True)
class Blank:
    """A place that only people can fill in, and what belongs there."""

    what: str

    def __str__(self) -> str:
        """Write it as it is shown."""
        return f"[to be filled in: {self.what}]"


Part = str | Code | Blank
Words = Part | tuple[Part, ...]
"""What stands in one place: a part, or several in a row."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; the document's own is of level 1."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Some sentences."""

    words: Words


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list, in no order that matters."""

    items: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under their columns' names; each row has as many cells as there are columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]


Block = Heading | Paragraph | Bullets | Table


@dataclass(frozen=True, slots=True)
class Document:
    """A title and what comes below it."""

    title: str
    blocks: tuple[Block, ...]


def parts(words: Words) -> tuple[Part, ...]:
    """Return what stands in one place as a row of parts."""
    return words if isinstance(words, tuple) else (words,)
