"""The outbox: which call sends a message, how often a channel may be used, and when to give up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runbookd.language.values import canonical_json, encode
from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.stages.reached import PASSED_ON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbookd.model.action import Failure

PATIENCE = {MessageKind.PAGE: timedelta(minutes=1), MessageKind.REPLY: timedelta(minutes=1)}
"""How long a message is tried. A page that does not get through goes to the next contact instead, and a phone is then
tried on in the background."""
_PATIENCE = timedelta(hours=1)
_LONGEST_WAIT = timedelta(minutes=1)
_LEAST_TRIES = 2

_ANSWERED = timedelta(seconds=2)
"""How long the next message waits for the answer to one before it, at most."""
_OUR_OWN_WAIT = timedelta(seconds=5)
"""A channel that is free later than this asked for it."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a bucket may be used: `burst` messages at once after a quiet time, and one more each `every`.

    Where no two may go at once the time counts from the answer to one to the next. So however long each is on its way,
    they never arrive closer together than that. A bucket is told by the time up to which it is used.
    """

    every: timedelta
    burst: int = 1

    def free_at(self, used_until: datetime | None, now: datetime) -> datetime:
        """Say when the next message may go; `used_until` None is a bucket that never was used."""
        return now if used_until is None else used_until - (self.burst - 1) * self.every

    def used(self, used_until: datetime | None, now: datetime) -> datetime:
        """Return up to when it is used with another message that goes now, and has no answer yet."""
        if self.burst == 1:
            return now + self.every + _ANSWERED
        return max(used_until or now, now) + self.every

    def answered(self, used_until: datetime, used: datetime, now: datetime) -> datetime:
        """Return up to when it is used, now that a message is answered; `used` is what it was when that went.

        Where the next has not waited for the answer, nothing changes.
        """
        return now + self.every if self.burst == 1 and used == used_until else used_until

    def held(self, used_until: datetime, until: datetime) -> datetime:
        """Return up to when it is used, when it has to be left alone until a time."""
        return max(used_until, until + (self.burst - 1) * self.every)


EVERY = {
    Channel.SLACK: Pace(
        timedelta(seconds=1)
    ),  # a message a second and channel: https://docs.slack.dev/apis/web-api/rate-limits
    Channel.PAGERDUTY: Pace(timedelta(seconds=0.7), 30),  # 120 events a minute and key: docs/events-API-v2
    Channel.STATUSPAGE: Pace(timedelta(seconds=3)),  # a request a second and token; an opening needs three
}
"""How often an address may be used. In a minute it is a little less than what is allowed."""
_EDITS = "slack edits"
_METHODS = {
    MessageKind.EDIT: Pace(timedelta(seconds=1.25)),  # 50 a minute, of all channels together
    MessageKind.CHANNEL: Pace(timedelta(seconds=6)),  # 20 a minute, and a name that is taken costs two
}
"""What has a limit of its own in Slack: https://docs.slack.dev/reference/methods/chat.update."""

BUTTONS = (
    {"id": "acknowledge", "label": "Acknowledge", "style": "primary"},
    {"id": "escalate", "label": "Escalate", "style": "danger"},
    {
        "id": "pause",
        "label": "Pause automation",
        "confirm": "No playbook changes anything any more, for any incident, and those at work stop after their step. "
        "Alerts are still taken in and people are still paged. `runbookd resume` ends it.",
    },
)
_TAKEN = {"acknowledge": {"label": "Take over"}}
_SEVERITY = {"P0": "critical", "P1": "error", "P2": "warning", "P3": "info"}
_IMPACT = {"P0": "critical", "P1": "major", "P2": "minor", "P3": "minor"}
"""How bad it is, in the words of Statuspage: https://developer.statuspage.io/#operation/postPagesPageIdIncidents."""


@dataclass(frozen=True, slots=True)
class Send:
    """The call that sends a message."""

    action: str
    params: Mapping[str, object]


