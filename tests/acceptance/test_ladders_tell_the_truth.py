"""Promise G6, G7: whoever is paged is paged once, in turn, and for a reason that is true."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runbookd.model.action import Call
from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.model.rule import Many, Priority
from runbookd.units.people import Do
from runbookd.units.telling import Why, tell
from tests.acceptance.engine import NOON, alert
from tests.acceptance.people import MINUTE, SECOND, House, house, ladder, library, mailed
from tests.acceptance.voices import BUSY, DEAF

PHONE = {"pagerduty": {"service_key": "${secret.pd}"}}


def why(message: Message) -> str:
    """Why the reader of a page hears of it."""
    return str(message.words.get("why"))


async def pages(home: House, after: timedelta = timedelta(0)) -> list[tuple[float, str, str]]:
    """The pages that got through later than this: after how many minutes, to whom, why."""
    known = {message.key: message for message in await home.lab.messages()}
    return [
        ((at - NOON) / MINUTE, known[call.key].contact, why(known[call.key]))
        for at, call in home.voices.sent
        if at is not None and at - NOON > after and known[call.key].kind is MessageKind.PAGE
    ]


# who is who ------------------------------------------------------------------------------------------------------


async def test_two_contacts_of_one_name_are_two(tmp_path: Path) -> None:
    """Anna has a phone that is dead, and a second entry with her mail: that mail reaches her, and is not sent again."""
    anna = {"primary": {"name": "Anna", **PHONE}, "secondary": {"name": "Anna", "email": "anna@example.com"}}
    levels = [{"after": "0m", "unless": "acknowledged", "page": ["l1"]}]
    async with house(tmp_path, ladder(levels, {"l1": anna})) as home:
        home.voices.failing = {"pagerduty": [DEAF] * 99}
        await home.breaks()
        await home.minutes(60)
        assert await pages(home, -MINUTE) == [(0.0, "Anna", "level 1: told at once")]
        assert await home.entries("nobody_reached") == []


# an acknowledgement that expires ---------------------------------------------------------------------------------

STEPS = [
    {"after": "0m", "unless": "acknowledged", "page": ["l1"]},
    {"after": "5m", "unless": "acknowledged", "page": ["l2"]},
    {"after": "15m", "unless": "acknowledged", "page": ["l3"]},
]


async def test_who_was_called_by_hand_is_asked_again_in_turn(tmp_path: Path) -> None:
    """Acknowledged at 2, the second level called by hand at 10, expired at 32: all are asked, as far apart as ever."""
    async with house(tmp_path, ladder(STEPS, mailed("l1", "l2", "l3"), ack_expires="30m")) as home:
        await home.breaks()
        await home.minutes(2)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(10)
        await home.lab.act(Do.ESCALATE, text="more")
        await home.minutes(80)
        assert await pages(home, 5 * MINUTE) == [
            (10.0, "l2", "escalated by hand by anna: more"),
            (32.0, "l1", "asked again: anna's acknowledgement has expired"),
            (37.0, "l2", "level 2: 5 minutes after anna's acknowledgement expired"),
            (47.0, "l3", "level 3: 15 minutes after anna's acknowledgement expired"),
        ]


async def test_a_second_expiry_asks_them_all_as_well(tmp_path: Path) -> None:
    """Acknowledged again after the first expiry, called by hand again: the levels are as far apart as they were."""
    async with house(tmp_path, ladder(STEPS, mailed("l1", "l2", "l3"), ack_expires="30m")) as home:
        await home.breaks()
        for taken, called in ((2, 10), (33, 40)):
            await home.minutes(taken)
            await home.lab.act(Do.ACKNOWLEDGE)
            await home.minutes(called)
            await home.lab.act(Do.ESCALATE)
        await home.minutes(120)
        told = [(at, who) for at, who, _ in await pages(home, 30 * MINUTE)]
        assert told == [(32, "l1"), (40, "l2"), (63, "l1"), (68, "l2"), (78, "l3")]


async def test_who_had_paged_before_and_is_called_again_by_hand_is_asked_first(tmp_path: Path) -> None:
    """All had been paged when it was taken; the last of them is called again by hand, and is asked when it expires."""
    async with house(tmp_path, ladder(STEPS[:2], mailed("l1", "l2"), ack_expires="30m")) as home:
        await home.breaks()
        await home.minutes(6)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(10)
        await home.lab.act(Do.ESCALATE)
        await home.minutes(80)
        assert [(at, who) for at, who, _ in await pages(home, 5 * MINUTE)] == [(10, "l2"), (36, "l2")]


# several of a day ------------------------------------------------------------------------------------------------


async def test_what_was_only_observed_is_none_of_several(tmp_path: Path) -> None:
    """Nobody heard of the first P2: the second is the first that people hear of, and the third the second."""
    content = library(
        {
            "match": ['alertname="Down"', 'mode="observed"'],
            "name": "observed",
            "priority": "P2",
            "mode": "observe",
        },
        {"match": ['alertname="Down"'], "priority": "P2"},
    )
    async with house(tmp_path, content) as home:
        await home.breaks(mode="observed", app="0")
        await home.breaks(mode="real", app="1")
        await home.lab.move(MINUTE)
        assert await home.sent(MessageKind.PAGE) == []
        await home.lab.hear(alert(began=home.lab.clock.now(), labels={"app": "2"}))
        await home.lab.move(MINUTE)
        first = (await home.sent(MessageKind.PAGE))[0]
        assert why(first).startswith("the second P2 in 24 hours (after")
        (several,) = await home.entries("several_incidents")
        (_, *heard) = [incident.id for incident in await home.lab.incidents()]
        assert several.entry.detail["incidents"] == heard[::-1]


@pytest.mark.parametrize("alone", [True, False], ids=["told of one", "told of several alone"])
async def test_any_number_of_observed_ones_hides_no_real_one(tmp_path: Path, *, alone: bool) -> None:
    """A real one, more than two hundred that are only observed, and a real one: that is two in a day."""
    observed = {"match": ['alertname="Down"', 'mode="observed"'], "name": "observed", "mode": "observe"}
    content = library({**observed, "priority": "P2"}, {"match": ['alertname="Down"'], "priority": "P2"})
    silent = content.priorities["P2"].model_copy(update={"announce": (), "channel": False})
    if not alone:
        content = replace(content, priorities={**content.priorities, "P2": silent})
    async with house(tmp_path, content) as home:
        await home.breaks(app="1")
        await home.lab.move(MINUTE)
        now = home.lab.clock.now()
        for hundred in range(2):
            many = [{"mode": "observed", "app": f"{hundred}-{number}"} for number in range(101)]
            await home.lab.hear(*(alert(began=now, labels=labels) for labels in many))
        await home.lab.move(MINUTE)
        assert await home.sent(MessageKind.PAGE) == []
        await home.breaks(app="2")
        await home.lab.move(MINUTE)
        assert len(await home.lab.incidents()) == 204
        assert len({message.contact for message in await home.sent(MessageKind.PAGE)}) == 1
        (several,) = await home.entries("several_incidents")
        real = [one.id for one in await home.lab.incidents() if one.rule == "down"]
        assert several.entry.detail["incidents"] == real[::-1]


async def test_what_tells_nobody_alone_is_one_of_several_all_the_same(tmp_path: Path) -> None:
    """A priority that calls people only when there are several counts those that it has told to nobody."""
    content = ladder([{"after": "0m", "page": ["l1"]}], mailed("l1"))
    many = Many.model_validate({"of": 2, "within": "24h", "escalation": "ladder"})
    low = Priority.model_validate({"name": "Critical", "many": many})
    async with house(tmp_path, replace(content, priorities={"P0": low})) as home:
        await home.breaks(app="1")
        assert await pages(home, -MINUTE) == []
        await home.breaks(app="2")
        assert len(await pages(home, -MINUTE)) == 1


# a ladder that had begun anew ------------------------------------------------------------------------------------


async def test_once_somebody_is_reached_the_levels_keep_their_own_times(tmp_path: Path) -> None:
    """Mail is out of order, and the ladder begins anew: somebody is reached, and the rest is as if nothing had been."""
    levels = [
        {"after": "0m", "unless": "acknowledged", "page": ["l1"]},
        {"after": "1m", "unless": "acknowledged", "page": ["l2"]},
        {"after": "12m", "unless": "acknowledged", "page": ["l3"]},
        {"after": "20m", "unless": "acknowledged", "page": ["l4"]},
        {"on_breach": "resolve", "page": ["l1"]},
    ]
    roles = mailed("l1", "l2", "l3", "l4")
    async with house(tmp_path, ladder(levels, roles, resolve_within="30m")) as home:
        home.voices.deaf = {"example.com"}
        await home.breaks()
        await home.lab.move(4 * MINUTE)
        home.voices.deaf = {"l1@example.com"}
        await home.minutes(60)
        assert [(round(at), who, said) for at, who, said in await pages(home)] == [
            (5, "l2", "level 2 once more: nobody could be reached the last time"),
            (12, "l3", "level 3: not acknowledged after 12 minutes"),
            (20, "l4", "level 4: not acknowledged after 20 minutes"),
            (30, "l2", "no way was left to l1"),  # whom the broken promise calls is not there
        ]
        (last,) = [one for one in await home.lab.messages() if why(one).startswith("not resolved within")]
        assert (last.contact, last.state) == ("l1", MessageState.FAILED)


async def test_levels_whose_time_is_over_still_come_one_by_one(tmp_path: Path) -> None:
    """All times were over when somebody was reached: those above are still asked, apart, for what is true then."""
    levels = [
        {"after": f"{minute}m", "unless": "acknowledged", "page": [f"l{minute}"]} for minute in range(4)
    ]
    async with house(tmp_path, ladder(levels, mailed("l0", "l1", "l2", "l3"))) as home:
        home.voices.deaf = {"example.com"}
        await home.breaks()
        await home.lab.move(4 * MINUTE)
        home.voices.deaf = set()
        await home.minutes(60)
        assert [(round(at), who, said) for at, who, said in await pages(home)] == [
            (5, "l0", "level 1 once more: nobody could be reached the last time"),
            (10, "l1", "level 2: not acknowledged after 10 minutes"),
            (15, "l2", "level 3: not acknowledged after 15 minutes"),
            (20, "l3", "level 4: not acknowledged after 20 minutes"),
        ]


async def test_a_phone_that_rings_late_ends_what_was_to_begin_anew(tmp_path: Path) -> None:
    """It rings at 2, and the ladder was to begin anew at 5: its own level does not come again, the next at its time."""
    roles = {"l1": {"primary": PHONE}, **mailed("l2")}
    levels = [STEPS[0], {"after": "9m", "unless": "acknowledged", "page": ["l2"]}]
    async with house(tmp_path, ladder(levels, roles)) as home:
        home.voices.failing = {"pagerduty": [replace(BUSY, retry_after=120.0)], "email": [DEAF]}
        await home.breaks()
        await home.minutes(60)
        told = [(round(at), who) for at, who, _ in await pages(home, -MINUTE)]
        assert told == [(2, "l1"), (9, "l2")]


# no more than needed ---------------------------------------------------------------------------------------------


async def test_one_address_is_paged_once_at_a_time(tmp_path: Path) -> None:
    """Both phones are dead, and the next level is the backup, who has had the mail this second: it is recorded."""
    backup = {"email": "backup@example.com", "pagerduty": {"service_key": "${secret.pd2}"}}
    roles = {"l2": {"primary": PHONE, "secondary": backup}, **mailed("l3")}
    levels = [
        {"after": "0m", "page": ["l2"]},
        {"after": "5m", "page": ["l2.secondary"]},
        {"after": "9m", "page": ["l3"]},
    ]
    async with house(tmp_path, ladder(levels, roles)) as home:
        home.voices.failing = {"pagerduty": [DEAF] * 9}
        await home.breaks()
        await home.lab.move(MINUTE)
        assert [who for _, who, _ in await pages(home, -MINUTE)] == ["l2.secondary", "l3"]
        mails = [
            one
            for one in await home.lab.messages()
            if one.channel is Channel.EMAIL and one.contact == "l2.secondary"
        ]
        assert [(one.state, one.reason) for one in mails] == [
            (MessageState.SENT, None),
            (MessageState.DROPPED, "paged_just_now"),
        ]
        dropped = {
            one.entry.detail["message"]: one.entry.detail for one in await home.entries("message_dropped")
        }
        assert (dropped[mails[1].id]["for"], dropped[mails[1].id]["reason"]) == ("level 2", "paged_just_now")


@pytest.mark.parametrize("passed", [False, True])
async def test_a_page_by_hand_that_still_waits_ends_with_the_incident(
    tmp_path: Path, *, passed: bool
) -> None:
    """The pager is busy, and it is over after two seconds: the phone does not ring for what is over."""
    levels: list[dict[str, Any]] = [{"after": "1h", "unless": "acknowledged", "page": ["l1"]}]
    async with house(tmp_path, ladder(levels, {"l1": {"primary": PHONE}})) as home:
        home.voices.failing = {"pagerduty": [replace(BUSY, retry_after=90.0 if passed else None)] * 3}
        await home.breaks()
        await home.lab.act(Do.ESCALATE)
        await home.lab.move(2 * SECOND)
        await home.lab.act(Do.RESOLVE)
        await home.lab.move(5 * MINUTE)
        assert [call for _, call in home.voices.sent if call.params["action"] == "trigger"] == []
        (page,) = [one for one in await home.lab.messages() if one.kind is MessageKind.PAGE]
        assert (page.state, page.reason) == (MessageState.DROPPED, "already resolved")


TWO_OF_L1 = [
    [{"after": "5m", "unless": "resolved"}, {"on_breach": "acknowledge"}],
    [{"after": "5m", "unless": "acknowledged"}, {"after": "5m", "unless": "resolved"}],
    [{"after": "0m", "unless": "acknowledged"}, {"after": "0m"}],
    [{"after": "0m", "unless": "responded"}, {"after": "0m", "unless": "acknowledged"}],
]


@pytest.mark.parametrize("levels", TWO_OF_L1)
async def test_levels_that_end_differently_page_an_address_once_as_well(
    tmp_path: Path, levels: list[dict[str, Any]]
) -> None:
    """One mail and one post, though the levels differ in `unless`; and so it is after a rise."""
    roles = {"l1": {"primary": {"email": "l1@example.com", "slack": "#l1"}}}
    content = ladder([{**level, "page": ["l1"]} for level in levels], roles, acknowledge_within="5m")
    worse = Priority.model_validate({**content.priorities["P0"].model_dump(), "name": "Worse"})
    async with house(tmp_path, replace(content, priorities={"worse": worse, **content.priorities})) as home:
        await home.breaks()
        await home.minutes(5)
        assert [one.channel.value for one in await home.sent(MessageKind.PAGE)] == ["slack", "email"]
        await home.lab.act(Do.ESCALATE, text="worse", priority="worse")
        await home.minutes(10)
        assert [one.channel.value for one in await home.sent(MessageKind.PAGE)] == ["slack", "email"] * 2


@pytest.mark.parametrize("levels", TWO_OF_L1[:3])
async def test_one_page_for_two_levels_goes_out_while_either_wants_it(
    tmp_path: Path, levels: list[dict[str, Any]]
) -> None:
    """The mail server is busy, and somebody takes it meanwhile: one of the levels pages even then."""
    content = ladder([{**level, "page": ["l1"]} for level in levels], mailed("l1"), acknowledge_within="5m")
    async with house(tmp_path, content) as home:
        home.voices.failing = {"email": [BUSY] * 3}
        await home.breaks()
        if "0m" not in str(levels):
            await home.minutes(5)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(30)
        assert [one.contact for one in await home.sent(MessageKind.PAGE)] == ["l1"]


async def test_a_page_that_neither_of_two_levels_wants_any_more_is_not_sent(tmp_path: Path) -> None:
    """The incident is over while the mail server is busy: nobody is paged for it."""
    content = ladder([{**level, "page": ["l1"]} for level in TWO_OF_L1[1]], mailed("l1"))
    async with house(tmp_path, content) as home:
        home.voices.failing = {"email": [BUSY] * 3}
        await home.breaks()
        await home.minutes(5)
        await home.lab.act(Do.RESOLVE)
        await home.minutes(30)
        assert await home.sent(MessageKind.PAGE) == []


async def test_a_page_on_its_way_is_wanted_by_a_level_that_relies_on_it_meanwhile(tmp_path: Path) -> None:
    """Level 2 pages while the mail of level 1 is under way, which is refused: somebody takes it, and it is sent."""
    levels: list[dict[str, Any]] = [{"after": "0m", "unless": "acknowledged", "page": ["l1"]}]
    async with house(tmp_path, ladder(levels, mailed("l1"))) as home:

        async def another(_: Call) -> None:
            home.voices.meanwhile = None
            desk, now, (incident,) = home.lab.pipeline.desk, home.lab.clock.now(), await home.lab.incidents()
            why = Why("level 2", MessageKind.PAGE, {"level": 1, "unless": "resolved"})
            await home.lab.store.write(lambda tx: tell(tx, desk, incident, why, ["l1"], now))

        home.voices.meanwhile, home.voices.failing = another, {"email": [BUSY]}
        await home.breaks()
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(5)
        assert [one.contact for one in await home.sent(MessageKind.PAGE)] == ["l1"]
