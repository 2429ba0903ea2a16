"""What a run says line by line where nobody watches a terminal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from runbookd.cli.progress import Lines
from runbookd.model.action import Mode
from runbookd.model.run import Run, StepRecord, StepState

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
RUN = Run(id="run-1", playbook="p", plan_hash="h", mode=Mode.ACT, created_at=AT, deadline_at=AT)


def look(number: int, message: str | None) -> StepRecord:
    """The look of that number; None is a good one."""
    good = StepRecord(
        run_id="run-1",
        path=f"verify/0@{number}",
        attempt=1,
        state=StepState.SUCCEEDED,
        started_at=AT,
        epoch=1,
        action="read",
    )
    return good if message is None else replace(good, state=StepState.FAILED, message=message)


def test_a_look_is_told_when_it_says_something_else(capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is said once, not at each look of many minutes, and again once it came back."""
    lines = Lines()
    looks = [look(number, said) for number, said in enumerate(("a", "a", "b", None, None, "b"), start=1)]
    for seen in range(1, len(looks) + 1):
        lines.show(RUN, looks[:seen])
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in told] == [f"verify/0@{number}" for number in (1, 3, 4, 6)]
