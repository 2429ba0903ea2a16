"""How a review calls things and people: reasons in words, doors and channels by their names, nobody by an address."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from runbookd.model.escalation import Channel, MessageKind
from runbookd.reports.harmless import HIDDEN
from runbookd.stages.ladder import RESOLVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runbookd.model.incident import Incident

SERVICE: Final = "runbookd"
"""The actor of what nobody asked for."""

CHANNELS: Final[Mapping[str, str]] = {
    Channel.PAGERDUTY: "PagerDuty",
    Channel.SLACK: "Slack",
    Channel.EMAIL: "mail",
    Channel.WEBHOOK: "webhook",
    Channel.STATUSPAGE: "public",
}
OWN_PAGE: Final = "runbookd's own page"
"""Where the public reads what went to no page elsewhere."""
KINDS: Final[Mapping[str, str]] = {
    MessageKind.PAGE: "page",
    MessageKind.OPENED: "first notice",
    MessageKind.UPDATE: "update",
    MessageKind.RESOLVED: "word of the end",
    MessageKind.REMINDER: "reminder of the promised update",
    MessageKind.CHANNEL: "opening of the incident's channel",
    MessageKind.EDIT: "correction of what was posted",
    MessageKind.ACKNOWLEDGE: "acknowledgement to the pager",
    MessageKind.CLOSE: "all-clear to the pager",
    MessageKind.REVIEW: "draft of the review",
    MessageKind.REPLY: "answer to a person",
}
ENDS: Final[Mapping[str, str]] = {
    "run_running": "is still running",
    "run_verified": "ended, and the trouble was verified to be gone",
    "run_succeeded": "did all its steps; it verifies nothing",
    "run_observed": "only observed, and changed nothing",
    "run_unverified": "did its steps, but the trouble was not gone",
    "run_failed": "failed",
    "run_cancelled": "was stopped before its end",
    "run_refused": "was not begun",
}


_PUBLIC: Final = frozenset({MessageKind.OPENED, MessageKind.UPDATE, MessageKind.RESOLVED})


def on_own_page(channel: object, kind: object) -> bool:
    """Whether what is told on this channel stands on our own status page, be there another or not."""
    return channel == Channel.STATUSPAGE and kind in _PUBLIC


def said(reason: object) -> str:
    """Write a named reason in words: `run_unverified` is `run unverified`."""
    return str(reason or "").replace("_", " ")


def needless(reason: object) -> str:
    """Say why a level was not needed: it had been answered, or the incident had ended."""
    return "the incident had ended" if reason == RESOLVED else said(reason)


def party(reach: object, incident: Incident) -> str:
    """Name who is meant by a contact's name, or by a reach as it stands in an escalation."""
    kind, colon, value = str(reach).partition(":")
    if kind == Channel.STATUSPAGE:
        return "the status page"
    if kind == Channel.EMAIL and colon:
        return HIDDEN
    if kind == Channel.WEBHOOK and colon:
        return f"webhook {value}"
    if kind == Channel.SLACK and colon:
        own = incident.channel is not None and value == incident.channel.get("id")
        return f"#{incident.channel['name']}" if own and incident.channel is not None else value
    return str(reach)


def level(reason: object) -> str:
    """Write what a message is for: `level 1` is `level 1 of the escalation`; else empty."""
    name, _, rest = str(reason or "").partition(" ")
    number, _, then = rest.partition(" ")
    if name != "level" or not number.isdecimal():
        return ""
    again = " again" if then.startswith("again") else f" {then}" if then else ""
    return f"level {number} of the escalation{again}"


def listed(items: Iterable[str]) -> str:
    """Join as people do: `a`, `a and b`, `a, b and c`."""
    *most, last = [*items] or [""]
    return f"{', '.join(most)} and {last}" if most else last


def moment(at: datetime | None) -> str:
    """Write a time in UTC, to the second: `2026-01-05 12:00:00`; a dash for None."""
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def counted(count: int, one: str, many: str = "") -> str:
    """Write a number with its noun: `1 page`, `2 pages`."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def with_detail(text: str, *details: object) -> str:
    """Put what is told besides after a colon, if there is any."""
    told: Sequence[str] = [str(each) for each in details if each]
    return ": ".join((text, "; ".join(told))) if told else text
