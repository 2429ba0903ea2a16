"""Units of work that tell whom a level of an escalation names, and write that down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import MessageKind
from runbookd.stages.ladder import ONCE_MORE, needless_when
from runbookd.units.telling import Why, audience, tell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from runbookd.model.escalation import IncidentLevel
    from runbookd.model.incident import Incident
    from runbookd.ports import Tx
    from runbookd.stages.ladder import Fired
    from runbookd.units.desk import Desk

_TOLD_LATE = timedelta(seconds=10)
"""What a level tells later than this says by how much. Less is no outage, but the time that things take."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of telling a level: how many addresses its notices and its pages went to, and what those say."""

    noticed: int
    paged: int
    about: Mapping[str, object]


async def tell_level(tx: Tx, desk: Desk, incident: Incident, one: Fired, why: str, now: datetime) -> Told:
    """Tell whom a level that is due names, and `why`."""
    level, name = one.level, await _name_of(tx, one.level)
    told_before = bool(await audience(tx, incident))
    kind = MessageKind.UPDATE if told_before and level.number else MessageKind.OPENED
    late = one.late if one.late >= _TOLD_LATE else None
    about = {"level": level.number, "because": level.reason, "due_at": level.due_at, "late": late, "why": why}
    noticed = await tell(tx, desk, incident, Why(name, kind, about), level.notify, now)
    if not one.page or not level.page:
        return Told(noticed, 0, about)
    facts = {**about, "unless": needless_when(level)}
    paged = await tell(tx, desk, incident, Why(name, MessageKind.PAGE, facts), level.page, now)
    return Told(noticed, paged, about)


async def _name_of(tx: Tx, level: IncidentLevel) -> str:
    """Name what a level tells now: each time that it pages has a name of its own, and is not taken for another."""
    name = f"level {level.place}"
    earlier = await tx.messages.of(level.incident_id)
    paged = any(one.kind is MessageKind.PAGE and one.facts.get("reason") == name for one in earlier)
    return f"{name} again {level.due_at}" if paged or level.reason in ONCE_MORE else name


async def write_down(tx: Tx, level: IncidentLevel, what: str, now: datetime) -> None:
    """Tell the ledger what became of a level that was due: `fired`, `skipped` or `collapsed`."""
    detail = {
        "level": level.place,
        "due_at": level.due_at,
        "late_seconds": (now - level.due_at).total_seconds() if level.due_at is not None else 0.0,
        "reason": level.reason,
        "page": list(level.page),
        "notify": list(level.notify),
    }
    entry = Entry(
        at=now, stage=Stage.ESCALATE, what=f"level_{what}", incident_id=level.incident_id, detail=detail
    )
    await tx.ledger.append([entry])
