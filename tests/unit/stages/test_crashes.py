"""Whatever a playbook holds, however calls end and wherever the service dies: nothing is blindly done twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runbookd.model.action import Probed, Repeat
from runbookd.model.plan import Ask, Moves
from runbookd.model.run import StepState
from tests.unit.stages.run_of import ACTIONS, RunOf, doubt, fails, ok

MOST_MOVES = 2000
RETRY = {"attempts": 2, "backoff": "1s", "max_backoff": "2s"}
OUTCOMES = [ok(n=1), ok(n=1), ok(n=1), fails("no"), fails("busy", again=True), doubt()]
PROBES = [(Probed.DONE, ok(n=1)), (Probed.DONE, None), (Probed.NOT_DONE, None), (Probed.UNKNOWN, None)]


def optional(keys: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these keys."""
    return st.fixed_dictionaries({}, optional=keys)


COMMON = {
    "when": st.sampled_from(["true", "false", "steps.gone.n == 1"]),
    "continue_on_failure": st.just(value=True),
    "finally": st.just(value=True),
}
CALL = st.builds(
    lambda action, rest: {"action": action, **rest},
    st.sampled_from(["read", "safe", "probe", "never", "probe", "never", "fixed"]),
    optional(
        {**COMMON, "retry": st.just(RETRY), "assert": st.sampled_from(["result.n == 1", "result.n == 2"])}
    ),
)
EACH = st.builds(
    lambda call, items, rest: {**call, "foreach": list(range(items)), **rest},
    CALL,
    st.integers(0, 4),
    optional({"max_parallel": st.integers(1, 3), "max_failures": st.integers(0, 2)}),
)
BLOCK = st.builds(
    lambda inner, rest: {"parallel": inner, **rest}, st.lists(CALL | EACH, max_size=3), optional(COMMON)
)
OTHER = st.one_of(
    st.just({"wait": "5s"}), st.just({"playbook": "child"}), st.just({"playbook": "child", "foreach": [1, 2]})
)
STEPS = st.lists(st.one_of(CALL, CALL, EACH, BLOCK, OTHER), max_size=4)
CHECKS = st.lists(
    st.sampled_from(
        [{"action": "read", "within": "20s", "every": "10s"}, {"check": "alert_resolved", "within": "9s"}]
    ),
    max_size=2,
)


def book(name: str, steps: list[Any], checks: list[Any], more: dict[str, Any]) -> str:
    """A playbook's text."""
    return yaml.safe_dump({"playbook": name, "steps": steps, "verify": checks, **more})


BOOK = st.builds(
    book,
    st.just("main"),
    STEPS,
    CHECKS,
    optional(
        {
            "on_failure": st.just("undo_and_escalate"),
            "deadline": st.sampled_from(["6s", "30m"]),
            "evidence": st.just([{"action": "read"}]),
        }
    ),
)
CHILD = st.builds(book, st.just("child"), st.lists(CALL, max_size=2), CHECKS, st.just({}))


class Watched(RunOf):
    """A run whose calls end as chance wills; `told` is what probes said just now, by path."""

    data: st.DataObject
    told: Mapping[str, Probed]

    def chance(self, data: st.DataObject) -> Watched:
        """Let chance decide how calls end."""
        self.data = data
        return self

    def _next(self, path: str, kind: str, default: Any) -> Any:
        return self.data.draw(
            st.sampled_from(PROBES if kind == "probe" else OUTCOMES), label=f"{kind} {path}"
        )


def hold_to_promises(run: Watched, before: dict[str, Any], moves: Moves) -> None:
    """No ended attempt changes, nothing that ended begins again, no mutating call begins twice without reason."""
    for row in moves.records:
        old = before.get(f"{row.path}#{row.attempt}")
        if old is not None and old.ended_at is not None:
            assert row == old, f"{row.path} had ended as {old.state}"
    for start in moves.starts:
        row, previous = start.record, before.get(f"{start.record.path}#{start.record.attempt - 1}")
        if start.ask is Ask.PROBE:
            continue
        if row.attempt == 1:
            assert f"{row.path}#1" not in before
            continue
        assert previous is not None
        repeat = ACTIONS[row.action or ""][1] if row.mutating else Repeat.SAFE
        surely_failed = previous.state is StepState.FAILED and previous.temporary
        said_not_done = run.told.get(row.path) is Probed.NOT_DONE
        assert surely_failed or repeat is Repeat.SAFE or (repeat is Repeat.PROBE and said_not_done), row.path


@settings(max_examples=150, deadline=None)
@given(data=st.data(), text=BOOK, child=CHILD)
def test_a_crash_after_every_move(data: st.DataObject, text: str, child: str) -> None:
    """A run finishes whatever happens; no mutating call that may have happened is made again but after a probe's no."""
    run = Watched(text, others=[child]).chance(data)
    crashes = data.draw(st.sampled_from(["never", "always", "sometimes"]), label="crashes")
    crashed: Counter[str] = Counter()
    answers: dict[str, Any] = {}
    for _ in range(MOST_MOVES):
        before = {f"{row.path}#{row.attempt}": row for row in run.rows.values()}
        run.told = {path: answer.probed for path, answer in answers.items() if answer.probed is not None}
        moves = run.look(answers)
        hold_to_promises(run, before, moves)
        if moves.finish is not None:
            assert not any(start.record.mutating for start in run.under_way.values())
            return
        if moves.due is not None and not run.under_way:
            run.now = max(run.now, moves.due)
        answers = {}
        die = crashes == "always" or (crashes == "sometimes" and data.draw(st.booleans(), label="crash"))
        # A service that never lives long enough to hear one answer can end nothing: the second time it does.
        fresh = [path for path in run.under_way if crashed[path] == 0 or crashes == "sometimes"]
        if die and (fresh or not run.under_way):
            crashed.update(list(run.under_way))
            run.crash()
        elif run.under_way:
            path = data.draw(st.sampled_from(sorted(run.under_way)), label="answered")
            answers = {path: run._answer(run.under_way.pop(path))}  # noqa: SLF001 - the driver's own
    raise AssertionError("the run does not come to an end")
