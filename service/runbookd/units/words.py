"""The words of a message, rendered from the facts at its first attempt and then kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.errors import EvaluationError
from runbookd.model.escalation import Channel, Message, MessageKind
from runbookd.model.incident import IncidentState
from runbookd.model.people import Template
from runbookd.units.causes import why_told
from runbookd.units.facts import facts_of
from runbookd.units.record import read_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from runbookd.language.media import Medium
    from runbookd.model.incident import Incident
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk

_PLAIN = Template(subject="{{ incident.priority }} {{ incident.title }}", body="{{ incident.state }}")
"""What is said where the library has no words for a kind of message, or its words cannot be rendered."""
_PUBLIC_PLAIN = Template(subject="Service disruption", body="{{ incident.state }}", public=True)
_REMINDER = Template(
    subject="News of {{ incident.short_id }} ({{ incident.title }}) is promised "
    "in {{ update.next_in | minutes }}, at {{ update.next_at | time }}",
    body="Write it: runbookd note {{ incident.short_id }} --public TEXT",
)
_PUBLIC = "public-"
_EDITED = {True: MessageKind.OPENED, False: MessageKind.RESOLVED}


async def words_of(
    tx: Tx, desk: Desk, message: Message, incident: Incident | None, now: datetime
) -> dict[str, object]:
    """Return subject and body for the message's channel, `html` for mail, and what the channel needs besides."""
    if incident is None:
        return dict(message.facts)
    if message.kind is MessageKind.CHANNEL:
        return {"name": f"incident-{incident.opened_at:%Y%m%d-%H%M}", "topic": incident.title[:200]}
    own = {
        "lateness": message.facts.get("late"),
        "note": message.facts.get("note", ""),
        "why": await why_told(tx, incident, message),
    }
    known = await facts_of(tx, desk, incident, now)
    facts = {**known, **own}
    still = incident.state is IncidentState.OPEN
    name = _EDITED[still].value if message.kind is MessageKind.EDIT else message.kind.value
    public = message.channel is Channel.STATUSPAGE
    template = desk.library.messages.get(f"{_PUBLIC}{name}" if public else name)
    if message.kind is MessageKind.REMINDER:
        template = _REMINDER
    words: dict[str, object] = {
        "priority": incident.priority,
        "open": still and incident.acknowledged_at is None,
        "state": known["incident"]["state"],
    }
    medium: Medium = "slack" if message.channel is Channel.SLACK else "text"
    said = _rendered(template, facts, medium, public=public)
    words |= {"subject": said[0], "body": said[1]}
    if message.channel is Channel.EMAIL:
        words["html"] = _rendered(template, facts, "html", public=False)[1]
    return words | await _draft(tx, desk, message, now)


async def _draft(tx: Tx, desk: Desk, message: Message, now: datetime) -> dict[str, object]:
    """Return the whole draft of a review, where there is room for it; elsewhere its message is all."""
    roomy = message.channel in {Channel.EMAIL, Channel.WEBHOOK}
    if message.kind is not MessageKind.REVIEW or not roomy or desk.draft is None:
        return {}
    draft = desk.draft(await read_record(tx, message.incident_id or ""), now)
    return {"body": draft.markdown, "html": draft.html}


def _rendered(
    template: Template | None, facts: Mapping[str, object], medium: Medium, *, public: bool
) -> tuple[str, str]:
    """Render; words that cannot be rendered must not keep a message from its reader, so plain ones take their place."""
    from runbookd.language.messages import render  # Jinja2 is for those who have something to say

    plain = _PUBLIC_PLAIN if public else _PLAIN
    try:
        made = render(
            template if template is not None and template.public >= public else plain, facts, medium
        )
    except EvaluationError:
        made = render(plain, facts, medium)
    return made.subject, made.body
