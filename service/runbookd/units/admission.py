"""Units of work that take a delivery apart: each event becomes news of an alert, an incident, and perhaps a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runbookd.errors import DamagedRow, MissingValue
from runbookd.language.values import canonical_json
from runbookd.model.action import Mode
from runbookd.model.audit import Entry, Stage
from runbookd.model.event import DeliveryState, Event, StoredEvent
from runbookd.model.incident import Incident, IncidentState
from runbookd.model.reasons import Episode, Escalate, Guard, Verdict
from runbookd.model.work import WorkKind
from runbookd.stages.admit import (
    heard_again,
    is_current,
    judge_episode,
    new_alert,
    resolved,
    unseen_alert,
)
from runbookd.stages.escalate import ALERT_RESOLVED
from runbookd.stages.match import Decision, match
from runbookd.stages.plan import incident_key, incident_title
from runbookd.units.desk import Desk
from runbookd.units.escalation import begin_clocks, close_incident, escalate
from runbookd.units.planning import Trouble, plan_rung, rule_scope
from runbookd.units.watchdogs import note_heard

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.language.cel import Scope
    from runbookd.model.alert import Alert
    from runbookd.model.rule import ForCount, Rule
    from runbookd.model.work import Work
    from runbookd.ports import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Where the events at hand come from, and when they are looked at.

    `asked` tells that the sender was asked for all that fires: what it repeats then is no news. `concluding` tells
    that these resolves were told by nobody, but concluded from what the sender no longer lists.
    """

    delivery_id: str
    received_at: datetime
    now: datetime
    asked: bool = False
    concluding: bool = False


Tally = Counter[str]
"""How many events of a batch came to which outcome, for the metrics."""


async def admit_event(tx: Tx, desk: Desk, batch: Batch, event: Event, tally: Tally) -> StoredEvent:
    """Take one event in: settle its episode, and for a new alert open incidents and plan runs."""
    latest = await tx.alerts.latest(event.source, event.fingerprint)
    current = is_current(latest, batch.received_at, asked=batch.asked, stale_for=desk.stale_for)
    episode = judge_episode(event, latest, current=current)
    stored = StoredEvent(
        id=desk.ids.new("evt"),
        delivery_id=batch.delivery_id,
        received_at=batch.received_at,
        event=event,
        outcome=episode.value,
        alert_id=latest.id if latest is not None else None,
        incident_id=latest.incident_id if latest is not None else None,
        rule=latest.rule if latest is not None else None,
    )
    if episode is Episode.NEW:
        alert = new_alert(event, desk.ids.new("alt"), batch.now)
        stored = await _begin(tx, desk, batch, replace(stored, alert_id=alert.id), alert)
    elif episode is Episode.REPEAT and latest is not None:
        await tx.alerts.save(heard_again(latest, event, batch.now))
    elif episode is Episode.UNKNOWN and latest is not None and latest.resolved_at is None:
        await tx.alerts.save(replace(latest, last_seen=batch.now))
    elif episode is Episode.RESOLVED and latest is not None:
        ended = replace(resolved(latest, event, batch.now), concluded=batch.concluding)
        await _end(tx, desk, ended, batch.now)
    elif episode is Episode.STALE:  # if it does fire, the sender will say so when asked
        await tx.work.add(WorkKind.RECONCILE, event.source, batch.now)
    elif episode is Episode.RESOLVED_UNSEEN:
        unseen = unseen_alert(event, desk.ids.new("alt"), batch.now)
        await tx.alerts.save(unseen)
        stored = replace(stored, alert_id=unseen.id, incident_id=None, rule=None)
    if not batch.asked:  # whether it is told by itself is the question
        await note_heard(tx, desk, event, batch.received_at, batch.now)
    tally[stored.outcome] += 1
    if not (batch.asked and episode in {Episode.REPEAT, Episode.UNKNOWN}):
        await tx.deliveries.add_event(stored)
    return stored


async def _begin(tx: Tx, desk: Desk, batch: Batch, stored: StoredEvent, alert: Alert) -> StoredEvent:
    """A new alert: match it, and act on every rule that takes it."""
    event = stored.event
    scope = rule_scope(desk, alert, batch.now)
    taken, reasons = match(desk.rules, event, scope)
    troubles: list[Trouble] = []
    counting = any(rule.for_count is not None for rule in taken)
    if not counting:
        await tx.ledger.append([_match_entry(desk, stored, reasons, batch.now)])
    for rule in taken:
        held = await _counted(tx, rule, alert, batch.now) if rule.for_count is not None else None
        if held is not None:
            reasons.append(held)
            continue
        trouble = await _incident(tx, desk, rule, (alert, scope), stored)
        await tx.alerts.link(alert.id, trouble.incident.id)
        troubles.append(trouble)
    if (
        counting
    ):  # whether a rule has counted far enough is known once the rules before it have their incidents
        await tx.ledger.append([_match_entry(desk, stored, reasons, batch.now)])
    if not troubles:
        await tx.alerts.save(alert)
        outcome = reasons[-1].verdict.value if taken else "unmatched"
        return replace(stored, outcome=outcome, rule=taken[0].name if taken else None)
    first = troubles[0]
    alert = replace(alert, incident_id=first.incident.id, rule=first.rule.name)
    await tx.alerts.save(alert)
    for trouble in troubles:
        await _respond(tx, desk, replace(trouble, alert=alert), scope, batch.now)
    return replace(stored, incident_id=first.incident.id, rule=first.rule.name)


