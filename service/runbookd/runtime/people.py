"""What people ask for by the API, carried out: each act in a transaction of its own, and told to the log after it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from runbookd.errors import Conflict
from runbookd.units.pausing import Switched, bounds_now, pause_once, resume_once
from runbookd.units.people import Act, Done, act
from runbookd.units.showing import Shown, show

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from runbookd.model.incident import Incident
    from runbookd.pipeline import Pipeline
    from runbookd.ports import Clock, Store, Tx

log = structlog.get_logger()


class People:
    """Does what people ask for. `pipeline` has the content in force, and is woken when an act leaves work to do."""

    def __init__(self, store: Store, clock: Clock, pipeline: Pipeline) -> None:
        """Nothing is started."""
        self._store, self._clock, self._pipeline = store, clock, pipeline

    def priorities(self) -> Collection[str]:
        """Return the names of the priorities there are."""
        return self._pipeline.desk.library.priorities.keys()

    async def act(self, wanted: Act) -> Done:
        """Do it. Raises NotFound for an incident that is not there, Conflict for one that is over or a lower priority.

        Nothing is kept then, not even the key.
        """
        desk, now = self._pipeline.desk, self._clock.now()

        async def unit(tx: Tx) -> Done:
            done = await act(tx, desk, wanted, now)
            if done.over:
                raise Conflict(done.said)
            return done

        done = await self._store.write(unit)
        self._pipeline.wake()
        log.info(
            "person acted",
            stage="escalate",
            incident=wanted.incident_id,
            actor=wanted.actor,
            do=wanted.do.value,
            changed=done.changed,
        )
        return done

    async def incidents(self, limit: int, filters: Mapping[str, str]) -> list[Incident]:
        """Return incidents, newest first; `filters` by equality on: state, rule, priority."""
        return await self._store.read(lambda tx: tx.incidents.recent(limit, filters))

    async def incident(self, incident_id: str) -> Shown:
        """Return one with all that concerns people. Raises NotFound."""
        return await self._store.read(partial(show, incident_id=incident_id))

    async def pause(self, reason: str, actor: str, key: str | None) -> Switched:
        """Stop every mutating call; `key` None is never told twice."""
        return await self._switch("pause", partial(pause_once, reason=reason, actor=actor, key=key))

    async def resume(self, reason: str, actor: str, key: str | None) -> Switched:
        """Let runs act again."""
        return await self._switch("resume", partial(resume_once, reason=reason, actor=actor, key=key))

    async def bounds(self) -> Mapping[str, object]:
        """Return the pause, the budget and the storm brake as they are now."""
        reach, now = self._pipeline.desk.reach, self._clock.now()
        return await self._store.read(partial(bounds_now, reach=reach, now=now))

    async def _switch(self, do: str, unit: Callable[..., Awaitable[Switched]]) -> Switched:
        switched = await self._store.write(partial(unit, now=self._clock.now()))
        self._pipeline.wake()
        log.info("switch turned", stage="execute", do=do, changed=switched.changed)
        return switched
