"""Probes and scrapers learn whether the service lives, whether it can work, and why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from runbookd.web import health

from runbookd.errors import StoreUnavailable
from tests.integration.web.doors import GOOD, Door, running_door

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class SetClock:
    """A clock that stands."""

    def now(self) -> datetime:
        """The same moment always."""
        return NOW


async def well() -> str | None:
    """A check that passes."""
    return None


async def unwell() -> str | None:
    """A check that does not."""
    return "the reason"


async def broken() -> str | None:
    """A check whose database is away."""
    raise StoreUnavailable("the database is away")


async def stuck() -> str | None:
    """A check that never ends."""
    await asyncio.Event().wait()
    return None


async def test_the_process_is_alive(door: Door) -> None:
    """/healthz is 200 whatever the rest."""
    answer = await door.ask("GET", "/healthz")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


async def test_ready_when_every_check_passes() -> None:
    """/readyz is 200 without reasons."""
    async with running_door(checks={"store": well}) as door:
        answer = await door.ask("GET", "/readyz")
        assert (answer.status, answer.json) == (200, {"status": "ready", "reasons": {}})


async def test_not_ready_tells_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """/readyz is 503 with the reason of each check that fails, hangs or meets a broken database."""
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.02)
    checks = {"a": well, "b": unwell, "c": broken, "d": stuck}
    async with running_door(checks=checks) as door:
        answer = await door.ask("GET", "/readyz")
        assert answer.status == 503
        assert answer.json["reasons"] == {
            "b": "the reason",
            "c": "the database is away",
            "d": "no answer within 0.02 s",
        }


async def test_probes_at_the_same_time_share_one_check() -> None:
    """A flood of probes is no flood of writes."""
    asked = 0
    go = asyncio.Event()

    async def counting() -> str | None:
        nonlocal asked
        asked += 1
        await go.wait()
        return None

    async with running_door(checks={"store": counting}) as door:
        probes = [asyncio.create_task(door.ask("GET", "/readyz")) for _ in range(5)]
        while door.inbox.waiting or asked == 0:
            await asyncio.sleep(0)
        await door.ask("GET", "/healthz")
        go.set()
        assert {(await probe).status for probe in probes} == {200}
        assert asked == 1


async def test_metrics_are_shown(door: Door) -> None:
    """/metrics is in the format the scraper asks for."""
    await door.post(GOOD)
    text = await door.ask("GET", "/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    assert b'runbookd_hook_answers_total{source="alertmanager",status="202"} 1.0' in text.body
    openmetrics = await door.ask("GET", "/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")


async def test_metrics_can_be_guarded() -> None:
    """With a token set, /metrics is 401 without it."""
    async with running_door({"metrics_bearer": "scrape"}) as door:
        assert (await door.ask("GET", "/metrics", {"Authorization": "Bearer scrape"})).status == 200
        refused = await door.ask("GET", "/metrics", {"Authorization": "Bearer wrong"})
        assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="runbookd"')


async def test_content_must_be_loaded() -> None:
    """Without rules the service cannot decide anything."""
    assert await health.content_loaded(lambda: True)() is None
    assert "no rules" in (await health.content_loaded(lambda: False)() or "")
