"""Promise G7: whoever takes an incident, from wherever, stops the ladder: once, at any moment, and no newer one."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runbookd.model.action import Call
from runbookd.model.escalation import MessageKind, MessageState
from runbookd.model.incident import Incident
from runbookd.model.library import Library
from runbookd.model.work import WorkKind
from runbookd.ports import Tx
from runbookd.runtime.people import People
from runbookd.units.people import Act, Do, act
from tests.acceptance.engine import NOON, alert
from tests.acceptance.people import MINUTE, SECOND, House, house, ladder, library, mailed
from tests.fakes.slack_presses import form

Door = Callable[[House, Incident, str], Awaitable[None]]
"""Somebody acknowledges an incident there; the text tells one act from another."""


async def cli(home: House, incident: Incident, act: str) -> None:
    """`runbookd ack`: straight into the database, and nobody needs a name for the act."""
    await home.lab.act(Do.ACKNOWLEDGE, incident_id=incident.id, actor="anna")


async def api(home: House, incident: Incident, act: str) -> None:
    """`POST /v1/incidents/ID/acknowledge` with an `Idempotency-Key`."""
    await _api(home, incident, act, "api:scripts")


async def console(home: House, incident: Incident, act: str) -> None:
    """The same by the console's token."""
    await _api(home, incident, act, "api:console")


async def _api(home: House, incident: Incident, act: str, actor: str) -> None:
    wanted = Act(do=Do.ACKNOWLEDGE, incident_id=incident.id, actor=actor, key=f"{actor}/{act}")
    await People(home.lab.store, home.lab.clock, home.lab.pipeline).act(wanted)
    await home.lab.worker.drain(home.lab.clock.now())


async def slack(home: House, incident: Incident, act: str) -> None:
    """The button under our message."""
    payload = {
        "type": "block_actions",
        "user": {"id": "U0ANNA", "name": "whatever"},
        "channel": {"id": "C1"},
        "actions": [{"action_id": "acknowledge", "action_ts": act, "value": incident.id}],
    }
    await _deliver(home, "slack", form(payload))


async def pagerduty(home: House, incident: Incident, act: str) -> None:
    """Acknowledge in PagerDuty's app, told by its webhook."""
    await _deliver(home, "pagerduty", webhook(home, incident, act))


def webhook(home: House, incident: Incident, act: str, what: str = "incident.acknowledged") -> bytes:
    """What PagerDuty posts."""
    event = {
        "id": act,
        "event_type": what,
        "occurred_at": home.lab.clock.now().isoformat(),
        "agent": {"id": "PANNA", "summary": "Anna Smith", "type": "user_reference"},
        "client": {"name": "PagerDuty"},
        "data": {"id": "PGR0VU2", "type": "incident", "incident_key": incident.id},
    }
    return json.dumps({"event": event}).encode()


async def _deliver(home: House, source: str, body: bytes) -> None:
    receipt = await home.lab.pipeline.receive(source, body, {}, None)
    assert receipt.refusal is None, receipt.refusal
    await home.lab.worker.drain(home.lab.clock.now())


DOORS: dict[str, tuple[Door, str]] = {
    "cli": (cli, "anna"),
    "api": (api, "api:scripts"),
    "console": (console, "api:console"),
    "slack": (slack, "slack:anna"),
    "pagerduty": (pagerduty, "pagerduty:Anna Smith"),
}
"""The five places, and who it is that acts there."""
EVERYWHERE = pytest.mark.parametrize("door", DOORS)

LEVELS = [
    {"after": "0m", "notify": ["slack:#critical-alerts"]},
    {"after": "2m", "unless": "acknowledged", "page": ["l1"]},
    {"after": "5m", "unless": "acknowledged", "page": ["l2"]},
    {"on_breach": "acknowledge", "page": ["l3"]},
]


def content(**priority: Any) -> Library:
    """Two levels and a breach wait for an acknowledgement; the first who is paged has a pager too."""
    roles = mailed("l1", "l2", "l3")
    roles["l1"]["primary"]["pagerduty"] = {"service_key": "${secret.pd_l1}"}
    return ladder(LEVELS, roles, acknowledge_within="8m", **priority)


def home_of(folder: Path, **priority: Any) -> AbstractAsyncContextManager[House]:
    """An engine with that."""
    return house(folder, content(**priority))


async def breaks(home: House) -> Incident:
    """The trouble begins, and Slack's Anna is somebody we know."""
    desk = home.lab.pipeline.desk
    home.lab.pipeline.desk = replace(desk, people={"slack": {"U0ANNA": "anna"}})
    return await home.breaks()


