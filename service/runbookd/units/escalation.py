"""Units of work about people and time: everything an incident's clocks make due, and its end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runbookd.model.action import Mode
from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import LevelState, MessageKind
from runbookd.model.incident import ClockKind, Incident, IncidentClock, IncidentState
from runbookd.model.reasons import Escalate
from runbookd.model.work import Work, WorkKind
from runbookd.stages.escalate import clocks_for, escalated, next_clock
from runbookd.stages.ladder import NOBODY, Fired, freeze_levels, judge_levels, next_level
from runbookd.units.calling import heard_by_hand
from runbookd.units.causes import why_told
from runbookd.units.clocks import settle_clocks
from runbookd.units.expiry import expire
from runbookd.units.fallback import instead, leave_alone, start_over
from runbookd.units.levels import tell_level, write_down
from runbookd.units.news import keep_promise
from runbookd.units.telling import Why, audience, open_channel, quiet_pagers, refresh, tell, tell_audience

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbookd.ports import Tx
    from runbookd.units.desk import Desk


@dataclass(frozen=True, slots=True)
class Watched:
    """What a look at an incident's clocks came to: the clocks newly breached, and the levels told, each how late."""

    breached: list[str]
    fired: list[tuple[int, timedelta]]


async def begin_clocks(
    tx: Tx, desk: Desk, incident: Incident, now: datetime, *, quiet: bool
) -> list[IncidentClock]:
    """Set the clocks of a priority from `now` on, and unless `quiet` freeze its escalation and announce the incident.

    What is due at once is due at once: the work row is made. Returns the clocks.
    """
    priority = desk.library.priorities[incident.priority]
    clocks = clocks_for(replace(incident, opened_at=now), priority, desk.library.calendars)
    if quiet:
        clocks = [clock for clock in clocks if clock.kind is not ClockKind.UPDATE]
    for clock in clocks:
        await tx.incidents.save_clock(clock)
    due = [clock.due_at for clock in clocks]
    if not quiet:
        due += await _freeze(tx, desk, incident, now)
        await _announce(tx, desk, incident, now)
    if due:
        await tx.work.add(WorkKind.CLOCK, incident.id, min(due))
    return clocks


async def _freeze(tx: Tx, desk: Desk, incident: Incident, now: datetime) -> list[datetime]:
    """Freeze the levels of the escalation into the incident; returns when they are due."""
    name = await _one_too_many(tx, desk, incident, now)
    name = name or incident.escalation or desk.library.priorities[incident.priority].escalation
    policy = desk.library.escalations.get(name or "")
    if policy is None:
        return []
    known = await tx.levels.of(incident.id)
    first = max((level.number for level in known), default=-1) + 1
    levels = freeze_levels(incident.id, policy, now, first)
    for level in levels:
        await tx.levels.save(level)
    detail = {
        "escalation": name,
        "levels": [[level.place, level.due_at or level.on_breach] for level in levels],
    }
    entry = Entry(
        at=now, stage=Stage.ESCALATE, what="escalation_frozen", incident_id=incident.id, detail=detail
    )
    await tx.ledger.append([entry])
    return [level.due_at for level in levels if level.due_at is not None]


async def _one_too_many(tx: Tx, desk: Desk, incident: Incident, now: datetime) -> str | None:
    """Return the escalation of several incidents of a priority, if this is the one that makes them several."""
    many = desk.library.priorities[incident.priority].many
    if many is None:
        return None
    since, switch = now - many.within, f"many:{incident.priority}"
    fired = await tx.switches.get(switch)
    if fired is not None and datetime.fromisoformat(fired) > since:
        return None
    heard = await _heard_of(tx, desk, incident, since, many.of)
    if len(heard) < many.of:
        return None
    await tx.switches.set(switch, now.isoformat())
    detail = {"priority": incident.priority, "incidents": heard}
    entry = Entry(
        at=now, stage=Stage.ESCALATE, what="several_incidents", incident_id=incident.id, detail=detail
    )
    await tx.ledger.append([entry])
    return many.escalation


async def _heard_of(tx: Tx, desk: Desk, incident: Incident, since: datetime, most: int) -> list[str]:
    """Return the latest incidents of this one's priority that people hear of, this one among them; newest first.

    Of what is only observed they do not. Where the priority tells nobody of one alone, those of the rules that do more
    than observe count as well.
    """
    told = await tx.levels.incidents(incident.priority, since, most)
    found = [one for name in told if (one := await tx.incidents.get(name)) is not None]
    priority = desk.library.priorities[incident.priority]
    if not (priority.announce or priority.channel or priority.escalation):
        acting = [rule.name for rule in desk.rules.named.values() if rule.mode is not Mode.OBSERVE]
        for name in acting:
            found += [
                one
                for one in await tx.incidents.recent(most, {"priority": incident.priority, "rule": name})
                if one.opened_at > since and not one.escalation
            ]
    latest = {one.id: one.opened_at for one in [incident, *found] if one.opened_at > since}
    return sorted(latest, key=lambda name: (latest[name], name), reverse=True)[:most]


async def _announce(tx: Tx, desk: Desk, incident: Incident, now: datetime) -> None:
    priority = desk.library.priorities[incident.priority]
    if priority.channel:
        await open_channel(tx, desk, incident, now)
    await tell(tx, desk, incident, Why("opened", MessageKind.OPENED), priority.announce, now)


