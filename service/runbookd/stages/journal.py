"""The journal as the stages of a run use it: what happened at a path, and how the next row comes about.

Everything a run does is a row here before it is done. Reading the rows again gives the same answer, whoever
reads them: that is how a run goes on after a crash.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from runbookd.errors import EvaluationError, MissingValue
from runbookd.language.cel import Scope, compile_expression
from runbookd.language.render import compile_template
from runbookd.model.action import Mode, Outcome, OutcomeState, Probed, Repeat
from runbookd.model.plan import Ask, Start
from runbookd.model.reasons import StepReason
from runbookd.model.run import Run, StepRecord, StepState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbookd.model.action import Spec
    from runbookd.model.playbook import Retry

_TRIES_IN_DOUBT = 3  # a call that was cut off and did not happen is made again, up to this many attempts
_OWN_TIMEOUT = timedelta(seconds=30)
RESERVED = frozenset({"outcome", "error"})
"""Names under `steps.ID` that a result may not use: they say how the step went."""


class Actions(Protocol):
    """What the stages may know of actions: plain data, no call is made."""

    def spec(self, action: str) -> Spec | None:
        """What the action declares; None when there is none of that name."""
        ...

    def mutates(self, action: str, params: Mapping[str, object]) -> bool:
        """Whether this call changes anything."""
        ...

    def repeat(self, action: str, params: Mapping[str, object]) -> Repeat:
        """What a crash between this call and its answer allows."""
        ...


class Standing(StrEnum):
    """How a step stands, seen from the step after it."""

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
    def bad(self) -> bool:
        """True when what follows must not go on."""
        return self.standing in {Standing.FAILED, Standing.STOPPED}


PENDING = Status(standing=Standing.PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answer to a call made under this claim: an outcome, or for a probe also what it found."""

    outcome: Outcome | None
    probed: Probed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One call a playbook wants at a path. `parameters` may hold ${...}; None `timeout` means the action's own."""

    action: str
    parameters: Mapping[str, object]
    when: str | None = None
    timeout: timedelta | None = None
    retry: Retry | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    assertion: str | None = None
    message: str | None = None


