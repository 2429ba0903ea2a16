"""Promise G8: a page that reaches nobody, and a remedy that fails, are somebody else's page at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runbookd.model.escalation import MessageKind
from runbookd.model.library import Library
from runbookd.model.playbook import Playbook
from runbookd.units.people import Do
from tests.acceptance.people import MINUTE, SECOND, house, ladder, library, mailed
from tests.acceptance.voices import BUSY, DEAF, NOT_NOW

LONG = 25  # minutes after which nothing of a case below is left to come

STEPS = [
    {"after": "0m", "page": ["l1"]},
    {"after": "10m", "unless": "acknowledged", "page": ["l2"]},
    {"on_breach": "resolve", "page": ["l3"]},
]
DEAF_L1 = {"l1@example.com", "l1-backup@example.com"}


async def test_a_level_that_leads_to_nobody_is_skipped_at_once_and_recorded(tmp_path: Path) -> None:
    """A role that has gone from the files has no reader: the next level is told now, a breach's too."""
    roles = mailed("l1", "l2", "l3")
    content = ladder(STEPS, {"l3": roles["l3"]}, resolve_within="30m")
    async with house(tmp_path, content) as home:
        incident = await home.breaks()
        assert await home.heard() == [(0, "page l3")]
        assert [(level.state.value, level.reason) for level in await home.lab.levels(incident)] == [
            ("skipped", "nobody_to_reach"),
            ("skipped", "nobody_to_reach"),
            ("fired", None),
        ]
        assert [entry.entry.detail["reach"] for entry in await home.entries("nobody_to_reach")] == [
            "l1",
            "l2",
        ]


async def test_when_every_address_of_the_primary_fails_the_secondary_is_paged(tmp_path: Path) -> None:
    """At once and not after the rest of the ladder's wait; when that fails too, the next level is."""
    async with house(tmp_path, ladder(STEPS, mailed("l1", "l2", "l3", backups=True))) as home:
        home.voices.deaf = {"l1@example.com"}
        await home.breaks()
        assert await home.heard() == [(0, "page l1.secondary")]
        assert await home.entries("nobody_reached") == []
    (tmp_path / "deaf").mkdir()
    async with house(tmp_path / "deaf", ladder(STEPS, mailed("l1", "l2", "l3", backups=True))) as home:
        home.voices.deaf = set(DEAF_L1)
        await home.breaks()
        assert await home.heard() == [(0, "page l2")]
        (nobody,) = await home.entries("nobody_reached")
        assert nobody.entry.detail["contact"] == "l1.secondary"


async def test_one_address_that_answers_is_enough(tmp_path: Path) -> None:
    """A contact of whom one address fails is reached by the other; nobody else is woken for it."""
    roles = {"l1": {"primary": {"email": "l1@example.com", "slack": "#l1"}}, **mailed("l2", "l3")}
    async with house(tmp_path, ladder(STEPS, roles)) as home:
        home.voices.deaf = {"l1@example.com"}
        await home.breaks()
        await home.minutes(9)
        assert await home.heard() == [(0, "page l1")]


async def test_a_level_that_reached_one_of_its_roles_does_not_hurry_the_next(tmp_path: Path) -> None:
    """Somebody of the level was reached, so the next one has its time."""
    levels = [{"after": "0m", "page": ["l1", "l2"]}, {"after": "10m", "page": ["l3"]}]
    async with house(tmp_path, ladder(levels, mailed("l1", "l2", "l3"))) as home:
        home.voices.deaf = {"l1@example.com"}
        await home.breaks()
        await home.minutes(12)
        assert await home.heard() == [(0, "page l2"), (10, "page l3")]


