"""A playbook run to its end against canned answers: the service's own stages, no world behind them.

Time is a value that jumps to whatever is due next, so a test of a fifteen-minute wait takes no time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from runbookd.content.calls import all_steps
from runbookd.content.messages import findings, sentence
from runbookd.errors import EvaluationError
from runbookd.language.fuzzy import did_you_mean
from runbookd.model.action import Failure, Mode, Outcome, OutcomeState, Repeat, Spec
from runbookd.model.alert import Alert
from runbookd.model.event import Event, Status
from runbookd.model.incident import Incident
from runbookd.model.library import Library
from runbookd.model.plan import Ask, Finish, Moves, Plan, Start
from runbookd.model.playbook import Input, Playbook, PlaybookTest
from runbookd.model.rule import TestEvent
from runbookd.model.run import Run, StepRecord
from runbookd.model.views import alert_view, event_view, incident_view, run_view
from runbookd.ports import Catalogue
from runbookd.stages.execute import Situation, advance
from runbookd.stages.inputs import fit_inputs
from runbookd.stages.journal import Answered
from runbookd.stages.verify import verify

TEST_TIME = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
"""When every test takes place: a Monday noon."""

_MOST_MOVES = 20_000
_LOOK = re.compile(r"(?:^|/)verify/(\d+)@\d+$")
_EVIDENCE = re.compile(r"(?:^|/)evidence/[^/]+$")
_ITEM = re.compile(r"\[(\d+)\]$")
_SAMPLES: Mapping[str, object] = {
    "integer": 1,
    "number": 1.0,
    "boolean": False,
    "duration": "1m",
    "list": [],
    "map": {},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """How a rehearsal went.

    `calls` are the actions of the steps in the order they were first called, `undo NAME` for each that was reversed;
    evidence and checks do not count. `params` are those of the calls, by step id.
    """

    outcome: str
    reason: str
    message: str
    calls: tuple[str, ...]
    params: Mapping[str, Mapping[str, object]]


@dataclass(slots=True)
class _Stage:
    """What has happened so far."""

    playbook: Playbook
    test: PlaybookTest
    catalogue: Catalogue
    rows: dict[tuple[str, int], StepRecord] = field(default_factory=dict)
    answers: dict[str, Answered] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    params: dict[str, Mapping[str, object]] = field(default_factory=dict)

    def spec(self, action: str) -> Spec | None:
        """What the action declares."""
        return self.catalogue.spec(action)

    def mutates(self, action: str, params: Mapping[str, object]) -> bool:
        """Whether this call would change anything."""
        return self.catalogue.mutates(action, params)

    def repeat(self, action: str, params: Mapping[str, object]) -> Repeat:
        """What may be done after a crash; nothing is cut off here, so nobody asks."""
        del action, params
        return Repeat.NEVER  # pragma: no cover

    def take(self, moves: Moves) -> None:
        """Write what was decided, and answer what was asked."""
        for row in moves.records:
            self.rows[row.path, row.attempt] = row
        self.answers = {start.record.path: self._answer(start) for start in moves.starts}

    def _answer(self, start: Start) -> Answered:
        row = start.record
        self._note(start)
        if start.ask is not Ask.RUN:  # nothing is ever in doubt here, so it is an undo
            return Answered(outcome=Outcome(state=OutcomeState.SUCCEEDED))
        given = self._given(row.path)
        if isinstance(given, Mapping) and set(given) == {"fails"}:
            failure = Failure(kind="failed", message=str(given["fails"]))
            return Answered(outcome=Outcome(state=OutcomeState.FAILED, failure=failure))
        action = row.action or ""
        output = _output(self.catalogue.result(action), action, given)
        return Answered(outcome=Outcome(state=OutcomeState.SUCCEEDED, output=output))

    def _note(self, start: Start) -> None:
        row = start.record
        if row.attempt > 1 or _LOOK.search(row.path) or _EVIDENCE.search(row.path):
            return
        self.calls.append(f"undo {row.action}" if start.ask is Ask.UNDO else row.action or "")
        if start.ask is Ask.RUN:
            self.params.setdefault(_step_id(row.path), row.params)

    def _given(self, path: str) -> object:
        """Return the canned answer for a path: that of the whole path, else that of the step's own id."""
        canned = self.test.given
        if look := _LOOK.search(path):
            return (
                {"fails": "it does not hold"} if self.never_verifies else canned.get(f"verify.{look[1]}", {})
            )
        if _EVIDENCE.search(path):
            return {}
        whole = ".".join(part for part in _ITEM.sub("", path).split("/") if part != "steps")
        given = canned.get(f"steps.{whole}", canned.get(f"steps.{_step_id(path)}", {}))
        item = _ITEM.search(path)
        if isinstance(given, list) and item:
            return given[int(item[1])] if int(item[1]) < len(given) else {}
        return given

    @property
    def never_verifies(self) -> bool:
        """True when the test says so."""
        return self.test.given.get("verify") is False


def _output(model: type[BaseModel], action: str, given: object) -> dict[str, object]:
    """Give canned values the types the action's result has. Raises EvaluationError for what it cannot have."""
    if not isinstance(given, Mapping):
        raise EvaluationError(f"`given` for {action} must be a map of its result, or {{fails: message}}")
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    output: dict[str, object] = {}
    for name, value in given.items():
        if name in fields:
            output[name] = _typed(fields[name], value, f"{name!r} is not what {action} results in")
        elif model.model_config.get("extra") == "allow":
            output[name] = value
        else:
            raise EvaluationError(f"the result of {action} has no {name!r}.{did_you_mean(name, fields)}")
    return output


