"""A Statuspage on loopback: one page, and the refusals and limits of https://developer.statuspage.io.

A key may ask sixty times within a minute and gets 420 (or 429) beyond that, an unknown one 401; what an incident must
not be is 422 with a list of reasons, what the API does not know 404. Where its documentation says nothing it is
strict: an unknown field is refused, so that a misspelled one is found. Notifications go out unless a call says not to.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from aiohttp import web

from tests.contract.actions.hands import json_answer, serving

PAGE = "kctbh9vrtdwd"
KEY = "canary-statuspage-key"
STATUSES = ("investigating", "identified", "monitoring", "resolved")
IMPACTS = ("none", "minor", "major", "critical")
COMPONENT_STATUSES = (
    "operational",
    "degraded_performance",
    "partial_outage",
    "major_outage",
    "under_maintenance",
)
FIELDS = {
    *("name", "status", "body", "impact_override", "components", "component_ids"),
    *("deliver_notifications", "metadata"),
}
REQUESTS_A_MINUTE = 60


class Fault(Enum):
    """What happens in place of an answer."""

    LOSE = "the connection breaks, and nothing was done"
    DROP = "what was asked is done, and the connection breaks"
    HANG = "what was asked is done, and no answer comes"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in place of doing anything."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = '{"error": "the page\'s reason"}'


@dataclass(slots=True)
class StatusPage:
    """The page, and what happened to it.

    `script` holds, by method, what the next requests of it are answered; `too_many` is its word for too many requests,
    `now` its clock. `notified` are the texts subscribers got.
    """

    url: str = ""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    too_many: int = 420
    retry_after: str | None = None
    components: dict[str, str] = field(
        default_factory=lambda: {"id-shop": "operational", "id-pay": "operational", "id-mail": "operational"}
    )
    script: dict[str, list[Reply | Fault]] = field(default_factory=lambda: defaultdict(list))
    incidents: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    notified: list[str] = field(default_factory=list)
    _recent: deque[datetime] = field(default_factory=deque)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request, from its key to its answer."""
        path = request.path.removeprefix(f"/v1/pages/{PAGE}")
        self.asked.append((request.method, path))
        if request.headers.get("Authorization") != f"OAuth {KEY}":
            return json_answer({"error": "Could not authenticate"}, 401)
        if self._is_over_limit():
            waits = {} if self.retry_after is None else {"Retry-After": self.retry_after}
            return json_answer({"error": "You have exceeded the rate limit"}, self.too_many, waits)
        planned = self.script[request.method].pop(0) if self.script.get(request.method) else None
        if isinstance(planned, Reply):
            return web.Response(
                status=planned.status,
                headers=planned.headers,
                text=planned.text,
                content_type="application/json",
            )
        if planned is Fault.LOSE:
            return self._break(request)
        answer = await self._do(request, path)
        if planned is Fault.HANG:
            await asyncio.Event().wait()
        return self._break(request) if planned is Fault.DROP else answer

    def add(self, key: str | None = None, **fields: object) -> dict[str, Any]:
        """An incident as somebody else, or an earlier attempt, made it."""
        made = {
            "id": f"incident-{len(self.incidents) + 1}",
            "page_id": PAGE,
            "name": "Slow",
            "status": "investigating",
            "impact": "minor",
            "shortlink": f"https://stspg.example/{len(self.incidents) + 1}",
            "created_at": self.now().isoformat(),
            "metadata": {} if key is None else {"runbookd": {"key": key}},
            "components": [],
            "incident_updates": [],
            **fields,
        }
        self.incidents.append(made)
        return made

    async def _do(self, request: web.Request, path: str) -> web.Response:
        """What was asked for."""
        number = path.removeprefix("/incidents/")
        if request.method == "GET" and path == "/incidents/unresolved":
            open_ones = [each for each in self.incidents if each["status"] != "resolved"]
            return json_answer(self._shown(open_ones)[: int(request.query.get("per_page", 100))])
        if request.method == "GET" and path == "/incidents":
            return json_answer(self._shown(self.incidents)[: min(int(request.query.get("limit", 100)), 100)])
        if request.method == "POST" and path == "/incidents":
            return await self._create(request)
        there = next((each for each in self.incidents if each["id"] == number), None)
        if request.method == "PATCH" and there is not None:
            return await self._change(request, there)
        return json_answer({"error": "Not found"}, 404)

    async def _create(self, request: web.Request) -> web.Response:
        wanted = (await request.json()).get("incident")
        reasons = ["incident is missing"] if not isinstance(wanted, dict) else list(self._reasons(wanted))
        if not reasons and not wanted.get("name"):
            reasons.append("Name can't be blank")
        if reasons:
            return json_answer({"error": reasons}, 422)
        made = self.add(metadata=wanted.get("metadata", {}), name=wanted["name"])
        self._apply(made, {"status": "investigating", **wanted})
        return json_answer(self._shown([made])[0], 201)

    async def _change(self, request: web.Request, there: dict[str, Any]) -> web.Response:
        wanted = (await request.json())["incident"]
        if reasons := list(self._reasons(wanted)):
            return json_answer({"error": reasons}, 422)
        self._apply(there, wanted)
        return json_answer(self._shown([there])[0])

    def _apply(self, incident: dict[str, Any], wanted: Mapping[str, Any]) -> None:
        """Make the incident, and the page's components, as wanted; newest update first."""
        incident["status"] = wanted.get("status", incident["status"])
        incident["impact"] = wanted.get("impact_override", incident["impact"])
        incident["metadata"] = wanted.get("metadata", incident["metadata"])
        self.components |= wanted.get("components", {})
        if "component_ids" in wanted:
            incident["components"] = [{"id": each} for each in wanted["component_ids"]]
        update = {
            "status": incident["status"],
            "body": wanted.get("body", ""),
            "created_at": self.now().isoformat(),
        }
        incident["incident_updates"].insert(0, update)
        if wanted.get("deliver_notifications", True):
            self.notified.append(update["body"])

    def _reasons(self, wanted: Mapping[str, Any]) -> Iterator[str]:
        """Why the API would not take these fields."""
        yield from (f"{name} is not a field" for name in wanted.keys() - FIELDS)
        if len(wanted.get("name", "")) > 255:
            yield "Name is too long (maximum is 255 characters)"
        if len(wanted.get("body", "")) > 25_000:
            yield "Body is too long (maximum is 25000 characters)"
        if wanted.get("status", "investigating") not in STATUSES:
            yield "Status is not included in the list"
        if wanted.get("impact_override", "none") not in IMPACTS:
            yield "Impact override is not included in the list"
        if not isinstance(wanted.get("deliver_notifications", True), bool):
            yield "Deliver notifications is not a boolean"
        if not all(isinstance(value, dict) for value in wanted.get("metadata", {}).values()):
            yield "Metadata must have objects as its top-level values"
        named = wanted.get("components", {})
        for each in {*named, *wanted.get("component_ids", [])} - self.components.keys():
            yield f"Component {each} does not exist"
        if not set(named.values()) <= set(COMPONENT_STATUSES):
            yield "Component status is not included in the list"

    def _shown(self, incidents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Incidents as the API gives them, newest first, with the status their components have now."""
        return [
            each
            | {
                "components": [
                    {"id": one["id"], "status": self.components[one["id"]]} for one in each["components"]
                ]
            }
            for each in reversed(incidents)
        ]

    def _is_over_limit(self) -> bool:
        now = self.now()
        while self._recent and self._recent[0] <= now - timedelta(minutes=1):
            self._recent.popleft()
        if len(self._recent) >= REQUESTS_A_MINUTE:
            return True
        self._recent.append(now)
        return False

    @staticmethod
    def _break(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


@contextlib.asynccontextmanager
async def status_page() -> AsyncIterator[StatusPage]:
    """An empty page; its `url` is the base of the API."""
    page = StatusPage()
    async with serving(page.answer) as url:
        page.url = f"{url}/v1"
        yield page
