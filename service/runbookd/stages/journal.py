"""The journal as the stages of a run use it: what happened at a path, and how the next row comes about.

Everything a run does is a row here before it is done. Reading the rows again gives the same answer, whoever
reads them: that is how a run goes on after a crash.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from runbookd.errors import EvaluationError, MissingValue
from runbookd.language.cel import Scope
from runbookd.language.conditions import compile_condition
from runbookd.language.render import compile_template
from runbookd.model.action import Mode, Outcome, OutcomeState, Probed, Repeat
from runbookd.model.plan import Ask, Start
from runbookd.model.reasons import StepReason
from runbookd.model.run import Run, StepRecord, StepState
from runbookd.stages.doubt import cut_off, left_to_a_person
from runbookd.stages.settling import Wanted, settle
from runbookd.stages.standing import PENDING, STOPPED, Status, status_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbookd.model.action import Spec

_TRIES_IN_DOUBT = 3  # a call that was cut off and did not happen is made again, up to this many attempts
_OWN_TIMEOUT = timedelta(seconds=30)
_DONE_BUT_WRONG = frozenset({StepReason.ASSERT_FALSE, StepReason.EXPRESSION})


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answer to a call made under this claim: an outcome, or for a probe also what it found."""

    outcome: Outcome | None
    probed: Probed | None = None


