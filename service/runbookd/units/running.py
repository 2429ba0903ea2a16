"""Units of work that carry a run on: read its journal, decide, write the moves down, and end it well."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.errors import DamagedRow
from runbookd.model.action import Mode
from runbookd.model.audit import Entry, Stage
from runbookd.model.reasons import Escalate
from runbookd.model.run import Run, RunState, StepRecord, StepState
from runbookd.model.views import alert_view
from runbookd.stages.effect import changed_nothing
from runbookd.stages.escalate import after_run, may_climb
from runbookd.stages.execute import Situation, advance
from runbookd.stages.schedule import is_scheduled
from runbookd.stages.verify import verify
from runbookd.units.desk import PAUSED, Desk, Plans
from runbookd.units.escalation import escalate
from runbookd.units.holding import drop_hold
from runbookd.units.looking import is_known, look_later
from runbookd.units.planning import Trouble, acts, plan_rung, rule_scope
from runbookd.units.records import answer_evidence, entries_of
from runbookd.units.schedules import settle_firing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from runbookd.model.alert import Alert
    from runbookd.model.incident import Incident
    from runbookd.model.plan import Finish, Moves, Plan, Start
    from runbookd.model.work import Work
    from runbookd.ports import Performer, Tx
    from runbookd.stages.journal import Answered


_NOTICE = timedelta(seconds=2)
"""How soon a run with calls under way is looked at again: somebody may have asked it to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run in a worker's hands: its work row, plans read before (by hash), and who carries out its calls."""

    work: Work
    plans: Plans
    performer: Performer


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """What a look at a run came to.

    `rows` is the journal as it stands now; who holds the claim need not read it again. `starts` are to be called
    now, their intents are on disk. `released` is True when the work row was let go.
    """

    run: Run
    rows: tuple[StepRecord, ...]
    moves: Moves
    starts: tuple[Start, ...]
    released: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What happened since the last look under this claim.

    `before` is that look, None at the first. `answers` are those of calls that ended, `in_flight` the paths of
    those still under way. `leaving` tells that this process stops: no call is begun any more, and the run is let
    go for whoever carries it on.
    """

    before: Onward | None = None
    answers: Mapping[str, Answered] = field(default_factory=dict)
    in_flight: frozenset[str] = frozenset()
    leaving: bool = False


async def carry_on(tx: Tx, desk: Desk, claim: Claim, news: News, now: datetime) -> Onward | None:
    """Decide and write a run's next moves.

    Returns None when the run is over or gone. Raises LeaseLost, and so writes nothing, when another worker has it
    now. The claim is extended first: whoever else wants to change the run waits for this row.
    """
    await tx.work.hold(claim.work, now, desk.lease)
    found = await _run_now(tx, claim, news.before)
    if found is None or found.state.ended:
        await tx.work.finish(claim.work)
        return None
    run = found
    paused = run.mode is Mode.ACT and await tx.switches.get(PAUSED) is not None
    if paused and run.cancel_reason is None:
        run = replace(run, cancel_reason=PAUSED)
    alert = await tx.alerts.get(run.alert_id) if run.alert_id is not None else None
    rows = news.before.rows if news.before is not None else tuple(await tx.runs.steps(run.id))
    situation = Situation(
        run=run,
        epoch=claim.work.epoch,
        now=now,
        rows=rows,
        answers=news.answers,
        alert=alert_view(None if is_scheduled(alert) else alert),
        paused=paused,
    )
    plan = await claim.plans.of(tx, run.plan_hash)
    moves = advance(plan, situation, claim.performer, verify)
    if news.leaving:
        moves = _without_starts(moves, now)
    starts = tuple(start for start in moves.starts if start.record.path not in news.in_flight)
    if not run.mutated and any(start.record.mutating for start in starts):
        run = replace(run, mutated=True)
    await _write(tx, run, news.answers, moves.records, now)
    merged = {(row.path, row.attempt): row for row in (*rows, *moves.records)}
    onward = Onward(run=run, rows=tuple(merged.values()), moves=moves, starts=starts, released=False)
    if moves.finish is not None:
        run = replace(run, mutated=run.mutated and not changed_nothing(merged.values()))
        await _finish(tx, desk, run, (plan, moves.finish, alert), now)
        await tx.work.finish(claim.work)
        return replace(onward, starts=(), released=True)
    if run is not found:
        await tx.runs.save(run)
    if starts or news.in_flight:
        due = min(moves.due or now + _NOTICE, now + _NOTICE)
        return replace(onward, moves=replace(moves, due=due))
    await tx.work.reschedule(claim.work, moves.due or now + desk.lease)
    return replace(onward, released=True)


def _without_starts(moves: Moves, now: datetime) -> Moves:
    """Leave out every call that would begin now, and what else was decided about its path but an end."""
    begun = {start.record.path for start in moves.starts}
    ends = {StepState.SUCCEEDED, StepState.FAILED, StepState.SKIPPED}
    kept = tuple(row for row in moves.records if row.path not in begun or row.state in ends)
    return replace(moves, records=kept, starts=(), due=now) if begun else moves


async def _run_now(tx: Tx, claim: Claim, before: Onward | None) -> Run | None:
    """The run as it is: under a claim nobody else changes more of it than whether it is to stop."""
    if before is None:
        return await tx.runs.get(claim.work.ref)
    return replace(before.run, cancel_reason=await tx.runs.cancel_reason(before.run.id))


async def _write(
    tx: Tx, run: Run, answers: Mapping[str, Answered], records: Sequence[StepRecord], now: datetime
) -> None:
    """Write down the moves: evidence that came with answers, the rows, and the ledger's entries about them."""
    for piece in answer_evidence(run, answers, records, now):
        await tx.runs.add_evidence(piece)
    for record in records:
        await tx.runs.save_step(record)
    await tx.ledger.append(entries_of(run, records, now))


