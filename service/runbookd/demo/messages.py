"""What became of the messages to people, told in a line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from runbookd.model.audit import Entry
from runbookd.model.escalation import Channel, MessageKind, MessageState

SENT: Final = f"message_{MessageState.SENT}"
FAILED: Final = f"message_{MessageState.FAILED}"
_WORDS: Final[Mapping[str, str]] = {
    MessageKind.RESOLVED: "resolved: ",
    MessageKind.REVIEW: "review due: ",
    MessageKind.UPDATE: "update: ",
    MessageKind.PAGE: "page: ",
}
"""What a message says beside what the incident is called; nothing for the first one."""
_UNSEEN: Final = frozenset({MessageKind.EDIT, MessageKind.ACKNOWLEDGE, MessageKind.CLOSE})
"""Nobody is told anew by these: what was sent before is changed in place."""


def sent(entry: Entry, incident: str, places: Mapping[str, str]) -> str | None:
    """Tell of a message that got through; None for a change in place.

    `incident` is what it is called (`P0 Users of shop get errors`), `places` names channels of Slack: by
    their ids, and by the ids of the incidents they were made for.
    """
    detail: Mapping[str, Any] = entry.detail
    kind, to = MessageKind(detail["kind"]), reached(detail, places)
    if kind in _UNSEEN:
        return None
    if kind is MessageKind.CHANNEL:
        return f"{places.get(str(entry.incident_id), 'a channel')} is opened in Slack"
    return f"{to}: {_WORDS.get(kind, '')}{incident}"


def failed(entry: Entry, places: Mapping[str, str]) -> str:
    """Tell of a message that did not get through."""
    detail: Mapping[str, Any] = entry.detail
    why = detail["error"] or detail["reason"]
    return f"{reached(detail, places)} is not told ({detail['kind']}): {why}"


def reached(detail: Mapping[str, Any], places: Mapping[str, str]) -> str:
    """Name whom a message is for, and the way to them: `#incidents`, `Product Manager by email`."""
    place = place_of(str(detail["contact"]), places)
    here = detail["channel"] == Channel.SLACK and place.startswith("#")
    return place if here else f"{place} by {detail['channel']}"


def place_of(reach: str, places: Mapping[str, str]) -> str:
    """Name a reach of the rules for people: `slack:#incidents` is `#incidents`."""
    place = reach.removeprefix(f"{Channel.SLACK}:")
    return places.get(place, place)
