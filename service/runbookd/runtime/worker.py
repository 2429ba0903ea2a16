"""The loop that does what is due: claims rows of work, hands each to its stage, and sleeps to the nearest due row.

Work waits in lanes (`model/work.py`), each with room of its own. The deliveries of one source are admitted one after
another, in the order they came; sources, runs and clocks go on side by side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from runbookd.errors import LeaseLost, StoreError, StoreUnavailable
from runbookd.model.escalation import Channel
from runbookd.model.work import REST, RUNS, Work, WorkKind, lane_of
from runbookd.runtime.inbox import Inbox, holds
from runbookd.sources import SOURCES
from runbookd.units.admission import bury
from runbookd.units.running import give_up

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.pipeline import Pipeline
    from runbookd.ports import Clock, Store, Tx

log = structlog.get_logger()

LONGEST_SLEEP = timedelta(seconds=1)
"""A row made due by another process is seen at least this soon."""
_CROWDED_SLEEP = timedelta(milliseconds=200)
"""How soon to look again while a lane is full: what is due in another is not to wait for its end."""
_REST_AT_ONCE = 32
_SENDS_AT_ONCE = {channel: 8 if channel is Channel.EMAIL else 32 for channel in Channel}
"""Messages on their way at once by each channel. Each waits for two commits and an answer, so that few at once would be
few a second after an outage; but mail servers take only some connections of one client (Exim: 20 of all)."""
_RETRY_FIRST = timedelta(seconds=1)
_RETRY_LONGEST = timedelta(minutes=1)
_GIVE_UP_AFTER = 5
_STUCK_AFTER = 15.0
_PUT_BACK_TRIES = 30  # once a second; after that the lease has run out

Handler = Callable[[Work], Awaitable[None]]


class Worker:
    """One process's worker. `owner` must be new at every start: a claim of an earlier life is not ours."""

    def __init__(
        self, store: Store, clock: Clock, pipeline: Pipeline, *, owner: str, slots: int = 64
    ) -> None:
        """Carry on at most `slots` runs at once."""
        self._store, self._clock, self._pipeline = store, clock, pipeline
        self._owner = owner
        channels = {lane_of(WorkKind.SEND, channel.value): room for channel, room in _SENDS_AT_ONCE.items()}
        self._room = {RUNS: slots, REST: _REST_AT_ONCE, **channels}
        self._wake = asyncio.Event()
        self._tasks: dict[asyncio.Task[None], str] = {}
        sources = [lane_of(WorkKind.ADMIT, source) for source in SOURCES]
        self._inboxes = {lane: Inbox() for lane in (*sources, REST)}
        self._stopping = False
        self._store_is_well = True
        self.handlers: dict[WorkKind, Handler] = {
            WorkKind.ADMIT: self._admit_one,
            WorkKind.PLAN: pipeline.plan,
            WorkKind.ADVANCE: pipeline.advance,
            WorkKind.ESCALATE: pipeline.escalate,
            WorkKind.CLOCK: pipeline.watch_clock,
            WorkKind.RECONCILE: self._nobody_to_ask,
        }
        self._last_turn = time.monotonic()
        pipeline.wake = self.wake

    def wake(self) -> None:
        """Look for due work now."""
        self._wake.set()

    async def turning(self) -> str | None:
        """Say why the worker is not well (a readiness check); None when its loop turned lately."""
        still = time.monotonic() - self._last_turn
        return None if still < _STUCK_AFTER else f"the worker's loop has not turned for {still:.0f} s"

    async def run(self) -> None:
        """Work until `stop`."""
        lanes = [asyncio.create_task(self._admit_in_order(inbox)) for inbox in self._inboxes.values()]
        try:
            while not self._stopping:
                self._last_turn = time.monotonic()
                self._wake.clear()
                claimed = await self._turn()
                if not claimed and not self._stopping:
                    await self._sleep()
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    async def drain(self, now: datetime) -> int:
        """Do everything due at `now`, and what that makes due; returns how many things were done."""
        done = 0
        lease = self._pipeline.desk.lease
        while works := await self._store.write(lambda tx: tx.work.claim(self._owner, now, lease, 1)):
            await self._do(works[0])
            done += 1
        return done

    async def stop(self, within: timedelta) -> None:
        """Take no new work and begin no call; let those under way end, or be in doubt when `within` has passed."""
        self._stopping = True
        self._pipeline.leaving = True
        self._wake.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within.total_seconds())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _free(self) -> dict[str, int]:
        """How much more each lane takes; lanes that are full are not named."""
        busy = list(self._tasks.values())
        free = {lane: room - busy.count(lane) for lane, room in self._room.items()}
        free |= {lane: inbox.room for lane, inbox in self._inboxes.items() if lane != REST}
        return {lane: room for lane, room in free.items() if room > 0}

    async def _turn(self) -> bool:
        """Claim and begin what is due; False when there was nothing, no room, or no store, and it is time to sleep."""
        try:
            works = await self._claim(self._clock.now(), self._free())
        except StoreError as error:
            log.error("cannot claim work", stage="execute", error=str(error))
            self._store_is_well = False
            return False
        self._store_is_well = True
        for lane, work in works:
            if work.kind is WorkKind.ADMIT:
                self._inboxes[lane].put(work)
            else:
                self._begin(lane, work)
        return bool(works)

    def _begin(self, lane: str, work: Work) -> None:
        task = asyncio.create_task(self._do(work))
        self._tasks[task] = lane
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._wake.set()

    async def _admit_in_order(self, inbox: Inbox) -> None:
        """Admit all that wait together; if that goes wrong, one by one, so that one bad delivery holds up no other.

        What waited for longer than its lease is left to whoever claims it next.
        """
        while True:
            works = await inbox.take()
            held = [work for work in works if holds(work, self._clock.now())]
            together = len(held) > 1 and await self._attempt(self._pipeline.admit(held), held[0]) is None
            in_time = len(held) == len(works)
            for work in [] if together else held:
                if holds(work, self._clock.now()):
                    await self._do(work)
                else:
                    in_time = False
            inbox.settle(in_time=in_time)
            self._wake.set()

    async def _nobody_to_ask(self, work: Work) -> None:
        """Let go of a wish to ask a sender what fires, where none is configured to be asked."""
        log.error(
            "what fires must be asked (a truncated or late notification), and nobody is configured to be asked",
            stage="normalize",
            source=work.ref,
            setting="reconcile.alertmanagers",
        )
        await self._store.write(lambda tx: tx.work.finish(work))

    async def _admit_one(self, work: Work) -> None:
        await self._pipeline.admit([work])

    async def _claim(self, now: datetime, free: dict[str, int]) -> list[tuple[str, Work]]:
        """Claim what is due in the lanes that have room; each row with its lane."""
        lease = self._pipeline.desk.lease

        async def unit(tx: Tx) -> list[tuple[str, Work]]:
            return [
                (lane, work)
                for lane, room in free.items()
                for work in await tx.work.claim(self._owner, now, lease, room, lane)
            ]

        return await self._store.write(unit)

    async def _sleep(self) -> None:
        """Sleep to the nearest due row, or a wake-up. Without a store only time helps."""
        wait = LONGEST_SLEEP
        if len(self._free()) < len(self._room) + len(SOURCES):
            wait = _CROWDED_SLEEP
        elif self._store_is_well:
            try:
                due = await self._store.read(_next_due)
            except StoreError:
                due = None
            wait = LONGEST_SLEEP if due is None else min(LONGEST_SLEEP, due - self._clock.now())
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, wait.total_seconds())):
                await self._wake.wait()

    async def _do(self, work: Work) -> None:
        """Hand one row to its stage; what went wrong unexpectedly is tried again later."""
        error = await self._attempt(self.handlers[work.kind](work), work)
        if error is not None and not isinstance(error, LeaseLost):
            await self._attempt(self._put_back(work, error), work)

    async def _attempt(self, handled: Awaitable[None], work: Work) -> Exception | None:
        """Await a stage's work; returns what went wrong. The second of the two places that may catch everything."""
        said = log.bind(kind=work.kind.value, ref=work.ref)
        try:
            await handled
        except LeaseLost as error:
            said.warning("lease lost", stage="execute")
            return error
        except StoreUnavailable as error:
            said.error("store unavailable", stage="execute", error=str(error))
            return error
        except Exception as error:  # noqa: BLE001 - a boundary: what nobody foresaw must not end the loop
            said.exception("work failed", stage="execute")
            return error
        return None

    async def _put_back(self, work: Work, error: Exception) -> None:
        """Try again later, ever more slowly. What is never foreseen is told after a few times, and buried if it may."""
        now, foreseen = self._clock.now(), isinstance(error, StoreUnavailable)
        attempts = work.attempts if foreseen else work.attempts + 1
        wait = _RETRY_FIRST if foreseen else min(_RETRY_FIRST * 2 ** (attempts - 1), _RETRY_LONGEST)
        message = f"{type(error).__name__}: {error}"

        async def unit(tx: Tx) -> None:
            if attempts == _GIVE_UP_AFTER and work.kind is WorkKind.ADMIT:
                await bury(tx, work, message, now)
                return
            await tx.work.reschedule(work, now + wait, attempts)
            if attempts == _GIVE_UP_AFTER and work.kind is WorkKind.ADVANCE:
                await give_up(tx, work.ref, message, now)

        for _ in range(_PUT_BACK_TRIES):
            try:
                await self._store.write(unit)
            except LeaseLost:
                return
            except StoreError as failure:
                log.error("cannot put work back", stage="execute", ref=work.ref, error=str(failure))
                await asyncio.sleep(LONGEST_SLEEP.total_seconds())
            else:
                return


async def _next_due(tx: Tx) -> datetime | None:
    return await tx.work.next_due()
