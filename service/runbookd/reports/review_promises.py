"""Which promised times of an incident were kept, and by how much the others were missed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from runbookd.model.incident import ClockKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runbookd.model.incident import IncidentClock
    from runbookd.units.record import Record

_ORDER: Final = (ClockKind.ACKNOWLEDGE, ClockKind.RESPOND, ClockKind.RESOLVE, ClockKind.REVIEW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One promised time.

    `kept` None: its time has not come. `by` is how much time was left when it was met, or by how much it was missed,
    until now if it is not met yet. `by_end`: nobody met it before the incident was over. `earlier` is a clock of a
    priority that the incident has not any more; nobody knows by how much that was missed.
    """

    kind: ClockKind
    due_at: datetime
    met_at: datetime | None
    kept: bool | None
    by: timedelta | None
    by_end: bool = False
    earlier: bool = False


def acknowledged(record: Record) -> tuple[datetime, str] | None:
    """Return when the first person took the incident, and who; automation has no name.

    The ledger knows of acknowledgements that have expired since.
    """
    taken = [(entry.at, entry.actor) for entry in record.entries if entry.what == "person_acknowledge"]
    incident = record.incident
    if incident.acknowledged_at is not None:
        taken.append((incident.acknowledged_at, incident.acknowledged_by or ""))
    return min(taken, key=lambda one: one[0], default=None)


def promises(record: Record, now: datetime) -> list[Promise]:
    """Judge every clock, those of an earlier priority after it; news has its own words (`broken_news`)."""
    clocks = {clock.kind: clock for clock in record.clocks}
    found = []
    for kind in _ORDER:
        if kind in clocks:
            found.append(_judged(clocks[kind], record, now))
        found += _earlier(record, clocks, kind)
    return found


def broken_news(record: Record) -> list[datetime]:
    """Return when news had been promised and did not come."""
    return [
        due_at
        for entry in record.entries
        if entry.what == "clock_breached" and entry.detail.get("clock") == ClockKind.UPDATE
        if isinstance(due_at := entry.detail.get("due_at"), datetime)
    ]


def _answered(record: Record) -> Mapping[ClockKind, datetime | None]:
    """When somebody did what a clock waits for; None when nobody did, or it waits for no answer."""
    first = acknowledged(record)
    taken = first[0] if first is not None else None
    return {ClockKind.ACKNOWLEDGE: taken, ClockKind.RESPOND: _first(taken, record.incident.responded_at)}


def _judged(clock: IncidentClock, record: Record, now: datetime) -> Promise:
    """Judge a clock; a breached one does not say when it was met. The incident's end meets all but the review's."""
    answered, over = _answered(record), record.incident.resolved_at
    answer = answered.get(clock.kind)
    met_at = clock.met_at or (None if clock.kind is ClockKind.REVIEW else _first(answer, over))
    ended = met_at or now
    kept = ended <= clock.due_at if met_at is not None or ended > clock.due_at else None
    return Promise(
        kind=clock.kind,
        due_at=clock.due_at,
        met_at=met_at,
        kept=kept,
        by=None if kept is None else abs(clock.due_at - ended),
        by_end=met_at is not None and clock.kind in answered and answer is None,
    )


def _earlier(record: Record, clocks: Mapping[ClockKind, IncidentClock], kind: ClockKind) -> Iterator[Promise]:
    """Find the clocks of this kind that the ledger judged, and that a rise in priority has replaced since."""
    for entry in record.entries:
        due_at = entry.detail.get("due_at")
        if entry.what not in {"clock_met", "clock_breached"} or entry.detail.get("clock") != kind:
            continue
        if isinstance(due_at, datetime) and (kind not in clocks or due_at != clocks[kind].due_at):
            met_at = entry.detail.get("met_at")
            yield Promise(
                kind=kind,
                due_at=due_at,
                met_at=met_at if isinstance(met_at, datetime) else None,
                kept=entry.what == "clock_met",
                by=due_at - met_at if isinstance(met_at, datetime) and met_at <= due_at else None,
                earlier=True,
            )


def _first(*times: datetime | None) -> datetime | None:
    return min((at for at in times if at is not None), default=None)
