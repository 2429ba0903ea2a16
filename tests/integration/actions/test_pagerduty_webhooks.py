"""The webhooks of the fake PagerDuty, held to what the real one promises, since acceptance tests rest on them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.contract.actions.hands import NOW, SetClock, call, performing, serving, succeeded
from tests.fakes.pagerduty import SERVICE_KEY, PagerDuty, pagerduty
from tests.servers import eventually

SECRET = "whs-secret"


@dataclass
class Inbox:
    """What came, and the statuses of the next answers; then 202. A status of 0 is no answer."""

    url: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """Answer as told."""
        self.bodies.append(await request.read())
        self.headers.append(dict(request.headers))
        status = self.statuses.pop(0) if self.statuses else 202
        if status == 0:
            await asyncio.Event().wait()
        return web.Response(status=status)

    def events(self) -> list[dict[str, Any]]:
        """The events, in the order they came."""
        return [json.loads(body)["event"] for body in self.bodies]

    def types(self) -> list[str]:
        """Their types."""
        return [event["event_type"] for event in self.events()]


@asynccontextmanager
async def subscribed(*secrets: str, **settings: Any) -> AsyncIterator[tuple[PagerDuty, Inbox]]:
    """A PagerDuty with the incidents `inc-1` and `inc-2` that sends its webhooks to an inbox."""
    inbox = Inbox()
    async with serving(inbox.take) as url, pagerduty(SetClock().now) as server:
        async with performing(server.config()) as performer:
            for key in ("inc-1", "inc-2"):
                params = {"service_key": SERVICE_KEY, "dedup_key": key, "summary": f"{key} is down ü"}
                succeeded(await performer.perform(call("pagerduty.send_event", params)))
        server.subscribe(url, *(secrets or (SECRET,)), **settings)
        yield server, inbox


def signed(secret: str, body: bytes) -> str:
    """A signature as PagerDuty makes it."""
    return "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


async def test_an_acknowledgement_is_told() -> None:
    """What a person does in the app comes as one signed event that says who, what and which incident."""
    async with subscribed() as (server, inbox):
        server.acknowledge("inc-1", server.account.add_user("Anna", "anna@example.com"))
        await server.settled()
    (event,) = inbox.events()
    assert (event["event_type"], event["resource_type"]) == ("incident.acknowledged", "incident")
    assert event["occurred_at"] == NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert (event["agent"]["type"], event["agent"]["summary"]) == ("user_reference", "Anna")
    assert event["client"] == {"name": "PagerDuty"}
    data = event["data"]
    assert (data["type"], data["status"], data["incident_key"]) == ("incident", "acknowledged", "inc-1")
    assert inbox.headers[0]["X-PagerDuty-Signature"] == signed(SECRET, inbox.bodies[0])
    assert inbox.headers[0]["X-Webhook-Id"] == server.subscriptions[0].hooks[0].id


async def test_our_own_event_is_told_as_the_integration_s() -> None:
    """What an event of ours did comes back with the integration as its agent and `runbookd` as its client."""
    async with subscribed() as (server, inbox), performing(server.config()) as performer:
        params = {"service_key": SERVICE_KEY, "dedup_key": "inc-1", "action": "resolve"}
        succeeded(await performer.perform(call("pagerduty.send_event", params)))
        await server.settled()
    (event,) = inbox.events()
    assert event["event_type"] == "incident.resolved"
    assert event["agent"]["type"] == "events_api_v2_inbound_integration_reference"
    assert event["client"] == {"name": "runbookd"}


async def test_a_rotated_secret_signs_too() -> None:
    """With two secrets there are two signatures, and a ping is signed as everything else."""
    async with subscribed("old", "new") as (server, inbox):
        server.ping()
        await server.settled()
    body = inbox.bodies[0]
    assert inbox.headers[0]["X-PagerDuty-Signature"] == f"{signed('old', body)},{signed('new', body)}"
    assert inbox.types() == ["pagey.ping"]


async def test_trouble_is_tried_again_in_order() -> None:
    """5xx, 429 and no answer are tried again under the same id, and what follows for the incident waits for it."""
    async with subscribed(patience=0.2) as (server, inbox):
        inbox.statuses = [503, 429, 0]
        server.acknowledge("inc-1")
        server.resolve("inc-1")
        await server.settled()
    assert inbox.types() == ["incident.acknowledged"] * 4 + ["incident.resolved"]
    assert len({headers["X-Webhook-Id"] for headers in inbox.headers}) == 2
    assert [one.status for one in server.subscriptions[0].deliveries] == [503, 429, None, 202, 202]


async def test_a_refusal_is_not_tried_again_and_three_are_the_end() -> None:
    """Another 4xx drops the webhook; three dropped in a row disable the subscription, one that is taken starts anew."""
    async with subscribed() as (server, inbox):
        inbox.statuses = [401, 400, 202, 401, 401, 401]
        for _ in range(4):
            server.ping()
            server.account.change(server.account.incidents[0], "acknowledged", server.me)
            await server.settled()
        assert server.subscriptions[0].disabled
        assert len(inbox.bodies) == 6
        assert len(server.subscriptions[0].dropped) == 7


async def test_a_webhook_can_come_twice() -> None:
    """A webhook that was taken may come again, the same to the byte."""
    async with subscribed() as (server, inbox):
        server.acknowledge("inc-1")
        await server.settled()
        assert await server.subscriptions[0].again(server.subscriptions[0].hooks[0]) == 202
    assert inbox.bodies[0] == inbox.bodies[1]
    assert inbox.headers[0]["X-Webhook-Id"] == inbox.headers[1]["X-Webhook-Id"]


async def test_incidents_do_not_wait_for_each_other() -> None:
    """A webhook that is not taken holds up those of its own incident only."""
    async with subscribed(patience=30.0) as (server, inbox):
        inbox.statuses = [0]
        server.acknowledge("inc-1")
        await eventually(lambda: inbox.bodies, within=10, what="the first webhook is taken in")
        server.resolve("inc-1")
        server.acknowledge("inc-2")
        await server.subscriptions[0].lanes[server.account.incidents[1].id]
    assert inbox.types() == ["incident.acknowledged"] * 2
