"""Each message becomes the call its channel needs, is tried for as long as it is worth, and never too often."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from runbookd.actions.statuspage.client import Impact
from runbookd.language.values import SecretRef
from runbookd.model.action import Failure
from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.stages.outbox import EVERY, bucket, first_sent, left_alone, pace, retry_at, send_of
from runbookd.stages.reached import PASSED_ON

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
WORDS = {
    "subject": "P0 It is down",
    "body": "since noon",
    "html": "<p>since noon</p>",
    "priority": "P0",
    "open": True,
}
ADDRESSES: dict[Channel, dict[str, object]] = {
    Channel.PAGERDUTY: {"service_key": SecretRef("pd")},
    Channel.SLACK: {"channel": "#ops"},
    Channel.EMAIL: {"to": "l2@example.com"},
    Channel.WEBHOOK: {"name": "pager"},
    Channel.STATUSPAGE: {},
}


def message(channel: Channel, kind: MessageKind = MessageKind.PAGE, **fields: Any) -> Message:
    """A message with its words."""
    known: dict[str, Any] = {
        "id": "msg-1",
        "key": "k1",
        "kind": kind,
        "channel": channel,
        "address": ADDRESSES[channel],
        "contact": "l2",
        "created_at": NOON,
        "incident_id": "inc-1",
        "words": WORDS,
    }
    return Message(**(known | fields))


def posted(**fields: Any) -> Message:
    """A message that Slack has."""
    result = {"channel": "C1", "ts": "1.0"}
    return message(Channel.SLACK, MessageKind.OPENED, state=MessageState.SENT, result=result, **fields)


def call(one: Message, *earlier: Message) -> tuple[str, dict[str, Any]]:
    """The call that sends it."""
    send = send_of(one, earlier)
    assert send is not None
    return send.action, dict(send.params)


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        (MessageKind.PAGE, "trigger"),
        (MessageKind.ACKNOWLEDGE, "acknowledge"),
        (MessageKind.CLOSE, "resolve"),
    ],
)
def test_a_pager_rings_and_is_quiet_under_one_key(kind: MessageKind, act: str) -> None:
    """Trigger, acknowledge and resolve bear the incident's id, by which PagerDuty tells a repeat from a second."""
    action, params = call(message(Channel.PAGERDUTY, kind), message(Channel.PAGERDUTY, attempts=1))
    assert action == "pagerduty.send_event"
    assert (params["action"], params["dedup_key"], params["service_key"]) == (act, "inc-1", SecretRef("pd"))
    assert ("summary" in params) is (act == "trigger")
    assert params.get("severity", "critical") == "critical"


@pytest.mark.parametrize(
    ("priority", "impact"),
    [("P0", "critical"), ("P1", "major"), ("P2", "minor"), ("P3", "minor"), ("worst", "major")],
)
def test_the_public_impact_is_the_priority_s(priority: str, impact: Impact) -> None:
    """In the words that Statuspage has, so that everything down is not told as something slow."""
    words = {"subject": "x", "body": "x", "state": "Investigating", "priority": priority}
    action, params = call(message(Channel.STATUSPAGE, MessageKind.OPENED, words=words))
    assert (action, params["impact"]) == ("statuspage.open_incident", impact)
    assert impact in get_args(Impact)


@pytest.mark.parametrize("kind", [MessageKind.ACKNOWLEDGE, MessageKind.CLOSE])
def test_a_pager_that_has_not_rung_is_left_alone(kind: MessageKind) -> None:
    """The page was never tried, or it was another's."""
    quiet = message(Channel.PAGERDUTY, kind)
    other = message(Channel.PAGERDUTY, attempts=1, address={"service_key": SecretRef("other")})
    assert send_of(quiet, (message(Channel.PAGERDUTY), other, replace(quiet, attempts=1))) is None


