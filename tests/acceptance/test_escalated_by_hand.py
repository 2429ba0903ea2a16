"""Promise: a person's word tells the next level at once, whatever it waits for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runbookd.errors import Conflict
from runbookd.model.escalation import Channel, MessageKind
from runbookd.model.library import Library
from runbookd.reports.review import review_of
from runbookd.units.people import Do
from runbookd.units.record import read_record
from tests.acceptance.engine import NOON
from tests.acceptance.people import MINUTE, SECOND, house, ladder, library, mailed

PRIORITIES = {"matrix-p1": "P1"}


def lasting(escalation: str) -> Library:
    """An incident that takes this ladder, whose acknowledgements do not expire."""
    rule = {"escalation": escalation, "priority": PRIORITIES.get(escalation, "P0")}
    content = library(rule)
    priority = content.priorities[rule["priority"]].model_copy(update={"ack_expires": None})
    return replace(content, priorities={**content.priorities, rule["priority"]: priority})


@pytest.mark.parametrize(
    ("escalation", "minute", "expected"),
    [
        ("system-down", 1, "page L2 Engineering"),
        ("system-down", 3, "page L2 Engineering (backup)"),
        ("system-down", 7, "page L3 Senior"),
        ("matrix-p0", 3, "page L2 Engineering"),
        ("matrix-p1", 1, "page L1 Support"),
        ("security-breach", 2, "page L2 Engineering"),
    ],
)
async def test_the_manual_trigger_tells_the_next_level_at_once(
    tmp_path: Path, escalation: str, minute: int, expected: str
) -> None:
    """Whatever it waits for, a breach or a time, and even when somebody has the incident; then not again."""
    async with house(tmp_path, lasting(escalation)) as home:
        await home.breaks()
        await home.minutes(minute)
        await home.lab.act(Do.ACKNOWLEDGE)
        before = len(await home.heard())
        done = await home.lab.act(Do.ESCALATE, text="needs somebody who knows the database")
        assert (await home.heard())[before:] == [(minute, expected)]
        fired = await home.entries("level_fired")
        assert f"level {fired[-1].entry.detail['level']} " in done.said
        (asked,) = await home.entries("person_escalate")
        assert (asked.entry.actor, asked.entry.detail["text"]) == (
            "anna",
            "needs somebody who knows the database",
        )
        await home.minutes(125)
        assert [who for _, who in await home.heard()].count(expected) == 1


@pytest.mark.parametrize("unless", ["acknowledged", "responded"])
async def test_a_level_that_an_answer_had_stopped_is_told_when_more_help_is_wanted(
    tmp_path: Path, unless: str
) -> None:
    """Whoever has it wants the next one, who was left to sleep: they are paged, once, and the ladder stays as it is."""
    levels = [
        {"after": "0m", "page": ["l1"]},
        {"after": "1m", "unless": unless, "page": ["l2"]},
        {"after": "2m", "unless": unless, "page": ["l3"]},
    ]
    async with house(tmp_path, ladder(levels, mailed("l1", "l2", "l3"))) as home:
        incident = await home.breaks()
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(5)
        assert await home.states(incident) == ["fired", "skipped", "skipped"]
        said = [(await home.lab.act(Do.ESCALATE, text="the database is gone")).said for _ in range(2)]
        assert said == [
            f"level 2 of incident {incident.id} is told now",
            f"level 3 of incident {incident.id} is told now",
        ]
        await home.minutes(30)
        assert await home.heard() == [(0, "page l1"), (5, "page l2"), (5, "page l3")]
        assert await home.states(incident) == ["fired", "skipped", "skipped"]
        record = await home.lab.store.read(lambda tx: read_record(tx, incident.id))
        levels_then = review_of(record, home.lab.clock.at).levels
        told = [((one.due_at or NOON) - NOON, one.again_at, one.told[0].by_hand) for one in levels_then]
        assert told == [(0 * MINUTE, None, False), (1 * MINUTE, None, True), (2 * MINUTE, None, True)]


async def test_a_level_that_leads_to_nobody_is_passed_over(tmp_path: Path) -> None:
    """Its role has gone from the files: the next one is told, though somebody has the incident."""
    levels = [{"after": f"{minute}m", "page": [f"l{minute}"]} for minute in (0, 20, 40)]
    async with house(tmp_path, ladder(levels, mailed("l0", "l40"))) as home:
        await home.breaks()
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(1)
        await home.lab.act(Do.ESCALATE, text="more")
        assert await home.heard() == [(0, "page l0"), (1, "page l40")]


async def test_with_no_level_left_the_highest_is_asked_again(tmp_path: Path) -> None:
    """It is said so; each time, and nobody reads an update that tells nothing."""
    levels = [{"after": "0m", "page": ["l1"]}, {"after": "1m", "page": ["l2"]}]
    content = ladder(levels, mailed("l1", "l2"), announce=["statuspage", "slack:#incidents"])
    async with house(tmp_path, content) as home:
        incident = await home.breaks()
        await home.minutes(2)
        await home.lab.act(Do.ACKNOWLEDGE)
        for minute in (3, 4):
            await home.minutes(minute)
            done = await home.lab.act(Do.ESCALATE, text="more")
            assert done.said == f"every level of incident {incident.id} has paged; level 2 is asked again"
        await home.minutes(9)
        assert await home.heard() == [(0, "page l1"), (1, "page l2"), (3, "page l2"), (4, "page l2")]
        assert await home.sent(MessageKind.UPDATE) == []


async def test_after_an_expiry_more_help_is_the_highest_level_and_not_the_one_asked_again(
    tmp_path: Path,
) -> None:
    """Every level has paged, and a lower one was asked last: it is the top of the ladder that more help is."""
    levels = [{"after": f"{minute}m", "page": [f"l{minute}"]} for minute in (0, 2, 6)]
    content = ladder(levels, mailed("l0", "l2", "l6"), ack_expires="10m")
    async with house(tmp_path, content) as home:
        incident = await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(14)
        assert await home.heard() == [(0, "page l0"), (2, "page l2"), (6, "page l6"), (13, "page l2")]
        done = await home.lab.act(Do.ESCALATE, text="more")
        assert done.said == f"every level of incident {incident.id} has paged; level 3 is asked again"
        assert (await home.heard())[-1] == (14, "page l6")


async def test_after_an_outage_the_lowest_level_that_was_missed_is_called_first(tmp_path: Path) -> None:
    """A later level had taken in its page; one that is still to come, and those further up, have their turn after."""
    levels = [{"after": f"{minute}m", "page": [f"l{minute}"]} for minute in (1, 2, 3, 30)]
    async with house(tmp_path, ladder(levels, mailed("l1", "l2", "l3", "l30"))) as home:
        await home.breaks()
        await home.sleeps(5 * MINUTE)
        await home.lab.move(SECOND)
        assert await home.heard() == [(5, "page l3")]
        for _ in range(4):
            await home.lab.act(Do.ESCALATE, text="more")
            await home.lab.move(SECOND)
        assert [who for _, who in await home.heard()][1:] == ["page l1", "page l2", "page l30"]
        assert [one.entry.detail["level"] for one in await home.entries("level_fired")] == [3, 1, 2, 4, 4]


async def test_with_no_level_that_pages_those_inside_are_told_that_help_is_wanted(tmp_path: Path) -> None:
    """Why is for them; the public hears nothing of it."""
    levels = [{"after": "0m", "notify": ["l1"]}]
    async with house(tmp_path, ladder(levels, mailed("l1"), announce=["statuspage"])) as home:
        await home.breaks()
        done = await home.lab.act(Do.ESCALATE, text="nobody here knows the database")
        await home.minutes(1)
        assert done.said.endswith("has no level that pages; asked for help: 1 address")
        (update,) = await home.sent(MessageKind.UPDATE)
        assert update.contact == "l1"
        assert "More help is asked for: nobody here knows the database" in str(update.words["body"])


# a rise in priority ------------------------------------------------------------------------------------------


async def test_a_rise_is_told_to_everyone_who_was_told_before(tmp_path: Path) -> None:
    """On every channel but pagers, by an update of its own; an edit in place would reach nobody's eye."""
    content = library({"priority": "P1"})
    async with house(tmp_path, content) as home:
        await home.breaks()
        await home.minutes(31)
        await home.lab.act(Do.ESCALATE, priority="P0", text="customers are cut off")
        await home.lab.move(SECOND)
        told = [one for one in await home.sent(MessageKind.UPDATE) if "raised" in str(one.facts["reason"])]
        assert sorted((one.contact, one.channel.value) for one in told) == [
            ("L1 Support", "email"),
            ("L1 Support", "slack"),
            ("slack:#incidents", "slack"),
        ]
        for message in told:
            assert "Raised from P1 to P0 by anna: customers are cut off" in str(message.words["body"])
        public = [str(one.words) for one in await home.lab.messages() if one.channel is Channel.STATUSPAGE]
        assert public
        assert not [each for each in public if "anna" in each or "customers" in each]
        assert {one.contact for one in await home.sent(MessageKind.OPENED) if one.created_at > NOON} >= {
            "Product Manager",
            "statuspage",
        }


