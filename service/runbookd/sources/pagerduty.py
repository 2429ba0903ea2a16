"""PagerDuty: what people do about our pages there, as its webhooks v3 tell it.

One event to a request (https://developer.pagerduty.com/docs/webhooks/v3-overview/): `event.id`, `event_type`,
`occurred_at`, who did it (`agent`, null for automation), by what (`client`), and `data`, which is the incident or a
note on it. An incident's `incident_key` is the key its alert was triggered with: our incident's id, and `ID/2` of the
third that we opened for it there (`stages/rings.py`). A note names its incident by PagerDuty's id only. More types of
event may be added at any time: one that is not known is recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runbookd.errors import PayloadError
from runbookd.model.escalation import ActRequest, Doing
from runbookd.model.event import Notification
from runbookd.model.reasons import Answer
from runbookd.stages.normalize import (
    DEFAULT_LIMITS,
    Limits,
    as_object,
    as_text,
    as_time,
    kind_of,
    needed_text,
)
from runbookd.stages.receive import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = "pagerduty"

OWN_CLIENT: Final = "runbookd"
"""The `client` that our own events name."""

OWN_NOTE: Final = "[runbookd "
"""How the last line of a note begins that a playbook has written (`actions/pagerduty/add_note.py`)."""

_ASKS: Final[Mapping[str, Doing]] = {
    "incident.acknowledged": "acknowledge",
    "incident.resolved": "resolve",
    "incident.escalated": "escalate",
    "incident.annotated": "note",
    "incident.reassigned": "assign",
}
"""What each type asks of us. An `unacknowledged` incident rings again in PagerDuty by itself, so it asks nothing."""

_LONGEST_NUMBER: Final = 9
"""Digits of the number of a ring."""

_NEEDS_TEXT: Final = frozenset({"note", "assign"})
_PERSONS: Final = frozenset({"user", "user_reference"})
_Json = dict[str, object]


def parse(body: bytes, limits: Limits = DEFAULT_LIMITS) -> Notification:
    """Understand a webhook's body. Raises PayloadError that names the field."""
    message = read_json(body, max_depth=limits.depth)
    if not isinstance(message, dict) or "event" not in message:
        raise PayloadError(
            "not a PagerDuty webhook of version 3: expected an object with `event`; "
            "make a subscription of version 3 (Integrations > Generic Webhooks (v3))"
        )
    event = as_object(message["event"], "event")
    data = as_object(event.get("data"), "event.data")
    agent = as_object(event.get("agent"), "event.agent")
    event_id = needed_text(event.get("id"), "event.id", limits.name_length)
    what = needed_text(event.get("event_type"), "event.event_type", limits.name_length)
    asked = _ASKS.get(what)
    text = _text_of(asked, data, limits)
    person = _by_a_person(event, agent, text)
    key = as_text(data.get("incident_key"), "event.data.incident_key", limits.name_length)
    incident_id, ring = _ring_of(key)
    says_nothing = asked in _NEEDS_TEXT and not text.strip()
    act = ActRequest(
        what=what,
        key=f"{NAME}/{event_id}",
        do=asked if person and not says_nothing else None,
        recorded=Answer.NOT_ASKED if person or asked is None else Answer.NOT_A_PERSON,
        incident_id=incident_id,
        ring=ring,
        about=_incident_of(data, limits),
        who=as_text(agent.get("id"), "event.agent.id", limits.name_length),
        name=as_text(agent.get("summary"), "event.agent.summary", limits.name_length),
        text=text,
        at=as_time(event.get("occurred_at"), "event.occurred_at"),
    )
    return Notification(events=(), acts=(act,))


def _ring_of(key: str) -> tuple[str, int | None]:
    """Split the key of an alert into our incident's id and the number of the ring, None without a key."""
    name, _, number = key.rpartition("/")
    if name and number.isascii() and number.isdecimal() and len(number) <= _LONGEST_NUMBER:
        return name, int(number)
    return key, 0 if key else None


def _by_a_person(event: _Json, agent: _Json, text: str) -> bool:
    """Whether a person did it, and not automation or we ourselves: what we did ourselves must not come back to us."""
    client = as_object(event.get("client"), "event.client")
    own = client.get("name") == OWN_CLIENT or text.rstrip().rpartition("\n")[2].startswith(OWN_NOTE)
    return agent.get("type") in _PERSONS and not own


def _incident_of(data: _Json, limits: Limits) -> str:
    """Return PagerDuty's id of the incident: `data` is the incident, or is something about it; empty when neither."""
    if data.get("type") == "incident":
        return as_text(data.get("id"), "event.data.id", limits.name_length)
    incident = as_object(data.get("incident"), "event.data.incident")
    return as_text(incident.get("id"), "event.data.incident.id", limits.name_length)


def _text_of(do: Doing | None, data: _Json, limits: Limits) -> str:
    """Return what a note says, or to whom an incident is assigned; else nothing."""
    if do == "note":
        return as_text(data.get("content"), "event.data.content", limits.text_length)
    if do != "assign":
        return ""
    assignees = data.get("assignees") or []
    if not isinstance(assignees, list):
        raise PayloadError(f"event.data.assignees: expected list, got {kind_of(assignees)}")
    names = []
    for index, one in enumerate(assignees):
        at = f"event.data.assignees[{index}]"
        names.append(as_text(as_object(one, at).get("summary"), f"{at}.summary", limits.name_length))
    return ", ".join(name for name in names if name)
