"""Replicas on one database go by one clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runbookd.errors import StoreUnavailable
from runbookd.runtime.clock import SystemClock


class Told:
    """A store that only tells the time: so far ahead of this machine's, None, or not at all."""

    def __init__(self, ahead: timedelta | StoreUnavailable | None) -> None:
        self.ahead = ahead

    async def time(self) -> datetime | None:
        """The time."""
        if isinstance(self.ahead, StoreUnavailable):
            raise self.ahead
        return None if self.ahead is None else datetime.now(UTC) + self.ahead


async def agreed(clock: SystemClock, ahead: timedelta | StoreUnavailable | None) -> float:
    """How many minutes the clock is ahead of this machine's once it was set so."""
    await clock.agree(Told(ahead))  # type: ignore[arg-type]
    return round((clock.now() - datetime.now(UTC)) / timedelta(minutes=1), 3)


@pytest.mark.parametrize("minutes", [-5, 3])
async def test_a_clock_that_is_off_is_set_by_the_databases(minutes: int) -> None:
    """A clock minutes behind or ahead tells the database's time, and goes on doing so while nobody can be asked."""
    clock = SystemClock()
    assert await agreed(clock, timedelta(minutes=minutes)) == minutes
    assert await agreed(clock, StoreUnavailable("away")) == minutes
    assert await agreed(clock, timedelta(0)) == 0


async def test_a_clock_that_is_right_is_left_alone() -> None:
    """What the way to the database may feign changes nothing, and a database without a clock neither."""
    clock = SystemClock()
    assert await agreed(clock, timedelta(milliseconds=300)) == 0
    assert await agreed(clock, None) == 0
    assert clock.offset == timedelta(0)


async def test_a_clock_nobody_could_set_yet_is_not_gone_by() -> None:
    """The first time the database must answer, or the service does not start: a wrong clock would write wrong times."""
    with pytest.raises(StoreUnavailable, match="away"):
        await agreed(SystemClock(), StoreUnavailable("away"))
