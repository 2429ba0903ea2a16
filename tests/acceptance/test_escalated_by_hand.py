"""Promise: a person's word tells the next level at once, whatever it waits for."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbookd.model.escalation import MessageKind
from runbookd.units.people import Do
from tests.acceptance.people import house, ladder, library, mailed

PRIORITIES = {"matrix-p1": "P1"}


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
    async with house(
        tmp_path, library({"escalation": escalation, "priority": PRIORITIES.get(escalation, "P0")})
    ) as home:
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


async def test_with_no_level_left_the_manual_trigger_tells_everyone_again(tmp_path: Path) -> None:
    """It is said so, and nobody is paged twice."""
    async with house(tmp_path, ladder([{"after": "0m", "page": ["l1"]}], mailed("l1"))) as home:
        await home.breaks()
        done = await home.lab.act(Do.ESCALATE, text="more")
        assert "no level left" in done.said
        assert len(await home.sent(MessageKind.PAGE)) == 1
        assert len(await home.sent(MessageKind.UPDATE)) == 1
