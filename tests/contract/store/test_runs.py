"""What `ports.Runs` promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from runbookd.errors import EvaluationError, NotFound, StoreError
from runbookd.language.values import SecretRef, SecretText
from runbookd.model.action import Mode
from runbookd.model.run import Hold, Run, RunState, StepState
from runbookd.ports import Store, Tx
from tests.contract.store.samples import T0, at, evidence, run, step, write


async def add(store: Store, *runs: Run) -> list[bool]:
    """Add each run."""
    return [await write(store, "runs.add", each) for each in runs]


async def ask(store: Store, question: str, *arguments: Any) -> Any:
    """Read one answer of `tx.runs`."""
    return await store.read(lambda tx: getattr(tx.runs, question)(*arguments))


async def test_run_comes_back_unchanged_and_is_replaced(store: Store) -> None:
    """Every field is kept, durations and times in the scope with their types; saving replaces all of them."""
    assert await add(store, run("r1")) == [True]
    assert await ask(store, "get", "r1") == run("r1")
    ended = run(
        "r1",
        state=RunState.FAILED,
        mode=Mode.OBSERVE,
        reason="step_failed",
        mutated=True,
        cancel_reason="resolved",
        ended_at=at(7),
        rule=None,
        key="",
        rung=2,
        alert_id="a1",
        incident_id="i1",
        target=None,
    )
    await store.write(lambda tx: tx.runs.save(ended))
    assert await ask(store, "get", "r1") == ended
    assert await ask(store, "get", "r2") is None


async def test_save_of_nothing_is_told(store: Store) -> None:
    """Replacing a run that was never added is an error, not silence."""
    with pytest.raises(NotFound, match="r9"):
        await store.write(lambda tx: tx.runs.save(run("r9")))


async def test_one_run_per_alert_rule_and_rung(store: Store) -> None:
    """A second run of an (alert, rule, rung) is not kept, not even when both come at once or have no rule."""
    same = [run(f"r{n}", alert_id="a1") for n in range(10)]
    kept = await asyncio.gather(*(write(store, "runs.add", each) for each in same))
    assert sorted(kept) == [False] * 9 + [True]
    assert len(await ask(store, "recent", 99, {})) == 1
    others = [run("x1", alert_id="a1", rung=1), run("x2", alert_id="a1", rule="z"), run("x3", alert_id="a2")]
    assert await add(store, *others) == [True] * 3
    assert await add(store, run("y1", alert_id="a1", rule=None), run("y2", alert_id="a1", rule=None)) == [
        True,
        False,
    ]
    assert await add(store, run("z1"), run("z2")) == [True, True]


async def test_id_is_not_taken_twice(store: Store) -> None:
    """A second run of the same id is an error, not a duplicate of its alert."""
    await add(store, run("r1"))
    with pytest.raises(StoreError):
        await add(store, run("r1", alert_id="a1"))


async def test_recent_by_every_filter(store: Store) -> None:
    """Newest first, at most `limit`, by each filter; an unknown one is refused."""
    here = run("r1", incident_id="i1", alert_id="a1")
    there = run(
        "r2",
        created_at=at(1),
        playbook="other",
        rule="other",
        target="t2",
        mode=Mode.OBSERVE,
        state=RunState.REFUSED,
    )
    await add(store, here, there)
    assert await ask(store, "recent", 9, {}) == [there, here]
    assert await ask(store, "recent", 1, {}) == [there]
    for column in ("state", "playbook", "rule", "incident_id", "alert_id", "target", "mode"):
        assert await ask(store, "recent", 9, {column: getattr(here, column)}) == [here]
    with pytest.raises(StoreError, match="not a filter"):
        await ask(store, "recent", 9, {"1 OR 1": "x"})


async def test_running_of_an_incident(store: Store) -> None:
    """Only runs of the incident that have not ended, oldest first."""
    states = [s for s in RunState if s.ended]
    await add(store, *(run(f"e{n}", incident_id="i1", state=state) for n, state in enumerate(states)))
    await add(store, run("r2", incident_id="i1", created_at=at(2)), run("r1", incident_id="i1"))
    await add(store, run("r3", incident_id="i2"))
    assert [each.id for each in await ask(store, "running_of", "i1")] == ["r1", "r2"]


async def test_last_ended_passes_over_the_refused(store: Store) -> None:
    """The latest end of a run of the (rule, key) that was started; None when none ended."""
    await add(store, run("r1"), run("r2", state=RunState.REFUSED, ended_at=at(9)))
    assert await ask(store, "last_ended", "high-cpu", "k1") is None
    await add(store, run("r3", state=RunState.FAILED, ended_at=at(5)))
    await add(store, run("r4", state=RunState.VERIFIED, ended_at=at(3)))
    await add(store, run("r5", state=RunState.VERIFIED, ended_at=at(8), key="k2"))
    assert await ask(store, "last_ended", "high-cpu", "k1") == at(5)


async def test_last_acted_on_a_target(store: Store) -> None:
    """The latest end, or beginning if it runs, of a run that meant to change the target."""
    target = "deployments/shop/backend"
    await add(store, run("r1", ended_at=at(9), state=RunState.FAILED))
    assert await ask(store, "last_acted", target) is None
    await add(store, run("r2", mutated=True, ended_at=at(5), state=RunState.VERIFIED))
    assert await ask(store, "last_acted", target) == at(5)
    await add(store, run("r3", mutated=True, created_at=at(6)))
    assert await ask(store, "last_acted", target) == at(6)
    assert await ask(store, "last_acted", "other") is None


async def test_started_and_acted_since(store: Store) -> None:
    """Runs from `since` on, its own moment included; the refused do not count, nor observed ones as acting.

    Of those that ended only the ones that changed something count.
    The count over all rules stops at what it was told is enough.
    """
    await add(store, *(run(f"r{n}", created_at=at(n)) for n in range(4)))
    await add(store, *(run(f"x{n}", created_at=at(n), state=RunState.REFUSED) for n in range(4)))
    await add(store, *(run(f"l{n}", created_at=at(n), state=RunState.FAILED) for n in range(4)))
    await add(store, run("o1", created_at=at(2), mode=Mode.OBSERVE), run("k2", created_at=at(2), key="k2"))
    await add(store, run("hand", created_at=at(2), rule=None, key="", state=RunState.FAILED, mutated=True))
    assert await ask(store, "started_since", "high-cpu", "k1", at(2)) == 3
    assert await ask(store, "started_since", "high-cpu", "k1", at(2) + timedelta(microseconds=1)) == 1
    assert await ask(store, "acted_since", at(2), 99) == 4
    assert await ask(store, "acted_since", at(2), 3) == 3
    assert await ask(store, "acted_since", at(10), 99) == 0


async def test_journal_keeps_every_field_and_the_first_order(store: Store) -> None:
    """Steps come in the order first written, whatever was replaced later; secrets stay references."""
    first = step("steps/a")
    full = step(
        "steps/b",
        2,
        state=StepState.SUCCEEDED,
        action="http.post",
        key="r1:steps/b",
        params={"token": SecretRef("api"), "text": SecretText(("Bearer ", SecretRef("api")))},
        output={"took": timedelta(seconds=1.5), "at": T0, "big": 10**30},
        change={"before": None, "after": {"replicas": 2}},
        mutating=True,
        temporary=True,
        reason="done",
        message="fine",
        due_at=at(1),
        ended_at=at(2),
        epoch=7,
    )
    done = step("steps/a", state=StepState.FAILED, ended_at=at(3), epoch=8, change={})
    for each in (first, full, step("steps/b", 1), done):
        await write(store, "runs.save_step", each)
    assert await ask(store, "steps", "r1") == [done, full, step("steps/b", 1)]
    assert await ask(store, "steps", "r2") == []


async def test_value_without_a_kept_form_is_refused(store: Store) -> None:
    """A result that cannot be kept is an error and nothing of it is written."""
    with pytest.raises(EvaluationError):
        await store.write(lambda tx: tx.runs.save_step(step("steps/a", output={"x": object()})))
    assert await ask(store, "steps", "r1") == []


async def test_evidence_in_the_order_taken(store: Store) -> None:
    """Evidence keeps every byte, comes in the order taken, and a name taken again replaces its like."""
    pieces = [evidence("b", taken_at=at(2)), evidence("a", taken_at=at(1)), evidence("c", taken_at=at(1))]
    again = evidence("a", taken_at=at(9), content=b"new", media_type="x/y", incident_id="i1")
    for each in (*pieces, again):
        await write(store, "runs.add_evidence", each)
    assert await ask(store, "evidence", "r1") == [pieces[2], pieces[0], again]
    listed = await ask(store, "listed_evidence", "r1")
    assert [(one.name, one.size, one.sha256) for one in listed] == [
        (one.name, len(one.content), one.sha256) for one in (pieces[2], pieces[0], again)
    ]


async def test_plan_is_kept_once(store: Store) -> None:
    """The text of a hash is kept, and adding it again is no change."""
    for text in ("one", "one"):
        await write(store, "runs.add_plan", "h1", text)
    assert await ask(store, "plan", "h1") == "one"
    assert await ask(store, "plan", "h2") is None


async def test_lock_goes_to_the_first(store: Store) -> None:
    """The first run holds the target until it is unlocked; asking tells who holds it."""

    async def lock(target: str, run_id: str, when: datetime = T0) -> str:
        return await store.write(lambda tx: tx.runs.lock(target, run_id, when))

    assert await ask(store, "holder", "t1") is None
    assert await asyncio.gather(*(lock("t1", f"r{n}") for n in range(5))) == ["r0"] * 5
    assert await lock("t1", "r0") == "r0"
    assert await lock("t2", "r0") == "r0"
    assert await ask(store, "holder", "t1") == "r0"
    await store.write(lambda tx: tx.runs.unlock("r0"))
    assert await ask(store, "holder", "t1") is None
    assert [await lock("t2", "r1"), await lock("t1", "r2")] == ["r1", "r2"]
    await store.write(lambda tx: tx.runs.unlock("r9"))
    assert await ask(store, "holder", "t1") == "r2"


async def test_hold_stands_until_it_is_released(store: Store) -> None:
    """A playbook holds a target from its first run on, beside others; each is released by itself; oldest first."""
    first = Hold(target="t1", playbook="stop", run_id="r1", held_at=at(2), incident_id="i1")
    beside = Hold(target="t1", playbook="shut", run_id="r4", held_at=at(4))
    other = Hold(target="t0", playbook="stop", run_id="r2", held_at=at(3))
    for each in (beside, first, other, replace(first, run_id="r3", held_at=at(1))):
        await store.write(partial(_hold, hold=each))
    assert await ask(store, "holds_of", "t1") == [first, beside]
    assert await store.read(lambda tx: tx.runs.holds()) == [first, other, beside]
    assert await store.write(lambda tx: tx.runs.release("t1", "stop"))
    assert not await store.write(lambda tx: tx.runs.release("t1", "stop"))
    assert await ask(store, "holds_of", "t1") == [beside]


async def _hold(tx: Tx, hold: Hold) -> None:
    await tx.runs.hold(hold)
