"""A run does what its playbook says, step by step, and always says how it ended."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runbookd.model.action import Mode
from runbookd.model.plan import Ask
from runbookd.model.reasons import RunReason
from runbookd.model.run import RunState
from tests.unit.stages.run_of import BEGIN, RunOf, fails, observed, ok

THREE = """
steps:
  - {id: a, action: read}
  - {id: b, action: safe, with: {n: "${steps.a.n}"}}
  - {id: c, action: read, when: steps.b.n > 1}
"""


def ended(run: RunOf) -> tuple[str, str, str]:
    """Drive a run to its end; how it ended, why, and what it says."""
    finish = run.to_the_end()
    return finish.state.value, finish.reason.value, finish.message


def test_steps_run_one_after_another_with_what_came_before() -> None:
    """A step begins when the one before has ended, and its parameters hold typed results of earlier steps."""
    run = RunOf(THREE, {"steps/a": ok(n=2), "steps/b": ok(n=2)})
    assert [start.record.path for start in run.look().starts] == ["steps/a"]
    assert [start.record.path for start in run.answer().starts] == ["steps/b"]
    assert run.row("steps/b").params == {"n": 2}
    assert run.row("steps/b").key == "run-1:steps/b"
    assert ended(run) == ("succeeded", "done", "")
    assert run.calls == ["steps/a", "steps/b", "steps/c"]


def test_intents_are_written_before_calls() -> None:
    """Every call that is to be made has its intent among the rows to be committed first."""
    moves = RunOf(THREE).look()
    assert moves.starts[0].record in moves.records
    assert moves.starts[0].record.state == "intent"
    assert moves.starts[0].ask is Ask.RUN


def test_looking_again_changes_nothing() -> None:
    """The same journal gives the same moves: a second look while a call is under way decides nothing new."""
    run = RunOf(THREE)
    run.look()
    again = run.look()
    assert (again.records, again.starts, again.finish) == ((), (), None)
    assert again.due == BEGIN + timedelta(minutes=30)


def test_the_timeout_is_the_steps_else_the_actions_else_half_a_minute() -> None:
    """One attempt is bounded by the step's timeout, the action's own, or 30 s for an action nobody knows."""
    text = "steps: [{parallel: [{action: read, timeout: 3s}, {action: read}, {action: gone}]}]"
    timeouts = [start.timeout.total_seconds() for start in RunOf(text).look().starts]
    assert timeouts == [3, 7, 30]


@pytest.mark.parametrize(
    ("when", "state"),
    [
        ("true", "succeeded"),
        ("1 > 2", "skipped:when_false"),
        ("steps.nothing.n > 1", "failed:expression_error"),
        ("1", "failed:expression_error"),
    ],
)
def test_when(when: str, state: str) -> None:
    """A false `when` skips the step, and one that cannot be computed fails it: never a call by mistake."""
    run = RunOf(f"steps: [{{id: a, action: safe, when: '{when}'}}]")
    finish = run.to_the_end()
    assert run.state("steps/a") == state
    assert finish.state is (RunState.FAILED if "failed" in state else RunState.SUCCEEDED)
    assert run.calls == (["steps/a"] if state == "succeeded" else [])


def test_a_skipped_step_is_seen_as_skipped() -> None:
    """Later expressions can ask how an earlier step went."""
    run = RunOf("""
steps:
  - {id: a, action: read, when: "false"}
  - {id: b, action: read, when: steps.a.outcome == "skipped" && steps.a.error == ""}
""")
    run.to_the_end()
    assert run.calls == ["steps/b"]


def test_parameters_that_cannot_be_rendered_fail_the_step() -> None:
    """A missing value never becomes an empty text: the step fails and names its action."""
    run = RunOf('steps: [{id: a, action: safe, with: {n: "x-${inputs.missing}"}}]')
    state, reason, message = ended(run)
    assert (state, reason) == ("failed", "step_failed")
    assert message.startswith("step a: ")
    assert run.calls == []
    assert run.row("steps/a").action == "safe"


def test_a_failed_step_ends_the_run() -> None:
    """After a failure no further step begins, and the run says which step failed and why."""
    run = RunOf(THREE, {"steps/a": fails("no such host")})
    assert ended(run) == ("failed", "step_failed", "step a: no such host")
    assert run.calls == ["steps/a"]


def test_continue_on_failure_goes_on() -> None:
    """A step that may fail does not end the run, and later steps see its error."""
    run = RunOf(
        """
