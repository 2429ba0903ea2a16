"""What a person does in PagerDuty is done here, once; whoever else writes to its door changes nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runbookd.errors import SettingsError
from runbookd.model.event import DeliveryState
from runbookd.model.incident import Incident, IncidentState
from runbookd.web.app import hook_doors
from runbookd.web.config import WebConfig
from tests.fakes.pagerduty_account import User
from tests.fakes.pagerduty_webhooks import Subscription
from tests.integration.web.doors import BEARER, Answer, running_door
from tests.integration.web.house import PAGERDUTY, PD_SECRET, House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """Everything, running."""
    async with house(tmp_path) as running:
        yield running


def subscribed(home: House) -> Subscription:
    """Have PagerDuty tell the door of everything."""
    return home.pagerduty.subscribe(f"{home.url}{PAGERDUTY}", PD_SECRET)


def user(home: House, name: str = "Anna Smith") -> User:
    """Somebody with an account there."""
    return home.pagerduty.account.add_user(name, "anna@example.com")


def signed(body: bytes, *secrets: str) -> dict[str, str]:
    """The header of a body signed with these secrets."""
    digests = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets]
    return {"X-PagerDuty-Signature": ",".join(f"v1={digest}" for digest in digests)}


def webhook(**event: Any) -> bytes:
    """An acknowledgement by Anna, with other fields."""
    agent = {"id": "PLH1HKV", "summary": "Anna Smith", "type": "user_reference"}
    whole = {
        "id": "e-1",
        "event_type": "incident.acknowledged",
        "occurred_at": "2026-01-05T12:00:00Z",
        "agent": agent,
        "data": {"id": "P1", "type": "incident"},
    }
    return json.dumps({"event": whole | event}).encode()


def about(incident: Incident, **event: Any) -> bytes:
    """The same about an incident of ours."""
    return webhook(data={"id": "P1", "type": "incident", "incident_key": incident.id}, **event)


async def post(home: House, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
    """Post to the door, signed unless told otherwise."""
    return await home.wire.post(body, signed(body, PD_SECRET) if headers is None else headers, PAGERDUTY)


async def test_an_acknowledgement_there_is_one_here(home: House) -> None:
    """The person has it, the ladder stops, and PagerDuty hears nothing of what it has told."""
    subscription, anna = subscribed(home), user(home)
    incident = await home.trouble()
    sent = len(home.pagerduty.accepted)
    home.pagerduty.acknowledge(incident.id, anna)
    await home.pagerduty.settled()
    await home.work()
    now = await home.incident(incident)
    assert now.acknowledged_by == "pagerduty:anna"
    assert [delivery.status for delivery in subscription.deliveries] == [202, 202]
    assert len(home.pagerduty.accepted) == sent
    await home.engine.move(timedelta(hours=1))
    levels = await home.engine.levels(incident)
    assert [level.reason for level in levels[1:]] == ["acknowledged", "acknowledged"]
    assert (await home.outcomes("pagerduty"))[-1] == ("incident.acknowledged", "act_done")


async def test_a_resolution_there_is_one_here_without_a_loop(home: House) -> None:
    """The incident is over; that our own `resolve` comes back as an event changes nothing more."""
    subscribed(home)
    anna = user(home)
    incident = await home.trouble()
    home.pagerduty.resolve(incident.id, anna)
    await home.pagerduty.settled()
    await home.work()
    assert (await home.incident(incident)).state is IncidentState.RESOLVED
    other = await home.trouble("Down", instance="2")
    await home.api("POST", f"/v1/incidents/{other.id}/resolve")
    await home.work()
    await home.pagerduty.settled()
    await home.work()
    assert (await home.outcomes("pagerduty"))[-1] == ("incident.resolved", "act_by_automation")


async def test_a_note_finds_its_incident(home: House) -> None:
    """A note names PagerDuty's incident only; what was told of that before says which of ours it is."""
    subscribed(home)
    anna = user(home)
    incident = await home.trouble()
    await home.pagerduty.settled()
    await home.work()
    hostile = "It is DNS.\n<!channel> </p><script>alert(1)</script> ${secret.pd_token} {{ 7*7 }}"
    home.pagerduty.account.add_note(home.pagerduty.account.incidents[0], anna, hostile)
    await home.pagerduty.settled()
    await home.work()
    (entry,) = await home.entries("person_note")
    assert (entry.entry.incident_id, entry.entry.actor) == (incident.id, "pagerduty:anna")
    assert entry.entry.detail["text"] == hostile


