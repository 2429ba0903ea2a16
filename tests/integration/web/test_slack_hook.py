"""A press of a button in Slack is done, once, for people the settings name; whoever else writes changes nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from runbookd.model.escalation import MessageState
from runbookd.model.event import DeliveryState
from runbookd.model.incident import Incident
from runbookd.units.desk import PAUSED
from tests.fakes.slack import SIGNING_SECRET
from tests.fakes.slack_presses import form, signed
from tests.fakes.slack_workspace import Message, User
from tests.integration.web.doors import NOW, Answer, running_door
from tests.integration.web.house import SLACK, House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """Everything, running."""
    async with house(tmp_path) as running:
        yield running


def anna_of(home: House) -> User:
    """Anna, whom the settings know."""
    return next(user for user in home.slack.workspace.users if user.name == "anna")


def posted(home: House) -> Message:
    """The message about the incident."""
    return next(message for message in home.slack.workspace.channels[0].messages if message.buttons)


async def press(home: House, button: str) -> tuple[int | None, str]:
    """Press a button as Anna does; what Slack hears."""
    channel = home.slack.workspace.channels[0]
    answer = await home.slack.press(f"{home.url}{SLACK}", channel, posted(home), button, anna_of(home))
    await home.work()
    return answer.status, answer.body


def pressing(home: House, incident: Incident | None = None, **action: Any) -> bytes:
    """A press by Anna as it is posted, with other fields of its action."""
    channel = home.slack.workspace.channels[0]
    payload = {
        "type": "block_actions",
        "user": {"id": anna_of(home).id, "name": "anna"},
        "channel": {"id": channel.id},
        "actions": [
            {
                "action_id": "acknowledge",
                "action_ts": "1767614461.169000",
                "value": incident.id if incident else "",
            }
            | action
        ],
    }
    return form(payload)


async def post(home: House, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
    """Post to the door, signed unless told otherwise."""
    if headers is None:
        headers = signed(body, SIGNING_SECRET, home.engine.clock.now())
    return await home.wire.post(body, headers, SLACK)


def said(home: House) -> list[str]:
    """What only Anna sees."""
    return [one.text for one in home.slack.workspace.channels[0].messages if one.seen_by == anna_of(home).id]


async def test_acknowledge(home: House) -> None:
    """The person has it, the ladder stops, who comes next may take over, and Slack hears 200 without a word."""
    incident = await home.trouble()
    assert await press(home, "acknowledge") == (200, "")
    assert (await home.incident(incident)).acknowledged_by == "slack:anna"
    assert [one.entry.actor for one in await home.entries("person_acknowledge")] == ["slack:anna"]
    channel = home.slack.workspace.channels[0]
    assert [one["text"]["text"] for one in channel.messages[0].buttons.values()] == [
        "Take over",
        "Escalate",
        "Pause automation",
    ]
    await home.engine.move(timedelta(hours=1))
    levels = await home.engine.levels(incident)
    assert [level.reason for level in levels[1:]] == ["acknowledged", "acknowledged"]
    assert not said(home)


async def test_escalate(home: House) -> None:
    """The next level that pages is told at once."""
    await home.trouble()
    assert (await press(home, "escalate"))[0] == 200
    await home.work()
    assert [one.entry.detail["level"] for one in await home.entries("level_fired")] == [1, 2]
    assert [one.entry.actor for one in await home.entries("person_escalate")] == ["slack:anna"]


async def test_pause(home: House) -> None:
    """The switch stops all mutating calls, and the person is told how to end that; who paused first stays."""
    incident = await home.trouble()
    assert (await post(home, pressing(home, incident, action_id="pause"))).status == 200
    await home.work()
    value = await home.engine.store.read(lambda tx: tx.switches.get(PAUSED))
    assert json.loads(value or "{}")["by"] == "slack:anna"
    assert json.loads(value or "{}")["reason"] == f"button of {incident.id}"
    again = pressing(home, incident, action_id="pause", action_ts="1767614462.000000")
    for body in (again, again):
        assert (await post(home, body)).status == 200
        await home.work()
    assert await home.engine.store.read(lambda tx: tx.switches.get(PAUSED)) == value
    assert [outcome for _, outcome in await home.outcomes("slack")] == [
        "act_done",
        "act_changed_nothing",
        "act_told_before",
    ]
    first, second = said(home)
    assert first.startswith("Paused: nothing is changed any more, and 0 runs stop.")
    assert second.startswith("The service is paused already")


async def test_somebody_unknown_is_refused_and_told_what_to_do(home: House) -> None:
    """Whatever name they take in Slack, only an id of the settings counts; they alone see the answer."""
    incident = await home.trouble()
    channel = home.slack.workspace.channels[0]
    eve = home.slack.workspace.add_user("anna", "eve@example.com")  # a name is anybody's to take
    channel.members.add(eve.id)
    answer = await home.slack.press(f"{home.url}{SLACK}", channel, posted(home), "acknowledge", eve)
    await home.work()
    assert answer.status == 200
    assert (await home.incident(incident)).acknowledged_by is None
    assert await home.outcomes("slack") == [("acknowledge", "act_by_unknown_person")]
    (entry,) = await home.entries("act_by_unknown_person")
    assert entry.entry.detail["who"] == eve.id
    (told,) = [one.text for one in channel.messages if one.seen_by == eve.id]
    assert told.startswith("Nothing was done: runbookd does not know who you are.")
    assert eve.id in told
    assert "web.people.slack" in told


async def test_the_same_press_twice_is_done_once(home: House) -> None:
    """Delivered again within the five minutes its signature holds, it changes and says nothing."""
    incident = await home.trouble()
    body = pressing(home, incident)
    for _ in range(3):
        assert (await post(home, body)).status == 200
    await home.work()
    assert [outcome for _, outcome in await home.outcomes("slack")] == [
        "act_done",
        "act_told_before",
        "act_told_before",
    ]
    assert not said(home)


async def test_who_is_unknown_is_told_once(home: House) -> None:
    """The same press of somebody unknown, delivered again, is answered no second time."""
    home.engine.pipeline.desk = replace(home.engine.pipeline.desk, people={})
    body = pressing(home, await home.trouble())
    for _ in range(2):
        assert (await post(home, body)).status == 200
    await home.work()
    assert len(await home.entries("act_by_unknown_person")) == 2
    assert len(said(home)) == 1


async def test_who_asks_in_vain_is_told_why(home: House) -> None:
    """An incident that is over, or gone, is no error; the person hears so."""
    incident = await home.trouble()
    await home.api("POST", f"/v1/incidents/{incident.id}/resolve")
    await home.work()
    await post(home, pressing(home, incident, action_ts="1.0"))
    await post(home, pressing(home, None, action_ts="2.0", value="inc-gone"))
    await home.work()
    assert [outcome for _, outcome in await home.outcomes("slack")] == [
        "act_changed_nothing",
        "act_without_incident",
    ]
    over, gone = said(home)
    assert over == f"incident {incident.id} is over already"
    assert gone == "Nothing was done: runbookd has no such incident any more."


async def test_other_interactions_and_buttons_are_recorded(home: House) -> None:
    """They ask nothing, and nobody is told anything."""
    assert (await post(home, pressing(home, action_id="snooze"))).status == 200
    submitted = form({"type": "view_submission", "user": {"id": anna_of(home).id}, "view": {"id": "V1"}})
    assert (await post(home, submitted)).status == 200
    await home.work()
    assert await home.outcomes("slack") == [
        ("snooze", "act_asks_nothing"),
        ("view_submission", "act_asks_nothing"),
    ]
    assert not await home.engine.messages()


@pytest.mark.parametrize(
    "value",
    ["<!channel>", "</p><script>", "a\nb", "x" * 1000, "🔥", "'; DROP TABLE incidents; --", "${secret.x}"],
)
async def test_hostile_text_is_data(home: House, value: str) -> None:
    """Text of a press is kept as it is, opens nothing, and comes back to nobody."""
    body = pressing(home, value=value)
    assert (await post(home, body)).status == 200
    await home.work()
    (entry,) = await home.entries("act_without_incident")
    assert entry.entry.detail["about"] == value
    (reply,) = await home.engine.messages()
    assert value not in str(reply.words)
    assert reply.state is MessageState.SENT


CLOSED = form({"type": "view_closed", "user": {"id": "U012AB3CD"}})
AT = str(int(NOW.timestamp()))


def forged() -> list[dict[str, str]]:
    """Headers that do not vouch for the body `payload={}`."""
    body = b"payload={}"
    good = signed(body, SIGNING_SECRET, NOW)
    late, early = (signed(body, SIGNING_SECRET, NOW + timedelta(seconds=each)) for each in (-301, 301))
    times = ["", "x", "-1", "1e9", "٣", " 1", "9" * 30, AT + ".0", str(int(AT) + 1)]
    signatures = ["", "v0=", "v0=\xff", "v1=" + good["X-Slack-Signature"][3:], "v0=" + "0" * 64, "é"]
    return [
        {},
        late,
        early,
        signed(body, "another-secret", NOW),
        signed(body + b" ", SIGNING_SECRET, NOW),
        {name: value for name, value in good.items() if name != "X-Slack-Request-Timestamp"},
        {name: value for name, value in good.items() if name != "X-Slack-Signature"},
        *({**good, "X-Slack-Request-Timestamp": each} for each in times),
        *({**good, "X-Slack-Signature": each} for each in signatures),
    ]


@pytest.mark.parametrize("headers", forged())
async def test_a_forged_or_old_interaction_is_refused(headers: Mapping[str, str]) -> None:
    """401 whatever is in the headers, never a 500; nothing is kept."""
    config = {"hooks": {"slack": {"signing": [{"value": SIGNING_SECRET}]}}}
    async with running_door(config) as door:
        answer = await door.post(b"payload={}", headers, SLACK)
        assert answer.status == 401
        assert SIGNING_SECRET not in answer.body.decode()
        assert not door.inbox.kept


@pytest.mark.parametrize("seconds", [-300, 0, 300])
async def test_five_minutes_either_way_are_believed(seconds: int) -> None:
    """Clocks differ, and so they may by as much as Slack says."""
    config = {"hooks": {"slack": {"signing": [{"value": "new"}, {"value": SIGNING_SECRET}]}}}
    async with running_door(config) as door:
        headers = signed(CLOSED, SIGNING_SECRET, NOW + timedelta(seconds=seconds))
        answer = await door.post(CLOSED, headers, SLACK)
        assert (answer.status, answer.body) == (200, b"")
        assert len(door.inbox.kept) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"payload=%ff",
        b"payload={",
        b"payload=" + b"[" * 10_000 + b"]" * 10_000,
        urlencode({"payload": '{"type":"\\ud800"}'}).encode(),
        form({"type": "block_actions", "user": {"id": "U1"}, "actions": "all"}),
    ],
)
async def test_a_signed_body_nobody_understands_is_a_dead_letter(home: House, body: bytes) -> None:
    """400: the person sees that the press did nothing, and whoever runs the service has the body."""
    answer = await post(home, body)
    assert (answer.status, answer.json["error"]) == (400, "invalid_payload")
    (kept,) = await home.engine.store.read(lambda tx: tx.deliveries.recent(9))
    assert (kept.state, kept.body) == (DeliveryState.DEAD, body)


async def test_a_header_given_twice_is_refused() -> None:
    """Which of the two was checked by whom nobody can tell."""
    headers = signed(CLOSED, SIGNING_SECRET, NOW)
    lines = [*headers.items(), ("X-Slack-Signature", headers["X-Slack-Signature"])]
    text = "".join(f"{name}: {value}\r\n" for name, value in lines)
    async with running_door({"hooks": {"slack": {"signing": [{"value": SIGNING_SECRET}]}}}) as door:
        request = f"POST {SLACK} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(CLOSED)}\r\n{text}\r\n".encode()
        assert (await door.raw(request + CLOSED)).status == 401


async def test_a_full_disk_is_seen_by_the_person() -> None:
    """503: Slack shows that the press failed, and the person presses again."""
    async with running_door({"hooks": {"slack": {"signing": [{"value": SIGNING_SECRET}]}}}) as door:
        door.inbox.full = True
        assert (await door.post(CLOSED, signed(CLOSED, SIGNING_SECRET, NOW), SLACK)).status == 503
