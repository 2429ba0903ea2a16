"""Units of work that carry a run on: read its journal, decide, write the moves down, and end it well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runbookd.model.action import Mode
from runbookd.model.audit import Entry, Stage
from runbookd.model.reasons import Escalate
from runbookd.model.run import Run, RunState
from runbookd.model.views import alert_view
from runbookd.stages.escalate import after_run, may_climb
from runbookd.stages.execute import Situation, advance
from runbookd.stages.verify import verify
from runbookd.units.desk import PAUSED, Desk, Plans
from runbookd.units.escalation import escalate
from runbookd.units.planning import Trouble, acts, plan_rung, rule_scope
from runbookd.units.records import answer_evidence, entries_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from runbookd.model.alert import Alert
    from runbookd.model.incident import Incident
    from runbookd.model.plan import Finish, Moves, Plan, Start
    from runbookd.model.work import Work
    from runbookd.ports import Performer, Tx
    from runbookd.stages.journal import Answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run in a worker's hands: its work row, plans read before (by hash), and who carries out its calls."""

    work: Work
    plans: Plans
    performer: Performer


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """What a look at a run came to.

    `starts` are to be called now, their intents are on disk. `released` is True when the work row was let go.
    """

    run: Run
    moves: Moves
    starts: tuple[Start, ...]
    released: bool


async def carry_on(
    tx: Tx,
    desk: Desk,
    claim: Claim,
    answers: Mapping[str, Answered],
    in_flight: frozenset[str],
    now: datetime,
) -> Onward | None:
    """Decide and write a run's next moves. `in_flight` are paths whose answers are still to come.

    Returns None when the run is over or gone. Raises LeaseLost, and so writes nothing, when another worker has it
    now. The claim is extended first: whoever else wants to change the run waits for this row.
    """
    await tx.work.hold(claim.work, now, desk.lease)
    found = await tx.runs.get(claim.work.ref)
    if found is None or found.state.ended:
        await tx.work.finish(claim.work)
        return None
    run = found
    paused = run.mode is Mode.ACT and await tx.switches.get(PAUSED) is not None
    if paused and run.cancel_reason is None:
        run = replace(run, cancel_reason=PAUSED)
    alert = await tx.alerts.get(run.alert_id) if run.alert_id is not None else None
    rows = await tx.runs.steps(run.id)
    situation = Situation(
        run=run,
        epoch=claim.work.epoch,
        now=now,
        rows=rows,
        answers=answers,
        alert=alert_view(alert),
        paused=paused,
    )
    plan = await claim.plans.of(tx, run.plan_hash)
    moves = advance(plan, situation, claim.performer, verify)
    starts = tuple(start for start in moves.starts if start.record.path not in in_flight)
    if not run.mutated and any(start.record.mutating for start in starts):
        run = replace(run, mutated=True)
    for piece in answer_evidence(run, answers, moves.records, now):
        await tx.runs.add_evidence(piece)
    for record in moves.records:
        await tx.runs.save_step(record)
    await tx.ledger.append(entries_of(run, moves.records, now))
    if moves.finish is not None:
        await _finish(tx, desk, run, (plan, moves.finish), now)
        await tx.work.finish(claim.work)
        return Onward(run=run, moves=moves, starts=(), released=True)
    if run is not found:
        await tx.runs.save(run)
    idle = not starts and not in_flight
    if idle:
        await tx.work.reschedule(claim.work, moves.due or now + desk.lease)
    return Onward(run=run, moves=moves, starts=starts, released=idle)


async def _finish(tx: Tx, desk: Desk, run: Run, end: tuple[Plan, Finish], now: datetime) -> None:
    """End a run: free its target, write down how it ended, and see to what comes next."""
    plan, finish = end
    cancelled = finish.state is RunState.CANCELLED and run.cancel_reason is not None
    reason = run.cancel_reason if cancelled else finish.reason.value
    ended = replace(run, state=finish.state, reason=reason, ended_at=now)
    await tx.runs.save(ended)
    await tx.runs.unlock(run.id)
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
    alert = await tx.alerts.get(run.alert_id) if run.alert_id is not None else None
    incident = await tx.incidents.get(run.incident_id or "")
    if alert is not None and incident is not None:
        quiet = plan.playbooks[plan.root].on_failure == "next_rung"
        await _next(tx, desk, ended, (finish, quiet), (alert, incident), now)


async def _next(
    tx: Tx, desk: Desk, run: Run, end: tuple[Finish, bool], about: tuple[Alert, Incident], now: datetime
) -> None:
    """After a run that did not help: the next rung if there is one and it is safe, and people when they must know."""
    (finish, quiet), (alert, incident) = end, about
    rule = desk.rule(run.rule)
    more = rule is not None and run.rung + 1 < len(rule.run) and may_climb(finish) and not run.cancel_reason
    paused = await tx.switches.get(PAUSED) is not None
    # A next rung that will only observe mends nothing: people must know of this end.
    quiet = quiet and rule is not None and acts(desk, rule) and not paused
    why = after_run(run, finish, more_rungs=more, quiet_next_rung=quiet)
    if why is not None:
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
    trouble = Trouble(rule=rule, alert=alert, event=alert.event, incident=incident, paused=paused)
    await plan_rung(tx, desk, trouble, scope, now, run.rung + 1)


async def give_up(tx: Tx, run_id: str, message: str, now: datetime) -> None:
    """Escalate a run that runbookd itself cannot carry on, because of an error of its own; the run stays as it is."""
    run = await tx.runs.get(run_id)
    incident = await tx.incidents.get(run.incident_id or "") if run is not None else None
    if incident is not None:
        await escalate(tx, incident, Escalate.INTERNAL, now, message)
