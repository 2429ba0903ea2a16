"""A run, driven by hand: canned answers by path, a clock that is set, a journal in memory, crashes where one likes.

Times are seconds since the run was created. Nothing is patched: the stages are called as the service calls them,
and the journal's values go through `encode` and `decode` as they do in a store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from runbookd.language.values import decode, encode
from runbookd.model.action import Failure, Mode, Outcome, OutcomeState, Probed, Repeat, Spec
from runbookd.model.plan import Ask, Finish, Moves, Plan, Start
from runbookd.model.playbook import Playbook
from runbookd.model.run import Run, StepRecord
from runbookd.stages.execute import Situation, advance
from runbookd.stages.journal import Answered
from runbookd.stages.verify import verify

BEGIN = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MOST_LOOKS = 500

ACTIONS = {
    "read": (False, Repeat.SAFE, False),
    "safe": (True, Repeat.SAFE, True),
    "probe": (True, Repeat.PROBE, True),
    "never": (True, Repeat.NEVER, True),
    "fixed": (True, Repeat.SAFE, False),
    "flow.fail": (False, Repeat.SAFE, False),
}
"""Per action: whether it mutates, what a crash allows, whether it can be undone. `gone` is no action at all."""

Canned = Outcome | tuple[Probed, Outcome | None]


def ok(**output: object) -> Outcome:
    """A call that succeeded."""
    return Outcome(state=OutcomeState.SUCCEEDED, output=output)


def fails(message: str = "broken", *, again: bool = False, after: float | None = None) -> Outcome:
    """A call that failed; `again` when it may be tried again, `after` so many seconds."""
    told = Failure(kind="failed", message=message, temporary=again, retry_after=after)
    return Outcome(state=OutcomeState.FAILED, failure=told)


def doubt(message: str = "timed out") -> Outcome:
    """A call that may have taken effect."""
    told = Failure(kind="timeout", message=message, temporary=True)
    return Outcome(state=OutcomeState.IN_DOUBT, failure=told)


def observed() -> Outcome:
    """A mutating call that observe mode did not make."""
    told = Failure(kind="observed", message="was not called: observe mode changes nothing")
    return Outcome(state=OutcomeState.SKIPPED, failure=told)


class Hands:
    """What the stages may know of the actions."""

    def spec(self, action: str) -> Spec | None:
        """What the action declares."""
        if action not in ACTIONS:
            return None
        mutates, repeat, undoable = ACTIONS[action]
        return Spec(
            name=action,
            summary="",
            mutates=mutates,
            repeat=repeat,
            undo="",
            timeout=timedelta(seconds=7),
            example={},
            undoable=undoable,
        )

    def mutates(self, action: str, params: Mapping[str, object]) -> bool:
        """Whether it changes anything; unknown is yes."""
        return ACTIONS[action][0] if action in ACTIONS else True

    def repeat(self, action: str, params: Mapping[str, object]) -> Repeat:
        """What a crash allows; unknown is never."""
        return ACTIONS[action][1] if action in ACTIONS else Repeat.NEVER


def playbook_of(text: str) -> Playbook:
    """Read a playbook; one without a name is called `main`."""
    return Playbook.model_validate({"playbook": "main", **yaml.safe_load(text)})


@dataclass(slots=True)
class RunOf:
    """One run. `answers` are canned by path, taken in turn, the last one again and again; without one a call succeeds.

    `asked` is every call made so far, `now` the clock, `epoch` the claim; `alert` is the alert's status.
    """

    text: str
    answers: Mapping[str, Canned | Sequence[Canned]] = field(default_factory=dict)
    others: Sequence[str] = ()
    mode: Mode = Mode.ACT
    inputs: Mapping[str, object] = field(default_factory=dict)
    alert: str = "firing"
    paused: bool = False
    cancel: str | None = None
    epoch: int = 1
    now: datetime = BEGIN
    rows: dict[tuple[str, int], StepRecord] = field(default_factory=dict)
    asked: list[Start] = field(default_factory=list)
    under_way: dict[str, Start] = field(default_factory=dict)
    finish: Finish | None = None
    _taken: dict[tuple[str, str], int] = field(default_factory=dict)

    # the clock and the world ---------------------------------------------------------------------------------

    def at(self, seconds: float) -> RunOf:
        """Set the clock."""
        self.now = BEGIN + timedelta(seconds=seconds)
        return self

    def crash(self) -> RunOf:
        """Lose whatever is under way; another worker has the run."""
        self.epoch += 1
        self.under_way = {}
        return self

    # moves ---------------------------------------------------------------------------------------------------

    def look(self, answers: Mapping[str, Answered] | None = None) -> Moves:
        """Decide once, write it down, and make the calls that are not under way yet."""
        plan = self.plan()
        situation = Situation(
            run=self.run(plan),
            epoch=self.epoch,
            now=self.now,
            rows=tuple(self.rows.values()),
            answers=answers or {},
            alert={"status": self.alert},
            paused=self.paused,
        )
        moves = advance(plan, situation, Hands(), verify)
        for row in moves.records:
            kept = replace(row, params=decode(encode(row.params)), output=decode(encode(row.output)))
            self.rows[row.path, row.attempt] = kept
        fresh = [start for start in moves.starts if start.record.path not in self.under_way]
        self.asked += fresh
        self.under_way |= {start.record.path: start for start in fresh}
        self.finish = moves.finish
        return moves

    def answer(self, *paths: str) -> Moves:
        """Let the calls at these paths (all, when none is named) be answered, and look."""
        ended = {path: self.under_way.pop(path) for path in paths or tuple(self.under_way)}
        return self.look({path: self._answer(start) for path, start in ended.items()})

    def to_the_end(self) -> Finish:
        """Look and answer, wait for what is due, until the run ends."""
        moves = self.look()
        for _ in range(MOST_LOOKS):
            if moves.finish is not None:
                return moves.finish
            if self.under_way:
                moves = self.answer()
            else:
                assert moves.due is not None, "nothing is under way, and nothing is due"
                self.now = max(self.now, moves.due)
                moves = self.look()
        raise AssertionError("the run does not come to an end")

    def _answer(self, start: Start) -> Answered:
        path = start.record.path
        if start.ask is Ask.PROBE:
            probed, outcome = self._next(path, "probe", (Probed.UNKNOWN, None))
            return Answered(outcome=outcome, probed=probed)
        return Answered(outcome=self._next(path, "call", ok()))

    def _next(self, path: str, kind: str, default: Any) -> Any:
        """Take the next canned answer of this kind: outcomes for calls, tuples for probes."""
        given = self.answers.get(path, [])
        canned = list(given) if isinstance(given, list) else [given]
        fitting = [one for one in canned if isinstance(one, tuple) == (kind == "probe")] or [default]
        number = self._taken.get((path, kind), 0)
        self._taken[path, kind] = number + 1
        return fitting[min(number, len(fitting) - 1)]

    # what a test reads ---------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """The frozen playbooks; the first is the run's own."""
        books = [playbook_of(text) for text in (self.text, *self.others)]
        return Plan(root=books[0].playbook, playbooks={book.playbook: book for book in books}, vars={"v": 1})

    def run(self, plan: Plan) -> Run:
        """The run as it stands."""
        return Run(
            id="run-1",
            playbook=plan.root,
            plan_hash="",
            mode=self.mode,
            created_at=BEGIN,
            deadline_at=BEGIN + plan.playbooks[plan.root].deadline,
            scope={"inputs": self.inputs, "run": {"id": "run-1"}},
            cancel_reason=self.cancel,
        )

    @property
    def calls(self) -> list[str]:
        """Paths of the calls made, in order; probes as `? PATH`."""
        return [f"{'? ' if start.ask is Ask.PROBE else ''}{start.record.path}" for start in self.asked]

    def row(self, path: str) -> StepRecord:
        """The latest attempt at a path."""
        return [row for row in self.rows.values() if row.path == path][-1]

    def state(self, path: str) -> str:
        """How the latest attempt at a path stands, `state` or `state:reason`."""
        row = self.row(path)
        return row.state.value if row.reason is None else f"{row.state.value}:{row.reason}"

    def seconds(self) -> float:
        """The clock, in seconds since the run was created."""
        return (self.now - BEGIN).total_seconds()
