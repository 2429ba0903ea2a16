"""Steps inside steps: blocks at once, one step per item, and a playbook as a step of another."""

from __future__ import annotations

import pytest

from tests.unit.stages.run_of import RunOf, fails, ok


def ended(run: RunOf) -> tuple[str, str, str]:
    """Drive a run to its end; how it ended, why, and what it says."""
    finish = run.to_the_end()
    return finish.state.value, finish.reason.value, finish.message


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
