"""The store on Postgres: for several replicas that share the work.

Units of work are written by two lanes, see `postgres_lane.py`; reads have a snapshot and connections of their own.
The connections are found to be broken when they are used, and replaced; a unit of which nothing was kept is run
again, and where the answer to a commit was lost the server is asked what became of it.

A pooler between runbookd and Postgres must leave sessions alone (PgBouncer: `pool_mode = session`), or else
messages and the replica's name are lost.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from runbookd.errors import StoreError, StoreUnavailable
from runbookd.store import postgres_schema
from runbookd.store.postgres_connections import Connections, open_connections
from runbookd.store.postgres_driver import Mode, PostgresDriver, Verdict, driver_errors, explain, judge
from runbookd.store.postgres_lane import Job, Lane
from runbookd.store.postgres_presence import Presence
from runbookd.store.postgres_units import run_unit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from runbookd.ports import Tx
    from runbookd.ports.world import Trouble

T = TypeVar("T")

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_READ_ATTEMPTS = 4
_READERS = 4
"""How many reads run at once."""
PING_SECONDS = 5.0
"""How long a standing connection that died may go unnoticed."""


class PostgresStore:
    """`ports.Store` over one database; made by `open_postgres` and used on the loop that made it."""

    def __init__(self, url: str, connections: Connections, *, chain: str, queue: int, batch: int) -> None:
        self._url = url
        self._connections = connections
        self._chain = chain
        self._queue = queue
        self._closed = False
        self._deciding = Lane(connections, chain=chain, batch=batch)
        self._writing = Lane(connections, chain=chain, batch=batch, move=self._move)
        self._deciders: set[object] = set()
        self._presence: Presence | None = None

    @property
    def waiting(self) -> int:
        """How many units of work wait to be written, for the metric."""
        return self._writing.waiting + self._deciding.waiting

    async def write(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        """Run the unit in a transaction and return its answer once it is on disk."""
        self._refuse_if_closed()
        if self.waiting >= self._queue:
            raise StoreUnavailable(
                f"{self._queue} units of work wait to be written already: more comes in than Postgres takes. "
                "Try again."
            )
        job = Job(unit, asyncio.get_running_loop().create_future())
        lane = self._deciding if _code(unit) in self._deciders else self._writing
        lane.put(job)
        answer: T = await job.future
        return answer

    async def read(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        """Run a unit that only reads, on one consistent state."""
        self._refuse_if_closed()
        fault: StoreError = StoreUnavailable("nothing was tried")
        for attempt in range(_READ_ATTEMPTS):
            await self._connections.pause(0.05 * attempt)
            try:
                return await self._read(unit)
            except driver_errors() as error:
                fault = explain(error)
                if judge(error) is not Verdict.LOST:
                    break
        raise fault

    async def attend(self, name: str, wake: Callable[[], None], trouble: Trouble | None = None) -> bool:
        """Be the replica of this name until `close`; whether no other living process has the name."""

        def heard(process: int | None) -> None:
            if process is None or process not in {self._writing.process, self._deciding.process}:
                wake()

        self._presence = Presence(self._url, name, heard, trouble or _unheard, PING_SECONDS)
        return await self._presence.begin()

    async def time(self) -> datetime | None:
        """Return the time by the server's clock; raises StoreUnavailable."""
        try:
            async with self._connections.one() as connection:
                now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        except driver_errors() as error:
            raise explain(error) from error
        return now

    async def close(self) -> None:
        """Finish what was queued, and let go of the database; closing twice is closing once."""
        if self._closed:
            return
        self._closed = True
        await self._writing.close()
        await self._deciding.close()
        if self._presence is not None:
            await self._presence.close()
        await self._connections.close()

    def _move(self, job: Job) -> None:
        """Let a unit decide, and the next of its kind without the detour."""
        self._deciders.add(_code(job.unit))
        self._deciding.put(job)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable("The store is closed: the service is stopping. Try again when it is back.")

    async def _read(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        """Read once; raises what the driver does when the connection is lost."""
        async with self._connections.one() as connection:

            async def begin() -> None:
                await connection.execute(_SNAPSHOT)

            driver = PostgresDriver(connection, Mode.READ, begin)
            try:
                return await run_unit(unit, driver, self._chain)
            except StoreError:
                if driver.cause is not None and isinstance(driver.fault, StoreUnavailable):
                    raise driver.cause from None
                raise
            finally:
                driver.end()
                if connection.is_in_transaction():
                    await connection.execute("ROLLBACK")


def _unheard(trouble: str | None) -> None:
    """Tell nobody."""
    del trouble


def _code(unit: object) -> object:
    """Return what tells units of one kind from others: the code they run, whatever values they were made with."""
    function = getattr(unit, "func", unit)  # of a partial
    return getattr(function, "__code__", type(function))


async def open_postgres(
    url: str,
    *,
    chain: str = "main",
    queue: int = 2048,
    batch: int = 64,
    stall: float = 5.0,
    migrate: bool = True,
) -> PostgresStore:
    """Open the database, brought up to date if `migrate`, or refused when it is not.

    `chain` names the ledger chain this store appends to and reads. `queue` is how many units may wait to be written
    before more are refused with StoreUnavailable, and `batch` how many share one commit at most (each has a
    savepoint; Postgres slows down past 64). `stall` is how many seconds a process that stands still may keep others
    from deciding: a part of the lease. Raises StoreError, StoreUnavailable.
    """
    if migrate:
        await postgres_schema.prepare(url)
    else:
        await postgres_schema.check(url)
    connections = await open_connections(url, chain, _READERS + 2, stall)
    return PostgresStore(url, connections, chain=chain, queue=queue, batch=batch)
