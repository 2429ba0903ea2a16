"""What every action that speaks HTTP makes of a target that misbehaves: the same words, and the truth about doubt.

Not here: what each action makes of a good answer; that is in `tests/integration/actions/`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from runbookd.model.action import Outcome, OutcomeState
from tests.contract.actions.hands import Handler, call, deaf_server, failed, json_answer, performing, serving

FAILED, IN_DOUBT = OutcomeState.FAILED, OutcomeState.IN_DOUBT


@dataclass(frozen=True)
class Caller:
    """One way to call a server at a URL; `mutating` calls may be in doubt."""

    action: str
    params: Mapping[str, Any]
    setting: str | None
    mutating: bool

    def config(self, url: str) -> Mapping[str, Any]:
        """The settings that lead to the server."""
        return {} if self.setting is None else {self.setting: {"default": {"url": url}}}

    def with_url(self, url: str) -> Mapping[str, Any]:
        """The parameters that lead to the server."""
        return self.params if self.setting else {**self.params, "url": f"{url}/x?token=canary"}


SILENCE = {"matchers": ['namespace="shop"'], "duration": "5m", "comment": "test"}
CALLERS = {
    "http.request GET": Caller("http.request", {}, None, mutating=False),
    "http.request POST": Caller("http.request", {"method": "POST", "json": {"a": 1}}, None, mutating=True),
    "http.request PUT": Caller("http.request", {"method": "PUT", "json": {"a": 1}}, None, mutating=True),
    "prometheus.query": Caller("prometheus.query", {"promql": "up"}, "prometheus", mutating=False),
    "prometheus.query_range": Caller(
        "prometheus.query_range", {"promql": "up"}, "prometheus", mutating=False
    ),
    "alertmanager.get_alerts": Caller("alertmanager.get_alerts", {}, "alertmanagers", mutating=False),
    "alertmanager.silence": Caller("alertmanager.silence", SILENCE, "alertmanagers", mutating=True),
    "alertmanager.expire_silence": Caller(
        "alertmanager.expire_silence", {"silence_id": "s-1"}, "alertmanagers", mutating=True
    ),
}
STATUSES = [
    (400, "invalid", False),
    (401, "denied", False),
    (403, "denied", False),
    (404, "not_found", False),
    (409, "conflict", False),
    (410, "not_found", False),
    (422, "invalid", False),
    (408, "timeout", True),
    (429, "rate_limited", True),
    (500, "server_error", True),
    (501, "unsupported", False),
    (502, "server_error", True),
    (503, "unavailable", True),
    (504, "server_error", True),
]
DOUBTFUL = {408, 500, 502, 504}

each_caller = pytest.mark.parametrize("caller", CALLERS.values(), ids=list(CALLERS))


def after_the_reads(fault: Handler) -> Handler:
    """A server that answers what an action looks up before it acts, and then misbehaves."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/api/v2/silences" and request.method == "GET":
            return json_answer([])
        if request.path.startswith("/api/v2/silence/") and request.method == "GET":
            return json_answer({"id": "s-1", "status": {"state": "active"}})
        return await fault(request)

    return handle


@asynccontextmanager
async def outcome_at(caller: Caller, url: str, within: float = 10.0) -> AsyncIterator[Outcome]:
    """What the call of a server comes to."""
    async with performing(caller.config(url)) as performer:
        yield await performer.perform(call(caller.action, caller.with_url(url), timeout=within))


def check(outcome: Outcome, kind: str, state: OutcomeState, *, temporary: bool) -> str:
    """The message, after holding state, kind and the canary in the query to what they must be."""
    message = failed(outcome, kind, state)
    assert outcome.failure is not None
    assert outcome.failure.temporary is temporary
    assert "canary" not in message
    assert outcome.output == {}
    return message


