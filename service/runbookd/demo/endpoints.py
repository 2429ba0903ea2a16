"""The HTTP side of the demo shop: what each path answers; `runbookd.demo.shop` lists them.

The clock is read here, and handed to `runbookd.demo.releases` as a value.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from runbookd.demo.releases import DEPLOY, ROLL_BACK, Refusal, Shop
from runbookd.demo.state_file import StateFile

RELEASE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
TOKEN_VARIABLE = "SHOP_TOKEN"  # noqa: S105 -- the name of the variable, not its value


@dataclass(slots=True)
class Faults:
    """How rollbacks misbehave; set whole by `POST /admin/faults`, where what is not named is off.

    The shop waits `delay_before_ms` before it carries a rollback out and `delay_after_ms` before it answers,
    so that its caller can be killed in between. The next `drop` rollbacks are carried out, their connection
    is closed without an answer. With a `status`, the next `times` rollbacks (None: all) are refused with it
    and not carried out. Not kept over a restart.
    """

    delay_before_ms: int = 0
    delay_after_ms: int = 0
    drop: int = 0
    status: int | None = None
    times: int | None = None

    def take_drop(self) -> bool:
        """Whether this rollback's answer is dropped."""
        self.drop, dropped = max(self.drop - 1, 0), self.drop > 0
        return dropped

    def take_status(self) -> int | None:
        """The status this rollback is refused with; None to carry it out."""
        if self.status is None or self.times == 0:
            return None
        if self.times is not None:
            self.times -= 1
        return self.status


