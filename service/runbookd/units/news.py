"""The unit of work that keeps the promise of news: told by itself while nobody leads, asked for when somebody does."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import MessageKind
from runbookd.model.incident import ClockKind, IncidentState
from runbookd.stages.updates import Due, judge_update
from runbookd.units.telling import Why, remind, tell_audience

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.incident import Incident
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk


_TOLD_LATE = timedelta(seconds=10)
"""News later than this says by how much."""


async def keep_promise(
    tx: Tx, desk: Desk, incident: Incident, now: datetime
) -> tuple[datetime | None, dict[str, datetime]]:
    """Tell the news that is due, or remind who has to; returns when to look again.

    With it comes the clock's kind and deadline if the promise is broken.
    """
    priority = desk.library.priorities.get(incident.priority)
    every = priority.update_every if priority is not None else None
    clocks = await tx.incidents.clocks(incident.id)
    clock = next((one for one in clocks if one.kind is ClockKind.UPDATE), None)
    if clock is None or every is None or incident.state is IncidentState.RESOLVED:
        return None, {}
    news = judge_update(clock, every, incident, now)
    if news.clock is not clock:
        await tx.incidents.save_clock(news.clock)
    promised = clock.due_at.isoformat()
    broken = news.due is Due.BREACH or now > clock.due_at  # by us, when the service was down
    new = True
    if news.due is Due.SEND:
        late = {"late": now - clock.due_at} if now - clock.due_at >= _TOLD_LATE else {}
        await tell_audience(tx, desk, incident, Why(f"update {promised}", MessageKind.UPDATE, late), now)
    elif news.due is Due.REMIND:
        new = await remind(tx, desk, incident, f"{news.due} {promised}", now)
    if broken or (news.due is Due.REMIND and new):
        entry = Entry(
            at=now,
            stage=Stage.ESCALATE,
            what="clock_breached" if broken else "update_reminded",
            incident_id=incident.id,
            detail={
                "clock": ClockKind.UPDATE.value,
                "due_at": clock.due_at,
                "of": incident.assignee or incident.acknowledged_by,
                "late_seconds": max(0.0, (now - clock.due_at).total_seconds()),
            },
        )
        await tx.ledger.append([entry])
    return news.look_at, {ClockKind.UPDATE.value: clock.due_at} if broken else {}