def test_every_ring_has_a_key_of_its_own() -> None:
    """The first bears the incident's id; each is made quiet under its own key, and only if it rang itself."""
    second = message(Channel.PAGERDUTY, MessageKind.PAGE, attempts=1, facts={"ring": 1})
    quiet = replace(second, kind=MessageKind.ACKNOWLEDGE)
    assert call(second)[1]["dedup_key"] == "inc-1/1"
    assert call(quiet, second)[1]["dedup_key"] == "inc-1/1"
    assert send_of(quiet, (message(Channel.PAGERDUTY, attempts=1),)) is None


def test_what_pagerduty_told_us_it_is_not_told() -> None:
    """The acknowledgement is on record as one that needed no message."""
    rang = message(Channel.PAGERDUTY, attempts=1)
    known = message(Channel.PAGERDUTY, MessageKind.ACKNOWLEDGE, facts={"ring": 0, "known": True})
    assert send_of(known, (rang,)) is None


@pytest.mark.parametrize(("state", "ends"), [(MessageState.SENT, True), (MessageState.FAILED, False)])
def test_a_ring_ends_when_another_has_taken_its_place(state: MessageState, *, ends: bool) -> None:
    """Not when that one could not ring: somebody has to hear of it."""
    rang = message(Channel.PAGERDUTY, attempts=1)
    anew = message(Channel.PAGERDUTY, attempts=1, facts={"ring": 1}, state=state)
    close = message(Channel.PAGERDUTY, MessageKind.CLOSE, facts={"ring": 0, "replaced_by": 1})
    send = send_of(close, (rang, anew))
    assert (send is not None) is ends
    assert send is None or (send.params["action"], send.params["dedup_key"]) == ("resolve", "inc-1")


def test_slack_hears_of_an_incident_once_and_follows_it_in_a_thread() -> None:
    """The first message has buttons; updates go below it, pages stand by themselves, edits change it in place."""
    action, first = call(message(Channel.SLACK, MessageKind.OPENED))
    assert (action, first["channel"], first["key"]) == ("slack.post_message", "#ops", "k1")
    assert [(button["id"], button["value"]) for button in first["buttons"]] == [
        ("acknowledge", "inc-1"),
        ("escalate", "inc-1"),
        ("pause", "inc-1"),
    ]
    _, update = call(message(Channel.SLACK, MessageKind.UPDATE), posted())
    assert (update["channel"], update["thread_ts"], "buttons" in update) == ("C1", "1.0", False)
    _, page = call(message(Channel.SLACK, MessageKind.PAGE), posted())
    assert ("thread_ts" in page, page["channel"]) == (False, "#ops")
    action, edit = call(message(Channel.SLACK, MessageKind.EDIT), posted())
    assert (action, edit["channel"], edit["ts"], len(edit["buttons"])) == (
        "slack.update_message",
        "C1",
        "1.0",
        3,
    )
    over = message(Channel.SLACK, MessageKind.EDIT, words=WORDS | {"open": False})
    assert call(over, posted())[1]["buttons"] == []


def test_what_was_not_posted_cannot_be_edited() -> None:
    """Nor does a message of another address count."""
    edit = message(Channel.SLACK, MessageKind.EDIT)
    assert send_of(edit, ()) is None
    assert send_of(edit, (posted(address={"channel": "#other"}),)) is None
    assert send_of(edit, (replace(posted(), state=MessageState.FAILED),)) is None
    assert first_sent((replace(posted(), channel=Channel.EMAIL), posted()), {"channel": "#ops"}) == posted()


def test_a_channel_of_its_own_and_a_reply() -> None:
    """The incident's channel is named as asked; a reply is seen by one person alone."""
    made = message(
        Channel.SLACK, MessageKind.CHANNEL, words={"name": "incident-20260105-1200", "topic": "down"}
    )
    assert call(made) == (
        "slack.create_channel",
        {"name": "incident-20260105-1200", "topic": "down", "purpose": "k1"},
    )
    reply = message(Channel.SLACK, MessageKind.REPLY, address={"channel": "C1", "user": "U1"})
    assert call(reply) == ("slack.post_ephemeral", {"channel": "C1", "user": "U1", "text": "since noon"})


