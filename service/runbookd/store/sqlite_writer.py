"""The one thread that writes: it takes every unit that waits, commits them together, and tells their callers.

A commit costs one wait for the disk. While it lasts the next units gather, so that under load many share one.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

from runbookd.errors import StoreUnavailable
from runbookd.store.sqlite_driver import SqliteDriver, explain
from runbookd.store.transaction import Transaction, complete

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from runbookd.ports import Tx


@dataclass(slots=True, eq=False)
class Job:
    """A unit of work on its way through the writer. `error` is what its caller gets instead of `answer`."""

    unit: Callable[[Tx], Awaitable[Any]]
    future: asyncio.Future[Any]
    answer: Any = None
    error: BaseException | None = None


class SqliteWriter:
    """The writer of one file. `loop` is where callers wait; `batch` bounds the units of one commit."""

    def __init__(
        self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop, *, chain: str, batch: int
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._chain = chain
        self._batch = batch
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._finished = loop.create_future()
        # A daemon: a process that is told to die does not wait for a store nobody closed.
        self._thread = threading.Thread(target=self._work, name="sqlite-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many units wait for the next commit."""
        return self._queue.qsize()

    async def write(self, unit: Callable[[Tx], Awaitable[Any]]) -> Any:
        """Queue a unit, and return its answer once it is on disk."""
        job = Job(unit, self._loop.create_future())
        self._queue.put(job)
        return await job.future

    async def close(self) -> None:
        """Finish what is queued, and let go of the connection."""
        self._queue.put(None)
        await self._finished

    def _work(self) -> None:
        """Commit batch after batch until told to stop."""
        while True:
            batch = self._next_batch()
            jobs = [job for job in batch if job is not None]
            if jobs:
                self._commit(jobs)
                self._tell(_settle, jobs)
            if len(jobs) < len(batch):
                break
        self._connection.close()
        self._tell(self._finished.set_result, None)

    def _next_batch(self) -> list[Job | None]:
        """Wait for a unit, and take all that wait with it."""
        batch = [self._queue.get()]
        with suppress(Empty):
            while len(batch) < self._batch and batch[-1] is not None:
                batch.append(self._queue.get_nowait())
        return batch

    def _commit(self, jobs: list[Job]) -> None:
        """Run the units in one transaction; if it fails, so does every unit that has not failed by itself."""
        try:
            self._transact(jobs)
        except sqlite3.Error as error:
            fault = explain(error)
        except StoreUnavailable as error:
            fault = error
        else:
            return
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
        for job in jobs:
            job.error = job.error or type(fault)(str(fault))

    def _transact(self, jobs: list[Job]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        for job in jobs:
            driver = SqliteDriver(connection, writes=True)
            with _Savepoint(connection, job):
                job.answer = complete(job.unit, Transaction(driver, self._chain))
                if driver.fault is not None:  # the unit swallowed it
                    raise driver.fault
            driver.end()
            if not connection.in_transaction:  # a full disk, say, makes SQLite undo everything at once
                raise StoreUnavailable(f"The units written together were undone together. {job.error}")
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreUnavailable(str(explain(error))) from error

    def _tell(self, callback: Callable[[Any], None], argument: object) -> None:
        """Call back on the loop; a loop that was closed has nobody left who waits."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, argument)


class _Savepoint:
    """Keeps a unit apart from the others of its batch: an exception undoes it alone, and becomes its job's error."""

    __slots__ = ("_connection", "_job")

    def __init__(self, connection: sqlite3.Connection, job: Job) -> None:
        self._connection = connection
        self._job = job

    def __enter__(self) -> None:
        self._connection.execute("SAVEPOINT unit")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[True]:
        if error is not None:
            self._job.error = error
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO unit")
        if self._connection.in_transaction:
            self._connection.execute("RELEASE unit")
        return True


def _settle(jobs: list[Job]) -> None:
    """Answer the callers that still wait."""
    for job in jobs:
        if job.future.done():
            continue
        if job.error is None:
            job.future.set_result(job.answer)
        else:
            job.future.set_exception(job.error)
