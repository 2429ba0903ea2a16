"""However a run ends, what it promised for the end is done: `finally`, undo, and a word for people."""

from __future__ import annotations

import pytest

from runbookd.model.action import Mode
from runbookd.model.plan import Ask
from tests.unit.stages.run_of import Canned, RunOf, doubt, fails, ok

LAST = """
deadline: 10m
steps:
  - {id: a, action: safe}
  - {id: tidy, action: safe, finally: true, with: {how: "${steps.a.outcome}"}}
  - {id: w, wait: 1h}
  - {id: more, action: read, finally: true, when: steps.tidy.outcome == "succeeded"}
"""


def ended(run: RunOf) -> tuple[str, str, str]:
    """Drive a run to its end; how it ended, why, and what it says."""
    finish = run.to_the_end()
    return finish.state.value, finish.reason.value, finish.message


# finally -----------------------------------------------------------------------------------------------------


def test_finally_after_success() -> None:
    """`finally` steps come after all others, wherever they are written."""
    run = RunOf(LAST.replace("1h", "1m"))
    assert ended(run) == ("succeeded", "done", "")
    assert run.calls == ["steps/a", "steps/tidy", "steps/more"]


def test_finally_after_failure() -> None:
    """After a failure the `finally` steps run and see it; the run has failed all the same."""
    run = RunOf(LAST, {"steps/a": fails("no")})
    assert ended(run) == ("failed", "step_failed", "step a: no")
    assert run.calls == ["steps/a", "steps/tidy", "steps/more"]
    assert run.row("steps/tidy").params == {"how": "failed"}


def test_finally_after_a_cancel() -> None:
    """A cancelled run stops at the next step border and does its `finally` steps, those with a wait too."""
    run = RunOf(LAST)
    run.look()
    run.answer()
    run.cancel = "somebody asked"
    assert ended(run) == ("cancelled", "cancelled", "somebody asked")
    assert run.calls == ["steps/a", "steps/tidy", "steps/more"]
    assert run.state("steps/w") == "waiting"


@pytest.mark.parametrize(("action", "waits"), [("read", False), ("safe", True)], ids=["a look", "a change"])
def test_what_is_under_way_when_a_run_is_asked_to_stop(action: str, waits: bool) -> None:  # noqa: FBT001 - a row
    """A call that changes nothing is not waited for; one that may change something is, for its answer counts."""
    steps = [f"{{id: long, action: {action}}}", "{action: read}", "{id: tidy, action: safe, finally: true}"]
    run = RunOf(f"steps: [{', '.join(steps)}]")
    run.look()
    run.cancel = "somebody asked"
    run.look()
    assert run.state("steps/long") == ("intent" if waits else "failed:stopped")
    assert run.calls == (["steps/long"] if waits else ["steps/long", "steps/tidy"])
    assert ended(run) == ("cancelled", "cancelled", "somebody asked")


@pytest.mark.parametrize(
    ("answers", "end"),
    [
        ({}, ("failed", "handed_over", "finally step over: a person decides")),
        (
            {"steps/a": fails("no")},
            ("failed", "step_failed", "step a: no; finally step over: a person decides"),
        ),
        (
            {"verify/0@1": fails("no")},
            (
                "unverified",
                "not_verified",
                "read did not hold within 1s: no; finally step over: a person decides",
            ),
        ),
    ],
)
def test_what_is_given_to_people_at_the_end(answers: dict[str, Canned], end: tuple[str, str, str]) -> None:
    """A run that did everything and ends with `flow.fail` says so; one that did not has its own word."""
    text = """
steps:
  - {id: a, action: safe}
  - {id: over, action: flow.fail, finally: true}
verify: [{action: read, within: 1s}]
"""
    assert ended(RunOf(text, {**answers, "steps/over": fails("a person decides")})) == end


def test_finally_after_the_deadline() -> None:
    """A run past its deadline does its `finally` steps, retries included, and says that it was late."""
    text = LAST.replace("finally: true, with", "retry: {attempts: 2}, finally: true, with")
    run = RunOf(text, {"steps/tidy": [fails(again=True), ok()]})
    assert ended(run) == ("failed", "deadline", "the run's deadline passed before it was done")
    assert run.seconds() > 600
    assert run.calls == ["steps/a", "steps/tidy", "steps/tidy", "steps/more"]