async def test_a_note_about_no_incident_of_ours_is_recorded(home: House) -> None:
    """A subscription may tell of a whole account."""
    note = {"type": "incident_note", "content": "x", "incident": {"id": "PSTRANGE"}}
    answer = await post(home, webhook(event_type="incident.annotated", data=note))
    assert answer.status == 202
    await home.work()
    assert await home.outcomes("pagerduty") == [("incident.annotated", "act_without_incident")]


async def test_escalation_and_assignment_there_are_done_here(home: House) -> None:
    """The next level is told, and who it is assigned to leads."""
    incident = await home.trouble()
    await post(home, about(incident, id="e-1", event_type="incident.escalated"))
    data = {"id": "P1", "type": "incident", "incident_key": incident.id}
    ben = {"id": "PBEN", "summary": "Ben\nBold", "type": "user_reference"}
    await post(home, webhook(id="e-2", event_type="incident.reassigned", data={**data, "assignees": [ben]}))
    await home.work()
    assert (await home.incident(incident)).assignee == "Ben Bold"
    assert [entry.entry.actor for entry in await home.entries("person_escalate")] == ["pagerduty:anna"]


async def test_who_is_not_in_the_settings_bears_pagerdutys_name(home: House) -> None:
    """PagerDuty has made sure who its users are; the name is put on one short line."""
    incident = await home.trouble()
    stranger = {"id": "PX", "summary": "Eve\n<!channel>" + "x" * 200, "type": "user_reference"}
    await post(home, about(incident, agent=stranger))
    await home.work()
    by = (await home.incident(incident)).acknowledged_by
    assert by is not None
    assert by.startswith("pagerduty:Eve <!channel>xx")
    assert len(by) < 120


async def test_the_same_event_twice_is_done_once(home: House) -> None:
    """Delivered again, as happens when an answer is lost, it is told before; so it is under another webhook id."""
    incident = await home.trouble()
    body = about(incident)
    for number in range(3):
        answer = await post(home, body, {**signed(body, PD_SECRET), "X-Webhook-Id": str(number)})
        assert answer.status == 202
    await home.work()
    assert [outcome for _, outcome in await home.outcomes("pagerduty")] == [
        "act_done",
        "act_told_before",
        "act_told_before",
    ]
    assert len(await home.entries("person_acknowledge")) == 1


async def test_a_delivery_replayed_later_is_stale(home: House) -> None:
    """PagerDuty gives up after 48 hours; what is older was not sent by it now."""
    incident = await home.trouble()
    await home.engine.move(timedelta(hours=50))
    await post(home, about(incident))
    await home.work()
    assert (await home.incident(incident)).acknowledged_by is None
    assert await home.outcomes("pagerduty") == [("incident.acknowledged", "act_stale")]


async def test_an_act_never_touches_a_newer_episode(home: House) -> None:
    """An acknowledgement of an incident that is over changes neither it nor the one after it."""
    first = await home.trouble()
    await home.api("POST", f"/v1/incidents/{first.id}/resolve")
    second = await home.trouble("Down", instance="2")
    await post(home, about(first))
    await home.work()
    assert (await home.incident(second)).acknowledged_by is None
    assert await home.outcomes("pagerduty") == [("incident.acknowledged", "act_changed_nothing")]


