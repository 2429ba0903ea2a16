"""The named SQL: all of it is valid, used, and found by an index."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import runbookd.store
from runbookd.errors import StoreError
from runbookd.store import sqlite_file
from runbookd.store.sqlite_driver import explain
from runbookd.store.statements import Statement, statements, text_of

FOLDER = Path(runbookd.store.__file__).parent
WHOLE = {
    "count_open_alerts",
    "holds",
    "ledger_anchors",
    "recent_deliveries",
    "recent_events",
    "recent_incidents",
    "recent_messages",
    "recent_runs",
}
"""Those that walk an index from its end: the newest of all, or every one of few."""
BY_ROW = {"recent_entries", "switches_beginning"}
"""Those that walk a table in the order of its rows: from its end, or one that has few."""


def named() -> list[Statement]:
    """Every statement, without filters and with each."""
    return list(statements().values())


def test_every_block_is_found() -> None:
    """Each `-- name:` in the files is a statement with a description, and no name is used twice."""
    written = [
        name
        for file in (FOLDER / "sql").glob("*.sql")
        for name in re.findall(r"^-- name: (\w+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert sorted(written) == sorted(statements())
    assert all(statement.about.endswith(".") for statement in named())


def test_every_statement_is_used() -> None:
    """No statement is left over, and no repository asks for one that is not there."""
    used = {
        name
        for file in FOLDER.glob("*.py")
        for name in re.findall(r'"(\w+)"', file.read_text(encoding="utf-8"))
        if name in statements()
    }
    assert used == set(statements())


@pytest.mark.parametrize("statement", named(), ids=lambda statement: statement.name)
def test_every_statement_uses_an_index(statement: Statement, tmp_path: Path) -> None:
    """SQLite accepts every statement, and answers it, with each of its filters, without reading a whole table."""
    sqlite_file.prepare(tmp_path / "store.db")
    with closing(sqlite_file.connect(tmp_path / "store.db", read_only=False)) as connection:
        for where in [(), *((column,) for column in statement.filters)]:
            text = statement.filtered(where)
            values = dict.fromkeys(re.findall(r":(\w+)", text), 1)
            plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
            derived = {
                detail.split()[-1] for detail in plan if detail.startswith(("CO-ROUTINE", "MATERIALIZE"))
            }
            scans = [line for line in plan if line.startswith("SCAN") and line.split()[1] not in derived]
            assert statement.name in BY_ROW or all("INDEX" in line for line in scans)
            assert statement.name in WHOLE | BY_ROW or not scans


@pytest.mark.parametrize(
    ("name", "index"), [("claim_work", "work_due"), ("next_free", "work_free"), ("next_lapse", "work_held")]
)
def test_the_worker_reads_only_what_is_due(name: str, index: str, tmp_path: Path) -> None:
    """However many rows wait for their time, what a worker asks many times a second goes by the time."""
    sqlite_file.prepare(tmp_path / "store.db")
    with closing(sqlite_file.connect(tmp_path / "store.db", read_only=False)) as connection:
        text = text_of(name, ())
        values = dict.fromkeys(re.findall(r":(\w+)", text), 1)
        plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    assert any(f"INDEX {index}" in line for line in plan), plan


@pytest.mark.parametrize("name", ["first_in_line", "ahead_in_line"])
def test_a_line_is_read_in_its_order(name: str, tmp_path: Path) -> None:
    """However many messages there are, who is next goes by the index of lines, and nothing is sorted."""
    sqlite_file.prepare(tmp_path / "store.db")
    with closing(sqlite_file.connect(tmp_path / "store.db", read_only=False)) as connection:
        text = text_of(name, ())
        values = dict.fromkeys(re.findall(r":(\w+)", text), 1)
        plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    assert [("INDEX messages_in_line" in line, "TEMP B-TREE" in line) for line in plan] == [(True, False)], (
        plan
    )


def test_same_text_is_the_same_object() -> None:
    """The text of a statement is made once, so that a prepared statement is found by it again."""
    assert text_of("recent_runs", ("state",)) is text_of("recent_runs", ("state",))


def test_filter_that_is_none_is_refused() -> None:
    """A column that a statement does not offer as a filter never reaches the SQL."""
    with pytest.raises(StoreError, match="'x' is not a filter of recent_runs; the filters are: state"):
        text_of("recent_runs", ("x",))
    with pytest.raises(StoreError, match="the filters are: none"):
        text_of("run", ("id",))


def test_unforeseen_error_is_a_store_error(tmp_path: Path) -> None:
    """What SQLite reports and nobody foresaw is a StoreError with SQLite's own words."""
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection, pytest.raises(sqlite3.Error) as error:
        connection.execute("SELECT * FROM missing")
    assert "no such table: missing" in str(explain(error.value))