async def _finish(
    tx: Tx, desk: Desk, run: Run, end: tuple[Plan, Finish, Alert | None], now: datetime
) -> None:
    """End a run: free its target, write down how it ended, and see to what comes next."""
    plan, finish, alert = end
    cancelled = finish.state is RunState.CANCELLED and run.cancel_reason is not None
    reason = run.cancel_reason if cancelled else finish.reason.value
    ended = replace(run, state=finish.state, reason=reason, ended_at=now)
    await tx.runs.save(ended)
    await tx.runs.unlock(run.id)
    if plan.playbooks[plan.root].holds_target and not ended.mutated and not ended.state.good:
        await drop_hold(tx, ended, now)
    entry = Entry(
        at=now,
        stage=Stage.VERIFY if finish.state.value in {"verified", "unverified"} else Stage.EXECUTE,
        what=f"run_{finish.state.value}",
        incident_id=run.incident_id,
        run_id=run.id,
        detail={
            "reason": finish.reason.value,
            "message": finish.message,
            "playbook": run.playbook,
            "seconds": (now - run.created_at).total_seconds(),
        },
    )
    await tx.ledger.append([entry])
    incident = await tx.incidents.get(run.incident_id) if run.incident_id is not None else None
    if alert is not None and incident is not None:
        quiet = plan.playbooks[plan.root].on_failure == "next_rung"
        await _next(tx, desk, ended, (finish, quiet), (alert, incident), now)
        if not run.mutated and may_climb(finish):
            await look_later(tx, desk, (alert, incident), now)
        await settle_firing(tx, desk, ended, (alert, incident), now)


async def _next(
    tx: Tx, desk: Desk, run: Run, end: tuple[Finish, bool], about: tuple[Alert, Incident], now: datetime
) -> None:
    """After a run that did not help: the next rung if there is one and it is safe, and people when they must know."""
    (finish, quiet), (alert, incident) = end, about
    rule = desk.rule(run.rule)
    rungs = len(rule.run) if rule is not None else 0
    more = rungs > 0 and (run.rung + 1) % rungs > 0 and may_climb(finish) and not run.cancel_reason
    paused = await tx.switches.get(PAUSED) is not None
    # A next rung that will only observe mends nothing: people must know of this end.
    quiet = quiet and rule is not None and acts(desk, rule) and not paused
    why = after_run(run, finish, more_rungs=more, quiet_next_rung=quiet)
    again = run.rung >= rungs > 0
    if why is not None and not (again and await is_known(tx, incident, run)):
        incident = await escalate(tx, incident, why, now, finish.message)
    if rule is None or not more:
        return
    if alert.resolved_at is not None:
        entry = Entry(
            at=now,
            stage=Stage.PLAN,
            what="next_rung_not_needed",
            incident_id=incident.id,
            run_id=run.id,
            detail={"detail": "the alert has resolved meanwhile", "rung": run.rung + 1},
        )
        await tx.ledger.append([entry])
        return
    scope = rule_scope(desk, alert, now)
    trouble = Trouble(rule=rule, alert=alert, event=alert.event, incident=incident, again=again)
    await plan_rung(tx, desk, trouble, scope, now, run.rung + 1)


async def give_up(tx: Tx, run_id: str, message: str, now: datetime) -> None:
    """Escalate a run that runbookd itself cannot carry on, because of an error of its own; the run stays as it is.

    Of one whose row is damaged only the ledger tells, for nobody knows whose it was.
    """
    try:
        run = await tx.runs.get(run_id)
    except DamagedRow:
        run = None
        detail = {"reason": message}
        await tx.ledger.append(
            [Entry(at=now, stage=Stage.ESCALATE, what=Escalate.INTERNAL.value, run_id=run_id, detail=detail)]
        )
    incident = await tx.incidents.get(run.incident_id or "") if run is not None else None
    if incident is not None:
        await escalate(tx, incident, Escalate.INTERNAL, now, message)
