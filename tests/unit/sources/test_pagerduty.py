"""What people do in PagerDuty is understood; what automation does, or is not known, is recorded and asks nothing."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.errors import OverLimit, PayloadError
from runbookd.model.escalation import ActRequest
from runbookd.model.reasons import Answer
from runbookd.sources.pagerduty import parse
from runbookd.stages.normalize import Limits

# The shape of https://developer.pagerduty.com/docs/webhooks/v3-overview/.
ANNA = {
    "html_url": "https://acme.pagerduty.com/users/PLH1HKV",
    "id": "PLH1HKV",
    "self": "https://api.pagerduty.com/users/PLH1HKV",
    "summary": "Anna Smith",
    "type": "user_reference",
}
INTEGRATION = {
    "id": "PINTEG1",
    "summary": "Events API V2",
    "type": "events_api_v2_inbound_integration_reference",
}
INCIDENT: dict[str, Any] = {
    "id": "PGR0VU2",
    "type": "incident",
    "number": 2,
    "status": "acknowledged",
    "incident_key": "inc-01jgtqv3m0x7b2c4d6f8h0k2n4",
    "created_at": "2026-01-05T12:00:00Z",
    "title": "The shop is down",
    "assignees": [ANNA, {"id": "PTUXL6G", "summary": "Ben", "type": "user_reference"}],
    "urgency": "high",
}
NOTE: dict[str, Any] = {
    "incident": {"id": "PGR0VU2", "summary": "The shop is down", "type": "incident_reference"},
    "id": "P2LA89X",
    "content": "The vendor is on it.\n<!channel> </p><script>",
    "trimmed": False,
    "type": "incident_note",
}
MESSAGE: dict[str, Any] = {
    "event": {
        "id": "5ac64822-4adc-4fda-ade0-410becf0de4f",
        "event_type": "incident.acknowledged",
        "resource_type": "incident",
        "occurred_at": "2026-01-05T12:01:22.169Z",
        "agent": ANNA,
        "client": {"name": "PagerDuty"},
        "data": INCIDENT,
    }
}


def body(**event: object) -> bytes:
    """The message above with other fields of the event."""
    return json.dumps({"event": MESSAGE["event"] | event}).encode()


def act(**event: object) -> ActRequest:
    """The one act of such a message."""
    notification = parse(body(**event))
    assert notification.events == ()
    (found,) = notification.acts
    return found


def refusal(given_body: bytes, **limits: int) -> str:
    """Why a body is refused."""
    with pytest.raises(PayloadError) as refused:
        parse(given_body, Limits(**limits))
    return str(refused.value)


def test_an_acknowledgement_becomes_an_act() -> None:
    """Our incident is the key of the alert, the person is the agent, and the event's id names the act."""
    assert act() == ActRequest(
        what="incident.acknowledged",
        key="pagerduty/5ac64822-4adc-4fda-ade0-410becf0de4f",
        do="acknowledge",
        incident_id="inc-01jgtqv3m0x7b2c4d6f8h0k2n4",
        ring=0,
        about="PGR0VU2",
        who="PLH1HKV",
        name="Anna Smith",
        at=datetime(2026, 1, 5, 12, 1, 22, 169000, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("key", "incident", "ring"),
    [
        ("inc-1", "inc-1", 0),
        ("inc-1/2", "inc-1", 2),
        ("web/eu/7", "web/eu", 7),
        ("inc-1/", "inc-1/", 0),
        ("/2", "/2", 0),
        ("inc-1/two", "inc-1/two", 0),
        ("inc-1/\u0662", "inc-1/\u0662", 0),
        ("inc-1/1234567890", "inc-1/1234567890", 0),
        ("", "", None),
        (None, "", None),
    ],
)
def test_a_key_says_which_page_it_is_about(key: str | None, incident: str, ring: int | None) -> None:
    """Pages of one incident that had to ring anew have keys of their own; without a key nobody knows."""
    found = act(data={**INCIDENT, "incident_key": key})
    assert (found.incident_id, found.ring) == (incident, ring)


@pytest.mark.parametrize(
    ("event_type", "do"),
    [("incident.resolved", "resolve"), ("incident.escalated", "escalate"), ("incident.reassigned", "assign")],
)
def test_each_type_asks_for_its_act(event_type: str, do: str) -> None:
    """What is done there is asked for here in our words."""
    assert act(event_type=event_type).do == do


def test_an_assignment_names_everybody_it_is_assigned_to() -> None:
    """The assignees' names are the text; without any nothing is asked."""
    assert act(event_type="incident.reassigned").text == "Anna Smith, Ben"
    assignees: object
    for assignees in ([], None, [{}]):
        nobody = act(event_type="incident.reassigned", data={**INCIDENT, "assignees": assignees})
        assert (nobody.do, nobody.recorded) == (None, Answer.NOT_ASKED)


def test_a_note_is_its_text() -> None:
    """A note names its incident by PagerDuty's id, and its text stays as it is, hostile or not."""
    note = act(event_type="incident.annotated", data=NOTE)
    assert (note.do, note.text, note.about, note.incident_id) == ("note", NOTE["content"], "PGR0VU2", "")
    assert act(event_type="incident.annotated", data={**NOTE, "content": " "}).do is None


@pytest.mark.parametrize(
    "event",
    [
        {"agent": None},
        {"agent": INTEGRATION},
        {"agent": {**ANNA, "type": "service_reference"}},
        {"client": {"name": "runbookd"}},
        {"event_type": "incident.annotated", "data": {**NOTE, "content": "done\n\n[runbookd run-1/3]\n"}},
    ],
)
def test_what_no_person_did_asks_nothing(event: dict[str, object]) -> None:
    """Automation, and what we did there ourselves, must not come back to us as a person's act."""
    found = act(**event)
    assert (found.do, found.recorded) == (None, Answer.NOT_A_PERSON)


@pytest.mark.parametrize(
    "event",
    [
        {
            "event_type": "pagey.ping",
            "agent": None,
            "client": None,
            "data": {"message": "Hello!", "type": "ping"},
        },
        {"event_type": "incident.unacknowledged"},
        {"event_type": "incident.triggered", "agent": INTEGRATION},
        {"event_type": "incident.delegated"},
        {"event_type": "service.updated", "data": {"id": "PF9KMXH", "type": "service"}},
        {"event_type": "incident.of_tomorrow", "data": None},
        {"event_type": "incident.responder.added", "data": {"type": "incident_responder", "incident": None}},
    ],
)
def test_what_asks_nothing_is_recorded(event: dict[str, object]) -> None:
    """The test event, news that asks nothing, and types there may be one day are understood and ask nothing."""
    found = act(**event)
    assert (found.do, found.recorded) == (None, Answer.NOT_ASKED)


def test_an_event_may_say_little() -> None:
    """Only its id and type cannot be missing."""
    (found,) = parse(b'{"event":{"id":"e","event_type":"incident.resolved"}}').acts
    assert found == ActRequest(what="incident.resolved", key="pagerduty/e", recorded=Answer.NOT_A_PERSON)


@pytest.mark.parametrize(
    ("given_body", "says"),
    [
        (b"", "the body is empty"),
        (b"\xff", "not UTF-8"),
        (b"[]", "not a PagerDuty webhook of version 3"),
        (b'{"messages":[]}', "not a PagerDuty webhook of version 3"),
        (b'{"event":[]}', "event: expected object, got list"),
        (body(id=None), "event.id: missing or empty"),
        (body(id=7), "event.id: expected text, got number"),
        (body(event_type=""), "event.event_type: missing or empty"),
        (body(occurred_at="yesterday"), "event.occurred_at: expected a time"),
        (body(agent="anna"), "event.agent: expected object, got text"),
        (body(client=[]), "event.client: expected object, got list"),
        (body(data=1), "event.data: expected object, got number"),
        (body(data={**INCIDENT, "incident_key": {}}), "event.data.incident_key: expected text, got object"),
        (body(data={**INCIDENT, "id": 1}), "event.data.id: expected text, got number"),
        (
            body(event_type="incident.annotated", data={**NOTE, "incident": 1}),
            "event.data.incident: expected object",
        ),
        (
            body(event_type="incident.reassigned", data={"assignees": 1}),
            "event.data.assignees: expected list",
        ),
        (
            body(event_type="incident.reassigned", data={"assignees": [ANNA, 1]}),
            "event.data.assignees[1]: expected object, got number",
        ),
        (
            body(event_type="incident.annotated", data={**NOTE, "content": "a\0b"}),
            "a NUL character at position 1",
        ),
        (b'{"event":' * 40 + b"1" + b"}" * 40, "nests deeper than 32 levels"),
        (b"[" * 10_000 + b"]" * 10_000, "the body is not JSON"),
    ],
)
def test_what_is_no_webhook_is_refused(given_body: bytes, says: str) -> None:
    """The fault and its place are named."""
    assert says in refusal(given_body)


def test_texts_have_limits() -> None:
    """A text beyond them is refused with the limit."""
    with pytest.raises(OverLimit, match=r"event\.data\.content: 20 characters, and the limit is 10"):
        parse(
            body(event_type="incident.annotated", data={**NOTE, "content": "x" * 20}), Limits(text_length=10)
        )


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(MESSAGE["event"])), st.sampled_from(sorted(INCIDENT)), JSON_VALUES)
def test_any_value_in_any_field_is_read_or_refused(field: str, data_field: str, value: object) -> None:
    """No JSON raises anything but PayloadError, and every act that is accepted has a key."""
    bodies = (body(**{field: value}), body(data={**INCIDENT, data_field: value}))
    for each in bodies:
        with suppress(PayloadError):
            assert all(found.key for found in parse(each).acts)
