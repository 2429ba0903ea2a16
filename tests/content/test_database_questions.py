"""The questions to the database in the shipped vars: real programs against a real Postgres, which they cannot change.

The application's own modules are played: `src.utils.database.get_db` and SQLAlchemy's `text`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.content.load import load
from runbookd.settings import shipped
from tests.postgres import PostgresServer

TEXT = """
def text(sql):
    return sql
"""
GET_DB = """
import asyncio, os, sys
import asyncpg

class Rows(list):
    def all(self):
        return [tuple(row) for row in self]

    def scalar(self):
        return self[0][0]

class Session:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.connection = self.do(asyncpg.connect(os.environ["DATABASE"]))
        self.do(self.connection.execute("BEGIN"))

    def do(self, work):
        return self.loop.run_until_complete(work)

    def execute(self, sql):
        return Rows(self.do(self.connection.fetch(sql)))

    def rollback(self):
        self.do(self.connection.execute("ROLLBACK"))

def get_db():
    session = Session()
    try:
        yield session
    finally:
        session.do(session.connection.close())
        print("given back", file=sys.stderr)
"""
TABLES = (
    "CREATE TABLE conversations (created_at timestamptz)",
    "CREATE TABLE messages (content text)",
    "INSERT INTO conversations VALUES (now()), (now() - interval '5 minutes'), (now() - interval '2 hours')",
    "INSERT INTO messages VALUES ('hello'), (''), (NULL)",
)


@dataclass(frozen=True)
class Container:
    """Where the application runs: its modules, and its database."""

    folder: Path
    database: str

    async def run(self, program: str) -> subprocess.CompletedProcess[str]:
        """Run a program as `python -c` there."""
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", program],
            env={"PYTHONPATH": str(self.folder), "DATABASE": self.database},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
async def container(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[Container]:
    """The application, with three conversations and three messages."""
    (tmp_path / "sqlalchemy.py").write_text(TEXT)
    (tmp_path / "src" / "utils").mkdir(parents=True)
    (tmp_path / "src" / "utils" / "database.py").write_text(GET_DB)
    name = await postgres.empty()
    await postgres.run(*TABLES, database=name)
    yield Container(tmp_path, postgres.url(name))
    await postgres.drop(name)


def question(name: str) -> str:
    """The program of a question."""
    library = load(shipped("rules"), shipped("playbooks"), ActionCatalogue())
    command = library.vars[f"question_{name}"]
    assert isinstance(command, Sequence)
    python, option, program = command
    assert (python, option) == ("python", "-c")
    return str(program)


async def answer(container: Container, program: str) -> Any:
    """What it prints, which is one line of JSON; the session is given back."""
    done = await container.run(program)
    assert (done.returncode, done.stderr) == (0, "given back\n")
    return json.loads(done.stdout)


async def test_the_damage_is_counted(container: Container) -> None:
    """The conversations of the last hour, and the messages that are empty or null."""
    assert await answer(container, question("damage")) == {"recent": 2, "corrupted": 2}


async def test_connections_are_counted_by_state(container: Container) -> None:
    """The question's own connection at least, of those the server allows; its own processes are no connections."""
    found = await answer(container, question("connections"))
    assert set(found) == {"used", "limit", "states"}
    assert 1 <= found["used"] < found["limit"]
    assert found["states"]["active"] >= 1
    assert found["used"] == sum(count for state, count in found["states"].items() if state != "background")


@pytest.mark.parametrize("name", ["damage", "connections"])
async def test_the_database_itself_refuses_a_change(container: Container, name: str) -> None:
    """A question that were to change something fails, and gives its session back all the same."""
    first = '"SELECT count(*)' if name == "damage" else '"SELECT coalesce'
    change = '"INSERT INTO messages VALUES (NULL) RETURNING content -- '
    program = question(name)
    assert first in program
    done = await container.run(program.replace(first, change, 1))
    assert done.returncode == 1
    assert "read-only transaction" in done.stderr
    assert "given back" in done.stderr
