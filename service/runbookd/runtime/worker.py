"""The loop that does what is due: claims rows of work, hands each to its stage, and sleeps to the nearest due row.

Deliveries are admitted one after another, in the order they came; runs and clocks go on side by side.
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
from runbookd.model.work import Work, WorkKind
from runbookd.units.admission import bury
from runbookd.units.running import give_up

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.pipeline import Pipeline
    from runbookd.ports import Clock, Store, Tx

log = structlog.get_logger()

LONGEST_SLEEP = timedelta(seconds=1)
"""A row made due by another process is seen at least this soon."""
_RETRY_FIRST = timedelta(seconds=1)
_RETRY_LONGEST = timedelta(minutes=1)
_GIVE_UP_AFTER = 5
_STUCK_AFTER = 15.0

Handler = Callable[[Work], Awaitable[None]]


class Worker:
    """One process's worker. `owner` must be new at every start: a claim of an earlier life is not ours."""

    def __init__(
        self, store: Store, clock: Clock, pipeline: Pipeline, *, owner: str, slots: int = 64
    ) -> None:
        """Do at most `slots` things at once."""
        self._store, self._clock, self._pipeline = store, clock, pipeline
        self._owner = owner
        self._slots = slots
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._admitting: asyncio.Queue[Work] = asyncio.Queue()
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
        lane = asyncio.create_task(self._admit_in_order())
        try:
            while not self._stopping:
                self._last_turn = time.monotonic()
                self._wake.clear()
                claimed = await self._turn()
                if not claimed and not self._stopping:
                    await self._sleep()
        finally:
            lane.cancel()
            await asyncio.gather(lane, return_exceptions=True)

    async def drain(self, now: datetime) -> int:
        """Do everything due at `now`, and what that makes due; returns how many things were done."""
        done = 0
        while works := await self._claim(now, 1):
            for work in works:
                await self._do(work)
                done += 1
        return done

    async def stop(self, within: timedelta) -> None:
        """Take no new work; let what is under way end, or be left to be resumed when `within` has passed."""
        self._stopping = True
        self._wake.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within.total_seconds())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _free(self) -> int:
        return self._slots - len(self._tasks) - self._admitting.qsize()

    async def _turn(self) -> bool:
        """Claim and begin what is due; False when there was nothing, no room, or no store, and it is time to sleep."""
        free = self._free()
        if free <= 0:
            return False
        try:
            works = await self._claim(self._clock.now(), free)
        except StoreError as error:
            log.error("cannot claim work", stage="execute", error=str(error))
            self._store_is_well = False
            return False
        self._store_is_well = True
        for work in works:
            if work.kind is WorkKind.ADMIT:
                self._admitting.put_nowait(work)
            else:
                self._begin(work)
        return bool(works)

    def _begin(self, work: Work) -> None:
        task = asyncio.create_task(self._do(work))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _admit_in_order(self) -> None:
        """Admit all that wait together; if that goes wrong, one by one, so that one bad delivery holds up no other."""
        while True:
            works = [await self._admitting.get()]
            while not self._admitting.empty():
                works.append(self._admitting.get_nowait())
            together = len(works) > 1 and await self._attempt(self._pipeline.admit(works), works[0]) is None
            if not together:
                for work in works:
                    await self._do(work)
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

    async def _claim(self, now: datetime, limit: int) -> list[Work]:
        lease = self._pipeline.desk.lease
        return await self._store.write(lambda tx: tx.work.claim(self._owner, now, lease, limit))

    async def _sleep(self) -> None:
        """Sleep to the nearest due row, or a wake-up. Without room, or a store, only time or a wake-up helps."""
        wait = LONGEST_SLEEP
        if self._store_is_well and self._free() > 0:
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
            await self._put_back(work, error)

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

        try:
            await self._store.write(unit)
        except StoreError as failure:
            log.error("cannot put work back", stage="execute", ref=work.ref, error=str(failure))


async def _next_due(tx: Tx) -> datetime | None:
    return await tx.work.next_due()
