"""What automation did about an incident, what it changed, and what it collected, for its review."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from runbookd.language.calls import call_of
from runbookd.language.differences import Difference, differences, was_dry_run
from runbookd.model.action import Mode
from runbookd.model.reasons import StepReason
from runbookd.model.run import Run, RunState, StepRecord, StepState
from runbookd.reports.review_words import ENDS, said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbookd.model.run import Listed
    from runbookd.units.record import Record

_OUTCOMES: Final[Mapping[StepState, str]] = {
    StepState.SUCCEEDED: "done",
    StepState.FAILED: "failed",
    StepState.IN_DOUBT: "in doubt",
    StepState.INTENT: "no answer on record",
    StepState.WAITING: "failed, to be tried again",
    StepState.SKIPPED: "not called, it only observes",
}

_WITH_REASON: Final = frozenset({RunState.FAILED, RunState.CANCELLED, RunState.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A call that changed something, or would have; `changes` are the places it changed. A dry run changed nothing."""

    at: datetime
    action: str
    attempt: int
    outcome: str
    dry_run: bool
    message: str
    changes: tuple[Difference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A run: which playbook, on what (None: on nothing named), how it ended, and what it did on the way.

    `end` says it in words, `message` why, as far as it is known.
    """

    run_id: str
    playbook: str
    target: str | None
    state: RunState
    observing: bool
    end: str
    message: str
    began_at: datetime
    ended_at: datetime | None
    deeds: tuple[Deed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A piece of evidence: the run that collected it, its name, its size in bytes, and its hash in hex."""

    run_id: str
    playbook: str
    name: str
    size: int
    sha256: str
    taken_at: datetime


def remedies(record: Record) -> list[Remedy]:
    """Return every run of the incident, oldest first."""
    return [_remedy(run, record) for run in record.runs]


def evidence(record: Record) -> list[Kept]:
    """Return every piece of evidence, without its content."""
    playbooks = {run.id: run.playbook for run in record.runs}
    return [_kept(piece, playbooks) for piece in record.evidence]


def how_it_ended(run: Run, record: Record) -> str:
    """Say why a run ended as it did: what it said at its end, else its reason if its end does not tell it."""
    for entry in record.entries:
        if entry.run_id == run.id and entry.what == f"run_{run.state.value}" and entry.detail.get("message"):
            return str(entry.detail["message"])
    return said(run.reason) if run.state in _WITH_REASON else ""


def _remedy(run: Run, record: Record) -> Remedy:
    steps = record.steps.get(run.id, ())
    return Remedy(
        run_id=run.id,
        playbook=run.playbook,
        target=run.target,
        state=run.state,
        observing=run.mode is Mode.OBSERVE,
        end=ENDS[f"run_{run.state.value}"],
        message=how_it_ended(run, record),
        began_at=run.created_at,
        ended_at=run.ended_at,
        deeds=tuple(_deed(step) for step in steps if _changes_something(step)),
    )


def _changes_something(step: StepRecord) -> bool:
    """Whether a call changes something, or would if the run did not only observe."""
    return step.action is not None and (step.mutating or _only_observed(step))


def _only_observed(step: StepRecord) -> bool:
    return was_dry_run(step.reason) or step.reason == StepReason.OBSERVED


def _deed(step: StepRecord) -> Deed:
    dry = was_dry_run(step.reason)
    return Deed(
        at=step.ended_at or step.started_at,
        action=call_of(step),
        attempt=step.attempt,
        outcome="dry run, nothing was changed" if dry else _OUTCOMES[step.state],
        dry_run=dry,
        message="" if _only_observed(step) else step.message or "",
        changes=tuple(differences(step.change)),
    )


def _kept(piece: Listed, playbooks: Mapping[str, str]) -> Kept:
    return Kept(
        run_id=piece.run_id,
        playbook=playbooks.get(piece.run_id, ""),
        name=piece.name,
        size=piece.size,
        sha256=piece.sha256,
        taken_at=piece.taken_at,
    )
