"""The worker's loop goes on whatever happens to one row of work, or to the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from runbookd.errors import StoreUnavailable
from runbookd.model.action import Call, Outcome
from runbookd.model.event import DeliveryState
from runbookd.model.run import RunState
from runbookd.model.work import WorkKind
from runbookd.pipeline import Pipeline, Ports
from runbookd.ports import Store, Tx
from runbookd.ports.world import Trouble
from runbookd.runtime.worker import Worker
from tests.acceptance.engine import Engine, alert, engine
from tests.acceptance.hands import Hands

T = TypeVar("T")

RULES = """
priorities: {P1: {name: High}}
rules:
  - {name: good, match: [alertname="Good"], priority: P1, run: [{playbook: turn}]}
  - {name: bad, match: [alertname="Bad"], priority: P1}
"""
PLAYBOOKS = {"turn": "playbook: turn\nsteps:\n  - action: flow.log\n    with: {message: x}\n"}


class Leaving(Hands):
    """Hands whose first call has the service told to stop."""

    pipeline: Pipeline

    async def perform(self, call: Call) -> Outcome:
        """Perform, and leave."""
        self.pipeline.leaving = True
        return await super().perform(call)


class AwayAfter(Hands):
    """Hands whose every call leaves the store away for three writes."""

    store: FlakyStore

    async def perform(self, call: Call) -> Outcome:
        """Perform, and take the store away."""
        self.store.away = 3
        return await super().perform(call)


@dataclass(slots=True)
class FlakyStore:
    """A store that is away for a number of writes."""

    inner: Store
    away: int = 0

    async def write(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        """Refuse while it is away, else write."""
        if self.away > 0:
            self.away -= 1
            raise StoreUnavailable("away")
        return await self.inner.write(unit)

    async def read(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        """Read."""
        return await self.inner.read(unit)

    async def attend(self, name: str, wake: Callable[[], None], trouble: Trouble | None = None) -> bool:
        """Attend."""
        return await self.inner.attend(name, wake, trouble)

    async def time(self) -> datetime | None:
        """Tell the time."""
        return await self.inner.time()

    async def close(self) -> None:
        """Close."""
        await self.inner.close()


async def poisoned(lab: Engine) -> None:
    """Make every alert named Bad impossible to admit: its rule names a priority that is not there."""
    desk = lab.pipeline.desk
    bad = [
        rule.model_copy(update={"priority": "P9"}) if rule.name == "bad" else rule
        for rule in desk.library.rules
    ]
    lab.pipeline.desk = desk.using(replace(desk.library, rules=tuple(bad)))


async def test_a_delivery_that_cannot_be_admitted_is_buried_and_said(tmp_path: Path) -> None:
    """After a few tries it is a dead letter with its reason in the ledger; it is not lost, and not tried for ever."""
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        await poisoned(lab)
        await lab.hear(alert("Bad", began=lab.clock.now()))
        await lab.move(timedelta(minutes=5))
        (dead,) = await lab.store.read(lambda tx: tx.deliveries.recent(10, DeliveryState.DEAD))
        assert dead.reason == "internal_error: KeyError: 'P9'"
        told = [entry.entry for entry in await lab.ledger() if entry.entry.what == "internal_error"]
        assert [entry.delivery_id for entry in told] == [dead.id]
        assert await lab.store.read(lambda tx: tx.work.next_due()) is None


async def test_one_bad_delivery_holds_up_no_other(tmp_path: Path) -> None:
    """Deliveries admitted together are admitted one by one when one of them fails."""
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        await poisoned(lab)
        now = lab.clock.now()
        for name in ("Good", "Bad"):
            body = {"version": "4", "alerts": [alert(name, began=now)]}
            await lab.pipeline.receive("alertmanager", json.dumps(body).encode(), {}, None)
        running = asyncio.create_task(lab.worker.run())
        async with asyncio.timeout(10):
            while not await lab.runs() or not (await lab.runs())[0].state.ended:
                await asyncio.wait([running], timeout=0.02)
        await lab.worker.stop(timedelta(seconds=1))
        await running
        assert [run.state for run in await lab.runs()] == [RunState.SUCCEEDED]
        assert [event.event.name for event in await lab.events()] == ["Good"]


async def test_an_answer_is_kept_while_the_store_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that was made is written down as made when the store is back; nothing is in doubt, nothing done again."""
    monkeypatch.setattr("runbookd.pipeline._STORE_RETRY", 0.01)
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        library = lab.pipeline.desk.library
        step = library.playbooks["turn"].steps[0].model_copy(update={"action": "hand.throw", "with_": {}})
        turn = library.playbooks["turn"].model_copy(update={"steps": [step]})
        desk = lab.pipeline.desk.using(replace(library, playbooks={"turn": turn}))
        store = FlakyStore(lab.store)
        hands = AwayAfter(iter(()), iter(()))
        hands.store = store
        pipeline = Pipeline(Ports(store, hands, lab.clock), desk)
        worker = Worker(store, lab.clock, pipeline, owner="flaky")
        await Engine(store, lab.clock, pipeline, worker).hear(alert("Good", began=lab.clock.now()))
        (run,) = await lab.runs()
        assert run.state is RunState.SUCCEEDED
        assert [(step.path, step.attempt, step.state) for step in await lab.steps(run)] == [
            ("steps/0", 1, "succeeded")
        ]
        assert len(hands.calls) == 1