steps:
  - {id: a, action: read, continue_on_failure: true}
  - {id: b, action: read, when: steps.a.outcome == "failed" && steps.a.error == "no"}
""",
        {"steps/a": fails("no")},
    )
    assert ended(run)[0] == "succeeded"
    assert run.calls == ["steps/a", "steps/b"]


# assert, outputs, message ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "state", "message"),
    [
        ("assert: result.n > 1", "succeeded", None),
        ("assert: result.n > 5", "failed:assert_false", "assert does not hold: result.n > 5"),
        ("assert: result.n > 5, message: 'only ${result.n}'", "failed:assert_false", "only 2"),
        ("assert: result.m > 5", "failed:expression_error", None),
        ("outputs: {twice: result.n * 2}", "succeeded", None),
        ("outputs: {twice: result.m * 2}", "failed:expression_error", None),
    ],
)
def test_a_result_is_held_against_its_assertion(keys: str, state: str, message: str | None) -> None:
    """`assert` and `outputs` are computed over the result; false or not computable fails the step."""
    run = RunOf(f"steps: [{{id: a, action: read, {keys}}}]", {"steps/a": ok(n=2)})
    run.to_the_end()
    assert run.state("steps/a") == state
    assert message is None or run.row("steps/a").message == message


def test_outputs_are_added_to_the_result() -> None:
    """Named projections stand beside the result's own fields, for later steps."""
    run = RunOf(
        """
steps:
  - {id: a, action: read, outputs: {twice: result.n * 2}}
  - {id: b, action: read, with: {n: "${steps.a.n}", twice: "${steps.a.twice}"}}
""",
        {"steps/a": ok(n=2)},
    )
    run.to_the_end()
    assert run.row("steps/b").params == {"n": 2, "twice": 4}


def test_a_message_that_cannot_be_rendered_does_not_hide_the_assertion() -> None:
    """A false assertion is told as one even when its own message cannot be made."""
    run = RunOf("steps: [{id: a, action: read, assert: 'false', message: '${result.gone} x'}]")
    run.to_the_end()
    assert run.state("steps/a") == "failed:assert_false"
    assert str(run.row("steps/a").message).startswith("assert does not hold: false (")


@pytest.mark.parametrize(
    ("keys", "state"),
    [
        ("assert: inputs.n == 1", "succeeded"),
        ("assert: inputs.n == 2, message: 'n is ${inputs.n}'", "failed:assert_false"),
        ("assert: inputs.m == 2", "failed:expression_error"),
        ("assert: 'false', when: 'false'", "skipped:when_false"),
    ],
)
def test_an_assert_step_of_its_own(keys: str, state: str) -> None:
    """An `assert` step judges what is known, calls nothing, and keeps its verdict."""
    run = RunOf(f"steps: [{{id: a, {keys}}}, {{action: read, continue_on_failure: true}}]", inputs={"n": 1})
    run.to_the_end()
    assert run.state("steps/a") == state
    if state == "failed:assert_false":
        assert run.row("steps/a").message == "n is 1"
    assert run.calls == ([] if "failed" in state else ["steps/1"])


# wait --------------------------------------------------------------------------------------------------------


def test_a_wait_is_a_row_that_survives_restarts() -> None:
    """A wait ends at its own time, however often the service restarts in the middle of it."""
    run = RunOf("steps: [{id: w, wait: 2m}, {id: a, action: read}]")
    assert run.look().due == BEGIN + timedelta(minutes=2)
    run.at(60).crash().look()
    run.at(119).crash()
    assert run.look().due == BEGIN + timedelta(minutes=2)
    assert [start.record.path for start in run.at(120).crash().look().starts] == ["steps/a"]
    assert run.state("steps/w") == "succeeded:waited"


def test_a_wait_of_nothing_and_a_skipped_wait_do_not_wait() -> None:
    """A wait of zero has passed at once, and a `when` skips a wait as any step."""
    run = RunOf("steps: [{wait: 0s}, {id: w, wait: 1h, when: 'false'}]")
    assert run.look().finish is not None
    assert run.state("steps/w") == "skipped:when_false"


