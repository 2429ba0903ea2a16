"""Promise G10: past a set rate writes pause by themselves, one switch stops them at once, and people hear as ever."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from runbookd.model.action import Mode
from runbookd.model.reasons import Escalate
from runbookd.model.run import RunState
from runbookd.ports import Tx
from runbookd.units.desk import PAUSED
from runbookd.units.manual import Request, start_run
from runbookd.units.pausing import is_braked, pause, resume
from tests.acceptance.engine import Engine, alert, engine
from tests.acceptance.hands import Hands
from tests.servers import eventually
from tests.service import Service, notification

RULES = """
priorities: {P1: {name: High, respond_within: 10m}}
rules:
  - name: fix
    match: [alertname="Down"]
    priority: P1
    incident: {key: [app]}
    run: [{playbook: turn, with: {app: "${event.labels.app}"}}]
    limits: {cooldown: 0s, runs: []}
"""
TURN = """
playbook: turn
inputs: {app: {}}
target: apps/${inputs.app}
steps:
  - {id: look, action: flow.log, with: {message: "${inputs.app}"}}
  - {id: settle, wait: 10s}
  - {id: turn, action: flow.log, with: {message: "${inputs.app}"}}
"""
BRAKE = {"reach": {"budget": 1000, "brake": 5, "brake_window": "1m"}}


class Lab:
    """An engine whose playbook looks, waits and then changes something, and the hands that do so."""

    def __init__(self, lab: Engine, hands: Hands) -> None:
        """Both are wired together already."""
        self.engine, self.hands = lab, hands

    async def storm(self, first: int, count: int) -> None:
        """So many apps go down at once."""
        now = self.engine.clock.now()
        names = (f"app-{number}" for number in range(first, first + count))
        await self.engine.hear(*(alert(began=now, labels={"app": name}) for name in names))

    def turned(self) -> int:
        """How many calls changed something."""
        return sum(call.action == "hand.turn" and call.mode is Mode.ACT for call in self.hands.calls)

    async def paused(self) -> str | None:
        """The switch."""
        return await self.engine.store.read(lambda tx: tx.switches.get(PAUSED))

    async def reasons(self) -> list[str]:
        """Why people were told of each incident, oldest first."""
        return [incident.escalation_reason or "" for incident in await self.engine.incidents()]

    async def people_resume(self) -> bool:
        """A person lets runs act again."""
        now = self.engine.clock.now()
        return await self.engine.store.write(lambda tx: resume(tx, "looked", "cli:ann", now))


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """The engine with a brake of five runs in a minute."""
    async with engine(tmp_path, rules=RULES, playbooks={"turn": TURN}) as first:
        library = first.pipeline.desk.library
    turn, folder, hands = library.playbooks["turn"], tmp_path / "storm", Hands(iter(()), iter(()))
    folder.mkdir()
    look, settle, change = turn.steps
    steps = [
        look.model_copy(update={"action": "hand.look", "with_": {}}),
        settle,
        change.model_copy(update={"action": "hand.turn", "with_": {}}),
    ]
    mutating = replace(library, playbooks={"turn": turn.model_copy(update={"steps": steps})})
    async with engine(folder, library=mutating, performer=hands, settings=BRAKE) as second:
        yield Lab(second, hands)


async def test_a_storm_pauses_the_service_by_itself(lab: Lab) -> None:
    """One run past the rate pauses everything: nothing is changed, what comes still looks, and all is told."""
    await lab.storm(0, 50)
    runs = await lab.engine.runs()
    assert [run.mode for run in runs] == [Mode.ACT] * 5 + [Mode.OBSERVE] * 45
    assert is_braked(await lab.paused())
    await lab.engine.move(timedelta(seconds=30))
    assert lab.turned() == 0
    assert sum(call.action == "hand.look" for call in lab.hands.calls) == 45
    reasons = await lab.reasons()
    assert reasons.count(Escalate.STORM_BRAKE) == 1
    assert reasons.count(Escalate.PAUSED) == 44
    assert reasons.count(Escalate.RUN_CANCELLED) == 5
    pauses = [
        one.entry
        for one in await lab.engine.ledger()
        if one.entry.what == "paused" and one.entry.stage == "execute"
    ]
    assert [(one.actor, one.detail["running"]) for one in pauses] == [("runbookd", 5)]
    assert str(pauses[0].detail["reason"]).startswith("storm_brake: 5 runs that act began within 1m")


async def test_the_brake_holds_until_a_person_resumes(lab: Lab) -> None:
    """No time releases it; clocks go on and are breached meanwhile; a person ends it, in the ledger by name."""
    await lab.storm(0, 6)
    await lab.engine.move(timedelta(hours=2))
    assert is_braked(await lab.paused())
    clocks = [one.entry for one in await lab.engine.ledger() if one.entry.what == "clock_breached"]
    assert len({one.incident_id for one in clocks if "clock" in one.detail}) == 1  # five had a run that acted
    assert await lab.people_resume()
    assert not await lab.people_resume()
    await lab.storm(100, 5)
    await lab.engine.move(timedelta(seconds=30))
    assert lab.turned() == 5
    assert await lab.paused() is None
    assert "cli:ann" in {one.entry.actor for one in await lab.engine.ledger() if one.entry.what == "resumed"}


async def test_below_the_rate_nothing_pauses(lab: Lab) -> None:
    """The window slides: so many in every window are no storm."""
    for number in range(4):
        await lab.storm(number * 5, 5)
        await lab.engine.move(timedelta(seconds=61))
    assert await lab.paused() is None
    assert lab.turned() == 20


async def test_what_was_refused_or_observed_is_no_storm(lab: Lab) -> None:
    """Only runs that act count: repeats, refusals and a person's dry runs do not pull the brake."""
    request = Request(playbook="turn", inputs={"app": "x"}, mode=Mode.OBSERVE, actor="cli:ann")
    desk = lab.engine.pipeline.desk
    for _ in range(10):
        await lab.engine.store.write(lambda tx: start_run(tx, desk, request, lab.engine.clock.now()))
    await lab.storm(0, 5)
    await lab.storm(0, 5)
    assert await lab.paused() is None


