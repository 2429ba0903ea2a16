"""What becomes of a call's outcome: a dry run is told as one."""

from __future__ import annotations

from dataclasses import replace

from runbookd.model.action import Mode, Outcome, OutcomeState
from tests.unit.stages.run_of import RunOf, fails, ok

TEXT = "steps: [{id: a, action: safe%s}]"


def dry(outcome: Outcome) -> Outcome:
    """The same, only asked."""
    return replace(outcome, dry_run=True)


def test_a_dry_run_says_that_nothing_was_changed() -> None:
    """A step that was only asked what it would change says so, and keeps what it would change."""
    change = {"before": {"replicas": 2}, "after": {"replicas": 5}}
    answer = replace(dry(ok(n=5)), change=change)
    run = RunOf(TEXT % "", {"steps/a": answer}, mode=Mode.OBSERVE)
    assert run.to_the_end().state == "observed"
    row = run.row("steps/a")
    assert (run.state("steps/a"), row.message) == ("succeeded:dry_run", "dry run: nothing was changed")
    assert (row.change, row.mutating) == (change, False)


def test_a_dry_run_that_fails_says_so_too() -> None:
    """What the target said stands first."""
    run = RunOf(TEXT % "", {"steps/a": dry(fails("quota exceeded"))}, mode=Mode.OBSERVE)
    run.to_the_end()
    assert run.state("steps/a") == "failed:failed"
    assert run.row("steps/a").message == "quota exceeded; dry run: nothing was changed"
    silent = dry(Outcome(state=OutcomeState.SKIPPED))
    run = RunOf(TEXT % "", {"steps/a": silent}, mode=Mode.OBSERVE)
    run.to_the_end()
    assert run.row("steps/a").message is None


def test_an_assertion_on_a_dry_run_outranks_it() -> None:
    """When the result is not as asserted, that is what is told."""
    run = RunOf(TEXT % ", assert: result.n > 9", {"steps/a": dry(ok(n=5))}, mode=Mode.OBSERVE)
    run.to_the_end()
    assert run.state("steps/a") == "failed:assert_false"


def test_a_call_that_acts_is_no_dry_run() -> None:
    """Nothing is said of a dry run where there was none."""
    run = RunOf(TEXT % "", {"steps/a": ok()})
    run.to_the_end()
    assert (run.state("steps/a"), run.row("steps/a").message) == ("succeeded", None)
