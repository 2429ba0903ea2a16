"""Made-up nouns for the contract suite (every field can be named, the rest is filled in), and units of one call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

from runbookd.language.values import SecretRef
from runbookd.model.action import Mode
from runbookd.model.alert import Alert
from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import Channel, IncidentLevel, Message, MessageKind
from runbookd.model.event import Delivery, Event, Status, StoredEvent
from runbookd.model.incident import Incident
from runbookd.model.run import Evidence, Run, StepRecord, StepState
from runbookd.ports import Store

T0 = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
"""When every test begins; with microseconds, so that losing them is seen."""
LEASE = timedelta(seconds=30)


def at(seconds: float) -> datetime:
    """`seconds` after the beginning."""
    return T0 + timedelta(seconds=seconds)


async def write(store: Store, call: str, *arguments: Any) -> Any:
    """Make one call, named like `alerts.save`, in a unit of its own."""
    return await store.write(lambda tx: attrgetter(call)(tx)(*arguments))


async def read(store: Store, call: str, *arguments: Any) -> Any:
    """Ask one question, named like `alerts.get`, in a unit of its own."""
    return await store.read(lambda tx: attrgetter(call)(tx)(*arguments))


def event(**fields: Any) -> Event:
    """A firing event of Alertmanager's."""
    known: dict[str, Any] = {
        "source": "alertmanager",
        "name": "HighCPU",
        "status": Status.FIRING,
        "fingerprint": "f1",
        "labels": {"namespace": "shop", "text": "${not.an.expression} 'quote\" \x00 ünïcode 🦉"},
        "annotations": {"summary": "busy"},
        "starts_at": T0,
        "url": "http://prometheus/graph",
        "extra": {"numbers": [1, 2.5, None, True], "nested": {"$odd": "key"}},
    }
    return Event(**(known | fields))


def delivery(name: str, **fields: Any) -> Delivery:
    """A delivery that waits to be taken apart."""
    known: dict[str, Any] = {
        "id": name,
        "source": "alertmanager",
        "received_at": T0,
        "body": b"\x00{not json\xff",
        "sha256": "ab" * 32,
        "headers": {"content-type": "application/json"},
        "remote": "127.0.0.1",
    }
    return Delivery(**(known | fields))


def stored(name: str, **fields: Any) -> StoredEvent:
    """An event with its outcome."""
    known: dict[str, Any] = {
        "id": name,
        "delivery_id": "d1",
        "received_at": T0,
        "event": event(),
        "outcome": "new_alert",
    }
    return StoredEvent(**(known | fields))


def alert(name: str, **fields: Any) -> Alert:
    """An open alert."""
    known: dict[str, Any] = {
        "id": name,
        "source": "alertmanager",
        "fingerprint": "f1",
        "starts_at": T0,
        "first_seen": T0,
        "last_seen": T0,
        "event": event(),
    }
    return Alert(**(known | fields))


def incident(name: str, **fields: Any) -> Incident:
    """An open incident."""
    known: dict[str, Any] = {
        "id": name,
        "rule": "high-cpu",
        "key": '{"namespace":"shop"}',
        "priority": "P1",
        "title": "Shop is busy",
        "opened_at": T0,
    }
    return Incident(**(known | fields))


def level(number: int, **fields: Any) -> IncidentLevel:
    """A pending level of incident i1."""
    known: dict[str, Any] = {"incident_id": "i1", "number": number, "due_at": at(60 * number)}
    return IncidentLevel(**(known | fields))


def message(name: str, **fields: Any) -> Message:
    """A page of incident i1 on its way."""
    known: dict[str, Any] = {
        "id": name,
        "key": f"key of {name}",
        "kind": MessageKind.PAGE,
        "channel": Channel.PAGERDUTY,
        "address": {"service_key": SecretRef("pd_l2")},
        "contact": "l2",
        "created_at": T0,
        "incident_id": "i1",
        "party": "level 1/l2",
        "next_contacts": ("l2.secondary",),
        "facts": {"late": timedelta(seconds=3)},
    }
    return Message(**(known | fields))


def run(name: str, **fields: Any) -> Run:
    """A run under way, of no alert."""
    known: dict[str, Any] = {
        "id": name,
        "playbook": "restart",
        "plan_hash": "p1",
        "mode": Mode.ACT,
        "created_at": T0,
        "deadline_at": at(1800),
        "scope": {"inputs": {"recent": timedelta(hours=2), "since": T0}, "n": 10**30},
        "rule": "high-cpu",
        "key": "k1",
        "target": "deployments/shop/backend",
    }
    return Run(**(known | fields))


def step(path: str, attempt: int = 1, **fields: Any) -> StepRecord:
    """An intent of run r1."""
    known: dict[str, Any] = {
        "run_id": "r1",
        "path": path,
        "attempt": attempt,
        "state": StepState.INTENT,
        "started_at": T0,
        "epoch": 1,
    }
    return StepRecord(**(known | fields))


def evidence(name: str, **fields: Any) -> Evidence:
    """A piece of evidence of run r1."""
    known: dict[str, Any] = {
        "run_id": "r1",
        "name": name,
        "media_type": "text/plain",
        "content": b"\x00log\xff",
        "sha256": "cd" * 32,
        "taken_at": T0,
    }
    return Evidence(**(known | fields))


def entry(what: str, **fields: Any) -> Entry:
    """A ledger entry."""
    known: dict[str, Any] = {
        "at": T0,
        "stage": Stage.ADMIT,
        "what": what,
        "detail": {"took": timedelta(0, 5)},
    }
    return Entry(**(known | fields))
