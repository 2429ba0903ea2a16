"""The engine inside the test's own process, wired as the service is, with a clock that is set."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runbookd.model.alert import Alert
from runbookd.model.audit import LedgerEntry
from runbookd.model.escalation import IncidentLevel, Message
from runbookd.model.event import StoredEvent
from runbookd.model.incident import Incident, IncidentClock
from runbookd.model.library import Library
from runbookd.model.run import Run, StepRecord
from runbookd.model.work import WorkKind
from runbookd.pipeline import Pipeline, Ports
from runbookd.ports import Performer, Store
from runbookd.runtime.outbox import Outbox
from runbookd.runtime.worker import Worker
from runbookd.settings import Settings
from runbookd.units.people import Act, Do, Done, act
from runbookd.units.watch import Watch
from runbookd.wiring import wire

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
NEVER = "0001-01-01T00:00:00Z"
ALL = 100_000


@dataclass(slots=True)
class SetClock:
    """`ports.Clock` that stands still until it is moved."""

    at: datetime = NOON

    def now(self) -> datetime:
        """The time it is set to."""
        return self.at


@dataclass(slots=True)
class Engine:
    """A wired engine, and what tests ask of it."""

    store: Store
    clock: SetClock
    pipeline: Pipeline
    worker: Worker
    owner: int = field(default=0)

    async def hear(self, *alerts: Mapping[str, object], source: str = "alertmanager") -> None:
        """Take one delivery of these alerts and do all that is due at this moment."""
        message: object = (
            list(alerts) if source.endswith("-reconcile") else {"version": "4", "alerts": alerts}
        )
        receipt = await self.pipeline.receive(source, json.dumps(message).encode(), {}, None)
        assert receipt.refusal is None, receipt.refusal
        await self.worker.drain(self.clock.now())

    async def move(self, by: timedelta) -> None:
        """Move the clock to each moment at which something is due, and on to the end of the time given."""
        end = self.clock.at + by
        while (due := await self.store.read(lambda tx: tx.work.next_due())) is not None and due <= end:
            self.clock.at = max(self.clock.at, due)
            await self.worker.drain(self.clock.at)
        self.clock.at = end
        await self.worker.drain(end)

    async def runs(self) -> list[Run]:
        """Every run, oldest first."""
        return (await self.store.read(lambda tx: tx.runs.recent(ALL, {})))[::-1]

    async def steps(self, run: Run) -> list[StepRecord]:
        """The journal of a run."""
        return await self.store.read(lambda tx: tx.runs.steps(run.id))

    async def events(self) -> list[StoredEvent]:
        """Every event, oldest first."""
        return (await self.store.read(lambda tx: tx.deliveries.events(ALL, {})))[::-1]

    async def incidents(self) -> list[Incident]:
        """Every incident, oldest first."""
        return (await self.store.read(lambda tx: tx.incidents.recent(ALL, {})))[::-1]

    async def alerts_and_clocks(self, incident: Incident) -> tuple[list[Alert], list[IncidentClock]]:
        """What belongs to an incident."""
        alerts = await self.store.read(lambda tx: tx.alerts.of_incident(incident.id))
        return alerts, await self.store.read(lambda tx: tx.incidents.clocks(incident.id))

    async def messages(self) -> list[Message]:
        """Every message, oldest first."""
        return (await self.store.read(lambda tx: tx.messages.recent(ALL, {})))[::-1]

    async def levels(self, incident: Incident) -> list[IncidentLevel]:
        """The levels of an incident."""
        return await self.store.read(lambda tx: tx.levels.of(incident.id))

    async def act(self, do: Do, **fields: Any) -> Done:
        """A person does something about the newest incident, or the one named, and all that is due then is done."""
        incident_id = fields.pop("incident_id", "") or (await self.incidents())[-1].id
        wanted = Act(do=do, incident_id=incident_id, actor=fields.pop("actor", "anna"), **fields)
        desk, now = self.pipeline.desk, self.clock.now()
        done = await self.store.write(lambda tx: act(tx, desk, wanted, now))
        await self.worker.drain(now)
        return done

    async def switch(self, name: str, value: str | None) -> None:
        """Set a switch, or with None remove it."""
        await self.store.write(lambda tx: tx.switches.set(name, value))

    async def ledger(self) -> list[LedgerEntry]:
        """The whole ledger."""
        return await self.store.read(lambda tx: tx.ledger.read(0, ALL, {}))


@contextlib.asynccontextmanager
async def engine(
    folder: Path,
    *,
    rules: str = "",
    playbooks: Mapping[str, str] | None = None,
    library: Library | None = None,
    performer: Performer | None = None,
    settings: Mapping[str, Any] | None = None,
) -> AsyncIterator[Engine]:
    """An engine on a database in the folder.

    Content is text, or a library made by hand; the performer is the real one, or the test's.
    """
    for kind, files in {"rules": {"rules": rules}, "playbooks": playbooks or {}}.items():
        (folder / kind).mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / kind / f"{name}.yaml").write_text(text, encoding="utf-8")
    clock = SetClock()
    given = {
        "database": folder / "runbookd.db",
        "rules": [folder / "rules"],
        "playbooks": [folder / "playbooks"],
        **(settings or {}),
    }
    async with wire(Settings(**given), library, clock) as parts:
        pipeline, worker = parts.pipeline, parts.worker
        if performer is not None:
            ports = Ports(parts.store, performer, clock)
            pipeline = Pipeline(ports, pipeline.desk)
            worker = worker_of(ports, pipeline, "test")
        yield Engine(parts.store, clock, pipeline, worker)


def worker_of(ports: Ports, pipeline: Pipeline, owner: str, watch: Watch | None = None) -> Worker:
    """A worker that sends messages too; a new owner is what a restart gives."""
    worker = Worker(ports.store, ports.clock, pipeline, owner=owner)
    worker.handlers[WorkKind.SEND] = Outbox(ports, pipeline, watch).send
    return worker


def alert(
    name: str = "Down",
    *,
    began: datetime | None = NOON,
    ended: datetime | None = None,
    labels: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """One alert as Alertmanager's webhook tells it: firing, or with an end resolved."""
    shown = {"alertname": name, **(labels or {})}
    return {
        "status": "firing" if ended is None else "resolved",
        "labels": shown,
        "annotations": {},
        "startsAt": NEVER if began is None else began.isoformat(),
        "endsAt": NEVER if ended is None else ended.isoformat(),
        "fingerprint": "-".join(shown.values()),
    }
