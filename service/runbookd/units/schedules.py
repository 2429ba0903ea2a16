"""Units of work about schedules: a time that has come becomes a delivery, once, and a run that ended well ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from runbookd.model.audit import Entry, Stage
from runbookd.model.schedule import Missed, Remembered
from runbookd.model.work import WorkKind
from runbookd.stages.receive import take_delivery
from runbookd.stages.schedule import SOURCE, is_over, is_scheduled, look, same_work, told_due, told_over

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from runbookd.model.alert import Alert
    from runbookd.model.incident import Incident
    from runbookd.model.run import Run
    from runbookd.model.schedule import Schedule
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk

SWITCH = "schedule:"
"""How the switches begin that keep what is known; the schedule's name follows."""


class Looked(NamedTuple):
    """What a look at one schedule came to: the time that became a delivery, and the times that are missed."""

    schedule: str
    at: datetime | None
    missed: Missed | None


async def keep_schedules(tx: Tx, desk: Desk, now: datetime) -> list[Looked]:
    """Look at every schedule; returns those of which a time came or was missed.

    The delivery and what is remembered are written together: whoever looks next, this replica after a crash or
    another one, finds both or neither.
    """
    looked = []
    for schedule in desk.library.schedules.values():
        known = await remembered(tx, schedule.name)
        due = look(schedule, known, now)
        if due.known != known:
            await tx.switches.set(SWITCH + schedule.name, due.known.model_dump_json())
        if due.missed is not None:
            await tx.ledger.append([_missed_entry(schedule, due.missed, now)])
        if due.at is not None:
            delivery = await _tell(tx, desk, told_due(schedule, due.at), now)
            await tx.ledger.append([_made_entry(schedule, due.at, delivery, now)])
        if due.at is not None or due.missed is not None:
            looked.append(Looked(schedule.name, due.at, due.missed))
    return looked


async def remembered(tx: Tx, schedule: str) -> Remembered | None:
    """Return what is known of a schedule; None when it was never looked at."""
    kept = await tx.switches.get(SWITCH + schedule)
    return None if kept is None else Remembered.model_validate_json(kept)


async def settle_firing(tx: Tx, desk: Desk, run: Run, about: tuple[Alert, Incident], now: datetime) -> None:
    """After a run of a schedule that ended well, what it was for is over, and so is what was left open before."""
    alert, incident = about
    if is_scheduled(alert) and is_over(run, incident):
        waiting = await tx.alerts.open_of(SOURCE)
        await end_firings(tx, desk, (one for one in waiting if same_work(one, alert)), now)


async def end_firings(tx: Tx, desk: Desk, alerts: Iterable[Alert], now: datetime) -> None:
    """Have it told that those of these alerts are over that are a schedule's, for nobody else ever tells it."""
    ended = [alert for alert in alerts if is_scheduled(alert) and alert.resolved_at is None]
    if ended:
        await _tell(tx, desk, told_over(ended, now), now)


async def _tell(tx: Tx, desk: Desk, body: bytes, now: datetime) -> str:
    """Make a delivery of our own, which takes the path of all others; returns its id."""
    delivery = take_delivery(desk.ids.new("dlv"), SOURCE, body, headers={}, remote=None, now=now)
    await tx.deliveries.add(delivery)
    await tx.work.add(WorkKind.ADMIT, delivery.id, now, SOURCE)
    return delivery.id


def _made_entry(schedule: Schedule, at: datetime, delivery: str, now: datetime) -> Entry:
    detail = {
        "schedule": schedule.name,
        "scheduled_at": at,
        "late_seconds": (now - at).total_seconds(),
        "run": list(schedule.run),
    }
    return Entry(at=now, stage=Stage.RECEIVE, what="schedule_due", delivery_id=delivery, detail=detail)


def _missed_entry(schedule: Schedule, missed: Missed, now: datetime) -> Entry:
    detail = {
        "schedule": schedule.name,
        "first": missed.first,
        "last": missed.last,
        "count": missed.count,
        "more": missed.more,
        "run": list(schedule.run),
    }
    return Entry(at=now, stage=Stage.RECEIVE, what="schedule_missed", detail=detail)
