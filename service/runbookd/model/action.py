"""What an action declares of itself, and what a call of one came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta


class Mode(StrEnum):
    """`OBSERVE` does everything but the mutating calls; `ACT` acts."""

    OBSERVE = "observe"
    ACT = "act"


class Repeat(StrEnum):
    """What a crash between a call and its answer allows.

    `SAFE`: call again with the same idempotency key. `PROBE`: ask the target whether it happened, then decide.
    `NEVER`: stop and page; a person decides.
    """

    SAFE = "safe"
    PROBE = "probe"
    NEVER = "never"


class OutcomeState(StrEnum):
    """What a call came to. `IN_DOUBT`: it may have taken effect, no answer came."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    SKIPPED = "skipped"


class Probed(StrEnum):
    """A probe's answer: the call in doubt took effect, did not, or cannot be told."""

    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """A right an action needs in the world outside, as data.

    `system` names whose it is (kubernetes, aws); `rule` is in that system's own form.
    """

    system: str
    rule: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What an action declares as data; the catalogue, the reference page and the guards read nothing else.

    `mutates` is the strongest the action can do; a call whose parameters only read says so itself. `undo` says
    how it is reversed, or why it cannot be. `timeout` bounds one attempt unless the step says otherwise.
    `example` is a step's `with:`, and must validate.
    """

    name: str
    summary: str
    mutates: bool
    repeat: Repeat
    undo: str
    timeout: timedelta
    example: Mapping[str, object]
    permissions: tuple[Permission, ...] = ()
    undoable: bool = False


NOT_SET = "not_set"
"""The kind of a failure when where a call would go is not in the settings."""
SECRET_MISSING = "secret_missing"  # noqa: S105 -- a word for a failure
"""The kind of a failure when a secret that a call names is not set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a call did not succeed. `kind` is a word for machines (timeout, refused, invalid, ...), `message` for people.

    `retry_after` is in seconds; None when the target did not say.
    """

    kind: str
    message: str
    temporary: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Evidence an action attached to its outcome; kept in the same transaction."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a call came to; the only thing that leaves `actions/base.perform`.

    `output` is the typed result as a plain tree (durations and timestamps keep their types). `change` is the
    state before and after a mutating call, None when nothing changed or nothing is known. With `dry_run` it was only
    asked what would change.
    """

    state: OutcomeState
    output: Mapping[str, object] = field(default_factory=dict)
    failure: Failure | None = None
    change: Mapping[str, object] | None = None
    evidence: tuple[Piece, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One attempt at one step: everything an action may know about why it is called.

    `key` is the idempotency key: the same for every attempt at the same step of the same run. `params` are
    rendered but for secrets, which the performer puts in at the last moment. `timeout` bounds this attempt.
    `intended_at` is when the intent was committed, the time a probe looks back to; None when it was not journalled.
    """

    run_id: str
    path: str
    attempt: int
    action: str
    key: str
    params: Mapping[str, object]
    mode: Mode
    timeout: timedelta
    incident_id: str | None = None
    intended_at: datetime | None = None
