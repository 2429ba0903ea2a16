"""Promise G8: a phone that could not be rung is never given up because mail or Slack took the same page."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runbookd.model.escalation import Channel, Message, MessageState
from runbookd.model.library import Library
from runbookd.units.people import Do
from tests.acceptance.engine import NOON
from tests.acceptance.people import MINUTE, SECOND, House, house, ladder, mailed
from tests.acceptance.voices import BUSY, DEAF, DOUBT

LEVELS = [
    {"after": "0m", "page": ["l1"]},
    {"after": "10m", "unless": "acknowledged", "page": ["l2"]},
    {"after": "20m", "unless": "acknowledged", "page": ["l3"]},
]
WAIT = replace(BUSY, kind="rate_limited", retry_after=61)
LONG_WAIT = replace(WAIT, retry_after=1200)


def content(levels: list[dict[str, Any]] = LEVELS, *, backups: bool = False, **priority: Any) -> Library:
    """The first who is paged has a phone, Slack and mail; the others have mail alone."""
    roles = mailed("l1", "l2", "l3")
    roles["l1"] = mailed("l1", backups=backups)["l1"]
    roles["l1"]["primary"] |= {"slack": "#l1", "pagerduty": {"service_key": "${secret.pd_l1}"}}
    return ladder(levels, roles, **priority)


def rang(home: House) -> list[timedelta]:
    """When the phone was rung, by the time since the incident opened."""
    return [
        at - NOON
        for at, call in home.voices.sent
        if at is not None and call.action.startswith("pagerduty") and call.params["action"] == "trigger"
    ]


async def phone(home: House) -> Message:
    """The first page to the phone."""
    return next(one for one in await home.lab.messages() if one.channel is Channel.PAGERDUTY)


async def test_a_phone_that_asks_for_a_wait_is_rung_after_it(tmp_path: Path) -> None:
    """PagerDuty says 429, Retry-After: 61. The secondary is paged now, and the phone rings after the wait."""
    async with house(tmp_path, content(backups=True)) as home:
        home.voices.failing = {"pagerduty": [WAIT]}
        await home.breaks()
        assert await home.heard() == [(0, "page l1"), (0, "page l1.secondary")]
        await home.minutes(9)
        assert rang(home) == [61 * SECOND]
        page = await phone(home)
        assert page.state is MessageState.SENT
        assert "This page is 1 minute 1 second late: the pager did not take it before." in str(
            page.words["body"]
        )
        assert await home.entries("nobody_reached") == []
        (passed,) = await home.entries("page_passed_on")
        assert (passed.entry.detail["contact"], passed.entry.detail["reason"]) == ("l1", "rate_limited")


async def test_a_phone_that_is_out_of_order_for_more_than_a_minute(tmp_path: Path) -> None:
    """There is no secondary: the next level comes early, and no other; the phone is tried on until it rings, once."""
    async with house(tmp_path, content()) as home:
        home.voices.failing = {"pagerduty": [BUSY] * 9}
        await home.breaks()
        await home.minutes(1)
        assert await home.heard() == [(0, "page l1"), (0, "page l2")]
        (nobody,) = await home.entries("nobody_reached")
        assert (nobody.entry.detail["contact"], nobody.entry.detail["another_level"]) == ("l1", True)
        await home.minutes(30)
        assert [MINUTE < at < 8 * MINUTE for at in rang(home)] == [True]
        assert (await home.heard())[-1] == (20, "page l3")
        assert len(await home.entries("nobody_reached")) == 1


async def test_a_call_without_an_answer_counts_as_one_that_did_not_ring(tmp_path: Path) -> None:
    """Nobody knows whether it rang: others are paged, and it is rung again under its key."""
    async with house(tmp_path, content([LEVELS[0]], backups=True)) as home:

        async def comes(call: Any) -> None:
            trying = call.action.startswith("pagerduty") and home.lab.clock.now() < NOON + MINUTE
            home.voices.coming = [DOUBT] if trying else []

        home.voices.meanwhile = comes
        await home.breaks()
        await home.minutes(9)
        assert (0, "page l1.secondary") in await home.heard()
        assert len(rang(home)) == 1


@pytest.mark.parametrize("do", [Do.ACKNOWLEDGE, Do.RESOLVE])
async def test_nobody_is_rung_late_for_what_somebody_has(tmp_path: Path, do: Do) -> None:
    """Once a person has it, or it is over, the page is given up at once and the phone stays silent."""
    async with house(tmp_path, content([{"after": "0m", "page": ["l1"]}], backups=True)) as home:
        home.voices.failing = {"pagerduty": [LONG_WAIT]}
        await home.breaks()
        await home.minutes(3)
        await home.lab.act(do)
        await home.lab.move(2 * SECOND)
        page = await phone(home)
        done = "acknowledged" if do is Do.ACKNOWLEDGE else "resolved"
        assert (page.state, page.reason) == (MessageState.DROPPED, f"already {done}")
        await home.minutes(90)
        assert rang(home) == []
        assert all(one.settled for one in await home.lab.messages())


async def test_who_is_called_by_hand_is_rung_late_though_somebody_has_it(tmp_path: Path) -> None:
    """Whoever has it wants help: the phone that was called for rings after the wait, unless it is over by then."""
    levels = [{"after": "0m", "page": ["l2"]}, {"after": "30m", "unless": "acknowledged", "page": ["l1"]}]
    for over in (False, True):
        (tmp_path / str(over)).mkdir()
        async with house(tmp_path / str(over), content(levels, backups=True)) as home:
            await home.breaks()
            await home.minutes(1)
            await home.lab.act(Do.ACKNOWLEDGE)
            home.voices.failing = {"pagerduty": [LONG_WAIT]}
            await home.lab.act(Do.ESCALATE, text="more")
            await home.minutes(2)
            if over:
                await home.lab.act(Do.RESOLVE)
            await home.minutes(40)
            assert rang(home) == ([] if over else [21 * MINUTE])


async def test_it_is_tried_for_an_hour(tmp_path: Path) -> None:
    """Then it is recorded as failed, and hurries nobody a second time."""
    async with house(tmp_path, content([LEVELS[0]], backups=True)) as home:
        home.voices.failing = {"pagerduty": [BUSY] * 500}
        await home.breaks()
        await home.minutes(120)
        assert await home.heard() == [(0, "page l1"), (0, "page l1.secondary")]
        page = await phone(home)
        assert page.state is MessageState.FAILED
        assert page.settled_at is not None
        assert 58 * MINUTE < page.settled_at - NOON <= 60 * MINUTE
        assert len(await home.entries("message_failed")) == 1


async def test_a_phone_that_fails_for_good_is_no_answer(tmp_path: Path) -> None:
    """Nobody else is left to page, so the levels begin anew until the phone rings."""
    async with house(tmp_path, content([LEVELS[0]])) as home:
        home.voices.failing = {"pagerduty": [DEAF]}
        await home.breaks()
        assert [one.entry.detail["contact"] for one in await home.entries("nobody_reached")] == ["l1"]
        await home.minutes(60)
        assert rang(home) == [5 * MINUTE]
        assert await home.heard() == [(0, "page l1"), (5, "page l1")]


async def test_what_else_fails_of_the_contact_hurries_nobody_again(tmp_path: Path) -> None:
    """The phone has failed, and then Slack and mail do: one level is early, not three."""
    async with house(tmp_path, content()) as home:
        home.voices.failing = {"pagerduty": [DEAF], "slack": [BUSY, DEAF]}
        home.voices.deaf = {"l1@example.com"}
        await home.breaks()
        await home.minutes(9)
        assert await home.heard() == [(0, "page l2")]
        await home.minutes(25)
        assert await home.heard() == [(0, "page l2"), (20, "page l3")]


async def test_a_phone_that_the_settings_do_not_know_is_none(tmp_path: Path) -> None:
    """Without a key for PagerDuty, Slack and mail are how this contact is reached."""
    async with house(tmp_path, content(backups=True)) as home:
        home.voices.failing = {"pagerduty": [replace(DEAF, kind="secret_missing")]}
        await home.breaks()
        await home.minutes(9)
        assert await home.heard() == [(0, "page l1")]
