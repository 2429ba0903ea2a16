"""A journal shortened for people."""

from __future__ import annotations

from datetime import UTC, datetime

from runbookd.cli.runs import last_looks
from runbookd.model.run import StepRecord, StepState

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def row(path: str, attempt: int = 1) -> StepRecord:
    """One attempt that succeeded."""
    return StepRecord(
        run_id="run-1", path=path, attempt=attempt, state=StepState.SUCCEEDED, started_at=AT, epoch=1
    )


def shown(*steps: StepRecord) -> list[tuple[str, int]]:
    """Paths and attempts after shortening."""
    return [(step.path, step.attempt) for step in last_looks(steps)]


def test_the_last_look_stands_for_a_check_that_goes_on() -> None:
    """Of many looks the last is shown, its number as the attempt."""
    assert shown(row("verify"), row("verify/0@1"), row("verify/0@2")) == [("verify", 1), ("verify/0", 2)]


def test_the_end_of_a_check_stands_for_its_looks() -> None:
    """Once a check has ended, no look of it is shown."""
    assert shown(row("verify"), row("verify/0@1"), row("verify/0")) == [("verify", 1), ("verify/0", 1)]


def test_checks_stand_in_the_order_of_the_playbook() -> None:
    """A later check that ended sooner stays behind the earlier one, and steps stay where they were."""
    steps = [row("steps/a"), row("verify"), row("verify/1"), row("verify/0@1"), row("undo/steps/a")]
    assert [path for path, _ in shown(*steps)] == [
        "steps/a",
        "verify",
        "verify/0",
        "verify/1",
        "undo/steps/a",
    ]


def test_every_attempt_of_a_step_is_shown() -> None:
    """Attempts are not looks: each is a line."""
    assert shown(row("steps/a"), row("steps/a", 2)) == [("steps/a", 1), ("steps/a", 2)]
