"""Promise G6: the runbook's response times are kept to the second, over weekends, holidays and clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from runbookd.cli.incidents import standing
from runbookd.model.incident import Incident
from runbookd.units.people import Do
from tests.acceptance.engine import NOON
from tests.acceptance.people import MINUTE, SECOND, House, house, library

NEW_YORK = ZoneInfo("America/New_York")

RESPONSE_TIMES = [
    ("P0", "acknowledge", 5),
    ("P0", "respond", 15),
    ("P0", "resolve", 30),
    ("P1", "respond", 60),
    ("P1", "resolve", 120),
    ("P2", "respond", 240),
]
"""The runbook's table of response times and its automatic triggers, in minutes."""

MEETS = {"acknowledge": Do.ACKNOWLEDGE, "respond": Do.ACKNOWLEDGE, "resolve": Do.RESOLVE}


async def clocks_said(home: House, clock: str) -> list[tuple[str, object, object]]:
    """What the ledger says of a clock: how it ended, its deadline, and by how many seconds it was late."""
    return [
        (one.entry.what, one.entry.detail["due_at"], one.entry.detail["late_seconds"])
        for one in await home.entries("clock_met", "clock_breached")
        if one.entry.detail.get("clock") == clock
    ]


async def stands(home: House, kind: str) -> str:
    """How `incidents show` says that a clock of the newest incident stands."""
    _, clocks = await home.lab.alerts_and_clocks((await home.lab.incidents())[-1])
    (clock,) = [one for one in clocks if one.kind.value == kind]
    return standing(clock, home.lab.clock.now())


async def deadline(home: House, incident: Incident, kind: str) -> datetime:
    """When a clock of the incident runs out."""
    _, clocks = await home.lab.alerts_and_clocks(incident)
    return next(clock.due_at for clock in clocks if clock.kind.value == kind)


def test_the_table_is_of_all_clocks_that_are_shipped() -> None:
    """A time that is added to the shipped priorities belongs in the table."""
    within = {
        (name, kind)
        for name, priority in library().priorities.items()
        for kind in ("acknowledge", "respond", "resolve")
        if isinstance(getattr(priority, f"{kind}_within"), timedelta)
    }
    assert within == {(name, kind) for name, kind, _ in RESPONSE_TIMES}


@pytest.mark.parametrize(("priority", "clock", "minutes"), RESPONSE_TIMES)
async def test_a_time_that_is_kept(tmp_path: Path, priority: str, clock: str, minutes: int) -> None:
    """What meets it on the very second of its deadline meets it, and nothing is counted or told as a breach."""
    async with house(tmp_path, library({"priority": priority})) as home:
        await home.breaks()
        await home.sleeps(minutes * MINUTE)  # nobody looks at the clock before the person comes
        await home.lab.act(MEETS[clock], text="x")
        await home.lab.move(2 * MINUTE)
        assert await clocks_said(home, clock) == [("clock_met", NOON + minutes * MINUTE, 0.0)]
        assert home.breaches(clock) == 0


@pytest.mark.parametrize(("priority", "clock", "minutes"), RESPONSE_TIMES)
async def test_a_time_that_is_not_kept(tmp_path: Path, priority: str, clock: str, minutes: int) -> None:
    """Until its last second nothing is said; from then on it is a breach in ledger and metrics, and for people."""
    async with house(tmp_path, library({"priority": priority})) as home:
        await home.breaks()
        await home.lab.move(minutes * MINUTE - SECOND)
        assert await clocks_said(home, clock) == []
        assert home.breaches(clock) == 0
        await home.lab.move(SECOND)
        assert await clocks_said(home, clock) == [("clock_breached", NOON + minutes * MINUTE, 0.0)]
        assert home.breaches(clock) == 1
        said = {one.entry.detail.get("detail") for one in await home.entries("clock_breached")}
        assert f"{clock} deadline passed" in said
        assert (await home.lab.incidents())[0].escalation_reason == "clock_breached"
        assert await stands(home, clock) == "breached by 0.0s, and still not met"
        await home.lab.move(54 * SECOND)
        await home.lab.act(MEETS[clock], text="x")
        await home.lab.move(60 * MINUTE)
        assert (await clocks_said(home, clock))[1:] == [("clock_met", NOON + minutes * MINUTE, 54.0)]
        assert await stands(home, clock) == "met 54s late"
        assert home.breaches(clock) == 1


