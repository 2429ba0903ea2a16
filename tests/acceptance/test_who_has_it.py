"""Promise G7: an acknowledgement runs out for whoever has the incident, from when they have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbookd.units.people import Do
from tests.acceptance.engine import NOON
from tests.acceptance.people import MINUTE, SECOND, House, house, ladder, mailed

LEVELS = [
    {"after": "0m", "page": ["l1"]},
    {"after": "2m", "page": ["l2"]},
    {"after": "5m", "page": ["l3"]},
    {"after": "60m", "unless": "acknowledged", "page": ["l4"]},
]


def home_of(folder: Path) -> Any:
    """Acknowledgements last half an hour; three levels page whoever has it, and one does not."""
    roles = mailed("l1", "l2", "l3", "l4")
    return house(folder, ladder(LEVELS, roles, acknowledge_within="4m", ack_expires="30m"))


async def expiries(home: House) -> list[tuple[object, object]]:
    """Whose time has run out, and since when they had had the incident."""
    found = await home.entries("acknowledgement_expired")
    return [(one.entry.detail["by"], one.entry.detail["since"]) for one in found]


async def test_after_a_take_over_whoever_was_paged_last_before_it_is_asked(tmp_path: Path) -> None:
    """The first acknowledgement met the clock; the second is the one that runs out."""
    async with home_of(tmp_path) as home:
        await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE, actor="api:console")
        await home.minutes(7)
        await home.lab.act(Do.ACKNOWLEDGE, actor="cli:root")
        (incident,) = await home.lab.incidents()
        assert incident.acknowledged_at == NOON + 3 * MINUTE
        before = await home.heard()
        await home.minutes(39)
        assert (await home.heard())[len(before) :] == [(37, "page l3")]
        assert await expiries(home) == [("cli:root", NOON + 7 * MINUTE)]
        page = (await home.lab.messages())[-1]
        assert "root (command line)'s acknowledgement has expired" in str(page.words["body"])


@pytest.mark.parametrize("sign", [Do.NOTE, Do.ACKNOWLEDGE])
async def test_a_sign_of_life_is_no_take_over(tmp_path: Path, sign: Do) -> None:
    """It lasts longer, and whoever was paged last before it was first given is asked."""
    async with home_of(tmp_path) as home:
        await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE, actor="anna")
        await home.minutes(10)
        await home.lab.act(sign, actor="slack:anna" if sign is Do.NOTE else "anna", text="on it")
        await home.minutes(41)
        assert (await home.heard())[3:] == [(40, "page l2")]
        assert await expiries(home) == [("anna", NOON + 3 * MINUTE)]


async def test_an_assignment_by_a_third_person_gives_the_new_leader_the_full_time(tmp_path: Path) -> None:
    """It is not undone when the time of the one before would have been over; then the new leader's name is told."""
    async with home_of(tmp_path) as home:
        await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE, actor="api:console")
        await home.minutes(32)
        done = await home.lab.act(Do.ASSIGN, actor="cli:root", text="bob")
        assert done.incident.acknowledged_until == NOON + 62 * MINUTE
        await home.minutes(61)
        (incident,) = await home.lab.incidents()
        assert incident.assignee == "bob"
        assert (await home.heard())[3:] == []
        await home.minutes(63)
        (incident,) = await home.lab.incidents()
        assert incident.assignee is None
        assert await expiries(home) == [("bob", NOON + 32 * MINUTE)]
        assert (await home.heard())[3] == (62, "page l3")
        asked = next(one for one in await home.lab.messages() if one.created_at >= NOON + 62 * MINUTE)
        assert "console's acknowledgement, handed to bob, has expired" in str(asked.words["body"])


async def test_an_assignment_is_no_acknowledgement(tmp_path: Path) -> None:
    """Nobody had taken it, so nothing runs out, and the levels go on."""
    async with home_of(tmp_path) as home:
        await home.breaks()
        await home.lab.move(SECOND)
        done = await home.lab.act(Do.ASSIGN, actor="cli:root", text="bob")
        assert (done.incident.acknowledged_at, done.incident.acknowledged_until) == (None, None)
        await home.minutes(61)
        assert [who for _, who in await home.heard()] == ["page l1", "page l2", "page l3", "page l4"]


async def test_who_has_it_can_take_it_up_again_after_it_has_expired(tmp_path: Path) -> None:
    """The same person as before, whose second time begins when they take it again."""
    async with home_of(tmp_path) as home:
        await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(34)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(65)
        assert await expiries(home) == [("anna", NOON + 3 * MINUTE), ("anna", NOON + 34 * MINUTE)]
