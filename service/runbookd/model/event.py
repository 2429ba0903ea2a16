"""What a sender told us: one delivery, and the events it holds.

A delivery is the raw body as it came, kept before anything else happens to it. An event is one alert's news
in the one shape every rule sees, whoever sent it (`language.md` section 1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from runbookd.model.escalation import ActRequest


class Status(StrEnum):
    """Whether the trouble is there. `UNKNOWN` (CloudWatch INSUFFICIENT_DATA) neither opens nor closes anything."""

    FIRING = "firing"
    RESOLVED = "resolved"
    UNKNOWN = "unknown"


class DeliveryState(StrEnum):
    """How far a delivery has come: waiting, taken apart into events, or kept as a dead letter."""

    PENDING = "pending"
    ADMITTED = "admitted"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request (or poll answer) as it came.

    `body` is unchanged; `headers` are the few we keep, lower-case, without secrets; `sha256` is of the body in
    hex. `progress` counts the events already admitted, so that a large delivery goes on where a crash left it.
    `reason` says why a dead letter is one; None otherwise.
    """

    id: str
    source: str
    received_at: datetime
    body: bytes
    sha256: str
    headers: Mapping[str, str] = field(default_factory=dict)
    remote: str | None = None
    state: DeliveryState = DeliveryState.PENDING
    progress: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One alert's news. `starts_at` and `ends_at` are None when the sender did not say (or said year 1).

    `extra` keeps what the sender sent and we do not know, unchanged.
    """

    source: str
    name: str
    status: Status
    fingerprint: str
    severity: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    url: str = ""
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A delivery, understood: its events in the sender's order.

    `truncated` counts alerts the sender left out (Alertmanager's `truncatedAlerts`); more than zero means the
    sender must be asked what else fires. `refused` says of each alert that can never be understood why; the others
    are none the worse for it. `complete` is True when the events are all that fires at the sender
    (a reconciler's answer), so that what is missing has resolved. `acts` are what people did, at a door where they
    answer.
    """

    events: tuple[Event, ...]
    receiver: str = ""
    group_key: str = ""
    truncated: int = 0
    complete: bool = False
    refused: tuple[str, ...] = ()
    acts: tuple[ActRequest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event with what became of it. `outcome` is never missing: nothing ends in silence."""

    id: str
    delivery_id: str
    received_at: datetime
    event: Event
    outcome: str
    alert_id: str | None = None
    incident_id: str | None = None
    rule: str | None = None
