"""Units of work that start a run: propose it, weigh it against every limit, and write down the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.language.cel import Scope
from runbookd.model.action import Mode
from runbookd.model.audit import Entry, Stage
from runbookd.model.incident import IncidentState
from runbookd.model.reasons import Escalate, Guard
from runbookd.model.run import Run, RunState
from runbookd.model.views import alert_view, event_view, incident_view, run_view
from runbookd.model.work import WorkKind
from runbookd.stages.looks import FIRST_PAUSE, by_turn, next_rung
from runbookd.stages.plan import (
    LOOK_REST,
    Answer,
    Bounds,
    Facts,
    Proposal,
    Reach,
    guard,
    propose,
    rested_at,
    storm_brake,
)
from runbookd.stages.schedule import may_wait
from runbookd.units.cancelling import cancel_run
from runbookd.units.desk import PAUSED, Desk
from runbookd.units.escalation import escalate
from runbookd.units.holding import hold_target
from runbookd.units.looking import due_look, is_known, last_runs, look_later, past_runs, runs_for
from runbookd.units.pausing import pause
from runbookd.units.schedules import end_firings

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.alert import Alert
    from runbookd.model.event import Event
    from runbookd.model.incident import Incident
    from runbookd.model.rule import Rule
    from runbookd.model.work import Work
    from runbookd.ports import Tx

_LOOK_AGAIN = timedelta(seconds=1)
"""How soon to plan again for a target that a run at work there is asked to leave."""
_LEAST_LEFT = timedelta(seconds=5)
"""How long what is under way is left alone, at least, by an alert that waits for its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What a run would be for.

    `missing` says which label the incident's key lacks, and is empty when none. `again` tells that remedies have been
    tried for the incident before: people hear only of what is new.
    """

    rule: Rule
    alert: Alert
    event: Event
    incident: Incident
    event_id: str | None = None
    missing: str = ""
    again: bool = False

    @property
    def row(self) -> str:
        """What its row of work is about while it waits: the alert, and when it is looked at again the incident."""
        return self.incident.id if self.again else self.alert.id


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


async def plan_rung(tx: Tx, desk: Desk, trouble: Trouble, scope: Scope, now: datetime, rung: int = 0) -> None:
    """Start the rule's remedy number `rung`, which counts on when the first is begun again, or refuse it and say why.

    A refusal is escalated, and so is a run that may only observe because the service is paused. One run too many
    pulls the storm brake: the service pauses, and that run and later ones only observe. An alert that joins an
    incident with a run under way is looked at again when that run should have helped it too.
    """
    rule, incident = trouble.rule, trouble.incident
    wanted = rule.run[rung % len(rule.run)]
    first = rung % len(rule.run) == 0
    if rung == 0 and await tx.runs.running_of(incident.id):
        await _note(tx, trouble, Answer(Guard.JOINED), now)
        await tx.work.add(WorkKind.PLAN, trouble.alert.id, now + _later(rule))
        return
    playbook = desk.library.playbooks.get(wanted.playbook)
    if playbook is None:
        refused = Answer(Guard.UNKNOWN_PLAYBOOK, f"playbook {wanted.playbook} is not in the library any more")
        await _refuse(tx, desk, trouble, refused, now)
        return
    seen = scope.extended(incident=incident_view(incident))
    proposal = propose(playbook, wanted.with_, seen, desk.library.vars)
    if isinstance(proposal, Answer):
        await _refuse(tx, desk, trouble, proposal, now)
        return
    paused = await tx.switches.get(PAUSED) is not None
    mode = Mode.OBSERVE if desk.mode is Mode.OBSERVE or paused else rule.mode
    facts = await past_of(tx, desk.reach, rule, (incident.key, proposal.target), now)
    bounds = Bounds(mode=mode, reach=desk.reach, facts=facts, now=now, later_rung=not first)
    answer = guard(proposal, rule.limits, bounds)
    if answer.reason is Guard.TARGET_LOCKED and playbook.holds_target and first:
        await _wait_for_target(tx, desk, trouble, facts.holder, now)
        return
    until = _wait_until(desk, trouble, answer, facts, now) if first else None
    if until is not None:
        await _wait_its_turn(tx, trouble, answer, until, now)
        return
    storm = storm_brake(bounds) if answer.go else None
    if storm is not None:
        await pause(tx, storm, "runbookd", now)
        mode = Mode.OBSERVE
    run = _run(desk, trouble, proposal, mode, now, rung)
    answer = await _begin(tx, desk, trouble, run, answer)
    if not answer.go:
        await _refuse(tx, desk, trouble, answer, now, run)
        return
    await _note(tx, trouble, answer, now, run)
    if storm is not None:
        await escalate(tx, incident, Escalate.STORM_BRAKE, now, storm)
    elif paused and acts(desk, rule):
        said = "the service is paused; nothing was changed"
        await escalate(tx, incident, Escalate.PAUSED, now, said)


def _later(rule: Rule) -> timedelta:
    """How long to leave an incident to the run under way; a rule may have no cooldown."""
    return max(min(rule.limits.cooldown, LOOK_REST), _LEAST_LEFT)


async def _wait_for_target(tx: Tx, desk: Desk, trouble: Trouble, holder: str | None, now: datetime) -> None:
    """Ask the run at work on the target to stop, for what shuts or stops something must not wait for its end.

    One that holds its target itself is let finish, unless this rule stands before its rule: what holds stays held
    either way. The remedy is planned anew as soon as it may be.
    """
    run = await tx.runs.get(holder) if holder is not None else None
    asked = False
    if run is not None and goes_before(desk, trouble.rule, run):
        asked = await cancel_run(tx, run, f"gives way to rule {trouble.rule.name}", "runbookd", now)
    if asked or trouble.event_id is not None:  # said once, however often it is looked at
        said = f"run {holder} is at work there{' and asked to stop' if asked else ''}"
        await _note(tx, trouble, Answer(Guard.TARGET_WAITED_FOR, said), now)
    await tx.work.add(WorkKind.PLAN, trouble.row, now + _LOOK_AGAIN)


def goes_before(desk: Desk, rule: Rule | None, run: Run) -> bool:
    """Whether a remedy that holds its target goes before the run at work there; None is one that a person starts.

    The order of the rules is that of their importance, as the first match wins; people go before all rules, and are
    not interrupted by any. A run whose rule is gone goes before none.
    """
    playbook = desk.library.playbooks.get(run.playbook)
    if playbook is None or not playbook.holds_target:
        return True
    if run.rule is None:
        return False
    order = {each.name: place for place, each in enumerate(desk.library.rules)}
    return rule is None or order.get(rule.name, len(order)) < order.get(run.rule, len(order))


def _wait_until(desk: Desk, trouble: Trouble, answer: Answer, facts: Facts, now: datetime) -> datetime | None:
    """Say when to plan again what is neither begun nor refused; None when it is one of these."""
    if answer.reason is Guard.LOOKED_LATELY:
        return rested_at(trouble.rule.limits.cooldown, facts)
    return now + _LEAST_LEFT if may_wait(desk.library, trouble.alert, answer.reason, now) else None


async def _wait_its_turn(tx: Tx, trouble: Trouble, answer: Answer, until: datetime, now: datetime) -> None:
    """Leave what is at work on the target to its end, or the rule its rest, and plan again then."""
    if trouble.event_id is not None:  # said once, however often it is looked at
        lately = answer.reason is Guard.LOOKED_LATELY
        await _note(tx, trouble, answer if lately else Answer(Guard.TARGET_WAITED_FOR, answer.detail), now)
    await tx.work.add(WorkKind.PLAN, trouble.row, until)


def acts(desk: Desk, rule: Rule) -> bool:
    """Whether the rule is meant to act, paused or not; one that is only to observe opens no page."""
    return rule.mode is Mode.ACT and desk.mode is Mode.ACT


async def plan_again(tx: Tx, desk: Desk, work: Work, now: datetime) -> None:
    """Plan for what had to wait: an alert that could not be planned for when it came, or an incident's next look."""
    alert = await tx.alerts.get(work.ref)
    if alert is None:
        await _look_again(tx, desk, work, now)
        return
    incident = await tx.incidents.get(alert.incident_id or "")
    rule = desk.rule(alert.rule)
    if rule is None:
        await end_firings(tx, desk, [alert], now)
    if alert.resolved_at is not None or incident is None or rule is None or not rule.run:
        await tx.work.finish(work)
        return
    only = len(await tx.alerts.incidents_of(alert.id)) == 1
    if only and await runs_for(tx, alert, rule):  # a look at its incident has been for it
        await tx.work.finish(work)
        return
    if await tx.runs.running_of(incident.id):
        await tx.work.reschedule(work, now + _later(rule))
        return
    rested = rested_at(rule.limits.cooldown, await last_runs(tx, rule, incident.key))
    if rested is not None and rested > now:
        await tx.work.reschedule(work, rested)
        return
    await tx.work.finish(work)
    trouble = Trouble(rule=rule, alert=alert, event=alert.event, incident=incident)
    await plan_rung(tx, desk, trouble, rule_scope(desk, alert, now), now)


