"""`http.request` against real servers: what is sent, what comes back, and the demo shop's rollback, probe and undo.

Not here: what a misbehaving server means; that is in `tests/contract/actions/test_client_errors.py`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.language.values import SecretRef, SecretText
from runbookd.model.action import Mode, OutcomeState, Probed, Repeat
from tests.contract.actions.hands import (
    KEY,
    SetClock,
    call,
    failed,
    json_answer,
    perform,
    performing,
    serving,
    succeeded,
)
from tests.integration.actions.certificates import authority, server_context
from tests.servers import Shop

StartShop = Callable[..., Awaitable[Shop]]


async def echo(request: web.Request) -> web.Response:
    """Give back what was sent."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    return json_answer({"method": request.method, "headers": headers, "body": await request.text()})


async def sent(params: Mapping[str, object]) -> Mapping[str, Any]:
    """What a server sees of a request."""
    async with serving(echo) as url:
        seen: Mapping[str, Any] = succeeded(await perform("http.request", {"url": url, **params}))["json"]
        return seen


async def test_an_answer_is_told_whole() -> None:
    """Status, lower-case headers, text, JSON, elapsed time and URL come back, with their types."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(
            status=201, text='{"a": [1]}', headers={"X-Thing": "y"}, content_type="application/json"
        )

    clock = SetClock(tick=timedelta(milliseconds=70))
    async with serving(answer) as url, performing(clock=clock) as performer:
        seen = succeeded(await performer.perform(call("http.request", {"url": f"{url}/a?b=1"})))
    assert (seen["status"], seen["text"], seen["json"]) == (201, '{"a": [1]}', {"a": [1]})
    assert seen["headers"]["x-thing"] == "y"
    assert (seen["truncated"], seen["elapsed"]) == (False, timedelta(milliseconds=70))
    assert seen["url"] == f"{url}/a?b=1"


async def test_json_is_sent_as_json() -> None:
    """A `json` body goes out typed; durations and timestamps go as text."""
    body = {"to": "v1", "n": 1, "for": timedelta(minutes=90), "at": datetime(2026, 1, 2, tzinfo=UTC)}
    seen = await sent({"method": "PUT", "json": body})
    assert json.loads(seen["body"]) == {"to": "v1", "n": 1, "for": "1h30m", "at": "2026-01-02T00:00:00Z"}
    assert seen["headers"]["content-type"] == "application/json"


async def test_a_body_is_sent_as_it_is() -> None:
    """A `body` goes out untouched, under the content type the step gives."""
    seen = await sent({"method": "POST", "body": "a=ü", "headers": {"Content-Type": "text/x"}})
    assert (seen["body"], seen["headers"]["content-type"]) == ("a=ü", "text/x")
    assert seen["headers"]["user-agent"] == "runbookd"


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({"method": "GET"}, None),
        ({"method": "PUT"}, None),
        ({"method": "POST"}, KEY),
        ({"method": "PATCH"}, KEY),
        ({"method": "DELETE", "idempotency_key": True}, KEY),
        ({"method": "POST", "idempotency_key": False}, None),
    ],
)
async def test_the_idempotency_key_goes_with_post_and_patch(
    params: Mapping[str, object], key: str | None
) -> None:
    """POST and PATCH carry the step's key unless told otherwise."""
    seen = await sent(params)
    assert seen["headers"].get("idempotency-key") == key


async def test_secrets_are_sent_and_not_told() -> None:
    """A secret in a header reaches the server, and is wiped from a server's echo of it."""
    async with serving(echo) as url, performing(token="canary-token") as performer:
        headers = {"Authorization": SecretText(("Bearer ", SecretRef("token")))}
        outcome = await performer.perform(call("http.request", {"url": url, "headers": headers}))
    assert succeeded(outcome)["json"]["headers"]["authorization"] == "Bearer ***"
    assert "canary" not in repr(outcome)


