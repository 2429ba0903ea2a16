"""Whether a run may have changed anything: only a call that is known not to have been carried out changed nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runbookd.model.run import StepRecord, StepState
from runbookd.stages.effect import changed_nothing


def row(state: StepState, reason: str | None = None, *, mutating: bool = True) -> StepRecord:
    """The end of one attempt at a call."""
    began = datetime(2026, 1, 5, tzinfo=UTC)
    return StepRecord(
        run_id="run",
        path="steps/0",
        attempt=1,
        state=state,
        started_at=began,
        epoch=1,
        mutating=mutating,
        reason=reason,
    )


@pytest.mark.parametrize(
    ("rows", "nothing"),
    [
        ([], True),
        ([row(StepState.SUCCEEDED, mutating=False)], True),
        ([row(StepState.FAILED, "not_found"), row(StepState.SKIPPED)], True),
        ([row(StepState.FAILED, "refused"), row(StepState.FAILED, "denied")], True),
        ([row(StepState.FAILED, "exit_status")], False),
        ([row(StepState.FAILED, "assert_false")], False),
        ([row(StepState.FAILED, "refused"), row(StepState.SUCCEEDED)], False),
        ([row(StepState.IN_DOUBT, "timeout"), row(StepState.FAILED, "refused")], False),
    ],
)
def test_a_run_changed_nothing_only_if_that_is_known(rows: list[StepRecord], *, nothing: bool) -> None:
    """A call that may have been carried out, if only in part, is not nothing."""
    assert changed_nothing(rows) is nothing
