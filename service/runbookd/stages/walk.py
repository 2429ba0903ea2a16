"""Walk: one pass over a plan, each part brought one move on.

A playbook's parts follow one another: evidence, steps, verify, undo (if the run failed and says so), `finally`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from runbookd.errors import EvaluationError
from runbookd.language.cel import Scope, compile_expression
from runbookd.language.render import compile_template
from runbookd.model.action import Mode
from runbookd.model.plan import Plan
from runbookd.model.reasons import RunReason, StepReason
from runbookd.model.run import StepRecord, StepState
from runbookd.stages.inputs import fit_inputs
from runbookd.stages.journal import Actions, Journal
from runbookd.stages.settling import Wanted, failed_assertion
from runbookd.stages.standing import (
    PENDING,
    STOPPED,
    Standing,
    Status,
    closed,
    seen,
    spoiled,
    status_of,
    worst,
)

if TYPE_CHECKING:
    from runbookd.model.playbook import Check, EvidenceStep, Playbook, Step

Verify = Callable[[Journal, str, "Sequence[Check]", Scope, Actions], Status]
"""How the checks at a path prefix stand; `stages/verify.py` has the one that runs."""

_HAND_OVER = "flow.fail"
"""The action that gives people the word; at the very end it spoils nothing that was done."""
_Names = tuple[Mapping[str, object], dict[str, object]]
"""What expressions see: all but `steps`, and the `steps` that have ended so far, which grow."""


class Walk:
    """One pass over a plan."""

    def __init__(self, plan: Plan, journal: Journal, actions: Actions, verify: Verify) -> None:
        """Nothing is decided yet."""
        self._plan = plan
        self._journal = journal
        self._actions = actions
        self._verify = verify

    def root(self, outer: Mapping[str, object]) -> Status:
        """Bring the run's own playbook on, and undo what it changed if it fails and says so."""
        playbook = self._plan.playbooks[self._plan.root]
        names: _Names = (outer, {})
        status = self._parts("", playbook, names)
        if status.bad and playbook.on_failure == "undo_and_escalate":
            status = self._undo(status, [f"steps/{number}" for number, _ in _last_steps(playbook)])
        return status if status.pending else self._finally("", playbook, names, status)

    # a playbook ----------------------------------------------------------------------------------------------

    def _parts(self, prefix: str, playbook: Playbook, names: _Names) -> Status:
        """Evidence, steps and checks, in order; gives the steps' results."""
        if self._evidence(f"{prefix}evidence", playbook.evidence, names[0]).pending:
            return PENDING
        status = self._sequence(f"{prefix}steps", playbook.steps, names)
        if status.pending or status.bad or not playbook.verify or self._journal.run.mode is Mode.OBSERVE:
            return status
        checked = self._verify(
            self._journal, f"{prefix}verify", playbook.verify, _scope(names), self._actions
        )
        return status if checked.standing is Standing.SUCCEEDED else checked

    def _evidence(self, path: str, wanted: Sequence[EvidenceStep], outer: Mapping[str, object]) -> Status:
        """Collect everything at once; what cannot be had is recorded, and does not keep help from coming."""
        scope = _scope((outer, {}))
        pending = False
        for number, step in enumerate(wanted):
            call = Wanted(action=step.action, parameters=step.with_, timeout=step.timeout)
            pending |= self._journal.call(f"{path}/{step.name or number}", call, scope, self._actions).pending
        return PENDING if pending else Status(standing=Standing.SUCCEEDED)

    def _sequence(self, path: str, steps: Sequence[Step], names: _Names) -> Status:
        """One step after another, the `finally` ones left out, until one is pending or fails."""
        known = names[1]
        for number, step in enumerate(steps):
            if step.finally_:
                continue
            status = self._step(f"{path}/{step.id or number}", step, names)
            if status.pending or status.stopped:
                return status
            if step.id is not None:
                known[step.id] = seen(status)
            if status.bad and not step.continue_on_failure:
                return replace(status, message=f"step {step.id or number}: {status.message}")
        return Status(standing=Standing.SUCCEEDED, output=known)

    def _finally(self, prefix: str, playbook: Playbook, names: _Names, status: Status) -> Status:
        """Run every `finally` step, however the rest ended; one that fails spoils a good end, never the others."""
        was_stopping, self._journal.stopping = self._journal.stopping, False
        for number, step in _last_steps(playbook):
            ended = self._step(f"{prefix}steps/{number}", step, names)
            if ended.pending:
                status = PENDING
                break
            if step.id is not None:
                names[1][step.id] = seen(ended)
            if ended.bad and not step.continue_on_failure:
                if not prefix and step.action == _HAND_OVER:  # of the run itself, after all else was done
                    ended = replace(ended, reason=RunReason.HANDED_OVER)
                status = spoiled(status, f"finally step {number}", ended)
        self._journal.stopping = was_stopping
        return status

    def _undo(self, status: Status, spared: Sequence[str]) -> Status:
        """Reverse what was changed, latest first; an undo that fails is said, and the others still go on.

        Nothing is begun while it is unknown what was done, nor once somebody asked the run to stop. What the steps
        at the `spared` paths did stays.
        """
        journal = self._journal
        begin = not (status.in_doubt or journal.frozen or journal.run.cancel_reason is not None)
        for row in journal.changes():
            spec = self._actions.spec(row.action or "")
            if spec is None or not spec.undoable or _is_below(row.path, spared):
                continue
            undone = journal.undo(row, self._actions, begin=begin)
            if undone is None:
                continue
            if undone.pending:
                return PENDING
            said = f"could not undo {row.path}: {undone.message}" if undone.bad else f"undone {row.path}"
            message = "; ".join(part for part in (status.message, said) if part)
            status = replace(status, message=message, in_doubt=status.in_doubt or undone.in_doubt)
        return status

    # steps ---------------------------------------------------------------------------------------------------

    def _step(self, path: str, step: Step, names: _Names) -> Status:
        return self._single(path, step, names) if step.foreach is None else self._foreach(path, step, names)

    def _single(self, path: str, step: Step, names: _Names) -> Status:
        kind = step.kind
        match kind:
            case "action":
                return self._journal.call(path, _wanted(step), _scope(names), self._actions)
            case "wait":
                return self._wait(path, step, _scope(names))
            case "assert":
                return self._assert(path, step, _scope(names))
            case "parallel":
                return self._parallel(path, step, names)
            case "playbook":
                return self._called(path, step, names)
            case _:
                assert_never(kind)

    def _open(self, path: str, step: Step, scope: Scope) -> StepRecord | Status:
        """Return the row of something that is not a call, made if it is to begin; or how it stands if it is not."""
        row = self._journal.last(path)
        if row is not None:
            return row
        if self._journal.stopping:
            return STOPPED
        return self._journal.skipped(path, step.when, scope) or self._journal.row(path, StepState.WAITING)

    def _close(self, row: StepRecord, status: Status) -> Status:
        """End a block's row with how its inner steps ended; one that was stopped goes on waiting."""
        if status.pending or status.stopped:
            return status
        return status_of(self._journal.note(closed(row, status, self._journal.now)))

    def _wait(self, path: str, step: Step, scope: Scope) -> Status:
        row = self._open(path, step, scope)
        if isinstance(row, Status):
            return row
        if row.state is not StepState.WAITING:
            return status_of(row)
        now = self._journal.now
        if row.due_at is None:
            assert step.wait is not None  # noqa: S101 - its kind says so
            row = self._journal.note(replace(row, due_at=now + step.wait))
        due_at = row.due_at or now
        if now < due_at:
            if self._journal.stopping:
                return STOPPED
            self._journal.wake(due_at)
            return PENDING
        done = replace(row, state=StepState.SUCCEEDED, ended_at=now, reason=StepReason.WAITED)
        return status_of(self._journal.note(done))

    def _assert(self, path: str, step: Step, scope: Scope) -> Status:
        row = self._open(path, step, scope)
        if isinstance(row, Status):
            return row
        if row.state is not StepState.WAITING:
            return status_of(row)
        text = step.assert_ or ""
        try:
            holds = compile_expression(text).holds(scope)
        except EvaluationError as error:
            return self._journal.unrenderable(path, error)
        if holds:
            return status_of(self._journal.note(self._journal.row(path, StepState.SUCCEEDED)))
        said = failed_assertion(text, step.message, scope)
        failed = self._journal.row(path, StepState.FAILED, StepReason.ASSERT_FALSE, said)
        return status_of(self._journal.note(failed))

    # blocks --------------------------------------------------------------------------------------------------

    def _parallel(self, path: str, step: Step, names: _Names) -> Status:
        """Inner steps at once; the block ends when all have. Their results are seen as steps of the playbook."""
        row = self._open(path, step, _scope(names))
        inner = [(f"{path}/{one.id or number}", one) for number, one in enumerate(step.parallel or [])]
        if isinstance(row, Status) or not self._begun(row, [at for at, _ in inner]):
            status = row if isinstance(row, Status) else status_of(row)
            _know_all(step, names[1], status)
            return status
        if row.state is StepState.WAITING:
            self._journal.note(row)
        before, named = dict(names[1]), []
        for at, one in inner:
            known = dict(before)
            status = self._step(at, one, (names[0], known))
            if one.id is not None:
                known[one.id] = seen(status)
            names[1].update(known)
            named.append((f"step {at.rpartition('/')[2]}", one, status))
        if row.state is not StepState.WAITING:
            return status_of(row)
        first = next((status for _, _, status in named if status.pending), None)
        first = first or next((status for _, _, status in named if status.stopped), None)
        bad = [(name, status) for name, one, status in named if status.bad and not one.continue_on_failure]
        return self._close(row, first or worst(bad))

    def _begun(self, row: StepRecord, inner: Sequence[str]) -> bool:
        """Tell whether a block has begun, or is to begin now: one that was skipped has no rows inside."""
        return row.state is StepState.WAITING or any(self._journal.last(path) for path in inner)

    def _foreach(self, path: str, step: Step, names: _Names) -> Status:
        """The step once per item, at most `max_parallel` at a time, until more than `max_failures` have failed."""
        row = self._open(path, step, _scope(names))
        if isinstance(row, Status):
            return row
        if row.state is StepState.WAITING and "items" not in row.params:
            row = self._items(row, step, _scope(names))
        if isinstance(row, Status):
            return row
        if row.state is not StepState.WAITING:
            return status_of(row)
        items = row.params["items"]
        assert isinstance(items, list)  # noqa: S101 - the row was made with a list
        each = step.model_copy(update={"foreach": None, "when": None})
        ended: list[Status] = []
        under_way = failures = 0
        for number, item in enumerate(items):
            inner = f"{path}[{number}]"
            full = under_way >= step.max_parallel or failures > step.max_failures
            if full and self._journal.last(inner) is None:
                break
            status = self._single(inner, each, ({**names[0], "item": item}, dict(names[1])))
            under_way += status.pending
            failures += status.bad
            ended.append(status)
        if under_way:
            return PENDING
        return self._close(row, _folded(ended, len(items), step.max_failures))

    def _items(self, row: StepRecord, step: Step, scope: Scope) -> StepRecord | Status:
        """Freeze the list of items into the block's row, or end it when there are none, or too many."""
        try:
            items = compile_template(step.foreach).render(scope)
        except EvaluationError as error:
            return self._journal.unrenderable(row.path, error)
        ended, reason, message = StepState.FAILED, None, ""
        if not isinstance(items, list):
            reason, message = StepReason.EXPRESSION, f"foreach needs a list, got {type(items).__name__}"
        elif len(items) > step.max_items:
            reason = StepReason.TOO_MANY_ITEMS
            message = f"{len(items)} items are more than max_items: {step.max_items}; nothing was done"
        elif not items:
            ended, reason = StepState.SKIPPED, StepReason.NO_ITEMS
        if reason is None:
            return self._journal.note(replace(row, params={"items": items}))
        none: dict[str, object] = {"items": [], "count": 0, "failed": 0}
        return self._journal.note(replace(self._journal.row(row.path, ended, reason, message), output=none))

    def _called(self, path: str, step: Step, names: _Names) -> Status:
        """Another playbook as a step, with inputs of its own and nothing of its caller's steps."""
        playbook = self._plan.playbooks[step.playbook or ""]
        scope = _scope(names)
        row = self._open(path, step, scope)
        if isinstance(row, Status):
            return row
        if self._journal.last(path) is None:
            try:
                given = compile_template(dict(step.with_)).render(scope)
                row = self._journal.note(replace(row, params=fit_inputs(playbook.inputs, given)))
            except EvaluationError as error:
                return self._journal.unrenderable(path, error, StepReason.BAD_INPUT)
        if row.state is not StepState.WAITING:
            return status_of(row)
        inner: _Names = ({**names[0], "inputs": dict(row.params)}, {})
        status = self._parts(f"{path}/", playbook, inner)
        if not status.pending:
            status = self._finally(f"{path}/", playbook, inner, status)
        return self._close(row, status)