async def escalate(tx: Tx, incident: Incident, reason: Escalate, now: datetime, detail: str = "") -> Incident:
    """Make an escalation due: the incident is marked, the ledger says why, and a row of work has people told.

    Returns the incident as it is now.
    """
    marked = await _mark(tx, incident, reason, now, detail)
    await tx.work.add(WorkKind.ESCALATE, incident.id, now)
    return marked


async def _mark(tx: Tx, incident: Incident, reason: Escalate, now: datetime, detail: str) -> Incident:
    """Write down that people must know of an incident, and why."""
    marked = escalated(incident, reason, now)
    if marked is not incident:
        await tx.incidents.save(marked)
    entry = Entry(
        at=now,
        stage=Stage.ESCALATE,
        what=reason.value,
        incident_id=incident.id,
        detail={"detail": detail, "priority": incident.priority, "rule": incident.rule},
    )
    await tx.ledger.append([entry])
    return marked


async def watch_clocks(tx: Tx, desk: Desk, work: Work, now: datetime) -> Watched:
    """Do what an incident's clocks make due: breaches, an acknowledgement that expires, levels, the promised news.

    The nearest time after that becomes the work's.
    """
    incident = await tx.incidents.get(work.ref)
    if incident is None:
        await tx.work.finish(work)
        return Watched([], [])
    incident = await expire(tx, desk, incident, now)
    breached = await settle_clocks(tx, incident, now)
    news_at, late = await keep_promise(tx, desk, incident, now)
    breached |= late
    fired = await _climb(tx, desk, incident, breached, now)
    times = [
        next_clock(await tx.incidents.clocks(incident.id), incident),
        next_level(await tx.levels.of(incident.id)),
        news_at,
        incident.acknowledged_until if incident.state is IncidentState.OPEN else None,
    ]
    due_at = min((at for at in times if at is not None), default=None)
    if due_at is None:
        await tx.work.finish(work)
    else:
        await tx.work.reschedule(work, due_at)
    for kind in breached:
        await _breached(tx, incident, kind, now)
    return Watched(list(breached), fired)


async def _breached(tx: Tx, incident: Incident, kind: str, now: datetime) -> None:
    """A broken promise about the trouble itself is one for people; whom it reaches, and when, the levels say."""
    if kind not in {ClockKind.UPDATE.value, ClockKind.REVIEW.value}:
        await _mark(tx, incident, Escalate.CLOCK, now, f"{kind} deadline passed")


async def _climb(
    tx: Tx, desk: Desk, incident: Incident, breached: Mapping[str, datetime], now: datetime
) -> list[tuple[int, timedelta]]:
    """Tell whoever the due levels name; returns the places of the levels told, and how late each is.

    `breached` are the clocks newly breached, with their deadlines. A level that leads to nobody is skipped.
    """
    await leave_alone(tx, incident, now)
    heard = await heard_by_hand(tx, incident)
    judged = judge_levels(await tx.levels.of(incident.id), incident, breached, heard, now)
    for level in judged.settled:
        await tx.levels.save(level)
    told = {one.level.number for one in judged.fired if await _fire(tx, desk, incident, one, now)}
    for settled in judged.settled:
        level = settled
        if settled.state is LevelState.FIRED and settled.number not in told:
            level = replace(settled, state=LevelState.SKIPPED, reason=NOBODY)
            await tx.levels.save(level)
        await write_down(tx, level, level.state.value, now)
    if judged.fired and not told:
        await start_over(tx, incident, now)
    return [(one.level.place, one.late) for one in judged.fired if one.level.number in told]


async def _fire(tx: Tx, desk: Desk, incident: Incident, one: Fired, now: datetime) -> int:
    """Tell those of one level; returns at how many addresses. If its pages have none, another level is told instead."""
    why = await why_told(tx, desk, incident, one.level)  # once: what is told later of this page is the same
    told = await tell_level(tx, desk, incident, one, why, now)
    if one.page and one.level.page and not told.paged:
        await instead(tx, desk, incident, told.about, now)
    return told.noticed + told.paged


async def close_incident(
    tx: Tx, desk: Desk, incident: Incident, now: datetime, actor: str = "runbookd"
) -> Incident:
    """Resolve an incident, stop its clocks, tell everyone who was told of it, and begin the clock of its review.

    Returns the incident as it is now.
    """
    closed = replace(incident, state=IncidentState.RESOLVED, resolved_at=now)
    await tx.incidents.save(closed)
    await settle_clocks(tx, closed, now, only_met=True)
    priority = desk.library.priorities.get(incident.priority)
    await tell_audience(tx, desk, closed, Why("resolved", MessageKind.RESOLVED), now)
    if priority is not None and priority.review_within is not None and await audience(tx, closed):
        due_at = now + priority.review_within
        await tx.incidents.save_clock(
            IncidentClock(incident_id=incident.id, kind=ClockKind.REVIEW, due_at=due_at)
        )
        await tell_audience(tx, desk, closed, Why("review", MessageKind.REVIEW), now)
    await refresh(tx, desk, closed, "resolved", now)
    await quiet_pagers(tx, desk, closed, Why("resolved", MessageKind.CLOSE), now)
    await tx.work.add(WorkKind.CLOCK, incident.id, now)
    entry = Entry(
        at=now,
        stage=Stage.ADMIT,
        what="incident_resolved",
        actor=actor,
        incident_id=incident.id,
        detail={"seconds": (now - incident.opened_at).total_seconds()},
    )
    await tx.ledger.append([entry])
    return closed
