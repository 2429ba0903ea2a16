"""The store on SQLite: one file, one thread that writes, a few that read.

A delivery is acknowledged when its commit is on disk (WAL, synchronous=FULL); commits are shared under load, see
`sqlite_writer.py`. Readers have their own connections and see the last commit without waiting for the writer.
Other processes (the command line) may use the file at the same time: nothing is cached between transactions.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from runbookd.errors import StoreError, StoreUnavailable
from runbookd.store import sqlite_file
from runbookd.store.sqlite_driver import SqliteDriver, explain
from runbookd.store.sqlite_writer import SqliteWriter
from runbookd.store.transaction import Transaction, complete

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from pathlib import Path

    from runbookd.ports import Tx
    from runbookd.ports.world import Trouble

T = TypeVar("T")


class SqliteStore:
    """`ports.Store` over one file; made by `open_sqlite` and used on the loop that made it."""

    def __init__(
        self, writer: SqliteWriter, readers: list[sqlite3.Connection], *, chain: str, queue: int
    ) -> None:
        self._writer = writer
        self._chain = chain
        self._queue = queue
        self._closed = False
        self._threads = ThreadPoolExecutor(len(readers), thread_name_prefix="sqlite-reader")
        self._readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        for connection in readers:
            self._readers.put(connection)

    @property
    def waiting(self) -> int:
        """How many units of work wait to be written, for the metric."""
        return self._writer.waiting

    async def write(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        """Run the unit in a transaction and return its answer once it is on disk."""
        self._refuse_if_closed()
        if self._writer.waiting >= self._queue:
            raise StoreUnavailable(
                f"{self._queue} units of work wait to be written already: more comes in than the disk takes. "
                "Try again."
            )
        answer: T = await self._writer.write(unit)
        return answer

    async def read(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        """Run a unit that only reads, on one consistent state."""
        self._refuse_if_closed()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._read, unit)

    async def attend(self, name: str, wake: Callable[[], None], trouble: Trouble | None = None) -> bool:
        """Be the one replica there is: a file is served by one process, and nobody else leaves work for long."""
        del name, wake, trouble
        return True

    async def time(self) -> datetime | None:
        """Return None: whoever uses a file has the same clock."""
        return None

    async def close(self) -> None:
        """Finish what was queued, and let go of the database; closing twice is closing once."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        while not self._readers.empty():
            self._readers.get().close()
        await self._writer.close()  # the last connection folds the log into the file

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable("The store is closed: the service is stopping. Try again when it is back.")

    def _read(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        connection = self._readers.get()
        driver = SqliteDriver(connection, writes=False)
        try:
            connection.execute("BEGIN")
            try:
                answer = complete(unit, Transaction(driver, self._chain))
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise explain(error) from error
        finally:
            driver.end()
            self._readers.put(connection)
        return answer


async def open_sqlite(
    path: Path, *, chain: str = "main", readers: int = 2, queue: int = 2048, batch: int = 256
) -> SqliteStore:
    """Open the file, made and brought up to date if need be.

    `chain` names the ledger chain this store appends to and reads. `readers` is how many reads run at once.
    `queue` is how many units may wait to be written before more are refused with StoreUnavailable, and `batch`
    how many share one commit at most. Raises StoreError or StoreUnavailable, see `sqlite_file.prepare`.
    """
    if str(path) == ":memory:":
        raise StoreError("A database in memory keeps no promise of the store; name a file.")
    await asyncio.to_thread(sqlite_file.prepare, path)
    first, *others = [sqlite_file.connect(path, read_only=number > 0) for number in range(readers + 1)]
    writer = SqliteWriter(first, asyncio.get_running_loop(), chain=chain, batch=batch)
    return SqliteStore(writer, others, chain=chain, queue=queue)