async def test_the_switch_stops_writes_in_the_middle_of_a_storm(lab: Lab) -> None:
    """Flipped between a run's look and its change, the change is not made; what comes later only looks."""
    await lab.storm(0, 3)

    async def flip(tx: Tx) -> int:
        return await pause(tx, "too much", "cli:ann", lab.engine.clock.now())

    await lab.engine.move(timedelta(seconds=5))
    assert await lab.engine.store.write(flip) == 3
    await lab.storm(10, 20)
    await lab.engine.move(timedelta(minutes=1))
    assert lab.turned() == 0
    assert not is_braked(await lab.paused())
    states = [run.state for run in await lab.engine.runs()]
    assert states == [RunState.CANCELLED] * 3 + [RunState.OBSERVED] * 20
    assert await lab.reasons() == [Escalate.RUN_CANCELLED] * 3 + [Escalate.PAUSED] * 20


async def test_no_brake_where_settings_say_so(tmp_path: Path) -> None:
    """A rate of 0 is no brake."""
    async with engine(
        tmp_path, rules=RULES, playbooks={"turn": TURN}, settings={"reach": {"budget": 1000, "brake": 0}}
    ) as free:
        now = free.clock.now()
        await free.hear(*(alert(began=now, labels={"app": f"app-{number}"}) for number in range(100)))
        assert {run.mode for run in await free.runs()} == {Mode.ACT}


async def test_the_brake_is_seen_from_outside(tmp_path: Path) -> None:
    """The command line says who paused and why, the metric shows it, and `resume` ends it."""
    service = Service.at(tmp_path, rules=RULES, playbooks={"turn": TURN}, settings=BRAKE | {"reload": False})
    await service.start()
    try:
        alerts = [{"alertname": "Down", "app": f"app-{number}"} for number in range(8)]
        assert await service.post(notification(*alerts)) == 202
        await service.until("SELECT 1 FROM switches WHERE name = 'paused'")
        paused = (await service.cli_json("status"))["paused"]
        assert paused["by"] == "runbookd"
        assert paused["reason"].startswith("storm_brake")
        (told,) = await service.until("SELECT * FROM incidents WHERE escalation_reason = 'storm_brake'")
        assert json.loads(told["key"])["app"].startswith("app-")
        await eventually(lambda: _braked(service, 1), within=45, what="the metric shows the brake")
        assert (await service.cli("resume", "--reason", "looked")).returncode == 0
        await eventually(lambda: _braked(service, 0), within=45, what="the metric shows the end")
    finally:
        await service.stop()


async def _braked(service: Service, value: int) -> bool:
    """Whether the metric has this value."""
    async with aiohttp.ClientSession() as session, session.get(f"{service.url}/metrics") as answer:
        return f"runbookd_storm_braked {value:.1f}" in await answer.text()