class Journal:
    """The rows of one run, and the moves decided so far.

    `epoch` is the claim under which this is decided; `answers` are those of calls made under it, by path.
    `stopping` tells that no new step may begin; `frozen` tells that no mutating call may (the switch).
    """

    def __init__(
        self, run: Run, rows: Sequence[StepRecord], answers: Mapping[str, Answered], *, epoch: int, now: datetime
    ) -> None:
        """Read the rows in; nothing is decided yet."""
        self.run = run
        self.epoch = epoch
        self.now = now
        self.stopping = False
        self.frozen = False
        self.records: dict[tuple[str, int], StepRecord] = {}
        self.starts: list[Start] = []
        self.due: datetime | None = None
        self._answers = answers
        self._rows: dict[str, list[StepRecord]] = {}
        for row in rows:
            self._put(row)

    def last(self, path: str) -> StepRecord | None:
        """Return the latest attempt at the path, or None."""
        rows = self._rows.get(path)
        return rows[-1] if rows else None

    def ended_mutations(self) -> list[StepRecord]:
        """Rows of mutating calls that succeeded, latest first."""
        rows = [row for rows in self._rows.values() for row in rows]
        done = [row for row in rows if row.mutating and row.state is StepState.SUCCEEDED and row.ended_at]
        return sorted(done, key=lambda row: row.ended_at or row.started_at, reverse=True)

    def note(self, row: StepRecord) -> StepRecord:
        """Decide that this row is to be written."""
        self._put(row)
        self.records[row.path, row.attempt] = row
        return row

    def wake(self, at: datetime) -> None:
        """Ask to look again no later than `at`."""
        self.due = at if self.due is None else min(self.due, at)

    def row(self, path: str, state: StepState, reason: StepReason | None = None, message: str = "") -> StepRecord:
        """Make a row for something that is not a call: it begins, and unless it waits ends, now."""
        ended = None if state is StepState.WAITING else self.now
        return StepRecord(
            run_id=self.run.id,
            path=path,
            attempt=1,
            state=state,
            started_at=self.now,
            ended_at=ended,
            epoch=self.epoch,
            reason=reason,
            message=message or None,
        )

    def call(self, path: str, wanted: Wanted, scope: Scope, actions: Actions) -> Status:
        """Bring the call at `path` one move on, and say how it stands."""
        last = self.last(path)
        if last is None:
            return self._begin(path, wanted, scope, actions)
        if last.state is StepState.INTENT:
            return self._under_way(last, wanted, scope, actions)
        if last.state is StepState.IN_DOUBT and last.ended_at is None:
            return self._doubted(last, wanted, scope, actions)
        if last.state is StepState.FAILED and last.due_at is not None:
            return self._again(last, wanted, actions)
        return status_of(last)

    def undo(self, row: StepRecord, actions: Actions) -> Status:
        """Bring the undo of a row one move on."""
        path = f"undo/{row.path}"
        wanted = Wanted(action=row.action or "", parameters={})
        last = self.last(path)
        if last is None:
            undo = self._intent(path, wanted, dict(row.params), actions, attempt=1)
            return self._start(replace(undo, mutating=True), wanted, actions, undoes=row)
        if last.state is StepState.INTENT and path in self._answers:
            return status_of(self._settled(last, wanted, Scope({}), actions))
        if last.state is StepState.INTENT and last.epoch == self.epoch:
            return PENDING
        if last.state is StepState.INTENT:
            safe = actions.repeat(wanted.action, last.params) is Repeat.SAFE and last.attempt < _TRIES_IN_DOUBT
            if safe:
                again = self._intent(path, wanted, last.params, actions, attempt=last.attempt + 1)
                return self._start(replace(again, mutating=True), wanted, actions, undoes=row)
            return status_of(self.note(self._given_up(last, "its undo was cut off and may have happened")))
        return status_of(last)

    def _put(self, row: StepRecord) -> None:
        rows = self._rows.setdefault(row.path, [])
        if rows and rows[-1].attempt == row.attempt:
            rows[-1] = row
        else:
            rows.append(row)

    def _begin(self, path: str, wanted: Wanted, scope: Scope, actions: Actions) -> Status:
        if self.stopping:
            return Status(standing=Standing.STOPPED)
        skipped = self.skipped(path, wanted.when, scope)
        if skipped is not None:
            return skipped
        try:
            params = compile_template(dict(wanted.parameters)).render(scope)
        except EvaluationError as error:
            return self.unrenderable(path, wanted.action, error)
        assert isinstance(params, dict)  # noqa: S101 - a map renders to a map
        intent = self._intent(path, wanted, params, actions, attempt=1)
        if intent.mutating and self.frozen:
            text = "the switch is off: no mutating call is made while the service is paused"
            row = self.note(replace(self.row(path, StepState.FAILED, StepReason.PAUSED, text), action=wanted.action))
            return status_of(row)
        return self._start(intent, wanted, actions)

    def skipped(self, path: str, when: str | None, scope: Scope) -> Status | None:
        """Judge a `when`; None when the step is to go on, else how it stands (and a row says so)."""
        if when is None:
            return None
        try:
            if compile_expression(when).holds(scope):
                return None
        except EvaluationError as error:
            return self.unrenderable(path, None, error)
        return status_of(self.note(self.row(path, StepState.SKIPPED, StepReason.WHEN_FALSE, when)))

    def unrenderable(self, path: str, action: str | None, error: EvaluationError) -> Status:
        """Note a step whose expressions cannot be computed; in observe mode, for want of a call not made, it is skipped."""
        if isinstance(error, MissingValue) and self.run.mode is Mode.OBSERVE:
            row = self.row(path, StepState.SKIPPED, StepReason.NEEDS_OBSERVED, str(error))
        else:
            row = self.row(path, StepState.FAILED, StepReason.EXPRESSION, str(error))
        return status_of(self.note(replace(row, action=action)))

    def _intent(
        self, path: str, wanted: Wanted, params: Mapping[str, object], actions: Actions, *, attempt: int
    ) -> StepRecord:
        return StepRecord(
            run_id=self.run.id,
            path=path,
            attempt=attempt,
            state=StepState.INTENT,
            started_at=self.now,
            epoch=self.epoch,
            action=wanted.action,
            key=f"{self.run.id}:{path}",
            params=params,
            mutating=actions.mutates(wanted.action, params) and self.run.mode is Mode.ACT,
        )

    def _start(
        self, intent: StepRecord, wanted: Wanted, actions: Actions, undoes: StepRecord | None = None
    ) -> Status:
        self.note(intent)
        ask = Ask.RUN if undoes is None else Ask.UNDO
        self.starts.append(Start(ask=ask, record=intent, timeout=_timeout(wanted, actions), undoes=undoes))
        return PENDING

    def _under_way(self, row: StepRecord, wanted: Wanted, scope: Scope, actions: Actions) -> Status:
        if row.path in self._answers:
            settled = self._settled(row, wanted, scope, actions)
            return self.call(row.path, wanted, scope, actions) if settled.state is not StepState.INTENT else PENDING
        if row.epoch == self.epoch:
            return PENDING
        cut = replace(row, state=StepState.IN_DOUBT, reason=StepReason.INTERRUPTED, message="cut off before an answer")
        self.note(cut)
        return self._doubted(cut, wanted, scope, actions)

    def _settled(self, row: StepRecord, wanted: Wanted, scope: Scope, actions: Actions) -> StepRecord:
        answered = self._answers[row.path]
        assert answered.outcome is not None  # noqa: S101 - only a probe answers without one
        return self.note(settle(row, answered.outcome, wanted, scope, self.now))

    def _doubted(self, row: StepRecord, wanted: Wanted, scope: Scope, actions: Actions) -> Status:
        """Decide about a call that may have happened: ask, repeat, or leave it to a person."""
        answered = self._answers.get(row.path)
        if answered is not None and answered.probed is not None:
            return self._probed(row, answered, wanted, scope, actions)
        repeat = Repeat.SAFE if not row.mutating else actions.repeat(wanted.action, row.params)
        if repeat is Repeat.PROBE:
            self.starts.append(Start(ask=Ask.PROBE, record=row, timeout=_timeout(wanted, actions)))
            return PENDING
        if repeat is Repeat.NEVER or row.attempt >= max(_TRIES_IN_DOUBT, _attempts(wanted)):
            text = f"{row.message or 'no answer'}; it may have taken effect and must not be repeated blindly"
            return status_of(self.note(self._given_up(row, text)))
        return self._repeated(row, wanted, actions)

    def _probed(
        self, row: StepRecord, answered: Answered, wanted: Wanted, scope: Scope, actions: Actions
    ) -> Status:
        if answered.probed is Probed.UNKNOWN:
            text = f"{row.message or 'no answer'}; asked whether it took effect, the target could not say"
            return status_of(self.note(self._given_up(row, text)))
        if answered.probed is Probed.NOT_DONE:
            if row.attempt >= max(_TRIES_IN_DOUBT, _attempts(wanted)):
                text = f"{row.message or 'no answer'}; it did not take effect, and was tried {row.attempt} times"
                failed = replace(row, state=StepState.FAILED, message=text, ended_at=self.now)
                return status_of(self.note(failed))
            return self._repeated(row, wanted, actions)
        outcome = answered.outcome or Outcome(state=OutcomeState.SUCCEEDED)
        settled = settle(row, outcome, wanted, scope, self.now)
        if settled.state is StepState.SUCCEEDED:
            settled = replace(settled, reason=StepReason.PROBED_DONE, message="no answer came; asked, it had happened")
        return status_of(self.note(settled))

    def _repeated(self, row: StepRecord, wanted: Wanted, actions: Actions) -> Status:
        if self.stopping or (row.mutating and self.frozen):
            text = "it was cut off, and is not repeated because the run is stopping"
            return status_of(self.note(self._given_up(row, text)))
        self.note(replace(row, ended_at=self.now))
        return self._start(self._intent(row.path, wanted, row.params, actions, attempt=row.attempt + 1), wanted, actions)

    def _given_up(self, row: StepRecord, text: str) -> StepRecord:
        return replace(
            row, state=StepState.IN_DOUBT, reason=StepReason.IN_DOUBT, message=text, ended_at=self.now, due_at=None
        )

    def _again(self, row: StepRecord, wanted: Wanted, actions: Actions) -> Status:
        """Retry a temporary failure when its backoff has passed."""
        assert row.due_at is not None  # noqa: S101 - the caller looked
        if self.stopping or (row.mutating and self.frozen):
            return status_of(row)
        if self.now < row.due_at:
            self.wake(row.due_at)
            return PENDING
        return self._start(self._intent(row.path, wanted, row.params, actions, attempt=row.attempt + 1), wanted, actions)


