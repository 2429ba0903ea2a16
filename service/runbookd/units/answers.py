"""Units of work that take in what people do at doors outside: a button in Slack, an acknowledgement in PagerDuty.

Each becomes an event with an outcome and an entry of the ledger, whatever comes of it; the same act told twice is done
once. Whoever asked for something that was not done is told so, where they can be answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.language.media import one_line, spoken_for_slack
from runbookd.language.said import LONGEST_NAME, LONGEST_TEXT
from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import Channel, Doing, Message, MessageKind
from runbookd.model.event import Event, Status, StoredEvent
from runbookd.model.reasons import Answer
from runbookd.model.work import WorkKind
from runbookd.units.desk import PAUSED
from runbookd.units.pausing import pause
from runbookd.units.people import PAGERDUTY, Act, Do, act

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from runbookd.model.escalation import ActRequest
    from runbookd.model.event import Delivery
    from runbookd.ports import Tx
    from runbookd.units.admission import Tally
    from runbookd.units.desk import Desk

STALE_AFTER = timedelta(hours=49)
"""What was done longer ago is not done now: PagerDuty gives up after 48 hours, so it is a delivery replayed."""

_LOOKED_AT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of one act. `actor` is empty when nobody we know did it; `said` is for who did."""

    outcome: Answer
    actor: str = ""
    said: str = ""
    incident_id: str | None = None


async def take_acts(
    tx: Tx, desk: Desk, delivery: Delivery, acts: Sequence[ActRequest], tally: Tally, now: datetime
) -> list[StoredEvent]:
    """Do what people asked for in a delivery; returns each act as an event, with what became of it."""
    events = []
    for request in acts:
        taken = await _take(tx, desk, delivery, request, now)
        event = _event(desk, delivery, request, taken)
        await tx.deliveries.add_event(event)
        await tx.ledger.append([_entry(event, request, taken, now)])
        if taken.outcome is not Answer.DONE or request.do == "pause":
            await _reply(tx, desk, request, taken, now)
        tally[taken.outcome.value] += 1
        events.append(event)
    return events


async def _take(tx: Tx, desk: Desk, delivery: Delivery, request: ActRequest, now: datetime) -> Taken:
    """Do what is asked, or say why not."""
    source = delivery.source
    incident_id = await _incident_of(tx, source, request)
    if request.do is None:
        return Taken(outcome=request.recorded, incident_id=incident_id)
    if request.at is not None and delivery.received_at - request.at > STALE_AFTER:
        return Taken(outcome=Answer.STALE, incident_id=incident_id)
    actor = _actor(desk, source, request)
    if not actor:
        said = (
            f"Nothing was done: runbookd does not know who you are. Whoever runs it can add {request.who} to "
            f"web.people.{source} in its settings."
        )
        return Taken(outcome=Answer.UNKNOWN_PERSON, said=said, incident_id=incident_id)
    if request.do == "pause":
        return await _pause(tx, request, actor, incident_id, now)
    if incident_id is None:
        said = "Nothing was done: runbookd has no such incident any more."
        return Taken(outcome=Answer.NO_INCIDENT, actor=actor, said=said)
    wanted = Act(
        do=Do(request.do),
        incident_id=incident_id,
        actor=actor,
        key=request.key,
        text=_text(desk, source, request.do, request.text),
        ring=request.ring if source == PAGERDUTY else None,
    )
    done = await act(tx, desk, wanted, now)
    outcome = Answer.DONE if done.changed else Answer.TOLD_BEFORE if done.again else Answer.UNCHANGED
    return Taken(outcome=outcome, actor=actor, said=done.said, incident_id=incident_id)