async def _counted(tx: Tx, rule: Rule, alert: Alert, now: datetime) -> Decision | None:
    """Judge `for_count`, this episode included; None when the rule may fire."""
    wanted: ForCount = rule.for_count  # type: ignore[assignment]
    since = now - wanted.within
    await tx.alerts.count_for(rule.name, alert)
    fired = await tx.incidents.recent(1, {"rule": rule.name})
    if fired and fired[0].opened_at > since:
        return Decision(rule.name, Verdict.FOR_COUNT_LATCHED, f"fired at {fired[0].opened_at.isoformat()}")
    count = await tx.alerts.count_episodes(rule.name, since, wanted.distinct)
    if count >= wanted.of:
        return None
    return Decision(rule.name, Verdict.FOR_COUNT, f"{count} of {wanted.of}")


def _match_entry(desk: Desk, stored: StoredEvent, reasons: list[Decision], now: datetime) -> Entry:
    """Write down every reason, yes and no; rules filed under labels the event has not are counted."""
    return Entry(
        at=now,
        stage=Stage.MATCH,
        what="matched" if any(reason.matched for reason in reasons) else "unmatched",
        delivery_id=stored.delivery_id,
        event_id=stored.id,
        detail={
            "alert": stored.alert_id,
            "name": stored.event.name,
            "fingerprint": stored.event.fingerprint,
            "rules": [
                {"rule": reason.rule, "verdict": reason.verdict.value, "detail": reason.detail}
                for reason in reasons
            ],
            "not_compared": max(0, len(desk.rules.rules) - len(reasons)),
            "content": desk.library.version,
        },
    )


async def _incident(
    tx: Tx, desk: Desk, rule: Rule, seen: tuple[Alert, Scope], stored: StoredEvent
) -> Trouble:
    """Find or open the incident this alert belongs to under the rule."""
    alert, scope = seen
    event, now = alert.event, alert.first_seen
    missing = ""
    try:
        key = incident_key(rule, event)
    except MissingValue as error:
        missing = str(error)
        key = canonical_json({"fingerprint": event.fingerprint, "source": event.source})
    incident = await tx.incidents.open_for(rule.name, key)
    if incident is None:
        title = incident_title(rule, event, scope)
        incident = await _open(tx, desk, rule, (key, title, now), stored)
    return Trouble(
        rule=rule, alert=alert, event=event, incident=incident, event_id=stored.id, missing=missing
    )


async def _open(
    tx: Tx, desk: Desk, rule: Rule, known: tuple[str, str, datetime], stored: StoredEvent
) -> Incident:
    key, title, now = known
    incident = Incident(
        id=desk.ids.new("inc"),
        rule=rule.name,
        key=key,
        priority=rule.priority,
        title=title,
        opened_at=now,
        escalation=rule.escalation,
    )
    await tx.incidents.save(incident)
    observed = rule.mode is Mode.OBSERVE
    clocks = await begin_clocks(tx, desk, incident, now, quiet=observed)
    entry = Entry(
        at=now,
        stage=Stage.ADMIT,
        what="incident_opened",
        delivery_id=stored.delivery_id,
        event_id=stored.id,
        incident_id=incident.id,
        detail={
            "rule": rule.name,
            "priority": rule.priority,
            "title": incident.title,
            "key": key,
            **({"mode": rule.mode.value} if observed else {}),
            "clocks": {clock.kind.value: clock.due_at for clock in clocks},
        },
    )
    await tx.ledger.append([entry])
    return incident


async def _respond(tx: Tx, desk: Desk, trouble: Trouble, scope: Scope, now: datetime) -> None:
    """Plan the first rung, or hand the incident to people when that cannot be."""
    rule, incident = trouble.rule, trouble.incident
    if trouble.missing:
        said = f"{Guard.MISSING_VALUE.value}: {trouble.missing}"
        await escalate(tx, incident, Escalate.RUN_REFUSED, now, said)
    elif rule.run:
        await plan_rung(tx, desk, trouble, scope, now)


async def _end(tx: Tx, desk: Desk, alert: Alert, now: datetime) -> None:
    """The alert is over: its incidents close when all their alerts are, and its runs hear of it."""
    await tx.alerts.save(alert)
    for incident_id in await tx.alerts.incidents_of(alert.id):
        incident = await tx.incidents.get(incident_id)
        if incident is None or incident.state is IncidentState.RESOLVED:
            continue
        over = not await tx.alerts.any_open(incident.id)
        rule = desk.rule(incident.rule)
        for run in await tx.runs.running_of(incident.id):
            # Before the run: who carries it on holds this row.
            await tx.work.add(WorkKind.ADVANCE, run.id, now)
            if over and rule is not None and rule.on_resolve == "cancel" and run.cancel_reason is None:
                await tx.runs.save(replace(run, cancel_reason=ALERT_RESOLVED))
        if over:
            await close_incident(tx, desk, incident, now)


async def bury(tx: Tx, work: Work, message: str, now: datetime) -> None:
    """Keep a delivery that cannot be admitted, by an error of runbookd's own or a damaged row, as a dead letter.

    The ledger says why; source and progress are missing there when the row cannot be read.
    """
    try:
        delivery = await tx.deliveries.get(work.ref)
        known = None if delivery is None else {"source": delivery.source, "progress": delivery.progress}
    except DamagedRow:
        delivery, known = None, {}
    if known is not None:
        reason = f"{Escalate.INTERNAL.value}: {message}"
        progress = delivery.progress if delivery is not None else 0
        await tx.deliveries.settle(work.ref, DeliveryState.DEAD, progress, reason)
        entry = Entry(
            at=now,
            stage=Stage.ESCALATE,
            what=Escalate.INTERNAL.value,
            delivery_id=work.ref,
            detail={**known, "reason": message},
        )
        await tx.ledger.append([entry])
    await tx.work.finish(work)
