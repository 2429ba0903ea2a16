"""Units of work that put messages into the outbox: to whom, about what, once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from runbookd.language.values import canonical_json, encode
from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.model.work import WorkKind
from runbookd.stages.ladder import NOBODY, needless_for_both
from runbookd.stages.reach import Address, Found, find
from runbookd.stages.reached import RELIES_ON, TWICE, late_ring
from runbookd.stages.rings import OPENING, open_rings, ring_for, ring_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from runbookd.model.incident import Incident
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk

_A_MOMENT = timedelta(seconds=1)
_FIRST = OPENING
"""The kinds by which somebody first hears of an incident."""


@dataclass(frozen=True, slots=True)
class Why:
    """Why something is told: a name that makes the message one of its own (`level 2`), and its kind.

    `facts` go with it: `late` by how much, `unless` what it is not needed any more.
    """

    reason: str
    kind: MessageKind
    facts: Mapping[str, object] = field(default_factory=dict)


async def tell(
    tx: Tx, desk: Desk, incident: Incident, why: Why, reaches: Sequence[str], now: datetime
) -> int:
    """Make the messages that reach all of these; returns to how many addresses.

    A reach that leads to nobody is recorded. An address that two reaches share hears once. To one that was not told
    before an update is none: it hears that there is an incident.
    """
    reason, kind = why.reason, why.kind
    update = kind is MessageKind.UPDATE
    heard = {_place(one.channel, one.address) for one in await audience(tx, incident)} if update else set()
    addressed = 0
    for reach in reaches:
        found = find(reach, desk.library, now, page=kind is MessageKind.PAGE)
        if not found.addresses:
            await _nobody(tx, incident, found, reason, now)
        for address in found.addresses:
            new = update and _place(address.channel, address.to) not in heard
            about = replace(why, kind=MessageKind.OPENED) if new else why
            await send(tx, desk, incident, _draft(about, reach, found, address), now)
        addressed += len(found.addresses)
    return addressed


async def send(tx: Tx, desk: Desk, incident: Incident, drafted: Mapping[str, object], now: datetime) -> bool:
    """Put one message into the outbox; False when it is there already. A pager that has to ring again does."""
    if drafted["channel"] is not Channel.PAGERDUTY or drafted["kind"] not in OPENING:
        return await _put(tx, desk, incident, drafted, now)
    kind, address = MessageKind(str(drafted["kind"])), cast("Mapping[str, object]", drafted["address"])
    ring, before = ring_for(kind, address, incident.priority, await tx.messages.of(incident.id))
    facts = {**cast("Mapping[str, object]", drafted["facts"]), "ring": ring, "priority": incident.priority}
    if not await _put(tx, desk, incident, {**drafted, "facts": facts}, now):
        return False
    if before is not None:
        why = Why(f"rung anew {ring}", MessageKind.CLOSE, {"ring": before, "replaced_by": ring})
        await _put(tx, desk, incident, {**drafted, **_about(why), "party": "", "next_contacts": ()}, now)
    return True


async def _put(tx: Tx, desk: Desk, incident: Incident, drafted: Mapping[str, object], now: datetime) -> bool:
    fields = dict(drafted)
    reason, kind, channel = str(fields.pop("reason")), fields.pop("kind"), fields.pop("channel")
    to = canonical_json(encode(fields["address"]))
    message = Message(
        id=desk.ids.new("msg"),
        key=f"{incident.id}/{reason}/{kind}/{channel} {to}",
        kind=MessageKind(str(kind)),
        channel=Channel(str(channel)),
        created_at=now,
        incident_id=incident.id,
        **fields,  # type: ignore[arg-type]
    )
    twice = await _twice(tx, message)
    if twice is not None:
        message = _relying(message, twice, now)
    if not await tx.messages.add(message):
        return False
    if twice is not None:
        await _for_both(tx, twice, message)
        await tx.ledger.append([entry_of(message, "message_dropped", now)])
        return True
    await tx.work.add(WorkKind.SEND, message.id, now, message.channel.value)
    return True


def _relying(message: Message, sent: Message, now: datetime) -> Message:
    """Return a page that is not sent, since another is, and that is its contact's all the same."""
    return replace(
        message,
        key=f"{message.key} for {message.party}" if message.key == sent.key else message.key,
        state=MessageState.DROPPED,
        reason=TWICE,
        settled_at=now,
        facts={**message.facts, RELIES_ON: sent.id},
    )