def settle(row: StepRecord, outcome: Outcome, wanted: Wanted, scope: Scope, now: datetime) -> StepRecord:
    """Turn a call's outcome into the row's end: outputs added, assertion judged, a retry set when it may be tried again."""
    failure = outcome.failure
    ended = replace(
        row,
        state=StepState(outcome.state.value),
        output=dict(outcome.output),
        change=outcome.change,
        reason=failure.kind if failure else None,
        message=failure.message if failure else None,
        temporary=failure.temporary if failure else False,
        ended_at=None if outcome.state is OutcomeState.IN_DOUBT else now,
    )
    if outcome.state is OutcomeState.SUCCEEDED:
        return _judged(ended, wanted, scope)
    if outcome.state is OutcomeState.FAILED and ended.temporary and row.attempt < _attempts(wanted):
        wait = backoff(wanted.retry, row.attempt, row.key)
        if failure is not None and failure.retry_after is not None:
            wait = max(wait, timedelta(seconds=failure.retry_after))
        return replace(ended, due_at=now + wait)
    return ended


def _judged(row: StepRecord, wanted: Wanted, scope: Scope) -> StepRecord:
    """Add named outputs and hold the result against the step's `assert`."""
    if not wanted.outputs and wanted.assertion is None:
        return row
    inner = scope.extended(result=dict(row.output))
    try:
        named = {name: compile_expression(text).evaluate(inner) for name, text in wanted.outputs.items()}
        holds = wanted.assertion is None or compile_expression(wanted.assertion).holds(inner)
        said = "" if holds else failed_assertion(wanted.assertion or "", wanted.message, inner)
    except EvaluationError as error:
        return replace(row, state=StepState.FAILED, reason=StepReason.EXPRESSION, message=str(error))
    row = replace(row, output={**row.output, **named})
    return row if holds else replace(row, state=StepState.FAILED, reason=StepReason.ASSERT_FALSE, message=said)


