"""The clock of schedules wakes in time, and a store that is away loses nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from runbookd.errors import StoreUnavailable
from runbookd.model.library import Library
from runbookd.model.playbook import Playbook
from runbookd.model.rule import Priority
from runbookd.model.schedule import Schedule
from runbookd.runtime.scheduler import Scheduler
from runbookd.runtime.schedules import Schedules
from tests.acceptance.engine import NOON, Engine, engine
from tests.acceptance.voices import Voices
from tests.servers import eventually

HOUR = timedelta(hours=1)
CONTENT = Library(
    schedules={"s": Schedule.model_validate({"name": "s", "cron": "0 13 * * *", "run": ["p"]})},
    playbooks={"p": Playbook.model_validate({"playbook": "p", "steps": [{"action": "test.look"}]})},
    priorities={"P1": Priority(name="High")},
    version="one",
)


class Away:
    """A store that takes no writes."""

    async def write(self, unit: Any) -> Any:
        """Refuse."""
        raise StoreUnavailable("disk full")


def looking(lab: Engine, woken: list[timedelta]) -> Schedules:
    """A replica's clock of schedules, which notes what it asks to be woken after."""

    def wake(after: timedelta, sweep: Callable[[], Awaitable[None]]) -> None:
        woken.append(after)

    return Schedules(lab.store, lab.clock, lab.pipeline, wake)


async def test_it_is_woken_at_the_nearest_time(tmp_path: Path) -> None:
    """After each look anew, also by content that has none."""
    async with engine(tmp_path, library=CONTENT, performer=Voices()) as lab:
        woken: list[timedelta] = []
        it = looking(lab, woken)
        await it.look()
        lab.clock.at += HOUR / 4
        await it.look()
        lab.clock.at += HOUR
        await it.look()
        assert woken == [HOUR, HOUR * 3 / 4, 23.75 * HOUR]
        assert it.due == NOON + 25 * HOUR
        lab.pipeline.desk = lab.pipeline.desk.using(replace(CONTENT, schedules={}, version="two"))
        await it.look()
        assert len(woken) == 3


async def test_a_store_that_is_away_is_asked_again(tmp_path: Path) -> None:
    """It is said, and the time is kept when it is back."""
    async with engine(tmp_path, library=CONTENT, performer=Voices()) as lab:
        it = looking(lab, [])
        await it.look()
        lab.clock.at += HOUR
        it._store, real = Away(), it._store  # type: ignore[assignment]  # noqa: SLF001 - it goes away for a while
        with capture_logs() as logs:
            await it.look()
        assert [one["event"] for one in logs] == ["schedules cannot be kept"]
        it._store = real  # noqa: SLF001 - as above
        with capture_logs() as logs:
            await it.look()
            await it.look()
        assert [one["event"] for one in logs] == ["a schedule is due"]
        lab.clock.at += 50 * HOUR
        with capture_logs() as logs:
            await it.look()
        assert [one["event"] for one in logs] == ["times of a schedule are missed"]


async def test_the_clockwork_turns_once() -> None:
    """The last time given counts, one that has passed is now, and whoever is turned may ask again."""
    turns: list[int] = []
    scheduler = Scheduler()

    async def turn() -> None:
        turns.append(len(turns))
        if len(turns) == 1:
            scheduler.once(-HOUR, turn)

    scheduler.once(HOUR, turn)
    scheduler.once(timedelta(0), turn)
    scheduler.start()
    await eventually(lambda: len(turns) == 2, within=10)
    scheduler.stop()
    assert turns == [0, 1]