class Endpoints:
    """The shop over HTTP: one method per endpoint over one `Shop`, its faults and its state file."""

    def __init__(self, shop: Shop, state: StateFile, faults: Faults) -> None:
        self.shop = shop
        self.state = state
        self.faults = faults

    async def front_page(self, _request: web.Request) -> web.Response:
        """What a user sees: a page, or an error while a bad release serves."""
        status, verdict_changed = self.shop.serve(time.time())
        if verdict_changed:
            self.state.save(self.shop)
        words = "Welcome to the shop" if status == web.HTTPOk.status_code else "The shop is broken"
        page = f"<!doctype html><title>Shop</title><h1>{words}</h1><p>Release {self.shop.current}</p>\n"
        return web.Response(status=status, text=page, content_type="text/html")

    async def health(self, _request: web.Request) -> web.Response:
        """Whether users are served, as a probe asks: 200 ok or 500 failing. Not counted as a user."""
        ok = self.shop.serving.quality == "good"
        answer = {"status": "ok" if ok else "failing", "release": self.shop.current}
        return web.json_response(answer, status=200 if ok else 500)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Prometheus text format 0.0.4; counters start at 0, so that a release's first error is a rise."""
        answer = web.Response(text="\n".join(metric_lines(self.shop)) + "\n")
        answer.headers["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
        return answer

    async def releases(self, _request: web.Request) -> web.Response:
        """Which release serves, since when, and which one to go back to (`last_good`, None when unknown)."""
        shop = self.shop
        shown = [
            {
                "name": r.name,
                "good": r.good,
                "deployed_at": rfc3339(r.deployed_at),
                "current": r is shop.serving,
            }
            for r in shop.releases
        ]
        answer = {
            "current": shop.current,
            "last_good": shop.last_good,
            "changed_at": rfc3339(shop.changed_at),
            "changed_ago_seconds": round(max(time.time() - shop.changed_at, 0.0), 3),
            "releases": shown,
            "rollbacks": shop.rollbacks,
            "repeated_keys": shop.repeated_keys,
        }
        return web.json_response(answer)

    async def calls(self, _request: web.Request) -> web.Response:
        """Every deploy and rollback asked for, oldest first."""
        calls = [asdict(call) | {"at": rfc3339(call.at)} for call in self.shop.calls]
        counts = {"rollbacks": self.shop.rollbacks, "repeated_keys": self.shop.repeated_keys}
        return web.json_response({"calls": calls} | counts)

    async def deploy(self, request: web.Request) -> web.Response:
        """Add a release and let it serve at once."""
        body = await self._body(request, {"name", "quality"})
        if not isinstance(body["name"], str) or not RELEASE_NAME.fullmatch(body["name"]):
            raise Refusal(
                400, f"name: expected a text like v2 ({RELEASE_NAME.pattern}), got {body['name']!r}"
            )
        if body["quality"] not in ("good", "bad"):
            raise Refusal(400, f'quality: expected "good" or "bad", got {body["quality"]!r}')
        call = self.shop.receive(DEPLOY, request.headers.get("Idempotency-Key"), body, time.time())
        self.shop.decide(call, time.time())
        call.answered = True
        self.state.save(self.shop)
        return web.json_response(call.answer, status=call.status or 500)

    async def roll_back(self, request: web.Request) -> web.Response:
        """Let a named release serve; the faults apply here."""
        body = await self._body(request, {"to"})
        if not isinstance(body["to"], str):
            raise Refusal(400, f"to: expected the name of a release, got {body['to']!r}")
        key = request.headers.get("Idempotency-Key")
        before, after = self.faults.delay_before_ms / 1000, self.faults.delay_after_ms / 1000
        status, dropped = self.faults.take_status(), self.faults.take_drop()
        call = self.shop.receive(ROLL_BACK, key, body, time.time())
        self.state.save(self.shop)
        await asyncio.sleep(before)
        if status is None:
            self.shop.decide(call, time.time())
        else:
            self.shop.refuse(call, status, "refused by the fault set with POST /admin/faults")
        self.state.save(self.shop)
        await asyncio.sleep(after)
        if dropped and request.transport is not None:
            request.transport.abort()
            return web.Response()
        call.answered = request.transport is not None and not request.transport.is_closing()
        self.state.save(self.shop)
        return web.json_response(call.answer, status=call.status or 500)

    async def set_faults(self, request: web.Request) -> web.Response:
        """Replace the faults; what the body does not name is off."""
        body = await self._body(request, set(), {name.name for name in fields(Faults)})
        for name, value in body.items():
            optional = name in ("status", "times")
            if not (optional and value is None) and (type(value) is not int or value < 0):
                raise Refusal(400, f"{name}: expected a whole number of 0 or more, got {value!r}")
        if body.get("status") is not None and body["status"] not in range(400, 600):
            raise Refusal(400, f"status: expected 400 to 599, got {body['status']}")
        self.faults = Faults(**body)
        return web.json_response(asdict(self.faults))

    @staticmethod
    async def _body(
        request: web.Request, required: set[str], optional: set[str] | None = None
    ) -> dict[str, Any]:
        """The JSON object sent, with exactly these fields; anything else is a Refusal (400)."""
        try:
            body = await request.json()
        except ValueError as error:
            raise Refusal(400, f"the body is not JSON ({error})") from error
        allowed = required | (optional or set())
        if not isinstance(body, dict) or not required <= body.keys() <= allowed:
            raise Refusal(400, f"expected a JSON object with {sorted(allowed)}")
        return body


def metric_lines(shop: Shop) -> list[str]:
    """The lines of `/metrics`; `RELEASE_NAME` admits no quote or backslash, so no label needs escaping."""
    lines = [
        "# HELP shop_requests_total Answers given to users, by status code and release.",
        "# TYPE shop_requests_total counter",
    ]
    for release in shop.releases:
        lines += [
            f'shop_requests_total{{code="200",release="{release.name}"}} {release.served}',
            f'shop_requests_total{{code="500",release="{release.name}"}} {release.failed}',
        ]
    return [
        *lines,
        "# HELP shop_release_info The release that serves.",
        "# TYPE shop_release_info gauge",
        f'shop_release_info{{release="{shop.current}"}} 1',
        "# HELP shop_up Whether users are served: 1, or 0 while the release fails.",
        "# TYPE shop_up gauge",
        f"shop_up {int(shop.serving.quality == 'good')}",
    ]


def rfc3339(at: float) -> str:
    """Seconds since the epoch as UTC, to the millisecond, with Z."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def guard(token: str | None) -> Callable[..., Awaitable[web.StreamResponse]]:
    """The middleware that asks for the token under `/admin` and turns a Refusal into its answer."""

    @web.middleware
    async def guarded(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            if request.path.startswith("/admin"):
                check_token(request.headers.get("Authorization", ""), token)
            return await handler(request)
        except Refusal as refusal:
            return web.json_response({"error": str(refusal)}, status=refusal.status)

    return guarded


def check_token(authorization: str, token: str | None) -> None:
    """Raise a Refusal unless the Authorization header carries the token; compared in constant time."""
    if not token:
        raise Refusal(403, f"administration is off; start the shop with {TOKEN_VARIABLE} set")
    if not hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
        raise Refusal(401, f"expected 'Authorization: Bearer <the value of {TOKEN_VARIABLE}>'")


def build(endpoints: Endpoints, token: str | None) -> web.Application:
    """The shop as an aiohttp application; with the token None, `/admin` is refused."""
    app = web.Application(middlewares=[guard(token)])
    app.add_routes(
        [
            web.get("/", endpoints.front_page),
            web.get("/health", endpoints.health),
            web.get("/metrics", endpoints.metrics),
            web.get(DEPLOY, endpoints.releases),
            web.post(DEPLOY, endpoints.deploy),
            web.post(ROLL_BACK, endpoints.roll_back),
            web.get("/admin/calls", endpoints.calls),
            web.post("/admin/faults", endpoints.set_faults),
        ]
    )
    return app
