"""The named SQL statements of the folder `sql/`.

A file holds blocks of one form:

    -- name: recent_runs
    -- What it is for, in one line.
    SELECT * FROM runs WHERE TRUE /*filters: state rule*/ ORDER BY created_at DESC LIMIT :limit

Parameters are written `:name`. Three comments are for the engine to fill in: `/*filters: a b*/` becomes ` AND a = :a`
for each filter a caller gives, and no others are allowed; `/*skip_locked*/` marks where an engine with row locks
passes over rows that another transaction holds; `/*wakes*/` marks a statement after which other processes have
something to do, for an engine that can tell them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from runbookd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

_BLOCK = re.compile(
    r"^-- name: (?P<name>\w+)\n-- (?P<about>.+)\n(?P<text>(?:(?!-- name: ).*\n?)+)", re.MULTILINE
)
_FILTERS = re.compile(r"/\*filters: (?P<names>[\w ]+)\*/")


@dataclass(frozen=True, slots=True)
class Statement:
    """One named statement; `filters` are the columns it lets a caller compare by equality."""

    name: str
    about: str
    text: str
    filters: tuple[str, ...]

    def filtered(self, where: tuple[str, ...]) -> str:
        """Return the text that compares these columns; raises StoreError for one that is not a filter of it."""
        for column in where:
            if column not in self.filters:
                known = ", ".join(self.filters) or "none"
                raise StoreError(f"'{column}' is not a filter of {self.name}; the filters are: {known}.")
        return _FILTERS.sub("".join(f" AND {column} = :{column}" for column in where), self.text)


@cache
def statements() -> Mapping[str, Statement]:
    """Return every statement by its name; read once in the life of a process."""
    found: dict[str, Statement] = {}
    for file in files("runbookd.store").joinpath("sql").iterdir():
        for block in _BLOCK.finditer(file.read_text(encoding="utf-8")):
            filters = _FILTERS.search(block["text"])
            found[block["name"]] = Statement(
                name=block["name"],
                about=block["about"],
                text=block["text"].strip(),
                filters=tuple(filters["names"].split()) if filters else (),
            )
    return found


@cache
def text_of(name: str, where: tuple[str, ...]) -> str:
    """Return a statement's text with its filters; the same answer is the same object, so that drivers can reuse it."""
    return statements()[name].filtered(where)
