"""Promise G6, G8: who is told when is the runbook's, to the minute; nobody is left out, and nobody is told twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from runbookd.model.escalation import LevelState, MessageKind
from runbookd.model.library import Library
from runbookd.model.people import Escalation, Role
from runbookd.model.reasons import Escalate
from runbookd.model.rule import Priority
from runbookd.units.people import Do
from tests.acceptance.engine import NOON
from tests.acceptance.people import MINUTE, SECOND, Told, house, ladder, library, mailed

LONG = 25  # minutes after which nothing of a case below is left to come

LADDERS: dict[str, Told] = {
    "system-down": [
        (0, "tell slack:#critical-alerts"),
        (2, "page L2 Engineering"),
        (5, "tell Engineering Manager"),
        (5, "page L2 Engineering (backup)"),
        (10, "page L3 Senior"),
        (30, "page Engineering Manager"),
        (30, "tell CTO"),
    ],
    "security-breach": [
        (0, "page CISO"),
        (0, "page Security Team"),
        (5, "tell Legal and Compliance"),
        (5, "page L2 Engineering"),
        (15, "tell CISO"),
        (15, "tell Legal and Compliance"),
        (30, "page Engineering Manager"),
        (30, "tell CTO"),
    ],
    "data-loss": [
        (0, "tell slack:#critical-alerts"),
        (0, "page L2 Engineering"),
        (0, "page Database Administrator"),
        (5, "page L2 Engineering (backup)"),
        (10, "page L3 Senior"),
        (10, "tell Engineering Manager"),
        (30, "page Engineering Manager"),
        (30, "tell CTO"),
    ],
    "matrix-p0": [
        (0, "tell slack:#critical-alerts"),
        (2, "page L1 Support"),
        (5, "page L2 Engineering"),
        (30, "page L3 Senior"),
        (30, "tell Engineering Manager"),
    ],
    "matrix-p1": [
        (0, "tell L1 Support"),
        (30, "page L1 Support"),
        (60, "page L2 Engineering"),
        (120, "page L3 Senior"),
        (120, "tell Engineering Manager"),
    ],
}
"""The runbook's emergency procedures and its matrix, told minute by minute while nobody does anything."""

WAIT_FOR_AN_ACKNOWLEDGEMENT = {
    "system-down": {(5, "page L2 Engineering (backup)")},
    "security-breach": {(5, "page L2 Engineering")},
    "data-loss": {(5, "page L2 Engineering (backup)")},
    "matrix-p0": {(5, "page L2 Engineering")},
    "matrix-p1": {(30, "page L1 Support"), (60, "page L2 Engineering")},
}
"""The levels that a person stops who takes the incident in its first minutes."""

TOLD_EVEN_WHEN_OVER = {
    "system-down": {(5, "tell Engineering Manager")},
    "security-breach": {
        (5, "tell Legal and Compliance"),
        (15, "tell CISO"),
        (15, "tell Legal and Compliance"),
    },
    "data-loss": set(),
    "matrix-p0": set(),
    "matrix-p1": set(),
}
"""Notices that the runbook wants in any case: they say `unless` nothing."""


def of(escalation: str) -> Library:
    """An incident that takes this ladder. Its acknowledgements do not expire: that has a test of its own."""
    priority = "P1" if escalation == "matrix-p1" else "P0"
    content = library({"escalation": escalation, "priority": priority})
    lasting = content.priorities[priority].model_copy(update={"ack_expires": None})
    return library({"escalation": escalation, "priority": priority}, priorities={priority: lasting})


@pytest.mark.parametrize("escalation", LADDERS)
async def test_nobody_acknowledges(tmp_path: Path, escalation: str) -> None:
    """Every level is told in its minute, no minute has any other, and every level is settled in the ledger."""
    async with house(tmp_path, of(escalation)) as home:
        incident = await home.breaks()
        await home.minutes(125)
        assert sorted(await home.heard()) == sorted(LADDERS[escalation])
        levels = await home.lab.levels(incident)
        entries = await home.entries("level_fired")
        assert {level.state for level in levels} == {LevelState.FIRED}
        assert [entry.entry.detail["level"] for entry in entries] == [level.place for level in levels]
        assert {entry.entry.detail["late_seconds"] for entry in entries} == {0.0}


