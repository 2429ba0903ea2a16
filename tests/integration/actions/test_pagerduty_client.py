"""What every action of PagerDuty makes of a server that misbehaves: one attempt, the truth about doubt, no key told."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from runbookd.actions.pagerduty.wire import Wire
from runbookd.actions.performer import CataloguePerformer
from runbookd.language.values import SecretRef
from runbookd.model.action import Mode, Outcome, OutcomeState
from tests.contract.actions.hands import (
    SetClock,
    call,
    deaf_server,
    failed,
    json_answer,
    performing,
    serving,
    succeeded,
)
from tests.contract.actions.test_client_errors import DOUBTFUL, STATUSES
from tests.fakes.pagerduty import SERVICE_KEY, TOKEN, Fault, PagerDuty, pagerduty
from tests.fakes.pagerduty_account import Shift
from tests.integration.actions.certificates import authority, server_context
from tests.servers import eventually

FAILED, IN_DOUBT = OutcomeState.FAILED, OutcomeState.IN_DOUBT
EVENT = {"service_key": SecretRef("pd_key"), "dedup_key": "inc-1", "summary": "Shop is down"}


@dataclass(frozen=True)
class Caller:
    """One of the actions, and the request of it that may go wrong; a mutating one may be in doubt."""

    action: str
    params: Mapping[str, Any]
    request: str
    mutating: bool = True


CALLERS = {
    "send_event": Caller("pagerduty.send_event", EVENT, "POST /v2/enqueue"),
    "send_change": Caller(
        "pagerduty.send_change",
        {"service_key": SecretRef("pd_key"), "summary": "Rolled back"},
        "POST /v2/change/enqueue",
    ),
    "add_note": Caller(
        "pagerduty.add_note", {"dedup_key": "inc-1", "note": "Rolled back"}, "POST /incidents"
    ),
    "get_on_calls": Caller("pagerduty.get_on_calls", {"schedule": "PI7DH85"}, "GET /oncalls", mutating=False),
}
each_caller = pytest.mark.parametrize("caller", CALLERS.values(), ids=list(CALLERS))


@pytest.fixture(autouse=True)
def imported() -> None:
    """The package is imported before the clock of an attempt runs: a busy machine takes seconds for it."""
    import_module("pagerduty")


@asynccontextmanager
async def one_incident(server: PagerDuty, **settings: Any) -> AsyncIterator[CataloguePerformer]:
    """A performer for this server, which has the open incident `inc-1`, and somebody on call."""
    async with performing(server.config() | settings, pd_token=TOKEN, pd_key=SERVICE_KEY) as performer:
        succeeded(await performer.perform(call("pagerduty.send_event", EVENT)))
        server.account.shifts.append(Shift(user=server.me, schedule="PI7DH85", policy="PPOLICY"))
        server.asked.clear()
        yield performer


async def outcome_at(caller: Caller, url: str, within: float = 10.0) -> Outcome:
    """What a call comes to when both APIs are at this URL."""
    config = {"pagerduty": {"events_url": url, "rest_url": url, "token_secret": "pd_token"}}
    async with performing(config, pd_token=TOKEN, pd_key=SERVICE_KEY) as performer:
        return await performer.perform(call(caller.action, caller.params, timeout=within))


async def outcome_of(caller: Caller, fault: Fault, within: float = 10.0) -> tuple[Outcome, int]:
    """What a call comes to when its request goes wrong, and how often that request came."""
    async with pagerduty() as server, one_incident(server) as performer:
        server.fail(caller.request, fault)
        outcome = await performer.perform(call(caller.action, caller.params, timeout=within))
        return outcome, sum(f"{one.method} {one.path}".startswith(caller.request) for one in server.asked)


def check(outcome: Outcome, kind: str, state: OutcomeState, *, temporary: bool) -> str:
    """The message, after holding state and kind to what they must be, and the keys to be untold."""
    message = failed(outcome, kind, state)
    assert outcome.failure is not None
    assert outcome.failure.temporary is temporary
    assert outcome.output == {}
    assert SERVICE_KEY not in repr(outcome)
    assert "canary" not in repr(outcome)
    return message


@each_caller
@pytest.mark.parametrize(("status", "kind", "temporary"), STATUSES, ids=[str(s[0]) for s in STATUSES])
async def test_a_status_has_one_meaning_and_is_asked_for_once(
    caller: Caller, status: int, kind: str, *, temporary: bool
) -> None:
    """Every status means the same word as for every provider, in PagerDuty's words, and nothing is tried again."""
    body = '{"status": "odd", "message": "The reason", "errors": ["one", "two"]}'
    outcome, times = await outcome_of(caller, Fault(status=status, body=body))
    state = IN_DOUBT if caller.mutating and status in DOUBTFUL else FAILED
    message = check(outcome, kind, state, temporary=temporary)
    assert f"PagerDuty answered {status} to {caller.request}" in message
    assert message.endswith(": The reason; one; two")
    assert times == 1


