"""A queue of units of work that are written to Postgres together: a batch is one transaction on one connection.

A store has two. The first is for units whose statements each stand for themselves (a delivery is kept, a row of
work is claimed, a lease extended): they go on whatever others do. A unit that reads is moved to the second lane,
and begun again there. Its transactions are SERIALIZABLE: of two that touched each other one is undone and goes
again, alone, while everyone else who decides waits. So decisions are as if made one after another by one process,
and no retry can be beaten for ever. https://www.postgresql.org/docs/current/transaction-iso.html
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbookd.errors import StoreError, StoreUnavailable
from runbookd.store.postgres_connections import drop
from runbookd.store.postgres_driver import Mode, PostgresDriver, Verdict, driver_errors, explain, judge
from runbookd.store.postgres_units import WantsToDecide, run_unit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from runbookd.ports import Tx
    from runbookd.store.postgres_connections import Connections

CHANNEL = "runbookd"
"""Where processes tell each other that there is work."""
_BEGIN = {
    (Mode.WRITE, False): "BEGIN ISOLATION LEVEL READ COMMITTED",
    # LOCK TABLE takes no snapshot: the transaction sees what was committed while it waited.
    (Mode.DECIDE, False): "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE deciding IN ROW SHARE MODE",
    # Alone among those who decide, it needs no more than this, and cannot be undone for another's sake.
    (Mode.DECIDE, True): "BEGIN ISOLATION LEVEL READ COMMITTED; LOCK TABLE deciding IN EXCLUSIVE MODE",
}
_ATTEMPTS = 6
_FIRST_PAUSE = 0.05
"""Seconds before a lost connection is replaced; doubled each time, 3 s in all."""
_STAY_ALONE = 16
"""Transactions that go alone after a conflict: where two touched, the next ones will."""


@dataclass(slots=True, eq=False)
class Job:
    """A unit of work on its way through a lane. `error` is what its caller gets instead of `answer`."""

    unit: Callable[[Tx], Awaitable[Any]]
    future: asyncio.Future[Any]
    answer: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Answer the caller, if it still waits."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.answer)
        else:
            self.future.set_exception(self.error)


class Lane:
    """One queue and the task that empties it; at most `batch` units share a commit.

    `move` takes the units that want to decide; None when they may do so here.
    """

    def __init__(
        self, connections: Connections, *, chain: str, batch: int, move: Callable[[Job], None] | None = None
    ) -> None:
        self._connections = connections
        self._chain = chain
        self._batch = batch
        self._move = move
        self._mode = Mode.DECIDE if move is None else Mode.WRITE
        self._jobs: deque[Job] = deque()
        self._filled = asyncio.Event()
        self._closing = False
        self._alone = 0
        self.process: int | None = None
        self._task = asyncio.create_task(self._work(), name=f"postgres-{self._mode.value}")

    @property
    def waiting(self) -> int:
        """How many units wait for the next commit."""
        return len(self._jobs)

    def put(self, job: Job) -> None:
        """Queue a unit."""
        self._jobs.append(job)
        self._filled.set()

    async def close(self) -> None:
        """Finish what is queued."""
        self._closing = True
        self._filled.set()
        await self._task

    async def _work(self) -> None:
        """Commit batch after batch until told to stop."""
        while self._jobs or not self._closing:
            if not self._jobs:
                self._filled.clear()
                await self._filled.wait()
                continue
            jobs = [self._jobs.popleft() for _ in range(min(self._batch, len(self._jobs)))]
            committing = asyncio.create_task(self._commit(jobs))
            await asyncio.wait({committing})
            for job in jobs:
                job.error = job.error or committing.exception()  # a mistake of ours must not end the lane
                job.settle()

    async def _commit(self, jobs: list[Job]) -> None:
        """Run the units in one transaction, again if need be; if it fails, so does every unit of it."""
        fault: Exception = StoreUnavailable("nothing was tried")
        for attempt in range(_ATTEMPTS):
            if not jobs:
                return
            try:
                await self._transact(jobs)
            except StoreUnavailable as error:
                _fail(jobs, error)
                return
            except driver_errors() as error:
                fault = error
            else:
                self._alone = max(0, self._alone - 1)
                return
            verdict = judge(fault)
            if verdict is Verdict.CONFLICT:
                self._alone = _STAY_ALONE
            elif verdict is Verdict.LOST:
                await self._connections.pause(_FIRST_PAUSE * 2**attempt)
            else:
                break
        _fail(jobs, explain(fault))

    async def _transact(self, jobs: list[Job]) -> None:
        """Run the units and commit. Units that move leave `jobs`; raises what the driver does when nothing was kept."""
        alone = self._mode is Mode.DECIDE and self._alone > 0
        async with self._connections.one() as connection:
            self.process = connection.get_server_pid()
            batch = _Batch(connection, _BEGIN[self._mode, alone])
            wakes = False
            for job in list(jobs):
                driver = PostgresDriver(connection, self._mode, batch.begin_unit)
                job.answer = job.error = None
                async with _Apart(batch, job, driver):
                    job.answer = await run_unit(job.unit, driver, self._chain)
                wakes = wakes or (driver.wakes and job.error is None)
                driver.end()
                if self._move is not None and driver.moves:
                    jobs.remove(job)
                    self._move(job)
            if not batch.begun:
                return
            commit = f"NOTIFY {CHANNEL}; COMMIT" if wakes else "COMMIT"
            number = await connection.fetchval("SELECT pg_current_xact_id_if_assigned()::text")
            try:
                await connection.execute(commit)
            except driver_errors() as error:
                if number is None or judge(error) is not Verdict.LOST:
                    raise
                lost = error
            else:
                return
            drop(connection)
        if not await self._connections.was_committed(number):
            raise lost


class _Batch:
    """A transaction that begins with its first statement; each unit in it has a savepoint, renewed on the way."""

    def __init__(self, connection: Any, begin: str) -> None:
        self._connection = connection
        self._begin = begin
        self.begun = self.ready = False

    async def begin_unit(self) -> None:
        """Begin the transaction, or what comes after the unit before."""
        first = "RELEASE SAVEPOINT unit" if self.begun else self._begin
        self.begun, self.ready = True, False
        await self._connection.execute(f"{first}; SAVEPOINT unit")
        self.ready = True

    async def undo_unit(self) -> None:
        """Undo what was written since the unit began."""
        if self._connection.is_in_transaction():
            await self._connection.execute("ROLLBACK TO SAVEPOINT unit")


class _Apart:
    """Keeps a unit apart from the others of its batch: an exception undoes it alone, and becomes its job's error.

    An error of the database that ends the whole transaction goes on as what the driver raised.
    """

    def __init__(self, batch: _Batch, job: Job, driver: PostgresDriver) -> None:
        self._batch, self._job, self._driver = batch, job, driver

    async def __aenter__(self) -> None:
        return

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        cause = self._driver.cause
        if cause is not None and (judge(cause) in {Verdict.CONFLICT, Verdict.LOST} or not self._batch.ready):
            raise cause
        if error is None or not isinstance(error, Exception):
            return False
        if not isinstance(error, WantsToDecide):
            self._job.error = error
        if self._driver.begun:
            await self._batch.undo_unit()
        return True


def _fail(jobs: list[Job], fault: StoreError) -> None:
    """Give every unit that has not failed by itself the error of its transaction."""
    for job in jobs:
        job.error = job.error or type(fault)(str(fault))
