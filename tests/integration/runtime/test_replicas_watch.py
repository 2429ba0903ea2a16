"""Replicas on one Postgres that look at the same moment find a silent watchdog once, and send one sign of life."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from runbookd.pipeline import Ports
from runbookd.runtime.config import HeartbeatConfig
from runbookd.runtime.heartbeat import Heartbeat
from runbookd.runtime.metrics import Metrics
from runbookd.runtime.watchdogs import listening
from runbookd.settings import Settings
from runbookd.wiring import Parts, wire
from tests.acceptance.engine import SetClock
from tests.fakes.healthchecks import switch
from tests.postgres import PostgresServer

RULES = """
priorities: {P1: {name: High}}
rules: [{name: silence, match: [alertname="WatchdogMissing"], priority: P1, incident: {key: [watchdog]}}]
"""
REPLICAS = 3


@pytest.fixture
async def replicas(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[tuple[SetClock, list[Parts]]]:
    """Some replicas with the same clock, and two watchdogs to listen for."""
    name, clock = await postgres.new(), SetClock()
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "rules.yaml").write_text(RULES, encoding="utf-8")
    async with AsyncExitStack() as stack:
        parts = [
            await stack.enter_async_context(
                wire(
                    Settings(
                        name=f"replica-{number}",
                        database_url=postgres.url(name),
                        rules=[tmp_path / "rules"],
                        playbooks=[],
                        watchdogs=[{"alert": "Watchdog"}, {"alert": "Other"}],
                    ),
                    clock=clock,
                )
            )
            for number in range(REPLICAS)
        ]
        yield clock, parts
    await postgres.drop(name)


async def test_silence_is_found_once(replicas: tuple[SetClock, list[Parts]]) -> None:
    """Each of two silent watchdogs is one delivery and one incident, though all look at once, again and again."""
    clock, parts = replicas
    looks = [listening(one.store, clock, one.pipeline) for one in parts]
    for _ in range(30):
        await asyncio.gather(*(look() for look in looks))
        clock.at += timedelta(seconds=30)
    for one in parts:
        await one.worker.drain(clock.at)
    store = parts[0].store
    assert len(await store.read(lambda tx: tx.deliveries.recent(100))) == 2
    incidents = await store.read(lambda tx: tx.incidents.recent(100, {}))
    assert sorted(one.key for one in incidents) == ['{"watchdog":"Other"}', '{"watchdog":"Watchdog"}']


async def test_one_sign_of_life_is_sent(replicas: tuple[SetClock, list[Parts]]) -> None:
    """In ten minutes ten, though each replica would send it at the very same moment."""
    clock, parts = replicas
    metrics = Metrics(CollectorRegistry())

    async def well() -> str | None:
        return None

    async with switch() as there:
        config = HeartbeatConfig.model_validate({"url": there.ping})
        hearts = [Heartbeat(Ports(one.store, one.performer, clock), config, well, metrics) for one in parts]
        for _ in range(60):
            await asyncio.gather(*(heart.beat() for heart in hearts))
            clock.at += timedelta(seconds=10)
    assert there.told == ["ok"] * 10
