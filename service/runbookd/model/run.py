"""A run: one playbook at work for one incident, and the journal of its steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from runbookd.model.action import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class RunState(StrEnum):
    """Where a run stands. All but `RUNNING` are ends.

    `VERIFIED`: the trouble is gone. `SUCCEEDED`: all steps done, and the playbook has nothing to verify.
    `UNVERIFIED`: steps done, the trouble still there. `OBSERVED`: planned and read, nothing changed.
    `REFUSED`: a limit, lock or guard kept it from starting.
    """

    RUNNING = "running"
    VERIFIED = "verified"
    SUCCEEDED = "succeeded"
    OBSERVED = "observed"
    UNVERIFIED = "unverified"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"

    @property
    def ended(self) -> bool:
        """True for every state but running."""
        return self is not RunState.RUNNING

    @property
    def good(self) -> bool:
        """True when nobody needs to be told to look."""
        return self in {RunState.VERIFIED, RunState.SUCCEEDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One playbook at work.

    `plan_hash` names the frozen playbooks (and `vars`) it runs, so that an edit changes no run under way.
    `scope` is what its expressions see besides steps: `event`, `incident`, `inputs` and `run`.
    `rung` counts from 0 in the rule's list, and on when the list is begun again. `mutated` is True once a mutating
    call was intended, and False again at the end if every such call is known to have changed nothing.
    `cancel_reason` is set when somebody asked it to stop; it stops at the next step border.
    `rule`, `alert_id` and `incident_id` are None for a run started by hand.
    """

    id: str
    playbook: str
    plan_hash: str
    mode: Mode
    created_at: datetime
    deadline_at: datetime
    scope: Mapping[str, object] = field(default_factory=dict)
    rule: str | None = None
    key: str = ""
    rung: int = 0
    alert_id: str | None = None
    incident_id: str | None = None
    target: str | None = None
    state: RunState = RunState.RUNNING
    reason: str | None = None
    mutated: bool = False
    cancel_reason: str | None = None
    ended_at: datetime | None = None


class StepState(StrEnum):
    """Where one attempt at one step stands.

    `INTENT`: committed, the call may be under way. `WAITING`: nothing to do before `due_at`.
    """

    INTENT = "intent"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One row of the journal: one attempt at the step at `path`.

    Paths read like the playbook: `steps/rollback`, `steps/restart[3]`, `verify/1@7` (the seventh look),
    `undo/steps/rollback`. `attempt` counts from 1. `epoch` is the lease under which it was written: an intent
    of an older epoch is in doubt. `params` hold no secrets. `action` is None for waits, blocks and assertions.
    `reason` is a word for machines, `message` for people.
    """

    run_id: str
    path: str
    attempt: int
    state: StepState
    started_at: datetime
    epoch: int
    action: str | None = None
    key: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    output: Mapping[str, object] = field(default_factory=dict)
    change: Mapping[str, object] | None = None
    mutating: bool = False
    temporary: bool = False
    reason: str | None = None
    message: str | None = None
    due_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Something collected and kept whatever happens: logs, an answer, a listing. `name` is unique within the run."""

    run_id: str
    name: str
    media_type: str
    content: bytes
    sha256: str
    taken_at: datetime
    incident_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A piece of evidence without its content. `size` is in bytes, `sha256` in hex."""

    run_id: str
    name: str
    media_type: str
    size: int
    sha256: str
    taken_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A target kept as a run left it, until a person releases it; the playbook says `holds_target`.

    `incident_id` is None when a person began the run.
    """

    target: str
    playbook: str
    run_id: str
    held_at: datetime
    incident_id: str | None = None
