"""Units of work that put messages into the outbox: to whom, about what, once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runbookd.language.values import canonical_json, encode
from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.model.work import WorkKind
from runbookd.stages.reach import Address, Found, find

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from runbookd.model.incident import Incident
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk

NOBODY = "nobody_to_reach"
_FIRST = frozenset({MessageKind.PAGE, MessageKind.OPENED, MessageKind.UPDATE})
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

    A reach that leads to nobody is recorded. An address that two reaches share hears once.
    """
    reason, kind = why.reason, why.kind
    addressed = 0
    for reach in reaches:
        found = find(reach, desk.library, now, page=kind is MessageKind.PAGE)
        if not found.addresses:
            await _nobody(tx, incident, found, reason, now)
        for address in found.addresses:
            await send(tx, desk, incident, _draft(why, found, address), now)
        addressed += len(found.addresses)
    return addressed


async def send(tx: Tx, desk: Desk, incident: Incident, drafted: Mapping[str, object], now: datetime) -> bool:
    """Put one message into the outbox; False when it is there already."""
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
    if not await tx.messages.add(message):
        return False
    await tx.work.add(WorkKind.SEND, message.id, now, message.channel.value)
    return True


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
    for message in await tx.messages.of(incident.id):
        unsent = message.state is MessageState.DROPPED and not message.attempts
        reached = message.state is not MessageState.FAILED or message.channel is Channel.STATUSPAGE
        if message.kind in _FIRST and reached and not unsent:
            first.setdefault((message.channel, canonical_json(encode(message.address))), message)
    return list(first.values())


async def tell_audience(tx: Tx, desk: Desk, incident: Incident, why: Why, now: datetime) -> int:
    """Tell everyone who was told before, but pagers, which hear only what is urgent.

    The review is for those inside, so the status page does not hear of it.
    """
    deaf = {Channel.PAGERDUTY, *([Channel.STATUSPAGE] if why.kind is MessageKind.REVIEW else [])}
    told = [one for one in await audience(tx, incident) if one.channel not in deaf]
    for one in told:
        await send(tx, desk, incident, _again(one, why), now)
    return len(told)


async def remind(tx: Tx, desk: Desk, incident: Incident, reason: str, now: datetime) -> bool:
    """Tell those who lead, where they talk about it, that news is promised soon; False when they were told before."""
    why = Why(reason, MessageKind.REMINDER)
    places = [one for one in await audience(tx, incident) if one.channel is Channel.SLACK]
    made = [await send(tx, desk, incident, _again(one, why), now) for one in places]
    return any(made) or not places


async def refresh(tx: Tx, desk: Desk, incident: Incident, reason: str, now: datetime) -> None:
    """Bring what was posted to Slack up to date."""
    for one in await audience(tx, incident):
        if one.channel is Channel.SLACK:
            await send(tx, desk, incident, _again(one, Why(reason, MessageKind.EDIT)), now)


async def quiet_pagers(tx: Tx, desk: Desk, incident: Incident, why: Why, now: datetime) -> None:
    """Tell the pagers that rang that a person has it, or that it is over."""
    for one in await audience(tx, incident):
        if one.channel is Channel.PAGERDUTY:
            await send(tx, desk, incident, _again(one, why), now)


def _draft(why: Why, found: Found, address: Address) -> dict[str, object]:
    return {
        "reason": why.reason,
        "kind": why.kind,
        "channel": address.channel,
        "address": address.to,
        "contact": found.contact,
        "party": f"{why.reason}/{found.contact}" if why.kind is MessageKind.PAGE else "",
        "next_contacts": found.next_contacts,
        "facts": {"reason": why.reason, **why.facts},
    }


def _again(one: Message, why: Why) -> dict[str, object]:
    return {
        "reason": why.reason,
        "kind": why.kind,
        "channel": one.channel,
        "address": one.address,
        "contact": one.contact,
        "facts": {"reason": why.reason, **why.facts},
    }


async def _nobody(tx: Tx, incident: Incident, found: Found, reason: str, now: datetime) -> None:
    detail = {"reach": found.contact, "why": found.reason, "for": reason}
    entry = Entry(at=now, stage=Stage.ESCALATE, what=NOBODY, incident_id=incident.id, detail=detail)
    await tx.ledger.append([entry])
