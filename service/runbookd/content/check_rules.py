"""What can be wrong with one rule beyond its shape."""

from __future__ import annotations

from collections.abc import Iterator

from runbookd.content.expressions import View, expression, templates
from runbookd.content.messages import no_such
from runbookd.content.params import playbook_inputs
from runbookd.content.read import Draft, Located
from runbookd.errors import LanguageError, Problem
from runbookd.language.matchers import parse_matcher
from runbookd.model.rule import Rule

MATCHING = frozenset({"event", "alert", "vars", "now"})
"""What a rule's `when` and an incident's title can read: there is no incident yet, and no run."""

RUNNING = MATCHING | {"incident"}
"""What the inputs of a rung can read."""


def rule_problems(located: Located[Rule], draft: Draft) -> Iterator[Problem]:
    """Find everything that is wrong with a rule."""
    rule = located.item
    view = View(where="a rule's `when`", names=MATCHING, vars=draft.names["var"])
    yield from _matchers(located)
    if rule.when is not None:
        yield from expression(located, ("when",), rule.when, view)
    if rule.incident.title is not None:
        yield from templates(
            located, ("incident", "title"), rule.incident.title, view.at("an incident's title")
        )
    yield from _key(located)
    if rule.priority not in draft.names["priority"]:
        yield located.problem(no_such("priority", rule.priority, draft.names["priority"]), "priority")
    if rule.escalation is not None and rule.escalation not in draft.names["escalation"]:
        yield located.problem(no_such("escalation", rule.escalation, draft.names["escalation"]), "escalation")
    yield from _rungs(located, draft, view)


def _matchers(located: Located[Rule]) -> Iterator[Problem]:
    for index, text in enumerate(located.item.match):
        try:
            parse_matcher(text)
        except LanguageError as error:
            yield located.problem_inside(str(error), ("match", index), error.line, error.column)
        if "${" in text:
            message = "a matcher is taken as it is, ${...} is not rendered in it; compare it under `when`"
            yield located.problem(message, "match", index)


def _key(located: Located[Rule]) -> Iterator[Problem]:
    for index, label in enumerate(located.item.incident.key or ()):
        if "${" in label or label.startswith(("event.", "labels.")):
            name = label.removeprefix("${").removesuffix("}").rpartition(".")[2]
            message = f"a key is made of label names; write {name!r} instead of {label!r}"
            yield located.problem(message, "incident", "key", index)


def _rungs(located: Located[Rule], draft: Draft, view: View) -> Iterator[Problem]:
    known = draft.names["playbook"]
    for index, rung in enumerate(located.item.run):
        below = ("run", index)
        inner = View(where="a rung's `with`", names=RUNNING, vars=view.vars, secrets=True)
        yield from templates(located, (*below, "with"), rung.with_, inner)
        if rung.playbook not in known:
            yield located.problem(no_such("playbook", rung.playbook, known), *below, "playbook")
        elif rung.playbook in draft.playbooks:
            yield from playbook_inputs(located, below, rung.with_, draft.playbooks[rung.playbook].item)
