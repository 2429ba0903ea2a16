"""The service elsewhere hears that all is well, once an interval, and hears nothing, or of trouble, when it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from runbookd.errors import SettingsError, StoreUnavailable
from runbookd.model.work import WorkKind
from runbookd.pipeline import Ports
from runbookd.ports import Store, Tx
from runbookd.runtime.config import HeartbeatConfig
from runbookd.runtime.heartbeat import Heartbeat
from runbookd.runtime.metrics import Metrics
from tests.acceptance.engine import Engine, engine
from tests.contract.actions.hands import performing
from tests.fakes.healthchecks import CHECK, Switch, switch
from tests.servers import eventually
from tests.service import service

T = TypeVar("T")

RULES = """
priorities: {P1: {name: High}}
rules: [{name: any, match: [alertname="Any"], priority: P1}]
"""
TICK = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)


@dataclass(slots=True)
class FullStore:
    """A store that takes no writes."""

    store: Store

    async def read(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        """Read as ever."""
        return await self.store.read(unit)

    async def write(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        """Refuse."""
        raise StoreUnavailable("the disk is full")


@dataclass(slots=True)
class House:
    """An engine, a dead man's switch, and replicas that send signs of life; `ill` says what ails each."""

    lab: Engine
    switch: Switch
    replicas: list[Heartbeat]
    ill: list[str | None]
    registry: CollectorRegistry

    async def live(self, by: timedelta) -> None:
        """Let the time pass; every replica looks each five seconds."""
        end = self.lab.clock.at + by
        while self.lab.clock.at < end:
            for replica in self.replicas:
                await replica.beat()
            self.lab.clock.at += TICK

    async def add_work(self, kind: WorkKind, ref: str, *, due_in: timedelta = timedelta(0)) -> None:
        """A row of work that nobody does."""
        due_at = self.lab.clock.at + due_in
        await self.lab.store.write(lambda tx: tx.work.add(kind, ref, due_at))

    def count(self, result: str) -> float:
        """How often that came of it."""
        return self.registry.get_sample_value("runbookd_heartbeats_total", {"result": result}) or 0


@asynccontextmanager
async def house(folder: Path, *, replicas: int = 1, **config: Any) -> AsyncIterator[House]:
    """A house whose replicas call the switch, by default with a URL for trouble too."""
    async with AsyncExitStack() as stack:
        lab = await stack.enter_async_context(engine(folder, rules=RULES))
        there = await stack.enter_async_context(switch())
        performer = await stack.enter_async_context(performing(beat=there.ping))
        ill: list[str | None] = [None] * replicas
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        given = HeartbeatConfig.model_validate(
            {"url": "${secret.beat}", "fail_url": "${secret.beat}/fail", **config}
        )

        def well(number: int) -> Callable[[], Awaitable[str | None]]:
            async def turning() -> str | None:
                return ill[number]

            return turning

        ports = Ports(lab.store, performer, lab.clock)
        each = [Heartbeat(ports, given, well(number), metrics) for number in range(replicas)]
        yield House(lab, there, each, ill, registry)


async def test_replicas_share_one_sign_of_life(tmp_path: Path) -> None:
    """Ten minutes of three replicas are ten signs of life."""
    async with house(tmp_path, replicas=3) as it:
        await it.live(10 * MINUTE)
        assert it.switch.told == ["ok"] * 10
        assert it.count("alive") == 10


async def test_another_replica_goes_on(tmp_path: Path) -> None:
    """A replica that is gone, or whose worker stands still, is no reason for silence while another works."""
    async with house(tmp_path, replicas=2) as it:
        it.ill[0] = "the worker's loop has not turned for 20 s"
        await it.live(3 * MINUTE)
        del it.replicas[0]
        await it.live(3 * MINUTE)
        assert it.switch.told == ["ok"] * 6


async def test_when_no_worker_turns_it_is_told(tmp_path: Path) -> None:
    """With no worker that turns the time passes by a whole interval, and then trouble is told."""
    async with house(tmp_path, replicas=2) as it:
        await it.live(MINUTE)
        it.ill[:] = ["stuck", "stuck"]
        await it.live(MINUTE)
        assert it.switch.told == ["ok"]
        await it.live(MINUTE)
        assert set(it.switch.told[1:]) == {"fail"}


