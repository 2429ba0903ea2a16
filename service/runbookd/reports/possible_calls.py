"""Every call of an action that loaded rules and playbooks can make, with what is known of it before any alert comes.

Constants, vars, an input's default and labels that a rule's `match` pins to one value are known. What steps result
in, and every other label, is only known when a run is under way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runbookd.errors import EvaluationError
from runbookd.language.cel import Scope
from runbookd.language.conditions import compile_condition
from runbookd.language.matchers import parse_matcher
from runbookd.language.render import compile_template
from runbookd.model.action import Mode
from runbookd.model.library import Library
from runbookd.model.playbook import Input, Playbook, Step
from runbookd.model.rule import Rule
from runbookd.stages.inputs import fit_input
from runbookd.stages.schedule import implied_rules

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class PossibleCall:
    """One place that calls an action. `known` are the parameters whose values are; `open` those that are not yet."""

    playbook: str
    action: str
    known: Values
    open: frozenset[str]


def possible_calls(library: Library) -> Iterator[PossibleCall]:
    """Yield the calls of every rule's remedies and every schedule's, then those of playbooks that people run by hand.

    The library is a checked one. The same place comes once for each way its inputs are given.
    """
    begun: set[str] = set()
    for rule in (*library.rules, *implied_rules(library)):
        scope = {"vars": library.vars, "event": {"labels": _pinned(rule)}}
        for rung in rule.run:
            walk = _Walk(library, begun)
            yield from walk.playbook(library.playbooks[rung.playbook], rung.with_, scope)
    by_hand = _Walk(library, begun)
    called = {step.playbook for each in library.playbooks.values() for step in _all(each.steps)}
    for name, playbook in library.playbooks.items():
        if name not in begun and name not in called:
            yield from by_hand.playbook(playbook, None, {"vars": library.vars})


def remedial_calls(library: Library) -> Iterator[PossibleCall]:
    """Yield the calls of the remedies of rules in act mode and of schedules, without the evidence they collect."""
    for rule in (*library.rules, *implied_rules(library)):
        scope = {"vars": library.vars, "event": {"labels": _pinned(rule)}}
        for rung in rule.run if rule.mode is Mode.ACT else ():
            walk = _Walk(library, set(), evidence=False)
            yield from walk.playbook(library.playbooks[rung.playbook], rung.with_, scope)


@dataclass(frozen=True, slots=True)
class _Walk:
    """A way through playbooks; `begun` gathers the names of those it has come to."""

    library: Library
    begun: set[str]
    evidence: bool = True

    def playbook(self, playbook: Playbook, given: Values | None, outer: Values) -> Iterator[PossibleCall]:
        """Yield the calls of one playbook. `given` are its inputs as written; None: nobody knows yet."""
        self.begun.add(playbook.playbook)
        inputs = _inputs(playbook.inputs, given, outer)
        scope = {"vars": self.library.vars, "inputs": inputs}
        for evidence in playbook.evidence if self.evidence else ():
            yield _call(playbook, evidence.action, evidence.with_, scope)
        yield from self._steps(playbook, playbook.steps, scope)
        for check in playbook.verify:
            if check.action is not None:
                yield _call(playbook, check.action, check.with_, scope)

    def _steps(self, playbook: Playbook, steps: Sequence[Step], scope: Values) -> Iterator[PossibleCall]:
        for step in steps:
            if step.when is not None and _never(step.when, scope):
                continue
            if step.action is not None:
                yield _call(playbook, step.action, step.with_, scope)
            elif step.playbook is not None:
                yield from self.playbook(self.library.playbooks[step.playbook], step.with_, scope)
            yield from self._steps(playbook, step.parallel or (), scope)


def _call(playbook: Playbook, action: str, written: Values, scope: Values) -> PossibleCall:
    known = _known(written, scope)
    return PossibleCall(
        playbook=playbook.playbook, action=action, known=known, open=frozenset(written) - frozenset(known)
    )


def _inputs(declared: Mapping[str, Input], given: Values | None, outer: Values) -> dict[str, object]:
    """The inputs that are known. Of a playbook that is run by hand that is none: whoever runs it may say otherwise."""
    if given is None:
        return {}
    known = _known(given, outer)
    found = {}
    for name, declaration in declared.items():
        if name in known or name not in given:
            try:
                found[name] = fit_input(name, declaration, known.get(name))
            except EvaluationError:  # the plan will refuse it, so nothing is ever called with it
                continue
    return found


def _known(written: Values, scope: Values) -> dict[str, object]:
    """The values, of those written, that are the same whatever happens."""
    found = {}
    for name, value in written.items():
        template = compile_template(value)
        if all(_is_known(path, scope) for path in template.references):
            try:
                found[name] = template.render(Scope(scope))
            except EvaluationError:  # it fails whenever it is rendered: nothing is called with it
                continue
    return found


def _never(condition: str, scope: Values) -> bool:
    """Whether a condition is false whatever happens."""
    compiled = compile_condition(condition)
    if not all(_is_known(path, scope) for path in compiled.references):
        return False
    try:
        return not compiled.holds(Scope(scope))
    except EvaluationError:
        return False


def _is_known(path: Sequence[str], scope: Values) -> bool:
    """Whether all that an expression reads at this path is known."""
    root, *rest = path
    if root == "vars":
        return True
    found: object = scope.get(root)
    fixed = 2 if root == "event" else 1  # event.labels.NAME, inputs.NAME: below those a value is known whole
    if len(rest) < fixed:
        return False
    for word in rest[:fixed]:
        if not isinstance(found, Mapping) or word not in found:
            return False
        found = found[word]
    return True


def _pinned(rule: Rule) -> dict[str, str]:
    """The labels that every event the rule takes has with this one value."""
    matchers = [parse_matcher(text) for text in rule.match]
    return {each.label: each.value for each in matchers if each.op == "=" and each.value}


def _all(steps: Sequence[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        yield from _all(step.parallel or ())
