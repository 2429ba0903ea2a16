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


# parallel ----------------------------------------------------------------------------------------------------

BLOCK = """
steps:
  - id: block
    {keys}
    parallel:
      - {{id: a, action: safe}}
      - {{id: b, action: read}}
      - {{action: read}}
  - {{id: c, action: read, with: {{n: "${{steps.a.outcome}}"}}, continue_on_failure: true}}
"""


def test_a_parallel_block_runs_its_steps_at_once() -> None:
    """All inner steps begin together, the block ends when all have, and later steps see their results."""
    run = RunOf(BLOCK.format(keys=""))
    assert [start.record.path for start in run.look().starts] == [
        "steps/block/a",
        "steps/block/b",
        "steps/block/2",
    ]
    assert run.answer("steps/block/b").starts == ()
    assert run.answer("steps/block/2").starts == ()
    assert [start.record.path for start in run.answer("steps/block/a").starts] == ["steps/c"]
    assert run.row("steps/c").params == {"n": "succeeded"}
    run.answer()
    assert run.state("steps/block") == "succeeded"


@pytest.mark.parametrize(
    ("keys", "state"),
    [
        ("when: 'false'", "skipped:when_false"),
        (
            "{when: steps.gone.n > 1, continue_on_failure: true}"[1:-1].replace(", ", "\n    "),
            "failed:expression_error",
        ),
    ],
)
def test_a_block_that_is_not_begun_begins_none_of_its_steps(keys: str, state: str) -> None:
    """What is inside a skipped block is never called, not on any later look either, and is seen as the block is."""
    run = RunOf(BLOCK.format(keys=keys))
    run.to_the_end()
    assert run.state("steps/block") == state
    assert run.calls == ["steps/c"]
    assert run.row("steps/c").params == {"n": state.partition(":")[0]}


def test_a_failure_inside_a_block_is_the_blocks_after_all_have_ended() -> None:
    """One failure does not cut the others short, and the block names the step that failed."""
    run = RunOf(BLOCK.format(keys=""), {"steps/block/b": fails("no")})
    assert ended(run) == ("failed", "step_failed", "step block: step b: no")
    assert run.state("steps/block") == "failed:child_failed"
    assert run.state("steps/block/a") == "succeeded"


def test_blocks_inside_blocks_are_seen_from_outside() -> None:
    """Results of a block in a block are named like any other step's, whether they ran or were skipped."""
    text = """
steps:
  - parallel:
      - {id: inner, parallel: [{id: deep, action: read}]}
      - {id: left, when: "false", parallel: [{id: low, parallel: [{id: lower, action: read}]}]}
  - {id: c, action: read, with: {deep: "${steps.deep.n}", lower: "${steps.lower.outcome}"}}
"""
    run = RunOf(text, {"steps/0/inner/deep": ok(n=1)})
    run.to_the_end()
    assert run.row("steps/c").params == {"deep": 1, "lower": "skipped"}


def test_an_empty_block_is_done_at_once() -> None:
    """A block of nothing succeeds."""
    run = RunOf("steps: [{id: b, parallel: []}, {action: read}]")
    run.to_the_end()
    assert run.state("steps/b") == "succeeded"


def test_a_step_inside_a_block_may_fail_if_it_says_so() -> None:
    """`continue_on_failure` of an inner step keeps its failure from the block."""
    text = "steps: [{parallel: [{id: a, action: read, continue_on_failure: true}, {action: read}]}]"
    assert ended(RunOf(text, {"steps/0/a": fails()}))[0] == "succeeded"


# foreach -----------------------------------------------------------------------------------------------------

EACH = """
steps:
  - {{id: each, foreach: "${{inputs.items}}", action: safe, with: {{n: "${{item}}"}}, {keys}}}
  - {{id: after, action: read, with: {{n: "${{steps.each.count}}", bad: "${{steps.each.failed}}"}}}}
"""


def each(count: int, keys: str = "max_parallel: 1", **answers: object) -> RunOf:
    """A run with a `foreach` over 0, 1, 2, ...; answers by `item_N`."""
    canned = {f"steps/each[{name.removeprefix('item_')}]": answer for name, answer in answers.items()}
    return RunOf(EACH.format(keys=keys), canned, inputs={"items": list(range(count))})  # type: ignore[arg-type]


def test_foreach_goes_one_by_one_unless_told_otherwise() -> None:
    """Items run in order, one at a time, each with its own value and path."""
    run = each(3)
    assert [start.record.params for start in run.look().starts] == [{"n": 0}]
    assert [start.record.path for start in run.answer().starts] == ["steps/each[1]"]
    run.to_the_end()
    assert run.calls == ["steps/each[0]", "steps/each[1]", "steps/each[2]", "steps/after"]
    assert run.row("steps/after").params == {"n": 3, "bad": 0}


def test_foreach_keeps_to_max_parallel() -> None:
    """Never more than `max_parallel` items are under way."""
    run = each(5, "max_parallel: 2")
    assert len(run.look().starts) == 2
    assert [start.record.path for start in run.answer("steps/each[1]").starts] == ["steps/each[2]"]
    assert run.look().starts == ()
    run.to_the_end()
    assert len(run.calls) == 6


@pytest.mark.parametrize(
    ("keys", "calls", "state"),
    [("max_failures: 0", 1, "failed"), ("max_failures: 1", 2, "failed"), ("max_failures: 2", 4, "succeeded")],
)
def test_foreach_bears_max_failures(keys: str, calls: int, state: str) -> None:
    """The step bears so many failed items; with one more no further item begins, and the step fails."""
    run = each(4, keys, item_0=fails("a"), item_1=fails("b"))
    run.to_the_end()
    assert run.calls.count("steps/after") == (state == "succeeded")
    assert len([path for path in run.calls if "[" in path]) == calls
    assert run.state("steps/each").partition(":")[0] == state
    assert run.row("steps/each").output["failed"] == min(2, calls)