def _scope(names: _Names) -> Scope:
    return Scope({**names[0], "steps": dict(names[1])})


def _last_steps(playbook: Playbook) -> list[tuple[str, Step]]:
    """Return the `finally` steps, each with the last part of its path."""
    return [(step.id or str(number), step) for number, step in enumerate(playbook.steps) if step.finally_]


def _is_below(path: str, blocks: Sequence[str]) -> bool:
    return any(path == block or path.startswith((f"{block}/", f"{block}[")) for block in blocks)


def _know_all(block: Step, known: dict[str, object], status: Status) -> None:
    """Let expressions see every step inside a block that was not begun as the block itself stands."""
    for one in block.parallel or []:
        if one.id is not None:
            known[one.id] = seen(status)
        _know_all(one, known, status)


def _wanted(step: Step) -> Wanted:
    return Wanted(
        action=step.action or "",
        parameters=step.with_,
        when=step.when,
        timeout=step.timeout,
        retry=step.retry,
        outputs=step.outputs,
        assertion=step.assert_,
        message=step.message,
    )


def _folded(ended: Sequence[Status], count: int, max_failures: int) -> Status:
    """Fold the ends of a `foreach`'s items, `count` of them wanted, into the step's."""
    stopped = next((status for status in ended if status.stopped), None)
    if stopped is not None:
        return stopped
    failed = [(f"item {number}", status) for number, status in enumerate(ended) if status.bad]
    output = {"items": [dict(status.output) for status in ended], "count": count, "failed": len(failed)}
    if len(failed) > max_failures:
        return replace(worst(failed), output=output)
    return Status(standing=Standing.SUCCEEDED, output=output)
