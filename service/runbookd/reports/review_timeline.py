"""The timeline of a review: alerts, messages and the ledger's other entries in plain words, noise folded away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from runbookd.language.media import in_words as length_in_words
from runbookd.language.names import person
from runbookd.model.escalation import MessageKind
from runbookd.model.reasons import Guard
from runbookd.reports.review_entries import in_words
from runbookd.reports.review_words import (
    CHANNELS,
    KINDS,
    OWN_PAGE,
    level,
    listed,
    on_own_page,
    party,
    said,
    with_detail,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runbookd.model.audit import Entry
    from runbookd.model.incident import Incident
    from runbookd.units.record import Record

MOST_LINES: Final = 200
"""Lines that are told: of a longer story its beginning and its end."""

_ALERTS_TOLD = 10
_MOMENTS = timedelta(seconds=5)
"""Messages for one reason that were sent within so long are one line."""
_LATE = timedelta(seconds=30)
"""A message that was on its way for so long came late: its turn came late, or it had to be tried again."""
_NOT_SENT = frozenset({"message_failed", "page_passed_on"})
_TOLD = frozenset({MessageKind.PAGE, MessageKind.OPENED, MessageKind.UPDATE, MessageKind.RESOLVED})
"""The kinds of messages that tell somebody something; the others bring up to date what was told."""


_ACTIONS: Final = frozenset(
    {Guard.GO, "cancel_requested", "page_passed_on", "target_held", "target_released", "update_reminded"}
)
"""Entries that tell of something that was done, beside what messages, people and runs did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: when, what happened, and who did it. `times` counts those that were folded into it.

    `is_action` tells what somebody or automation did from what only happened.
    """

    at: datetime
    what: str
    who: str
    is_action: bool = False
    times: int = 1


def timeline(record: Record) -> tuple[list[Line], int]:
    """Tell the story, oldest first; returns as well how many lines in its middle are left out."""
    folded = _folded(sorted([*_alerts(record), *_entries(record)], key=lambda line: line.at))
    left_out = len(folded) - MOST_LINES
    if left_out <= 0:
        return folded, 0
    half = MOST_LINES // 2
    return [*folded[:half], *folded[-half:]], left_out


def _folded(lines: Sequence[Line]) -> list[Line]:
    """Make one line of those that follow each other and say the same."""
    folded: list[Line] = []
    for line in lines:
        if folded and (folded[-1].what, folded[-1].who) == (line.what, line.who):
            folded[-1] = replace(folded[-1], times=folded[-1].times + 1)
        else:
            folded.append(line)
    return folded


def _alerts(record: Record) -> Iterator[Line]:
    for alert in record.alerts[:_ALERTS_TOLD]:
        name, source = alert.event.name, alert.source
        yield Line(at=alert.starts_at, what=f"Alert {name} began to fire", who=source)
        if alert.resolved_at is not None:
            how = "was not listed any more" if alert.concluded else "resolved"
            yield Line(at=alert.ends_at or alert.resolved_at, what=f"Alert {name} {how}", who=source)
    more = record.alerts[_ALERTS_TOLD:]
    if more:
        yield Line(at=more[0].first_seen, what=f"More alerts joined: {len(more)}", who=more[0].source)


def _entries(record: Record) -> Iterator[Line]:
    """Tell the ledger in its order; what was sent within moments for one reason is told where the first of it is."""
    entries = record.entries
    together = _together(entries)
    tried_on = {entry.detail.get("message") for entry in entries if entry.what == "page_passed_on"}
    for place, entry in enumerate(entries):
        if _is_told(entry):
            what = _sent(together[place], record.incident) if place in together else ""
        elif entry.what == "message_failed":
            what = _failed(entry, record.incident)
        elif entry.what == "message_dropped" and entry.detail.get("message") in tried_on:
            what = _given_up(entry, record.incident)
        else:
            what = in_words(entry, record.incident)
        if what:
            yield Line(at=entry.at, what=what, who=person(entry.actor), is_action=_is_action(entry))


def _together(entries: Sequence[Entry]) -> dict[int, list[Entry]]:
    """Return what was sent within moments for one reason, by the place of the first of it.

    A page that was not sent ends that: whoever is paged next for the same reason is paged because of it.
    """
    together: dict[int, list[Entry]] = {}
    last: dict[tuple[object, object], int] = {}
    for place, entry in enumerate(entries):
        same = _same(entry)
        if _is_told(entry):
            if same not in last or entry.at - entries[last[same]].at > _MOMENTS:
                last[same] = place
            together.setdefault(last[same], []).append(entry)
        elif entry.what in _NOT_SENT and entry.detail.get("kind") == MessageKind.PAGE:
            last.pop(same, None)
    return together


def _is_action(entry: Entry) -> bool:
    """Whether something was done: by a person, by a run, or that people were told."""
    told = entry.what.startswith(("message_", "person_", "run_", "step_"))
    return told or entry.what in _ACTIONS


def _is_told(entry: Entry) -> bool:
    """Whether a message got through, or stands on our own page though there is no other."""
    return entry.what == "message_sent" or _own(entry)


def _own(entry: Entry) -> bool:
    public = on_own_page(entry.detail.get("channel"), entry.detail.get("kind"))
    return entry.what == "message_dropped" and public


def _same(entry: Entry) -> tuple[object, object]:
    return entry.detail.get("kind"), entry.detail.get("for")


def _sent(entries: Sequence[Entry], incident: Incident) -> str:
    """Tell of messages of one kind for one reason; empty for those that tell nobody anything."""
    kind, reason = _same(entries[0])
    if kind == MessageKind.CHANNEL and incident.channel is not None:
        return f"Channel #{incident.channel['name']} opened in Slack"
    if kind not in _TOLD:
        return ""
    by: dict[str, list[str]] = {}
    for entry in entries:
        by.setdefault(party(entry.detail.get("contact"), incident), []).append(
            f"{_channel(entry)}{_late(entry)}"
        )
    to = listed(f"{who} ({listed(dict.fromkeys(channels))})" for who, channels in by.items())
    of = level(reason)
    return f"{KINDS[str(kind)].capitalize()}{f', {of},' if of else ''} sent to {to}"


def _failed(entry: Entry, incident: Incident) -> str:
    kind, who = str(entry.detail.get("kind")), party(entry.detail.get("contact"), incident)
    what = f"The {KINDS.get(kind, kind)} to {who} by {_channel(entry)} did not get through"
    return with_detail(what, entry.detail.get("error") or said(entry.detail.get("reason")))


def _given_up(entry: Entry, incident: Incident) -> str:
    who = party(entry.detail.get("contact"), incident)
    return with_detail(f"The phone of {who} is not tried any more", said(entry.detail.get("reason")))


def _late(entry: Entry) -> str:
    """Say by how much a message came late; empty for one that did not."""
    seconds = entry.detail.get("seconds")
    length = timedelta(seconds=seconds) if isinstance(seconds, int | float) else timedelta(0)
    return f", {length_in_words(length)} late" if length >= _LATE else ""


def _channel(entry: Entry) -> str:
    channel = str(entry.detail.get("channel"))
    return f"only {OWN_PAGE}" if _own(entry) else CHANNELS.get(channel, channel)
