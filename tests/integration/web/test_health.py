"""Probes and scrapers learn whether the service lives, whether it can work, and why not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbookd.errors import StoreError, StoreUnavailable
from runbookd.stages.receive import take_delivery
from runbookd.store.sqlite import open_sqlite
from runbookd.web import health
from tests.integration.web.doors import GOOD, Door, running_door
from tests.servers import eventually

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
        assert (answer.status, answer.json) == (
            200,
            {"status": "ready", "reasons": {}, "warnings": {}},
        )


async def test_a_warning_leaves_it_ready() -> None:
    """What a person should mend is told, and does not take the service out of its work."""
    warnings = {"reload": lambda: "rules.yaml:7: no such priority", "other": lambda: None}
    async with running_door(checks={"store": well}, warnings=warnings) as door:
        answer = await door.ask("GET", "/readyz")
        assert answer.status == 200
        assert answer.json["warnings"] == {"reload": "rules.yaml:7: no such priority"}


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
    asked: list[str] = []
    go = asyncio.Event()

    async def counting() -> str | None:
        asked.append("once")
        await go.wait()
        return None

    async with running_door(checks={"store": counting}) as door:
        probes = [asyncio.create_task(door.ask("GET", "/readyz")) for _ in range(5)]
        await eventually(lambda: asked, within=5)
        await asyncio.gather(*(door.ask("GET", "/healthz") for _ in range(5)))
        go.set()
        assert {(await probe).status for probe in probes} == {200}
        assert asked == ["once"]


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


async def test_the_database_is_asked_by_writing(tmp_path: Path) -> None:
    """The check writes, so it fails when the database takes no writes."""
    store = await open_sqlite(tmp_path / "runbookd.db")
    check = health.store_writable(store, SetClock())
    assert await check() is None
    assert await store.read(lambda tx: tx.switches.get(health.PROBED_AT)) == NOW.isoformat()
    await store.close()
    with pytest.raises(StoreError):
        await check()


async def test_deliveries_must_not_wait_long(tmp_path: Path) -> None:
    """The queue is young while its oldest delivery is within the limit, and while it is empty."""
    store = await open_sqlite(tmp_path / "runbookd.db")
    try:
        check = health.queue_young(store, SetClock(), timedelta(minutes=5))
        assert await check() is None
        old = take_delivery(
            "d-1", "alertmanager", b"", headers={}, remote=None, now=NOW - timedelta(minutes=5)
        )
        await store.write(lambda tx: tx.deliveries.add(old))
        assert await check() is None
        older = take_delivery(
            "d-2", "alertmanager", b"", headers={}, remote=None, now=NOW - timedelta(hours=1)
        )
        await store.write(lambda tx: tx.deliveries.add(older))
        assert await check() == "2 deliveries wait, the oldest for 3600 s; the limit is 300 s"
    finally:
        await store.close()