async def test_a_password_in_the_url_is_sent_and_not_told() -> None:
    """A user and password in the URL sign in, and stand in no output and no message."""
    async with serving(echo) as url, performing() as performer:
        signed = url.replace("://", "://me:canary@")
        outcome = await performer.perform(call("http.request", {"url": signed}))
        assert succeeded(outcome)["json"]["headers"]["authorization"] == "Basic ***"
        refused = await performer.perform(call("http.request", {"url": signed, "expect_status": 204}))
    assert outcome.output["url"] == url
    assert "canary" not in repr(outcome) + repr(refused)
    assert "answered 200, expected 204" in failed(refused, "unexpected_status")


@pytest.mark.parametrize(
    "params",
    [
        {"headers": {"X-A": "b\r\nX-Evil: 1"}},
        {"headers": {"X A": "b"}},
        {"headers": {"Host": "evil"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"json": {}, "body": "x"},
        {"method": "TRACE"},
        {"expect_status": "ok"},
        {"repeat": "probe"},
        {"url": "shop/health"},
        {"url": "file:///etc/passwd"},
        {"url": "http://"},
        {"url": "http://[::1"},
    ],
    ids=str,
)
async def test_what_cannot_be_sent_is_refused(params: Mapping[str, object]) -> None:
    """Requests that would break apart, or make no sense, are refused before anything is sent."""
    failed(await perform("http.request", {"url": "http://127.0.0.1:9", **params}), "invalid")


@pytest.mark.parametrize(
    ("expected", "kind"),
    [(404, None), ("4xx", None), ([200, "4xx"], None), ("2xx", "not_found"), ([200, 201], "not_found")],
)
async def test_success_is_what_the_step_expects(expected: object, kind: str | None) -> None:
    """`expect_status` takes a status, a class, or a list of either."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=404, text="no such thing")

    async with serving(answer) as url:
        outcome = await perform("http.request", {"url": url, "expect_status": expected})
    if kind is None:
        assert succeeded(outcome)["status"] == 404
    else:
        message = failed(outcome, kind)
        assert "answered 404, expected" in message
        assert "no such thing" in message


async def test_a_success_nobody_expected_is_a_failure() -> None:
    """A 2xx that is not the expected one fails as `unexpected_status`, and is not in doubt."""
    async with serving(echo) as url:
        failed(await perform("http.request", {"url": url, "expect_status": 204}), "unexpected_status")


async def test_long_answers_are_cut() -> None:
    """No more is read than the step and the settings allow; what is cut is no JSON."""

    async def answer(_request: web.Request) -> web.Response:
        return json_answer("x" * 100_000)

    async with serving(answer) as url:
        for config, params in (({"http": {"max_body": 1000}}, {}), ({}, {"max_body": 1000})):
            seen = succeeded(await perform("http.request", {"url": url, **params}, config))
            assert (len(seen["text"]), seen["truncated"], seen["json"]) == (1000, True, None)


@pytest.mark.parametrize(
    "body", ["", "hello", "[NaN]", "[" * 100_000, "{'a': 1}"], ids=["", "text", "nan", "deep", "py"]
)
async def test_what_is_no_json_is_null(body: str) -> None:
    """Anything that is not JSON leaves `json` null and the text as it is."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=body)

    async with serving(answer) as url:
        seen = succeeded(await perform("http.request", {"url": url}))
    assert (seen["json"], seen["text"]) == (None, body)


async def test_odd_bytes_stay_readable() -> None:
    """Bytes that are no text in the charset named, or in one nobody knows, are replaced, not died of."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=b"a\xff", headers={"Content-Type": "text/plain; charset=martian"})

    async with serving(answer) as url:
        assert succeeded(await perform("http.request", {"url": url}))["text"] == "a\ufffd"


async def test_redirects_stay_on_the_server() -> None:
    """A read follows redirects on the same server, up to five, and none that lead elsewhere."""

    async def answer(request: web.Request) -> web.Response:
        to = {
            "/a": "b",
            "/loop": "/loop",
            "/away": "http://localhost:1/",
            "/scheme": "file:///etc/passwd",
            "/odd": "http://[::1",
        }
        if request.path in to:
            return web.Response(status=302, headers={"Location": to[request.path]})
        return web.Response(text=request.path)

    async with serving(answer) as url:
        seen = succeeded(await perform("http.request", {"url": f"{url}/a"}))
        assert (seen["text"], seen["url"]) == ("/b", f"{url}/b")
        assert "redirects" in failed(await perform("http.request", {"url": f"{url}/loop"}), "invalid")
        for path in ("away", "scheme", "odd"):
            message = failed(await perform("http.request", {"url": f"{url}/{path}"}), "refused")
            assert "redirects to" in message


async def test_a_mutating_request_follows_nothing() -> None:
    """A redirect is no answer to a request that changes something; it is told as it came."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/b"})

    async with serving(answer) as url:
        failed(await perform("http.request", {"url": url, "method": "POST"}), "unexpected_status")
        seen = succeeded(await perform("http.request", {"url": url, "method": "POST", "expect_status": 307}))
        assert seen["headers"]["location"] == "/b"