@each_caller
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Wed, 04 Mar 2026 05:06:37 GMT"}, 30.0),
        ({"Retry-After": "soon"}, None),
        ({"ratelimit-limit": "960", "ratelimit-remaining": "0", "ratelimit-reset": "20"}, 20.0),
        ({"ratelimit-reset": "9" * 500}, 86_400.0),
    ],
    ids=str,
)
async def test_a_rate_limit_says_when_to_come_back(
    caller: Caller, headers: Mapping[str, str], seconds: float | None
) -> None:
    """429 is temporary; `Retry-After` or `ratelimit-reset` tells how long to wait, and without either nothing does."""
    outcome, times = await outcome_of(caller, Fault(status=429, headers=headers))
    check(outcome, "rate_limited", FAILED, temporary=True)
    assert outcome.failure is not None
    assert outcome.failure.retry_after == seconds
    assert times == 1


@each_caller
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error": {"message": "Invalid Input Provided", "code": 2001}}', ": Invalid Input Provided"),
        ('{"error": "no"}', ': {"error": "no"}'),
        ("<h1>Bad\n gateway</h1>", ": <h1>Bad gateway</h1>"),
        ("[]", ": []"),
        ("", ""),
        ('{"message": "' + "x" * 10_000 + '"}', "x…"),
    ],
    ids=["rest", "odd", "html", "list", "empty", "long"],
)
async def test_pagerduty_s_own_words_are_told(caller: Caller, body: str, said: str) -> None:
    """A refusal is told in PagerDuty's words, or with what came in place of them, and not at length."""
    outcome, _ = await outcome_of(caller, Fault(status=400, body=body))
    message = check(outcome, "invalid", FAILED, temporary=False)
    assert message.endswith(said)
    assert len(message) < 400


@each_caller
@pytest.mark.parametrize("before", [0, 280])
async def test_a_key_that_is_echoed_is_not_told(caller: Caller, before: int) -> None:
    """A server that gives back the key it was sent does not get it into the outcome, nor a part of it."""
    key = SERVICE_KEY if caller.params.get("service_key") else TOKEN
    words = "x" * before + key
    for body in (
        json.dumps({"message": words}),
        json.dumps({"error": {"message": "no", "errors": [words]}}),
        words,
    ):
        outcome, _ = await outcome_of(caller, Fault(status=400, body=body))
        message = check(outcome, "invalid", FAILED, temporary=False)
        assert "***" in message
        assert key[:4] not in message


@each_caller
async def test_a_refused_connection_was_never_sent(caller: Caller, free_port: int) -> None:
    """Nobody listening is a temporary failure, and never a doubt."""
    outcome = await outcome_at(caller, f"http://127.0.0.1:{free_port}")
    check(outcome, "unreachable", FAILED, temporary=True)


@each_caller
async def test_an_unknown_host_was_never_called(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve is a temporary failure, and never a doubt."""

    def unknown(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # the system's resolver; the network has none
    check(await outcome_at(caller, "https://events.invalid"), "unreachable", FAILED, temporary=True)


@each_caller
@pytest.mark.parametrize("after", [False, True], ids=["before it is done", "after it is done"])
async def test_a_dropped_connection_is_in_doubt(caller: Caller, *, after: bool) -> None:
    """A connection that breaks once the request is out leaves a mutating call in doubt; it is sent once."""
    outcome, times = await outcome_of(caller, Fault(drop=True, after=after))
    check(outcome, "connection_lost", IN_DOUBT if caller.mutating else FAILED, temporary=True)
    assert times == 1


@each_caller
async def test_a_hung_server_is_left_when_time_is_up(caller: Caller) -> None:
    """A server that takes the request and never answers is left when the attempt's time is up."""
    outcome, times = await outcome_of(caller, Fault(hang=True), within=1.0)
    check(outcome, "timeout", IN_DOUBT if caller.mutating else FAILED, temporary=True)
    assert times == 1


@each_caller
async def test_a_hung_handshake_was_never_sent(caller: Caller) -> None:
    """A server that hangs before TLS is up has not seen the request: failed, never in doubt."""
    async with deaf_server() as port:
        outcome = await outcome_at(caller, f"https://127.0.0.1:{port}", within=0.3)
        check(outcome, "timeout", FAILED, temporary=True)


@each_caller
async def test_a_server_that_speaks_no_tls_is_told_apart(caller: Caller) -> None:
    """TLS to a server that speaks plain HTTP is a permanent failure of the kind `tls`."""
    async with pagerduty() as server:
        outcome = await outcome_at(caller, server.url.replace("http:", "https:"))
        check(outcome, "tls", FAILED, temporary=False)


@each_caller
@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]"])
async def test_metadata_addresses_are_never_called(caller: Caller, host: str) -> None:
    """Link-local and metadata addresses are refused, as by everything that speaks HTTP."""
    message = check(await outcome_at(caller, f"https://{host}"), "refused", FAILED, temporary=False)
    assert "never called" in message


