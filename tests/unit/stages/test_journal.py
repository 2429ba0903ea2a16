"""Calls are tried again only when that can do no harm, and never blindly."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.model.action import Probed
from runbookd.model.playbook import Retry
from runbookd.stages.settling import backoff
from tests.unit.stages.run_of import BEGIN, Canned, RunOf, doubt, fails, ok

RETRY = "retry: {attempts: 3, backoff: 10s, max_backoff: 15s}"


def one(action: str, *answers: Canned, keys: str = "timeout: 1s") -> RunOf:
    """A run of a single step."""
    return RunOf(f"steps: [{{id: a, action: {action}, {keys}}}]", {"steps/a": list(answers)})


# retries -----------------------------------------------------------------------------------------------------


def test_a_temporary_failure_is_tried_again_after_its_backoff() -> None:
    """The next attempt begins when its backoff has passed, not before, with the same idempotency key."""
    run = one("never", fails(again=True), ok(), keys=RETRY)
    run.look()
    moves = run.answer()
    assert moves.starts == ()
    assert moves.due is not None
    assert BEGIN + timedelta(seconds=5) <= moves.due <= BEGIN + timedelta(seconds=10)
    run.now = moves.due - timedelta(microseconds=1)
    assert run.look().starts == ()
    run.now = moves.due
    assert [start.record.attempt for start in run.crash().look().starts] == [2]
    assert run.answer().finish is not None
    assert {row.key for row in run.rows.values()} == {"run-1:steps/a"}


@pytest.mark.parametrize(
    ("answers", "keys", "calls"),
    [
        ([fails(again=True)], RETRY, 3),
        ([fails(again=True)], "timeout: 1s", 1),
        ([fails(again=False)], RETRY, 1),
        ([fails(again=True), fails(again=False)], RETRY, 2),
        ([fails(again=True), ok()], RETRY, 2),
    ],
)
def test_how_often_a_call_is_tried(answers: Sequence[Canned], keys: str, calls: int) -> None:
    """Only temporary failures are tried again, only as often as the step allows."""
    run = one("never", *answers, keys=keys)
    run.to_the_end()
    assert len(run.calls) == calls


@pytest.mark.parametrize(
    ("after", "least", "most"),
    [
        (60.0, 60, 60),
        (1.0, 5, 10),
        (0.0, 5, 10),
        (-3.0, 5, 10),
        (float("nan"), 5, 10),
        (1e18, 86_400, 86_400),
    ],
)
def test_retry_after_is_kept_to_within_reason(after: float, least: float, most: float) -> None:
    """What the target asks for is waited out when it is longer than the backoff; nonsense is not believed."""
    run = one("never", fails(again=True, after=after), keys=RETRY)
    run.look()
    run.answer()
    due = run.row("steps/a").due_at
    assert due is not None
    assert least <= (due - BEGIN).total_seconds() <= most


@given(
    attempt=st.integers(min_value=1, max_value=20),
    first=st.integers(min_value=1, max_value=600),
    longest=st.integers(min_value=1, max_value=3600),
    key=st.text(max_size=20),
)
def test_backoff_doubles_within_bounds_with_jitter(attempt: int, first: int, longest: int, key: str) -> None:
    """The wait lies between half and all of the doubled backoff, never above the longest, the same for the same key."""
    retry = Retry(backoff=timedelta(seconds=first), max_backoff=timedelta(seconds=longest))
    full = min(first * 2 ** (attempt - 1), longest)
    wait = backoff(retry, attempt, key)
    assert full / 2 - 1e-5 <= wait.total_seconds() <= full
    assert wait == backoff(retry, attempt, key)


def test_jitter_spreads_runs_that_failed_together() -> None:
    """A hundred runs that failed at once come back at a hundred different times."""
    waits = {backoff(Retry(), 1, f"run-{number}:steps/a") for number in range(100)}
    assert len(waits) == 100


def test_no_retry_means_no_wait() -> None:
    """Without a `retry` there is no backoff."""
    assert backoff(None, 3, "k") == timedelta(0)


# in doubt ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "calls", "state"),
    [
        ("read", ["steps/a", "steps/a"], "succeeded"),
        ("safe", ["steps/a", "steps/a"], "succeeded"),
        ("probe", ["steps/a", "? steps/a"], "in_doubt:in_doubt"),
        ("never", ["steps/a"], "in_doubt:in_doubt"),
    ],
)
@pytest.mark.parametrize("cut", ["crash", "no answer"])
def test_a_call_cut_off(action: str, calls: list[str], state: str, cut: str) -> None:
    """Without an answer a safe call is repeated, a probed one asked about, any other left to a person."""
    run = one(action, *([ok()] if cut == "crash" else [doubt(), ok()]))
    run.look()
    finish = (run.crash() if cut == "crash" else run).to_the_end()
    assert run.calls == calls
    assert run.state("steps/a") == state
    assert finish.reason == ("done" if state == "succeeded" else "in_doubt")


def test_a_call_under_way_is_left_alone() -> None:
    """Under the same claim an intent without an answer is a call under way, whatever time has passed."""
    run = one("never")
    run.look()
    assert run.at(1000).look().records == ()
    assert run.state("steps/a") == "intent"


def test_a_probe_that_says_done_ends_the_step() -> None:
    """What a probe finds done is done: the step has the result the probe found, and says how that is known."""
    run = one("probe", doubt(), (Probed.DONE, ok(n=5)), keys="outputs: {twice: result.n * 2}")
    run.to_the_end()
    assert run.calls == ["steps/a", "? steps/a"]
    assert run.state("steps/a") == "succeeded:probed_done"
    assert run.row("steps/a").output == {"n": 5, "twice": 10}


def test_a_probe_that_says_done_without_a_result() -> None:
    """A probe may know that it happened and not with what result."""
    run = one("probe", doubt(), (Probed.DONE, None))
    run.to_the_end()
    assert run.state("steps/a") == "succeeded:probed_done"
    failing = one("probe", doubt(), (Probed.DONE, None), keys="assert: result.n > 1")
    failing.to_the_end()
    assert failing.state("steps/a") == "failed:expression_error"


def test_a_probe_that_says_not_done_allows_another_attempt() -> None:
    """What surely did not happen is tried again, at most three times in all, and then has failed without doubt."""
    run = one("probe", doubt(), ok(), (Probed.NOT_DONE, None))
    run.look()
    run.at(1)
    assert run.to_the_end().state == "succeeded"
    assert run.calls == ["steps/a", "? steps/a", "steps/a"]
    assert [row.attempt for row in run.rows.values() if row.ended_at is not None] == [1, 2]
    run = one("probe", doubt("lost"), (Probed.NOT_DONE, None))
    assert run.to_the_end().reason == "step_failed"
    assert run.calls.count("steps/a") == 3
    assert run.row("steps/a").message == "lost; not repeated: it was tried 3 times"


def test_not_done_counts_once_the_calls_own_time_is_up() -> None:
    """A call that was cut off may still arrive, so a "not done" is asked for again when its timeout has passed."""
    run = one("probe", (Probed.NOT_DONE, None), (Probed.DONE, None), keys="timeout: 10s")
    run.look()
    run.at(4).crash().look()
    moves = run.answer()
    assert (moves.starts, moves.due) == ((), run.at(10).now)
    run.to_the_end()
    assert run.calls == ["steps/a", "? steps/a", "? steps/a"]
    assert run.state("steps/a") == "succeeded:probed_done"


def test_a_crash_during_a_probe_asks_again() -> None:
    """A probe changes nothing, so one that was cut off is made again."""
    run = one("probe", doubt(), (Probed.DONE, None))
    run.look()
    run.answer()
    assert run.calls == ["steps/a", "? steps/a"]
    assert run.look().starts == run.crash().look().starts
    run.to_the_end()
    assert run.calls == ["steps/a", "? steps/a", "? steps/a"]


def test_a_safe_call_that_never_answers_is_left_to_a_person() -> None:
    """A mutating call is not repeated for ever: after three attempts its run ends in doubt."""
    run = one("safe", doubt("slow"))
    assert run.to_the_end().reason == "in_doubt"
    assert run.calls == ["steps/a"] * 3
    assert "must not be repeated blindly" in str(run.row("steps/a").message)


def test_a_reading_call_is_never_in_doubt() -> None:
    """A read that was cut off again and again has failed; nothing was changed, so nobody is told of a doubt."""
    run = one("read")
    for _ in range(3):
        run.look()
        run.crash()
    assert run.to_the_end().reason == "step_failed"
    assert run.state("steps/a") == "failed:interrupted"
    assert run.calls == ["steps/a"] * 3


def test_a_retry_raises_the_number_of_attempts_in_doubt() -> None:
    """A step that may be tried five times may be cut off five times."""
    run = one("safe", doubt(), keys="retry: {attempts: 5}")
    run.to_the_end()
    assert run.calls == ["steps/a"] * 5


def test_a_doubt_inside_a_block_is_the_blocks() -> None:
    """Whatever else failed in a block, a doubt is what is told of it."""
    text = "steps: [{id: b, parallel: [{id: x, action: read}, {id: y, action: never}]}]"
    run = RunOf(text, {"steps/b/x": fails(), "steps/b/y": doubt()})
    finish = run.to_the_end()
    assert (finish.reason, run.state("steps/b")) == ("in_doubt", "in_doubt:child_failed")
    assert finish.message.startswith("step b: step y: timed out")


# the run is to stop ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "answers", "state", "end"),
    [
        ("safe", [doubt()], "in_doubt:in_doubt", "failed:in_doubt"),
        ("never", [doubt()], "in_doubt:in_doubt", "failed:in_doubt"),
        ("read", [doubt()], "failed:stopped", "cancelled:cancelled"),
        ("probe", [doubt(), (Probed.NOT_DONE, None)], "failed:stopped", "cancelled:cancelled"),
        ("probe", [doubt(), (Probed.DONE, None)], "succeeded:probed_done", "succeeded:done"),
        ("probe", [doubt()], "in_doubt:in_doubt", "failed:in_doubt"),
        ("never", [fails()], "failed:failed", "failed:step_failed"),
        ("never", [ok()], "succeeded", "succeeded:done"),
    ],
)
def test_a_call_under_way_when_the_run_is_cancelled(
    action: str, answers: Sequence[Canned], state: str, end: str
) -> None:
    """It is waited for, asked about if need be, never repeated; and only what may have happened is in doubt."""
    run = one(action, *answers)
    run.look()
    run.cancel = "somebody asked"
    finish = run.to_the_end()
    assert run.state("steps/a") == state
    assert f"{finish.state.value}:{finish.reason.value}" == end
    assert run.calls.count("steps/a") == 1


def test_a_retry_that_waits_when_the_run_is_cancelled_is_not_made() -> None:
    """A run cancelled between two attempts ends cancelled, not failed: no next remedy follows from it."""
    run = one("never", fails(again=True), keys=RETRY)
    run.look()
    run.answer()
    run.cancel = "somebody asked"
    finish = run.to_the_end()
    assert (finish.state, finish.message) == ("cancelled", "somebody asked")
    assert run.calls == ["steps/a"]