async def _for_both(tx: Tx, sent: Message, message: Message) -> None:
    """Have a page that is sent in the place of another be needless only when both are."""
    unless = needless_for_both(_unless(sent), _unless(message))
    if not sent.settled and unless != _unless(sent):
        await tx.messages.save(replace(sent, facts={**sent.facts, "unless": unless}))


def _unless(message: Message) -> str | None:
    unless = message.facts.get("unless")
    return unless if isinstance(unless, str) else None


async def _twice(tx: Tx, message: Message) -> Message | None:
    """Return the page to the same address that was made a moment ago, by another level, and has not failed.

    Not of a phone: its pager rings once by itself. And what the level has sent there to another of its contacts.
    """
    if message.kind is not MessageKind.PAGE:
        return None
    here = _place(message.channel, message.address)
    for one in await tx.messages.of(message.incident_id or ""):
        if one.key == message.key:
            return one if one.party != message.party else None
        if (
            message.channel is not Channel.PAGERDUTY
            and one.kind is MessageKind.PAGE
            and one.state not in {MessageState.FAILED, MessageState.DROPPED}
            and message.created_at - one.created_at < _A_MOMENT
            and _place(one.channel, one.address) == here
        ):
            return one
    return None


async def open_channel(tx: Tx, desk: Desk, incident: Incident, now: datetime) -> None:
    """Have a Slack channel made for the incident."""
    drafted = {
        "reason": "opened",
        "kind": MessageKind.CHANNEL,
        "channel": Channel.SLACK,
        "address": {},
        "contact": "the incident's channel",
        "facts": {"reason": "opened"},
    }
    await send(tx, desk, incident, drafted, now)


async def audience(tx: Tx, incident: Incident) -> list[Message]:
    """Return one message for every address that has been told of the incident, the first to it.

    The status page has, even if one elsewhere could not be: our own shows the same messages.
    """
    first: dict[tuple[Channel, str], Message] = {}
    for message in await _told(tx, incident):
        first.setdefault(_place(message.channel, message.address), message)
    return list(first.values())


def _place(channel: Channel, address: Mapping[str, object]) -> tuple[Channel, str]:
    return channel, canonical_json(encode(address))


async def _told(tx: Tx, incident: Incident) -> list[Message]:
    """Return every message by which somebody has heard, or is about to hear, of the incident."""
    told = []
    for message in await tx.messages.of(incident.id):
        unsent = message.state is MessageState.DROPPED and not message.attempts
        reached = message.state is not MessageState.FAILED or message.channel is Channel.STATUSPAGE
        if message.kind in _FIRST and reached and not unsent:
            told.append(message)
    return told


async def tell_audience(
    tx: Tx, desk: Desk, incident: Incident, why: Why, now: datetime, *, inside: bool = False
) -> int:
    """Tell everyone who was told before, but pagers, which hear only what is urgent; returns how many they are.

    What is for those `inside` the status page does not hear, nor of the review.
    """
    private = inside or why.kind is MessageKind.REVIEW
    deaf = {Channel.PAGERDUTY, *([Channel.STATUSPAGE] if private else [])}
    told = [one for one in await audience(tx, incident) if one.channel not in deaf]
    for one in told:
        await send(tx, desk, incident, _again(one, why), now)
    return len(told)


