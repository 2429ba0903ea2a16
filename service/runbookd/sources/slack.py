"""Slack: presses of the buttons under our messages.

An interaction is a form whose field `payload` is JSON (https://docs.slack.dev/interactivity/handling-user-interaction);
a press is one of type `block_actions` (https://docs.slack.dev/reference/interaction-payloads/block_actions-payload)
with a list of `actions`: the button's `action_id`, its `value`, which is our incident's id, and when it was pressed
(`action_ts`). Interactions of other types, and buttons that are not ours, are recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from runbookd.errors import PayloadError
from runbookd.model.escalation import ActRequest, Doing
from runbookd.model.event import Notification
from runbookd.stages.normalize import DEFAULT_LIMITS, Limits, as_object, as_text, kind_of, needed_text
from runbookd.stages.receive import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = "slack"

PRESS: Final = "block_actions"

_BUTTONS: Final[Mapping[str, Doing]] = {
    "acknowledge": "acknowledge",
    "escalate": "escalate",
    "pause": "pause",
}
_MOST_FIELDS: Final = 16
_MOST_ACTIONS: Final = 25
"""Slack allows a row of buttons no more elements than that."""
_Json = dict[str, object]


def parse(body: bytes, limits: Limits = DEFAULT_LIMITS) -> Notification:
    """Understand an interaction's body. Raises PayloadError that names the field."""
    payload = read_json(_payload(body), max_depth=limits.depth)
    if not isinstance(payload, dict):
        raise PayloadError(f"payload: expected object, got {kind_of(payload)}")
    kind = needed_text(payload.get("type"), "payload.type", limits.name_length)
    user = as_object(payload.get("user"), "payload.user")
    who = needed_text(user.get("id"), "payload.user.id", limits.name_length)
    name = as_text(user.get("name") or user.get("username"), "payload.user.name", limits.name_length)
    if kind != PRESS:
        trigger = as_text(payload.get("trigger_id"), "payload.trigger_id", limits.name_length)
        act = ActRequest(what=kind, key=f"{NAME}/{who}/{trigger or kind}", who=who, name=name)
        return Notification(events=(), acts=(act,))
    channel = as_object(payload.get("channel"), "payload.channel")
    place = as_text(channel.get("id"), "payload.channel.id", limits.name_length)
    reply_to = {"channel": place, "user": who} if place else {}
    return Notification(
        events=(),
        acts=tuple(
            _press(action, f"payload.actions[{index}]", (who, name), reply_to, limits)
            for index, action in enumerate(_actions(payload))
        ),
    )


def _payload(body: bytes) -> bytes:
    """Return the form's one field `payload`."""
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        fields = []
    payloads = [value for name, value in fields if name == "payload"]
    if len(payloads) != 1:
        raise PayloadError(
            "not an interaction of Slack: expected a form with one field `payload`; "
            "give this address as the Request URL under Interactivity & Shortcuts, and nowhere else"
        )
    return payloads[0].encode()


def _actions(payload: _Json) -> list[object]:
    """Return the buttons that were pressed, which is one at a time."""
    actions = payload.get("actions")
    if not isinstance(actions, list) or not actions:
        raise PayloadError(f"payload.actions: expected a list of at least one, got {kind_of(actions)}")
    if len(actions) > _MOST_ACTIONS:
        raise PayloadError(f"payload.actions: {len(actions)} entries, and the limit is {_MOST_ACTIONS}")
    return actions


def _press(
    value: object, at: str, person: tuple[str, str], reply_to: Mapping[str, str], limits: Limits
) -> ActRequest:
    """Understand one press of a button by a person, known by id and name."""
    who, name = person
    action = as_object(value, at)
    button = needed_text(action.get("action_id"), f"{at}.action_id", limits.name_length)
    pressed = needed_text(action.get("action_ts"), f"{at}.action_ts", limits.name_length)
    return ActRequest(
        what=button,
        key=f"{NAME}/{who}/{pressed}/{button}",
        do=_BUTTONS.get(button),
        incident_id=as_text(action.get("value"), f"{at}.value", limits.name_length),
        who=who,
        name=name,
        reply_to=reply_to,
    )