@pytest.mark.parametrize("kind", [WorkKind.CLOCK, WorkKind.SEND, WorkKind.ADVANCE, WorkKind.ESCALATE])
async def test_work_that_is_left_lying_is_told(tmp_path: Path, kind: WorkKind) -> None:
    """A clock, message, run or escalation overdue by more than is allowed is trouble, until it is done."""
    async with house(tmp_path, overdue="2m") as it:
        await it.add_work(kind, "x", due_in=MINUTE - TICK)
        await it.live(3 * MINUTE)
        assert it.switch.told == ["ok"] * 3
        await it.live(MINUTE)
        assert set(it.switch.told[3:]) == {"fail"}
        now, lease = it.lab.clock.at, timedelta(hours=1)
        claimed = await it.lab.store.write(lambda tx: tx.work.claim("w/1", now, lease, 1))
        told = len(it.switch.told)
        await it.live(2 * MINUTE)
        assert claimed
        assert set(it.switch.told[told:]) == {"ok"}, "somebody is at it"


async def test_a_delivery_that_waits_is_told(tmp_path: Path) -> None:
    """A delivery that nobody takes apart is trouble, though a worker may hold its row."""
    async with house(tmp_path) as it:
        await it.lab.pipeline.receive("alertmanager", b'{"version": "4", "alerts": [{}]}', {}, None)
        now, lease = it.lab.clock.at, timedelta(hours=1)
        body = (
            b'{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Any"},"fingerprint":"1"}]}'
        )
        await it.lab.pipeline.receive("alertmanager", body, {}, None)
        await it.lab.store.write(lambda tx: tx.work.claim("w/1", now, lease, 1))
        await it.live(3 * MINUTE)
        assert it.switch.told[0] == "ok"
        assert it.switch.told[-1] == "fail"


async def test_without_a_url_for_trouble_there_is_silence(tmp_path: Path) -> None:
    """Where the service elsewhere knows no such thing nothing is sent, and its patience tells."""
    async with house(tmp_path, fail_url=None) as it:
        await it.add_work(WorkKind.CLOCK, "x", due_in=-5 * MINUTE)
        await it.live(5 * MINUTE)
        assert it.switch.told == []


async def test_a_store_that_takes_no_writes_is_silence(tmp_path: Path) -> None:
    """It could keep no delivery and call nobody: nothing is sent, of life or of trouble."""
    async with house(tmp_path) as it:
        it.replicas[0]._store = FullStore(it.lab.store)  # type: ignore[assignment]  # noqa: SLF001
        await it.live(3 * MINUTE)
        assert it.switch.told == []


async def test_one_that_did_not_get_through_is_sent_again_soon(tmp_path: Path) -> None:
    """While the switch is down, it is tried four times an interval; no log says where it is."""
    async with house(tmp_path) as it:
        it.switch.down = True
        with capture_logs() as logs:
            await it.live(MINUTE)
        assert it.count("unavailable") == 4
        assert CHECK not in str(logs)
        assert it.switch.url not in str(logs)
        it.switch.down = False
        await it.live(2 * MINUTE)
        assert it.switch.told == ["ok"] * 2


@pytest.mark.parametrize(
    ("url", "result"),
    [
        ("${secret.beat}0", "invalid"),
        ("${secret.missing}", "secret_missing"),
        ("http://127.0.0.1:9/x", "unreachable"),
    ],
)
async def test_why_it_did_not_get_through_is_counted(tmp_path: Path, url: str, result: str) -> None:
    """A wrong address, a secret that is not there, or nobody who listens is in the metric."""
    async with house(tmp_path, url=url) as it:
        with capture_logs() as logs:
            await it.replicas[0].beat()
        assert it.count(result) == 1
        assert logs[-1]["reason"] == result
        assert "127.0.0.1" not in str(logs)


@pytest.mark.parametrize("url", ["${vars.where}", "http://x/${", "http://x/${1 +}"])
async def test_only_a_secret_may_stand_in_the_url(tmp_path: Path, url: str) -> None:
    """Anything else is a mistake that keeps the service from starting; the URL is not shown."""
    with pytest.raises(SettingsError, match=r"heartbeat\.url") as told:
        async with house(tmp_path, url=url):
            raise AssertionError
    assert url not in str(told.value)


async def test_a_service_lives_and_is_killed() -> None:
    """A running service is heard; killed, it is not."""
    async with switch() as there:
        settings: Mapping[str, Any] = {"heartbeat": {"url": "${secret.beat}", "every": "1s"}}
        async with service(
            rules=RULES, playbooks={}, settings=settings, secrets={"beat": there.ping}
        ) as alive:
            await eventually(lambda: there.told, within=30, what="a sign of life")
            await alive.kill()
            heard = len(there.told)
        assert there.told == ["ok"] * heard
        assert CHECK not in alive.log
