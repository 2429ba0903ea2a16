"""Promise: "next update in N minutes" is what the stored deadline says, and a person or automation keeps it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from runbookd.model.escalation import Message, MessageKind
from runbookd.model.incident import ClockKind, Incident
from runbookd.model.library import Library
from runbookd.model.playbook import Playbook
from runbookd.units.people import Do
from tests.acceptance.engine import NOON
from tests.acceptance.people import MINUTE, SECOND, House, house, ladder, library
from tests.acceptance.voices import BUSY

PROMISE = re.compile(r"Next [Uu]pdate: [Ii]n (\d+) minutes?")


def p0() -> Library:
    """The shipped P0: an update every fifteen minutes; its acknowledgements do not expire here."""
    content = library()
    lasting = content.priorities["P0"].model_copy(update={"ack_expires": None})
    return replace(content, priorities={**content.priorities, "P0": lasting})


async def due(home: House, incident: Incident, kind: ClockKind = ClockKind.UPDATE) -> float | None:
    """How many minutes after noon a clock of an incident runs out; None without one."""
    _, clocks = await home.lab.alerts_and_clocks(incident)
    return next(((clock.due_at - NOON) / MINUTE for clock in clocks if clock.kind is kind), None)


async def updates(home: House) -> list[float]:
    """When news went out to Slack's #incidents, in minutes after noon."""
    posted = {message.key for message in await home.sent(MessageKind.UPDATE, "#incidents")}
    return [round((at - NOON) / MINUTE, 2) for at, call in home.voices.sent if at and call.key in posted]


def promised(message: Message) -> int | None:
    """How many minutes a message says there are to the next one; None when it says nothing."""
    found = PROMISE.search(str(message.words.get("body", "")))
    return int(found[1]) if found is not None else None


async def test_what_is_said_is_what_is_stored(tmp_path: Path) -> None:
    """In every message, to everybody, the minutes to the next update are those to the deadline in the database."""
    async with house(tmp_path, p0()) as home:
        incident = await home.breaks()
        seen = set()
        for minute in range(61):
            await home.minutes(minute)
            stored = await due(home, incident)
            assert stored is not None
            for message in await home.lab.messages():
                if message.id in seen or not message.settled or promised(message) is None:
                    continue
                seen.add(message.id)
                assert message.settled_at is not None
                left = stored - (message.settled_at - NOON) / MINUTE
                assert left <= promised(message) < left + 1, message  # type: ignore[operator]
        kinds = {one.kind for one in await home.lab.messages() if one.id in seen}
        assert kinds == {MessageKind.OPENED, MessageKind.UPDATE, MessageKind.EDIT}


async def test_while_nobody_leads_news_goes_out_by_itself_in_time(tmp_path: Path) -> None:
    """A minute before it is due, each time, whatever there is to tell; no promise is broken and none doubled."""
    async with house(tmp_path, p0()) as home:
        incident = await home.breaks()
        for minute in range(121):
            await home.minutes(minute)
            assert (await due(home, incident) or 0) > minute
        assert await updates(home) == [14, 28, 42, 56, 70, 84, 98, 112]
        assert home.breaches("update") == 0
        public = await home.sent(MessageKind.UPDATE, "statuspage")
        assert len(public) == 8


async def test_the_news_is_what_happened(tmp_path: Path) -> None:
    """What ran, what came of it and what is next, from the record; after a failure that a person is needed."""
    remedy = Playbook.model_validate(
        {
            "playbook": "remedy",
            "steps": [{"id": "s", "action": "hand.turn", "timeout": "5s"}, {"id": "w", "wait": "20m"}],
        }
    )
    content = replace(
        p0(), rules=library({"run": [{"playbook": "remedy"}]}).rules, playbooks={"remedy": remedy}
    )
    async with house(tmp_path, content) as home:
        await home.breaks()
        await home.minutes(15)
        (news,) = await home.sent(MessageKind.UPDATE, "#incidents")
        body = str(news.words["body"])
        assert "remedy begun" in body
        assert "hand.turn: done" in body
        assert "Next: remedy goes on" in body
    (tmp_path / "b").mkdir()
    async with house(tmp_path / "b", content) as home:
        home.voices.failing = {"hand": [replace(BUSY, temporary=False)]}
        await home.breaks()
        await home.minutes(15)
        news = (await home.sent(MessageKind.UPDATE, "#incidents"))[-1]
        body = str(news.words["body"])
        assert "hand.turn: failed" in body
        assert "remedy failed" in body
        assert "Handed to people: a remedy failed" in body
        assert "Next: a person is needed" in body


