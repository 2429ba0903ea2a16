"""`http.check` against a real server: every expectation, met and unmet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from aiohttp import web

from runbookd.model.action import Outcome
from tests.contract.actions.hands import SetClock, call, failed, json_answer, performing, serving, succeeded

BODY = {"status": "ok", "items": [{"ready": True}, {"ready": False}], "n": 1, "none": None}


async def health(request: web.Request) -> web.Response:
    """A health page: JSON, or with /text a text, or with /down an error."""
    if request.path == "/text":
        return web.Response(text="all is well")
    return json_answer(BODY, status=500 if request.path == "/down" else 200, headers={"X-Release": "v1"})


async def check(
    path: str, params: Mapping[str, object], config: Mapping[str, object] | None = None
) -> Outcome:
    """Look at one of the pages; the clock goes on by 300 ms between sending and the last byte."""
    clock = SetClock(tick=timedelta(milliseconds=300))
    async with serving(health) as url, performing(config, clock=clock) as performer:
        return await performer.perform(call("http.check", {"url": url + path, **params}))


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/", {}),
        ("/", {"method": "HEAD"}),
        (
            "/",
            {
                "expect_status": [200, 204],
                "json": {"status": "ok", "items.1.ready": False, "n": 1, "none": None},
            },
        ),
        ("/", {"header": {"X-Release": "v1", "content-type": "application/json; charset=utf-8"}}),
        ("/text", {"contains": "is well", "max_latency": "1s"}),
        ("/down", {"expect_status": "5xx"}),
    ],
    ids=str,
)
async def test_what_is_as_expected_passes(path: str, params: Mapping[str, object]) -> None:
    """Status, JSON fields, headers, text and latency that hold pass, and the answer is the result."""
    seen = succeeded(await check(path, params))
    assert seen["elapsed"] == timedelta(milliseconds=300)
    assert set(seen) == {"status", "headers", "text", "truncated", "json", "elapsed", "url"}


@pytest.mark.parametrize(
    ("path", "params", "said"),
    [
        ("/down", {}, "status is 500, expected 2xx"),
        ("/", {"expect_status": [201, "3xx"]}, "status is 200, expected 201 or 3xx"),
        ("/", {"json": {"status": "fine"}}, "json status is 'ok', expected 'fine'"),
        ("/", {"json": {"items.2.ready": True}}, "json has no items.2.ready, expected True"),
        ("/", {"json": {"status.deep": 1}}, "json has no status.deep"),
        ("/", {"json": {"n": True}}, "json n is 1, expected True"),
        ("/text", {"json": {"status": "ok"}}, "the body is not JSON"),
        ("/", {"header": {"X-Release": "v2"}}, "header X-Release is 'v1', expected 'v2'"),
        ("/", {"header": {"X-Other": "v2"}}, "there is no header X-Other"),
        ("/", {"contains": "is well"}, "the body does not hold 'is well'"),
        ("/", {"max_latency": "200ms"}, "the answer took 300ms, expected at most 200ms"),
    ],
    ids=str,
)
async def test_what_is_not_fails_with_both_sides(path: str, params: Mapping[str, object], said: str) -> None:
    """An unmet expectation fails as `check_failed`, telling what is there and what was expected; the answer is kept."""
    outcome = await check(path, params)
    assert said in failed(outcome, "check_failed")
    assert "status" in outcome.output


async def test_everything_unmet_is_named() -> None:
    """One look tells all that is wrong, not only the first."""
    params = {
        "json": {"status": "x", "n": 2},
        "header": {"X-Release": "v3"},
        "contains": "zzz",
        "max_latency": "1ms",
    }
    message = failed(await check("/down", params), "check_failed")
    assert message.count("; ") == 5


async def test_an_answer_too_long_to_be_json_is_told() -> None:
    """JSON that is cut by the settings' limit is not taken for wrong JSON."""
    outcome = await check("/", {"json": {"n": 1}}, {"http": {"max_body": 10}})
    assert "too long to be read whole" in failed(outcome, "check_failed")


async def test_nobody_there_is_no_failed_check(free_port: int) -> None:
    """A server that does not answer is temporary trouble, told apart from a wrong answer."""
    async with performing() as performer:
        outcome = await performer.perform(call("http.check", {"url": f"http://127.0.0.1:{free_port}"}))
    failed(outcome, "unreachable")