@each_caller
@pytest.mark.parametrize(
    "url", ["http://events.pagerduty.com", "http://10.0.0.1", "http://localhost.evil.org"]
)
async def test_no_key_crosses_a_network_in_clear(caller: Caller, url: str) -> None:
    """Plain http is for this machine itself only; anywhere else it is refused before anything is sent."""
    assert "unencrypted" in check(await outcome_at(caller, url), "refused", FAILED, temporary=False)


@each_caller
async def test_own_authorities_are_trusted(caller: Caller, tmp_path: Path) -> None:
    """A PagerDuty behind the operator's own authority is trusted once the settings name it, and not before."""
    ca = authority(tmp_path)
    async with pagerduty(tls=server_context(tmp_path, ["127.0.0.1"], signed_by=ca)) as server:
        untrusting = await outcome_at(caller, server.url)
        check(untrusting, "tls", FAILED, temporary=False)
        async with one_incident(server, http={"ca_file": str(ca.file)}) as performer:
            succeeded(await performer.perform(call(caller.action, caller.params)))


@each_caller
@pytest.mark.parametrize(
    "body", ["<html>hello</html>", "", "[]", "{}", '{"oncalls": 1, "incidents": 2, "notes": 3}'], ids=str
)
async def test_a_success_that_is_none_of_pagerduty_s_is_told(caller: Caller, body: str) -> None:
    """Whoever answers 200 with something else is no PagerDuty; only a change event wants no particular answer."""

    async def odd(_request: web.Request) -> web.Response:
        return web.Response(text=body)

    async with serving(odd) as url:
        outcome = await outcome_at(caller, url)
    if caller.action == "pagerduty.send_change":
        succeeded(outcome)
    else:
        check(outcome, "unexpected_status", FAILED, temporary=False)


@each_caller
async def test_a_redirect_is_not_followed(caller: Caller) -> None:
    """PagerDuty redirects nobody; a redirect could lead a key elsewhere, so it ends the call."""
    asked = []

    async def redirect(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with serving(redirect) as url:
        check(await outcome_at(caller, url), "unexpected_status", FAILED, temporary=False)
    assert len(asked) == 1


async def test_an_endless_answer_is_left() -> None:
    """No more than four mebibytes are read of an answer."""

    async def endless(_request: web.Request) -> web.Response:
        return json_answer({"oncalls": ["x" * 5_000_000], "more": False})

    async with serving(endless) as url:
        check(await outcome_at(CALLERS["get_on_calls"], url), "too_large", FAILED, temporary=False)


async def test_pages_without_an_end_are_left() -> None:
    """A list that always has one more page is left when time is up, and its thread is sent home."""

    async def more(_request: web.Request) -> web.Response:
        return json_answer({"oncalls": [], "more": True})

    async with serving(more) as url:
        outcome = await outcome_at(CALLERS["get_on_calls"], url, within=0.5)
        check(outcome, "timeout", FAILED, temporary=True)


@pytest.mark.parametrize(
    "caller", [CALLERS["add_note"], CALLERS["get_on_calls"]], ids=["add_note", "get_on_calls"]
)
async def test_the_rest_api_needs_a_key(caller: Caller) -> None:
    """Without a key in the settings, or with one that is not set, nothing is asked, and it is said what to set."""
    for settings, kind, said in (
        ({}, "refused", "token_secret"),
        ({"token_secret": "nil"}, "secret_missing", "nil"),
    ):
        async with performing({"pagerduty": settings}) as performer:
            outcome = await performer.perform(call(caller.action, caller.params))
            assert said in check(outcome, kind, FAILED, temporary=False)


@each_caller
async def test_without_the_package_it_is_said_what_to_install(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service without the extra says so, and how to install it."""
    monkeypatch.setitem(sys.modules, "pagerduty", None)
    outcome = await outcome_at(caller, "https://127.0.0.1")
    message = check(outcome, "unsupported", FAILED, temporary=False)
    assert "pip install 'runbookd[pagerduty]'" in message


@pytest.mark.parametrize("caller", [c for c in CALLERS.values() if c.mutating], ids=lambda c: str(c.action))
async def test_observe_mode_tells_nobody(caller: Caller) -> None:
    """In observe mode nothing is sent."""
    async with pagerduty() as server, one_incident(server) as performer:
        outcome = await performer.perform(call(caller.action, caller.params, mode=Mode.OBSERVE))
        failed(outcome, "observed", OutcomeState.SKIPPED)
        assert server.asked == []


async def test_a_path_in_the_settings_is_kept() -> None:
    """A base URL may have a path, as a proxy in front of PagerDuty has; no header of the package's own goes out."""
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("User-Agent"), "Cookie" in request.headers))
        return json_answer({"dedup_key": "inc-1"}, 202)

    async with serving(answer) as url:
        succeeded(await outcome_at(CALLERS["send_event"], f"{url}/eu/"))
    assert seen == [("/eu/v2/enqueue", "runbookd", False)]


