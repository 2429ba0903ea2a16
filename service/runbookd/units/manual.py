"""The unit of work by which a person starts a run by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbookd.language.cel import Scope
from runbookd.model.action import Mode
from runbookd.model.audit import Entry, Stage
from runbookd.model.event import Event, Status
from runbookd.model.reasons import Guard
from runbookd.model.rule import Limits
from runbookd.model.run import Run
from runbookd.model.views import event_view
from runbookd.stages.plan import Answer, Bounds, Proposal, guard, propose
from runbookd.units.cancelling import cancel_run
from runbookd.units.desk import PAUSED, Desk
from runbookd.units.planning import enqueue, goes_before, lock_target, target_facts, with_scope

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from runbookd.ports import Tx

_NO_EVENT = Event(source="cli", name="", status=Status.UNKNOWN, fingerprint="")
"""What a run by hand sees as `event` when it is given none: reading a label of it is a missing value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A run a person asks for. `inputs` are as in a rule's `with`, so that a text may hold ${secret.NAME}.

    `actor` is who asks; `event` is what the playbook's expressions see, None for nothing.
    """

    playbook: str
    inputs: Mapping[str, object]
    mode: Mode
    actor: str
    event: Event | None = None


async def start_run(tx: Tx, desk: Desk, request: Request, now: datetime) -> Run | Answer:
    """Start a playbook by hand, or say which guard forbids it; either way the ledger tells.

    Lock, protected targets and the budget bind a person as they bind a rule. The pauses and limits of a rule do
    not: a person who asks again means it. A playbook that holds its target asks the run at work there to stop, and is
    to be started again once that has (`target_waited_for`). While the service is paused, or observes, the run only
    observes.
    """
    playbook = desk.library.playbooks.get(request.playbook)
    if playbook is None:
        answer = Answer(Guard.UNKNOWN_PLAYBOOK, f"there is no playbook {request.playbook}")
        return await _noted(tx, request, answer, now)
    held_back = desk.mode is Mode.OBSERVE or await tx.switches.get(PAUSED) is not None
    mode = Mode.OBSERVE if held_back else request.mode
    seen: dict[str, object] = {
        "event": event_view(request.event or _NO_EVENT),
        "incident": _no_incident(now),
    }
    proposal = propose(
        playbook, request.inputs, Scope({**seen, "vars": desk.library.vars}), desk.library.vars
    )
    if isinstance(proposal, Answer):
        return await _noted(tx, request, proposal, now)
    facts = await target_facts(tx, desk.reach, proposal.target, now)
    bounds = Bounds(mode=mode, reach=desk.reach, facts=facts, now=now, later_rung=True)
    answer = guard(proposal, Limits(), bounds)
    if answer.reason is Guard.TARGET_LOCKED and playbook.holds_target:
        waits = await _make_way(tx, desk, request, facts.holder, now)
        if waits is not None:
            return waits
    run = with_scope(_run(desk, proposal, mode, now), proposal, seen)
    if answer.go:
        answer = await lock_target(tx, desk, run)
    if not answer.go:
        return await _noted(tx, request, answer, now)
    await tx.runs.add(run)
    await enqueue(tx, desk, run)
    await _noted(tx, request, answer, now, run)
    return run


async def _make_way(tx: Tx, desk: Desk, request: Request, holder: str | None, now: datetime) -> Answer | None:
    """Ask the run at work on the target to stop, and say that it is waited for; None when it does not give way.

    The ledger tells once, however often the person asks.
    """
    run = await tx.runs.get(holder) if holder is not None else None
    if run is None or not goes_before(desk, None, run):
        return None
    answer = Answer(Guard.TARGET_WAITED_FOR, f"run {run.id} is at work there and asked to stop")
    reason = f"gives way to {request.playbook}, started by hand"
    asked = await cancel_run(tx, run, reason, request.actor, now)
    return await _noted(tx, request, answer, now) if asked else answer


def _run(desk: Desk, proposal: Proposal, mode: Mode, now: datetime) -> Run:
    name = proposal.playbook.playbook
    return Run(
        id=desk.ids.new("run"),
        playbook=name,
        plan_hash=desk.freeze(name).hash,
        mode=mode,
        created_at=now,
        deadline_at=now + proposal.playbook.deadline,
        target=proposal.target,
    )


async def _noted(tx: Tx, request: Request, answer: Answer, now: datetime, run: Run | None = None) -> Answer:
    entry = Entry(
        at=now,
        stage=Stage.PLAN,
        what=answer.reason.value,
        actor=request.actor,
        run_id=run.id if run is not None else None,
        detail={
            "playbook": request.playbook,
            "mode": (run.mode if run is not None else request.mode).value,
            "target": run.target if run is not None else None,
            "inputs": run.scope.get("inputs") if run is not None else None,
            "detail": answer.detail,
        },
    )
    await tx.ledger.append([entry])
    return answer


def _no_incident(now: datetime) -> dict[str, object]:
    """`incident` for a run that is for none: the fields of `incident_view`, empty."""
    return {"id": "", "rule": "", "priority": "", "title": "", "opened_at": now, "key": ""}