def bucket(message: Message) -> str | None:
    """Name what the channel's rate limit is counted by; None where there is none."""
    if message.channel not in EVERY:
        return None
    if message.kind is MessageKind.EDIT:
        return _EDITS
    return f"{message.channel} {canonical_json(encode(message.address))}"


def pace(message: Message) -> Pace:
    """Return how often its bucket may be used; there must be one."""
    return _METHODS.get(message.kind) or EVERY[message.channel]


def send_of(message: Message, earlier: Sequence[Message]) -> Send | None:
    """Return the call for a message with its words, None when there is nothing to send; `earlier` are the incident's.

    What changes something sent before needs that to have been sent.
    """
    return {
        Channel.PAGERDUTY: _pagerduty,
        Channel.SLACK: _slack,
        Channel.EMAIL: _email,
        Channel.WEBHOOK: _webhook,
        Channel.STATUSPAGE: _statuspage,
    }[message.channel](message, earlier)


def retry_at(message: Message, failure: Failure, now: datetime) -> datetime | None:
    """Say when to try again after a failed attempt; None to give up.

    Its time counts from the first attempt: a wait for our own pace is no reason to give up. A first attempt that took
    long is followed by another even so, unless a wait is asked for: the next contact is better than that.
    """
    wait = min(timedelta(seconds=2 ** min(message.attempts, 10)), _LONGEST_WAIT)
    soon = message.attempts < _LEAST_TRIES
    if failure.retry_after is not None and timedelta(seconds=failure.retry_after) > wait:
        wait, soon = timedelta(seconds=failure.retry_after), False
    return now + wait if failure.temporary and (soon or now + wait <= _worth_until(message)) else None


def left_alone(message: Message, free_at: datetime, now: datetime) -> bool:
    """Whether its channel has asked to be left alone for longer than the message is worth; `free_at` is until when.

    A wait in line, however long, is ours, and nothing that the channel asked for.
    """
    return free_at - now > _OUR_OWN_WAIT and free_at > _worth_until(message)


def _worth_until(message: Message) -> datetime:
    """Until when it is tried. A page to a phone that was passed on to others has as long as any message."""
    passed_on = message.facts.get(PASSED_ON)
    patience = _PATIENCE if passed_on else PATIENCE.get(message.kind, _PATIENCE)
    return (message.attempted_at or message.created_at) + patience


def first_sent(earlier: Sequence[Message], address: Mapping[str, object]) -> Message | None:
    """Return the first message that reached this Slack address, to which later ones belong; None before one has."""
    wanted = encode(address)
    for one in earlier:
        sent = one.state is MessageState.SENT and "ts" in one.result
        if sent and one.channel is Channel.SLACK and encode(one.address) == wanted:
            return one
    return None


def _pagerduty(message: Message, earlier: Sequence[Message]) -> Send | None:
    """Ring, or change a ring. One that has not rung cannot be made quiet, and what PagerDuty told us it knows.

    A ring whose place another has taken ends when that one has rung, and not before.
    """
    act = {MessageKind.ACKNOWLEDGE: "acknowledge", MessageKind.CLOSE: "resolve"}.get(message.kind, "trigger")
    ring = message.facts.get("ring") or 0
    key = message.incident_id or message.key
    params: dict[str, object] = {
        **message.address,
        "action": act,
        "dedup_key": f"{key}/{ring}" if ring else key,
    }
    if act != "trigger":
        rung = _rung(message, earlier)
        after = message.facts.get("replaced_by")
        replaced = after is None or any(
            one.state is MessageState.SENT for one in _rung(message, earlier, after)
        )
        wanted = rung and replaced and not message.facts.get("known")
        return Send("pagerduty.send_event", params) if wanted else None
    params |= {
        "summary": message.words["subject"],
        "source": "runbookd",
        "severity": _SEVERITY.get(str(message.words.get("priority")), "error"),
        "details": {"text": message.words["body"]},
    }
    return Send("pagerduty.send_event", params)


