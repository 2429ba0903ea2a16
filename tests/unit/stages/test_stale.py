"""A run that nobody carried on for a while does not act on what it had seen before."""

from __future__ import annotations

import pytest

from runbookd.model.action import Mode
from runbookd.model.reasons import RunReason
from runbookd.model.run import RunState
from tests.unit.stages.run_of import RunOf

LOOK_AND_ACT = """
steps:
  - {id: look, action: read}
  - {id: pause, wait: 5m}
  - {id: more, action: read}
  - {id: mend, action: safe}
  - {id: after, action: safe}
"""


def looked(mode: Mode = Mode.ACT) -> RunOf:
    """It has looked once, waited its five minutes, and is at its second look."""
    run = RunOf(LOOK_AND_ACT, mode=mode)
    run.look()
    run.at(2).answer()
    run.at(302).look()
    return run


def test_a_planned_wait_makes_nothing_old() -> None:
    """It acts after five minutes in which it waited as the playbook says."""
    assert looked().to_the_end().state is RunState.SUCCEEDED


@pytest.mark.parametrize(("seconds", "acts"), [(360, True), (364, False)])
def test_what_was_seen_before_an_outage_is_not_acted_on(seconds: int, *, acts: bool) -> None:
    """The look that was cut off is made again, but those before it are more than a minute old: nothing is changed."""
    run = looked().crash().at(seconds)
    finish = run.to_the_end()
    assert ("steps/mend" in run.calls) is acts
    if not acts:
        assert (finish.state, finish.reason) == (RunState.FAILED, RunReason.STALE)
        assert finish.message == (
            "it was left alone for 1 minute 2 seconds, so what it had seen is old; nothing was changed"
        )
        assert not any(row.mutating for row in run.rows.values())


def test_an_outage_after_the_wait_was_over_counts() -> None:
    """Nobody looked when the wait was over, nor for two minutes after."""
    run = RunOf(LOOK_AND_ACT)
    run.look()
    run.at(2).answer()
    assert run.at(422).to_the_end().reason is RunReason.STALE


def test_what_has_begun_to_change_is_seen_through() -> None:
    """After the first change a run goes on, however long it was left alone."""
    run = looked()
    run.at(303).answer()
    run.at(304).answer()
    assert "steps/mend" in run.calls
    assert run.crash().at(900).to_the_end().state is RunState.SUCCEEDED


def test_what_only_observes_goes_on() -> None:
    """It changes nothing, whatever it has seen."""
    assert looked(Mode.OBSERVE).crash().at(900).to_the_end().reason is RunReason.OBSERVED


def test_a_run_that_begins_late_has_seen_nothing_yet() -> None:
    """Its first call may change something."""
    run = RunOf("steps: [{id: mend, action: safe}]")
    assert run.at(600).to_the_end().state is RunState.SUCCEEDED
