"""Units of work that send what is in the outbox: an attempt noted before the call, its outcome after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.language.values import canonical_json, encode
from runbookd.model.action import Call, Mode, OutcomeState, Probed, Repeat
from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.stages.ladder import stands
from runbookd.stages.outbox import EVERY, bucket, retry_at, send_of
from runbookd.units.escalation import sooner
from runbookd.units.telling import Why, refresh, tell
from runbookd.units.words import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from runbookd.model.action import Failure, Outcome
    from runbookd.model.incident import Incident
    from runbookd.model.work import Work
    from runbookd.ports import Performer, Tx
    from runbookd.units.desk import Desk

_LONGEST_CALL = timedelta(seconds=15)
_WAIT_FOR_THE_FIRST = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A message about to be sent, its attempt on disk. `probe`: first ask whether an earlier attempt got through."""

    work: Work
    message: Message
    call: Call
    probe: bool


async def begin_send(tx: Tx, desk: Desk, work: Work, performer: Performer, now: datetime) -> Attempt | None:
    """Note an attempt at a message; None when it need not, cannot or may not yet be sent."""
    await tx.work.hold(work, now, desk.lease)
    message = await tx.messages.get(work.ref)
    if message is None or message.settled:
        await tx.work.finish(work)
        return None
    incident = await tx.incidents.get(message.incident_id) if message.incident_id is not None else None
    needless = _needless(message, incident)
    if needless:
        await _settle(tx, work, replace(message, state=MessageState.DROPPED, reason=needless), now)
        return None
    if not message.words:
        message = replace(message, words=await words_of(tx, desk, message, incident, now))
    earlier = await tx.messages.of(incident.id) if incident is not None else []
    if _first_is_on_its_way(message, earlier):
        await tx.work.reschedule(work, now + _WAIT_FOR_THE_FIRST)
        return None
    send = send_of(message, earlier)
    if send is None:
        await _settle(tx, work, replace(message, state=MessageState.DROPPED, reason="nothing_to_change"), now)
        return None
    doubtful = message.state is MessageState.SENDING
    repeat = performer.repeat(send.action, send.params)
    if doubtful and repeat is Repeat.NEVER:
        await _settle(tx, work, replace(message, state=MessageState.FAILED, reason="in_doubt"), now)
        return None
    counted = bucket(message)
    if counted is not None:
        slot = await tx.messages.slot(counted, now, EVERY[message.channel])
        if slot > now:
            await tx.work.reschedule(work, slot)
            return None
    spec = performer.spec(send.action)
    call = Call(
        run_id=message.id,
        path=f"messages/{message.channel}",
        attempt=message.attempts + 1,
        action=send.action,
        key=message.key,
        params=send.params,
        mode=Mode.ACT,
        timeout=min(spec.timeout if spec is not None else _LONGEST_CALL, _LONGEST_CALL, desk.lease * 2 / 3),
        incident_id=message.incident_id,
        intended_at=message.attempted_at or now,
    )
    noted = replace(
        message,
        state=MessageState.SENDING,
        attempts=message.attempts + 1,
        epoch=work.epoch,
        attempted_at=message.attempted_at or now,
    )
    await tx.messages.save(noted)
    return Attempt(work=work, message=noted, call=call, probe=doubtful and repeat is Repeat.PROBE)


async def end_send(tx: Tx, desk: Desk, attempt: Attempt, outcome: Outcome, now: datetime) -> Message:
    """Write down what came of an attempt; a page that cannot get through goes to the next contact."""
    work, message = attempt.work, attempt.message
    await tx.work.hold(work, now, desk.lease)
    if outcome.state is OutcomeState.SUCCEEDED:
        sent = replace(message, state=MessageState.SENT, result=outcome.output, error=None)
        await _keep_channel(tx, desk, sent, now)
        return await _settle(tx, work, sent, now)
    failure: Failure | None = outcome.failure
    told = replace(
        message,
        reason=failure.kind if failure is not None else outcome.state.value,
        error=failure.message if failure is not None else None,
    )
    doubtful = outcome.state is OutcomeState.IN_DOUBT
    again = (
        retry_at(message, replace(failure, temporary=failure.temporary or doubtful), now) if failure else None
    )
    if again is not None:
        state = MessageState.SENDING if doubtful else MessageState.PENDING
        kept = replace(told, state=state)
        await tx.messages.save(kept)
        await tx.work.reschedule(work, again)
        return kept
    settled = await _settle(tx, work, replace(told, state=MessageState.FAILED), now)
    await _fall_through(tx, desk, settled, now)
    return settled


