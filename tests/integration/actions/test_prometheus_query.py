"""`prometheus.query` against a real Prometheus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from runbookd.model.action import Outcome
from tests.contract.actions.hands import SetClock, call, failed, json_answer, performing, serving, succeeded
from tests.servers import Server

StartPrometheus = Callable[..., Awaitable[Server]]


async def ask(url: str, promql: str, **params: object) -> Outcome:
    """Ask the server at this URL, now."""
    config = {"prometheus": {"default": {"url": f"{url}/"}}}
    async with performing(config, clock=SetClock(datetime.now(UTC))) as performer:
        return await performer.perform(call("prometheus.query", {"promql": promql, **params}))


async def test_a_real_prometheus_is_asked(prometheus: StartPrometheus) -> None:
    """Vectors, scalars, nothing, odd numbers, a moment of its own, wrong expressions and too many series."""
    url = (await prometheus({"scrape_configs": []})).url
    scalar = succeeded(await ask(url, "1.5"))
    assert (scalar["value"], scalar["count"], scalar["warnings"]) == (1.5, 1, [])
    assert scalar["series"][0]["labels"] == {}

    vector = succeeded(await ask(url, 'label_replace(vector(7), "code", "500", "", "")'))
    assert (vector["value"], vector["series"][0]["labels"]) == (7.0, {"code": "500"})

    at = datetime(2024, 5, 6, 7, 8, 9, 500_000, tzinfo=UTC)
    then = succeeded(await ask(url, "time()", at=at))
    assert (then["value"], then["series"][0]["at"]) == (at.timestamp(), at)

    nothing = succeeded(await ask(url, "no_such_metric"))
    assert (nothing["value"], nothing["series"], nothing["count"]) == (None, [], 0)
    for odd in ("0/0", "1/0", "-1/0"):
        seen = succeeded(await ask(url, odd))
        assert (seen["value"], seen["count"]) == (None, 1)

    message = failed(await ask(url, "sum(("), "invalid")
    assert "Prometheus 'default'" in message
    assert "parse error" in message
    assert "gives a matrix" in failed(await ask(url, "up[5m]"), "invalid")
    assert "gives a string" in failed(await ask(url, '"text"'), "invalid")
    two = 'vector(1) or label_replace(vector(2), "a", "b", "", "")'
    assert "gives 2 series" in failed(await ask(url, two, max_series=1), "too_large")
    assert succeeded(await ask(url, two))["count"] == 2


@pytest.mark.parametrize("body", [[], {"status": "success"}, "text"], ids=str)
async def test_something_else_is_no_prometheus(body: object) -> None:
    """A server that answers 200 with other JSON is named as what it may be: the wrong one."""

    async def answer(_request: object) -> Any:
        return json_answer(body)

    async with serving(answer) as url:
        assert "is " in failed(await ask(url, "up"), "unexpected_status")


async def test_a_page_is_no_answer() -> None:
    """A sign-in page in the place of an API is told with its first words."""

    async def answer(_request: object) -> Any:
        response = json_answer(None)
        response.text = "<html>Please\n sign in</html>"
        return response

    async with serving(answer) as url:
        assert "<html>Please sign in</html>" in failed(await ask(url, "up"), "unexpected_status")


async def test_an_answer_without_end_is_left() -> None:
    """No more than 16 MiB of an answer are read; more fails with the advice to ask for less."""

    async def answer(_request: object) -> Any:
        return json_answer("x" * 17 * 1024 * 1024)

    async with serving(answer) as url:
        assert "ask for less" in failed(await ask(url, "up"), "too_large")


SIGNED: list[tuple[Mapping[str, str], str]] = [
    ({"token_secret": "pw"}, "Bearer canary"),
    ({"username": "me", "password_secret": "pw"}, "Basic bWU6Y2FuYXJ5"),
]


@pytest.mark.parametrize(("settings", "header"), SIGNED, ids=["token", "basic"])
async def test_the_settings_sign_in(settings: Mapping[str, str], header: str) -> None:
    """A bearer token, or user and password, go out as configured, and come back in no message."""
    seen = []

    async def answer(request: Any) -> Any:
        seen.append(request.headers["Authorization"])
        return json_answer({"you": "sent", "this": request.headers["Authorization"]}, status=403)

    async with serving(answer) as url:
        config = {"prometheus": {"main": {"url": url, **settings}}}
        async with performing(config, pw="canary") as performer:
            outcome = await performer.perform(call("prometheus.query", {"promql": "up"}))
    assert seen == [header]
    assert "***" in failed(outcome, "denied")
    assert "canary" not in repr(outcome)
    assert header.split()[1] not in repr(outcome)


async def test_a_missing_secret_sends_nothing() -> None:
    """A secret of the settings that is not set fails the call before it is sent."""
    config = {"prometheus": {"main": {"url": "http://127.0.0.1:9", "token_secret": "prom_token"}}}
    async with performing(config) as performer:
        outcome = await performer.perform(call("prometheus.query", {"promql": "up"}))
    assert "prom_token" in failed(outcome, "secret_missing")
