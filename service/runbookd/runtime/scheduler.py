"""The clockwork: APScheduler turns the service's own sweeps. It holds no truth; its jobs are made anew at every start.

The scheduler runs in UTC, never skips a late job (`misfire_grace_time=None`) and never piles up (`coalesce`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from runbookd.errors import StoreError
from runbookd.model.work import WorkKind
from runbookd.units.desk import PAUSED
from runbookd.units.pausing import is_braked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runbookd.ports import Clock, Store, Tx
    from runbookd.runtime.metrics import Metrics

log = structlog.get_logger()

HEARTBEAT = timedelta(seconds=5)


class Scheduler:
    """Sweeps at fixed intervals, and once at a time. `start` needs a running loop."""

    def __init__(self) -> None:
        """Nothing turns before `start`."""
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    def every(
        self,
        interval: timedelta,
        sweep: Callable[[], Awaitable[None]],
        *,
        at_once: bool = False,
        first_after: timedelta | None = None,
    ) -> None:
        """Turn a sweep at an interval; `at_once` also when the scheduler starts.

        The first time is one interval from now, or `first_after` when it is given.
        """
        start = None if first_after is None else datetime.now(UTC) + first_after
        trigger = IntervalTrigger(seconds=interval.total_seconds(), start_date=start, timezone=UTC)
        turn = partial(_until_the_stop, sweep)
        self._scheduler.add_job(turn, trigger)
        if at_once:
            self._scheduler.add_job(turn)

    def once(self, after: timedelta, sweep: Callable[[], Awaitable[None]]) -> None:
        """Turn a sweep one time, after a while; a time given for it before is forgotten."""
        moment = DateTrigger(run_date=datetime.now(UTC) + max(after, timedelta(0)), timezone=UTC)
        name = f"once {sweep.__qualname__}"
        turn = partial(_until_the_stop, sweep)
        # One that asks for its next time while it turns is still an instance when that has come.
        self._scheduler.add_job(turn, moment, id=name, replace_existing=True, max_instances=2)

    def start(self) -> None:
        """Begin to turn."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop turning; a sweep under way ends by itself."""
        self._scheduler.shutdown(wait=False)


class _Standing(NamedTuple):
    """What the heartbeat measures: the oldest delivery and overdue row, the messages on their way, the switch."""

    oldest: datetime | None
    overdue: datetime | None
    messages: tuple[int, datetime | None]
    paused: str | None


async def _until_the_stop(sweep: Callable[[], Awaitable[None]]) -> None:
    """Turn a sweep; one that the stop cuts off ends quietly, since what it does it does again."""
    with suppress(asyncio.CancelledError):
        await sweep()


def heartbeat(store: Store, clock: Clock, metrics: Metrics) -> Callable[[], Awaitable[None]]:
    """Return the sweep that measures the queue, the oldest overdue row, the messages and the switch."""

    async def look(tx: Tx) -> _Standing:
        _, oldest = await tx.deliveries.pending()
        _, overdue = await tx.work.overdue(clock.now())
        return _Standing(oldest, overdue, await tx.messages.unsettled(), await tx.switches.get(PAUSED))

    async def beat() -> None:
        try:
            oldest, overdue, (waiting, made_at), paused = await store.read(look)
        except StoreError as error:
            log.error("heartbeat cannot read the store", stage="audit", error=str(error))
            return
        now = clock.now()
        metrics.queue_age.set((now - oldest).total_seconds() if oldest else 0)
        metrics.overdue.set(max(0.0, (now - overdue).total_seconds()) if overdue else 0)
        metrics.messages_waiting.set(waiting)
        metrics.message_age.set((now - made_at).total_seconds() if made_at else 0)
        metrics.paused.set(paused is not None)
        metrics.braked.set(is_braked(paused))
        metrics.heartbeat.set(now.timestamp())

    return beat


def make_due(store: Store, clock: Clock, kind: WorkKind, ref: str) -> Callable[[], Awaitable[None]]:
    """Return a sweep that makes a row of work due; whichever replica claims it does it, once."""

    async def sweep() -> None:
        now = clock.now()
        try:
            await store.write(lambda tx: tx.work.add(kind, ref, now))
        except StoreError as error:
            log.error("sweep cannot write", stage="audit", kind=kind.value, error=str(error))

    return sweep
