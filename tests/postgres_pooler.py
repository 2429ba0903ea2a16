"""A pooler between clients and Postgres that gives sessions to others after each transaction.

So does PgBouncer with `pool_mode = transaction`.

https://www.pgbouncer.org/features.html, https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.postgres import PostgresServer
from tests.servers import temporary_folder

_SOCKET = ".s.PGSQL.5432"
_ENDS_A_PREPARE = b"TnE"


class Session(NamedTuple):
    """A connection to the server, and what it said when it was opened."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: bytes


class Pooler:
    """Listens on a Unix socket beside the server's; the session that was used last is used next."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._free: list[Session] = []

    def url(self, database: str) -> str:
        """The URL of a database behind the pooler."""
        return f"postgresql://postgres:hidden@/{database}?host={self._folder}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        held: Session | None = None
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            size = await reader.readexactly(4)
            startup = size + await reader.readexactly(struct.unpack("!i", size)[0] - 4)
            self._free.append(self._free.pop() if self._free else await self._open(startup))
            writer.write(self._free[-1].greeting)
            while (kind := (message := await _message(reader))[:1]) != b"X":
                held = held or (self._free.pop() if self._free else await self._open(startup))
                held.writer.write(message)
                if kind not in b"QSH":
                    continue
                ends = _ENDS_A_PREPARE if kind == b"H" else b"Z"
                while (said := await _message(held.reader))[:1] not in ends:
                    writer.write(said)
                writer.write(said)
                if said[:1] == b"Z" and said[-1:] == b"I":
                    self._free.append(held)
                    held = None
        writer.transport.abort()
        if held is not None:
            held.writer.transport.abort()

    def close(self) -> None:
        """Let go of every session."""
        for session in self._free:
            session.writer.transport.abort()

    async def _open(self, startup: bytes) -> Session:
        reader, writer = await asyncio.open_unix_connection(str(self._server.folder / _SOCKET))
        writer.write(startup)
        greeting = b""
        while not (said := await _message(reader)).startswith(b"Z"):
            greeting += said
        return Session(reader, writer, greeting + said)


async def _message(reader: asyncio.StreamReader) -> bytes:
    """Read one message: its kind, its length, and the rest."""
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


@asynccontextmanager
async def pooler(server: PostgresServer) -> AsyncIterator[Pooler]:
    """A pooler in front of the server."""
    with temporary_folder("pooler") as name:
        it = Pooler(server, Path(name))
        listening = await asyncio.start_unix_server(it.handle, str(Path(name) / _SOCKET))
        try:
            yield it
        finally:
            listening.close()
            it.close()