def failed_assertion(text: str, message: str | None, scope: Scope) -> str:
    """Say what a false assertion says: the operator's own words, else the assertion."""
    if message is None:
        return f"assert does not hold: {text}"
    return str(compile_template(message).render(scope))


def status_of(row: StepRecord) -> Status:
    """Say how an ended row stands."""
    if row.state is StepState.SUCCEEDED:
        return Status(standing=Standing.SUCCEEDED, output=row.output)
    if row.state is StepState.SKIPPED:
        observed = row.reason in {StepReason.OBSERVED, StepReason.NEEDS_OBSERVED}
        standing = Standing.OBSERVED if observed else Standing.SKIPPED
        return Status(standing=standing, output=row.output, reason=row.reason or "")
    if row.state in {StepState.FAILED, StepState.IN_DOUBT}:
        return Status(
            standing=Standing.FAILED,
            output=row.output,
            reason=row.reason or "failed",
            message=row.message or "",
            in_doubt=row.state is StepState.IN_DOUBT,
        )
    return PENDING


def backoff(retry: Retry | None, attempt: int, key: str) -> timedelta:
    """How long to wait after failed attempt number `attempt`: doubling, bounded, with a jitter that the key decides.

    The jitter takes away up to half, so that many runs that failed together do not come back together.
    """
    if retry is None:
        return timedelta(0)
    longest = min(retry.backoff * 2 ** (attempt - 1), retry.max_backoff)
    share = int.from_bytes(hashlib.sha256(f"{key}#{attempt}".encode()).digest()[:4], "big") / 2**32
    return longest * (1 - share / 2)


def _attempts(wanted: Wanted) -> int:
    return wanted.retry.attempts if wanted.retry is not None else 1


def _timeout(wanted: Wanted, actions: Actions) -> timedelta:
    if wanted.timeout is not None:
        return wanted.timeout
    spec = actions.spec(wanted.action)
    return spec.timeout if spec is not None else _OWN_TIMEOUT
