"""Runs the tests that rules and playbooks carry, through the stages the service itself runs.

A failed test is a problem at the expectation that does not hold, and says what came instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from pydantic import ValidationError

from runbookd.content.messages import findings
from runbookd.content.read import Draft, Located
from runbookd.content.rehearsal import Rehearsed, event_of, incident_of, rehearse
from runbookd.errors import EvaluationError, LanguageError, Problem
from runbookd.language.cel import Scope
from runbookd.language.render import compile_template
from runbookd.language.values import SecretRef, SecretText
from runbookd.model.durations import format_duration, parse_duration
from runbookd.model.event import Event
from runbookd.model.library import Library
from runbookd.model.playbook import Playbook, PlaybookTest
from runbookd.model.rule import Rule, RuleTest
from runbookd.model.views import event_view, incident_view
from runbookd.ports import Catalogue
from runbookd.stages.match import RuleSet, compile_rules, explain, match
from runbookd.stages.plan import Answer, incident_title, propose


def run_tests(draft: Draft, library: Library, catalogue: Catalogue) -> tuple[int, list[Problem]]:
    """Run every embedded test of a checked draft; returns how many, and one problem for each that failed."""
    rules = compile_rules(library.rules)
    ran = 0
    failed = []
    for rule in draft.rules:
        for index, rule_test in enumerate(rule.item.tests):
            ran += 1
            failed += _first(rule, index, rule_test.name, _rule_test(rule.item, rule_test, rules, library))
    for playbook in draft.playbooks.values():
        for index, playbook_test in enumerate(playbook.item.tests):
            ran += 1
            found = _playbook_test(playbook.item, playbook_test, library, catalogue)
            failed += _first(playbook, index, playbook_test.name, found)
    return ran, failed


Miss = tuple[tuple[str | int, ...], str]
"""An expectation that does not hold: its path inside the test, and what came instead."""


def _first(
    located: Located[Rule] | Located[Playbook], index: int, name: str, misses: Iterator[Miss]
) -> list[Problem]:
    for path, message in misses:
        return [located.problem(f"test {name!r}: {message}", "tests", index, *path)]
    return []


def _rule_test(rule: Rule, written: RuleTest, rules: RuleSet, library: Library) -> Iterator[Miss]:
    try:
        test = _with_vars(written, library.vars)
    except (EvaluationError, LanguageError) as error:
        yield (), str(error)
        return
    event = event_of(test.event)
    scope = Scope({"event": event_view(event), "vars": library.vars})
    expected = test.expect
    matched = rule.name in {each.name for each in match(rules, event, scope)[0]}
    if matched != expected.matched:
        yield (
            ("expect", "matched"),
            _why(rule, rules, event, scope) if expected.matched else "the rule matches",
        )
        return
    if not matched:
        return
    if expected.incident is not None and expected.incident != rule.priority:
        yield ("expect", "incident"), f"expected priority {expected.incident}, got {rule.priority}"
    title = incident_title(rule, event, scope)
    if expected.title is not None and expected.title != title:
        yield ("expect", "title"), f"expected {expected.title!r}, got {title!r}"
    yield from _rung(rule, test, event, scope, library)


def _with_vars(test: RuleTest, known: Mapping[str, object]) -> RuleTest:
    """Write out the `${vars.NAME}` of a test. Raises EvaluationError and LanguageError for what cannot be."""
    written = test.model_dump(by_alias=True, exclude_unset=True)
    rendered = compile_template(written).render(Scope({"vars": known}))
    try:
        return RuleTest.model_validate(rendered)
    except ValidationError as error:
        said = "; ".join(each.message for each in findings(RuleTest, rendered, error))
        raise EvaluationError(f"with its vars written out: {said}") from None


def _why(rule: Rule, rules: RuleSet, event: Event, scope: Scope) -> str:
    decision = next(each for each in explain(rules, event, scope) if each.rule == rule.name)
    return f"expected the rule to match, and it does not ({decision.verdict.value}): {decision.detail}"


def _rung(rule: Rule, test: RuleTest, event: Event, scope: Scope, library: Library) -> Iterator[Miss]:
    """Compare the first rung: which playbook, and with what."""
    expected = test.expect
    if expected.playbook is None and expected.with_ is None:
        return
    if not rule.run:
        yield ("expect", "playbook"), f"expected playbook {expected.playbook}, and the rule runs none"
        return
    first = rule.run[0]
    if expected.playbook is not None and expected.playbook != first.playbook:
        yield ("expect", "playbook"), f"expected playbook {expected.playbook}, got {first.playbook}"
    incident = incident_of(rule.name, priority=rule.priority, title=incident_title(rule, event, scope))
    seen = scope.extended(incident=incident_view(incident))
    proposal = propose(library.playbooks[first.playbook], first.with_, seen, library.vars)
    if isinstance(proposal, Answer):
        message = f"playbook {first.playbook} would be refused ({proposal.reason.value}): {proposal.detail}"
        yield ("expect", "playbook"), message
    elif expected.with_ is not None:
        yield from _values(("expect", "with"), expected.with_, proposal.inputs)


def _playbook_test(
    playbook: Playbook, test: PlaybookTest, library: Library, catalogue: Catalogue
) -> Iterator[Miss]:
    try:
        rehearsed = rehearse(playbook, test, library, catalogue)
    except (EvaluationError, LanguageError) as error:
        yield (), str(error)
        return
    expected = test.expect
    if expected.calls is not None and expected.calls != list(rehearsed.calls):
        got = ", ".join(rehearsed.calls) or "none"
        message = f"expected the calls {', '.join(expected.calls) or 'none'}; got {got}; {_ending(rehearsed)}"
        yield ("expect", "calls"), message
    if expected.outcome is not None and expected.outcome != rehearsed.outcome:
        yield ("expect", "outcome"), f"expected {expected.outcome}; {_ending(rehearsed)}"
    if expected.reason is not None and expected.reason != rehearsed.reason:
        yield ("expect", "reason"), f"expected {expected.reason}; {_ending(rehearsed)}"
    for step, params in (expected.with_ or {}).items():
        if step not in rehearsed.params:
            yield ("expect", "with", step), f"step {step!r} makes no call; {_ending(rehearsed)}"
        else:
            yield from _values(("expect", "with", step), params, rehearsed.params[step])


def _ending(rehearsed: Rehearsed) -> str:
    why = f" ({rehearsed.message})" if rehearsed.message else ""
    return f"the run ended {rehearsed.outcome}, {rehearsed.reason}{why}"


def _values(
    path: tuple[str | int, ...], expected: Mapping[str, object], got: Mapping[str, object]
) -> Iterator[Miss]:
    """Compare the named values only."""
    for name, value in expected.items():
        if name not in got:
            yield (*path, name), f"expected {name} to be {shown(value)}, and it is not given"
        elif not _same(value, got[name]):
            yield (*path, name), f"expected {name} to be {shown(value)}, got {shown(got[name])}"


def _same(expected: object, got: object) -> bool:
    """Tell whether a value is the one written in the file, where durations are texts."""
    if isinstance(got, timedelta) and isinstance(expected, str):
        return parse_duration(expected) == got
    if isinstance(got, SecretRef | SecretText):
        return bool(compile_template(expected).render(Scope({})) == got)
    if isinstance(expected, bool) != isinstance(got, bool):
        return False
    return expected == got


def shown(value: object) -> str:
    """Show a value as it would be written."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, SecretRef | SecretText):
        return "a secret"
    return str(value).lower() if isinstance(value, bool) else repr(value)