class Journal:
    """The rows of one run, and the moves decided so far.

    `epoch` is the claim under which this is decided; `answers` are those of calls made under it, by path.
    `stopping` tells that no new step may begin; `frozen` tells that no mutating call may (the switch).
    """

    def __init__(
        self,
        run: Run,
        rows: Sequence[StepRecord],
        answers: Mapping[str, Answered],
        *,
        epoch: int,
        now: datetime,
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

    # rows ----------------------------------------------------------------------------------------------------

    def last(self, path: str) -> StepRecord | None:
        """Return the latest attempt at the path, or None."""
        rows = self._rows.get(path)
        return rows[-1] if rows else None

    def changes(self) -> list[StepRecord]:
        """Rows of steps that surely changed something, latest first.

        A call that succeeded and whose `assert` or `outputs` then failed has changed something too.
        """
        rows = [row for rows in self._rows.values() for row in rows]
        done = [
            row for row in rows if row.mutating and not row.path.startswith("undo/") and _took_effect(row)
        ]
        return sorted(done, key=lambda row: row.ended_at or row.started_at)[::-1]

    def note(self, row: StepRecord) -> StepRecord:
        """Decide that this row is to be written."""
        self._put(row)
        self.records[row.path, row.attempt] = row
        return row

    def wake(self, at: datetime) -> None:
        """Ask to look again no later than `at`."""
        self.due = at if self.due is None else min(self.due, at)

    def row(
        self, path: str, state: StepState, reason: StepReason | None = None, message: str = ""
    ) -> StepRecord:
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

    def skipped(self, path: str, when: str | None, scope: Scope) -> Status | None:
        """Judge a `when`; None when the step is to go on, else how it stands (and a row says so)."""
        if when is None:
            return None
        try:
            if compile_condition(when).holds(scope):
                return None
        except EvaluationError as error:
            return self.unrenderable(path, error)
        return status_of(self.note(self.row(path, StepState.SKIPPED, StepReason.WHEN_FALSE, when)))

    def unrenderable(
        self,
        path: str,
        error: EvaluationError,
        reason: StepReason = StepReason.EXPRESSION,
        action: str | None = None,
    ) -> Status:
        """Note a step whose expressions cannot be computed, for this reason.

        In observe mode one that lacks a value, most likely for want of a call that was not made, is skipped.
        """
        if isinstance(error, MissingValue) and self.run.mode is Mode.OBSERVE:
            row = self.row(path, StepState.SKIPPED, StepReason.NEEDS_OBSERVED, str(error))
        else:
            row = self.row(path, StepState.FAILED, reason, str(error))
        return status_of(self.note(replace(row, action=action)))

    def _put(self, row: StepRecord) -> None:
        rows = self._rows.setdefault(row.path, [])
        if rows and rows[-1].attempt == row.attempt:
            rows[-1] = row
        else:
            rows.append(row)

    # calls ---------------------------------------------------------------------------------------------------

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

    def _begin(self, path: str, wanted: Wanted, scope: Scope, actions: Actions) -> Status:
        if self.stopping:
            return STOPPED
        skipped = self.skipped(path, wanted.when, scope)
        if skipped is not None:
            return skipped
        try:
            params = compile_template(dict(wanted.parameters)).render(scope)
        except EvaluationError as error:
            return self.unrenderable(path, error, action=wanted.action)
        assert isinstance(params, dict)  # noqa: S101 - a map renders to a map
        intent = self._intent(path, wanted, params, actions, attempt=1)
        if intent.mutating and self.frozen:
            text = "the switch is off: no mutating call is made while the service is paused"
            row = self.row(path, StepState.FAILED, StepReason.PAUSED, text)
            return status_of(self.note(replace(row, action=wanted.action)))
        return self._start(intent, wanted, actions)

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

    def _awaited(self, row: StepRecord) -> Status:
        """Wait for the answer; but a run that was asked to stop waits for no call that changes nothing."""
        if row.mutating or not self.stopping or self.run.cancel_reason is None:
            return PENDING
        text = "not waited for: the run was asked to stop"
        ended = replace(
            row, state=StepState.FAILED, reason=StepReason.STOPPED, message=text, ended_at=self.now
        )
        return status_of(self.note(ended))

    def _under_way(self, row: StepRecord, wanted: Wanted, scope: Scope, actions: Actions) -> Status:
        if row.path in self._answers:
            self._settled(row, wanted, scope)
            return self.call(row.path, wanted, scope, actions)
        if row.epoch == self.epoch:
            return self._awaited(row)
        return self._doubted(self.note(cut_off(row, actions.spec(wanted.action))), wanted, scope, actions)

    def _settled(self, row: StepRecord, wanted: Wanted, scope: Scope) -> StepRecord:
        answered = self._answers[row.path]
        assert answered.outcome is not None  # noqa: S101 - only a probe answers without one
        return self.note(settle(row, answered.outcome, wanted, scope, self.now))

    def _again(self, row: StepRecord, wanted: Wanted, actions: Actions) -> Status:
        """Retry a temporary failure when its backoff has passed."""
        assert row.due_at is not None  # noqa: S101 - the caller looked
        if self.stopping:
            return STOPPED
        if self._held_back(row):
            return status_of(row)
        if self.now < row.due_at:
            self.wake(row.due_at)
            return PENDING
        return self._start(
            self._intent(row.path, wanted, row.params, actions, attempt=row.attempt + 1), wanted, actions
        )

    # calls in doubt ------------------------------------------------------------------------------------------

    def _doubted(self, row: StepRecord, wanted: Wanted, scope: Scope, actions: Actions) -> Status:
        """Decide about a call that may have happened: ask, repeat, or leave it to a person."""
        answered = self._answers.get(row.path)
        if answered is not None and answered.probed is not None:
            return self._probed(row, answered, wanted, scope, actions)
        if not row.mutating:
            return self._repeated(row, wanted, actions)
        repeat = actions.repeat(wanted.action, row.params)
        if repeat is Repeat.PROBE:
            self.starts.append(Start(ask=Ask.PROBE, record=row, timeout=_timeout(wanted, actions)))
            return PENDING
        if repeat is Repeat.NEVER or _tried_enough(row, wanted):
            why = "it may have taken effect and must not be repeated blindly"
            return self._give_up(row, why, actions)
        held = self._held_back(row)
        if held is not None:
            return self._give_up(row, f"it may have taken effect; not repeated: {_HELD[held]}", actions)
        return self._repeated(row, wanted, actions)

    def _probed(
        self, row: StepRecord, answered: Answered, wanted: Wanted, scope: Scope, actions: Actions
    ) -> Status:
        if answered.probed is Probed.UNKNOWN:
            failure = answered.outcome.failure if answered.outcome is not None else None
            said = f": {failure.message}" if failure is not None else ""
            why = f"asked whether it took effect, the target could not say{said}"
            return self._give_up(row, why, actions)
        if answered.probed is Probed.NOT_DONE:
            # The target may still be at work on the call that was cut off; "not done" counts once its time is up.
            over_at = row.started_at + _timeout(wanted, actions)
            if self.now >= over_at:
                return self._repeated(row, wanted, actions)
            self.wake(over_at)
            return PENDING
        outcome = answered.outcome or Outcome(state=OutcomeState.SUCCEEDED)
        settled = settle(row, outcome, wanted, scope, self.now)
        if settled.state is StepState.SUCCEEDED:
            settled = replace(
                settled, reason=StepReason.PROBED_DONE, message="no answer came; asked, it had happened"
            )
        return status_of(self.note(settled))

    def _repeated(self, row: StepRecord, wanted: Wanted, actions: Actions) -> Status:
        """Call again what did not take effect, or takes none by being repeated; unless that was done often enough."""
        held = self._held_back(row)
        if held is not None or _tried_enough(row, wanted):
            why = f"it was tried {row.attempt} times" if held is None else _HELD[held]
            failed = replace(
                row,
                state=StepState.FAILED,
                reason=held or row.reason,
                message=f"{row.message or 'no answer'}; not repeated: {why}",
                ended_at=self.now,
            )
            return status_of(self.note(failed))
        self.note(replace(row, ended_at=self.now))
        return self._start(
            self._intent(row.path, wanted, row.params, actions, attempt=row.attempt + 1), wanted, actions
        )

    def _held_back(self, row: StepRecord) -> StepReason | None:
        """Say why a call is not to be made again now; None when it may be."""
        if self.stopping:
            return StepReason.STOPPED
        return StepReason.PAUSED if row.mutating and self.frozen else None

    def _give_up(self, row: StepRecord, why: str, actions: Actions) -> Status:
        """Leave to a person a call that may have happened."""
        spec = actions.spec(row.action or "")
        left = replace(
            row,
            state=StepState.IN_DOUBT,
            reason=StepReason.IN_DOUBT,
            message=left_to_a_person(row, why, spec, self.run.playbook),
            ended_at=self.now,
            due_at=None,
        )
        return status_of(self.note(left))

    # undo ----------------------------------------------------------------------------------------------------

    def undo(self, row: StepRecord, actions: Actions, *, begin: bool) -> Status | None:
        """Bring the undo of a row one move on; None when it has not begun, and is not to (`begin`)."""
        path = f"undo/{row.path}"
        wanted = Wanted(action=row.action or "", parameters={})
        last = self.last(path)
        if last is None:
            return self._start_undo(row, wanted, actions, attempt=1) if begin else None
        if last.state is not StepState.INTENT:
            return status_of(last)
        if path in self._answers:
            last = self._settled(last, wanted, Scope({}))
            if last.state is not StepState.IN_DOUBT:
                return status_of(last)
        elif last.epoch == self.epoch:
            return PENDING
        else:
            last = cut_off(last, actions.spec(wanted.action))
        safe = actions.repeat(wanted.action, row.params) is Repeat.SAFE
        if begin and safe and not _tried_enough(last, wanted):
            self.note(replace(last, ended_at=self.now))
            return self._start_undo(row, wanted, actions, attempt=last.attempt + 1)
        return self._give_up(last, "the undo may have happened", actions)

    def _start_undo(self, row: StepRecord, wanted: Wanted, actions: Actions, *, attempt: int) -> Status:
        undo = self._intent(f"undo/{row.path}", wanted, dict(row.params), actions, attempt=attempt)
        return self._start(replace(undo, mutating=True), wanted, actions, undoes=row)


_HELD = {
    StepReason.STOPPED: "the run is to stop",
    StepReason.PAUSED: "the service is paused",
}


def _took_effect(row: StepRecord) -> bool:
    if row.state is StepState.FAILED:
        return row.reason in _DONE_BUT_WRONG
    return row.state is StepState.SUCCEEDED


def _tried_enough(row: StepRecord, wanted: Wanted) -> bool:
    return row.attempt >= max(_TRIES_IN_DOUBT, wanted.attempts)


def _timeout(wanted: Wanted, actions: Actions) -> timedelta:
    if wanted.timeout is not None:
        return wanted.timeout
    spec = actions.spec(wanted.action)
    return spec.timeout if spec is not None else _OWN_TIMEOUT