def test_mail_and_webhooks() -> None:
    """A mail has both forms and belongs to the incident's thread; a webhook has the same words as data."""
    action, mail = call(message(Channel.EMAIL))
    assert (action, mail["to"], mail["thread"]) == ("email.send", ["l2@example.com"], "inc-1")
    assert (mail["text"], mail["html"]) == ("since noon", "<p>since noon</p>")
    _, on_call = call(message(Channel.EMAIL, address={"schedule": "PABC"}))
    assert ("to" in on_call, on_call["schedule"]) == (False, "PABC")
    action, hook = call(message(Channel.WEBHOOK))
    assert (action, hook["name"], hook["kind"]) == ("webhook.send", "pager", "page")
    assert hook["data"] == {"incident": "inc-1", "subject": "P0 It is down", "body": "since noon"}


def test_the_status_page_is_opened_once_and_then_told_on() -> None:
    """An update of what was never opened there has nothing to change."""
    opened = message(Channel.STATUSPAGE, MessageKind.OPENED, state=MessageState.SENT)
    assert call(replace(opened, state=MessageState.PENDING))[0] == "statuspage.open_incident"
    assert send_of(message(Channel.STATUSPAGE, MessageKind.UPDATE), ()) is None
    action, update = call(message(Channel.STATUSPAGE, MessageKind.UPDATE), opened)
    assert (action, update["status"], update["key"]) == (
        "statuspage.update_incident",
        "investigating",
        "inc-1",
    )
    assert call(message(Channel.STATUSPAGE, MessageKind.RESOLVED), opened)[1]["status"] == "resolved"


@pytest.mark.parametrize(
    ("state", "status"),
    [("Investigating", "investigating"), ("Mitigating", "identified"), ("Resolved", "resolved")],
)
@pytest.mark.parametrize("kind", [MessageKind.OPENED, MessageKind.UPDATE])
def test_the_status_page_has_the_state_that_its_text_tells(
    kind: MessageKind, state: str, status: str
) -> None:
    """Both are of one moment, so that the heading cannot contradict what stands below it."""
    opened = message(Channel.STATUSPAGE, MessageKind.OPENED, state=MessageState.SENT)
    told = message(Channel.STATUSPAGE, kind, words=WORDS | {"state": state})
    assert call(told, opened)[1]["status"] == status


@pytest.mark.parametrize("kind", [MessageKind.PAGE, MessageKind.OPENED])
def test_what_needs_no_answer_has_no_buttons(kind: MessageKind) -> None:
    """Somebody has the incident, or it is over, by the time that this one hears of it."""
    _, params = call(message(Channel.SLACK, kind, words=WORDS | {"open": False}))
    assert "buttons" not in params


@pytest.mark.parametrize(
    ("kind", "attempts", "after", "failure", "expected"),
    [
        (MessageKind.PAGE, 1, 0, Failure(kind="unavailable", message="", temporary=True), 2),
        (MessageKind.PAGE, 3, 10, Failure(kind="unavailable", message="", temporary=True), 8),
        (MessageKind.PAGE, 1, 0, Failure(kind="invalid", message=""), None),
        (MessageKind.PAGE, 5, 40, Failure(kind="unavailable", message="", temporary=True), None),
        (MessageKind.PAGE, 1, 59, Failure(kind="timeout", message="", temporary=True), 2),
        (
            MessageKind.PAGE,
            1,
            0,
            Failure(kind="rate_limited", message="", temporary=True, retry_after=600),
            None,
        ),
        (
            MessageKind.PAGE,
            2,
            0,
            Failure(kind="rate_limited", message="", temporary=True, retry_after=90),
            None,
        ),
        (
            MessageKind.UPDATE,
            2,
            0,
            Failure(kind="rate_limited", message="", temporary=True, retry_after=90),
            90,
        ),
        (MessageKind.UPDATE, 20, 600, Failure(kind="unavailable", message="", temporary=True), 60),
        (MessageKind.UPDATE, 20, 3590, Failure(kind="unavailable", message="", temporary=True), None),
    ],
)
def test_a_message_is_tried_as_long_as_it_is_worth(
    kind: MessageKind, attempts: int, after: float, failure: Failure, expected: float | None
) -> None:
    """Ever more slowly, as the channel asks; a page only for a minute, since the next contact is better than a wait."""
    now = NOON + timedelta(seconds=after)
    again = retry_at(message(Channel.SLACK, kind, attempts=attempts), failure, now)
    assert again == (None if expected is None else now + timedelta(seconds=expected))


