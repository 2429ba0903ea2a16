"""Units of work that start a run: propose it, weigh it against every limit, and write down the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runbookd.language.cel import Scope
from runbookd.model.action import Mode
from runbookd.model.audit import Entry, Stage
from runbookd.model.reasons import Escalate, Guard
from runbookd.model.run import Run, RunState
from runbookd.model.views import alert_view, event_view, incident_view, run_view
from runbookd.model.work import WorkKind
from runbookd.stages.plan import Answer, Bounds, Facts, Proposal, guard, propose
from runbookd.units.desk import Desk
from runbookd.units.escalation import escalate

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.alert import Alert
    from runbookd.model.event import Event
    from runbookd.model.incident import Incident
    from runbookd.model.rule import Rule
    from runbookd.ports import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What a run would be for.

    `missing` says which label the incident's key lacks, and is empty when none. `paused` is the switch that stops
    all writes, as it stands in this transaction.
    """

    rule: Rule
    alert: Alert
    event: Event
    incident: Incident
    event_id: str | None = None
    missing: str = ""
    paused: bool = False


def rule_scope(desk: Desk, alert: Alert, now: datetime) -> Scope:
    """Return what a rule's expressions see; the incident joins them once there is one."""
    return Scope(
        {
            "event": event_view(alert.event),
            "alert": alert_view(alert),
            "vars": desk.library.vars,
            "now": now,
        }
    )


async def plan_rung(
    tx: Tx, desk: Desk, trouble: Trouble, scope: Scope, now: datetime, rung: int = 0
) -> str | None:
    """Start the rule's remedy number `rung`, or refuse it with its reason; returns the run's id when it started.

    A refusal is escalated, unless the incident is already being worked on, or the rule only observes.
    """
    rule, incident = trouble.rule, trouble.incident
    wanted = rule.run[rung]
    held_back = desk.mode is Mode.OBSERVE or trouble.paused
    mode = Mode.OBSERVE if held_back else rule.mode
    if rung == 0 and await tx.runs.running_of(incident.id):
        await _note(tx, trouble, Answer(Guard.JOINED), now)
        return None
    playbook = desk.library.playbooks.get(wanted.playbook)
    if playbook is None:
        refused = Answer(Guard.UNKNOWN_PLAYBOOK, f"playbook {wanted.playbook} is not in the library any more")
        await _refuse(tx, trouble, refused, now, mode)
        return None
    seen = scope.extended(incident=incident_view(incident))
    proposal = propose(playbook, wanted.with_, seen, desk.library.vars)
    if isinstance(proposal, Answer):
        await _refuse(tx, trouble, proposal, now, mode)
        return None
    bounds = Bounds(
        mode=mode,
        reach=desk.reach,
        facts=await _facts(tx, desk, trouble, proposal, now),
        now=now,
        later_rung=rung > 0,
    )
    answer = guard(proposal, rule.limits, bounds)
    run = _run(desk, trouble, proposal, mode, now, rung)
    if not answer.go:
        await tx.runs.add(replace(run, state=RunState.REFUSED, reason=answer.reason.value, ended_at=now))
        await _refuse(tx, trouble, answer, now, mode, run)
        return None
    return await _start(tx, desk, trouble, run, now)


async def _facts(tx: Tx, desk: Desk, trouble: Trouble, proposal: Proposal, now: datetime) -> Facts:
    rule, key, target = trouble.rule, trouble.incident.key, proposal.target
    return Facts(
        last_ended=await tx.runs.last_ended(rule.name, key),
        started=[await tx.runs.started_since(rule.name, key, now - limit.per) for limit in rule.limits.runs],
        target_acted=await tx.runs.last_acted(target) if target is not None else None,
        holder=await tx.runs.holder(target) if target is not None else None,
        acted_in_window=await tx.runs.acted_since(now - desk.reach.budget_window, desk.reach.budget),
    )


def _run(desk: Desk, trouble: Trouble, proposal: Proposal, mode: Mode, now: datetime, rung: int) -> Run:
    run = Run(
        id=desk.ids.new("run"),
        playbook=proposal.playbook.playbook,
        plan_hash=desk.freeze(proposal.playbook.playbook).hash,
        mode=mode,
        created_at=now,
        deadline_at=now + proposal.playbook.deadline,
        rule=trouble.rule.name,
        key=trouble.incident.key,
        rung=rung,
        alert_id=trouble.alert.id,
        incident_id=trouble.incident.id,
        target=proposal.target,
    )
    return with_scope(
        run, proposal, {"event": event_view(trouble.event), "incident": incident_view(trouble.incident)}
    )


def with_scope(run: Run, proposal: Proposal, seen: dict[str, object]) -> Run:
    """Give a run what its expressions will see, frozen now."""
    return replace(run, scope={**seen, "inputs": dict(proposal.inputs), "run": run_view(run)})


async def _start(tx: Tx, desk: Desk, trouble: Trouble, run: Run, now: datetime) -> str | None:
    frozen = desk.freeze(run.playbook)
    if not await tx.runs.add(run):
        await _note(tx, trouble, Answer(Guard.DUPLICATE), now, run)
        return None
    await tx.runs.add_plan(frozen.hash, frozen.text)
    if run.target is not None and run.mode is Mode.ACT:
        await tx.runs.lock(run.target, run.id, now)
    await tx.work.add(WorkKind.ADVANCE, run.id, now)
    if run.mode is Mode.ACT and trouble.incident.responded_at is None:
        await tx.incidents.save(replace(trouble.incident, responded_at=now))
    await _note(tx, trouble, Answer(Guard.GO), now, run)
    return run.id


async def _refuse(
    tx: Tx, trouble: Trouble, answer: Answer, now: datetime, mode: Mode, run: Run | None = None
) -> None:
    await _note(tx, trouble, answer, now, run)
    if mode is Mode.ACT:
        await escalate(
            tx,
            trouble.incident,
            Escalate.RUN_REFUSED,
            now,
            f"{answer.reason.value}: {answer.detail}".strip(": "),
        )


async def _note(tx: Tx, trouble: Trouble, answer: Answer, now: datetime, run: Run | None = None) -> None:
    entry = Entry(
        at=now,
        stage=Stage.PLAN,
        what=answer.reason.value,
        event_id=trouble.event_id,
        incident_id=trouble.incident.id,
        run_id=run.id if run is not None else None,
        detail={
            "rule": trouble.rule.name,
            "detail": answer.detail,
            "playbook": run.playbook if run is not None else None,
            "rung": run.rung if run is not None else None,
            "mode": run.mode.value if run is not None else None,
            "target": run.target if run is not None else None,
            "inputs": run.scope.get("inputs") if run is not None else None,
        },
    )
    await tx.ledger.append([entry])
