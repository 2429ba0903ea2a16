"""Units of work that only read: an incident with all that concerns people about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from runbookd.errors import NotFound

if TYPE_CHECKING:
    from runbookd.model.escalation import IncidentLevel, Message
    from runbookd.model.incident import Incident, IncidentClock
    from runbookd.ports import Tx


class Shown(NamedTuple):
    """An incident, its clocks, the levels of its escalation and its messages."""

    incident: Incident
    clocks: list[IncidentClock]
    levels: list[IncidentLevel]
    messages: list[Message]


async def show(tx: Tx, incident_id: str) -> Shown:
    """Read an incident. Raises NotFound when there is none."""
    incident = await tx.incidents.get(incident_id)
    if incident is None:
        raise NotFound(f"there is no incident '{incident_id}'; `GET /v1/incidents` lists them")
    return Shown(
        incident,
        await tx.incidents.clocks(incident.id),
        await tx.levels.of(incident.id),
        await tx.messages.of(incident.id),
    )