async def test_only_allowed_hosts_are_called() -> None:
    """A host that is not allowed is refused by name."""
    config = {"http": {"allowed_hosts": ["*.example.com"]}}
    message = failed(await perform("http.request", {"url": "http://127.0.0.1/"}, config), "refused")
    assert "allowed_hosts" in message


async def test_own_authorities_are_trusted(tmp_path: Path) -> None:
    """A server of the operator's own authority is trusted once the settings name it, and not before."""
    ca = authority(tmp_path)
    async with serving(echo, tls=server_context(tmp_path, ["127.0.0.1"], signed_by=ca)) as url:
        config = {"http": {"ca_file": str(ca.file)}}
        assert succeeded(await perform("http.request", {"url": url}, config))["status"] == 200
        failed(await perform("http.request", {"url": url}), "tls")


@pytest.mark.parametrize(
    ("params", "mutates", "repeat"),
    [
        ({}, False, Repeat.SAFE),
        ({"method": "HEAD"}, False, Repeat.SAFE),
        ({"method": "PUT"}, True, Repeat.SAFE),
        ({"method": "DELETE"}, True, Repeat.SAFE),
        ({"method": "POST"}, True, Repeat.NEVER),
        ({"method": "PATCH"}, True, Repeat.NEVER),
        ({"method": "POST", "repeat": "safe"}, True, Repeat.SAFE),
        ({"method": "POST", "probe": {"url": "http://x"}}, True, Repeat.PROBE),
        ({"method": "PUT", "repeat": "never", "probe": {"url": "http://x"}}, True, Repeat.NEVER),
        ({"method": "${inputs.method}"}, True, Repeat.NEVER),
        ({"method": "POST", "repeat": "${inputs.repeat}"}, True, Repeat.NEVER),
    ],
    ids=str,
)
def test_the_method_decides_what_a_crash_allows(
    params: Mapping[str, object],
    mutates: bool,  # noqa: FBT001 - a row of the table
    repeat: Repeat,
) -> None:
    """Whether it changes anything, and may be repeated, follows from method, probe and the step's own word."""
    catalogue = ActionCatalogue()
    assert catalogue.mutates("http.request", params) is mutates
    assert catalogue.repeat("http.request", params) is repeat


def roll_back(shop: Shop, to: str, back: str) -> Mapping[str, object]:
    """The step of a playbook that rolls the shop back."""
    headers = {"Authorization": SecretText(("Bearer ", SecretRef("shop")))}
    releases = f"{shop.url}/admin/releases"
    return {
        "method": "POST",
        "url": f"{shop.url}/admin/rollback",
        "headers": headers,
        "json": {"to": to},
        "probe": {"url": releases, "headers": headers, "json": {"current": to}},
        "undo": {
            "method": "POST",
            "url": f"{shop.url}/admin/rollback",
            "headers": headers,
            "json": {"to": back},
        },
    }