@pytest.mark.parametrize(
    ("answers", "end"),
    [
        ({"steps/tidy": fails("x")}, ("failed", "step_failed", "finally step tidy: x")),
        (
            {"steps/a": fails("no"), "steps/tidy": fails("x")},
            ("failed", "step_failed", "step a: no; finally step tidy: x"),
        ),
        (
            {"steps/a": fails("no"), "steps/tidy": doubt("x")},
            ("failed", "in_doubt", "step a: no; finally step tidy: x"),
        ),
    ],
)
def test_a_finally_step_that_fails(answers: dict[str, Canned], end: tuple[str, str, str]) -> None:
    """It spoils a good end, is said beside a bad one, and its doubt is the run's: the next remedy must not follow."""
    state, reason, message = ended(RunOf(LAST.replace("1h", "1m"), answers))
    assert (state, reason) == end[:2]
    assert message.startswith(end[2])


def test_a_finally_step_may_fail_if_it_says_so() -> None:
    """`continue_on_failure` holds for `finally` steps too."""
    text = "steps: [{action: read, finally: true, continue_on_failure: true}]"
    assert ended(RunOf(text, {"steps/0": fails()}))[0] == "succeeded"


# cancel, pause, deadline -------------------------------------------------------------------------------------


def test_a_run_cancelled_before_it_began_does_nothing() -> None:
    """Not even evidence is collected for a run that is not wanted any more."""
    run = RunOf("evidence: [{action: read}]\nsteps: [{action: read}]\nverify: [{action: read}]", cancel="no")
    assert ended(run)[0] == "cancelled"
    assert run.calls == []


@pytest.mark.parametrize(
    "text",
    [
        "steps: [{action: read}, {id: s, action: read, continue_on_failure: true}]",
        "steps: [{action: read}, {id: s, foreach: [1, 2], action: read, max_failures: 5}]",
        "steps: [{action: read}, {id: s, assert: 'true'}]",
        "steps: [{action: read}, {id: s, wait: 1s}]",
        "steps: [{action: read}, {id: s, playbook: other}]",
        "steps: [{action: read}, {id: s, parallel: [{action: read}]}]",
        "steps: [{action: read}]\nverify: [{action: read}]",
    ],
)
def test_no_kind_of_step_begins_once_the_run_is_to_stop(text: str) -> None:
    """At the border the run stops, whatever would come next."""
    run = RunOf(text, others=["playbook: other\nsteps: [{action: read}]"])
    run.look()
    run.cancel = "stop"
    run.answer()
    assert run.finish is not None
    assert run.finish.state == "cancelled"
    assert run.calls == ["steps/0"]


@pytest.mark.parametrize("keys", ["", ", continue_on_failure: true"])
def test_a_block_that_was_stopped_half_way_is_not_done(keys: str) -> None:
    """A retry inside a block that is not made any more stops the block, even where a failure would be borne."""
    text = f"steps: [{{parallel: [{{id: x, action: read, retry: {{attempts: 2}}{keys}}}, {{wait: 5s}}]}}]"
    run = RunOf(text, {"steps/0/x": fails(again=True)})
    run.look()
    run.answer()
    run.cancel = "stop"
    assert ended(run)[0] == "cancelled"


def test_a_foreach_that_was_stopped_half_way_is_not_done() -> None:
    """The items not begun stay undone, and the step is not called done."""
    run = RunOf("steps: [{foreach: [1, 2, 3], action: read, max_failures: 9}]")
    run.look()
    run.cancel = "stop"
    assert ended(run)[0] == "cancelled"
    assert run.calls == ["steps/0[0]"]
    assert run.state("steps/0") == "waiting"


def test_a_pause_stops_a_run_and_its_mutating_finally_steps() -> None:
    """While the switch is off no mutating call is made, in `finally` either; reading ones are."""
    run = RunOf(LAST)
    run.look()
    run.answer()
    run.paused, run.cancel = True, "paused"
    assert ended(run) == ("cancelled", "cancelled", "paused")
    assert run.calls == ["steps/a"]
    assert run.state("steps/tidy") == "failed:paused"
    assert run.state("steps/more") == "skipped:when_false"