def sent_before(probed: Probed, outcome: Outcome | None) -> Outcome | None:
    """Return the outcome of an earlier attempt that got through after all; None when it has to be made again."""
    return outcome if probed is Probed.DONE and outcome is not None else None


def _needless(message: Message, incident: Incident | None) -> str:
    """Say why a message is not needed any more; empty when it is."""
    if incident is None or message.kind is not MessageKind.PAGE or message.attempts:
        return ""
    unless = message.facts.get("unless")
    return f"already {unless}" if isinstance(unless, str) and stands(incident, unless) else ""


def _first_is_on_its_way(message: Message, earlier: Sequence[Message]) -> bool:
    """Whether a message that changes or follows another has to wait for that one."""
    if message.channel not in {Channel.SLACK, Channel.STATUSPAGE} or message.kind in {
        MessageKind.PAGE,
        MessageKind.OPENED,
        MessageKind.CHANNEL,
        MessageKind.REPLY,
    }:
        return False
    wanted = canonical_json(encode(message.address))
    return any(
        not one.settled
        and one.channel is message.channel
        and one.kind in {MessageKind.PAGE, MessageKind.OPENED}
        and canonical_json(encode(one.address)) == wanted
        for one in earlier
    )


async def _settle(tx: Tx, work: Work, message: Message, now: datetime) -> Message:
    """End a message, in the outbox and in the ledger; addresses stay in the outbox."""
    settled = replace(message, settled_at=now)
    await tx.messages.save(settled)
    await tx.work.finish(work)
    entry = Entry(
        at=now,
        stage=Stage.ESCALATE,
        what=f"message_{settled.state.value}",
        incident_id=settled.incident_id,
        detail={
            "message": settled.id,
            "kind": settled.kind.value,
            "channel": settled.channel.value,
            "contact": settled.contact,
            "for": settled.facts.get("reason"),
            "attempts": settled.attempts,
            "seconds": (now - settled.created_at).total_seconds(),
            "reason": settled.reason,
            "error": settled.error,
            "subject": settled.words.get("subject"),
        },
    )
    await tx.ledger.append([entry])
    return settled


async def _keep_channel(tx: Tx, desk: Desk, message: Message, now: datetime) -> None:
    """Remember the channel that was made for an incident, tell of the incident there, and elsewhere of the channel."""
    incident = await tx.incidents.get(message.incident_id or "")
    if message.kind is not MessageKind.CHANNEL or incident is None:
        return
    channel = {"id": str(message.result["channel"]), "name": str(message.result["name"])}
    known = replace(incident, channel=channel)
    await tx.incidents.save(known)
    await tell(tx, desk, known, Why("channel", MessageKind.OPENED), [f"slack:{channel['id']}"], now)
    await refresh(tx, desk, known, "channel", now)


async def _fall_through(tx: Tx, desk: Desk, message: Message, now: datetime) -> None:
    """After the last way to a contact has failed, page the next; after the last contact, the next level."""
    incident = await tx.incidents.get(message.incident_id or "")
    if message.kind is not MessageKind.PAGE or not message.party or incident is None:
        return
    siblings = [one for one in await tx.messages.of(incident.id) if one.party == message.party]
    if any(one.state is not MessageState.FAILED for one in siblings):
        return
    made = 0
    if message.next_contacts:
        reason = f"{message.facts.get('reason')} after {message.contact}"
        why = Why(reason, MessageKind.PAGE, {**message.facts, "reason": reason})
        made = await tell(tx, desk, incident, why, message.next_contacts, now)
    if made:
        return
    hastened = await sooner(tx, incident, now)
    entry = Entry(
        at=now,
        stage=Stage.ESCALATE,
        what="nobody_reached",
        incident_id=incident.id,
        detail={"contact": message.contact, "for": message.facts.get("reason"), "next_level": hastened},
    )
    await tx.ledger.append([entry])