@pytest.mark.parametrize("escalation", LADDERS)
async def test_somebody_acknowledges(tmp_path: Path, escalation: str) -> None:
    """Levels that wait for it stop and the others go on, to the minute; each that stops says why."""
    async with house(tmp_path, of(escalation)) as home:
        incident = await home.breaks()
        await home.minutes(1)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(125)
        stopped = WAIT_FOR_AN_ACKNOWLEDGEMENT[escalation]
        assert sorted(await home.heard()) == sorted({*LADDERS[escalation]} - stopped)
        waiting = [one for one in await home.lab.levels(incident) if one.state is not LevelState.FIRED]
        skipped = await home.entries("level_skipped")
        assert {one.reason for one in waiting} <= {"responded", None}
        assert [entry.entry.detail["reason"] for entry in skipped] == [
            one.reason for one in waiting if one.reason is not None
        ]


@pytest.mark.parametrize("escalation", LADDERS)
async def test_it_is_over_before_anybody_came(tmp_path: Path, escalation: str) -> None:
    """The end stops all but what is to be told in any case, and every level is settled with its reason."""
    async with house(tmp_path, of(escalation)) as home:
        incident = await home.breaks()
        await home.minutes(1)
        await home.mended()
        await home.minutes(125)
        first = {told for told in LADDERS[escalation] if told[0] == 0}
        assert {*await home.heard()} == first | TOLD_EVEN_WHEN_OVER[escalation]
        for level in await home.lab.levels(incident):
            assert (level.state, level.reason) in {(LevelState.FIRED, None), (LevelState.SKIPPED, "resolved")}


async def test_a_role_outside_its_hours_is_paged_but_not_told(tmp_path: Path) -> None:
    """At seven in the morning there, who works from nine hears of it by a page alone; that is recorded."""
    levels = [{"after": "1m", "notify": ["l3-senior"]}, {"after": "2m", "page": ["l3-senior"]}]
    content = library({"escalation": "l"}, escalations={"l": Escalation.model_validate(levels)})
    async with house(tmp_path, content) as home:
        incident = await home.breaks()
        await home.minutes(3)
        assert await home.heard() == [(2, "page L3 Senior")]
        assert await home.states(incident) == ["skipped", "fired"]
        (nobody,) = await home.entries("nobody_to_reach")
        assert nobody.entry.detail["why"] == "out_of_hours"
    (tmp_path / "day").mkdir()
    async with house(tmp_path / "day", content, at=NOON + timedelta(hours=3)) as home:
        await home.breaks()
        await home.lab.move(3 * MINUTE)
        assert await home.heard() == [(1, "tell L3 Senior"), (2, "page L3 Senior")]


