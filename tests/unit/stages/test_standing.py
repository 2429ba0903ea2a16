"""How a row reads to those who come after it."""

from __future__ import annotations

import pytest

from runbookd.model.reasons import StepReason
from runbookd.model.run import StepRecord, StepState
from runbookd.stages.standing import PENDING, STOPPED, Standing, Status, spoiled, status_of
from tests.unit.stages.run_of import BEGIN


@pytest.mark.parametrize(
    ("state", "reason", "standing"),
    [
        (StepState.INTENT, None, Standing.PENDING),
        (StepState.WAITING, None, Standing.PENDING),
        (StepState.SUCCEEDED, None, Standing.SUCCEEDED),
        (StepState.SUCCEEDED, StepReason.PROBED_DONE, Standing.SUCCEEDED),
        (StepState.SKIPPED, StepReason.WHEN_FALSE, Standing.SKIPPED),
        (StepState.SKIPPED, StepReason.OBSERVED, Standing.OBSERVED),
        (StepState.SKIPPED, StepReason.NEEDS_OBSERVED, Standing.OBSERVED),
        (StepState.FAILED, None, Standing.FAILED),
        (StepState.FAILED, StepReason.STOPPED, Standing.STOPPED),
        (StepState.IN_DOUBT, StepReason.IN_DOUBT, Standing.FAILED),
    ],
)
def test_how_a_row_reads(state: StepState, reason: StepReason | None, standing: Standing) -> None:
    """Every state of a row has one meaning for what follows, and only a doubt is in doubt."""
    status = status_of(
        StepRecord(run_id="r", path="p", attempt=1, state=state, started_at=BEGIN, epoch=1, reason=reason)
    )
    assert status.standing is standing
    assert status.bad is (standing in {Standing.FAILED, Standing.STOPPED})
    assert status.in_doubt is (state is StepState.IN_DOUBT)


def test_what_comes_after_spoils_a_good_end_only() -> None:
    """A bad end stays what it was, and says the rest too; a doubt is never lost."""
    bad = Status(standing=Standing.FAILED, message="no", in_doubt=True)
    assert spoiled(Status(standing=Standing.SUCCEEDED), "x", bad).message == "x: no"
    assert spoiled(STOPPED, "x", bad) == Status(standing=Standing.STOPPED, message="x: no", in_doubt=True)
    assert PENDING.pending