async def test_a_stop_begins_no_new_step_and_leaves_the_run_to_the_next_life(tmp_path: Path) -> None:
    """The call under way is written down; the step after it is begun by whoever carries the run on, once."""
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        library = lab.pipeline.desk.library
        first = library.playbooks["turn"].steps[0].model_copy(update={"action": "hand.throw", "with_": {}})
        turn = library.playbooks["turn"].model_copy(update={"steps": [first, first, first]})
        desk = lab.pipeline.desk.using(replace(library, playbooks={"turn": turn}))
        hands = Leaving(iter(()), iter(()))
        hands.pipeline = pipeline = Pipeline(Ports(lab.store, hands, lab.clock), desk)
        body = {"version": "4", "alerts": [alert("Good", began=lab.clock.now())]}
        await pipeline.receive("alertmanager", json.dumps(body).encode(), {}, None)
        for kind in (WorkKind.ADMIT, WorkKind.ADVANCE):
            (work,) = await lab.store.write(lambda tx: tx.work.claim("one", lab.clock.now(), desk.lease, 1))
            assert work.kind is kind
            await (pipeline.admit([work]) if kind is WorkKind.ADMIT else pipeline.advance(work))
        (run,) = await lab.runs()
        assert [(step.path, step.state) for step in await lab.steps(run)] == [("steps/0", "succeeded")]
        pipeline = Pipeline(Ports(lab.store, Hands(iter(()), iter(()), hands.calls), lab.clock), desk)
        await Worker(lab.store, lab.clock, pipeline, owner="two").drain(lab.clock.now())
        assert [step.attempt for step in await lab.steps(run)] == [1, 1, 1]
        assert [call.path for call in hands.calls] == ["steps/0", "steps/1", "steps/2"]
        assert (await lab.runs())[0].state is RunState.SUCCEEDED


async def test_readiness_tells_that_a_delivery_was_turned_away(tmp_path: Path) -> None:
    """For a while after a delivery could not be kept the service says so; then it is ready again."""
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        store = FlakyStore(lab.store, away=1)
        pipeline = Pipeline(Ports(store, Hands(iter(()), iter(())), lab.clock), lab.pipeline.desk)
        body = json.dumps({"version": "4", "alerts": [alert("Good", began=lab.clock.now())]}).encode()
        with pytest.raises(StoreUnavailable):
            await pipeline.receive("alertmanager", body, {}, None)
        assert await pipeline.taking() == "a delivery could not be kept at 12:00:00"
        lab.clock.at += timedelta(seconds=16)
        await pipeline.receive("alertmanager", body, {}, None)
        assert await pipeline.taking() is None