async def remind(tx: Tx, desk: Desk, incident: Incident, reason: str, now: datetime) -> bool:
    """Tell those who lead that news is promised soon; False when they were told before.

    They are told in one place: the incident's channel, else where it was first told, in Slack if it was.
    """
    deaf = {Channel.PAGERDUTY, Channel.STATUSPAGE}
    places = [one for one in await audience(tx, incident) if one.channel not in deaf]
    own = incident.channel["id"] if incident.channel is not None else None
    by_slack = [one for one in places if one.channel is Channel.SLACK]
    best = [*[one for one in by_slack if own and one.address["channel"] == own], *by_slack, *places]
    if not best:
        return True
    return await send(tx, desk, incident, _again(best[0], Why(reason, MessageKind.REMINDER)), now)


async def refresh(tx: Tx, desk: Desk, incident: Incident, reason: str, now: datetime) -> None:
    """Bring what was posted to Slack up to date."""
    for one in await audience(tx, incident):
        if one.channel is Channel.SLACK:
            await send(tx, desk, incident, _again(one, Why(reason, MessageKind.EDIT)), now)


async def quiet_pagers(
    tx: Tx, desk: Desk, incident: Incident, why: Why, now: datetime, told_by: int | None = None
) -> None:
    """Tell the pagers that rang that a person has it, or that it is over, every ring of theirs.

    The ring `told_by`, by which PagerDuty told us itself, knows: that it does is written down, and nothing is sent.
    Where two services share its number, both are told. A page to a phone that could not be rung in time is looked
    at now: most are needless.
    """
    messages = await tx.messages.of(incident.id)
    for waiting in filter(late_ring, messages):
        await tx.work.add(WorkKind.SEND, waiting.id, now, waiting.channel.value)
    ringing = open_rings(await _told(tx, incident), messages)
    numbers = [ring_of(one) for one in ringing]
    for one, ring in zip(ringing, numbers, strict=True):
        known = ring == told_by and numbers.count(ring) == 1
        facts = {**why.facts, "ring": ring, **({"known": True} if known else {})}
        reason = f"{why.reason}, ring {ring + 1}" if ring else why.reason
        await send(tx, desk, incident, _again(one, Why(reason, why.kind, facts)), now)


def _draft(why: Why, reach: str, found: Found, address: Address) -> dict[str, object]:
    """Draft one message; whose it is is told by the place of the contact, since two may have the same name."""
    return {
        **_about(why),
        "channel": address.channel,
        "address": address.to,
        "contact": found.contact,
        "party": f"{why.reason}/{reach.removesuffix('.primary')}" if why.kind is MessageKind.PAGE else "",
        "next_contacts": found.next_contacts,
    }


def _again(one: Message, why: Why) -> dict[str, object]:
    return {**_about(why), "channel": one.channel, "address": one.address, "contact": one.contact}


def _about(why: Why) -> dict[str, object]:
    return {"reason": why.reason, "kind": why.kind, "facts": {**why.facts, "reason": why.reason}}


def entry_of(message: Message, what: str, now: datetime) -> Entry:
    """Tell the ledger of a message; addresses stay in the outbox."""
    return Entry(
        at=now,
        stage=Stage.ESCALATE,
        what=what,
        incident_id=message.incident_id,
        detail={
            "message": message.id,
            "kind": message.kind.value,
            "channel": message.channel.value,
            "contact": message.contact,
            "for": message.facts.get("reason"),
            "attempts": message.attempts,
            "seconds": (now - message.created_at).total_seconds(),
            "reason": message.reason,
            "error": message.error,
            "subject": message.words.get("subject"),
        },
    )


async def _nobody(tx: Tx, incident: Incident, found: Found, reason: str, now: datetime) -> None:
    detail = {"reach": found.contact, "why": found.reason, "for": reason}
    entry = Entry(at=now, stage=Stage.ESCALATE, what=NOBODY, incident_id=incident.id, detail=detail)
    await tx.ledger.append([entry])
