"""A PagerDuty on loopback: it takes what the real one takes, refuses what that refuses, and counts.

What it knows is written in https://developer.pagerduty.com/docs/events-api-v2/overview/ and the pages beside it, and in
the REST API's reference. Where those are silent (the words of some refusals, 413 for a request beyond 512 KB, whether a
"character" is a UTF-16 unit) it is the stricter of what could be.

It has no escalation of its own: phones ring when an incident opens (`account.rung`) and not again, and nothing is
acknowledged but by `acknowledge`, as a person would in the app, or by an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from tests.contract.actions.hands import json_answer, serving
from tests.fakes.pagerduty_account import Account, Incident, User, stamp
from tests.fakes.pagerduty_events import refusals_of_alert, refusals_of_change
from tests.fakes.pagerduty_webhooks import Subscription

SERVICE_KEY = "e93facc04764012d7bfb002500d5d1a6"
TOKEN = "u+canary-account-key"
READ_ONLY_TOKEN = "u+canary-read-only-key"
USER_TOKEN = "u+canary-user-key"
FROM = "runbookd@example.com"
MAX_BODY = 512 * 1024
EVENTS_A_MINUTE = 120
CALLS_A_MINUTE = 960
WINDOW = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one request goes wrong: the status it is answered with, or no answer at all.

    `after` does what was asked first. `drop` breaks the connection; `hang` never answers.
    """

    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    drop: bool = False
    hang: bool = False
    after: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came, its body as text."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str