@each_caller
@pytest.mark.parametrize(("status", "kind", "temporary"), STATUSES, ids=[str(s[0]) for s in STATUSES])
async def test_a_status_has_one_meaning(caller: Caller, status: int, kind: str, temporary: bool) -> None:  # noqa: FBT001 - a row
    """Every status means the same word for every provider, and what the server said is repeated."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text="the server's reason")

    async with serving(after_the_reads(answer)) as url, outcome_at(caller, url) as outcome:
        state = IN_DOUBT if caller.mutating and status in DOUBTFUL else FAILED
        message = check(outcome, kind, state, temporary=temporary)
        assert str(status) in message
        assert "the server's reason" in message


@each_caller
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Wed, 04 Mar 2026 05:06:37 GMT", 30.0),
        ("soon", None),
        ("9" * 500, 86_400.0),
        ("Wed, 04 Mar 2026 05:06:37 -0000", None),
        ("Wed, 04 Mar 2020 05:06:37 GMT", 0.0),
    ],
)
async def test_retry_after_is_heeded(caller: Caller, header: str, seconds: float | None) -> None:
    """`Retry-After`, in seconds or as a date, tells when to try again; nonsense tells nothing."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": header})

    async with serving(after_the_reads(answer)) as url, outcome_at(caller, url) as outcome:
        check(outcome, "rate_limited", FAILED, temporary=True)
        assert outcome.failure is not None
        assert outcome.failure.retry_after == seconds


@each_caller
async def test_a_refused_connection_was_never_sent(caller: Caller, free_port: int) -> None:
    """Nobody listening is a temporary failure, and never a doubt."""
    async with outcome_at(caller, f"http://127.0.0.1:{free_port}") as outcome:
        check(outcome, "unreachable", FAILED, temporary=True)


@each_caller
async def test_an_unknown_host_was_never_called(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve is a temporary failure, and never a doubt."""

    def unknown(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(
        socket, "getaddrinfo", unknown
    )  # the system's resolver, not a client; the network has none
    async with outcome_at(caller, "http://shop.invalid") as outcome:
        check(outcome, "unreachable", FAILED, temporary=True)


@each_caller
async def test_a_dropped_connection_after_the_request_is_in_doubt(caller: Caller) -> None:
    """A connection that breaks once the request is out leaves a mutating call in doubt, and a read failed.

    The client library would send a PUT or DELETE again by itself; the server hears it once.
    """
    heard = []

    async def drop(request: web.Request) -> web.Response:
        heard.append(await request.read())
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(after_the_reads(drop)) as url, outcome_at(caller, url) as outcome:
        check(outcome, "connection_lost", IN_DOUBT if caller.mutating else FAILED, temporary=True)
    assert len(heard) == 1


@each_caller
async def test_a_cut_answer_is_in_doubt(caller: Caller) -> None:
    """An answer that ends before its length is no answer."""

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"data"')
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(after_the_reads(cut)) as url, outcome_at(caller, url) as outcome:
        check(outcome, "connection_lost", IN_DOUBT if caller.mutating else FAILED, temporary=True)


@each_caller
async def test_a_hung_server_is_left_after_the_timeout(caller: Caller) -> None:
    """A server that takes the request and never answers is left when time is up; a mutating call is in doubt."""
    never = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    async with serving(after_the_reads(hang)) as url, outcome_at(caller, url, within=0.5) as outcome:
        check(outcome, "timeout", IN_DOUBT if caller.mutating else FAILED, temporary=True)


@each_caller
async def test_a_hung_handshake_was_never_sent(caller: Caller) -> None:
    """A server that hangs before TLS is up has not seen the request: failed, never in doubt."""
    async with deaf_server() as port, outcome_at(caller, f"https://127.0.0.1:{port}", within=0.3) as outcome:
        check(outcome, "timeout", FAILED, temporary=True)


@each_caller
async def test_a_server_that_speaks_no_tls_is_told_apart(caller: Caller) -> None:
    """TLS to a server that speaks plain HTTP is a permanent failure of the kind `tls`."""

    async def answer(_request: web.Request) -> web.Response:
        return json_answer([])

    async with serving(answer) as url, outcome_at(caller, url.replace("http:", "https:")) as outcome:
        check(outcome, "tls", FAILED, temporary=False)


@each_caller
@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "[fd00:ec2::254]"]
)
async def test_metadata_addresses_are_never_called(caller: Caller, host: str) -> None:
    """Link-local and metadata addresses are refused by everything that speaks HTTP."""
    async with outcome_at(caller, f"http://{host}") as outcome:
        assert "never called" in check(outcome, "refused", FAILED, temporary=False)


@each_caller
async def test_a_name_that_leads_to_a_metadata_address_is_refused(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is looked at after the name is resolved, so no name hides it."""
    found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: [found])
    async with outcome_at(caller, "http://rebound.example.com") as outcome:
        assert "never called" in check(outcome, "refused", FAILED, temporary=False)