@EVERYWHERE
@pytest.mark.parametrize(
    ("minute", "expected"),
    [
        (0, []),
        (1, []),
        (2, ["l1"]),
        (4, ["l1"]),
        (5, ["l1", "l2"]),
        (7, ["l1", "l2"]),
        (8, ["l1", "l2", "l3"]),
    ],
)
async def test_from_everywhere_and_at_every_minute(
    tmp_path: Path, door: str, minute: int, expected: list[str]
) -> None:
    """Who has been paged by then has; nobody is paged afterwards, and the person is on record."""
    acknowledge, actor = DOORS[door]
    async with home_of(tmp_path) as home:
        incident = await breaks(home)
        await home.minutes(minute)
        await acknowledge(home, incident, "1767614461.1")
        assert [
            page.contact for page in await home.sent(MessageKind.PAGE) if page.channel == "email"
        ] == expected
        await home.minutes(60)
        assert [
            page.contact for page in await home.sent(MessageKind.PAGE) if page.channel == "email"
        ] == expected
        (one,) = await home.lab.incidents()
        assert (one.acknowledged_by, one.acknowledged_at) == (actor, NOON + minute * MINUTE)
        (entry,) = await home.entries("person_acknowledge")
        assert entry.entry.actor == actor


@EVERYWHERE
async def test_the_same_act_told_twice_is_done_once(tmp_path: Path, door: str) -> None:
    """A door that repeats itself changes nothing, says nothing and tells nobody again."""
    acknowledge, _ = DOORS[door]
    async with home_of(tmp_path) as home:
        incident = await breaks(home)
        await home.minutes(3)
        await acknowledge(home, incident, "1767614461.1")
        before = (await home.lab.incidents(), await told(home))
        for _ in range(2):
            await acknowledge(home, incident, "1767614461.1")
        await home.minutes(4)
        await acknowledge(home, incident, "1767614462.2")
        assert (await home.lab.incidents(), await told(home)) == before
        assert len(await home.entries("person_acknowledge")) == 1


async def told(home: House) -> list[str]:
    """Every message, but the words to whoever presses a button for nothing."""
    return [one.key for one in await home.lab.messages() if one.kind is not MessageKind.REPLY]


async def test_a_second_person_takes_over(tmp_path: Path) -> None:
    """The incident was acknowledged when the first did; both are on record, and the ladder stays stopped."""
    async with home_of(tmp_path) as home:
        incident = await breaks(home)
        await home.minutes(1)
        await slack(home, incident, "1767614461.1")
        await home.minutes(3)
        await cli(home, incident, "")
        await home.minutes(30)
        (one,) = await home.lab.incidents()
        assert (one.acknowledged_by, one.acknowledged_at) == ("anna", NOON + MINUTE)
        actors = [entry.entry.actor for entry in await home.entries("person_acknowledge")]
        assert actors == ["slack:anna", "anna"]
        assert await home.sent(MessageKind.PAGE) == []


@EVERYWHERE
async def test_pagers_are_quiet_and_pagerduty_is_not_told_what_it_told(tmp_path: Path, door: str) -> None:
    """An acknowledgement made there does not go round in a circle; one made elsewhere arrives there once."""
    acknowledge, _ = DOORS[door]
    async with home_of(tmp_path) as home:
        incident = await breaks(home)
        await home.minutes(3)
        await acknowledge(home, incident, "1767614461.1")
        await home.minutes(9)
        told = [call.params["action"] for _, call in home.voices.sent if call.action.startswith("pagerduty")]
        assert told == (["trigger"] if door == "pagerduty" else ["trigger", "acknowledge"])


async def test_what_is_resolved_in_pagerduty_is_over_here(tmp_path: Path) -> None:
    """And nobody is paged for it any more."""
    async with home_of(tmp_path) as home:
        incident = await breaks(home)
        await home.minutes(3)
        await _deliver(home, "pagerduty", webhook(home, incident, "e1", "incident.resolved"))
        assert (await home.lab.incidents())[0].resolved_at == NOON + 3 * MINUTE
        await home.minutes(30)
        assert [page.contact for page in await home.sent(MessageKind.PAGE, "l")] == ["l1", "l1"]


@EVERYWHERE
async def test_a_newer_episode_is_another_incident(tmp_path: Path, door: str) -> None:
    """An old message's button, or a webhook that comes late, is about the incident that it was sent for."""
    acknowledge, _ = DOORS[door]
    async with home_of(tmp_path) as home:
        old = await breaks(home)
        await home.minutes(1)
        await home.mended()
        await home.minutes(2)
        new = await home.breaks()
        assert new.id != old.id
        await home.lab.move(MINUTE)
        if door in {"api", "console"}:
            with pytest.raises(Exception, match="is over already"):
                await acknowledge(home, old, "1767614461.1")
        else:
            await acknowledge(home, old, "1767614461.1")
        assert (await home.lab.incidents())[-1].acknowledged_by is None
        assert await home.entries("person_acknowledge") == []
        await home.lab.move(10 * MINUTE)
        paged = {page.contact for page in await home.sent(MessageKind.PAGE) if page.incident_id == new.id}
        assert paged == {"l1", "l2", "l3"}


# races -------------------------------------------------------------------------------------------------------


