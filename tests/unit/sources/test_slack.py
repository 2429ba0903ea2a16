"""A press of one of our buttons in Slack is understood; other interactions are recorded and ask nothing."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.errors import PayloadError
from runbookd.model.escalation import ActRequest
from runbookd.model.event import Notification
from runbookd.model.reasons import Answer
from runbookd.sources.slack import parse
from runbookd.stages.normalize import Limits
from runbookd.stages.outbox import BUTTONS

# The shape of https://docs.slack.dev/reference/interaction-payloads/block_actions-payload.
PAYLOAD: dict[str, Any] = {
    "type": "block_actions",
    "user": {"id": "U012AB3CD", "username": "anna", "name": "anna", "team_id": "T1"},
    "api_app_id": "A1",
    "token": "not-to-be-relied-on",
    "container": {"type": "message", "message_ts": "1767614400.000100", "channel_id": "C061EG9SL"},
    "trigger_id": "12321423423.333649436676",
    "team": {"id": "T1", "domain": "shop"},
    "channel": {"id": "C061EG9SL", "name": "ops"},
    "message": {"type": "message", "text": "P0 The shop is down", "ts": "1767614400.000100"},
    "response_url": "https://hooks.slack.com/actions/T1/1/x",
    "actions": [
        {
            "action_id": "acknowledge",
            "block_id": "b1",
            "text": {"type": "plain_text", "text": "Acknowledge"},
            "value": "inc-01jgtqv3m0x7b2c4d6f8h0k2n4",
            "type": "button",
            "action_ts": "1767614461.169000",
        }
    ],
}


def form(payload: object) -> bytes:
    """An interaction as it is posted."""
    return urlencode({"payload": json.dumps(payload)}).encode()


def body(**fields: object) -> bytes:
    """The payload above with other fields."""
    return form(PAYLOAD | fields)


def pressed(**fields: object) -> bytes:
    """The payload above, its action with other fields."""
    return body(actions=[PAYLOAD["actions"][0] | fields])


def read(given_body: bytes) -> Notification:
    """What such a body means: never an alert's news."""
    notification = parse(given_body)
    assert notification.events == ()
    return notification


def test_a_press_becomes_an_act() -> None:
    """The button says what is asked, its value about which incident; person, time and button name the act."""
    assert read(body()).acts == (
        ActRequest(
            what="acknowledge",
            key="slack/U012AB3CD/1767614461.169000/acknowledge",
            do="acknowledge",
            incident_id="inc-01jgtqv3m0x7b2c4d6f8h0k2n4",
            who="U012AB3CD",
            name="anna",
            reply_to={"channel": "C061EG9SL", "user": "U012AB3CD"},
        ),
    )


@pytest.mark.parametrize("button", [str(button["id"]) for button in BUTTONS])
def test_each_button_asks_for_its_act(button: str) -> None:
    """The button's id is the word for it."""
    assert [act.do for act in read(pressed(action_id=button)).acts] == [button]


def test_a_button_that_is_not_ours_is_recorded() -> None:
    """It asks nothing, whatever it is called."""
    (act,) = read(pressed(action_id="resolve; DROP TABLE incidents")).acts
    assert (act.do, act.recorded) == (None, Answer.NOT_ASKED)


def test_several_presses_are_several_acts() -> None:
    """Each has a key of its own."""
    (press,) = PAYLOAD["actions"]
    twice = body(actions=[press, {**press, "action_ts": "2"}])
    assert [act.key for act in read(twice).acts] == [
        "slack/U012AB3CD/1767614461.169000/acknowledge",
        "slack/U012AB3CD/2/acknowledge",
    ]


@pytest.mark.parametrize("channel", [None, {}, {"id": ""}])
def test_without_a_channel_nobody_can_be_answered(channel: object) -> None:
    """A press in a place of its own, such as the app's home, is an act without an address to reply to."""
    assert [act.reply_to for act in read(body(channel=channel)).acts] == [{}]


