"""Execute: what a run does next, decided from its plan and its journal alone.

One pass walks the playbook top to bottom. What has ended is read from the journal, what may begin is noted as
an intent, and the pass stops where an answer or a time is needed. Nothing is called here, and the same journal
always gives the same moves, so a run goes on after a crash exactly where it stood.

A playbook's parts follow one another: evidence, steps, verify, undo (if it failed and says so), `finally`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from runbookd.errors import EvaluationError
from runbookd.language.cel import Scope, compile_expression
from runbookd.language.render import compile_template
from runbookd.model.action import Mode
from runbookd.model.plan import Finish, Moves, Plan
from runbookd.model.reasons import RunReason, StepReason
from runbookd.model.run import Run, RunState, StepRecord, StepState
from runbookd.stages.inputs import fit_inputs
from runbookd.stages.journal import (
    PENDING,
    Actions,
    Answered,
    Journal,
    Standing,
    Status,
    Wanted,
    failed_assertion,
    status_of,
)

if TYPE_CHECKING:
    from runbookd.model.playbook import Check, EvidenceStep, Playbook, Step

Verify = Callable[[Journal, str, "Sequence[Check]", Scope, Actions], Status]
"""How the checks at a path prefix stand; `stages/verify.py` has the one that runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything a decision may depend on besides the plan and the journal.

    `epoch` is the claim under which it is made, `answers` those of calls made under it, by path. `alert` is the
    alert as it is now, as expressions see it. `paused` is the switch that stops all writes.
    """

    run: Run
    epoch: int
    now: datetime
    rows: Sequence[StepRecord]
    answers: Mapping[str, Answered]
    alert: Mapping[str, object]
    paused: bool = False


def advance(plan: Plan, situation: Situation, actions: Actions, verify: Verify) -> Moves:
    """Decide the next moves of a run."""
    run = situation.run
    journal = Journal(run, situation.rows, situation.answers, epoch=situation.epoch, now=situation.now)
    journal.stopping = run.cancel_reason is not None or situation.now >= run.deadline_at
    journal.frozen = situation.paused
    walk = _Walk(plan, journal, actions, verify)
    status = walk.root(_outer(plan, situation))
    finish = None if status.pending else _finish(plan, run, status)
    if finish is None and not journal.stopping:
        journal.wake(run.deadline_at)
    return Moves(
        records=tuple(journal.records.values()),
        starts=tuple(journal.starts),
        due=None if finish else journal.due,
        finish=finish,
    )


def _outer(plan: Plan, situation: Situation) -> dict[str, object]:
    """What every expression of the run sees, besides `inputs` and `steps`."""
    return {**situation.run.scope, "alert": situation.alert, "vars": plan.vars, "now": situation.now}


def _finish(plan: Plan, run: Run, status: Status) -> Finish:
    if status.standing is Standing.STOPPED:
        if run.cancel_reason is not None:
            return Finish(state=RunState.CANCELLED, reason=RunReason.CANCELLED, message=run.cancel_reason)
        return Finish(
            state=RunState.FAILED,
            reason=RunReason.DEADLINE,
            message="the run's deadline passed before it was done",
        )
    if status.standing is Standing.FAILED:
        if status.reason == RunReason.NOT_VERIFIED:
            return Finish(state=RunState.UNVERIFIED, reason=RunReason.NOT_VERIFIED, message=status.message)
        reason = RunReason.IN_DOUBT if status.in_doubt else RunReason.STEP_FAILED
        return Finish(state=RunState.FAILED, reason=reason, message=status.message)
    if run.mode is Mode.OBSERVE:
        return Finish(state=RunState.OBSERVED, reason=RunReason.OBSERVED)
    if plan.playbooks[plan.root].verify:
        return Finish(state=RunState.VERIFIED, reason=RunReason.VERIFIED)
    return Finish(state=RunState.SUCCEEDED, reason=RunReason.DONE)


class _Walk:
    """One pass over a plan. `outer` is what all expressions see; `steps` grows as steps end."""

    def __init__(self, plan: Plan, journal: Journal, actions: Actions, verify: Verify) -> None:
        self._plan = plan
        self._journal = journal
        self._actions = actions
        self._verify = verify

    def root(self, outer: Mapping[str, object]) -> Status:
        playbook = self._plan.playbooks[self._plan.root]
        inputs = outer.get("inputs")
        given = inputs if isinstance(inputs, dict) else {}
        return self._playbook("", playbook, {**outer, "inputs": given})

    def _playbook(self, prefix: str, playbook: Playbook, outer: Mapping[str, object]) -> Status:
        """All parts of a playbook, in order; the root's and a called one's alike."""
        steps: dict[str, object] = {}
        status = self._evidence(f"{prefix}evidence", playbook.evidence, outer)
        if status.pending:
            return PENDING
        body = [step for step in playbook.steps if not step.finally_]
        status = self._sequence(f"{prefix}steps", body, (outer, steps))
        if not status.pending and not status.bad and playbook.verify and self._journal.run.mode is Mode.ACT:
            scope = Scope({**outer, "steps": steps})
            status = self._verify(self._journal, f"{prefix}verify", playbook.verify, scope, self._actions)
        if status.pending:
            return PENDING
        if not prefix and status.standing is Standing.FAILED and playbook.on_failure == "undo_and_escalate":
            undone = self._undo(status)
            if undone.pending:
                return PENDING
            status = undone
        return self._last_steps(prefix, playbook, (outer, steps), status)

    def _last_steps(
        self,
        prefix: str,
        playbook: Playbook,
        seen: tuple[Mapping[str, object], dict[str, object]],
        status: Status,
    ) -> Status:
        """Run every `finally` step, however the rest ended; one that fails spoils a good end, never the others."""
        outer, steps = seen
        known = {step.id for step in playbook.steps if step.id}
        last = [(number, step) for number, step in enumerate(playbook.steps) if step.finally_]
        was_stopping, self._journal.stopping = self._journal.stopping, False
        for number, step in last:
            ended = self._step(f"{prefix}steps/{step.id or number}", step, (outer, steps))
            if ended.pending:
                self._journal.stopping = was_stopping
                return PENDING
            if step.id in known:
                steps[step.id or ""] = _seen(ended)
            if ended.bad and not step.continue_on_failure and not status.bad:
                status = replace(ended, message=f"finally step {step.id or number}: {ended.message}")
        self._journal.stopping = was_stopping
        return status

    def _evidence(self, path: str, wanted: Sequence[EvidenceStep], outer: Mapping[str, object]) -> Status:
        """Collect everything at once; what cannot be had is recorded, and does not keep help from coming."""
        scope = Scope({**outer, "steps": {}})
        pending = False
        for number, step in enumerate(wanted):
            call = Wanted(action=step.action, parameters=step.with_, timeout=step.timeout)
            pending |= self._journal.call(f"{path}/{step.name or number}", call, scope, self._actions).pending
        return PENDING if pending else Status(standing=Standing.SUCCEEDED)

    def _sequence(
        self, path: str, steps: Sequence[Step], seen: tuple[Mapping[str, object], dict[str, object]]
    ) -> Status:
        """One step after another, until one is pending or fails."""
        outer, known = seen
        for number, step in enumerate(steps):
            status = self._step(f"{path}/{step.id or number}", step, (outer, known))
            if status.pending:
                return PENDING
            if step.id is not None:
                known[step.id] = _seen(status)
            if status.standing is Standing.STOPPED:
                return status
            if status.bad and not step.continue_on_failure:
                return replace(status, message=f"step {step.id or number}: {status.message}")
        return Status(standing=Standing.SUCCEEDED, output=known)

    def _step(self, path: str, step: Step, seen: tuple[Mapping[str, object], dict[str, object]]) -> Status:
        scope = Scope({**seen[0], "steps": dict(seen[1])})
        if step.foreach is not None:
            return self._foreach(path, step, seen, scope)
        return self._single(path, step, seen, scope)

    def _single(
        self, path: str, step: Step, seen: tuple[Mapping[str, object], dict[str, object]], scope: Scope
    ) -> Status:
        match step.kind:
            case "action":
                return self._journal.call(path, _wanted(step), scope, self._actions)
            case "wait":
                return self._wait(path, step, scope)
            case "assert":
                return self._assert(path, step, scope)
            case "parallel":
                return self._parallel(path, step, seen, scope)
            case "playbook":
                return self._called(path, step, seen, scope)

    def _wait(self, path: str, step: Step, scope: Scope) -> Status:
        row = self._journal.last(path)
        if row is None:
            opened = self._open(path, step, scope)
            if isinstance(opened, Status):
                return opened
            assert step.wait is not None  # noqa: S101 - its kind says so
            row = self._journal.note(replace(opened, due_at=self._journal.now + step.wait))
        if row.state is not StepState.WAITING:
            return status_of(row)
        if row.due_at is not None and self._journal.now >= row.due_at:
            done = replace(
                row, state=StepState.SUCCEEDED, ended_at=self._journal.now, reason=StepReason.WAITED
            )
            return status_of(self._journal.note(done))
        if self._journal.stopping:
            return Status(standing=Standing.STOPPED)
        self._journal.wake(row.due_at or self._journal.now)
        return PENDING

    def _assert(self, path: str, step: Step, scope: Scope) -> Status:
        row = self._journal.last(path)
        if row is not None:
            return status_of(row)
        opened = self._open(path, step, scope)
        if isinstance(opened, Status):
            return opened
        text = step.assert_ or ""
        try:
            holds = compile_expression(text).holds(scope)
            said = "" if holds else failed_assertion(text, step.message, scope)
        except EvaluationError as error:
            return self._journal.unrenderable(path, None, error)
        state = StepState.SUCCEEDED if holds else StepState.FAILED
        reason = None if holds else StepReason.ASSERT_FALSE
        return status_of(self._journal.note(self._journal.row(path, state, reason, said)))

    def _open(self, path: str, step: Step, scope: Scope) -> StepRecord | Status:
        """Begin something that is not a call: a row that waits, or how the step stands if it is not to begin."""
        if self._journal.stopping:
            return Status(standing=Standing.STOPPED)
        skipped = self._journal.skipped(path, step.when, scope)
        return skipped or self._journal.row(path, StepState.WAITING)

    def _close(self, row: StepRecord, status: Status) -> Status:
        """End a block's row with how its inner steps ended."""
        if status.pending or status.standing is Standing.STOPPED:
            return status
        ended = replace(
            row,
            state=StepState.IN_DOUBT if status.in_doubt else _STATES[status.standing],
            output=dict(status.output),
            reason=status.reason or None,
            message=status.message or None,
            ended_at=self._journal.now,
        )
        return status_of(self._journal.note(ended))

    def _parallel(
        self, path: str, step: Step, seen: tuple[Mapping[str, object], dict[str, object]], scope: Scope
    ) -> Status:
        """Inner steps at once; the block ends when all have. Their results are seen as steps of the playbook."""
        inner = step.parallel or []
        row = self._journal.last(path)
        if row is None:
            opened = self._open(path, step, scope)
            if isinstance(opened, Status):
                return opened
            row = self._journal.note(opened)
        outer, known = seen
        statuses = [
            self._step(f"{path}/{one.id or number}", one, (outer, dict(known)))
            for number, one in enumerate(inner)
        ]
        for one, status in zip(inner, statuses, strict=True):
            if one.id is not None and not status.pending:
                known[one.id] = _seen(status)
        if row.state is not StepState.WAITING:
            return status_of(row)
        bad = [
            (one, status)
            for one, status in zip(inner, statuses, strict=True)
            if status.bad and not one.continue_on_failure
        ]
        if any(status.pending for status in statuses):
            return PENDING
        return self._close(
            row, _worst([(f"step {one.id or inner.index(one)}", status) for one, status in bad])
        )

    def _foreach(
        self, path: str, step: Step, seen: tuple[Mapping[str, object], dict[str, object]], scope: Scope
    ) -> Status:
        """The step once per item, at most `max_parallel` at a time, until more than `max_failures` have failed."""
        row = self._journal.last(path)
        if row is None:
            opened = self._open(path, step, scope)
            if isinstance(opened, Status):
                return opened
            row = self._journal.note(self._items(opened, step, scope))
        if row.state is not StepState.WAITING:
            return status_of(row)
        outer, known = seen
        items = row.params.get("items")
        assert isinstance(items, list)  # noqa: S101 - the row was made with a list
        ended: list[Status] = []
        under_way = failures = 0
        each = step.model_copy(update={"foreach": None, "when": None})
        for number, item in enumerate(items):
            inner_path = f"{path}[{number}]"
            begun = self._journal.last(inner_path) is not None
            if not begun and (under_way >= step.max_parallel or failures > step.max_failures):
                continue
            inner = ({**outer, "item": item}, known)
            status = self._single(inner_path, each, inner, Scope({**inner[0], "steps": dict(known)}))
            under_way += status.pending
            failures += status.bad
            if not status.pending:
                ended.append(status)
        if under_way:
            return PENDING
        return self._close(row, _folded(ended, items, failures > step.max_failures))

    def _items(self, row: StepRecord, step: Step, scope: Scope) -> StepRecord:
        """Freeze the list of items into the block's row, or end the row when there are none, or too many."""
        try:
            items = compile_template(step.foreach).render(scope)
        except EvaluationError as error:
            return replace(
                row,
                state=StepState.FAILED,
                reason=StepReason.EXPRESSION,
                message=str(error),
                ended_at=row.started_at,
            )
        if not isinstance(items, list):
            message = f"foreach needs a list, got {type(items).__name__}"
            return replace(
                row,
                state=StepState.FAILED,
                reason=StepReason.EXPRESSION,
                message=message,
                ended_at=row.started_at,
            )
        if not items:
            return replace(row, state=StepState.SKIPPED, reason=StepReason.NO_ITEMS, ended_at=row.started_at)
        if len(items) > step.max_items:
            message = f"{len(items)} items are more than max_items: {step.max_items}; nothing was done"
            return replace(
                row,
                state=StepState.FAILED,
                reason=StepReason.TOO_MANY_ITEMS,
                message=message,
                ended_at=row.started_at,
            )
        return replace(row, params={"items": items})

    def _called(
        self, path: str, step: Step, seen: tuple[Mapping[str, object], dict[str, object]], scope: Scope
    ) -> Status:
        """Another playbook as a step, with inputs of its own and nothing of its caller's steps."""
        playbook = self._plan.playbooks[step.playbook or ""]
        row = self._journal.last(path)
        if row is None:
            opened = self._open(path, step, scope)
            if isinstance(opened, Status):
                return opened
            try:
                given = compile_template(dict(step.with_)).render(scope)
                inputs = fit_inputs(playbook.inputs, given if isinstance(given, dict) else {})
            except EvaluationError as error:
                row = self._journal.row(path, StepState.FAILED, StepReason.BAD_INPUT, str(error))
                return status_of(self._journal.note(row))
            row = self._journal.note(replace(opened, params=inputs))
        if row.state is not StepState.WAITING:
            return status_of(row)
        status = self._playbook(f"{path}/", playbook, {**seen[0], "inputs": dict(row.params)})
        return self._close(row, status)

    def _undo(self, status: Status) -> Status:
        """Reverse what was changed, latest first; an undo that fails is said, and the others still go on."""
        if self._journal.frozen or status.in_doubt:
            return status
        said = []
        for row in self._journal.ended_mutations():
            spec = self._actions.spec(row.action or "")
            if row.path.startswith("undo/") or spec is None or not spec.undoable:
                continue
            undone = self._journal.undo(row, self._actions)
            if undone.pending:
                return PENDING
            said.append(
                f"undone {row.path}" if not undone.bad else f"could not undo {row.path}: {undone.message}"
            )
        return replace(status, message="; ".join([status.message, *said])) if said else status