@pytest.mark.parametrize(
    ("answer", "state"), [(fails(again=True), "failed:failed"), (doubt(), "in_doubt:in_doubt")]
)
def test_a_pause_between_two_attempts_of_a_finally_step(answer: Canned, state: str) -> None:
    """A mutating call is not tried again while the switch is off, and what it came to stands."""
    text = "steps: [{id: tidy, action: safe, retry: {attempts: 4}, finally: true}]"
    run = RunOf(text, {"steps/tidy": answer})
    run.look()
    if answer.state == "failed":  # type: ignore[union-attr]
        run.answer()
    run.paused, run.cancel = True, "paused"
    run.to_the_end()
    assert run.calls == ["steps/tidy"]
    assert run.state("steps/tidy") == state


def test_the_deadline_is_due_as_long_as_anything_can_begin() -> None:
    """The run asks to be looked at no later than at its deadline, and not again for it once that has passed."""
    run = RunOf("deadline: 5m\nsteps: [{action: read}, {action: read}]")
    assert str(run.look().due).endswith("12:05:00+00:00")
    assert run.at(300).look().due is None
    assert run.answer().finish is not None
    assert run.calls == ["steps/0"]


# undo --------------------------------------------------------------------------------------------------------

UNDO = """
on_failure: undo_and_escalate
deadline: 10m
steps:
  - {id: one, action: safe, with: {n: 1}}
  - {id: two, action: never, with: {n: 2}}
  - {id: fixed, action: fixed}
  - {id: look, action: read}
  - {id: bad, action: read}
  - {id: tidy, action: safe, finally: true}
  - {id: after, action: read, finally: true}
"""
BAD = {"steps/bad": fails("no")}


def undone(run: RunOf) -> list[str]:
    """What was undone, in order."""
    return [start.record.path for start in run.asked if start.ask is Ask.UNDO]


def test_a_failed_run_undoes_what_it_changed_latest_first() -> None:
    """Changes that can be undone are, the latest first, before `finally`, whose own changes stay."""
    run = RunOf(UNDO, BAD)
    state, reason, message = ended(run)
    assert (state, reason) == ("failed", "step_failed")
    assert message == "step bad: no; undone steps/two; undone steps/one"
    assert run.calls[5:] == ["undo/steps/two", "undo/steps/one", "steps/tidy", "steps/after"]
    assert run.asked[5].undoes == run.row("steps/two")
    assert run.row("undo/steps/two").params == {"n": 2}
    assert run.row("undo/steps/two").mutating


def test_nothing_is_undone_unless_the_playbook_says_so() -> None:
    """A good run, and a failed one of another kind, keep what they changed."""
    assert undone_by(RunOf(UNDO)) == []
    assert undone_by(RunOf(UNDO.replace("undo_and_escalate", "next_rung"), BAD)) == []


def undone_by(run: RunOf) -> list[str]:
    """What a run undoes until its end."""
    run.to_the_end()
    return undone(run)


def test_an_undo_that_fails_keeps_no_other_from_going_on() -> None:
    """It is said, and the run goes on undoing."""
    run = RunOf(UNDO, {**BAD, "undo/steps/two": fails("stuck")})
    message = ended(run)[2]
    assert "could not undo steps/two: stuck; undone steps/one" in message


def test_changes_whose_assertion_failed_are_undone_too() -> None:
    """A call that took effect and whose result was not as asserted has changed something."""
    text = "on_failure: undo_and_escalate\nsteps: [{id: a, action: safe, assert: 'false'}]"
    assert undone_by(RunOf(text)) == ["undo/steps/a"]
    text = "on_failure: undo_and_escalate\nsteps: [{id: a, action: safe, outputs: {n: result.gone}}]"
    assert undone_by(RunOf(text)) == ["undo/steps/a"]


