"""Work: a row that says what is due, and when. The database is the only queue and the only timer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class WorkKind(StrEnum):
    """Which stage a row of work belongs to; `ref` is the id of the delivery, alert, run, incident or source."""

    ADMIT = "admit"
    PLAN = "plan"
    ADVANCE = "advance"
    ESCALATE = "escalate"
    CLOCK = "clock"
    RECONCILE = "reconcile"
    PRUNE = "prune"
    SEND = "send"


RUNS = "runs"
"""The lane of runs that go on."""
REST = "rest"
"""The lane of all that is neither a run nor a delivery: clocks, escalations, second looks, sweeps."""


def lane_of(kind: WorkKind, source: str | None = None) -> str:
    """Return the lane in which a row waits; `source` is that of a delivery or the channel of a message, else None.

    Lanes are worked on side by side, so that neither a flood of one sender's deliveries nor runs or channels that
    hang keep another sender, channel, a clock or an escalation waiting.
    """
    if source is not None:
        return f"{'send' if kind is WorkKind.SEND else 'admit'} {source}"
    return RUNS if kind is WorkKind.ADVANCE else REST


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One row of work. At most one per (kind, ref).

    `owner`, `epoch` and `lease_until` say who has it; every claim raises `epoch`, and every write under the
    claim checks it, so that a worker that was away too long can write nothing. `attempts` counts claims that
    ended in an unexpected error.
    """

    kind: WorkKind
    ref: str
    due_at: datetime
    owner: str | None = None
    epoch: int = 0
    lease_until: datetime | None = None
    attempts: int = 0