async def test_many_at_once_do_not_starve_each_other() -> None:
    """A hundred pages at once go out, though each holds a thread while its host's name is looked up in another."""
    async with pagerduty() as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with performing(server.config(events_url=url), pd_token=TOKEN, pd_key=SERVICE_KEY) as performer:
            pages = [call("pagerduty.send_event", EVENT | {"dedup_key": f"inc-{n}"}) for n in range(100)]
            for outcome in await asyncio.gather(*(performer.perform(page) for page in pages)):
                succeeded(outcome)
        assert len(server.account.incidents) == 100


async def test_an_attempt_that_is_left_holds_no_thread() -> None:
    """After fifty pages to a server that hangs the next one goes out at once: no thread waits on."""
    async with pagerduty() as server, one_incident(server) as performer:
        server.fail("/v2", *[Fault(hang=True)] * 50)
        page = call("pagerduty.send_event", EVENT, timeout=0.5)
        outcomes = await asyncio.gather(*(performer.perform(page) for _ in range(50)))
        assert {one.failure.kind for one in outcomes if one.failure} == {"timeout"}
        server.mend()
        succeeded(await performer.perform(call("pagerduty.send_event", EVENT)))


async def test_a_page_that_found_no_thread_was_never_sent() -> None:
    """An attempt whose time is up while all threads wait for a server that hangs has failed, and is in no doubt."""
    async with pagerduty() as server, one_incident(server) as performer:
        server.fail("/v2", *[Fault(hang=True)] * 32)
        page = call("pagerduty.send_event", EVENT, timeout=60.0)
        waiting = [asyncio.create_task(performer.perform(page)) for _ in range(32)]
        await eventually(lambda: len(server.asked) == 32, within=10, what="all threads wait")
        late = await performer.perform(call("pagerduty.send_event", EVENT, timeout=0.3))
        check(late, "timeout", FAILED, temporary=True)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_thread_that_asks_after_the_end_is_sent_home() -> None:
    """Once an attempt is over, its thread gets no request out, whether it waits for an answer or asks anew."""
    httpx = import_module("httpx2")
    wire = Wire(httpx)
    request = httpx.Request("POST", "https://events.pagerduty.com/v2/enqueue", json={})
    waiting = asyncio.create_task(asyncio.to_thread(wire.handle_request, request))
    await eventually(lambda: not wire.asked.empty(), within=10, what="the thread asks")
    wire.asked.put_nowait(None)
    wire.shut()
    for thread in (waiting, asyncio.to_thread(wire.handle_request, request)):
        with pytest.raises(asyncio.CancelledError):
            await thread
    assert wire.asked.empty()


async def test_the_attempt_can_be_called_off() -> None:
    """A cancelled attempt ends at once, and its request with it."""
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        arrived.set()
        await ended.wait()
        return web.Response()

    async with serving(hang) as url:
        task = asyncio.create_task(outcome_at(CALLERS["send_event"], url))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        ended.set()


async def test_one_performer_asks_at_different_times() -> None:
    """A performer that was closed opens its threads anew."""
    async with (
        pagerduty() as server,
        performing(server.config(), clock=SetClock(), pd_token=TOKEN, pd_key=SERVICE_KEY) as performer,
    ):
        for _ in range(2):
            succeeded(await performer.perform(call("pagerduty.send_event", EVENT)))
            await performer.close()
