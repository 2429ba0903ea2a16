"""`pagerduty.get_on_calls` against the fake PagerDuty: who is on call at this moment, by policy and by schedule.

Not here: what a misbehaving PagerDuty means; that is in `tests/integration/actions/test_pagerduty_client.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from runbookd.actions.performer import CataloguePerformer
from tests.contract.actions.hands import (
    NOW,
    SetClock,
    call,
    failed,
    json_answer,
    performing,
    serving,
    succeeded,
)
from tests.fakes.pagerduty import TOKEN, PagerDuty, pagerduty
from tests.fakes.pagerduty_account import Shift

HOUR = timedelta(hours=1)


@asynccontextmanager
async def staffed() -> AsyncIterator[tuple[PagerDuty, CataloguePerformer, SetClock]]:
    """A PagerDuty with two people in turns, a manager who is always there, and a schedule nobody escalates to."""
    clock = SetClock()
    async with (
        pagerduty(clock.now) as server,
        performing(server.config(), clock=clock, pd_token=TOKEN) as performer,
    ):
        anna = server.account.add_user("Anna", "anna@example.com")
        ben = server.account.add_user("Ben", "ben@example.com")
        cleo = server.account.add_user("Cleo", "cleo@example.com")
        server.account.shifts += [
            Shift(user=cleo, schedule=None, policy="PPOLICY", level=2),
            Shift(user=anna, schedule="PTURNS", policy="PPOLICY", start=NOW - HOUR, end=NOW + HOUR),
            Shift(user=ben, schedule="PTURNS", policy="PPOLICY", start=NOW + HOUR, end=NOW + 9 * HOUR),
            Shift(user=anna, schedule="PTURNS", policy="POTHER", level=3, start=NOW - HOUR, end=NOW + HOUR),
            Shift(user=ben, schedule="PALONE", start=NOW - HOUR, end=NOW + HOUR),
        ]
        yield server, performer, clock


async def people(performer: CataloguePerformer, **params: Any) -> list[tuple[object, ...]]:
    """Name, address, level and end of each who is on call."""
    found = succeeded(await performer.perform(call("pagerduty.get_on_calls", params)))["people"]
    return [(one["name"], one["email"], one["level"], one["until"]) for one in found]


async def test_a_policy_gives_its_levels() -> None:
    """Each level's people come in order, with address and end of turn; who is always there has no end."""
    async with staffed() as (_, performer, clock):
        assert await people(performer, escalation_policy="PPOLICY") == [
            ("Anna", "anna@example.com", 1, NOW + HOUR),
            ("Cleo", "cleo@example.com", 2, None),
        ]
        clock.at += 2 * HOUR
        assert (await people(performer, escalation_policy="PPOLICY"))[0][0] == "Ben"


async def test_a_schedule_gives_its_people_once() -> None:
    """A schedule that several policies use names each person once, at the lowest level."""
    async with staffed() as (_, performer, clock):
        assert await people(performer, schedule="PTURNS") == [("Anna", "anna@example.com", 1, NOW + HOUR)]
        clock.at += HOUR
        assert await people(performer, schedule="PTURNS") == [("Ben", "ben@example.com", 1, NOW + 9 * HOUR)]


async def test_a_schedule_no_policy_uses_is_asked_itself() -> None:
    """A schedule without on-call entries is asked for its people of this moment, without level and end."""
    async with staffed() as (server, performer, clock):
        assert await people(performer, schedule="PALONE") == [("Ben", "ben@example.com", None, None)]
        clock.at += 2 * HOUR
        assert await people(performer, schedule="PALONE") == []
    assert [one.path for one in server.asked] == ["/oncalls", "/schedules/PALONE/users"] * 2


async def test_nobody_is_an_answer_and_an_unknown_schedule_is_not() -> None:
    """A policy with nobody on call gives nobody; a schedule that is not there is told apart."""
    async with staffed() as (_, performer, _):
        assert await people(performer, escalation_policy="PNOBODY") == []
        outcome = await performer.perform(call("pagerduty.get_on_calls", {"schedule": "PGONE"}))
        assert "Not Found" in failed(outcome, "not_found")


async def test_every_page_is_read() -> None:
    """More people than fit on a page all come."""
    async with staffed() as (server, performer, _):
        for number in range(250):
            user = server.account.add_user(f"User {number:03}", f"user-{number}@example.com")
            server.account.shifts.append(Shift(user=user, schedule=None, policy="PMANY"))
        found = await people(performer, escalation_policy="PMANY")
    assert [one[0] for one in found] == [f"User {number:03}" for number in range(250)]


async def test_a_user_without_an_address_is_named() -> None:
    """Somebody whose entry says little still is somebody."""

    async def answer(_request: Any) -> Any:
        user = {"id": "PX", "type": "user_reference", "summary": "Dora"}
        return json_answer({"oncalls": [{"user": user, "end": None}], "more": False})

    async with (
        serving(answer) as url,
        performing({"pagerduty": {"rest_url": url, "token_secret": "t"}}, t="x") as performer,
    ):
        assert await people(performer, schedule="PTURNS") == [("Dora", None, None, None)]


@pytest.mark.parametrize(
    "entry", [None, {}, {"user": None}, {"user": {"id": 7}}, {"user": {"id": "PX"}, "end": "soon"}], ids=str
)
async def test_entries_that_are_none_are_told(entry: object) -> None:
    """A list of something else is told as an answer nobody expected."""

    async def answer(_request: Any) -> Any:
        return json_answer({"oncalls": [entry], "more": False})

    async with (
        serving(answer) as url,
        performing({"pagerduty": {"rest_url": url, "token_secret": "t"}}, t="x") as performer,
    ):
        outcome = await performer.perform(call("pagerduty.get_on_calls", {"schedule": "PTURNS"}))
        assert "on-calls" in failed(outcome, "unexpected_status")


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"schedule": "PTURNS", "escalation_policy": "PPOLICY"},
        {"schedule": "../users"},
        {"schedule": "P1/users?x="},
        {"escalation_policy": ""},
    ],
    ids=str,
)
async def test_a_question_written_wrongly_is_refused(params: dict[str, str]) -> None:
    """Neither or both, or what is no id, is refused before anything is asked."""
    async with staffed() as (server, performer, _):
        failed(await performer.perform(call("pagerduty.get_on_calls", params)), "invalid")
    assert server.asked == []
