"""The words of a message, rendered from the facts at its first attempt and then kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.errors import EvaluationError
from runbookd.language.media import cut, spoken_for_slack
from runbookd.model.escalation import Channel, Message, MessageKind
from runbookd.model.incident import IncidentState
from runbookd.model.people import Template
from runbookd.stages.outbox import first_sent
from runbookd.stages.reached import late_ring
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
_LONGEST_TOPIC = 200


async def words_of(
    tx: Tx, desk: Desk, message: Message, incident: Incident | None, now: datetime
) -> dict[str, object]:
    """Return subject and body for the message's channel, `html` for mail, and what the channel needs besides."""
    if incident is None:
        return dict(message.facts)
    if message.kind is MessageKind.CHANNEL:
        topic = cut(spoken_for_slack(incident.title), _LONGEST_TOPIC, "slack")
        return {"name": f"incident-{incident.opened_at:%Y%m%d-%H%M}", "topic": topic}
    edited = await _edited(tx, message, incident)
    about = edited or message
    why = edited.words.get("why", "") if edited is not None else message.facts.get("why", "")
    own = {
        "lateness": about.facts.get("late"),
        "delay": now - message.created_at if late_ring(message) else None,
        "note": about.facts.get("note", ""),
        "why": why,
    }
    # What is edited stands beside the time at which it was sent, so what it says of times counts from there.
    told_at = edited.settled_at if edited is not None and edited.settled_at is not None else now
    known = await facts_of(tx, desk, incident, told_at)
    facts = {**known, **own}
    name = MessageKind.OPENED.value if about.kind is MessageKind.EDIT else about.kind.value
    public = message.channel is Channel.STATUSPAGE
    template = desk.library.messages.get(f"{_PUBLIC}{name}" if public else name)
    if message.kind is MessageKind.REMINDER:
        template = _REMINDER
    words: dict[str, object] = {
        "priority": incident.priority,
        "open": incident.state is IncidentState.OPEN,
        "taken": incident.acknowledged_at is not None,
        "state": known["incident"]["state"],
    }
    if not public:
        words |= {"why": why, "impact": known["incident"]["impact"]}  # as it was told, for what is told later
    medium: Medium = "slack" if message.channel is Channel.SLACK else "text"
    said = _rendered(template, facts, medium, public=public)
    words |= {"subject": said[0], "body": said[1]}
    if message.channel is Channel.EMAIL:
        words["html"] = _rendered(template, facts, "html", public=False)[1]
    return words | await _draft(tx, desk, message, now)


async def _edited(tx: Tx, message: Message, incident: Incident) -> Message | None:
    """Return what an edit brings up to date, whose own words it keeps; None for what is no edit, or has nothing."""
    if message.kind is not MessageKind.EDIT:
        return None
    return first_sent(await tx.messages.of(incident.id), message.address)


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
