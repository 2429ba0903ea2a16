"""A review and the public page date what people were told by when it was sent, and say what was not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from runbookd.model.escalation import Channel, Message, MessageKind
from runbookd.reports.public_incidents import public_incidents
from runbookd.reports.review import Review, review_of
from runbookd.reports.review_levels import when_told
from runbookd.units.people import Do
from runbookd.units.record import read_record
from tests.acceptance.engine import NOON, alert
from tests.acceptance.people import MINUTE, SECOND, House, house, ladder, mailed
from tests.acceptance.voices import BUSY

PHONE: dict[str, Any] = {
    "l0": {
        "primary": {"pagerduty": {"service_key": "k" * 32}, "email": "l0@example.com"},
        "secondary": {"email": "l0-backup@example.com"},
    }
}
STORM = 40
"""Incidents at one moment: the last of them waits its turn for minutes."""


async def reviewed(home: House, incident_id: str) -> Review:
    """The review of an incident as it is now."""
    record = await home.lab.store.read(lambda tx: read_record(tx, incident_id))
    return review_of(record, home.lab.clock.at)


def messages_told(review: Review) -> list[tuple[int, str]]:
    """The lines of a timeline that are about pages and their phones, and how many seconds after noon."""
    lines = [line for line in review.timeline if "level 1 of" in line.what or " phone of " in line.what]
    return [(int((line.at - NOON) / SECOND), line.what) for line in lines]


async def test_a_phone_that_rang_late_has_a_line_of_its_own(tmp_path: Path) -> None:
    """Its mail went out at once, its backup's when it could not be rung, and it rang after 21 minutes."""
    levels = [{"after": "0m", "unless": "resolved", "page": ["l0"]}]
    async with house(tmp_path, ladder(levels, PHONE)) as home:
        home.voices.failing = {"pagerduty": [BUSY] * 25}
        incident = await home.breaks()
        await home.minutes(30)
        review = await reviewed(home, incident.id)
        rang = next(one for one in await home.sent(MessageKind.PAGE) if one.channel is Channel.PAGERDUTY)
        assert rang.settled_at is not None
        after = int((rang.settled_at - NOON) / SECOND)
        late = f"PagerDuty, 21 minutes {after - 21 * 60} seconds late"
        assert messages_told(review) == [
            (0, "Page, level 1 of the escalation, sent to l0 (mail)"),
            (30, "The phone of l0 could not be rung in time, and is tried on: not now"),
            (30, "Page, level 1 of the escalation, sent to l0.secondary (mail)"),
            (after, f"Page, level 1 of the escalation, sent to l0 ({late})"),
        ]
        told = [(one.first_at, one.who, one.channel, one.got_through) for one in review.told]
        assert told == [
            (NOON, "l0", "mail", "yes"),
            (NOON + 30 * SECOND, "l0.secondary", "mail", "yes"),
            (rang.settled_at, "l0", "PagerDuty", "yes"),
        ]


async def test_a_phone_that_is_not_tried_any_more_says_why(tmp_path: Path) -> None:
    """Somebody took the incident before it could be rung: it was not, in the timeline and in who was told."""
    levels = [{"after": "0m", "unless": "resolved", "page": ["l0"]}]
    async with house(tmp_path, ladder(levels, PHONE)) as home:
        home.voices.failing = {"pagerduty": [BUSY] * 25}
        incident = await home.breaks()
        await home.minutes(5)
        await home.lab.act(Do.ACKNOWLEDGE, actor="slack:anna")
        await home.minutes(6)
        review = await reviewed(home, incident.id)
        assert messages_told(review)[-1] == (
            300,
            "The phone of l0 is not tried any more: already acknowledged",
        )
        phone = next(one for one in review.told if one.channel == "PagerDuty" and "page" in one.kinds)
        assert (phone.got_through, phone.why) == ("not needed any more", "already acknowledged")


async def last_of_a_storm(home: House) -> tuple[str, list[Message]]:
    """Many incidents open at once; returns the last of them, and its first notices."""
    now = home.lab.clock.now()
    await home.lab.hear(*(alert(began=now, labels={"app": str(number)}) for number in range(STORM)))
    for _ in range(20):
        await home.lab.move(10 * SECOND)
    messages = [one for one in await home.lab.messages() if one.kind is MessageKind.OPENED]
    last = max(messages, key=lambda one: one.settled_at or NOON)
    return str(last.incident_id), [one for one in messages if one.incident_id == last.incident_id]


async def test_in_a_storm_each_channel_is_told_when_it_was(tmp_path: Path) -> None:
    """Slack takes one post a second and Statuspage fewer: two lines, each at its own time, and both late."""
    levels = [{"after": "1h", "notify": ["slack:#late"]}]
    content = ladder(levels, {}, announce=["slack:#incidents", "statuspage"])
    async with house(tmp_path, content) as home:
        incident_id, notices = await last_of_a_storm(home)
        times = {one.channel: one.settled_at for one in notices}
        review = await reviewed(home, incident_id)
        lines = [line for line in review.timeline if line.what.startswith("First notice sent to ")]
        assert [line.at for line in lines] == [times[Channel.SLACK], times[Channel.STATUSPAGE]]
        assert [line.at - NOON >= MINUTE / 2 for line in lines] == [True, True]
        assert ["late)" in line.what for line in lines] == [True, True]
        assert [one.first_at for one in review.told] == [times[Channel.SLACK], times[Channel.STATUSPAGE]]


async def test_the_public_page_dates_words_by_when_they_were_made(tmp_path: Path) -> None:
    """They wait for Statuspage's turn: what they say of the next update counts from the time beside them."""
    levels = [{"after": "1h", "notify": ["slack:#late"]}]
    content = ladder(levels, {}, announce=["statuspage"], update_every="15m")
    async with house(tmp_path, content) as home:
        incident_id, (notice,) = await last_of_a_storm(home)
        desk, now = home.lab.pipeline.desk, home.lab.clock.at
        shown = await home.lab.store.read(lambda tx: public_incidents(tx, desk, now))
        (mine,) = [one for one in shown if one.slug == incident_id[-8:]]
        (update,) = mine.updates
        promised = re.search(r"in (\d+) minutes", update.text)
        assert promised is not None
        assert update.at == mine.updated_at == notice.attempted_at
        assert update.at - mine.opened_at > MINUTE
        assert update.at + int(promised[1]) * MINUTE - (mine.opened_at + 15 * MINUTE) < MINUTE


async def test_a_level_is_told_when_a_page_of_it_got_through(tmp_path: Path) -> None:
    """Its page failed and only its manager was notified: it was called, and the review says who was told."""
    roles = mailed("l1", "l2") | {"Boss": {"primary": {"email": "boss@example.com"}}}
    levels = [
        {"after": "0m", "page": ["l1"]},
        {"after": "30m", "page": ["l2"], "notify": ["Boss"]},
        {"after": "1h", "notify": ["Boss"]},
    ]
    async with house(tmp_path, ladder(levels, roles)) as home:
        home.voices.deaf = {"l2@example.com"}
        incident = await home.breaks()
        await home.minutes(6)
        await home.lab.act(Do.ESCALATE, text="needs a DBA", actor="slack:anna")
        await home.minutes(61)
        review = await reviewed(home, incident.id)
        said = [when_told(level.told) for level in review.levels]
        called = "called at 2026-01-05 12:06:00 (by hand) and 2026-01-05 12:30:00"
        assert said == [
            "told at 2026-01-05 12:00:00 and 2026-01-05 12:06:00 (called by hand)",
            f"{called}, its pages reached nobody; Boss was told",
            "told at 2026-01-05 13:00:00",
        ]
