"""`prometheus.query_range` against a real Prometheus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from runbookd.model.action import Outcome
from tests.contract.actions.hands import NOW, call, failed, perform, performing, succeeded
from tests.servers import Server

StartPrometheus = Callable[..., Awaitable[Server]]
START = datetime(2024, 5, 6, 7, 0, tzinfo=UTC)


async def ask(url: str, **params: object) -> Outcome:
    """Ask the server at this URL; the clock stands at NOW."""
    async with performing({"prometheus": {"default": {"url": url}}}) as performer:
        return await performer.perform(call("prometheus.query_range", params))


async def test_a_real_prometheus_is_asked(prometheus: StartPrometheus) -> None:
    """Values over time with their moments, defaults up to now, odd numbers, and what Prometheus refuses."""
    url = (await prometheus({"scrape_configs": []})).url
    seen = succeeded(await ask(url, promql="time()", start=START, end="2024-05-06T07:02:00Z", step="1m"))
    moments = [START + timedelta(minutes=minute) for minute in range(3)]
    assert seen["count"] == 1
    assert seen["series"][0]["values"] == [{"at": at, "value": at.timestamp()} for at in moments]
    assert seen["value"] == moments[-1].timestamp()

    recent = succeeded(await ask(url, promql="time()", last="2m", step="30s"))
    assert [sample["at"] for sample in recent["series"][0]["values"]][-1] == NOW
    assert len(recent["series"][0]["values"]) == 5

    nothing = succeeded(await ask(url, promql="no_such_metric"))
    assert (nothing["value"], nothing["series"], nothing["count"]) == (None, [], 0)
    assert succeeded(await ask(url, promql="vector(0)/0"))["value"] is None
    assert "parse error" in failed(await ask(url, promql="sum(("), "invalid")
    assert "maximum resolution" in failed(await ask(url, promql="up", last="30d", step="1s"), "invalid")


@pytest.mark.parametrize(
    "params",
    [
        {"start": START, "end": START - timedelta(seconds=1)},
        {"step": "0s"},
        {"start": "2024-05-06T07:02:00"},
    ],
    ids=str,
)
async def test_a_stretch_that_is_none_is_refused(params: Mapping[str, object]) -> None:
    """Backwards, without steps, or without a time zone: nothing is asked."""
    failed(await perform("prometheus.query_range", {"promql": "up", **params}), "invalid")
