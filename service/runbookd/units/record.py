"""The record of an incident: everything the store knows of it, of one moment, for who writes its story."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from runbookd.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbookd.model.alert import Alert
    from runbookd.model.audit import Entry
    from runbookd.model.escalation import IncidentLevel, Message
    from runbookd.model.incident import Incident, IncidentClock
    from runbookd.model.run import Hold, Listed, Run, StepRecord
    from runbookd.ports import Tx

_MOST_RUNS = 200
MOST_ENTRIES = 5_000
"""Ledger entries that are read: the newest. An incident of two days with its messages has some hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is on record of an incident. Alerts, messages, runs and entries are oldest first; `steps` are by run.

    `holds` are the targets kept for people until now. `begins_late` tells that there are older entries in the ledger
    than those read.
    """

    incident: Incident
    clocks: Sequence[IncidentClock] = ()
    levels: Sequence[IncidentLevel] = ()
    messages: Sequence[Message] = ()
    alerts: Sequence[Alert] = ()
    runs: Sequence[Run] = ()
    steps: Mapping[str, Sequence[StepRecord]] = field(default_factory=dict)
    evidence: Sequence[Listed] = ()
    holds: Sequence[Hold] = ()
    entries: Sequence[Entry] = ()
    begins_late: bool = False


class Draft(NamedTuple):
    """A review as it is sent: Markdown for text, and one file of HTML."""

    markdown: str
    html: str


async def read_record(tx: Tx, incident_id: str) -> Record:
    """Read everything on record of an incident. Raises NotFound when there is no such incident."""
    incident = await tx.incidents.get(incident_id)
    if incident is None:
        raise NotFound(f"there is no incident '{incident_id}'; `runbookd incidents` lists them")
    runs = (await tx.runs.recent(_MOST_RUNS, {"incident_id": incident.id}))[::-1]
    entries = await tx.ledger.recent(MOST_ENTRIES, {"incident_id": incident.id})
    return Record(
        incident=incident,
        clocks=await tx.incidents.clocks(incident.id),
        levels=await tx.levels.of(incident.id),
        messages=await tx.messages.of(incident.id),
        alerts=await tx.alerts.of_incident(incident.id),
        runs=runs,
        steps={run.id: await tx.runs.steps(run.id) for run in runs},
        evidence=[piece for run in runs for piece in await tx.runs.listed_evidence(run.id)],
        holds=[hold for hold in await tx.runs.holds() if hold.incident_id == incident.id],
        entries=[sealed.entry for sealed in entries],
        begins_late=len(entries) == MOST_ENTRIES,
    )
