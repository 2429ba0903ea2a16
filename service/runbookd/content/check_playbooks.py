"""What can be wrong with one playbook beyond its shape."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, replace

from runbookd.content.calls import all_steps
from runbookd.content.expressions import STANDING, View, expression, fields_of, is_constant, templates
from runbookd.content.params import action_params, input_declarations, playbook_inputs
from runbookd.content.read import Draft, Located
from runbookd.content.yaml import Path
from runbookd.errors import Problem
from runbookd.language.fuzzy import did_you_mean
from runbookd.model.playbook import Check, EvidenceStep, Playbook, Step
from runbookd.ports import Catalogue

RUN = frozenset({"event", "alert", "incident", "inputs", "vars", "run", "now"})
"""What every expression of a playbook can read, besides steps."""

RESERVED_IDS = frozenset({"evidence", "steps", "undo", "verify"})
"""Step ids that would make a path in the journal (`steps/rollback`, `verify/1@7`) mean two things."""

_ONLY_FOR = {
    "with_": ("action", "playbook"),
    "timeout": ("action",),
    "retry": ("action",),
    "outputs": ("action",),
    "assert_": ("action", "assert"),
    "message": ("action", "assert"),
}
"""Step keys that are read for some kinds of steps only."""

_FOREACH_ONLY = ("max_parallel", "max_items", "max_failures")
_FOLDED = frozenset({"items", "count", "failed"})
"""What a `foreach` step results in."""


def playbook_problems(located: Located[Playbook], draft: Draft, catalogue: Catalogue) -> Iterator[Problem]:
    """Find everything that is wrong with a playbook, but for what concerns the playbooks it calls."""
    return _Checking(located, draft, catalogue).problems()


@dataclass(frozen=True, slots=True)
class _Spot:
    """A step and where it stands; `inside` is `parallel` for the steps of a block, else empty."""

    step: Step
    below: Path
    view: View
    inside: str = ""


class _Checking:
    """One pass over one playbook."""

    def __init__(self, located: Located[Playbook], draft: Draft, catalogue: Catalogue) -> None:
        self._located = located
        self._playbook = located.item
        self._draft = draft
        self._catalogue = catalogue
        self._view = View(
            where="a playbook",
            names=RUN,
            vars=draft.names["var"],
            inputs=tuple(located.item.inputs),
            later=tuple(step.id for _, step in all_steps(located.item.steps) if step.id),
            secrets=True,
        )

    def problems(self) -> Iterator[Problem]:
        """Find them, part by part."""
        yield from input_declarations(self._located)
        if self._playbook.target is not None:
            names = frozenset({"inputs", "vars"})
            view = replace(self._view, where="the target", names=names, secrets=False)
            yield from templates(self._located, ("target",), self._playbook.target, view)
        for index, evidence in enumerate(self._playbook.evidence):
            yield from self._evidence(evidence, ("evidence", index))
        yield from self._same_ids()
        seen = yield from self._steps()
        for index, check in enumerate(self._playbook.verify):
            yield from self._verify(check, ("verify", index), seen)

    def _evidence(self, evidence: EvidenceStep, below: Path) -> Iterator[Problem]:
        view = self._view.at("evidence")
        yield from templates(self._located, (*below, "with"), evidence.with_, view)
        yield from self._action(evidence.action, below, evidence.with_, "evidence")

    def _same_ids(self) -> Iterator[Problem]:
        first: dict[str, Path] = {}
        for below, step in all_steps(self._playbook.steps):
            if step.id is None:
                continue
            if step.id in RESERVED_IDS:
                yield self._located.problem(
                    f"{step.id!r} is a word of the journal; choose another id", *below, "id"
                )
            if step.id in first:
                line = self._located.problem("", *first[step.id], "id").line
                message = f"there is already a step {step.id!r}, in line {line}; ids are unique in a playbook"
                yield self._located.problem(message, *below, "id")
            first.setdefault(step.id, below)

    def _steps(self) -> Generator[Problem, None, Mapping[str, Collection[str] | None]]:
        """Check the steps in the order they run, `finally` ones last; returns what `verify` can read of them."""
        known: dict[str, Collection[str] | None] = {}
        body = [(index, step) for index, step in enumerate(self._playbook.steps) if not step.finally_]
        last = [(index, step) for index, step in enumerate(self._playbook.steps) if step.finally_]
        for_verify: Mapping[str, Collection[str] | None] = {}
        for group in (body, last):
            for index, step in group:
                view = replace(self._view, steps=dict(known), names=RUN | {"steps"})
                yield from self._step(_Spot(step, ("steps", index), view))
                known.update(self._results(step))
            for_verify = dict(known) if group is body else for_verify
        return for_verify

    def _results(self, step: Step) -> Iterator[tuple[str, Collection[str] | None]]:
        """Yield what a step leaves to be read: itself, and the steps of a block."""
        if step.id is not None:
            yield step.id, _FOLDED if step.foreach is not None else self._own_fields(step)
        if step.foreach is None:
            for inner in step.parallel or ():
                yield from self._results(_closed(inner))

    def _own_fields(self, step: Step) -> Collection[str] | None:
        if step.kind != "action":
            return None if step.kind == "playbook" else frozenset()
        fields = self._result(step.action)
        return None if fields is None else {*fields, *step.outputs}

    def _result(self, action: str | None) -> Collection[str] | None:
        if action is None or self._catalogue.spec(action) is None:
            return None
        return fields_of(self._catalogue.result(action))

    def _step(self, spot: _Spot) -> Iterator[Problem]:
        step, below, view = spot.step, spot.below, spot.view
        yield from self._without_effect(spot)
        if step.when is not None:
            yield from expression(self._located, (*below, "when"), step.when, view.at("a step's `when`"))
        if step.foreach is not None:
            yield from self._foreach(step, below, view)
            view = view.at(view.where, "item")
        yield from templates(self._located, (*below, "with"), step.with_, view.at("a step's `with`"))
        yield from self._after(step, below, view)
        if step.action is not None:
            yield from self._action(step.action, below, step.with_)
        if step.playbook is not None:
            yield from self._called(step, below)
        for index, inner in enumerate(step.parallel or ()):
            yield from self._step(_Spot(inner, (*below, "parallel", index), view, inside="parallel"))

    def _after(self, step: Step, below: Path, view: View) -> Iterator[Problem]:
        """Check what is computed once the step has its result."""
        more = ("result",) if step.kind == "action" else ()
        inner = view.at("a step's `outputs`", *more, result=self._result(step.action))
        for name, text in step.outputs.items():
            if name in STANDING:
                message = f"{name!r} says how the step went, so it cannot name an output"
                yield self._located.problem(message, *below, "outputs", name, at_key=True)
            yield from expression(self._located, (*below, "outputs", name), text, inner)
        if step.assert_ is not None:
            inner = inner.at("a step's `assert`", result=inner.result)
            yield from expression(self._located, (*below, "assert"), step.assert_, inner)
        if step.message is not None:
            inner = replace(inner, where="a step's `message`", secrets=False)
            yield from templates(self._located, (*below, "message"), step.message, inner)

    def _foreach(self, step: Step, below: Path, view: View) -> Iterator[Problem]:
        yield from templates(self._located, (*below, "foreach"), step.foreach, view.at("`foreach`"))
        if isinstance(step.foreach, str) and is_constant(step.foreach):
            message = "foreach needs a list; write one, or an expression as ${...}"
            yield self._located.problem(message, *below, "foreach")

    def _without_effect(self, spot: _Spot) -> Iterator[Problem]:
        """Find keys that nothing would read: whoever wrote one expects something of it."""
        step, kind = spot.step, spot.step.kind
        for name, kinds in _ONLY_FOR.items():
            if name in step.model_fields_set and kind not in kinds:
                key = name.removesuffix("_")
                message = f"`{key}` has no effect on a step that is {_article(kind)}; remove it"
                yield self._located.problem(message, *spot.below, key, at_key=True)
        for name in _FOREACH_ONLY:
            if name in step.model_fields_set and step.foreach is None:
                message = f"`{name}` has no effect without `foreach`"
                yield self._located.problem(message, *spot.below, name, at_key=True)
        if step.message is not None and step.assert_ is None:
            message = "`message` has no effect without `assert`"
            yield self._located.problem(message, *spot.below, "message", at_key=True)
        if step.finally_ and spot.inside:
            message = "`finally` has no effect inside a block; put it on the block, or move the step out"
            yield self._located.problem(message, *spot.below, "finally", at_key=True)

    def _called(self, step: Step, below: Path) -> Iterator[Problem]:
        known = self._draft.names["playbook"]
        if step.playbook not in known:
            message = f"there is no playbook {step.playbook!r}.{did_you_mean(step.playbook or '', known)}"
            yield self._located.problem(message, *below, "playbook")
        elif step.playbook in self._draft.playbooks:
            called = self._draft.playbooks[step.playbook].item
            yield from playbook_inputs(self._located, below, step.with_, called)

    def _verify(
        self, check: Check, below: Path, steps: Mapping[str, Collection[str] | None]
    ) -> Iterator[Problem]:
        view = replace(self._view, where="a check's `with`", names=RUN | {"steps"}, steps=steps)
        if check.action is None:
            for key in ("with_", "assert_", "message", "timeout"):
                if key in check.model_fields_set:
                    message = f"`{key.removesuffix('_')}` has no effect on a check without `action`"
                    yield self._located.problem(message, *below, key.removesuffix("_"), at_key=True)
            return
        yield from templates(self._located, (*below, "with"), check.with_, view)
        if check.assert_ is not None:
            inner = view.at("a check's `assert`", "result", result=self._result(check.action))
            yield from expression(self._located, (*below, "assert"), check.assert_, inner)
        if check.message is not None:
            said = view.at("a check's `message`", "result", result=self._result(check.action))
            yield from templates(
                self._located, (*below, "message"), check.message, replace(said, secrets=False)
            )
            if check.assert_ is None:
                problem = "`message` has no effect without `assert`"
                yield self._located.problem(problem, *below, "message", at_key=True)
        if check.for_ > check.within:
            yield self._located.problem("`for` is longer than `within`, so it can never hold", *below, "for")
        yield from self._action(check.action, below, check.with_, "verify")

    def _action(
        self, action: str, below: Path, given: Mapping[str, object], reads_only: str = ""
    ) -> Iterator[Problem]:
        spec = self._catalogue.spec(action)
        if spec is None:
            hint = did_you_mean(action, self._catalogue.names())
            message = f"there is no action {action!r}.{hint} `runbookd actions` lists them"
            yield self._located.problem(message, *below, "action")
            return
        yield from action_params(self._located, below, given, self._catalogue.params(action))
        if reads_only and spec.mutates and self._catalogue.mutates(action, given):
            message = f"{reads_only} only looks, and {action} changes something; make it a step"
            yield self._located.problem(message, *below, "action")


def _closed(step: Step) -> Step:
    """Return a step of a block without the steps of blocks inside it, whose results stay inside."""
    return step.model_copy(update={"parallel": []}) if step.parallel else step


def _article(kind: str) -> str:
    return {"action": "an action", "parallel": "a parallel block", "assert": "an assert of its own"}.get(
        kind, f"a {kind}"
    )
