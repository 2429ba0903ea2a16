"""Settling: from a call's outcome to the end of its row, and whether and when it is tried again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runbookd.errors import EvaluationError
from runbookd.language.cel import Scope, compile_expression
from runbookd.language.render import compile_template
from runbookd.model.action import Failure, Outcome, OutcomeState
from runbookd.model.reasons import StepReason
from runbookd.model.run import StepRecord, StepState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbookd.model.playbook import Retry

DRY_RUN = "dry run: nothing was changed"
_LONGEST_RETRY_AFTER = 86_400.0
"""Seconds a target may make us wait: more than any run lasts, little enough for every date."""


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

    @property
    def attempts(self) -> int:
        """How often it may be tried in all while its failures are temporary."""
        return self.retry.attempts if self.retry is not None else 1


def settle(row: StepRecord, outcome: Outcome, wanted: Wanted, scope: Scope, now: datetime) -> StepRecord:
    """Turn a call's outcome into its row's end: outputs added, assertion judged, and when to try again if it may be."""
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
    if outcome.dry_run:
        ended = _only_asked(ended)
    if outcome.state is OutcomeState.SUCCEEDED:
        return _judged(ended, wanted, scope)
    if outcome.state is OutcomeState.FAILED and ended.temporary and row.attempt < wanted.attempts:
        return replace(ended, due_at=now + _pause(wanted.retry, row, failure))
    return ended


def _only_asked(row: StepRecord) -> StepRecord:
    """Return a dry run's row with the word that it was one."""
    if row.state is StepState.SUCCEEDED:
        return replace(row, reason=StepReason.DRY_RUN, message=DRY_RUN)
    return replace(row, message=f"{row.message}; {DRY_RUN}") if row.message else row


def _pause(retry: Retry | None, row: StepRecord, failure: Failure | None) -> timedelta:
    """How long to wait before the next attempt: the backoff, or longer when the target asked for it."""
    wait = backoff(retry, row.attempt, row.key)
    asked = failure.retry_after if failure is not None else None
    if asked is None or not asked > 0:
        return wait
    return max(wait, timedelta(seconds=min(asked, _LONGEST_RETRY_AFTER)))


def _judged(row: StepRecord, wanted: Wanted, scope: Scope) -> StepRecord:
    """Add named outputs and hold the result against the step's `assert`."""
    if not wanted.outputs and wanted.assertion is None:
        return row
    inner = scope.extended(result=dict(row.output))
    try:
        named = {name: compile_expression(text).evaluate(inner) for name, text in wanted.outputs.items()}
        holds = wanted.assertion is None or compile_expression(wanted.assertion).holds(inner)
    except EvaluationError as error:
        return replace(row, state=StepState.FAILED, reason=StepReason.EXPRESSION, message=str(error))
    row = replace(row, output={**row.output, **named})
    if holds:
        return row
    said = failed_assertion(wanted.assertion or "", wanted.message, inner)
    return replace(row, state=StepState.FAILED, reason=StepReason.ASSERT_FALSE, message=said)


def failed_assertion(text: str, message: str | None, scope: Scope) -> str:
    """Say what a false assertion says: the operator's own words if there are any that render, else the assertion."""
    plain = f"assert does not hold: {text}"
    if message is None:
        return plain
    try:
        return str(compile_template(message).render(scope))
    except EvaluationError as error:
        return f"{plain} (its message cannot be rendered: {error})"


def backoff(retry: Retry | None, attempt: int, key: str) -> timedelta:
    """How long to wait after failed attempt number `attempt`: doubling, bounded, with a jitter that the key decides.

    The jitter takes away up to half, so that many runs that failed together do not come back together.
    """
    if retry is None:
        return timedelta(0)
    longest = min(retry.backoff * (1 << (attempt - 1)), retry.max_backoff)
    share = int.from_bytes(hashlib.sha256(f"{key}#{attempt}".encode()).digest()[:4], "big") / 2**32
    return longest * (1 - share / 2)
