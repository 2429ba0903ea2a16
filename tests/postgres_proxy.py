"""A wire between a client and Postgres that can be cut at a chosen moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.postgres import PostgresServer
from tests.servers import temporary_folder

_SOCKET = ".s.PGSQL.5432"


class Proxy:
    """Listens on a Unix socket beside the server's.

    `cut_before` and `cut_after` are words in what the client says: the first message that holds the word is not
    passed on, or passed on and its answer held back, and the connection is closed. Each cuts once.
    """

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._writers: set[asyncio.StreamWriter] = set()
        self.cut_before: bytes | None = None
        self.cut_after: bytes | None = None
        self.open = True
        self.cuts = 0

    def url(self, database: str) -> str:
        """The URL of a database behind the wire."""
        return f"postgresql://postgres:hidden@/{database}?host={self._folder}"

    def cut(self) -> None:
        """Close every connection there is."""
        for writer in self._writers:
            writer.transport.abort()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        if not self.open:
            writer.transport.abort()
            return
        try:
            back, forth = await asyncio.open_unix_connection(str(self._server.folder / _SOCKET))
        except OSError:  # the server is away
            writer.transport.abort()
            return
        self._writers |= {writer, forth}
        with suppress(ConnectionError, asyncio.CancelledError):  # the loop ends before the wire does
            await asyncio.gather(self._said(reader, writer, forth), self._answered(back, writer))
        for each in (writer, forth):
            self._writers.discard(each)
            each.transport.abort()

    async def _said(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, forth: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65536):
            if self.cut_before and self.cut_before in data:
                self.cut_before, self.cuts = None, self.cuts + 1
                break
            if self.cut_after and self.cut_after in data:
                self.cut_after, self.cuts = None, self.cuts + 1
                writer.transport.abort()
                forth.write(data)
                await forth.drain()
                return
            forth.write(data)
        writer.transport.abort()
        forth.transport.abort()

    async def _answered(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await back.read(65536):
            writer.write(data)
        writer.transport.abort()


@asynccontextmanager
async def proxy(server: PostgresServer) -> AsyncIterator[Proxy]:
    """A wire to the server."""
    with temporary_folder("proxy") as name:
        it = Proxy(server, Path(name))
        listening = await asyncio.start_unix_server(it.handle, str(Path(name) / _SOCKET))
        try:
            yield it
        finally:
            listening.close()
            it.cut()