async def test_a_ping_and_news_that_ask_nothing_are_recorded(home: House) -> None:
    """The test event, types nobody knows yet, and an acknowledgement that ran out are accepted."""
    subscribed(home)
    home.pagerduty.ping()
    await home.pagerduty.settled()
    for number, kind in enumerate(("incident.unacknowledged", "incident.of_tomorrow", "service.updated")):
        assert (await post(home, webhook(id=f"e{number}", event_type=kind))).status == 202
    await home.work()
    assert {outcome for _, outcome in await home.outcomes("pagerduty")} == {"act_asks_nothing"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-PagerDuty-Signature": ""},
        {"X-PagerDuty-Signature": "v1="},
        {"X-PagerDuty-Signature": "v1=\xff\xfe"},
        {"X-PagerDuty-Signature": "v0=" + "0" * 64},
        {"X-PagerDuty-Signature": ",".join("v1=" + "0" * 64 for _ in range(100))},
        signed(webhook(), "another-secret"),
        signed(webhook() + b" ", PD_SECRET),
        {"X-PagerDuty-Signature": signed(webhook(), PD_SECRET)["X-PagerDuty-Signature"].removeprefix("v1=")},
        {"Authorization": f"Bearer {PD_SECRET}"},
    ],
)
async def test_a_forged_delivery_is_refused(home: House, headers: Mapping[str, str]) -> None:
    """401, nothing is kept, and neither a secret nor what was presented is repeated."""
    answer = await post(home, webhook(), headers)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Signature realm="runbookd"'
    assert PD_SECRET not in answer.body.decode()
    assert not await home.engine.store.read(lambda tx: tx.deliveries.recent(9))


@pytest.mark.parametrize("secrets", [("new", PD_SECRET), (PD_SECRET, "new"), ("an-older-one",)])
async def test_secrets_are_rotated_without_a_gap(home: House, secrets: tuple[str, ...]) -> None:
    """Any of its signatures by any of our secrets opens the door, spaces between them or not."""
    header = signed(webhook(), *secrets)["X-PagerDuty-Signature"]
    for value in (header, header.replace(",", " , ")):
        assert (await post(home, webhook(), {"X-PagerDuty-Signature": value})).status == 202


@pytest.mark.parametrize("secrets", [("x", PD_SECRET)])
async def test_a_header_in_two_parts_is_one_list(home: House, secrets: tuple[str, ...]) -> None:
    """A proxy may split a list into two headers of the same name (RFC 9110, 5.3)."""
    first, second = signed(webhook(), *secrets)["X-PagerDuty-Signature"].split(",")
    body = webhook()
    answer = await home.wire.raw(
        f"POST {PAGERDUTY} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        f"X-PagerDuty-Signature: {first}\r\nX-PagerDuty-Signature: {second}\r\n\r\n".encode()
        + body
    )
    assert answer.status == 202


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"[" * 10_000 + b"]" * 10_000,
        b'{"event":' * 10_000,
        b'{"event":{"id":"e","event_type":"\\ud800"}}',
        b'{"event":{"id":"e","event_type":"a\\u0000"}}',
        b'{"event":{"id":"%s","event_type":"x"}}' % (b"x" * 10_000),
        json.dumps({"event": {"id": "e", "event_type": "x", "agent": "eve"}}).encode(),
    ],
)
async def test_a_signed_body_nobody_understands_is_accepted_as_a_dead_letter(
    home: House, body: bytes
) -> None:
    """A 4xx would count towards PagerDuty's giving up for a day, and a 5xx would hold up what comes after it."""
    answer = await post(home, body)
    assert answer.status == 202
    (kept,) = await home.engine.store.read(lambda tx: tx.deliveries.recent(9))
    assert (kept.id, kept.state, kept.body) == (answer.json["delivery"], DeliveryState.DEAD, body)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "x", ""])
async def test_any_content_type_is_taken(home: House, content_type: str) -> None:
    """What counts is the signature, and whether the body is JSON."""
    headers = {**signed(webhook(), PD_SECRET), "Content-Type": content_type}
    assert (await post(home, webhook(), headers)).status == 202


