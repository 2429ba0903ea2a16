"""Execute: what a run does next, decided from its plan and its journal alone.

One pass (`stages/walk.py`) goes through the playbook top to bottom. What has ended is read from the journal, what
may begin is noted as an intent, and the pass stops where an answer or a time is needed. Nothing is called here, and
the same journal always gives the same moves, so a run goes on after a crash exactly where it stood. Only what it has
seen, and not yet acted on, may be too old by then (`stages/stale.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from runbookd.model.action import Mode
from runbookd.model.plan import Finish, Moves, Plan
from runbookd.model.reasons import RunReason
from runbookd.model.run import Run, RunState, StepRecord
from runbookd.stages.journal import Actions, Answered, Journal
from runbookd.stages.stale import stale
from runbookd.stages.standing import Status
from runbookd.stages.walk import Verify, Walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything a decision may depend on besides the plan and the journal.

    `epoch` is the claim under which it is made, `answers` those of calls made under it, by path; each is given
    once. `alert` is the alert as it is now, as expressions see it. `paused` is the switch that stops all writes;
    a paused run also has a `cancel_reason`.
    """

    run: Run
    epoch: int
    now: datetime
    rows: Sequence[StepRecord]
    answers: Mapping[str, Answered]
    alert: Mapping[str, object]
    paused: bool = False


def advance(plan: Plan, situation: Situation, actions: Actions, verify: Verify) -> Moves:
    """Decide the next moves of a run."""
    run = situation.run
    journal = Journal(run, situation.rows, situation.answers, epoch=situation.epoch, now=situation.now)
    journal.stopping = run.cancel_reason is not None or situation.now >= run.deadline_at
    journal.frozen = situation.paused
    walk = Walk(plan, journal, actions, verify)
    status = walk.root(_outer(plan, situation))
    finish = None if status.pending else _finish(plan, run, status)
    if finish is None and not journal.stopping:
        journal.wake(run.deadline_at)
    records = tuple(journal.records.values())
    merged = {(row.path, row.attempt): row for row in (*situation.rows, *records)}
    old = stale(run, merged.values(), journal.starts, situation.now)
    if old:
        begun = {start.record.path for start in journal.starts}
        kept = tuple(row for row in records if row.path not in begun)
        ends = Finish(state=RunState.FAILED, reason=RunReason.STALE, message=old)
        return Moves(records=kept, starts=(), due=None, finish=ends)
    return Moves(
        records=records,
        starts=tuple(journal.starts),
        due=None if finish else journal.due,
        finish=finish,
    )


def _outer(plan: Plan, situation: Situation) -> dict[str, object]:
    """What every expression of the run sees, besides `steps`."""
    frozen = {"inputs": {}, **situation.run.scope}
    return {**frozen, "alert": situation.alert, "vars": plan.vars, "now": situation.now}


def _finish(plan: Plan, run: Run, status: Status) -> Finish:
    """Say how the run ended. A doubt outweighs all: what follows may depend on nobody knowing what was done."""
    if status.in_doubt:
        return Finish(state=RunState.FAILED, reason=RunReason.IN_DOUBT, message=status.message)
    if status.stopped:
        if run.cancel_reason is not None:
            return Finish(state=RunState.CANCELLED, reason=RunReason.CANCELLED, message=run.cancel_reason)
        said = "; ".join(
            part for part in ("the run's deadline passed before it was done", status.message) if part
        )
        return Finish(state=RunState.FAILED, reason=RunReason.DEADLINE, message=said)
    if status.bad:
        if status.reason == RunReason.NOT_VERIFIED:
            return Finish(state=RunState.UNVERIFIED, reason=RunReason.NOT_VERIFIED, message=status.message)
        given = status.reason == RunReason.HANDED_OVER
        reason = RunReason.HANDED_OVER if given else RunReason.STEP_FAILED
        return Finish(state=RunState.FAILED, reason=reason, message=status.message)
    if run.mode is Mode.OBSERVE:
        return Finish(state=RunState.OBSERVED, reason=RunReason.OBSERVED)
    if plan.playbooks[plan.root].verify:
        return Finish(state=RunState.VERIFIED, reason=RunReason.VERIFIED)
    return Finish(state=RunState.SUCCEEDED, reason=RunReason.DONE)
