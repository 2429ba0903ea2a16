"""Carrying one run on in this process, as a worker of the service would, and watching it meanwhile."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from runbookd.errors import LeaseLost, NotFound
from runbookd.model.work import Work, WorkKind
from runbookd.units.cancelling import cancel_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from runbookd.model.run import Run, StepRecord
    from runbookd.ports import Tx
    from runbookd.wiring import Parts

_LONGEST_SLEEP = timedelta(seconds=1)
_LOOK_EVERY = 0.1


class Abandoned(Exception):
    """The reader left twice: nobody here carries the run on any more."""


@dataclass(slots=True, kw_only=True)
class Carrier:
    """One run in this process's hands. `show` is called at every look with the run and its journal."""

    parts: Parts
    run_id: str
    owner: str
    actor: str
    show: Callable[[Run, Sequence[StepRecord]], None]
    asked: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def to_the_end(self, work: Work | None) -> tuple[Run, list[StepRecord]]:
        """Carry the run on until it has ended, whoever ends it; returns it with its journal.

        Ctrl-C (or SIGTERM) once asks it to stop at the next step border; twice raises Abandoned.
        """
        loop = asyncio.get_running_loop()
        gone = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupted, gone)
        carrying = asyncio.create_task(self._carry(work))
        watching = asyncio.create_task(self._watch(carrying))
        try:
            await asyncio.wait({watching, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not watching.done():
                raise Abandoned
            await watching
            return await self._look()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            for task in (carrying, watching, *self._tasks):
                task.cancel()
            await asyncio.gather(carrying, watching, *self._tasks, return_exceptions=True)

    def _interrupted(self, gone: asyncio.Future[None]) -> None:
        self.asked += 1
        if self.asked == 1:
            click.echo(
                "asked to stop at the next step border; once more leaves the run to the service", err=True
            )
            task = asyncio.get_running_loop().create_task(self._cancel())
            self._tasks.add(task)
        elif not gone.done():
            gone.set_result(None)

    async def _cancel(self) -> None:
        now = self.parts.clock.now()

        async def unit(tx: Tx) -> None:
            run = await tx.runs.get(self.run_id)
            if run is not None:
                await cancel_run(tx, run, "interrupted", self.actor, now)

        await self.parts.store.write(unit)

    async def _watch(self, carrying: asyncio.Task[None]) -> None:
        """Show the run until it is over."""
        while not carrying.done():
            self.show(*await self._look())
            await asyncio.wait({carrying}, timeout=_LOOK_EVERY)
        await carrying
        self.show(*await self._look())

    async def _look(self) -> tuple[Run, list[StepRecord]]:
        async def unit(tx: Tx) -> tuple[Run, list[StepRecord]]:
            run = await tx.runs.get(self.run_id)
            if run is None:
                raise NotFound(f"run {self.run_id} is not in the database any more")
            return run, await tx.runs.steps(self.run_id)

        return await self.parts.store.read(unit)

    async def _carry(self, work: Work | None) -> None:
        """Work whenever something is due; a service on the same database may be quicker, and that is as well."""
        while True:
            if work is not None:
                try:
                    await self.parts.pipeline.advance(work)
                except LeaseLost:
                    work = None
            run, _ = await self._look()
            if run.state.ended:
                return
            work, due = await self._take()
            if work is None:
                wait = _LONGEST_SLEEP if due is None else min(_LONGEST_SLEEP, due - self.parts.clock.now())
                await asyncio.sleep(max(0.02, wait.total_seconds()))

    async def _take(self) -> tuple[Work | None, datetime | None]:
        """Claim the run's row if it is due; else say when it is, None when somebody else holds it."""
        now, lease = self.parts.clock.now(), self.parts.settings.lease

        async def unit(tx: Tx) -> tuple[Work | None, datetime | None]:
            work = await tx.work.take(WorkKind.ADVANCE, self.run_id, self.owner, now, lease)
            if work is None or work.due_at <= now:
                return work, None
            await tx.work.reschedule(work, work.due_at)
            return None, work.due_at

        return await self.parts.store.write(unit)