async def test_a_large_or_compressed_body_of_a_stranger_is_not_kept(home: House) -> None:
    """1 MiB is four times what PagerDuty sends; nothing unsigned comes to the disk."""
    large = await post(home, b" " * (1024 * 1024 + 1))
    assert (large.status, large.json["detail"]) == (413, "the body is larger than 1048576 bytes")
    packed = await post(home, b"x", {**signed(b"x", PD_SECRET), "Content-Encoding": "gzip"})
    assert packed.status == 415
    assert not await home.engine.store.read(lambda tx: tx.deliveries.recent(9))


async def test_a_body_that_breaks_off_is_temporary(home: House) -> None:
    """A broken connection says nothing about who sent it, so it is never a 4xx."""
    answer = await home.wire.raw(
        f"POST {PAGERDUTY} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode()
    )
    assert answer.status in {400, 503}  # 400 when aiohttp itself cannot read the request
    assert not await home.engine.store.read(lambda tx: tx.deliveries.recent(9))


async def test_a_slow_body_is_temporary(tmp_path: Path) -> None:
    """503: whoever is slow may be PagerDuty."""
    async with house(tmp_path, read_timeout=timedelta(milliseconds=20)) as home:
        answer = await home.wire.raw(
            f"POST {PAGERDUTY} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode()
        )
        assert (answer.status, answer.json["error"]) == (503, "slow_body")


async def test_without_a_secret_the_answer_is_our_own_doubt() -> None:
    """503, so that PagerDuty sends again once the secret is set; a 401 three times would stop it for a day."""
    nothing: list[Mapping[str, Any]] = [{}, {"pagerduty": {}}]
    for hooks in nothing:
        async with running_door({"hooks": hooks}) as door:
            answer = await door.post(webhook(), {**BEARER, **signed(webhook(), "")}, PAGERDUTY)
            assert (answer.status, answer.json["error"]) == (503, "not_set")
            assert "web.hooks.pagerduty.signing" in answer.json["detail"]
            assert not door.inbox.kept


async def test_a_full_disk_is_temporary() -> None:
    """503: PagerDuty sends again for 48 hours."""
    async with running_door({"hooks": {"pagerduty": {"signing": [{"value": PD_SECRET}]}}}) as door:
        door.inbox.full = True
        answer = await door.post(webhook(), signed(webhook(), PD_SECRET), PAGERDUTY)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")


async def test_what_is_kept_names_the_webhook_and_no_secret() -> None:
    """`X-Webhook-Id` helps to find a delivery in PagerDuty; the signature stays out."""
    async with running_door({"hooks": {"pagerduty": {"signing": [{"value": PD_SECRET}]}}}) as door:
        headers = {**signed(webhook(), PD_SECRET), "X-Webhook-Id": "w-1", "X-Webhook-Subscription": "PSUB"}
        await door.post(webhook(), headers, PAGERDUTY)
        (kept,) = door.inbox.kept
        assert kept.headers["x-webhook-id"] == "w-1"
        assert "x-pagerduty-signature" not in kept.headers


@pytest.mark.parametrize(
    ("hooks", "says"),
    [
        ({"pagerduty": {"bearer": ["x"]}}, "hooks.pagerduty: this sender signs what it sends"),
        (
            {"slack": {"signing": [{"value": "x"}], "basic": []}},
            "hooks.slack: this sender signs what it sends",
        ),
        ({"alertmanager": {"signing": [{"value": "x"}]}}, "hooks.alertmanager: this sender cannot sign"),
        ({"pagerduty": {"signing": [{"file": "/none"}]}}, "cannot read the secret file /none"),
    ],
)
def test_settings_that_cannot_hold_stop_the_start(hooks: Mapping[str, Any], says: str) -> None:
    """Another way in than the signature, a signature nobody makes, and a file that is not there are mistakes."""
    with pytest.raises(SettingsError, match=says):
        hook_doors(WebConfig.model_validate({"hooks": hooks}))


def test_a_signing_secret_is_not_shown() -> None:
    """Neither settings nor doors print it."""
    config = WebConfig.model_validate({"hooks": {"pagerduty": {"signing": [{"value": PD_SECRET}]}}})
    assert PD_SECRET not in f"{config!r} {config.model_dump_json()} {hook_doors(config)!r}"