@pytest.mark.parametrize(("priority", "clock", "minutes"), RESPONSE_TIMES)
async def test_a_time_that_is_met_too_late(tmp_path: Path, priority: str, clock: str, minutes: int) -> None:
    """Who comes a minute late before anybody looked is told of by how much, and it is a breach all the same."""
    async with house(tmp_path, library({"priority": priority})) as home:
        await home.breaks()
        await home.sleeps((minutes + 1) * MINUTE)
        await home.lab.act(MEETS[clock], text="x")
        assert await clocks_said(home, clock) == [("clock_breached", NOON + minutes * MINUTE, 60.0)]
        assert home.breaches(clock) == 1


# the next business day ---------------------------------------------------------------------------------------

BUSINESS_DAYS = [
    ("2026-01-05 10:00", "2026-01-06 17:00", "a Monday"),
    ("2026-01-05 03:00", "2026-01-06 17:00", "a Monday before work"),
    ("2026-01-05 23:59", "2026-01-06 17:00", "a Monday night"),
    ("2026-01-09 16:59", "2026-01-12 17:00", "a Friday: over the weekend"),
    ("2026-01-10 12:00", "2026-01-12 17:00", "a Saturday"),
    ("2026-01-11 23:59", "2026-01-12 17:00", "a Sunday"),
    ("2026-01-16 12:00", "2026-01-20 17:00", "before Martin Luther King's day"),
    ("2026-11-25 12:00", "2026-11-27 17:00", "before Thanksgiving"),
    ("2026-12-24 12:00", "2026-12-28 17:00", "before Christmas, a Friday"),
    ("2026-12-31 23:00", "2027-01-04 17:00", "New Year's Eve, before a Friday off"),
    ("2026-07-02 12:00", "2026-07-06 17:00", "before the Friday off in lieu of the Fourth of July"),
    ("2028-02-28 12:00", "2028-02-29 17:00", "the day before 29 February"),
    ("2026-03-06 12:00", "2026-03-09 17:00", "before clocks go forward"),
    ("2026-03-08 01:30", "2026-03-09 17:00", "half an hour before they do"),
    ("2026-10-30 12:00", "2026-11-02 17:00", "before clocks go back"),
    ("2026-11-01 01:30", "2026-11-02 17:00", "in the hour that comes twice"),
]


@pytest.mark.parametrize(("opened", "due", "why"), BUSINESS_DAYS, ids=[why for *_, why in BUSINESS_DAYS])
async def test_p3_has_until_the_end_of_the_next_business_day(
    tmp_path: Path, opened: str, due: str, why: str
) -> None:
    """Five o'clock there, whatever lies between; a second before it is no breach, and then the manager hears of it."""
    begun, end = (
        datetime.fromisoformat(each).replace(tzinfo=NEW_YORK).astimezone(UTC) for each in (opened, due)
    )
    async with house(tmp_path, library({"priority": "P3"}), at=begun) as home:
        incident = await home.breaks()
        assert await deadline(home, incident, "respond") == end, why
        await home.lab.move(end - SECOND - begun)
        assert home.breaches("respond") == 0
        await home.lab.move(SECOND)
        assert await clocks_said(home, "respond") == [("clock_breached", end, 0.0)]
        assert home.breaches("respond") == 1
        told = [who for _, who in await home.heard() if "Manager" in who]
        assert told == ["tell Engineering Manager"]


@pytest.mark.parametrize("change", ["2026-03-08", "2026-11-01"])
@pytest.mark.parametrize(("priority", "clock", "minutes"), [("P0", "resolve", 30), ("P2", "respond", 240)])
async def test_a_clock_change_moves_no_deadline_in_minutes(
    tmp_path: Path, change: str, priority: str, clock: str, minutes: int
) -> None:
    """A quarter before two that night, half an hour is half an hour and four hours are four."""
    at = datetime.fromisoformat(f"{change} 01:45").replace(tzinfo=NEW_YORK).astimezone(UTC)
    async with house(tmp_path, library({"priority": priority}), at=at) as home:
        incident = await home.breaks()
        assert await deadline(home, incident, clock) == at + minutes * MINUTE
        await home.lab.move(minutes * MINUTE - SECOND)
        assert home.breaches(clock) == 0
        await home.lab.move(SECOND)
        assert home.breaches(clock) == 1