# an outage of the service ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("escalation", "minutes", "expected"),
    [
        ("system-down", 7, ["page L2 Engineering (backup)", "tell Engineering Manager"]),
        ("system-down", 12, ["page L3 Senior", "tell Engineering Manager"]),
        ("system-down", 40, ["page Engineering Manager", "tell CTO", "tell Engineering Manager"]),
        ("matrix-p0", 4, ["page L1 Support"]),
        ("matrix-p0", 12, ["page L2 Engineering"]),
        ("matrix-p0", 40, ["page L3 Senior", "tell Engineering Manager"]),
        ("data-loss", 40, ["page Engineering Manager", "tell CTO", "tell Engineering Manager"]),
    ],
)
async def test_after_an_outage_there_is_one_page(
    tmp_path: Path, escalation: str, minutes: int, expected: list[str]
) -> None:
    """The highest level that was due is paged and says how late it is; notices all go out, and no level comes twice."""
    async with house(tmp_path, of(escalation)) as home:
        incident = await home.breaks()
        await home.sleeps(minutes * MINUTE)
        await home.lab.move(timedelta(0))
        after = [(minute, who) for minute, who in LADDERS[escalation] if minute > minutes]
        told = [who for minute, who in await home.heard() if minute]
        assert sorted(told) == sorted(expected)
        page = (await home.sent(MessageKind.PAGE))[-1]
        due = max(minute for minute, who in LADDERS[escalation] if minute <= minutes and "page" in who)
        assert f"{minutes - due} minutes late" in str(page.words["body"])
        fired = await home.entries("level_fired", "level_collapsed")
        assert (minutes - due) * 60.0 in {entry.entry.detail["late_seconds"] for entry in fired}
        assert {*await home.states(incident)} <= {"fired", "collapsed", "pending"}
        await home.minutes(125)
        assert sorted(told for told in await home.heard() if told[0] > minutes) == sorted(after)


async def test_a_page_in_time_says_nothing_of_lateness(tmp_path: Path) -> None:
    """The seconds that things take are no outage, and nobody is told of one."""
    async with house(tmp_path, of("system-down")) as home:
        await home.breaks()
        await home.sleeps(2 * MINUTE + SECOND)
        await home.lab.move(timedelta(0))
        pages = await home.sent(MessageKind.PAGE, "L2")
        assert pages
        assert all("late" not in str(page.words["body"]) for page in pages)


# what is frozen, and what is not -----------------------------------------------------------------------------


async def test_a_reload_in_the_middle_changes_no_level(tmp_path: Path) -> None:
    """The incident keeps the levels and times it opened with, but who is meant is looked up when a level is told."""
    async with house(tmp_path, of("system-down")) as home:
        await home.breaks()
        await home.minutes(1)
        new = of("system-down")
        hasty = Escalation.model_validate([{"after": "3m", "page": ["cto"]}])
        l2 = Role.model_validate(
            {
                "primary": {"name": "Ben", "email": "ben@example.com"},
                "secondary": {"name": "Eve", "email": "eve@example.com"},
            }
        )
        content = library(
            {"escalation": "system-down"},
            priorities=new.priorities,
            escalations={"system-down": hasty},
            roles={**new.roles, "l2-engineering": l2},
        )
        home.lab.pipeline.desk = home.lab.pipeline.desk.using(content)
        await home.minutes(12)
        assert sorted(await home.heard()) == [
            (0, "tell slack:#critical-alerts"),
            (2, "page Ben"),
            (5, "page Eve"),
            (5, "tell Engineering Manager"),
            (10, "page L3 Senior"),
        ]


