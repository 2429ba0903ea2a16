"""Units of work that send what is in the outbox: an attempt noted before the call, its outcome after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import takewhile
from typing import TYPE_CHECKING

from runbookd.language.values import canonical_json, encode
from runbookd.model.action import NOT_SET, Call, Mode, OutcomeState, Probed, Repeat
from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.model.work import WorkKind
from runbookd.stages.ladder import ACKNOWLEDGED, RESOLVED, stopped_by
from runbookd.stages.outbox import Send, left_alone, retry_at, send_of
from runbookd.stages.reached import PASSED_ON, decisive, late_ring, shared, unreached
from runbookd.units.fallback import go_on, instead, start_over
from runbookd.units.telling import Why, entry_of, refresh, tell
from runbookd.units.turns import answered, call_next, take, turn
from runbookd.units.words import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from runbookd.model.action import Failure, Outcome
    from runbookd.model.incident import Incident
    from runbookd.model.work import Work
    from runbookd.ports import Performer, Tx
    from runbookd.units.desk import Desk

_BEGIN = frozenset({MessageKind.PAGE, MessageKind.OPENED})
_CHANGE = frozenset({MessageKind.EDIT, MessageKind.ACKNOWLEDGE, MessageKind.CLOSE})
"""Kinds that change what was sent: nothing but what is there can be changed."""
_LONGEST_CALL = timedelta(seconds=15)
_ALONE = frozenset({*_BEGIN, MessageKind.CHANNEL, MessageKind.REPLY})
"""Kinds that neither change nor follow another message."""
_FOLLOWING = frozenset({Channel.SLACK, Channel.STATUSPAGE, Channel.PAGERDUTY})
"""Channels where one message stands below another, or changes it."""
_WAIT_FOR_THE_FIRST = timedelta(seconds=30)
"""How long one that does sleeps at most: it is woken when that one has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A message about to be sent, its attempt on disk. `probe`: first ask whether an earlier attempt got through.

    `turn` is what `turns.take` returned.
    """

    work: Work
    message: Message
    call: Call
    probe: bool
    turn: datetime | None


async def begin_send(
    tx: Tx, desk: Desk, work: Work, performer: Performer, now: datetime
) -> Attempt | Message | None:
    """Note an attempt at a message; one that need not or cannot be sent is settled and returned.

    None when it may not yet be sent, or was settled before.
    """
    await tx.work.hold(work, now, desk.lease)
    message = await tx.messages.get(work.ref)
    if message is None or message.settled:
        await tx.work.finish(work)
        return None
    incident = await tx.incidents.get(message.incident_id) if message.incident_id is not None else None
    needless = _needless(message, incident)
    if needless:
        return await _unsent(tx, work, replace(message, state=MessageState.DROPPED, reason=needless), now)
    if await _waits(tx, work, message, now):
        return None
    look_at, free_at = await turn(tx, message, now)
    if left_alone(message, free_at, now):
        why = f"{message.channel} has asked to be left alone until {free_at:%H:%M:%S} UTC"
        refused = replace(message, state=MessageState.FAILED, reason="rate_limited", error=why)
        return await _unsent(tx, work, refused, now, desk)
    if look_at > now:
        await tx.work.reschedule(work, look_at)
        return None
    earlier = await tx.messages.of(incident.id) if incident is not None else []
    if not message.words:
        message = _as_first_word(message, incident, earlier)
    if (
        not message.words or message.kind is MessageKind.EDIT or late_ring(message)
    ):  # the late tell what is now
        message = replace(message, words=await words_of(tx, desk, message, incident, now))
    send = send_of(message, earlier)
    if send is None:
        unneeded = replace(message, state=MessageState.DROPPED, reason="nothing_to_change")
        return await _unsent(tx, work, unneeded, now)
    doubtful = message.state is MessageState.SENDING
    repeat = performer.repeat(send.action, send.params)
    if doubtful and repeat is Repeat.NEVER:
        failed = replace(message, state=MessageState.FAILED, reason="in_doubt")
        return await _unsent(tx, work, failed, now, desk)
    noted = replace(
        message,
        state=MessageState.SENDING,
        attempts=message.attempts + 1,
        epoch=work.epoch,
        attempted_at=message.attempted_at or now,
    )
    await tx.messages.save(noted)
    taken = await take(tx, noted, now)
    spec = performer.spec(send.action)
    longest = spec.timeout if spec is not None else _LONGEST_CALL
    call = _call(noted, send, min(longest, _LONGEST_CALL, desk.lease * 2 / 3))
    probe = doubtful and repeat is Repeat.PROBE
    return Attempt(work=work, message=noted, call=call, probe=probe, turn=taken)


async def _waits(tx: Tx, work: Work, message: Message, now: datetime) -> bool:
    """Have a message sleep, in no line, while the one that it changes or follows is on its way."""
    if message.kind in _ALONE or message.incident_id is None:
        return False
    if not _first_is_on_its_way(message, await tx.messages.of(message.incident_id)):
        return False
    await tx.messages.save(message)
    await tx.work.reschedule(work, now + _WAIT_FOR_THE_FIRST)
    await call_next(tx, message, now)
    return True


async def _unsent(tx: Tx, work: Work, message: Message, now: datetime, desk: Desk | None = None) -> Message:
    """End a message without a call, which leaves its turn to the next; with a `desk` others hear in its place."""
    settled = await _settle(tx, work, message, now)
    await call_next(tx, settled, now)
    if desk is not None:
        await _fall_through(tx, desk, settled, now)
    return settled


def _call(message: Message, send: Send, timeout: timedelta) -> Call:
    """Make the call of an attempt that has been noted."""
    return Call(
        run_id=message.id,
        path=f"messages/{message.channel}",
        attempt=message.attempts,
        action=send.action,
        key=message.key,
        params=send.params,
        mode=Mode.ACT,
        timeout=timeout,
        incident_id=message.incident_id,
        intended_at=message.attempted_at or message.created_at,
    )


async def end_send(tx: Tx, desk: Desk, attempt: Attempt, outcome: Outcome, now: datetime) -> Message:
    """Write down what came of an attempt; a page that cannot get through goes to the next contact.

    One to a phone is then tried on: should it get through at last, and nobody have taken the incident, it rings late.
    """
    work, message = attempt.work, attempt.message
    await tx.work.hold(work, now, desk.lease)
    stored = await tx.messages.get(message.id)
    if stored is not None:  # another level may rely on it since the call began
        message = replace(message, facts=stored.facts)
    await answered(tx, message, attempt.turn, outcome.failure, now)
    if outcome.state is OutcomeState.SUCCEEDED:
        sent = replace(message, state=MessageState.SENT, result=outcome.output, error=None)
        await _keep_channel(tx, desk, sent, now)
        settled = await _settle(tx, work, sent, now)
        await _goes_on(tx, settled, now)
        return settled
    failure: Failure | None = outcome.failure
    told = replace(
        message,
        reason=failure.kind if failure is not None else outcome.state.value,
        error=failure.message if failure is not None else None,
    )
    doubtful = outcome.state is OutcomeState.IN_DOUBT
    passed_on = bool(message.facts.get(PASSED_ON))
    if failure is not None:
        failure = replace(failure, temporary=failure.temporary or doubtful)
    again = retry_at(message, failure, now) if failure else None
    if again is None and failure is not None and _rings(message) and not passed_on:
        late = await _passed_on(tx, told)
        late_at = retry_at(late, failure, now)
        if late_at is not None:
            await tx.messages.save(late)
            await tx.work.reschedule(work, late_at)
            await tx.ledger.append([entry_of(late, "page_passed_on", now)])
            await _wake_followers(tx, late, now)
            await _fall_through(tx, desk, late, now)
            return late
    if again is not None:
        state = MessageState.SENDING if doubtful and not passed_on else MessageState.PENDING
        kept = replace(told, state=state)
        await tx.messages.save(kept)
        await tx.work.reschedule(work, again)
        if passed_on:
            await _wake_followers(tx, kept, now)
        return kept
    if message.channel is Channel.STATUSPAGE and told.reason == NOT_SET:  # it stands on our own page
        own = replace(told, state=MessageState.DROPPED, reason="own_page_only", error=None)
        return await _settle(tx, work, own, now)
    settled = await _settle(tx, work, replace(told, state=MessageState.FAILED), now)
    if not passed_on:
        await _fall_through(tx, desk, settled, now)
    return settled


def _rings(message: Message) -> bool:
    """Whether this is a page to a phone: its key makes it safe to send again, whatever became of the attempt."""
    return message.kind is MessageKind.PAGE and message.channel is Channel.PAGERDUTY


async def _passed_on(tx: Tx, message: Message) -> Message:
    """Return a page to a phone as it is tried on, after others were paged for it."""
    incident = await tx.incidents.get(message.incident_id or "")
    taken = incident is not None and incident.acknowledged_at is not None
    facts = {**message.facts, PASSED_ON: RESOLVED if taken else ACKNOWLEDGED}
    return replace(message, state=MessageState.PENDING, facts=facts)


def sent_before(probed: Probed, outcome: Outcome | None) -> Outcome | None:
    """Return the outcome of an earlier attempt that got through after all; None when it has to be made again."""
    return outcome if probed is Probed.DONE and outcome is not None else None


def _needless(message: Message, incident: Incident | None) -> str:
    """Say why a message is not needed any more; empty when it is, or may have got through.

    A phone that could not be rung in time is not rung for what somebody has taken since.
    """
    in_doubt, late_unless = message.state is MessageState.SENDING, message.facts.get(PASSED_ON)
    if incident is None or message.kind is not MessageKind.PAGE or (in_doubt and not late_unless):
        return ""
    unless = late_unless or message.facts.get("unless")
    stopped = stopped_by(incident, unless) if isinstance(unless, str) else ""
    return f"already {stopped}" if stopped else ""


def _as_first_word(message: Message, incident: Incident | None, earlier: Sequence[Message]) -> Message:
    """Return an update as the opening that it is, where all that was to be heard before it is not sent any more.

    A page that waited its turn until somebody had taken the incident is not.
    """
    if message.kind is not MessageKind.UPDATE or message.channel in {Channel.PAGERDUTY, Channel.STATUSPAGE}:
        return message
    wanted = canonical_json(encode(message.address))
    for one in takewhile(lambda one: one.id != message.id, earlier):
        begins = one.channel is message.channel and one.kind in {*_BEGIN, MessageKind.UPDATE}
        if not begins or canonical_json(encode(one.address)) != wanted:
            continue
        if one.state is MessageState.SENT or (not one.settled and not _needless(one, incident)):
            return message
    return replace(message, kind=MessageKind.OPENED)


def _first_is_on_its_way(message: Message, earlier: Sequence[Message]) -> bool:
    """Whether a message that changes or follows another has to wait for that one."""
    if message.kind in _ALONE or message.channel not in _FOLLOWING:
        return False
    first = {*_BEGIN, MessageKind.UPDATE} if message.kind in _CHANGE else _BEGIN
    wanted = canonical_json(encode(message.address))
    return any(
        not one.settled
        and not late_ring(one)
        and one.channel is message.channel
        and one.kind in first
        and canonical_json(encode(one.address)) == wanted
        for one in earlier
    )


async def _settle(tx: Tx, work: Work, message: Message, now: datetime) -> Message:
    """End a message, in the outbox and in the ledger."""
    settled = replace(message, settled_at=now)
    await tx.messages.save(settled)
    await tx.work.finish(work)
    await tx.ledger.append([entry_of(settled, f"message_{settled.state.value}", now)])
    await _wake_followers(tx, settled, now)
    return settled


async def _goes_on(tx: Tx, message: Message, now: datetime) -> None:
    """After a page that has got through the ladder is what it was, if it had begun anew."""
    incident = await tx.incidents.get(message.incident_id or "")
    if message.kind is MessageKind.PAGE and incident is not None:
        await go_on(tx, incident, now)


async def _wake_followers(tx: Tx, first: Message, now: datetime) -> None:
    """Wake those that may have waited for a message, which is not on its way any more."""
    if first.kind in _CHANGE or first.channel not in _FOLLOWING or first.incident_id is None:
        return
    wanted = canonical_json(encode(first.address))
    for one in await tx.messages.of(first.incident_id):
        follows = not one.settled and one.kind not in _ALONE and one.channel is first.channel
        if follows and canonical_json(encode(one.address)) == wanted:
            await tx.work.add(WorkKind.SEND, one.id, now, one.channel.value)


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
    """After the last way to a contact has failed, page the next; when a level has reached nobody, another level.

    Its phone is the only way to a contact that has one; what else fails of it later hurries nobody again. Contacts with
    the same address share a message, and each of them has a next of its own.
    """
    incident = await tx.incidents.get(message.incident_id or "")
    if message.kind is not MessageKind.PAGE or not message.party or incident is None:
        return
    messages = shared(await tx.messages.of(incident.id))
    lost = []
    for page in (one for one in messages if one.id == message.id):
        contact = [one for one in messages if one.party == page.party]
        if not unreached(contact) or message.id not in {one.id for one in decisive(contact)}:
            continue
        lost.append(page)
        facts = {name: fact for name, fact in page.facts.items() if name != PASSED_ON}
        why = Why(str(page.facts.get("reason")), MessageKind.PAGE, facts)
        await tell(tx, desk, incident, why, page.next_contacts, now)
    for page in {str(one.facts.get("reason")): one for one in reversed(lost)}.values():
        await _level_lost(tx, desk, incident, page, now)


async def _level_lost(tx: Tx, desk: Desk, incident: Incident, page: Message, now: datetime) -> None:
    """When the level of a page has reached nobody, have another page, or all of them anew."""
    reason = str(page.facts.get("reason"))
    level = [one for one in shared(await tx.messages.of(incident.id)) if one.facts.get("reason") == reason]
    if not unreached(level):
        return
    another = await instead(tx, desk, incident, page.facts, now)
    anew_at = None if another else await start_over(tx, incident, now)
    entry = Entry(
        at=now,
        stage=Stage.ESCALATE,
        what="nobody_reached",
        incident_id=incident.id,
        detail={"contact": page.contact, "for": reason, "another_level": another, "anew_at": anew_at},
    )
    await tx.ledger.append([entry])
