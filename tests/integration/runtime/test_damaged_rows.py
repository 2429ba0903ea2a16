"""A damaged row is set aside with its reason; whatever else there is goes on."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from runbookd.errors import DamagedRow
from runbookd.model.event import DeliveryState
from runbookd.model.run import RunState
from tests.acceptance.engine import Engine, alert, engine

RULES = """
priorities: {P1: {name: High}}
rules:
  - {name: good, match: [alertname="Good"], priority: P1, run: [{playbook: turn}]}
"""
PLAYBOOKS = {"turn": "playbook: turn\nsteps:\n  - action: flow.log\n    with: {message: x}\n"}


def damage(folder: Path, sql: str) -> None:
    """Write to the file behind the store's back."""
    with contextlib.closing(sqlite3.connect(folder / "runbookd.db", timeout=5)) as base, base:
        base.execute(sql)


async def receive(lab: Engine, name: str) -> None:
    """Keep a delivery of one alert, not admitted yet."""
    body = {"version": "4", "alerts": [alert(name, began=lab.clock.now())]}
    receipt = await lab.pipeline.receive("alertmanager", json.dumps(body).encode(), {}, None)
    assert receipt.refusal is None


async def test_a_damaged_delivery_is_a_dead_letter_and_holds_up_no_other(tmp_path: Path) -> None:
    """After a few tries it is dead, with the reason in its row and in the ledger; later deliveries are admitted."""
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        await receive(lab, "Bad")
        damage(tmp_path, "UPDATE deliveries SET headers = '{'")
        await lab.hear(alert("Good", began=lab.clock.now()))
        await lab.move(timedelta(minutes=5))
        assert [run.state for run in await lab.runs()] == [RunState.SUCCEEDED]
        with contextlib.closing(sqlite3.connect(tmp_path / "runbookd.db")) as base:
            ((reason,),) = base.execute("SELECT reason FROM deliveries WHERE state = 'dead'").fetchall()
        assert reason.startswith("internal_error: DamagedRow: A row is damaged")
        told = [one.entry for one in await lab.ledger() if one.entry.what == "internal_error"]
        assert [set(one.detail) for one in told] == [{"reason"}]
        with pytest.raises(DamagedRow):
            await lab.store.read(lambda tx: tx.deliveries.recent(10, DeliveryState.DEAD))


async def test_a_damaged_run_is_told_in_the_ledger(tmp_path: Path) -> None:
    """Nobody knows whose it was: the ledger names it, and it is looked at again now and then."""
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        await receive(lab, "Good")
        (work,) = await lab.store.write(lambda tx: tx.work.claim("t", lab.clock.now(), timedelta(0), 1))
        await lab.pipeline.admit([work])
        (run,) = await lab.runs()
        damage(tmp_path, "UPDATE runs SET scope = '{'")
        await lab.move(timedelta(minutes=5))
        told = [one.entry.run_id for one in await lab.ledger() if one.entry.what == "internal_error"]
        assert told == [run.id]


async def test_work_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """A kind nobody here knows is not claimed, does not keep the worker from its own, and stays where it is."""
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        damage(tmp_path, "INSERT INTO work (kind, ref, due_at) VALUES ('newer', 'x', 0)")
        await lab.hear(alert("Good", began=lab.clock.now()))
        assert [run.state for run in await lab.runs()] == [RunState.SUCCEEDED]
        assert await lab.store.read(lambda tx: tx.work.next_due()) is None