async def _pause(tx: Tx, request: ActRequest, actor: str, incident_id: str | None, now: datetime) -> Taken:
    """Stop all mutating calls; who paused first stays who did."""
    if not await tx.messages.act_once(request.key, now):
        return Taken(outcome=Answer.TOLD_BEFORE, actor=actor, incident_id=incident_id)
    if await tx.switches.get(PAUSED) is not None:
        said = "The service is paused already; `runbookd resume` ends that."
        return Taken(outcome=Answer.UNCHANGED, actor=actor, said=said, incident_id=incident_id)
    running = await pause(tx, f"button of {incident_id or 'a message'}", actor, now)
    said = f"Paused: nothing is changed any more, and {running} runs stop. `runbookd resume` ends that."
    return Taken(outcome=Answer.DONE, actor=actor, said=said, incident_id=incident_id)


async def _incident_of(tx: Tx, source: str, request: ActRequest) -> str | None:
    """Return the id of the incident an act is about, None when it is none of ours.

    Where the door tells only its own id, an earlier event about the same incident told ours.
    """
    if request.incident_id:
        incident = await tx.incidents.get(request.incident_id)
        return incident.id if incident is not None else None
    if not request.about:
        return None
    earlier = await tx.deliveries.events(_LOOKED_AT, {"source": source, "fingerprint": request.about})
    return next((event.incident_id for event in earlier if event.incident_id is not None), None)


def _actor(desk: Desk, source: str, request: ActRequest) -> str:
    """Name the person who did it, `slack:anna`; empty when the settings name nobody.

    PagerDuty has made sure who its users are, so its own name will do. In Slack anybody can be a member, and takes
    what name they like: only the id counts.
    """
    persons = desk.people.get(source, {})
    name = persons.get(request.who, "")
    if not name and source == PAGERDUTY:
        name = persons.get(request.name) or request.name or request.who
    return f"{source}:{one_line(name)[:LONGEST_NAME]}" if name else ""


def _text(desk: Desk, source: str, do: Doing, text: str) -> str:
    """Return a note cut to a length, for the delivery has all of it, and of an assignment the person's name."""
    if do != "assign":
        return text[:LONGEST_TEXT]
    return one_line(desk.people.get(source, {}).get(text, text))[:LONGEST_NAME]


def _event(desk: Desk, delivery: Delivery, request: ActRequest, taken: Taken) -> StoredEvent:
    """Keep an act as an event that neither opens nor closes anything; its fingerprint is the door's own incident."""
    event = Event(
        source=delivery.source,
        name=request.what,
        status=Status.UNKNOWN,
        fingerprint=request.about or request.key,
        labels={"key": request.key, "who": request.who, "name": request.name},
        starts_at=request.at,
    )
    return StoredEvent(
        id=desk.ids.new("evt"),
        delivery_id=delivery.id,
        received_at=delivery.received_at,
        event=event,
        outcome=taken.outcome.value,
        incident_id=taken.incident_id,
    )


def _entry(event: StoredEvent, request: ActRequest, taken: Taken, now: datetime) -> Entry:
    return Entry(
        at=now,
        stage=Stage.ESCALATE,
        what=taken.outcome.value,
        actor=taken.actor or "runbookd",
        delivery_id=event.delivery_id,
        event_id=event.id,
        incident_id=taken.incident_id,
        detail={
            "source": event.event.source,
            "what": request.what,
            "do": request.do,
            "key": request.key,
            "who": request.who,
            "name": request.name,
            "about": request.about or request.incident_id,
            "at": request.at,
            "said": taken.said,
        },
    )


async def _reply(tx: Tx, desk: Desk, request: ActRequest, taken: Taken, now: datetime) -> None:
    """Tell the person what came of it, once and unseen by others; nothing when they cannot be answered."""
    if not request.reply_to or not taken.said or taken.outcome is Answer.TOLD_BEFORE:
        return
    message = Message(
        id=desk.ids.new("msg"),
        key=f"{request.key}/reply",
        kind=MessageKind.REPLY,
        channel=Channel.SLACK,
        address=request.reply_to,
        contact=taken.actor or f"{Channel.SLACK}:{request.who}",
        created_at=now,
        incident_id=taken.incident_id,
        facts={"reason": taken.outcome.value},
        words={"subject": "", "body": spoken_for_slack(taken.said)},
    )
    if await tx.messages.add(message):
        await tx.work.add(WorkKind.SEND, message.id, now, message.channel.value)