async def run_until(home: House, minutes: int, stop_after: int) -> int:
    """Do what is due one thing after another, and acknowledge after so many things; returns how many there were."""
    lab, end, done = home.lab, NOON + minutes * MINUTE, 0
    lease = lab.pipeline.desk.lease
    while True:
        if done == stop_after:
            await lab.store.write(lambda tx: _acknowledged(home, tx))
            done += 1
        works = await lab.store.write(lambda tx: tx.work.claim("racer", lab.clock.now(), lease, 1))
        if not works:
            due = await lab.store.read(lambda tx: tx.work.next_due())
            if due is None or due > end:
                return done
            lab.clock.at = max(lab.clock.at, due)
            continue
        await lab.worker.handlers[works[0].kind](works[0])
        done += 1


async def _acknowledged(home: House, tx: Tx) -> None:
    incident = (await tx.incidents.recent(1, {}))[0]
    wanted = Act(do=Do.ACKNOWLEDGE, incident_id=incident.id, actor="anna", key="k")
    await act(tx, home.lab.pipeline.desk, wanted, home.lab.clock.now())


async def test_between_any_two_things_that_are_done(tmp_path: Path) -> None:
    """Wherever it lands - before a level's unit, after it, before or after its page - no page begins after it."""
    (tmp_path / "whole").mkdir()
    async with home_of(tmp_path / "whole") as home:
        await breaks_quietly(home)
        things = await run_until(home, 12, -1)
        assert len(await home.sent(MessageKind.PAGE, "l")) == 4
    for after in range(things + 1):
        folder = tmp_path / str(after)
        folder.mkdir()
        async with home_of(folder) as home:
            await breaks_quietly(home)
            await run_until(home, 12, after)
            (incident,) = await home.lab.incidents()
            pages = [one for one in await home.lab.messages() if one.kind is MessageKind.PAGE]
            assert incident.acknowledged_at is not None
            for page in pages:
                begun = page.attempted_at is not None
                assert begun == (page.state is MessageState.SENT), page
                assert begun or page.reason == "already acknowledged", page
            sent = [one for one in await home.entries("message_sent") if one.entry.detail["kind"] == "page"]
            (acked,) = await home.entries("person_acknowledge")
            assert all(one.seq < acked.seq for one in sent)
            levels = await home.lab.levels(incident)
            assert {level.state.value for level in levels} <= {"fired", "skipped", "pending"}
            assert [level.number for level in levels if level.state.value == "pending"] in ([], [3])


async def breaks_quietly(home: House) -> None:
    """The trouble is admitted, and nothing else is done yet."""
    body = json.dumps({"version": "4", "alerts": [alert(began=home.lab.clock.now())]}).encode()
    await home.lab.pipeline.receive("alertmanager", body, {}, None)
    works = await home.lab.store.write(
        lambda tx: tx.work.claim("racer", home.lab.clock.now(), timedelta(seconds=30), 1)
    )
    assert [work.kind for work in works] == [WorkKind.ADMIT]
    await home.lab.worker.handlers[WorkKind.ADMIT](works[0])


@pytest.mark.parametrize("contact", ["l1@example.com", "l2@example.com", "l3@example.com"])
async def test_while_a_page_is_on_its_way(tmp_path: Path, contact: str) -> None:
    """What has begun is ended, and nothing begins after it; a pager that rang meanwhile is made quiet afterwards."""
    async with home_of(tmp_path) as home:
        await breaks(home)

        async def comes(call: Call) -> None:
            if call.params.get("to") == [contact] and call.action == "email.send":
                home.voices.meanwhile = None
                await home.lab.store.write(lambda tx: _acknowledged(home, tx))

        home.voices.meanwhile = comes
        await home.minutes(30)
        paged = [page.contact for page in await home.sent(MessageKind.PAGE, "l") if page.channel == "email"]
        assert paged == ["l1", "l2", "l3"][: ["l1", "l2", "l3"].index(contact[:2]) + 1]
        assert {one.state for one in await home.lab.messages()} <= {MessageState.SENT, MessageState.DROPPED}
        rang = [call.params["action"] for _, call in home.voices.sent if call.action.startswith("pagerduty")]
        assert rang == ([] if contact.startswith("l1") else ["trigger", "acknowledge"])


async def test_late_by_a_second_and_still_before_the_level(tmp_path: Path) -> None:
    """The breach is counted, but who was to be told of it is not: somebody has it."""
    async with home_of(tmp_path) as home:
        incident = await breaks(home)
        await home.minutes(7)
        await home.sleeps(MINUTE + SECOND)
        await home.lab.store.write(lambda tx: _acknowledged(home, tx))
        await home.minutes(30)
        assert home.breaches("acknowledge") == 1
        assert "l3" not in {page.contact for page in await home.sent(MessageKind.PAGE)}
        level = (await home.lab.levels(incident))[3]
        assert (level.state.value, level.reason) == ("skipped", "acknowledged")


async def test_the_shipped_ladders_stop_too(tmp_path: Path) -> None:
    """The runbook's own: taken after three minutes, a P0 pages nobody at five."""
    async with house(tmp_path, library()) as home:
        await breaks(home)
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(29)
        assert {who for _, who in await home.heard()} == {"tell slack:#critical-alerts", "page L1 Support"}
