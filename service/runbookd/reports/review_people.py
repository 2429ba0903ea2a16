"""Who did something about an incident, who was told of it and whether that got through, for its review."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from runbookd.language.names import person
from runbookd.model.action import Mode
from runbookd.model.escalation import MessageKind, MessageState
from runbookd.reports.review_promises import acknowledged
from runbookd.reports.review_words import CHANNELS, KINDS, OWN_PAGE, SERVICE, on_own_page, party, said
from runbookd.stages.holders import Held, held

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbookd.model.escalation import Message
    from runbookd.units.record import Record

AUTOMATION: Final = "automation"
ALERTS_ENDED: Final = "the end of its alerts"
"""Who ended an incident that nobody did."""

_SILENT = frozenset({MessageKind.EDIT, MessageKind.REPLY, MessageKind.CHANNEL, MessageKind.REVIEW})
"""Kinds of messages that tell nobody anything new; they are counted only if they failed."""
_SECOND = timedelta(seconds=1)
_GOT_THROUGH: Final[Mapping[MessageState, str]] = {
    MessageState.SENT: "yes",
    MessageState.FAILED: "no",
    MessageState.DROPPED: "not needed any more",
    MessageState.PENDING: "on its way",
    MessageState.SENDING: "on its way",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Something that somebody did about the incident, and how long after it opened."""

    at: datetime
    after: timedelta
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Messages to one contact by one channel that fared alike: from when to when, and their kinds.

    Their times are when they got through, or when it was known that they would not; when they were made while they
    are on their way. `times` has how many there are of each of `kinds`. `why` says why they were not sent, else it is
    empty.
    """

    first_at: datetime
    last_at: datetime
    who: str
    channel: str
    kinds: tuple[str, ...]
    times: tuple[int, ...]
    got_through: str
    why: str


def commander(record: Record) -> str:
    """Return who led: who had it at the end or has it now, else who had it longest; empty when nobody did."""
    end = record.incident.assignee or record.incident.acknowledged_by
    if end is not None:
        return person(end)
    lengths: Counter[str] = Counter()
    for one in leads(record):
        lengths[one.who] += (one.until - one.since) // _SECOND if one.until is not None else 0
    return max(lengths, key=lambda who: lengths[who], default="")


def leads(record: Record) -> list[Held]:
    """Return who had the incident, one after the other, by their names; to its end if they had it then."""
    over = record.incident.resolved_at
    return [
        replace(one, who=person(one.who), until=one.until or over)
        for one in held(record.entries)
        if over is None or one.since <= over
    ]


def took(record: Record) -> Took | None:
    """Return who acknowledged first; None when nobody did."""
    first = acknowledged(record)
    return None if first is None else _took(record, first[0], person(first[1]) or AUTOMATION)


def responded(record: Record) -> Took | None:
    """Return who was first at work on it: a person, or a run that acts; None when nobody was."""
    at, first = record.incident.responded_at, acknowledged(record)
    if at is None:
        return None
    if first is not None and first[0] <= at and first[1]:
        return _took(record, at, person(first[1]))
    ran = next((run.playbook for run in record.runs if run.mode is Mode.ACT and run.created_at >= at), "")
    return _took(record, at, f"{AUTOMATION}: {ran}" if ran else AUTOMATION)


def resolved(record: Record) -> Took | None:
    """Return who ended it: a person, or its alerts that did not fire any more; None while it is open."""
    at = record.incident.resolved_at
    if at is None:
        return None
    by = next((one.actor for one in reversed(record.entries) if one.what == "incident_resolved"), SERVICE)
    return _took(record, at, ALERTS_ENDED if by == SERVICE else person(by))


def reason_of_the_end(record: Record) -> str:
    """Return what the person said who ended it; empty when none did, or said nothing."""
    said_so = (one for one in reversed(record.entries) if one.what == "person_resolve")
    return next((str(one.detail.get("text") or "").strip() for one in said_so), "")


def told(record: Record) -> list[Told]:
    """Return who was told what, and by which message was not, in the order in which that was so first."""
    alike: dict[tuple[str, ...], list[Message]] = {}
    for message in record.messages:
        failed = message.state is MessageState.FAILED
        if failed or message.kind not in _SILENT:
            why = "" if _heard(message) else (message.error if failed else None) or said(message.reason)
            who, channel = party(message.contact, record.incident), CHANNELS[message.channel]
            alike.setdefault((who, channel, _got_through(message), why), []).append(message)
    return sorted((_told(*each) for each in alike.items()), key=lambda one: one.first_at)


def _got_through(message: Message) -> str:
    """Say how a message fared; what was dropped only because there is no other page stands on our own."""
    own = message.state is MessageState.DROPPED and _heard(message)
    return f"only on {OWN_PAGE}" if own else _GOT_THROUGH[message.state]


def _heard(message: Message) -> bool:
    """Whether a message was sent, may yet be, or stands on our own page."""
    dropped = message.state is MessageState.DROPPED and bool(message.words)
    own = dropped and on_own_page(message.channel, message.kind)
    return own or message.state not in {MessageState.FAILED, MessageState.DROPPED}


def _took(record: Record, at: datetime, who: str) -> Took:
    return Took(at=at, after=at - record.incident.opened_at, who=who)


def _told(about: tuple[str, ...], messages: Sequence[Message]) -> Told:
    who, channel, got_through, why = about
    kinds = Counter(KINDS[message.kind] for message in messages)
    times = [one.settled_at or one.created_at for one in messages]
    return Told(
        first_at=min(times),
        last_at=max(times),
        who=who,
        channel=channel,
        kinds=tuple(kinds),
        times=tuple(kinds.values()),
        got_through=got_through,
        why=why,
    )
