"""An alert: one fingerprint's episode, firing until resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One episode. Open while `resolved_at` is None.

    `starts_at` is the earliest start any notification gave: Alertmanager may move it earlier within one
    episode. `ends_at` is the sender's end, None while open. `received` counts its notifications, repeats
    included. `event` is the latest news.
    `concluded` tells that nobody told the end: the sender, asked, no longer listed the alert.
    """

    id: str
    source: str
    fingerprint: str
    starts_at: datetime
    first_seen: datetime
    last_seen: datetime
    event: Event
    received: int = 1
    ends_at: datetime | None = None
    resolved_at: datetime | None = None
    incident_id: str | None = None
    rule: str | None = None
    concluded: bool = False