def test_a_person_may_have_no_name() -> None:
    """Only the id counts."""
    (act,) = read(body(user={"id": "U1"})).acts
    assert (act.who, act.name) == ("U1", "")
    (act,) = read(body(user={"id": "U1", "username": "anna"})).acts
    assert act.name == "anna"


@pytest.mark.parametrize(
    "kind", ["view_submission", "view_closed", "shortcut", "message_action", "of_tomorrow"]
)
def test_other_interactions_are_recorded(kind: str) -> None:
    """Forms, shortcuts and types there may be one day are understood and ask nothing."""
    (act,) = read(body(type=kind, actions=None)).acts
    assert act == ActRequest(
        what=kind, key="slack/U012AB3CD/12321423423.333649436676", who="U012AB3CD", name="anna"
    )
    (nameless,) = read(body(type=kind, trigger_id=None)).acts
    assert nameless.key == f"slack/U012AB3CD/{kind}"


NO_FORM = "not an interaction of Slack"


@pytest.mark.parametrize(
    ("given_body", "says"),
    [
        (b"", NO_FORM),
        (b"\xff\xfe", NO_FORM),
        (b"{}", NO_FORM),
        (b"ssl_check=1&token=x", NO_FORM),
        (b"payload=%ff", NO_FORM),
        (b"payload={}&payload={}", NO_FORM),
        (b"&".join(b"a%d=1" % number for number in range(17)) + b"&payload={}", NO_FORM),
        (b"payload=", "the body is empty"),
        (b"payload=%7B", "the body is not JSON"),
        (b"payload=%5B%5D", "payload: expected object, got list"),
        (form({"payload": {}}), "payload.type: missing or empty"),
        (body(user=None), "payload.user.id: missing or empty"),
        (body(user="anna"), "payload.user: expected object, got text"),
        (body(channel=1), "payload.channel: expected object, got number"),
        (body(actions=None), "payload.actions: expected a list of at least one, got null"),
        (body(actions=[]), "payload.actions: expected a list of at least one, got list"),
        (body(actions=[{}] * 26), "payload.actions: 26 entries, and the limit is 25"),
        (body(actions=[1]), "payload.actions[0]: expected object, got number"),
        (pressed(action_id=None), "payload.actions[0].action_id: missing or empty"),
        (pressed(action_ts=None), "payload.actions[0].action_ts: missing or empty"),
        (pressed(value=7), "payload.actions[0].value: expected text, got number"),
        (pressed(value="a\0"), "payload.actions[0].value: a NUL character"),
        (b"payload=" + b'{"a":' * 40 + b"1" + b"}" * 40, "nests deeper than 32 levels"),
        (b"payload=" + b"[" * 10_000 + b"]" * 10_000, "the body is not JSON"),
    ],
)
def test_what_is_no_interaction_is_refused(given_body: bytes, says: str) -> None:
    """The fault and its place are named."""
    with pytest.raises(PayloadError) as refused:
        parse(given_body)
    assert says in str(refused.value)


def test_texts_have_limits() -> None:
    """A text beyond them is refused with the limit."""
    with pytest.raises(PayloadError, match="and the limit is 10"):
        parse(body(), Limits(name_length=10))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(PAYLOAD)), st.sampled_from(sorted(PAYLOAD["actions"][0])), JSON_VALUES)
def test_any_value_in_any_field_is_read_or_refused(field: str, action_field: str, value: object) -> None:
    """No JSON raises anything but PayloadError, and every act that is accepted has a key."""
    for each in (body(**{field: value}), pressed(**{action_field: value})):
        with suppress(PayloadError):
            assert all(act.key for act in parse(each).acts)


@given(st.binary())
def test_any_bytes_are_read_or_refused(given_body: bytes) -> None:
    """No body raises anything but PayloadError."""
    with suppress(PayloadError):
        parse(given_body)