def _rung(message: Message, earlier: Sequence[Message], ring: object = None) -> list[Message]:
    """Return what rang the pager of this message, or may have; of its own ring, unless another is named."""
    wanted = (ring if ring is not None else message.facts.get("ring") or 0, encode(message.address))
    quieter = {MessageKind.ACKNOWLEDGE, MessageKind.CLOSE}
    return [
        one
        for one in earlier
        if one.attempts
        and one.channel is Channel.PAGERDUTY
        and one.kind not in quieter
        and (one.facts.get("ring") or 0, encode(one.address)) == wanted
    ]


def _slack(message: Message, earlier: Sequence[Message]) -> Send | None:
    words = message.words
    if message.kind is MessageKind.CHANNEL:
        return Send(
            "slack.create_channel", {"name": words["name"], "topic": words["topic"], "purpose": message.key}
        )
    if message.kind is MessageKind.REPLY:
        return Send("slack.post_ephemeral", {**message.address, "text": words["body"]})
    first = first_sent(earlier, message.address)
    said = {"title": words["subject"], "text": words["body"]}
    if message.kind is MessageKind.EDIT:
        if first is None:
            return None
        buttons = _buttons(message) if words.get("open") else []
        place = {"channel": first.result["channel"], "ts": first.result["ts"]}
        return Send("slack.update_message", {**place, **said, "buttons": buttons})
    params: dict[str, object] = {**message.address, **said, "key": message.key}
    if first is not None and message.kind is not MessageKind.PAGE:
        params["thread_ts"] = first.result["ts"]
        params["channel"] = first.result["channel"]
    if message.kind in {MessageKind.PAGE, MessageKind.OPENED} and words.get("open"):
        params["buttons"] = _buttons(message)
    return Send("slack.post_message", params)


def _buttons(message: Message) -> list[dict[str, object]]:
    """Return what can be done about an open incident; one that somebody has can be taken over."""
    taken = _TAKEN if message.words.get("taken") else {}
    return [{**button, **taken.get(button["id"], {}), "value": message.incident_id} for button in BUTTONS]


def _email(message: Message, earlier: Sequence[Message]) -> Send | None:
    del earlier
    words = message.words
    who = (
        {"schedule": message.address["schedule"]}
        if "schedule" in message.address
        else {"to": [message.address["to"]]}
    )
    params: dict[str, object] = {
        **who,
        "subject": words["subject"],
        "text": words["body"],
        "html": words["html"],
        "key": message.key,
        "thread": message.incident_id,
    }
    return Send("email.send", params)


def _webhook(message: Message, earlier: Sequence[Message]) -> Send | None:
    del earlier
    data = {
        "incident": message.incident_id,
        "subject": message.words["subject"],
        "body": message.words["body"],
    }
    return Send(
        "webhook.send",
        {**message.address, "kind": message.kind.value.replace("-", "."), "data": data, "key": message.key},
    )


def _statuspage(message: Message, earlier: Sequence[Message]) -> Send | None:
    """Open the public incident once, then tell it on. Nothing internal gets here: see the template's `public`."""
    opened = any(
        one.channel is Channel.STATUSPAGE
        and one.kind is MessageKind.OPENED
        and one.state is MessageState.SENT
        for one in earlier
    )
    key, words = message.incident_id or message.key, message.words
    status = public_state(message)
    if message.kind is MessageKind.OPENED:
        impact = _IMPACT.get(str(words.get("priority")), "major")
        params: dict[str, object] = {"name": words["subject"], "status": status, "body": words["body"]}
        return Send("statuspage.open_incident", {**params, "key": key, "impact": impact})
    if not opened:
        return None
    return Send("statuspage.update_incident", {"key": key, "status": status, "body": words["body"]})


def public_state(message: Message) -> str:
    """Name how far the incident is by the fact that the message's own text tells, in the words of status pages."""
    known = "Resolved" if message.kind is MessageKind.RESOLVED else str(message.words.get("state"))
    return {"Mitigating": "identified", "Resolved": "resolved"}.get(known, "investigating")
