"""A replica's standing connection: it hears of work that others left, and holds the replica's name."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runbookd.errors import StoreError
from runbookd.store.postgres_connections import connect
from runbookd.store.postgres_driver import driver_errors, explain
from runbookd.store.postgres_lane import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_WHOLE = (
    "The sessions of Postgres are not kept whole: a pooler in between gives them to others, so that messages and the "
    "replica's name are lost. Set `pool_mode = session` in PgBouncer, or name the server itself in database_url."
)


class Presence:
    """Listens, and holds the name as a session's advisory lock, over any number of connections.

    `wake` is given the server process that left work; None when a message may have been missed. `trouble` is told
    every time it was looked what keeps it from hearing or having the name, None when nothing does.
    """

    def __init__(
        self,
        url: str,
        name: str,
        wake: Callable[[int | None], None],
        trouble: Callable[[str | None], None],
        ping: float,
    ) -> None:
        """`ping` is how many seconds a connection that died without a word may go unnoticed: nothing else would tell.

        https://github.com/MagicStack/asyncpg/issues/519
        """
        self._url, self._name, self._wake, self._trouble, self._ping = url, name, wake, trouble, ping
        self._closing = asyncio.Event()
        self._connection: Any = None
        self._process: int | None = None
        self._alone = False
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> bool:
        """Begin to listen; whether no other living process has the name. Raises StoreError, StoreUnavailable."""
        try:
            await self._enter()
            await self._prove_whole()
        except driver_errors() as error:
            raise explain(error) from error
        self._trouble(self._rival())
        self._task = asyncio.create_task(self._stay(), name="postgres-presence")
        return self._alone

    async def close(self) -> None:
        """Let go of the name."""
        self._closing.set()
        if self._task is not None:
            await self._task
        self._leave()

    async def _stay(self) -> None:
        """Ask after the connection now and then. Whatever goes wrong is told, and does not end this."""
        while not await self._closes_within(self._ping):
            asking = asyncio.create_task(self._ask(), name="postgres-presence-asking")
            await asyncio.wait({asking})
            error = asking.exception()
            said = f"{type(error).__name__}: {error}" if error is not None else None
            self._trouble(
                self._rival() if said is None else f"does not hear of work that others leave: {said}"
            )

    async def _closes_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        return self._closing.is_set()

    async def _ask(self) -> None:
        """See that the connection answers, and replace it when it does not; whoever waits for work looks then."""
        if self._connection is not None:
            try:
                process = await self._connection.fetchval("SELECT pg_backend_pid()", timeout=self._ping)
                self._alone = self._alone or await self._take_name(self._connection)
            except driver_errors():
                self._leave()
            else:
                if process == self._process:
                    return
                self._leave()
                raise StoreError(NOT_WHOLE)
        await self._enter()
        self._wake(None)

    async def _enter(self) -> None:
        """Listen on a new connection, and take the name if it is free."""
        connection = await connect(self._url, self._name)
        try:
            await connection.add_listener(CHANNEL, self._heard)
            self._process = await connection.fetchval("SELECT pg_backend_pid()")
            self._alone = await self._take_name(connection)
        except driver_errors():
            connection.terminate()
            raise
        self._connection = connection

    async def _take_name(self, connection: Any) -> bool:
        alone: bool = await connection.fetchval(
            "SELECT pg_try_advisory_lock(hashtextextended($1, 0))",
            f"runbookd replica {self._name}",
            timeout=self._ping,
        )
        return alone

    async def _prove_whole(self) -> None:
        """Raise StoreError when a pooler gives our session to others: while one is busy, ours is another then."""
        busy = await connect(self._url, self._name)
        try:
            await busy.execute("BEGIN")
            process = await self._connection.fetchval("SELECT pg_backend_pid()")
        finally:
            busy.terminate()
        if process != self._process:
            self._leave()
            raise StoreError(NOT_WHOLE)

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection, self._alone = None, False

    def _rival(self) -> str | None:
        """Say that another process has the name."""
        if self._alone:
            return None
        return f"another process has the name {self._name}: give each replica one of its own (`name` in the settings)"

    def _heard(self, connection: object, process: int, channel: str, payload: object) -> None:
        del connection, channel, payload
        self._wake(process)