def test_a_page_that_was_passed_on_has_as_long_as_any_message() -> None:
    """Others are paged for it, so that there is time to wait as long as the channel asks."""
    wait = Failure(kind="rate_limited", message="", temporary=True, retry_after=600)
    late = message(Channel.PAGERDUTY, MessageKind.PAGE, attempts=1, facts={PASSED_ON: True})
    assert retry_at(late, wait, NOON) == NOON + timedelta(minutes=10)
    assert retry_at(late, wait, NOON + timedelta(minutes=51)) is None


def test_limits_are_counted_by_address() -> None:
    """Two channels of Slack do not share a limit; mail has none of ours."""
    assert bucket(message(Channel.SLACK)) != bucket(message(Channel.SLACK, address={"channel": "#other"}))
    assert bucket(message(Channel.SLACK)) == bucket(message(Channel.SLACK, MessageKind.UPDATE))
    assert bucket(message(Channel.EMAIL)) is None


def test_edits_have_a_limit_of_their_own() -> None:
    """Slack counts them by the app, over all channels; so they hold up no post, and no post holds up them."""
    edit = message(Channel.SLACK, MessageKind.EDIT)
    assert bucket(edit) == bucket(replace(edit, address={"channel": "#other"}))
    assert bucket(edit) != bucket(message(Channel.SLACK))
    assert pace(edit).every > timedelta(minutes=1) / 50


@pytest.mark.parametrize("channel", EVERY)
def test_no_minute_has_more_messages_than_a_channel_takes(channel: Channel) -> None:
    """However many wait: 60 in a channel of Slack or on a status page, 120 to a service of PagerDuty."""
    allowed = 120 if channel is Channel.PAGERDUTY else 60
    own, now = EVERY[channel], NOON
    used: datetime | None = None
    gone: list[datetime] = []
    while len(gone) < 400:
        now = max(now, own.free_at(used, now))
        gone.append(now)
        used = own.used(used, now)
        used = own.answered(used, used, now)
    assert all(
        later - earlier >= timedelta(minutes=1) for earlier, later in zip(gone, gone[allowed:], strict=False)
    )


def test_a_pace_without_a_burst_counts_from_the_answer() -> None:
    """The next goes a second after the answer; one that nobody answers is waited for only so long."""
    slack, second = EVERY[Channel.SLACK], timedelta(seconds=1)
    used = slack.used(None, NOON)
    assert slack.free_at(used, NOON) > NOON + second
    assert slack.answered(used, used, NOON + second / 2) == NOON + second * 3 / 2
    later = slack.used(used, NOON + 5 * second)
    assert slack.answered(later, used, NOON + 6 * second) == later, "another has gone by then"
    assert slack.held(used, NOON + 9 * second) == NOON + 9 * second
    pager = EVERY[Channel.PAGERDUTY]
    assert pager.free_at(pager.held(NOON, NOON + 9 * second), NOON) == NOON + 9 * second


def test_a_wait_of_our_own_is_no_reason_to_give_up() -> None:
    """The minute of a page counts from its first attempt; what the channel asks for is its own matter."""
    failure, minute = Failure(kind="unavailable", message="", temporary=True), timedelta(minutes=1)
    page = message(Channel.SLACK, attempts=2, attempted_at=NOON + 5 * minute)
    assert retry_at(page, failure, NOON + 5 * minute) == NOON + 5 * minute + timedelta(seconds=4)
    waiting = message(Channel.SLACK)
    assert not left_alone(waiting, NOON + 5 * minute, NOON + 5 * minute)
    assert not left_alone(waiting, NOON + minute / 2, NOON)
    assert left_alone(waiting, NOON + 2 * minute, NOON)
    assert not left_alone(message(Channel.SLACK, MessageKind.UPDATE), NOON + 2 * minute, NOON)
