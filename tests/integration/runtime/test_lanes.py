"""Neither a flood of one sender's deliveries nor runs that hang keep others, clocks or escalations waiting."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from runbookd.model.action import Call, Outcome
from runbookd.pipeline import Pipeline, Ports
from runbookd.ports import Tx
from runbookd.runtime.worker import Worker
from runbookd.units.watch import Watch
from tests.acceptance.engine import Engine, alert, engine
from tests.acceptance.hands import Hands
from tests.servers import eventually

RULES = """
priorities: {P1: {name: High}}
rules:
  - {name: hang, match: [alertname="Hang"], priority: P1, run: [{playbook: turn}]}
  - name: people
    match: [alertname="People"]
    priority: P1
    incident: {key: [nobody]}
    run: [{playbook: turn}]
"""
PLAYBOOKS = {"turn": "playbook: turn\nsteps:\n  - action: flow.log\n    with: {message: x}\n"}


class HangingHands(Hands):
    """Hands whose every call goes on until it is given up."""

    async def perform(self, call: Call) -> Outcome:
        """Never come to an outcome."""
        self.calls.append(call)
        await asyncio.Event().wait()
        raise AssertionError


class Told(Watch):
    """Remembers why people were told."""

    def __init__(self) -> None:
        """Nobody was told yet."""
        self.reasons: list[str] = []

    def escalated(self, reason: str, priority: str) -> None:
        """Remember one."""
        self.reasons.append(reason)


@contextlib.asynccontextmanager
async def turning(worker: Worker) -> AsyncIterator[None]:
    """The worker's loop, for the time of a block."""
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        await worker.stop(timedelta(0))
        await running


async def tell(pipeline: Pipeline, lab: Engine, *names: str, source: str = "alertmanager") -> None:
    """One delivery of new alerts."""
    told = [alert(name, began=lab.clock.now(), labels={"n": f"{source}{n}"}) for n, name in enumerate(names)]
    message: object = {"version": "4", "alerts": told}
    if source == "alertmanager-reconcile":
        message = [one | {"status": {"state": "active"}} for one in told]
    receipt = await pipeline.receive(source, json.dumps(message).encode(), {}, None)
    assert receipt.refusal is None, receipt.refusal


async def test_runs_that_hang_hold_up_neither_deliveries_nor_people(tmp_path: Path) -> None:
    """With every slot taken by a call without an answer, alerts are admitted and people are told."""
    hands, told = HangingHands(iter(()), iter(())), Told()
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        pipeline = Pipeline(Ports(lab.store, hands, lab.clock), lab.pipeline.desk, told)
        async with turning(Worker(lab.store, lab.clock, pipeline, owner="w", slots=4)):
            await tell(pipeline, lab, *["Hang"] * 8)
            await eventually(lambda: len(hands.calls) == 4, within=20, what="every slot is taken")
            await tell(pipeline, lab, "People", source="alertmanager-reconcile")
            await eventually(lambda: told.reasons == ["run_refused"], within=20, what="people are told")
            assert len(hands.calls) == 4


async def test_a_flood_of_one_source_does_not_hold_up_another(tmp_path: Path) -> None:
    """A small delivery of one source is admitted before the many of another that came before it."""
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        for _ in range(60):
            await tell(lab.pipeline, lab, *["Flood"] * 64)
        await tell(lab.pipeline, lab, "Small", source="alertmanager-reconcile")
        async with turning(lab.worker):
            await eventually(lambda: _named(lab, "Small"), within=30, every=0.01)
        assert len(await lab.events()) < 60 * 64


async def _named(lab: Engine, name: str) -> bool:
    """Whether an event of this name is among the latest."""
    found = await lab.store.read(lambda tx: tx.deliveries.events(1, {"name": name}))
    return bool(found)


class SlowStore:
    """A store whose clock goes on with every write, as one that is far too slow for the lease."""

    def __init__(self, lab: Engine, pace: timedelta) -> None:
        """Each write takes so long by the engine's clock."""
        self._lab, self._pace = lab, pace
        self.read, self.attend, self.time, self.close = (
            getattr(lab.store, name) for name in ("read", "attend", "time", "close")
        )

    async def write(self, unit: Callable[[Tx], Awaitable[Any]]) -> Any:
        """Write, and let time pass."""
        answer = await self._lab.store.write(unit)
        self._lab.clock.at += self._pace
        return answer


async def test_replicas_that_are_slow_do_not_take_claims_from_each_other_for_ever(tmp_path: Path) -> None:
    """Where leases run out before a claim's turn comes, fewer are claimed at a time, and all are admitted."""
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        for number in range(150):
            await tell(lab.pipeline, lab, f"Slow{number}")
        slow = SlowStore(lab, lab.pipeline.desk.lease / 3)
        pipelines = [
            Pipeline(Ports(slow, HangingHands(iter(()), iter(())), lab.clock), lab.pipeline.desk)
            for _ in "ab"
        ]
        workers = [Worker(slow, lab.clock, each, owner=f"w{n}") for n, each in enumerate(pipelines)]
        async with turning(workers[0]), turning(workers[1]):
            await eventually(lambda: _none_pending(lab), within=60, every=0.05)
        assert len(await lab.events()) == 150


async def _none_pending(lab: Engine) -> bool:
    count, _ = await lab.store.read(lambda tx: tx.deliveries.pending())
    return count == 0
