"""How a step stands, seen from what comes after it: read from its row, and folded from what is inside it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from runbookd.model.reasons import StepReason
from runbookd.model.run import StepRecord, StepState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


class Standing(StrEnum):
    """How a step stands. `OBSERVED`: not done because the run only observes. `STOPPED`: not done because it stops."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    OBSERVED = "observed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a step stands and what it gave. `in_doubt` marks a failure that may have taken effect."""

    standing: Standing
    output: Mapping[str, object] = field(default_factory=dict)
    reason: str = ""
    message: str = ""
    in_doubt: bool = False

    @property
    def pending(self) -> bool:
        """True while nobody can say yet."""
        return self.standing is Standing.PENDING

    @property
    def stopped(self) -> bool:
        """True when it is left undone because the run is to stop."""
        return self.standing is Standing.STOPPED

    @property
    def bad(self) -> bool:
        """True when what follows must not go on."""
        return self.standing in {Standing.FAILED, Standing.STOPPED}


PENDING = Status(standing=Standing.PENDING)
STOPPED = Status(standing=Standing.STOPPED)

_STATES = {
    Standing.SUCCEEDED: StepState.SUCCEEDED,
    Standing.FAILED: StepState.FAILED,
    Standing.SKIPPED: StepState.SKIPPED,
    Standing.OBSERVED: StepState.SKIPPED,
}


def status_of(row: StepRecord) -> Status:
    """Say how an ended row stands; pending for one that has not ended."""
    if row.state is StepState.SUCCEEDED:
        return Status(standing=Standing.SUCCEEDED, output=row.output)
    if row.state is StepState.SKIPPED:
        observed = row.reason in {StepReason.OBSERVED, StepReason.NEEDS_OBSERVED}
        standing = Standing.OBSERVED if observed else Standing.SKIPPED
        return Status(standing=standing, output=row.output, reason=row.reason or "")
    if row.state in {StepState.FAILED, StepState.IN_DOUBT}:
        return Status(
            standing=Standing.STOPPED if row.reason == StepReason.STOPPED else Standing.FAILED,
            output=row.output,
            reason=row.reason or "failed",
            message=row.message or "",
            in_doubt=row.state is StepState.IN_DOUBT,
        )
    return PENDING


def closed(row: StepRecord, status: Status, now: datetime) -> StepRecord:
    """Return a block's row, ended as what is inside it ended."""
    return replace(
        row,
        state=StepState.IN_DOUBT if status.in_doubt else _STATES[status.standing],
        output=dict(status.output),
        reason=status.reason or None,
        message=status.message or None,
        ended_at=now,
    )


def seen(status: Status) -> dict[str, object]:
    """Return what later expressions see under `steps.ID`."""
    return {**status.output, "outcome": status.standing.value, "error": status.message}


def worst(bad: Sequence[tuple[str, Status]]) -> Status:
    """Fold failures inside a block, each with its name, into the block's: a doubt outweighs all, else the first."""
    if not bad:
        return Status(standing=Standing.SUCCEEDED)
    name, first = next(((name, status) for name, status in bad if status.in_doubt), bad[0])
    return replace(first, reason=StepReason.CHILD_FAILED, message=f"{name}: {first.message}", output={})


def spoiled(status: Status, what: str, by: Status) -> Status:
    """Return an end spoiled by something done after it: a good one becomes that failure, a bad one only says so."""
    text = f"{what}: {by.message}"
    if not status.bad:
        return replace(by, message=text)
    said = "; ".join(part for part in (status.message, text) if part)
    return replace(status, message=said, in_doubt=status.in_doubt or by.in_doubt)
