"""SQL is told the time; it never reads it, so one clock decides and tests can set it."""

from __future__ import annotations

import re

import pytest

from tests.architecture.tree import files, listing, place

CLOCK = re.compile(
    r"\b(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|getdate|sysdate)\s*\("
    r"|\bcurrent_(?:timestamp|date|time)\b|\blocal(?:time|timestamp)\b|'now'",
    re.IGNORECASE,
)


def test_no_statement_reads_the_clock() -> None:
    """No .sql file asks the database for the time."""
    offences = [
        f"{place(path, number)}: {line.strip()}"
        for path in files()
        if path.suffix == ".sql"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if CLOCK.search(line)
    ]
    assert not offences, listing(offences)


@pytest.mark.parametrize(
    "statement", ["SELECT now()", "DEFAULT CURRENT_TIMESTAMP", "datetime('now')", "SELECT NOW ( )"]
)
def test_every_way_to_ask_is_seen(statement: str) -> None:
    """The ways SQLite and Postgres tell the time are recognised."""
    assert CLOCK.search(statement)


@pytest.mark.parametrize("statement", ["SELECT :now", "due_at <= $1", "known(1)", "snow (2)"])
def test_a_time_given_is_no_clock(statement: str) -> None:
    """A time that comes as a parameter is not mistaken for a clock."""
    assert not CLOCK.search(statement)