_STATES = {
    Standing.SUCCEEDED: StepState.SUCCEEDED,
    Standing.FAILED: StepState.FAILED,
    Standing.SKIPPED: StepState.SKIPPED,
    Standing.OBSERVED: StepState.SKIPPED,
}


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


def _seen(status: Status) -> dict[str, object]:
    """What later expressions see under `steps.ID`."""
    return {**status.output, "outcome": status.standing.value, "error": status.message}


def _worst(bad: Sequence[tuple[str, Status]]) -> Status:
    """Fold inner failures into the block's: a stop outweighs all, then a doubt, then the first failure."""
    if not bad:
        return Status(standing=Standing.SUCCEEDED)
    stopped = next((status for _, status in bad if status.standing is Standing.STOPPED), None)
    if stopped is not None:
        return stopped
    name, first = next(((name, status) for name, status in bad if status.in_doubt), bad[0])
    return replace(first, reason=StepReason.CHILD_FAILED, message=f"{name}: {first.message}", output={})


def _folded(ended: Sequence[Status], items: Sequence[object], too_many_failures: bool) -> Status:  # noqa: FBT001
    """Fold the items' ends into the step's."""
    failed = [(f"item {number}", status) for number, status in enumerate(ended) if status.bad]
    output = {
        "items": [dict(status.output) for status in ended],
        "count": len(items),
        "failed": len(failed),
    }
    if too_many_failures or any(status.standing is Standing.STOPPED for _, status in failed):
        return replace(_worst(failed), output=output)
    return Status(standing=Standing.SUCCEEDED, output=output)
