"""Promise G9: of two remedies that hold one target, the one of the earlier rule does not wait for the other's end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from runbookd.model.action import Mode
from runbookd.model.run import Run
from runbookd.stages.plan import Answer
from runbookd.units.manual import Request, start_run
from tests.acceptance.engine import Engine, alert, engine
from tests.acceptance.hands import Hands

RULES = """
priorities: {P1: {name: High}}
rules:
  - name: breach
    match: [alertname="Breach"]
    priority: P1
    incident: {key: [app]}
    run: [{playbook: isolate, with: {app: "${event.labels.app}"}}]
    limits: {cooldown: 1s}
  - name: loss
    match: [alertname="Loss"]
    priority: P1
    incident: {key: [app]}
    run: [{playbook: freeze, with: {app: "${event.labels.app}"}}]
"""
HOLDING = """
playbook: NAME
holds_target: true
inputs: {app: {}}
target: apps/${inputs.app}
steps:
  - action: flow.log
    with: {message: "${inputs.app}"}
  - wait: 1m
verify: [{check: alert_resolved, within: 20s}]
"""
SECOND = timedelta(seconds=1)


@asynccontextmanager
async def two_holders(folder: Path) -> AsyncIterator[tuple[Engine, Hands]]:
    """An engine with both rules; each remedy changes something that could be undone, and then takes a while."""
    playbooks = {name: HOLDING.replace("NAME", name) for name in ("isolate", "freeze")}
    async with engine(folder, rules=RULES, playbooks=playbooks) as lab:
        library = lab.pipeline.desk.library
    changing = {}
    for name, playbook in library.playbooks.items():
        first, *rest = playbook.steps
        step = first.model_copy(update={"action": "hand.set", "with_": {}})
        changes = {"steps": [step, *rest], "on_failure": "undo_and_escalate"}
        changing[name] = playbook.model_copy(update=changes)
    hands = Hands(iter(()), iter(()))
    (folder / "changing").mkdir()
    library = replace(library, playbooks=changing)
    async with engine(folder / "changing", library=library, performer=hands) as lab:
        yield lab, hands


async def fire(lab: Engine, *names: str) -> None:
    """Alerts of the app that come in one delivery."""
    now = lab.clock.now()
    await lab.hear(*(alert(name, began=now, labels={"app": "shop"}) for name in names))


async def stand(lab: Engine) -> list[tuple[str, str, str | None]]:
    """How each run stands, oldest first: its playbook, state, and why it was asked to stop."""
    return [(run.playbook, run.state.value, run.cancel_reason) for run in await lab.runs()]


async def held_by(lab: Engine) -> set[str]:
    """The playbooks that hold the target."""
    return {hold.playbook for hold in await lab.store.read(lambda tx: tx.runs.holds())}


@pytest.mark.parametrize("apart", [timedelta(0), SECOND, timedelta(seconds=20)], ids=str)
async def test_the_later_rule_makes_way(tmp_path: Path, apart: timedelta) -> None:
    """It is asked to stop and the earlier rule's remedy begins a second later; what it did, and its hold, stay."""
    async with two_holders(tmp_path) as (lab, hands):
        await fire(lab, "Loss")
        await lab.move(apart)
        await fire(lab, "Breach")
        await lab.move(SECOND)
        assert await stand(lab) == [
            ("freeze", "cancelled", "gives way to rule breach"),
            ("isolate", "running", None),
        ]
        assert await held_by(lab) == {"freeze", "isolate"}
        assert [call.path for call in hands.calls] == ["steps/0", "steps/0"]
        (loss, _) = await lab.incidents()
        assert (loss.rule, loss.escalation_reason) == ("loss", "run_cancelled")


@pytest.mark.parametrize("apart", [timedelta(0), SECOND, timedelta(seconds=20)], ids=str)
async def test_the_earlier_rule_is_let_finish(tmp_path: Path, apart: timedelta) -> None:
    """The later rule's remedy waits for its end, and comes then."""
    async with two_holders(tmp_path) as (lab, _):
        await fire(lab, "Breach")
        await lab.move(apart)
        await fire(lab, "Loss")
        await lab.move(timedelta(seconds=30))
        assert await stand(lab) == [("isolate", "running", None)]
        await lab.move(timedelta(minutes=1))
        (isolated, frozen) = await stand(lab)
        assert isolated == ("isolate", "unverified", None)
        assert frozen[0] == "freeze"


@pytest.mark.parametrize("names", [("Loss", "Breach"), ("Breach", "Loss")], ids="-".join)
async def test_both_in_one_delivery(tmp_path: Path, names: tuple[str, str]) -> None:
    """Whichever stands first in it, the earlier rule's remedy is at work a second later."""
    async with two_holders(tmp_path) as (lab, _):
        await fire(lab, *names)
        await lab.move(SECOND)
        assert ("isolate", "running", None) in await stand(lab)


async def test_people_go_before_all_rules(tmp_path: Path) -> None:
    """A run by hand asks any rule's run to stop, and can begin then; no rule's remedy interrupts it."""
    async with two_holders(tmp_path) as (lab, _):
        await fire(lab, "Breach")
        wanted = Request(playbook="freeze", inputs={"app": "shop"}, mode=Mode.ACT, actor="anna")

        async def by_hand() -> Run | Answer:
            now, desk = lab.clock.now(), lab.pipeline.desk
            made = await lab.store.write(lambda tx: start_run(tx, desk, wanted, now))
            await lab.worker.drain(now)
            return made

        asked = await by_hand()
        assert isinstance(asked, Answer)
        assert asked.reason == "target_waited_for"
        assert isinstance(await by_hand(), Run)
        await lab.move(2 * SECOND)
        await lab.hear(alert("Breach", began=lab.clock.now(), labels={"app": "shop", "n": "2"}))
        await lab.move(timedelta(seconds=30))
        assert await stand(lab) == [
            ("isolate", "cancelled", "gives way to freeze, started by hand"),
            ("freeze", "running", None),
        ]