async def test_two_contacts_with_the_same_backup_page_it_once(tmp_path: Path) -> None:
    """Both primaries of a level fail, and both fall through to one address."""
    shared = {"email": "backup@example.com"}
    roles = {name: {**role, "secondary": shared} for name, role in mailed("l1", "l2", "l3").items()}
    levels = [{"after": "0m", "page": ["l1", "l2"]}, {"after": "10m", "page": ["l3"]}]
    async with house(tmp_path, ladder(levels, roles)) as home:
        home.voices.deaf = {"l1@example.com", "l2@example.com"}
        await home.breaks()
        assert len(await home.sent(MessageKind.PAGE)) == 1
        await home.minutes(9)
        assert len(await home.sent(MessageKind.PAGE)) == 1


async def test_a_backup_that_is_paged_anyway_is_paged_once(tmp_path: Path) -> None:
    """A level names a role and its secondary, and the role falls through to it."""
    levels = [{"after": "0m", "page": ["l1", "l1.secondary"]}]
    async with house(tmp_path, ladder(levels, mailed("l1", backups=True))) as home:
        home.voices.deaf = {"l1@example.com"}
        await home.breaks()
        await home.minutes(9)
        assert await home.heard() == [(0, "page l1.secondary")]
        assert len(await home.sent(MessageKind.PAGE)) == 1


async def test_a_channel_that_is_busy_falls_through_within_a_minute(tmp_path: Path) -> None:
    """A page is tried for a minute and not for an hour: the next contact is better than a wait."""
    async with house(tmp_path, ladder(STEPS, mailed("l1", "l2", "l3", backups=True))) as home:
        home.voices.failing = {"email": [BUSY] * 5}
        await home.breaks()
        await home.minutes(9)
        assert await home.heard() == [(0, "page l1.secondary")]
        assert len(home.voices.tried) == 6


async def test_a_channel_that_asks_for_a_long_wait_is_not_waited_for(tmp_path: Path) -> None:
    """Told to come back in ten minutes, runbookd pages the secondary now."""
    async with house(tmp_path, ladder(STEPS, mailed("l1", "l2", "l3", backups=True))) as home:
        home.voices.failing = {"email": [replace(BUSY, kind="rate_limited", retry_after=600)]}
        await home.breaks()
        assert await home.heard() == [(0, "page l1.secondary")]


async def test_when_no_page_gets_through_the_ladder_begins_anew(tmp_path: Path) -> None:
    """Mail is out of order for half an hour: once it works again the first level is told, and the next after it."""
    async with house(tmp_path, ladder(STEPS, mailed("l1", "l2", "l3"))) as home:
        home.voices.deaf = {"example.com"}
        await home.breaks()
        await home.minutes(30)
        assert await home.heard() == []
        home.voices.deaf = set()
        await home.minutes(60)
        heard = await home.heard()
        assert heard[0][1] == "page l1"
        assert 30 < heard[0][0] <= 60
        assert [who for _, who in heard] == ["page l1", "page l2", "page l3"]
        begun = [one for one in await home.entries("nobody_reached") if one.entry.detail["anew_at"]]
        assert 1 <= len(begun) <= 4


async def test_when_it_is_over_or_somebody_has_it_nothing_begins_anew(tmp_path: Path) -> None:
    """No page got through, and nobody needs one any more."""
    for do in (Do.ACKNOWLEDGE, Do.RESOLVE):
        folder = tmp_path / do.value
        folder.mkdir()
        async with house(folder, ladder(STEPS, mailed("l1", "l2", "l3"))) as home:
            home.voices.deaf = {"example.com"}
            await home.breaks()
            await home.lab.act(do)
            home.voices.deaf = set()
            await home.minutes(120)
            assert [one for one in await home.heard() if "page" in one[1]] == []


async def test_when_somebody_has_it_a_failed_page_hurries_nobody(tmp_path: Path) -> None:
    """The secondary is still paged for the level, but the next level keeps its time."""
    levels = [{"after": "0m", "page": ["l1"]}, {"after": "10m", "page": ["l2"]}]
    async with house(tmp_path, ladder(levels, mailed("l1", "l2", backups=True))) as home:
        home.voices.deaf = set(DEAF_L1)
        home.voices.coming = [NOT_NOW]
        await home.breaks()
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(12)
        assert await home.heard() == [(10, "page l2")]


