"""What a run follows, and what it does next: the frozen plan, and the moves decided from its journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from runbookd.model.playbook import Playbook
    from runbookd.model.reasons import RunReason
    from runbookd.model.run import RunState, StepRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The playbooks a run follows (the root and all it calls) and the `vars` they read, frozen when it was made."""

    root: str
    playbooks: Mapping[str, Playbook]
    vars: Mapping[str, object] = field(default_factory=dict)


class Ask(StrEnum):
    """What is asked of an action: to run, to tell whether it ran, or to reverse what it did."""

    RUN = "run"
    PROBE = "probe"
    UNDO = "undo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A call to make once its intent is committed.

    `record` is the journal row it belongs to. `undoes` is the row whose effect an undo reverses, else None.
    """

    ask: Ask
    record: StepRecord
    timeout: timedelta
    undoes: StepRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """How the run ends. `message` is for people: the step and what it said."""

    state: RunState
    reason: RunReason
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What to write, what to call, and when to look again.

    `records` are to be committed before any of `starts` is made. `due` is when to look again if nothing else
    happens; None when only an answer under way can change anything, or the run is at its end (`finish`).
    """

    records: tuple[StepRecord, ...]
    starts: tuple[Start, ...]
    due: datetime | None
    finish: Finish | None