async def test_the_shop_is_rolled_back_probed_and_undone(shop: StartShop) -> None:
    """A rollback is made once however often it is sent; the probe sees it, and the undo reverses it."""
    server = await shop()
    await server.deploy("v2", "bad")
    step = roll_back(server, "v1", "v2")
    async with performing(shop=server.token) as performer:
        made = call("http.request", step)
        assert (await performer.probe(made))[0] is Probed.NOT_DONE
        first, again = await performer.perform(made), await performer.perform(made)
        assert succeeded(first)["json"] == succeeded(again)["json"]
        assert first.change == {"before": {"to": "v2"}, "after": {"to": "v1"}}
        assert await performer.probe(made) == (Probed.DONE, None)
        releases = await server.admin("GET", "releases")
        assert (releases["current"], releases["rollbacks"], releases["repeated_keys"]) == ("v1", 1, 1)
        undone = await performer.undo(call("http.request", step, key="undo-key"), first.output)
        assert undone.state is OutcomeState.SUCCEEDED
        assert undone.change == {"before": {"to": "v1"}, "after": {"to": "v2"}}
        assert (await server.admin("GET", "releases"))["current"] == "v2"


async def test_a_dropped_rollback_is_in_doubt_and_the_probe_settles_it(shop: StartShop) -> None:
    """When the answer of a rollback is lost the call is in doubt, and the probe finds it done."""
    server = await shop()
    await server.deploy("v2", "bad")
    await server.admin("POST", "faults", {"drop": 1})
    made = call("http.request", roll_back(server, "v1", "v2"))
    async with performing(shop=server.token) as performer:
        failed(await performer.perform(made), "connection_lost", OutcomeState.IN_DOUBT)
        assert (await performer.probe(made))[0] is Probed.DONE


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503])
async def test_a_probe_that_is_turned_away_knows_nothing(status: int) -> None:
    """Answers that say nothing about the target leave the probe UNKNOWN: the call is not repeated for them."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(answer) as url, performing() as performer:
        made = call("http.request", {"method": "POST", "url": url, "probe": {"url": url}})
        known, outcome = await performer.probe(made)
        assert known is Probed.UNKNOWN
        assert outcome is not None
        assert outcome.failure is not None


async def test_a_probe_that_finds_nothing_is_not_done() -> None:
    """A plain "not there" is an answer; without a probe nobody can tell."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=404)

    async with serving(answer) as url, performing() as performer:
        made = call("http.request", {"method": "POST", "url": url, "probe": {"url": url}})
        assert await performer.probe(made) == (Probed.NOT_DONE, None)
        without = call("http.request", {"method": "POST", "url": url})
        assert await performer.probe(without) == (Probed.UNKNOWN, None)


async def test_without_an_undo_request_a_person_has_to() -> None:
    """A step that names no `undo` cannot be undone, and says so."""
    async with serving(echo) as url, performing() as performer:
        made = call("http.request", {"method": "POST", "url": url})
        output = succeeded(await performer.perform(made))
        failed(await performer.undo(made, output), "not_undoable", OutcomeState.SKIPPED)


async def test_observe_mode_reads_only() -> None:
    """In observe mode a GET is sent and a POST is not."""
    methods = []

    async def answer(request: web.Request) -> web.Response:
        methods.append(request.method)
        return web.Response()

    async with serving(answer) as url:
        succeeded(await perform("http.request", {"url": url}, mode=Mode.OBSERVE))
        post = await perform("http.request", {"url": url, "method": "POST"}, mode=Mode.OBSERVE)
    failed(post, "observed", OutcomeState.SKIPPED)
    assert methods == ["GET"]