async def test_an_acknowledgement_expires_and_the_ladder_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Whoever took it and says nothing is asked first; the stopped levels follow, as far apart as they were."""
    levels = [
        {"after": "0m", "page": ["l1"]},
        {"after": "5m", "unless": "acknowledged", "page": ["l2"]},
        {"after": "8m", "unless": "acknowledged", "page": ["l3"]},
    ]
    async with house(tmp_path, ladder(levels, mailed("l1", "l2", "l3"), ack_expires="30m")) as home:
        incident = await home.breaks()
        await home.minutes(1)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(30)
        assert await home.states(incident) == ["fired", "skipped", "skipped"]
        await home.minutes(60)
        assert await home.heard() == [(0, "page l1"), (31, "page l1"), (36, "page l2"), (39, "page l3")]
        (expired,) = await home.entries("acknowledgement_expired")
        assert expired.entry.detail["by"] == "anna"
        assert (await home.lab.incidents())[0].acknowledged_at is None


async def test_whoever_took_it_is_asked_and_not_who_heard_of_it_since(tmp_path: Path) -> None:
    """The shipped P0: taken by L2 after three minutes, and given up; managers hear of the breach, L2 of the expiry."""
    async with house(tmp_path, library({"escalation": "system-down"})) as home:
        await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(60)
        assert sorted(told for told in await home.heard() if told[0] > 3) == [
            (5, "tell Engineering Manager"),
            (10, "page L3 Senior"),
            (30, "page Engineering Manager"),
            (30, "tell CTO"),
            (33, "page L2 Engineering"),
        ]


async def test_whoever_has_it_and_is_heard_of_keeps_it(tmp_path: Path) -> None:
    """By a second acknowledgement, a note or an assignment, at any door; another person's note changes nothing."""
    levels = [{"after": "0m", "page": ["l1"]}]
    async with house(tmp_path, ladder(levels, mailed("l1"), ack_expires="30m")) as home:
        await home.breaks()
        await home.minutes(1)
        await home.lab.act(Do.ACKNOWLEDGE, actor="slack:anna")
        signs: list[tuple[int, Do, str, str, int]] = [
            (20, Do.ACKNOWLEDGE, "slack:anna", "", 50),
            (40, Do.NOTE, "pagerduty:anna", "the disk is full", 70),
            (50, Do.NOTE, "cli:eve", "still down here", 70),
            (60, Do.ASSIGN, "cli:anna", "ben", 90),
            (80, Do.NOTE, "slack:ben", "cleaning up", 110),
        ]
        for minute, do, actor, text, until in signs:
            await home.minutes(minute)
            done = await home.lab.act(do, actor=actor, text=text)
            assert done.changed
            (incident,) = await home.lab.incidents()
            assert incident.acknowledged_until == NOON + until * MINUTE
        (incident,) = await home.lab.incidents()
        assert (incident.acknowledged_at, incident.acknowledged_by) == (NOON + MINUTE, "slack:anna")
        await home.minutes(109)
        assert await home.heard() == [(0, "page l1")]
        await home.minutes(110)
        assert await home.heard() == [(0, "page l1"), (110, "page l1")]


async def test_when_an_acknowledgement_stopped_nothing_the_last_who_was_paged_is_asked_again(
    tmp_path: Path,
) -> None:
    """Otherwise nobody would hear that nobody is at it any more; each time it expires, once."""
    levels = [{"after": "0m", "page": ["l1"]}, {"after": "2m", "unless": "resolved", "page": ["l2"]}]
    async with house(tmp_path, ladder(levels, mailed("l1", "l2"), ack_expires="30m")) as home:
        await home.breaks()
        for minute in (3, 40):
            await home.minutes(minute)
            await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(39 + 2 * 30 + LONG)
        assert await home.heard() == [(0, "page l1"), (2, "page l2"), (33, "page l2"), (70, "page l2")]


async def test_an_acknowledgement_that_expired_in_an_outage_is_told_late(tmp_path: Path) -> None:
    """Its levels are due from when it expired, so the page says how late it is."""
    levels = [{"after": "5m", "unless": "acknowledged", "page": ["l1"]}]
    async with house(tmp_path, ladder(levels, mailed("l1"), ack_expires="30m")) as home:
        await home.breaks()
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(10)
        await home.sleeps(27 * MINUTE)
        await home.lab.move(SECOND)
        (page,) = await home.sent(MessageKind.PAGE)
        assert "7 minutes late" in str(page.words["body"])