@pytest.mark.parametrize("leads", ["acknowledges", "is assigned"])
async def test_who_leads_is_reminded_and_then_it_is_a_breach(tmp_path: Path, leads: str) -> None:
    """Three minutes before it is due, once; when it is not written it is a breach, and the next promise begins."""
    async with house(tmp_path, p0()) as home:
        incident = await home.breaks()
        await home.minutes(1)
        if leads == "acknowledges":
            await home.lab.act(Do.ACKNOWLEDGE)
        else:
            await home.lab.act(Do.ASSIGN, text="anna")
        await home.minutes(11)
        assert await home.sent(MessageKind.REMINDER) == []
        await home.minutes(12)
        (reminder,) = await home.sent(MessageKind.REMINDER)
        assert reminder.contact == "slack:C1", "only where those are who lead: the incident's channel"
        assert reminder.words["subject"] == (
            f"News of {incident.id[-8:]} ({incident.title}) is promised in 3 minutes, at 12:15 UTC"
        )
        assert f"runbookd note {incident.id[-8:]} --public TEXT" in str(reminder.words["body"])
        await home.lab.act(Do.ASSIGN if leads == "acknowledges" else Do.ACKNOWLEDGE, text="anna")
        await home.lab.act(Do.NOTE, text="nothing to tell yet")  # looked at again: no second reminder
        await home.lab.move(3 * MINUTE - SECOND)
        assert len(await home.entries("update_reminded")) == 1
        assert home.breaches("update") == 0
        await home.lab.move(SECOND)
        assert home.breaches("update") == 1
        (breach,) = [
            one for one in await home.entries("clock_breached") if one.entry.detail.get("clock") == "update"
        ]
        assert breach.entry.detail["of"] == "anna"
        assert await due(home, incident) == 30
        assert await updates(home) == []
        await home.minutes(45)
        assert home.breaches("update") == 3
        assert len(await home.entries("update_reminded")) == 3
        assert len(await home.sent(MessageKind.REMINDER)) == 3, "one for each promise"


@pytest.mark.parametrize(
    ("contact", "place"),
    [
        ({"slack": "#l1", "email": "l1@example.com"}, "l1/slack"),
        ({"email": "l1@example.com"}, "l1/email"),
        ({"pagerduty": {"service_key": "${secret.pd_l1}"}}, None),
    ],
)
async def test_without_a_channel_the_reminder_goes_where_it_was_first_told(
    tmp_path: Path, contact: dict[str, str], place: str | None
) -> None:
    """In Slack if anybody was told there, else by mail; who was only rung is not rung again for that."""
    roles = {"l1": {"primary": contact}, "l2": {"primary": {"slack": "#l2"}}}
    levels = [{"after": "0m", "page": ["l1"]}, {"after": "14m", "notify": ["l2"]}]
    async with house(tmp_path, ladder(levels, roles, update_every="15m")) as home:
        await home.breaks()
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(13)
        told = [f"{one.contact}/{one.channel}" for one in await home.sent(MessageKind.REMINDER)]
        assert told == ([place] if place is not None else [])


async def test_a_public_note_is_the_promised_update(tmp_path: Path) -> None:
    """It goes out at once in the person's words to all who were told, and the promise begins anew."""
    async with house(tmp_path, p0()) as home:
        incident = await home.breaks()
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(10)
        await home.lab.act(Do.NOTE, text="The disk is full; cleaning up.")
        assert await due(home, incident) == 15
        assert await updates(home) == []
        done = await home.lab.act(Do.NOTE, text="You can pay again <!channel>.", public=True)
        assert "told to" in done.said
        assert await due(home, incident) == 25
        await home.lab.move(SECOND * 5)
        assert await updates(home) == [10]
        told = await home.sent(MessageKind.UPDATE)
        assert {"slack:#incidents", "Product Manager", "statuspage"} <= {one.contact for one in told}
        for message in told:
            assert "You can pay again" in str(message.words["body"])
            assert "disk" not in str(message.words["body"])
            assert promised(message) == 15 or message.contact == "statuspage"
        slack = next(one for one in told if one.contact == "slack:#incidents")
        assert "&lt;!channel&gt;" in str(slack.words["body"])
        await home.minutes(24)
        assert home.breaches("update") == 0
        assert len(await home.entries("update_reminded")) == 1


async def test_when_an_acknowledgement_expires_automation_has_the_promise_again(tmp_path: Path) -> None:
    """Who led is gone, so news goes out by itself."""
    async with house(tmp_path, library()) as home:
        await home.breaks()
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(29)
        assert home.breaches("update") == 1
        await home.minutes(60)
        assert home.breaches("update") == 1
        assert await updates(home) == [30, 44, 58]


async def test_after_that_an_assignee_leads_no_more(tmp_path: Path) -> None:
    """Who was assigned and took it is not heard of either: no promise waits for them, until they are assigned anew."""
    async with house(tmp_path, library()) as home:
        await home.breaks()
        await home.lab.act(Do.ASSIGN, text="ben")
        await home.lab.act(Do.ACKNOWLEDGE, actor="slack:ben")
        await home.minutes(60)
        assert home.breaches("update") == 1
        assert await updates(home) == [30, 44, 58]
        (expired,) = await home.entries("acknowledgement_expired")
        assert expired.entry.detail["assignee"] == "ben"
        assert (await home.lab.incidents())[0].assignee is None
        assert (await home.lab.act(Do.ASSIGN, text="ben")).changed
        await home.minutes(73)
        assert home.breaches("update") == 2