CHILD = "playbook: child\ninputs: {n: {type: integer}}\nsteps: [{action: safe}]"

# evidence ----------------------------------------------------------------------------------------------------


def test_evidence_comes_first_and_its_failure_keeps_no_help_away() -> None:
    """Evidence is collected at once before any step; what cannot be had is recorded, and the steps run."""
    text = """
evidence: [{action: read, name: logs}, {action: read}, {action: read, with: {n: "${inputs.gone}"}}]
steps: [{action: read}]
"""
    run = RunOf(text, {"evidence/logs": fails("gone")})
    assert [start.record.path for start in run.look().starts] == ["evidence/logs", "evidence/1"]
    assert ended(run)[0] == "succeeded"
    assert run.state("evidence/logs") == "failed:failed"
    assert run.state("evidence/2") == "failed:expression_error"


# observe -----------------------------------------------------------------------------------------------------


def test_observe_mode_skips_what_mutates_and_what_depends_on_it() -> None:
    """Reads are made, mutating calls are not, what needs their results is skipped, and nothing is checked."""
    text = """
steps:
  - {id: look, action: read}
  - {id: act, action: never}
  - {id: dependent, action: never, with: {n: "${steps.act.n}"}}
  - {id: guarded, action: read, when: steps.act.n > 1}
  - {id: judged, assert: steps.act.n > 1}
  - {id: each, foreach: "${steps.act.items}", action: never}
  - {id: child, playbook: child, with: {n: "${steps.act.n}"}}
  - {id: free, action: read, when: steps.act.outcome == "observed"}
verify: [{action: read}]
"""
    run = RunOf(text, {"steps/act": observed()}, others=[CHILD], mode=Mode.OBSERVE)
    assert ended(run) == ("observed", "observed", "")
    assert run.calls == ["steps/look", "steps/act", "steps/free"]
    assert run.state("steps/act") == "skipped:observed"
    dependents = ("dependent", "guarded", "judged", "each", "child")
    assert {run.state(f"steps/{name}") for name in dependents} == {"skipped:needs_observed_step"}
    assert not any(row.mutating for row in run.rows.values())


def test_observe_mode_still_fails_on_mistakes() -> None:
    """An expression that is wrong whatever the values fails in observe mode too."""
    run = RunOf("steps: [{action: read, when: '1'}]", mode=Mode.OBSERVE)
    assert ended(run)[0] == "failed"


# how a run ends ----------------------------------------------------------------------------------------------


def test_a_run_of_nothing_is_done() -> None:
    """A playbook without steps ends at its first look."""
    assert ended(RunOf("steps: []")) == ("succeeded", "done", "")


@pytest.mark.parametrize(
    ("text", "state", "reason"),
    [
        ("steps: [{action: read}]", RunState.SUCCEEDED, RunReason.DONE),
        ("verify: [{action: read}]", RunState.VERIFIED, RunReason.VERIFIED),
        ("steps: [{action: gone}]", RunState.SUCCEEDED, RunReason.DONE),
    ],
)
def test_a_good_end(text: str, state: RunState, reason: RunReason) -> None:
    """Verified and done are told apart: only a playbook with checks knows that the trouble is gone."""
    finish = RunOf(text).to_the_end()
    assert (finish.state, finish.reason) == (state, reason)


def test_expressions_see_vars_and_now() -> None:
    """Every expression may use `vars`, `run` and the time of the look."""
    text = 'steps: [{id: a, action: read, with: {v: "${vars.v}", now: "${now}", run: "${run.id}"}}]'
    run = RunOf(text).at(5)
    run.look()
    assert run.row("steps/a").params == {"v": 1, "now": BEGIN + timedelta(seconds=5), "run": "run-1"}


def test_inputs_reach_expressions_as_they_are() -> None:
    """A value of an input is never taken for anything else, not even a map that looks like the store's own tags."""
    odd = {"$secret": "x"}
    run = RunOf('steps: [{id: a, action: read, with: {odd: "${inputs.odd}"}}]', inputs={"odd": odd})
    run.to_the_end()
    assert run.row("steps/a").params == {"odd": odd}
