"""Units of work about an incident's clocks: which are met, and which are breached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.model.action import Mode
from runbookd.model.audit import Entry, Stage
from runbookd.model.incident import ClockKind
from runbookd.stages.escalate import judge_clock

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.incident import Incident
    from runbookd.ports import Tx


async def settle_clocks(
    tx: Tx, incident: Incident, now: datetime, *, only_met: bool = False
) -> dict[str, datetime]:
    """Write down which clocks are met and which are breached by now; returns the kinds newly breached, and since when.

    With `only_met` those that are not met in time are left to a look at the clocks, which does what a breach asks for.
    The breaches of what is only observed ask for nothing: they are written down, and not returned.
    """
    breached = {}
    for clock in await tx.incidents.clocks(incident.id):
        judged = judge_clock(clock, incident, now)
        late = judged.breached_at is not None and clock.breached_at is None
        if judged is clock or (late and only_met):
            continue
        await tx.incidents.save_clock(judged)
        if late:
            breached[judged.kind.value] = judged.due_at
        entry = Entry(
            at=now,
            stage=Stage.ESCALATE,
            what="clock_breached" if late else "clock_met",
            incident_id=incident.id,
            detail={
                "clock": judged.kind.value,
                "due_at": judged.due_at,
                "met_at": judged.met_at,
                "late_seconds": max(0.0, ((judged.met_at or now) - judged.due_at).total_seconds()),
            },
        )
        await tx.ledger.append([entry])
    return {} if breached and await _only_observed(tx, incident) else breached


async def _only_observed(tx: Tx, incident: Incident) -> bool:
    """Whether nobody is to hear of an incident: its rule only observed when it opened, and nobody raised it since."""
    opened = await tx.ledger.recent(1, {"incident_id": incident.id, "what": "incident_opened"})
    observed = any(one.entry.detail.get("mode") == Mode.OBSERVE for one in opened)
    return observed and not await tx.levels.of(incident.id) and not await tx.messages.of(incident.id)


async def broken_at(tx: Tx, incident: Incident) -> list[datetime]:
    """Return when promises about the trouble itself were broken: not those of news, or of the review."""
    return [
        clock.breached_at
        for clock in await tx.incidents.clocks(incident.id)
        if clock.breached_at is not None and clock.kind not in {ClockKind.UPDATE, ClockKind.REVIEW}
    ]