def _typed(info: FieldInfo, value: object, mistake: str) -> object:
    annotation: Any = Annotated[(info.annotation, *(info.metadata or [None]))]
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    try:
        return adapter.dump_python(adapter.validate_python(value), by_alias=True)
    except ValidationError as error:
        raise EvaluationError(f"{mistake}: {sentence(error, value)}") from None


def rehearse(playbook: Playbook, test: PlaybookTest, library: Library, catalogue: Catalogue) -> Rehearsed:
    """Run a playbook as the test says. Raises EvaluationError when the test itself makes no sense."""
    _known_steps(playbook, test, library)
    stage = _Stage(playbook, test, catalogue)
    plan = Plan(root=playbook.playbook, playbooks=library.playbooks, vars=library.vars)
    event = _event(test)
    finish = _to_the_end(plan, _run(playbook, test, event), event, stage)
    return Rehearsed(
        outcome=finish.state.value,
        reason=finish.reason.value,
        message=finish.message,
        calls=tuple(stage.calls),
        params=stage.params,
    )


def _to_the_end(plan: Plan, run: Run, event: Event, stage: _Stage) -> Finish:
    now = run.created_at
    for _ in range(_MOST_MOVES):
        verifying = any(path.rpartition("/")[2] == "verify" for path, _ in stage.rows)
        situation = Situation(
            run=run,
            epoch=1,
            now=now,
            rows=tuple(stage.rows.values()),
            answers=stage.answers,
            alert=_alert(event, resolved=verifying and not stage.never_verifies),
        )
        moves = advance(plan, situation, stage, verify)
        stage.take(moves)
        if moves.finish is not None:
            return moves.finish
        if not moves.starts and moves.due is not None:
            now = max(now, moves.due)
    raise EvaluationError(f"the playbook does not come to an end within {_MOST_MOVES} moves")


def _run(playbook: Playbook, test: PlaybookTest, event: Event) -> Run:
    inputs = fit_inputs(playbook.inputs, _sampled(playbook, test.inputs))
    incident = incident_of("test", priority="", title=test.name)
    run = Run(
        id="run-test",
        playbook=playbook.playbook,
        plan_hash="",
        mode=Mode.ACT,
        created_at=TEST_TIME,
        deadline_at=TEST_TIME + playbook.deadline,
        rule="test",
    )
    seen = {"event": event_view(event), "incident": incident_view(incident), "run": run_view(run)}
    return replace(run, scope={**seen, "inputs": inputs})


def _alert(event: Event, *, resolved: bool) -> Mapping[str, object]:
    alert = Alert(
        id="alert-test",
        source=event.source,
        fingerprint=event.fingerprint,
        starts_at=TEST_TIME,
        first_seen=TEST_TIME,
        last_seen=TEST_TIME,
        event=event,
        resolved_at=TEST_TIME if resolved else None,
    )
    return alert_view(alert)


def event_of(given: TestEvent) -> Event:
    """Make the event of a test; what is not said is what a quiet Alertmanager would send."""
    return Event(
        source=given.source,
        name=given.labels.get("alertname", ""),
        status=Status(given.status),
        fingerprint="test",
        severity=given.labels.get("severity", "") if given.severity is None else given.severity,
        labels=given.labels,
        annotations=given.annotations,
        starts_at=TEST_TIME,
    )


def incident_of(rule: str, *, priority: str, title: str) -> Incident:
    """Make the incident a test's run is for."""
    return Incident(id="inc-test", rule=rule, key="{}", priority=priority, title=title, opened_at=TEST_TIME)


def _event(test: PlaybookTest) -> Event:
    try:
        return event_of(TestEvent.model_validate(test.event))
    except ValidationError as error:
        said = "; ".join(each.message for each in findings(TestEvent, test.event, error))
        raise EvaluationError(f"the test's event: {said}") from None


def _sampled(playbook: Playbook, given: Mapping[str, object]) -> dict[str, object]:
    """Fill in required inputs the test does not care about: the input's own name for a text, a small value else."""
    needed = {name: each for name, each in playbook.inputs.items() if each.required and name not in given}
    return {**given, **{name: _sample(name, each) for name, each in needed.items()}}


def _sample(name: str, declared: Input) -> object:
    if declared.enum:
        return declared.enum[0]
    if declared.type in {"integer", "number"} and declared.minimum is not None:
        return int(declared.minimum) if declared.type == "integer" else declared.minimum
    return _SAMPLES.get(declared.type, name)


def _known_steps(playbook: Playbook, test: PlaybookTest, library: Library) -> None:
    """Refuse canned answers nobody will ask for: a misspelled step would make the test prove nothing."""
    ids = set(_step_ids(playbook, library))
    checks = {f"verify.{number}" for number, _ in enumerate(playbook.verify)} | {"verify"}
    for name in test.given:
        words = name.split(".")
        if name not in checks and not (words[0] == "steps" and ids.issuperset(words[1:]) and words[1:]):
            hint = did_you_mean(name, {*checks, *(f"steps.{each}" for each in ids)})
            raise EvaluationError(f"`given` names {name!r}, which this playbook does not have.{hint}")


def _step_ids(playbook: Playbook, library: Library) -> Iterator[str]:
    """Yield the ids of all steps, those of called playbooks too; checked playbooks call in no circles."""
    for _, step in all_steps(playbook.steps):
        if step.id is not None:
            yield step.id
        if step.playbook is not None:
            yield from _step_ids(library.playbooks[step.playbook], library)


def _step_id(path: str) -> str:
    return _ITEM.sub("", path.rpartition("/")[2])
