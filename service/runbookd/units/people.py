"""Units of work that a person asks for about an incident: take it, end it, hand it on, write something down.

Whatever the door, what a person does is an act with an actor and a key: the same act told twice is done once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from runbookd.errors import Conflict, NotFound
from runbookd.language.names import person
from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import MessageKind
from runbookd.model.incident import ClockKind, Incident, IncidentState
from runbookd.model.work import WorkKind
from runbookd.stages.holders import whose
from runbookd.stages.ladder import BY_HAND_AGAIN
from runbookd.stages.updates import renew
from runbookd.units.calling import by_hand, call
from runbookd.units.clocks import settle_clocks
from runbookd.units.escalation import close_incident
from runbookd.units.handover import ack_expires, raise_priority
from runbookd.units.schedules import end_firings
from runbookd.units.telling import Why, quiet_pagers, refresh, tell_audience

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.ports import Tx
    from runbookd.units.desk import Desk

PAGERDUTY = "pagerduty"
"""How the actor of an act done in PagerDuty begins."""


class Do(StrEnum):
    """What a person may do about an incident."""

    ACKNOWLEDGE = "acknowledge"
    ESCALATE = "escalate"
    RESOLVE = "resolve"
    ASSIGN = "assign"
    NOTE = "note"
    REVIEW = "review"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing a person does. `key` is the door's own name for it, None when it cannot be told twice.

    `text` is the reason or note, or who it is assigned to. `priority` raises the incident, with ESCALATE. `public`
    notes go out as an update. `ring` is which of the pages in PagerDuty it was done on, None for no certain one: that
    one is not told there again.
    """

    do: Do
    incident_id: str
    actor: str
    key: str | None = None
    text: str = ""
    priority: str | None = None
    public: bool = False
    ring: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an act: the incident as it is now, a sentence for who asked, whether anything changed.

    `again` tells that the very act had been told before, `over` that it was not done because the incident has ended.
    """

    incident: Incident
    said: str
    changed: bool = True
    again: bool = False
    over: bool = False


async def act(tx: Tx, desk: Desk, wanted: Act, now: datetime) -> Done:
    """Do what a person asks. Raises NotFound when there is no such incident, and Conflict for a lower priority."""
    incident = await tx.incidents.get(wanted.incident_id)
    if incident is None:
        raise NotFound(f"there is no incident '{wanted.incident_id}'; `runbookd incidents` lists them")
    if wanted.key is not None and not await tx.messages.act_once(wanted.key, now):
        return Done(incident, "this was told before", changed=False, again=True)
    over = incident.state is IncidentState.RESOLVED
    if over and wanted.do not in {Do.NOTE, Do.REVIEW}:
        return Done(incident, f"incident {incident.id} is over already", changed=False, over=True)
    doing = {
        Do.ACKNOWLEDGE: _acknowledge,
        Do.ESCALATE: _escalate,
        Do.RESOLVE: _resolve,
        Do.ASSIGN: _assign,
        Do.NOTE: _note,
        Do.REVIEW: _reviewed,
    }[wanted.do]
    done = await doing(tx, desk, incident, wanted, now)
    if done.changed:
        await _record(tx, wanted, now)
    return done


async def _acknowledge(tx: Tx, desk: Desk, incident: Incident, wanted: Act, now: datetime) -> Done:
    """A person has it: the levels that say so stop, the pagers are quiet. A second one takes it over.

    The same one again is a sign of life: the acknowledgement lasts its time from now.
    """
    if incident.acknowledged_by == wanted.actor:
        longer = await _heard_of(tx, desk, incident, wanted, now)
        if longer is incident:
            return Done(incident, f"{person(wanted.actor)} has it already", changed=False)
        return Done(longer, f"{person(wanted.actor)} has it already, and has it longer now")
    taken = replace(
        incident,
        acknowledged_at=incident.acknowledged_at or now,
        acknowledged_by=wanted.actor,
        acknowledged_until=ack_expires(desk, incident.priority, now),
        responded_at=incident.responded_at or now,
    )
    await tx.incidents.save(taken)
    await settle_clocks(tx, taken, now, only_met=True)
    await tx.work.add(WorkKind.CLOCK, taken.id, now)
    name = f"acknowledged {now.isoformat()}"
    await quiet_pagers(tx, desk, taken, Why(name, MessageKind.ACKNOWLEDGE), now, wanted.ring)
    await refresh(tx, desk, taken, name, now)
    return Done(taken, f"{person(wanted.actor)} has incident {taken.id}; levels that wait for that stop")


async def _heard_of(tx: Tx, desk: Desk, incident: Incident, wanted: Act, now: datetime) -> Incident:
    """Begin the time of an acknowledgement anew when whoever has the incident does something; returns it as it is then.

    Whoever took it has it, and whoever it was assigned to, at whichever door they are heard of.
    """
    until = ack_expires(desk, incident.priority, now)
    having = {whose(name) for name in (incident.acknowledged_by, incident.assignee) if name}
    if incident.acknowledged_until in {None, until} or until is None or whose(wanted.actor) not in having:
        return incident
    longer = replace(incident, acknowledged_until=until)
    await tx.incidents.save(longer)
    return longer


async def _escalate(tx: Tx, desk: Desk, incident: Incident, wanted: Act, now: datetime) -> Done:
    """The next level that pages is told now, or the priority rises and its own clocks and levels begin."""
    if wanted.priority is not None and wanted.priority != incident.priority:
        return await _raise(tx, desk, incident, wanted, now)
    level = await call(tx, desk, incident, by_hand(wanted.actor, wanted.text), now)
    if level is None:
        note = f"More help is asked for: {wanted.text}" if wanted.text else "More help is asked for."
        why = Why(f"by hand {now.isoformat()}", MessageKind.UPDATE, {"note": note})
        told = await tell_audience(tx, desk, incident, why, now, inside=True)
        said = f"incident {incident.id} has no level that pages; asked for help: {told} address{'es' * (told != 1)}"
        return Done(incident, said)
    if level.reason == BY_HAND_AGAIN:
        said = f"every level of incident {incident.id} has paged; level {level.place} is asked again"
        return Done(incident, said)
    return Done(incident, f"level {level.place} of incident {incident.id} is told now")


async def _raise(tx: Tx, desk: Desk, incident: Incident, wanted: Act, now: datetime) -> Done:
    """Give it a higher priority: everyone told before hears of that, and new clocks and levels begin.

    Priorities rank as they stand in the content, the first highest. Raises NotFound, and Conflict for a lower one.
    """
    priority, ranks = str(wanted.priority), [*desk.library.priorities]
    if priority not in ranks:
        raise NotFound(f"there is no priority '{priority}'; there are: {', '.join(ranks) or 'none'}")
    if incident.priority in ranks and ranks.index(priority) > ranks.index(incident.priority):
        raise Conflict(
            f"{priority} is lower than {incident.priority}, and a priority can only be raised: nothing was done; "
            f"write down that it has become less with `runbookd note`, and end it with `runbookd resolve`"
        )
    because = f"by {person(wanted.actor)}{f': {wanted.text}' if wanted.text else '.'}"
    raised = await raise_priority(tx, desk, incident, priority, now, because)
    return Done(raised, f"incident {incident.id} is {priority} now; its clocks begin anew")


async def _resolve(tx: Tx, desk: Desk, incident: Incident, wanted: Act, now: datetime) -> Done:
    closed = await close_incident(tx, desk, incident, now, wanted.actor)
    await end_firings(tx, desk, await tx.alerts.of_incident(incident.id), now)
    return Done(closed, f"incident {closed.id} is resolved")


async def _assign(tx: Tx, desk: Desk, incident: Incident, wanted: Act, now: datetime) -> Done:
    """Give it to somebody, whoever asks: an acknowledgement that there is lasts its full time for the new leader."""
    if incident.assignee == wanted.text:
        return Done(incident, f"{wanted.text} leads it already", changed=False)
    until = incident.acknowledged_until
    if until is not None:
        until = ack_expires(desk, incident.priority, now) or until
    assigned = replace(incident, assignee=wanted.text, acknowledged_until=until)
    await tx.incidents.save(assigned)
    await tx.work.add(WorkKind.CLOCK, assigned.id, now)
    await refresh(tx, desk, assigned, f"assigned {now.isoformat()}", now)
    return Done(assigned, f"{wanted.text} leads incident {assigned.id}")


async def _note(tx: Tx, desk: Desk, incident: Incident, wanted: Act, now: datetime) -> Done:
    """Something a person writes down; a public one is the promised update, and the promise begins anew."""
    if incident.state is IncidentState.OPEN:
        incident = await _heard_of(tx, desk, incident, wanted, now)
    if not wanted.public:
        return Done(incident, "noted")
    priority = desk.library.priorities.get(incident.priority)
    every = priority.update_every if priority is not None else None
    still = incident.state is IncidentState.OPEN
    for clock in await tx.incidents.clocks(incident.id):
        if clock.kind is ClockKind.UPDATE and every is not None and still:
            await tx.incidents.save_clock(renew(clock, every, now))
            await tx.work.add(WorkKind.CLOCK, incident.id, now)
    why = Why(f"note {now.isoformat()}", MessageKind.UPDATE, {"note": wanted.text})
    told = await tell_audience(tx, desk, incident, why, now)
    return Done(incident, f"noted, and told to {told} address{'es' * (told != 1)}")


async def _reviewed(tx: Tx, desk: Desk, incident: Incident, wanted: Act, now: datetime) -> Done:
    """The post-incident review is done: its clock is met."""
    del desk, wanted
    for clock in await tx.incidents.clocks(incident.id):
        if clock.kind is ClockKind.REVIEW and clock.met_at is None:
            await tx.incidents.save_clock(replace(clock, met_at=now))
            await tx.work.add(WorkKind.CLOCK, incident.id, now)
            return Done(incident, f"the review of incident {incident.id} is done")
    return Done(incident, f"no review of incident {incident.id} is due", changed=False)


async def _record(tx: Tx, wanted: Act, now: datetime) -> None:
    entry = Entry(
        at=now,
        stage=Stage.ESCALATE,
        what=f"person_{wanted.do.value}",
        actor=wanted.actor,
        incident_id=wanted.incident_id,
        detail={"text": wanted.text, "priority": wanted.priority, "public": wanted.public, "key": wanted.key},
    )
    await tx.ledger.append([entry])