async def test_a_priority_is_not_lowered(tmp_path: Path) -> None:
    """It is refused with a sentence: clocks, levels and promises stay, and nobody is told anything."""
    async with house(tmp_path, library()) as home:
        incident = await home.breaks()
        await home.minutes(1)
        before = (await home.lab.alerts_and_clocks(incident), await home.lab.levels(incident))
        for lower in ("P1", "P3"):
            with pytest.raises(
                Conflict, match=f"{lower} is lower than P0, and a priority can only be raised"
            ):
                await home.lab.act(Do.ESCALATE, priority=lower, text="not so bad")
        assert (await home.lab.alerts_and_clocks(incident), await home.lab.levels(incident)) == before
        assert (await home.lab.incidents())[0].priority == "P0"
        assert await home.entries("person_escalate") == []


async def test_priorities_rank_as_they_stand_in_the_content(tmp_path: Path) -> None:
    """Not by their names; one that has gone from the files is lower than none."""
    content = library({"priority": "calm"})
    p0 = content.priorities["P0"]
    named = {"worst": p0, "amiss": p0, "calm": p0}
    async with house(tmp_path, replace(content, priorities=named)) as home:
        await home.breaks()
        assert (await home.lab.act(Do.ESCALATE, priority="amiss", text="x")).changed
        with pytest.raises(Conflict):
            await home.lab.act(Do.ESCALATE, priority="calm", text="x")
        gone = replace(content, priorities={"worst": p0, "calm": p0})
        home.lab.pipeline.desk = home.lab.pipeline.desk.using(gone)
        assert (await home.lab.act(Do.ESCALATE, priority="calm", text="x")).changed