async def test_a_rise_in_priority_begins_new_clocks_and_levels(tmp_path: Path) -> None:
    """What was left of the old ladder is not told any more, and the times count from the rise."""
    async with house(tmp_path, library({"priority": "P1"})) as home:
        incident = await home.breaks()
        await home.minutes(10)
        await home.lab.act(Do.ESCALATE, priority="P0", text="customers are cut off")
        await home.minutes(45)
        assert sorted(await home.heard()) == [
            (0, "tell L1 Support"),
            (10, "tell slack:#critical-alerts"),
            (12, "page L1 Support"),
            (15, "page L2 Engineering"),
            (40, "page L3 Senior"),
            (40, "tell Engineering Manager"),
        ]
        _, clocks = await home.lab.alerts_and_clocks(incident)
        due = {clock.kind.value: (clock.due_at - NOON) / MINUTE for clock in clocks}
        assert {kind: due[kind] for kind in ("acknowledge", "respond", "resolve")} == {
            "acknowledge": 15,
            "respond": 25,
            "resolve": 40,
        }
        gone = [
            level for level in await home.lab.levels(incident) if level.reason == "the priority has changed"
        ]
        assert [level.number for level in gone] == [1, 2, 3]


async def test_what_an_older_priority_had_stopped_does_not_come_back(tmp_path: Path) -> None:
    """An acknowledgement of the lower priority that expires in the higher one asks the higher one's people."""
    content = library({"priority": "P1"})
    async with house(tmp_path, content) as home:
        await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(10)
        await home.lab.act(Do.ESCALATE, priority="P0", text="worse")
        await home.minutes(60)
        assert sorted(await home.heard()) == [
            (0, "tell L1 Support"),
            (10, "tell slack:#critical-alerts"),
            (12, "page L1 Support"),
            (40, "page L1 Support"),
            (40, "page L3 Senior"),
            (40, "tell Engineering Manager"),
        ]


async def test_a_level_of_an_older_priority_does_not_come_back(tmp_path: Path) -> None:
    """Nor does one that the acknowledgement had stopped before the rise: the first level of the new one asks."""
    low = [{"after": "2m", "unless": "acknowledged", "page": ["l1"]}]
    content = ladder([{"after": "1h", "page": ["l2"]}], mailed("l1", "l2"), ack_expires="30m")
    low_priority = Priority.model_validate({"name": "High", "escalation": "low"})
    content = replace(
        content,
        rules=library({"priority": "P1"}).rules,
        priorities={**content.priorities, "P1": low_priority},
        escalations={**content.escalations, "low": Escalation.model_validate(low)},
    )
    async with house(tmp_path, content) as home:
        await home.breaks()
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(5)
        await home.lab.act(Do.ESCALATE, priority="P0", text="worse")
        await home.minutes(70)
        assert await home.heard() == [(35, "page l2")]
        (expired,) = await home.entries("acknowledgement_expired")
        assert expired.entry.at == NOON + 35 * MINUTE


async def test_observing_wakes_nobody_by_itself(tmp_path: Path) -> None:
    """A rule that only watches keeps its clocks and tells nobody, as the language says: no promise of people broke."""
    async with house(tmp_path, library({"mode": "observe"})) as home:
        incident = await home.breaks()
        await home.minutes(35)
        assert home.voices.tried == []
        assert await home.lab.levels(incident) == []
        clocks = ["acknowledge", "respond", "resolve"]
        said = await home.entries(Escalate.CLOCK)
        assert [one.entry.detail.get("clock") for one in said] == clocks, "and nothing is handed to people"
        assert [home.breaches(clock) for clock in clocks] == [0, 0, 0]
        assert (await home.lab.incidents())[0].escalated_at is None


async def test_what_is_observed_and_raised_is_for_people(tmp_path: Path) -> None:
    """Whoever raises it has it told, and from then on its clocks are promises as any others."""
    async with house(tmp_path, library({"mode": "observe", "priority": "P1"})) as home:
        await home.breaks()
        await home.lab.act(Do.ESCALATE, priority="P0", text="users are cut off")
        await home.minutes(6)
        assert home.breaches("acknowledge") == 1
        said = await home.entries(Escalate.CLOCK)
        assert [one.entry.detail.get("clock") for one in said] == ["acknowledge", None]


def test_the_table_is_of_all_that_is_shipped() -> None:
    """A ladder added to the shipped rules belongs in the tables above."""
    assert {*LADDERS} == {*library().escalations} - {"minor", "p2-many"}