async def test_news_that_an_outage_delayed_is_told_at_once_and_is_a_breach(tmp_path: Path) -> None:
    """Once, not as often as it was missed; the next promise counts from then."""
    async with house(tmp_path, p0()) as home:
        incident = await home.breaks()
        await home.sleeps(50 * MINUTE)
        await home.lab.move(10 * SECOND)
        assert len(await updates(home)) == 1
        assert home.breaches("update") == 1
        assert await due(home, incident) == 65


# the end -----------------------------------------------------------------------------------------------------


async def test_everybody_who_was_told_hears_the_end(tmp_path: Path) -> None:
    """Each address once, none that was not told before; and no news comes after it."""
    async with house(tmp_path, p0()) as home:
        await home.breaks()
        await home.minutes(20)
        told = {
            (one.channel, str(one.address))
            for one in await home.lab.messages()
            if one.kind in {MessageKind.PAGE, MessageKind.OPENED, MessageKind.UPDATE}
        }
        await home.mended()
        await home.lab.move(3 * timedelta(hours=1))
        over = await home.sent(MessageKind.RESOLVED)
        pagers = {one for one in told if one[0].value == "pagerduty"}
        assert sorted((one.channel, str(one.address)) for one in over) == sorted(told - pagers)
        quiet = await home.sent(MessageKind.CLOSE)
        assert sorted((one.channel, str(one.address)) for one in quiet) == sorted(pagers)
        last = NOON + 20 * MINUTE
        later = [one for one in await home.sent(MessageKind.UPDATE) if one.created_at > last]
        assert later == []
        assert home.breaches("update") == 0
        words = str(next(one for one in over if one.contact == "slack:#incidents").words["body"])
        assert "Total Duration: 20 minutes" in words
        assert "Post-incident review due by 2026-01-06 12:20 UTC" in words


@pytest.mark.parametrize(("priority", "drafted"), [("P0", True), ("P1", True), ("P2", False)])
async def test_the_review_is_drafted_and_has_its_day(tmp_path: Path, priority: str, drafted: bool) -> None:  # noqa: FBT001
    """At the end of a P0 or P1; done in time its clock is met, and a second after it is a breach."""
    async with house(tmp_path, library({"priority": priority})) as home:
        incident = await home.breaks()
        await home.minutes(10)
        await home.mended()
        await home.lab.move(MINUTE)
        assert bool(await home.sent(MessageKind.REVIEW)) is drafted
        expected = 10 + 24 * 60 if drafted else None
        assert await due(home, incident, ClockKind.REVIEW) == expected
        await home.lab.move(timedelta(days=1) - MINUTE - SECOND)
        assert home.breaches("review") == 0
        if drafted:
            await home.lab.move(SECOND)
            assert home.breaches("review") == 1


async def test_a_review_is_due_when_a_pager_was_all_that_rang(tmp_path: Path) -> None:
    """Somebody was woken, so there is something to learn, even if nobody was written to."""
    roles = {"l1": {"primary": {"pagerduty": {"service_key": "${secret.pd_l1}"}}}}
    content = ladder([{"after": "0m", "page": ["l1"]}], roles, review_within="24h")
    async with house(tmp_path, content) as home:
        incident = await home.breaks()
        await home.mended()
        assert await due(home, incident, ClockKind.REVIEW) == 24 * 60
    (tmp_path / "quiet").mkdir()
    async with house(tmp_path / "quiet", replace(content, escalations={})) as home:
        incident = await home.breaks()
        await home.mended()
        assert await due(home, incident, ClockKind.REVIEW) is None, "nobody ever heard of it"


async def test_a_review_that_is_done_in_time_is_no_breach(tmp_path: Path) -> None:
    """A person says so, once; saying it again changes nothing."""
    async with house(tmp_path, p0()) as home:
        await home.breaks()
        await home.mended()
        await home.lab.move(timedelta(hours=23))
        assert (await home.lab.act(Do.REVIEW)).changed
        assert not (await home.lab.act(Do.REVIEW)).changed
        await home.lab.move(timedelta(days=2))
        assert home.breaches("review") == 0
        assert (await home.entries("person_review"))[0].entry.actor == "anna"


async def test_a_note_after_the_end_makes_no_promise(tmp_path: Path) -> None:
    """It is told and kept; the clock of news stays met."""
    async with house(tmp_path, p0()) as home:
        incident = await home.breaks()
        await home.minutes(5)
        await home.mended()
        await home.lab.act(Do.NOTE, text="It was the disk.", public=True)
        await home.minutes(60)
        _, clocks = await home.lab.alerts_and_clocks(incident)
        (news,) = [clock for clock in clocks if clock.kind is ClockKind.UPDATE]
        assert news.met_at == NOON + 5 * MINUTE
        assert [promised(one) for one in await home.sent(MessageKind.UPDATE, "#incidents")] == [None]