def test_nothing_is_undone_of_a_call_that_failed_or_was_not_made() -> None:
    """Only what surely took effect is reversed."""
    text = "on_failure: undo_and_escalate\nsteps: [{id: a, action: safe}]"
    assert undone_by(RunOf(text, {"steps/a": fails()})) == []
    text = 'on_failure: undo_and_escalate\nsteps: [{id: a, action: safe, with: {n: "${inputs.gone}"}}]'
    assert undone_by(RunOf(text)) == []
    assert undone_by(RunOf(UNDO, BAD, mode=Mode.OBSERVE)) == []


def test_changes_of_an_action_that_is_gone_are_not_undone() -> None:
    """An action that left the catalogue cannot be asked to reverse anything."""
    text = "on_failure: undo_and_escalate\nsteps: [{action: gone}, {action: read}]"
    assert undone_by(RunOf(text, {"steps/1": fails()})) == []


def test_a_run_in_doubt_undoes_nothing() -> None:
    """While nobody knows what was done, reversing the rest may do more harm than good."""
    run = RunOf(UNDO, {"steps/two": doubt()})
    assert ended(run)[1] == "in_doubt"
    assert undone(run) == []


def test_a_run_that_was_not_verified_is_undone() -> None:
    """A remedy that did not help is reversed, and the run still says that it was not verified."""
    text = UNDO.replace("{id: bad, action: read}", "{id: bad, wait: 1s}")
    run = RunOf(
        text + "verify: [{action: read, within: 1s}]\n", {"verify/0@1": fails("down"), "verify/0@2": fails()}
    )
    assert ended(run)[:2] == ("unverified", "not_verified")
    assert undone(run) == ["undo/steps/two", "undo/steps/one"]


def test_a_run_past_its_deadline_is_undone() -> None:
    """A deadline is a failure like any other, and the playbook says what becomes of failures."""
    run = RunOf(UNDO.replace("{id: bad, action: read}", "{id: bad, wait: 1h}"))
    state, reason, message = ended(run)
    assert (state, reason) == ("failed", "deadline")
    assert message.endswith("done; undone steps/two; undone steps/one")


def test_a_cancelled_run_is_not_undone() -> None:
    """A run somebody stopped changes nothing more, but for its `finally` steps."""
    run = RunOf(UNDO.replace("{id: bad, action: read}", "{id: bad, wait: 1h}"))
    run.look()
    while "steps/look" not in run.calls:
        run.answer()
    run.cancel = "stop"
    assert ended(run)[0] == "cancelled"
    assert undone(run) == []


def test_a_pause_in_the_middle_of_an_undo() -> None:
    """The undo under way is waited for, and no other begins."""
    run = RunOf(UNDO, BAD)
    run.look()
    while not undone(run):
        run.answer()
    run.paused, run.cancel = True, "paused"
    state, _, message = ended(run)
    assert (state, message.partition("; finally")[0]) == ("failed", "step bad: no; undone steps/two")
    assert undone(run) == ["undo/steps/two"]


@pytest.mark.parametrize(
    ("path", "state", "attempts"),
    [("undo/steps/two", "in_doubt:in_doubt", 1), ("undo/steps/one", "succeeded", 2)],
)
@pytest.mark.parametrize("cut", ["crash", "no answer"])
def test_an_undo_cut_off(path: str, state: str, attempts: int, cut: str) -> None:
    """An undo is repeated only if its action is safe to repeat; else the run ends in doubt, and the rest is undone."""
    run = RunOf(UNDO, {**BAD, **({} if cut == "crash" else {path: [doubt(), ok()]})})
    run.look()
    while path not in run.under_way:
        run.answer()
    assert run.look().records == ()
    reason = ended(run.crash() if cut == "crash" else run)[1]
    assert run.state(path) == state
    assert undone(run).count(path) == attempts
    assert undone(run)[-1] == "undo/steps/one"
    assert reason == ("in_doubt" if attempts == 1 else "step_failed")


def test_an_undo_that_never_answers_is_left_to_a_person() -> None:
    """A safe undo too is tried three times at most."""
    run = RunOf(UNDO, {**BAD, "undo/steps/one": doubt()})
    assert ended(run)[1] == "in_doubt"
    assert undone(run).count("undo/steps/one") == 3