async def _look_again(tx: Tx, desk: Desk, work: Work, now: datetime) -> None:
    """Begin the remedies anew for an incident whose last ones came to nothing, unless a person has it.

    While the service is paused that waits. A run under way has what follows seen to at its end.
    """
    incident = await tx.incidents.get(work.ref)
    rule = desk.rule(incident.rule) if incident is not None else None
    if incident is None or incident.state is IncidentState.RESOLVED or rule is None or not rule.run:
        await tx.work.finish(work)
        return
    past = await past_runs(tx, incident)
    at = await due_look(tx, desk, rule, incident, past)
    until = incident.acknowledged_until if incident.acknowledged_by is not None else now
    if at is None or until is None:
        await tx.work.finish(work)
        return
    if acts(desk, rule) and await tx.switches.get(PAUSED) is not None:
        until = max(until, now + FIRST_PAUSE)
    if max(at, until) > now:
        await tx.work.reschedule(work, max(at, until))
        return
    await tx.work.finish(work)
    for alert in by_turn(await tx.alerts.of_incident(incident.id), past):
        before = await runs_for(tx, alert, rule)
        if any(run.mutated for run in before):
            continue
        trouble = Trouble(rule=rule, alert=alert, event=alert.event, incident=incident, again=True)
        rung = next_rung(before, len(rule.run))
        await plan_rung(tx, desk, trouble, rule_scope(desk, alert, now), now, rung)
        return