# automatic escalation ----------------------------------------------------------------------------------------

TRIGGERS = [
    ("P0", 5, ["page L2 Engineering"]),
    ("P0", 30, ["page L3 Senior", "tell Engineering Manager"]),
    ("P1", 120, ["page L3 Senior", "tell Engineering Manager"]),
]


@pytest.mark.parametrize(("priority", "minutes", "expected"), TRIGGERS)
async def test_the_matrix_s_triggers(
    tmp_path: Path, priority: str, minutes: int, expected: list[str]
) -> None:
    """P0 not acknowledged in five minutes, not resolved in thirty, P1 not resolved in two hours: on that second."""
    async with house(tmp_path, library({"priority": priority})) as home:
        await home.breaks()
        await home.lab.move(minutes * MINUTE - SECOND)
        before = len(await home.heard())
        await home.lab.move(SECOND)
        assert sorted((await home.heard())[before:]) == [(minutes, who) for who in sorted(expected)]


@pytest.mark.parametrize(("priority", "clock", "minutes"), RESPONSE_TIMES[:1] + RESPONSE_TIMES[2:3])
async def test_a_trigger_that_is_met_in_time_wakes_nobody(
    tmp_path: Path, priority: str, clock: str, minutes: int
) -> None:
    """A second before the deadline is enough."""
    async with house(tmp_path, library({"priority": priority})) as home:
        await home.breaks()
        await home.lab.move(minutes * MINUTE - SECOND)
        before = await home.heard()
        await home.lab.act(MEETS[clock], text="x")
        await home.lab.move(2 * MINUTE)
        assert await home.heard() == before


async def several(home: House, hours: float, alert: str) -> list[str]:
    """After so many hours a small trouble begins; returns who is woken by it."""
    await home.lab.move(timedelta(hours=hours))
    before = len(home.voices.sent)
    await home.breaks(app=alert)
    known = {message.key: message for message in await home.lab.messages()}
    told = [known[call.key] for _, call in home.voices.sent[before:]]
    return sorted({message.contact for message in told if message.kind.value == "page"})


async def test_several_p2_in_a_day_call_people_once(tmp_path: Path) -> None:
    """The second incident of a day does, repeats and the third do not; a day later two more do again."""
    async with house(tmp_path, library({"priority": "P2"})) as home:
        assert await several(home, 0, "a") == []
        assert await several(home, 1, "a") == [], "a repeat of the same episode is no second one"
        assert await several(home, 1, "b") == ["L2 Engineering"]
        assert await several(home, 1, "c") == [], "once in a window"
        (entry,) = await home.entries("several_incidents")
        assert len({*entry.entry.detail["incidents"]}) == 2  # type: ignore[misc]
        assert await several(home, 22.5, "d") == [], "still within a day of it"
        assert await several(home, 1, "e") == ["L2 Engineering"]
        assert len(await home.entries("several_incidents")) == 2


async def test_the_same_trouble_twice_is_two_episodes(tmp_path: Path) -> None:
    """It was over in between, so it is a second incident of the day."""
    async with house(tmp_path, library({"priority": "P2"})) as home:
        assert await several(home, 0, "a") == []
        await home.lab.move(MINUTE)
        await home.mended(app="a")
        assert await several(home, 1, "a") == ["L2 Engineering"]


async def test_two_p2_more_than_a_day_apart_are_not_several(tmp_path: Path) -> None:
    """A day is twenty-four hours, to the second."""
    async with house(tmp_path, library({"priority": "P2"})) as home:
        assert await several(home, 0, "a") == []
        assert await several(home, 24, "b") == []
        assert await several(home, 23.99, "c") == ["L2 Engineering"]
