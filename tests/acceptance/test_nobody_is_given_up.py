"""Promise G8: who was reached once is no answer for ever, and a call by hand that reaches nobody is not the last."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.units.people import Do
from tests.acceptance.engine import NOON
from tests.acceptance.people import MINUTE, House, house, ladder, library, mailed
from tests.acceptance.voices import BUSY, DEAF

STEPS = [
    {"after": "0m", "unless": "acknowledged", "page": ["l1"]},
    {"after": "5m", "unless": "acknowledged", "page": ["l2"]},
    {"after": "15m", "unless": "acknowledged", "page": ["l3"]},
]
ANYBODY = {"slack": [DEAF] * 500, "email": [DEAF] * 500, "pagerduty": [DEAF] * 500}


def to_its_contact(message: Message) -> tuple[float, str]:
    """When a message was made, in minutes after noon, and to whom."""
    return (message.created_at - NOON) / MINUTE, message.contact


async def got_through(home: House, after: int) -> list[tuple[float, str]]:
    """The pages made later than this minute that somebody got: when, and who, each once."""
    pages = [to_its_contact(one) for one in await home.sent(MessageKind.PAGE)]
    return [*dict.fromkeys(page for page in pages if page[0] > after)]


async def test_a_page_that_got_through_before_it_was_taken_is_no_answer_after_it(tmp_path: Path) -> None:
    """The shipped P0: taken at 3, no channel works from then to 36, expired at 33; it begins anew at 38."""
    async with house(tmp_path, library()) as home:
        await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE)
        home.voices.failing = {channel: [*failures] for channel, failures in ANYBODY.items()}
        await home.minutes(36)
        home.voices.failing = {}
        await home.minutes(60)
        assert await got_through(home, 3) == [(38, "L1 Support"), (43, "L2 Engineering"), (48, "L3 Senior")]
        *_, last = await home.entries("nobody_reached")
        assert last.entry.detail["anew_at"] == NOON + 38 * MINUTE


async def test_when_who_is_asked_again_cannot_be_reached_another_is(tmp_path: Path) -> None:
    """All had been paged when it was taken: the first level is asked at once, and once."""
    async with house(tmp_path, ladder(STEPS[:2], mailed("l1", "l2"), ack_expires="10m")) as home:
        await home.breaks()
        await home.minutes(6)
        await home.lab.act(Do.ACKNOWLEDGE)
        home.voices.deaf = {"l2@"}
        await home.minutes(60)
        assert await got_through(home, 6) == [(16, "l1")]
        (_, page) = await home.sent(MessageKind.PAGE, "l1")
        assert page.words["why"] == "asked again: anna's acknowledgement has expired"


async def test_a_level_left_to_whoever_was_at_work_is_tried_when_nobody_is_any_more(tmp_path: Path) -> None:
    """Its acknowledgement has expired, and the other level leads to nobody: it is not skipped for ever."""
    levels = [
        {"after": "1m", "unless": "responded", "page": ["l1"]},
        {"on_breach": "acknowledge", "page": ["gone"]},
    ]
    content = ladder(levels, mailed("l1"), acknowledge_within="4m", ack_expires="6m")
    async with house(tmp_path, content) as home:
        await home.breaks()
        await home.sleeps(12 * MINUTE)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(60)
        assert await home.heard() == [(18, "page l1")]


async def test_a_level_left_to_automation_is_told_when_no_page_of_another_gets_through(
    tmp_path: Path,
) -> None:
    """That something is at work on it is no comfort when nobody at all can be reached."""
    levels = [
        {"after": "1m", "unless": "responded", "page": ["l1"]},
        {"after": "3m", "unless": "acknowledged", "page": ["l2"]},
    ]
    async with house(tmp_path, ladder(levels, mailed("l1", "l2"))) as home:
        incident = await home.breaks()
        at_work = replace(incident, responded_at=home.lab.clock.now())
        await home.lab.store.write(lambda tx: tx.incidents.save(at_work))
        home.voices.deaf = {"l2@"}
        await home.minutes(20)
        assert [who for _, who in await home.heard()] == ["page l1"]


async def test_it_is_tried_until_somebody_is_reached(tmp_path: Path) -> None:
    """Nobody can be reached for an hour after the expiry: the levels begin anew, later each time, and go on."""
    async with house(tmp_path, ladder(STEPS[:2], mailed("l1", "l2"), ack_expires="10m")) as home:
        await home.breaks()
        await home.minutes(6)
        await home.lab.act(Do.ACKNOWLEDGE)
        home.voices.deaf = {"example.com"}
        await home.minutes(50)
        anew = [entry.entry.detail["anew_at"] for entry in await home.entries("nobody_reached")]
        assert [at for at in anew if at is not None] == [NOON + n * MINUTE for n in (21, 26, 36, 56)]
        home.voices.deaf = set()
        await home.minutes(80)
        assert await got_through(home, 6) == [(56, "l1"), (61, "l2")]


async def test_who_was_reached_and_did_nothing_is_asked_again_when_a_promise_breaks(tmp_path: Path) -> None:
    """The first level was reached at once; the breach of the promise reaches nobody: the first is asked again."""
    levels = [STEPS[0], {"on_breach": "resolve", "page": ["l2"]}]
    async with house(tmp_path, ladder(levels, mailed("l1", "l2"), resolve_within="30m")) as home:
        home.voices.deaf = {"l2@"}
        await home.breaks()
        await home.minutes(90)
        assert await got_through(home, -1) == [(0, "l1"), (30, "l1")]


PHONES = {
    "l1": {"primary": {"email": "l1@example.com"}},
    "l2": {"primary": {"pagerduty": {"service_key": "${secret.l2}"}}},
    "l3": {"primary": {"email": "l3@example.com"}},
}


@pytest.mark.parametrize(
    ("roles", "failing", "at"),
    [(mailed("l1", "l2", "l3"), {"email": [DEAF]}, 4), (PHONES, {"pagerduty": [BUSY] * 99}, 4.5)],
)
async def test_a_call_by_hand_that_reaches_nobody_calls_the_next(
    tmp_path: Path, roles: dict[str, Any], failing: dict[str, Any], at: float
) -> None:
    """Somebody has it, and wants help: the second level is not there, its phone is dead, and the third is called."""
    async with house(tmp_path, ladder(STEPS, roles)) as home:
        await home.breaks()
        await home.minutes(2)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(4)
        home.voices.failing = failing
        await home.lab.act(Do.ESCALATE, text="help")
        await home.minutes(6)
        assert await got_through(home, 2) == [(at, "l3")]
        third = next(one for one in await home.sent(MessageKind.PAGE, "l3"))
        assert third.words["why"] == "escalated by hand by anna: help"


async def test_the_shipped_second_level_that_cannot_be_reached_is_not_the_end(tmp_path: Path) -> None:
    """Neither L2 nor its backup can be reached when whoever has it calls for help: L3 is, in the same minute."""
    async with house(tmp_path, library()) as home:
        await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE)
        home.voices.deaf = {"on-call-l2@", "backup-l2@", "#l2-eng", "pagerduty_l2"}
        await home.lab.act(Do.ESCALATE, text="need a dba")
        await home.lab.move(timedelta(seconds=40))
        assert await got_through(home, 2) == [(3, "L3 Senior")]


async def test_when_a_call_by_hand_reaches_nobody_at_all_those_inside_hear_that(tmp_path: Path) -> None:
    """Each level is called once, and then those who were told hear it; the public does not. A new call is anew."""
    content = ladder(STEPS, mailed("l1", "l2", "l3"), announce=["slack:#ops", "statuspage"])
    async with house(tmp_path, content) as home:
        await home.breaks()
        await home.minutes(2)
        await home.lab.act(Do.ACKNOWLEDGE)
        home.voices.deaf = {"@example.com"}
        for minute in (4, 6):
            await home.minutes(minute)
            await home.lab.act(Do.ESCALATE, text="help")
        await home.minutes(30)
        messages = await home.lab.messages()
        lost = [one for one in messages if (one.kind, one.state) == (MessageKind.PAGE, MessageState.FAILED)]
        pages = [to_its_contact(one) for one in lost]
        assert pages == [(4, "l2"), (4, "l3"), (4, "l1"), (6, "l2"), (6, "l3"), (6, "l1")]
        told = [one for one in messages if "nobody could be reached" in str(one.facts.get("note"))]
        assert {one.channel for one in told} == {Channel.SLACK, Channel.EMAIL}
        assert [(to_its_contact(one)[0]) for one in told if one.channel is Channel.SLACK] == [4, 6]
        (first, _) = [one for one in told if one.channel is Channel.SLACK]
        assert "nobody could be reached" in str(first.words["body"])


# one address of several contacts ---------------------------------------------------------------------------------

X, BACKUP = {"email": "x@example.com"}, {"email": "backup@example.com"}
PHONE = {"pagerduty": {"service_key": "${secret.a}"}}


@pytest.mark.parametrize(
    ("a", "levels"),
    [
        (X, [["a", "b"]]),
        (X, [["b", "a"]]),
        (X, [["a"], ["b"]]),
        ({**X, **PHONE}, [["a", "b"]]),
        ({**X, **PHONE}, [["a"], ["b"]]),
    ],
    ids=["one level", "the other way round", "two levels", "one has a phone", "and another level"],
)
async def test_each_contact_that_shares_an_address_has_its_own_backup(
    tmp_path: Path, a: dict[str, Any], levels: list[list[str]]
) -> None:
    """Their one mail is refused: whoever has a backup falls through to it at once, whosever the mail was."""
    roles = {"a": {"primary": a}, "b": {"primary": X, "secondary": BACKUP}}
    steps = [{"after": "0m", "page": page} for page in levels]
    async with house(tmp_path, ladder(steps, roles)) as home:
        home.voices.deaf = {"x@example.com"}
        await home.breaks()
        await home.minutes(30)
        through = await got_through(home, -1)
        assert (0, "b.secondary") in through
        assert sorted(who for _, who in through) == [*(["a"] if a is not X else []), "b.secondary"]
        assert await home.entries("nobody_reached") == [] or len(levels) > 1


async def test_a_shared_address_that_answers_is_an_answer_of_both(tmp_path: Path) -> None:
    """One mail, which gets through: nobody is paged for it again, and no backup."""
    roles = {"a": {"primary": X}, "b": {"primary": X, "secondary": BACKUP}, **mailed("c")}
    steps = [{"after": "0m", "page": ["a", "b"]}, {"after": "9m", "page": ["c"]}]
    async with house(tmp_path, ladder(steps, roles)) as home:
        await home.breaks()
        await home.minutes(30)
        assert await got_through(home, -1) == [(0, "a"), (9, "c")]
        assert await home.entries("nobody_reached") == []
