"""Units of work about another look: when an incident is to have one, and whether people know its end already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runbookd.model.action import Mode
from runbookd.model.reasons import RunReason
from runbookd.model.run import RunState
from runbookd.model.work import WorkKind
from runbookd.stages.looks import FIRST_PAUSE, failed_at, next_look, same_ends
from runbookd.stages.plan import Facts, rested_at
from runbookd.stages.schedule import is_scheduled

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.alert import Alert
    from runbookd.model.incident import Incident
    from runbookd.model.rule import Rule
    from runbookd.model.run import Run
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk

_MOST_PAST: Final = 100
"""How many runs of an incident are read: more than it takes for the pause between looks to be the longest."""


async def past_runs(tx: Tx, incident: Incident) -> list[Run]:
    """Return the newest runs of an incident under its rule, newest first."""
    found = await tx.runs.recent(_MOST_PAST, {"incident_id": incident.id})
    past = [run for run in found if run.rule == incident.rule]
    return sorted(past, key=lambda run: (run.created_at, run.rung, run.id), reverse=True)


async def runs_for(tx: Tx, alert: Alert, rule: Rule) -> list[Run]:
    """Return the newest runs for an alert under a rule."""
    found = await tx.runs.recent(_MOST_PAST, {"alert_id": alert.id})
    return [run for run in found if run.rule == rule.name]


async def last_runs(tx: Tx, rule: Rule, key: str) -> Facts:
    """When runs for this key last ended."""
    return Facts(
        last_ended=await tx.runs.last_ended(rule.name, key, acted=True),
        last_looked=await tx.runs.last_ended(rule.name, key),
    )


async def due_look(tx: Tx, desk: Desk, rule: Rule, incident: Incident, past: list[Run]) -> datetime | None:
    """When the incident is to be looked at again; None when it is not, as when a person released its target."""
    if await _released(tx, desk, past):
        return None
    rested = rested_at(rule.limits.cooldown, await last_runs(tx, rule, incident.key))
    return next_look(past, rested, len(rule.run))


async def _released(tx: Tx, desk: Desk, past: list[Run]) -> bool:
    """Whether the target that the last run to change something held is held no more: a person has released it.

    It is not to be held again then. A run that changed nothing has let it go itself.
    """
    last = next((run for run in past if run.mutated), None)
    playbook = desk.library.playbooks.get(last.playbook) if last is not None else None
    if last is None or last.target is None or last.mode is not Mode.ACT:
        return False
    if playbook is None or not playbook.holds_target:
        return False
    return all(hold.playbook != last.playbook for hold in await tx.runs.holds_of(last.target))


async def look_later(tx: Tx, desk: Desk, about: tuple[Alert, Incident], now: datetime) -> None:
    """Have the incident looked at again in its time, if what was last done calls for it; a schedule's never is."""
    alert, incident = about
    rule = desk.rule(incident.rule)
    if rule is None or not rule.run or is_scheduled(alert):
        return
    at = await due_look(tx, desk, rule, incident, await past_runs(tx, incident))
    if at is not None:
        await tx.work.add(WorkKind.PLAN, incident.id, at if at > now else now + FIRST_PAUSE)


async def is_known(tx: Tx, incident: Incident, run: Run) -> bool:
    """Whether people need not hear of the end of a later round's run: nothing was changed, and one before ended so.

    That is one of the same playbook, for the same reason, at the same step or check.
    """
    plain = run.state in {RunState.FAILED, RunState.UNVERIFIED, RunState.REFUSED}
    if run.mutated or not plain or run.reason == RunReason.IN_DOUBT or incident.escalated_at is None:
        return False
    where = failed_at(await tx.runs.steps(run.id))
    for before in same_ends(run, await past_runs(tx, incident)):
        if failed_at(await tx.runs.steps(before.id)) == where:
            return True
    return False