async def test_after_an_outage_a_highest_level_that_reaches_nobody_is_no_end(tmp_path: Path) -> None:
    """The level it had taken in is paged after all."""
    levels = [
        {"after": "1m", "page": ["l1"]},
        {"after": "2m", "page": ["l2"]},
        {"after": "3m", "page": ["l3"]},
    ]
    async with house(tmp_path, ladder(levels, mailed("l1", "l2", "l3"))) as home:
        home.voices.deaf = {"l3@example.com"}
        await home.breaks()
        await home.sleeps(5 * MINUTE)
        await home.lab.move(SECOND)
        assert await home.heard() == [(5, "page l2")]


# after automation -----------------------------------------------------------------------------------------------

REMEDY = Playbook.model_validate(
    {
        "playbook": "remedy",
        "steps": [
            {"id": "first", "action": "hand.first", "timeout": "5s"},
            {"id": "rest", "wait": "4m"},
            {"id": "last", "action": "hand.last", "timeout": "5s"},
        ],
    }
)


def automated(levels: Sequence[Mapping[str, Any]], **more: Any) -> Library:
    """A P0 with a remedy and these levels."""
    content = ladder([dict(level) for level in levels], mailed("l1", "l2"), **more)
    rules = library({"run": [{"playbook": "remedy"}]}).rules
    return replace(content, rules=rules, playbooks={"remedy": REMEDY})


@pytest.mark.parametrize(("fails", "minute"), [("hand.first", 0), ("hand.last", 4)])
async def test_when_automation_fails_the_first_page_does_not_wait(
    tmp_path: Path, fails: str, minute: int
) -> None:
    """A level that was left to automation, which was at work in time, is told as soon as that has given up."""
    levels = [{"after": "2m", "unless": "responded", "page": ["l1"]}, {"after": "20m", "page": ["l2"]}]
    async with house(tmp_path, automated(levels)) as home:
        home.voices.failing = {fails: [DEAF]}
        await home.breaks()
        await home.minutes(LONG)
        assert await home.heard() == [(minute, "page l1"), (20, "page l2")]


async def test_while_automation_is_at_work_a_level_is_left_to_it(tmp_path: Path) -> None:
    """And when the remedy has held, nobody is woken."""
    levels = [{"after": "2m", "unless": "responded", "page": ["l1"]}]
    async with house(tmp_path, automated(levels)) as home:
        incident = await home.breaks()
        await home.minutes(LONG)
        assert await home.heard() == []
        assert [level.reason for level in await home.lab.levels(incident)] == ["responded"]


async def test_who_was_paged_before_hears_that_automation_has_given_up(tmp_path: Path) -> None:
    """By an update, not by a second page."""
    levels = [{"after": "0m", "page": ["l1"]}]
    async with house(tmp_path, automated(levels)) as home:
        home.voices.failing = {"hand": [DEAF]}
        await home.breaks()
        await home.minutes(5)
        assert len(await home.sent(MessageKind.PAGE)) == 1
        (update,) = await home.sent(MessageKind.UPDATE)
        assert "Handed to people: a remedy failed" in str(update.words["body"])


async def test_who_was_at_work_and_is_not_any_more_stops_nothing(tmp_path: Path) -> None:
    """Their acknowledgement has expired: what waits for somebody at work on it comes at its time, or at once."""
    levels = [{"after": "0m", "page": ["l1"]}, {"after": "40m", "unless": "responded", "page": ["l2"]}]
    for deaf, expected in (
        (set(), [(0, "page l1"), (15, "page l1"), (40, "page l2")]),
        ({"l1@example.com"}, [(0, "page l1"), (15, "page l2")]),
    ):
        folder = tmp_path / str(len(deaf))
        folder.mkdir()
        content = ladder(levels, mailed("l1", "l2"), ack_expires="10m")
        async with house(folder, content) as home:
            await home.breaks()
            await home.minutes(5)
            await home.lab.act(Do.ACKNOWLEDGE)
            home.voices.deaf = deaf
            await home.minutes(60)
            assert await home.heard() == expected