class PagerDuty:
    """The server. `clock` tells it the time: what it stamps, who is on call, and when a limit's window is over.

    With `slow`, events are accepted and wait until `work_off`, as the real one takes them in its own time.
    """

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        self.url = ""
        self.clock = clock or (lambda: datetime.now(UTC))
        self.account = Account(self.clock)
        self.me = self.account.add_user("runbookd", FROM)
        self.service = self.account.add_service("Shop", SERVICE_KEY)
        self.asked: list[Asked] = []
        self.accepted: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self.subscriptions: list[Subscription] = []
        self.slow = False
        self.retry_after: str | None = None
        self._waiting: deque[dict[str, Any]] = deque()
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._calls: dict[str, deque[datetime]] = defaultdict(deque)
        self._ended = asyncio.Event()
        self.account.tell = self._tell

    def config(self, **settings: Any) -> dict[str, Any]:
        """The actions' settings that lead here; the token is the secret `pd_token`."""
        own = {"events_url": self.url, "rest_url": self.url, "token_secret": "pd_token", "from_email": FROM}
        return {"pagerduty": own | settings}

    def fail(self, where: str, *faults: Fault) -> None:
        """Let the next requests that begin so (`/v2/`, `POST /incidents`) go wrong, one after the other."""
        self._faults[where].extend(faults)

    def mend(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()

    def acknowledge(self, dedup_key: str, user: User | None = None) -> Incident:
        """Acknowledge the open incident with this key, as a person does in the app."""
        return self.account.change(self._open(dedup_key), "acknowledged", user or self.me)

    def resolve(self, dedup_key: str, user: User | None = None) -> Incident:
        """Resolve the open incident with this key, as a person does in the app."""
        return self.account.change(self._open(dedup_key), "resolved", user or self.me)

    def subscribe(self, url: str, *secrets: str, **settings: Any) -> Subscription:
        """Send webhooks v3 there, signed with each of these secrets."""
        self.subscriptions.append(Subscription(url, secrets or ("whs-canary",), **settings))
        return self.subscriptions[-1]

    def ping(self) -> None:
        """Send the event of the button "Send Test Event"."""
        self._tell("pagey.ping", None, {"message": "Hello from your friend Pagey!", "type": "ping"})

    def work_off(self) -> None:
        """Process the events that were accepted and wait."""
        while self._waiting:
            self.account.process(self._waiting.popleft())

    async def settled(self) -> None:
        """Wait until every webhook was delivered, or given up."""
        for subscription in self.subscriptions:
            await subscription.settled()

    async def close(self) -> None:
        """Let go of who hangs, and stop sending."""
        self._ended.set()
        for subscription in self.subscriptions:
            await subscription.close()

    def _open(self, dedup_key: str) -> Incident:
        found = [one for one in self.account.incidents if one.key == dedup_key and one.status != "resolved"]
        assert found, f"no open incident with the key {dedup_key!r}"
        return found[-1]

    def _tell(
        self, event_type: str, agent: Any, data: Mapping[str, Any], client: str | None = "PagerDuty"
    ) -> None:
        for subscription in self.subscriptions:
            subscription.send(event_type, agent, data, (stamp(self.clock()), client))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or do what the next fault says."""
        raw = await request.read()
        text = raw.decode("utf-8", "surrogateescape")
        self.asked.append(
            Asked(request.method, request.path, dict(request.query), dict(request.headers), text)
        )
        fault = self._fault(request)
        if fault is None or fault.after:
            response = self._route(request, raw)
            if fault is None:
                return response
        if fault.hang:
            await self._ended.wait()
        if (fault.drop or fault.hang) and request.transport is not None:
            request.transport.abort()
        return web.Response(status=fault.status, headers=fault.headers, text=fault.body)

    def _fault(self, request: web.Request) -> Fault | None:
        for where, waiting in self._faults.items():
            begins = request.path.startswith(where) or f"{request.method} {request.path}".startswith(where)
            if begins and waiting:
                return waiting.popleft()
        return None

    def _route(self, request: web.Request, raw: bytes) -> web.Response:
        if request.path == "/v2/enqueue":
            return self._event(request, raw, change=False)
        if request.path == "/v2/change/enqueue":
            return self._event(request, raw, change=True)
        return self._rest(request, raw)

    def _over(self, who: str, limit: int) -> int | None:
        """Count a call; whole seconds until there is room again when there is none."""
        now, calls = self.clock(), self._calls[who]
        while calls and calls[0] <= now - WINDOW:
            calls.popleft()
        if len(calls) >= limit:
            return max(1, int((calls[0] + WINDOW - now).total_seconds()))
        calls.append(now)
        return None

    def _event(self, request: web.Request, raw: bytes, *, change: bool) -> web.Response:
        """`POST /v2/enqueue` and `/v2/change/enqueue`."""
        if request.method != "POST":
            return web.Response(status=405)
        if len(raw) > MAX_BODY:
            return refused_event(413, "Payload too large", [])
        event = parsed(raw)
        if event is None:
            return refused_event(400, "Event object format is unrecognized", ["JSON parse error"])
        errors = refusals_of_change(event) if change else refusals_of_alert(event)
        if errors:
            return refused_event(400, "Event object is invalid", errors)
        if event["routing_key"] not in self.account.services:
            return web.Response(status=400, text="Invalid routing key")
        if self._over(event["routing_key"], EVENTS_A_MINUTE) is not None:
            said = "Requests for this service are arriving too quickly.  Please retry later."
            headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
            return refused_event(429, said, ["Enhance Your Calm."], headers)
        if change:
            self.changes.append(event)
            return json_answer({"status": "success", "message": "Change event processed"}, 202)
        event.setdefault("dedup_key", self.account.new_id())
        self.accepted.append(event)
        self._waiting.append(event)
        if not self.slow:
            self.work_off()
        return json_answer(
            {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}, 202
        )

    def _rest(self, request: web.Request, raw: bytes) -> web.Response:
        """The REST API, to whom it opens."""
        token = request.headers.get("Authorization", "").removeprefix("Token token=")
        denied = self._denied(request, token)
        if denied is not None:
            return denied
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["incidents"]:
                return self._incidents(request)
            case "GET", ["incidents", incident, "notes"]:
                return self._notes(incident)
            case "POST", ["incidents", incident, "notes"]:
                sender = FROM if token == USER_TOKEN else request.headers.get("From")
                return self._add_note(incident, sender, raw)
            case "GET", ["incidents", incident, "alerts"]:
                return self._alerts(incident)
            case "GET", ["oncalls"]:
                return self._oncalls(request)
            case "GET", ["schedules", schedule, "users"]:
                return self._users(schedule, request)
        return refusal(404, 2100, "Not Found")

    def _denied(self, request: web.Request, token: str) -> web.Response | None:
        """Who asks, whether they may, and how often; None when all is well."""
        if token not in {TOKEN, READ_ONLY_TOKEN, USER_TOKEN}:
            return refusal(401, 2006, "Authentication failed")
        if request.headers.get("Accept") != "application/vnd.pagerduty+json;version=2":
            return refusal(406, 2002, "Arguments Caused Error", ["the Accept header names no version"])
        wait = self._over(token, CALLS_A_MINUTE)
        if wait is not None:
            limits = {
                "ratelimit-limit": str(CALLS_A_MINUTE),
                "ratelimit-remaining": "0",
                "ratelimit-reset": str(wait),
            }
            return refusal(429, 2020, "Rate Limit Exceeded", headers=limits)
        if request.method != "GET" and token == READ_ONLY_TOKEN:
            return refusal(403, 2010, "Access Denied")
        return None

    def _incidents(self, request: web.Request) -> web.Response:
        query = request.query
        found = list(self.account.incidents)
        if query.get("incident_key"):  # an empty one is no filter
            found = [one for one in found if one.key == query["incident_key"]]
        if services := query.getall("service_ids[]", []):
            found = [one for one in found if one.service in services]
        if statuses := query.getall("statuses[]", []):
            found = [one for one in found if one.status in statuses]
        if query.get("date_range") != "all":
            found = [one for one in found if one.created_at > self.clock() - timedelta(days=30)]
        found.sort(key=lambda one: one.created_at, reverse=query.get("sort_by", "").endswith(":desc"))
        return self._page("incidents", [one.shown(self.account) for one in found], request)

    def _incident(self, name: str) -> Incident | None:
        return next((one for one in self.account.incidents if one.id == name), None)

    def _notes(self, name: str) -> web.Response:
        incident = self._incident(name)
        if incident is None:
            return refusal(404, 2100, "Not Found")
        return json_answer({"notes": incident.notes})

    def _add_note(self, name: str, sender: str | None, raw: bytes) -> web.Response:
        author = next((user for user in self.account.users if user.email == sender), None)
        if author is None:
            return refusal(400, 1008, "Requester User Not Found")
        incident, body = self._incident(name), parsed(raw)
        if incident is None:
            return refusal(404, 2100, "Not Found")
        content = ((body or {}).get("note") or {}).get("content")
        if not isinstance(content, str) or not content.strip():
            return refusal(400, 2001, "Invalid Input Provided", ["Content cannot be empty."])
        return json_answer({"note": self.account.add_note(incident, author, content)}, 201)

    def _alerts(self, name: str) -> web.Response:
        incident = self._incident(name)
        if incident is None:
            return refusal(404, 2100, "Not Found")
        alert = {
            "id": incident.id + "A",
            "type": "alert",
            "alert_key": incident.key,
            "status": incident.status,
        }
        return json_answer({"alerts": [alert], "limit": 25, "offset": 0, "more": False})

    def _oncalls(self, request: web.Request) -> web.Response:
        query = request.query
        since, until = (moment(query.get(name)) or self.clock() for name in ("since", "until"))
        if until < since:
            return refusal(400, 2004, "Invalid time values in 'since' and/or 'until' parameters")
        policies, schedules = query.getall("escalation_policy_ids[]", []), query.getall("schedule_ids[]", [])
        found = [
            shift.shown(full="users" in query.getall("include[]", []))
            for shift in self.account.shifts
            if shift.policy is not None
            and (not policies or shift.policy in policies)
            and (not schedules or shift.schedule in schedules)
            and shift.overlaps(since, until)
        ]
        if query.get("earliest") == "true":
            first = {
                (one["escalation_policy"]["id"], one["escalation_level"], one["user"]["id"]): one
                for one in reversed(found)
            }
            found = [one for one in found if one in first.values()]
        return self._page("oncalls", found, request)

    def _users(self, schedule: str, request: web.Request) -> web.Response:
        if schedule not in {shift.schedule for shift in self.account.shifts}:
            return refusal(404, 2100, "Not Found")
        since, until = moment(request.query.get("since")), moment(request.query.get("until"))
        if since is None or until is None or until <= since:
            return refusal(400, 2004, "Invalid time values in 'since' and/or 'until' parameters")
        on = [one for one in self.account.shifts if one.schedule == schedule and one.overlaps(since, until)]
        return json_answer({"users": [one.user.shown(full=True) for one in on]})

    def _page(self, name: str, found: list[Any], request: web.Request) -> web.Response:
        limit, offset = int(request.query.get("limit", "25")), int(request.query.get("offset", "0"))
        if not 1 <= limit <= 100:
            return refusal(400, 2001, "Invalid Input Provided", ["Limit must be between 1 and 100"])
        page = found[offset : offset + limit]
        more = len(found) > offset + limit
        return json_answer({name: page, "limit": limit, "offset": offset, "total": None, "more": more})


def refused_event(
    status: int, message: str, errors: list[str], headers: Mapping[str, str] | None = None
) -> web.Response:
    """A refusal of the Events API."""
    named = {400: "invalid event", 429: "throttle exceeded"}.get(status, "error")
    return json_answer({"status": named, "message": message, "errors": errors}, status, headers)


def refusal(
    status: int,
    code: int,
    message: str,
    errors: list[str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A refusal of the REST API: https://github.com/PagerDuty/developer-docs/blob/main/docs/REST-API/14-Errors.md."""
    said = {"message": message, "code": code} | ({"errors": errors} if errors else {})
    return json_answer({"error": said}, status, headers)


def parsed(raw: bytes) -> dict[str, Any] | None:
    """The body as a JSON object; None when it is none, or holds what UTF-8 cannot carry."""
    try:
        found = json.loads(raw.decode("utf-8"))
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def moment(text: str | None) -> datetime | None:
    """A moment of a query; None when there is none."""
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None


@contextlib.asynccontextmanager
async def pagerduty(
    clock: Callable[[], datetime] | None = None, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[PagerDuty]:
    """A running PagerDuty with one service (SERVICE_KEY) and one user (FROM)."""
    server = PagerDuty(clock)
    async with serving(server.answer, tls=tls) as url:
        server.url = url
        try:
            yield server
        finally:
            await server.close()