def test_foreach_names_the_item_that_failed() -> None:
    """The message says which item failed, counted from 0."""
    assert ended(each(2, item_1=fails("no")))[2] == "step each: item 1: no"


@pytest.mark.parametrize(
    ("items", "keys", "state"),
    [
        ("${inputs.items}", "max_items: 20", "skipped:no_items"),
        ("${inputs.many}", "max_items: 2", "failed:too_many_items"),
        ("${inputs.text}", "max_items: 2", "failed:expression_error"),
        ("${inputs.gone}", "max_items: 2", "failed:expression_error"),
        ("${inputs.many}", "when: 'false'", "skipped:when_false"),
    ],
)
def test_foreach_over_nothing_too_much_or_no_list(items: str, keys: str, state: str) -> None:
    """An empty list skips the step; a list that is too long, or none, fails it before anything was done."""
    text = f"steps: [{{id: each, foreach: '{items}', action: safe, {keys}}}, {{action: read}}]"
    run = RunOf(text, inputs={"items": [], "many": [1, 2, 3], "text": "abc"})
    run.to_the_end()
    assert run.state("steps/each") == state
    assert run.calls == (["steps/1"] if "skipped" in state else [])


def test_foreach_over_nothing_counts_nothing() -> None:
    """Later steps may ask an empty `foreach` for its counts."""
    run = each(0)
    run.to_the_end()
    assert run.row("steps/after").params == {"n": 0, "bad": 0}


def test_the_items_of_foreach_are_frozen() -> None:
    """The list is computed once: a crash, or other values later, change nothing about which items there are."""
    run = each(2)
    run.look()
    run.inputs = {"items": [9, 9, 9, 9]}
    run.to_the_end()
    assert run.row("steps/after").params["n"] == 2


def test_blocks_per_item() -> None:
    """`foreach` works with blocks and waits as with calls."""
    text = """
steps:
  - foreach: [1, 2]
    parallel: [{id: a, action: read, with: {n: "${item}"}}, {wait: 5s}]
"""
    run = RunOf(text)
    assert ended(run)[0] == "succeeded"
    assert run.calls == ["steps/0[0]/a", "steps/0[1]/a"]
    assert run.seconds() == 10


# a playbook as a step ----------------------------------------------------------------------------------------

CALLER = """
steps:
  - {id: before, action: read}
  - {id: child, playbook: child, with: {n: "${steps.before.n}"}}
  - {id: after, action: read, with: {n: "${steps.child.work.n}"}}
"""
CHILD = """
playbook: child
inputs: {n: {type: integer}, m: {type: integer, default: 7}}
evidence: [{action: read, name: logs}]
steps:
  - {id: work, action: safe, with: {n: "${inputs.n}", m: "${inputs.m}"}}
  - {id: last, action: read, finally: true}
"""
CHECKED = CHILD + "verify: [{action: read, every: 5s, within: 10s}]\n"


@pytest.mark.parametrize("child", [CHILD, CHECKED])
def test_a_called_playbook_runs_all_its_parts(child: str) -> None:
    """Evidence, steps, checks and `finally` of a called playbook run inside the step, whose results they are."""
    run = RunOf(CALLER, {"steps/before": ok(n=3), "steps/child/steps/work": ok(n=4)}, others=[child])
    assert ended(run)[:2] == ("succeeded", "done")
    checks = ["steps/child/verify/0@1"] if child is CHECKED else []
    assert run.calls == [
        "steps/before",
        "steps/child/evidence/logs",
        "steps/child/steps/work",
        *checks,
        "steps/child/steps/last",
        "steps/after",
    ]
    assert run.row("steps/child/steps/work").params == {"n": 3, "m": 7}
    assert run.row("steps/after").params == {"n": 4}


def test_a_called_playbook_does_not_see_its_callers_steps() -> None:
    """A called playbook knows its inputs only, so it can be read and tested alone."""
    child = 'playbook: child\nsteps: [{id: x, action: read, with: {n: "${steps.before.n}"}}]'
    run = RunOf("steps: [{id: before, action: read}, {playbook: child}]", {"steps/before": ok(n=1)}, [child])
    assert ended(run)[0] == "failed"


@pytest.mark.parametrize(
    ("answers", "others", "message"),
    [
        ({"steps/child/steps/work": fails("no")}, CHILD, "step child: step work: no"),
        ({"steps/child/steps/last": fails("no")}, CHILD, "step child: finally step last: no"),
        ({"steps/child/verify/0@1": fails("no")}, CHECKED, "step child: read did not hold within 10s: no"),
        ({"steps/before": ok(n="x")}, CHILD, "step child: input 'n' must be an integer, got the text 'x'"),
    ],
)
def test_a_called_playbook_that_fails_fails_its_step(
    answers: dict[str, object], others: str, message: str
) -> None:
    """Whatever goes wrong inside is the step's failure, with the way to it."""
    answers = {"steps/before": ok(n=3), "steps/child/verify/0@2": fails("no"), **answers}
    run = RunOf(CALLER, answers, others=[others])  # type: ignore[arg-type]
    assert ended(run)[2] == message
    assert "steps/after" not in run.calls


def test_a_skipped_call_of_a_playbook_begins_nothing() -> None:
    """A `when` skips a called playbook whole."""
    run = RunOf("steps: [{id: child, playbook: child, when: 'false'}, {action: read}]", others=[CHILD])
    run.to_the_end()
    assert run.calls == ["steps/1"]


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
