"""The metrics tell how soon people are told: levels, messages, and what waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from runbookd.model.action import Failure
from runbookd.model.work import WorkKind
from runbookd.pipeline import Pipeline, Ports
from runbookd.runtime.metrics import Metrics
from runbookd.runtime.outbox import Outbox
from runbookd.runtime.scheduler import heartbeat
from runbookd.runtime.worker import Worker
from tests.acceptance.engine import Engine, alert, engine
from tests.acceptance.voices import Voices

RULES = """
priorities:
  P1: {name: High, respond_within: 30m, escalation: up}
escalations:
  up:
    - {after: 1m, unless: acknowledged, page: ["email:ops@example.com"]}
    - {after: 10m, page: ["webhook:pager"]}
rules: [{name: any, match: [alertname="Any"], priority: P1}]
"""


class Counted:
    """An engine whose metrics can be read, and channels that fail as told."""

    def __init__(self, lab: Engine) -> None:
        """Give the engine's store another pipeline and worker, which are counted."""
        self.registry, self.voices = CollectorRegistry(), Voices(clock=lab.clock)
        metrics = Metrics(self.registry)
        ports = Ports(lab.store, self.voices, lab.clock)
        pipeline = Pipeline(ports, lab.pipeline.desk, metrics)
        worker = Worker(lab.store, lab.clock, pipeline, owner="counted/1")
        worker.handlers[WorkKind.SEND] = Outbox(ports, pipeline, metrics).send
        self.lab = Engine(lab.store, lab.clock, pipeline, worker)
        self.beat = heartbeat(lab.store, lab.clock, metrics)

    def value(self, name: str, **labels: str) -> float:
        """A sample; 0 when there is none."""
        return self.registry.get_sample_value(f"runbookd_{name}", labels) or 0


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Counted]:
    """Someone to count."""
    async with engine(tmp_path, rules=RULES) as lab:
        yield Counted(lab)


async def test_levels_and_messages_are_measured(it: Counted) -> None:
    """A level's lateness, and each message by channel, kind and what became of it, with the time it took."""
    await it.lab.hear(alert("Any"))
    it.lab.clock.at += timedelta(minutes=4)  # the service was away for three minutes
    await it.lab.worker.drain(it.lab.clock.at)
    assert it.value("level_lateness_seconds_count") == 1
    assert it.value("level_lateness_seconds_sum") == 180
    assert it.value("messages_total", channel="email", kind="page", state="sent") == 1
    assert it.value("message_seconds_count", channel="email") == 1
    assert it.value("clock_breaches_total", clock="respond") == 0
    await it.lab.move(timedelta(minutes=30))
    assert it.value("level_lateness_seconds_count") == 2
    assert it.value("clock_breaches_total", clock="respond") == 1


async def test_what_did_not_get_through_is_counted(it: Counted) -> None:
    """A message that failed is counted once, however often it was tried; it has no time."""
    gone = Failure(kind="unreachable", message="no", temporary=True)
    it.voices.failing = {"email": [gone] * 100}
    await it.lab.hear(alert("Any"))
    await it.lab.move(timedelta(minutes=9))
    assert it.value("messages_total", channel="email", kind="page", state="failed") == 1
    assert it.value("message_seconds_count", channel="email") == 0


async def test_what_is_not_needed_any_more_is_counted(it: Counted) -> None:
    """A page that was not sent, because its reason was gone, is dropped."""
    gone = Failure(kind="unreachable", message="no", temporary=True)
    it.voices.failing = {"email": [gone]}
    await it.lab.hear(alert("Any"))
    it.lab.clock.at += timedelta(minutes=1)
    await it.lab.worker.drain(it.lab.clock.at)
    await it.lab.hear(alert("Any", ended=it.lab.clock.at))
    await it.lab.move(timedelta(minutes=2))
    assert it.value("messages_total", channel="email", kind="page", state="dropped") == 1


async def test_what_waits_is_measured(it: Counted) -> None:
    """Messages on their way with the age of the oldest, and the lateness of whatever is overdue, in the heartbeat."""
    gone = Failure(kind="unreachable", message="no", temporary=True, retry_after=60)
    it.voices.failing = {"email": [gone]}
    await it.lab.hear(alert("Any"))
    it.lab.clock.at += timedelta(minutes=1)
    await it.lab.worker.drain(it.lab.clock.at)
    it.lab.clock.at += timedelta(seconds=20)
    await it.beat()
    assert (it.value("messages_waiting"), it.value("message_age_seconds")) == (1, 20)
    assert it.value("overdue_seconds") == 0
    it.lab.clock.at += timedelta(seconds=100)
    await it.beat()
    assert it.value("overdue_seconds") == 60, "a message whose time has come, and nobody sends it"
    await it.lab.worker.drain(it.lab.clock.at)
    await it.beat()
    assert (it.value("messages_waiting"), it.value("message_age_seconds")) == (0, 0)
    it.lab.clock.at += timedelta(minutes=10)
    await it.beat()
    assert it.value("overdue_seconds") == 180, "a level whose time has come"
