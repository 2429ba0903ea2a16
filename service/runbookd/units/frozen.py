"""When the levels of an incident were to be told, as it was frozen into it, whatever has moved them since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.units.causes import frozen_levels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from runbookd.model.incident import Incident
    from runbookd.ports import Tx

_MOST = 50
"""Entries that are read: an incident has as many levels frozen as its priority was raised."""


async def own_times(tx: Tx, incident: Incident) -> Mapping[int, datetime]:
    """Return the own time of each level by its number; that of one which waits for a breach is the clock's."""
    frozen = await tx.ledger.recent(_MOST, {"incident_id": incident.id, "what": "escalation_frozen"})
    clocks = {clock.kind.value: clock.due_at for clock in await tx.incidents.clocks(incident.id)}
    listed = frozen_levels(sealed.entry for sealed in frozen)
    times = {n: clocks.get(one.due) if isinstance(one.due, str) else one.due for n, one in enumerate(listed)}
    return {number: at for number, at in times.items() if at is not None}


async def coming_times(tx: Tx, incident: Incident) -> Mapping[int, datetime]:
    """Return the own times of the levels without those of breaches that cannot come, for their clocks were met."""
    met = {
        one.kind.value for one in await tx.incidents.clocks(incident.id) if one.met_at and not one.breached_at
    }
    none = {level.number for level in await tx.levels.of(incident.id) if level.on_breach in met}
    return {number: at for number, at in (await own_times(tx, incident)).items() if number not in none}
