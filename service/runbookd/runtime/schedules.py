"""The clock of schedules: wakes at the nearest of their times, and has what is due then made, once for all replicas."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from runbookd.errors import StoreError
from runbookd.stages.schedule import nearest
from runbookd.units.schedules import keep_schedules

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime, timedelta
    from typing import TypeAlias

    from runbookd.model.library import Library
    from runbookd.pipeline import Pipeline
    from runbookd.ports import Clock, Store
    from runbookd.units.schedules import Looked

    Wake: TypeAlias = Callable[[timedelta, Callable[[], Awaitable[None]]], None]

log = structlog.get_logger()


class Schedules:
    """Looks at the schedules when one of their times has come, when the content has changed, and at the start.

    `due` is the nearest of their times, None while there is none or before the first look.
    """

    def __init__(self, store: Store, clock: Clock, pipeline: Pipeline, wake: Wake | None = None) -> None:
        """`wake` has something done after a while, instead of what it had before; None leaves coming to who looks."""
        self._store, self._clock, self._pipeline, self._wake = store, clock, pipeline, wake
        self._seen: Library | None = None
        self.due: datetime | None = None

    async def look(self) -> None:
        """Look whether anything is to be done, which costs nothing while it is not, and be woken in time.

        A clock that was set, a long sleep of the machine or a store that was away are met by being called now and
        then besides.
        """
        library, now = self._pipeline.desk.library, self._clock.now()
        if self._seen is not library or (self.due is not None and self.due <= now):
            try:
                looked = await self._store.write(partial(keep_schedules, desk=self._pipeline.desk, now=now))
            except StoreError as error:
                log.error("schedules cannot be kept", stage="receive", error=str(error))
                return
            self._seen, self.due = library, nearest(library.schedules.values(), now)
            self._say(looked)
        if self.due is not None and self._wake is not None:
            self._wake(self.due - self._clock.now(), self.look)

    def _say(self, looked: list[Looked]) -> None:
        for one in looked:
            if one.missed is not None:
                log.warning(
                    "times of a schedule are missed",
                    stage="receive",
                    schedule=one.schedule,
                    count=one.missed.count,
                    last=one.missed.last.isoformat(),
                )
            if one.at is not None:
                log.info("a schedule is due", stage="receive", schedule=one.schedule, at=one.at.isoformat())
                self._pipeline.wake()