async def past_of(tx: Tx, reach: Reach, rule: Rule, about: tuple[str, str | None], now: datetime) -> Facts:
    """What the past says of a rule's runs for an incident key, and of their target. `about` is both."""
    key, target = about
    last = await last_runs(tx, rule, key)
    return replace(
        await target_facts(tx, reach, target, now),
        last_ended=last.last_ended,
        last_looked=last.last_looked,
        started=[await tx.runs.started_since(rule.name, key, now - limit.per) for limit in rule.limits.runs],
    )


async def target_facts(tx: Tx, reach: Reach, target: str | None, now: datetime) -> Facts:
    """What the past says of a target and of the budget, whoever asks."""
    return Facts(
        target_acted=await tx.runs.last_acted(target) if target is not None else None,
        holder=await tx.runs.holder(target) if target is not None else None,
        holds=await tx.runs.holds_of(target) if target is not None else (),
        acted_in_window=await tx.runs.acted_since(now - reach.budget_window, reach.budget),
        acted_lately=await tx.runs.acted_since(now - reach.brake_window, reach.brake),
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


async def _begin(tx: Tx, desk: Desk, trouble: Trouble, run: Run, answer: Answer) -> Answer:
    """Write the run down, as begun or as refused, and return the answer that stands in the end."""
    now = run.created_at
    if not answer.go:
        await tx.runs.add(replace(run, state=RunState.REFUSED, reason=answer.reason.value, ended_at=now))
        return answer
    if not await tx.runs.add(run):
        return Answer(Guard.DUPLICATE, f"rung {run.rung} has been tried for this alert")
    locked = await lock_target(tx, desk, run)
    if not locked.go:
        await tx.runs.save(replace(run, state=RunState.REFUSED, reason=locked.reason.value, ended_at=now))
        return locked
    await enqueue(tx, desk, run)
    if run.mode is Mode.ACT:
        await tx.incidents.save(_taken(trouble.incident, desk, now))
    return answer


async def lock_target(tx: Tx, desk: Desk, run: Run) -> Answer:
    """Take the run's target for it, if it is to act upon one; another replica may have been faster.

    A playbook that holds its target holds it from here on: even a run that is cut off may have changed it.
    """
    if run.target is None or run.mode is not Mode.ACT:
        return Answer(Guard.GO)
    holder = await tx.runs.lock(run.target, run.id, run.created_at)
    if holder != run.id:
        return Answer(Guard.TARGET_LOCKED, f"run {holder} is at work on target {run.target}")
    if desk.library.playbooks[run.playbook].holds_target:
        await hold_target(tx, run, run.target)
    return Answer(Guard.GO)


async def enqueue(tx: Tx, desk: Desk, run: Run) -> None:
    """Keep the plan a run follows, and make the run due."""
    frozen = desk.freeze(run.playbook)
    await tx.runs.add_plan(frozen.hash, frozen.text)
    await tx.work.add(WorkKind.ADVANCE, run.id, run.created_at)


def _taken(incident: Incident, desk: Desk, now: datetime) -> Incident:
    """Mark an incident as responded to by a run that acts, and acknowledged where its priority says so."""
    priority = desk.library.priorities.get(incident.priority)
    acknowledges = priority is not None and priority.automation_acknowledges
    return replace(
        incident,
        responded_at=incident.responded_at or now,
        acknowledged_at=incident.acknowledged_at or (now if acknowledges else None),
    )


async def _refuse(
    tx: Tx, desk: Desk, trouble: Trouble, answer: Answer, now: datetime, run: Run | None = None
) -> None:
    """Write down why a run is not begun, tell people, and have it looked at again in its time."""
    await _note(tx, trouble, answer, now, run)
    incident = trouble.incident
    known = False
    if run is not None:
        ended = replace(run, state=RunState.REFUSED, reason=answer.reason.value)
        known = trouble.again and await is_known(tx, incident, ended)
        if answer.reason is Guard.COOLDOWN or run.rung:  # any other refusal of a first remedy is for people
            await look_later(tx, desk, (trouble.alert, incident), now)
    if acts(desk, trouble.rule) and not known:
        said = f"{answer.reason.value}: {answer.detail}".strip(": ")
        await escalate(tx, incident, Escalate.RUN_REFUSED, now, said)


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
