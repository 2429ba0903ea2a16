"""Promise G6, G7: whoever calls for more help gets it, and nobody who was to be paged is left out for that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from runbookd.model.escalation import MessageKind
from runbookd.model.rule import Priority
from runbookd.stages.ladder import BY_HAND
from runbookd.units.people import Act, Do, act
from tests.acceptance.engine import NOON
from tests.acceptance.people import MINUTE, SECOND, House, house, ladder, library, mailed
from tests.acceptance.voices import BUSY

STEPS = [
    {"after": "0m", "unless": "acknowledged", "page": ["l1"]},
    {"after": "5m", "unless": "acknowledged", "page": ["l2"]},
    {"after": "15m", "unless": "acknowledged", "page": ["l3"]},
]
ROLES = mailed("l1", "l2", "l3")


async def write(home: House, do: Do, text: str = "") -> str:
    """A person does something at the database itself while the service is down; returns what they are told."""
    wanted = Act(do=do, incident_id=(await home.lab.incidents())[-1].id, actor="anna", text=text)
    desk, now = home.lab.pipeline.desk, home.lab.clock.now()
    return (await home.lab.store.write(lambda tx: act(tx, desk, wanted, now))).said


async def pages(home: House, after: timedelta = -SECOND) -> list[tuple[float, str]]:
    """The pages that got through later than this: after how many minutes, and to whom, each contact once a moment."""
    known = {message.key: message for message in await home.lab.messages()}
    told = [
        ((at - NOON) / MINUTE, known[call.key].contact)
        for at, call in home.voices.sent
        if at is not None and at - NOON > after and known[call.key].kind is MessageKind.PAGE
    ]
    return list(dict.fromkeys(told))


# an outage of the service ----------------------------------------------------------------------------------------


async def test_a_call_in_an_outage_swallows_no_higher_level(tmp_path: Path) -> None:
    """The service is down from minute 1 to 11, and somebody calls: the level called is paged, and L3 as without it."""
    async with house(tmp_path, library({"escalation": "system-down"})) as home:
        incident = await home.breaks()
        await home.minutes(1)
        await home.sleeps(10 * MINUTE)
        await write(home, Do.ESCALATE, "nobody heard anything")
        await home.minutes(29)
        assert await pages(home) == [(11, "L2 Engineering"), (11, "L3 Senior")]
        assert await home.states(incident) == [
            *["fired", "skipped", "fired"],  # L2 was called by hand
            "collapsed",  # L2's backup: L3, which is higher, is paged for it
            "fired",
            "pending",
        ]


async def test_a_call_in_an_outage_does_not_swallow_the_page_to_who_is_asked_again(tmp_path: Path) -> None:
    """An acknowledgement has expired meanwhile: whoever had it is asked again, beside the level that was called."""
    async with house(tmp_path, ladder(STEPS, ROLES, ack_expires="10m")) as home:
        await home.breaks()
        await home.minutes(6)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.sleeps(25 * MINUTE)
        await write(home, Do.ESCALATE, "is nobody there?")
        await home.minutes(60)
        assert await pages(home, 6 * MINUTE) == [(31, "l3"), (31, "l2")]


async def test_a_call_at_the_moment_another_level_is_due_takes_nothing_of_it(tmp_path: Path) -> None:
    """The level called was due itself, and the next one is told in its own time."""
    async with house(tmp_path, ladder(STEPS, ROLES)) as home:
        await home.breaks()
        await home.minutes(4)
        home.lab.clock.at = NOON + 15 * MINUTE + SECOND
        await write(home, Do.ESCALATE, "help")
        await home.minutes(30)
        assert [who for _, who in await pages(home)] == ["l1", "l2", "l3"]


async def test_each_call_is_for_another_level_though_the_service_is_down(tmp_path: Path) -> None:
    """Three calls: the second calls the next one, and with none left the highest is asked again. Own times add none."""
    async with house(tmp_path, ladder(STEPS, ROLES)) as home:
        incident = await home.breaks()
        await home.minutes(1)
        said = []
        for text in ("one", "two", "three"):
            await home.sleeps(10 * SECOND)
            said.append(await write(home, Do.ESCALATE, text))
        assert said == [
            f"level 2 of incident {incident.id} is told now",
            f"level 3 of incident {incident.id} is told now",
            f"every level of incident {incident.id} has paged; level 3 is asked again",
        ]
        await home.minutes(20)
        assert [who for _, who in await pages(home)] == ["l1", "l2", "l3"]
        assert await home.states(incident) == ["fired", "skipped", "skipped"]
        whys = [str(one.words["why"]) for one in await home.sent(MessageKind.PAGE)]
        assert whys[1:] == [f"escalated by hand by anna: {text}" for text in ("one", "two", "three")]


async def test_a_page_of_a_call_that_fails_after_the_levels_own_time_is_made_up_for(tmp_path: Path) -> None:
    """l2 is called just before its own time, and its mail is refused after: it is tried late, and not left out."""
    async with house(tmp_path, ladder(STEPS, ROLES)) as home:
        incident = await home.breaks()
        await home.lab.move(5 * MINUTE - 2 * SECOND)
        home.voices.failing = {"email": [BUSY] * 2}
        await home.lab.act(Do.ESCALATE, text="help")
        await home.lab.move(5 * SECOND)
        assert await home.states(incident) == ["fired", "skipped", "pending"]
        home.voices.deaf = {"l2@"}
        await home.minutes(8)
        home.voices.deaf = set()
        await home.minutes(30)
        fired = [one.entry.detail for one in await home.entries("level_fired")]
        assert [(one["level"], one["reason"]) for one in fired] == [
            (1, None),
            (2, BY_HAND),
            (3, BY_HAND),
            (2, None),
        ]
        assert [who for _, who in await pages(home)] == ["l1", "l3"]


# an acknowledgement that expires ---------------------------------------------------------------------------------


async def test_a_level_that_waits_for_the_end_alone_is_due_when_the_acknowledgement_expires(
    tmp_path: Path,
) -> None:
    """The shipped P0: L3 was called at 12, its own time was 30, and at 38 nobody leads: it is not put off any more."""
    async with house(tmp_path, library()) as home:
        await home.breaks()
        await home.minutes(8)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(12)
        await home.lab.act(Do.ESCALATE, text="it is the database")
        await home.minutes(90)
        assert await pages(home, 8 * MINUTE) == [(12, "L3 Senior"), (38, "L2 Engineering"), (38, "L3 Senior")]


@pytest.mark.parametrize("level", [{"on_breach": "resolve"}, {"after": "30m", "unless": "resolved"}])
async def test_a_level_that_waits_for_the_end_alone_keeps_its_time_though_it_was_called(
    tmp_path: Path, level: dict[str, str]
) -> None:
    """No acknowledgement had stopped it: neither the one that expires nor the next one moves it."""
    steps = [{"after": "0m", "unless": "acknowledged", "page": ["l1"]}, {**level, "page": ["boss"]}]
    content = ladder(steps, mailed("l1", "boss"), resolve_within="30m", ack_expires="10m")
    async with house(tmp_path, content) as home:
        await home.breaks()
        await home.minutes(2)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(4)
        await home.lab.act(Do.ESCALATE, text="help")
        await home.minutes(15)
        await home.lab.act(Do.ACKNOWLEDGE, actor="bob")
        await home.minutes(22)
        await home.lab.act(Do.NOTE, actor="bob", text="on it")
        await home.minutes(31)
        assert await pages(home) == [(0, "l1"), (4, "boss"), (12, "l1"), (30, "boss")]


async def test_who_was_called_and_did_nothing_until_a_promise_broke_is_paged_at_their_time(
    tmp_path: Path,
) -> None:
    """l2 heard at 2 and nobody has taken it in the 4 minutes that were promised: 5 is their time all the same."""
    content = ladder(STEPS, ROLES, acknowledge_within="4m")
    async with house(tmp_path, content) as home:
        await home.breaks()
        await home.minutes(2)
        await home.lab.act(Do.ESCALATE, text="help")
        await home.minutes(30)
        assert await pages(home) == [(0, "l1"), (2, "l2"), (5, "l2"), (15, "l3")]


async def test_who_was_called_and_did_nothing_is_in_the_next_round(tmp_path: Path) -> None:
    """The promise broke after the call, and then no page gets through: the round asks all, whoever was called too."""
    content = ladder([STEPS[0], STEPS[2]], ROLES, acknowledge_within="14m", resolve_within="16m")
    async with house(tmp_path, content) as home:
        await home.breaks()
        await home.minutes(13)
        await home.lab.act(Do.ESCALATE, text="help")
        home.voices.deaf = {"@"}
        await home.minutes(17)
        await home.lab.act(Do.ESCALATE, text="nobody comes")
        await home.minutes(21)
        home.voices.deaf = set()
        await home.minutes(60)
        assert await pages(home, 14 * MINUTE) == [(25, "l1"), (30, "l3")]


# a call that reaches nobody --------------------------------------------------------------------------------------


async def test_the_shipped_p0_pages_l3_at_its_time_though_it_was_called_in_vain(tmp_path: Path) -> None:
    """L3 and its backup are deaf to a call at 6, and L2 is asked again: the half hour runs out all the same."""
    async with house(tmp_path, library()) as home:
        home.voices.deaf = {"pagerduty_l3", "l3@"}
        await home.breaks()
        await home.minutes(6)
        await home.lab.act(Do.ESCALATE, text="help")
        await home.minutes(8)
        home.voices.deaf = set()
        await home.minutes(60)
        assert await pages(home, 5 * MINUTE) == [(6, "L2 Engineering"), (30, "L3 Senior")]
        last = [one for one in await home.sent(MessageKind.PAGE) if one.contact == "L3 Senior"][-1]
        assert last.words["why"] == "not resolved within 30 minutes"


@pytest.mark.parametrize(
    ("minutes", "unless", "taken", "told"),
    [
        ((0, 15), "acknowledged", False, [(0, "l0"), (3, "l0"), (15, "l1")]),
        ((0, 15, 40), "acknowledged", False, [(0, "l0"), (3, "l2"), (15, "l1")]),
        ((0, 15), "acknowledged", True, [(0, "l0"), (3, "l0")]),
        ((0, 15, 20), "resolved", True, [(0, "l0"), (3, "l2"), (15, "l1")]),
    ],
    ids=["nobody is above", "the next is reached", "somebody has it", "only the end stops it"],
)
async def test_a_level_that_was_called_in_vain_comes_at_its_own_time(
    tmp_path: Path, minutes: tuple[int, ...], unless: str, *, taken: bool, told: list[tuple[int, str]]
) -> None:
    """Its mail is refused at 3 and works from 5 on: it is told when it was to be, once, and says that time."""
    levels = [{"after": f"{at}m", "unless": unless, "page": [f"l{n}"]} for n, at in enumerate(minutes)]
    async with house(tmp_path, ladder(levels, mailed("l0", "l1", "l2"))) as home:
        await home.breaks()
        await home.minutes(3)
        if taken:
            await home.lab.act(Do.ACKNOWLEDGE)
        home.voices.deaf = {"l1@"}
        await home.lab.act(Do.ESCALATE, text="help")
        await home.minutes(5)
        home.voices.deaf = set()
        await home.minutes(60)
        assert await pages(home) == told
        own = [str(one.words["why"]) for one in await home.sent(MessageKind.PAGE, "l1")]
        assert own == [f"level 2: not {unless} after 15 minutes"] * (told[-1][1] == "l1")


async def test_a_second_call_is_for_the_level_that_the_first_was_for_in_vain(tmp_path: Path) -> None:
    """It has told nobody yet, so it is the lowest that is left; once it is reached its own time brings nothing more."""
    async with house(tmp_path, ladder(STEPS, ROLES)) as home:
        await home.breaks()
        home.voices.deaf = {"l2@"}
        await home.minutes(1)
        await home.lab.act(Do.ESCALATE, text="one")
        home.voices.deaf = set()
        await home.minutes(2)
        await home.lab.act(Do.ESCALATE, text="two")
        await home.minutes(60)
        assert await pages(home) == [(0, "l1"), (1, "l3"), (2, "l2")]


async def test_when_nobody_was_ever_reached_a_call_in_vain_begins_the_levels_anew(tmp_path: Path) -> None:
    """The first level is due at 20, and a call at 1 reaches nobody: it is tried again at 6, the next in its time."""
    levels = [{"after": f"{at}m", "unless": "acknowledged", "page": [f"l{at}"]} for at in (20, 40)]
    async with house(tmp_path, ladder(levels, mailed("l20", "l40"))) as home:
        home.voices.deaf = {"@"}
        await home.breaks()
        await home.minutes(1)
        await home.lab.act(Do.ESCALATE, text="help")
        await home.minutes(2)
        home.voices.deaf = set()
        await home.minutes(60)
        assert await pages(home) == [(6, "l20"), (40, "l40")]


async def test_a_level_called_in_vain_does_not_come_back_after_a_rise(tmp_path: Path) -> None:
    """While its mail is tried the priority rises to one that pages nobody: none of before comes any more."""
    content = ladder(STEPS, ROLES)
    calm = Priority.model_validate({"name": "Worst"})
    async with house(tmp_path, replace(content, priorities={"worst": calm, **content.priorities})) as home:
        incident = await home.breaks()
        await home.minutes(1)
        home.voices.failing = {"email": [BUSY] * 99}
        await home.lab.act(Do.ESCALATE, text="help")
        await home.lab.move(10 * SECOND)
        await home.lab.act(Do.ESCALATE, text="worse", priority="worst")
        await home.minutes(3)
        home.voices.failing = {}
        await home.minutes(60)
        assert "l2" not in {who for _, who in await pages(home)}
        assert "pending" not in await home.states(incident)
