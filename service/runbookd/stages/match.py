"""Match: which rules take an event, and why the others do not.

Rules are compiled once. Each rule with an equality matcher is filed under its rarest `label=value`, so that an
event is compared only with the rules filed under one of its own labels, and with the few that have none: ten
thousand rules cost about what ten cost.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbookd.errors import EvaluationError
from runbookd.language.cel import Expression, Scope
from runbookd.language.conditions import compile_condition
from runbookd.language.matchers import Matcher, parse_matcher
from runbookd.model.reasons import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runbookd.model.event import Event
    from runbookd.model.rule import Rule

UNMATCHED = "unmatched"
"""The rule that takes what no other rule took."""

_Filed = tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """A rule, ready to be tried. `order` is its place among all rules; each is equal to itself alone."""

    order: int
    rule: Rule
    matchers: tuple[Matcher, ...]
    when: Expression | None


@dataclass(frozen=True, slots=True)
class Decision:
    """Why one rule did or did not take the event; `detail` names the matcher or clause, and the value it saw."""

    rule: str
    verdict: Verdict
    detail: str = ""

    @property
    def matched(self) -> bool:
        """True when the rule takes the event."""
        return self.verdict is Verdict.MATCHED


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Compiled rules and their index.

    `filed` lists, by label and value, the rules that can only match an event with that label; `unfiled` are to
    be tried on every event. Both are in rule order. `named` has every rule by its name.
    """

    rules: tuple[CompiledRule, ...]
    named: Mapping[str, Rule]
    filed: Mapping[_Filed, tuple[CompiledRule, ...]]
    unfiled: tuple[CompiledRule, ...]
    unmatched: CompiledRule | None

    def candidates(self, labels: Mapping[str, str]) -> list[CompiledRule]:
        """Rules that may match an event with these labels, in rule order; every other rule surely does not."""
        found = list(self.unfiled)
        for filed in labels.items():
            found.extend(self.filed.get(filed, ()))
        if len(found) > 1:
            found = sorted(set(found), key=_order)
        return found


def compile_rules(rules: Sequence[Rule]) -> RuleSet:
    """Compile and index rules. Raises LanguageError for a matcher or condition that content checking let through."""
    compiled = [
        CompiledRule(
            order,
            rule,
            tuple(parse_matcher(text) for text in rule.match),
            compile_condition(rule.when) if rule.when is not None else None,
        )
        for order, rule in enumerate(rules)
    ]
    tried = [one for one in compiled if one.rule.name != UNMATCHED]
    how_common = Counter(filed for one in tried for group in _groups(one.matchers) for filed in group)
    filed: defaultdict[_Filed, list[CompiledRule]] = defaultdict(list)
    unfiled: list[CompiledRule] = []
    for one in tried:
        groups = _groups(one.matchers)
        if not groups:
            unfiled.append(one)
            continue
        rarest = min(groups, key=lambda group: sum(how_common[pair] for pair in group))
        for pair in rarest:
            filed[pair].append(one)
    return RuleSet(
        rules=tuple(tried),
        named={rule.name: rule for rule in rules},
        filed={pair: tuple(ones) for pair, ones in filed.items()},
        unfiled=tuple(unfiled),
        unmatched=next((one for one in compiled if one.rule.name == UNMATCHED), None),
    )


def match(rules: RuleSet, event: Event, scope: Scope) -> tuple[list[Rule], list[Decision]]:
    """Return the rules that take the event, in order, and the reasons of every rule that was a candidate.

    The first match wins unless it says `continue`. When no rule takes it, the rule named `unmatched` does, if
    there is one. `scope` must hold the event.
    """
    taken: list[Rule] = []
    reasons: list[Decision] = []
    for one in rules.candidates(event.labels):
        decision = judge(one, event.labels, scope)
        reasons.append(decision)
        if decision.matched:
            taken.append(one.rule)
            if not one.rule.continue_:
                break
    if not taken and rules.unmatched is not None:
        decision = judge(rules.unmatched, event.labels, scope)
        reasons.append(decision)
        if decision.matched:
            taken.append(rules.unmatched.rule)
    return taken, reasons


def explain(rules: RuleSet, event: Event, scope: Scope) -> list[Decision]:
    """Return the reason of every rule there is, in order, as `match` would decide it."""
    decisions: list[Decision] = []
    winner: str | None = None
    taken = False
    for one in rules.rules:
        if winner is not None:
            decisions.append(Decision(one.rule.name, Verdict.EARLIER, f"taken by {winner}"))
            continue
        decision = judge(one, event.labels, scope)
        decisions.append(decision)
        taken = taken or decision.matched
        if decision.matched and not one.rule.continue_:
            winner = one.rule.name
    if rules.unmatched is not None:
        leftover = judge(rules.unmatched, event.labels, scope)
        decisions.append(Decision(UNMATCHED, Verdict.EARLIER, "another rule took it") if taken else leftover)
    return decisions


def judge(one: CompiledRule, labels: Mapping[str, str], scope: Scope) -> Decision:
    """Try one rule: matchers first, then its condition. An error in the condition is a no, with its reason."""
    name = one.rule.name
    for matcher in one.matchers:
        if not matcher.matches(labels):
            seen = (
                f"{matcher.label} is {labels[matcher.label]!r}"
                if matcher.label in labels
                else "no such label"
            )
            return Decision(name, Verdict.MATCHER, f"{matcher}: {seen}")
    if one.when is not None:
        try:
            if not one.when.holds(scope):
                return Decision(name, Verdict.WHEN_FALSE, one.when.text)
        except EvaluationError as error:
            return Decision(name, Verdict.WHEN_ERROR, f"{one.when.text}: {error}")
    return Decision(name, Verdict.MATCHED)


def _order(one: CompiledRule) -> int:
    return one.order


def _groups(matchers: Iterable[Matcher]) -> list[tuple[_Filed, ...]]:
    """Per matcher that pins its label to a few values, the `label=value` pairs one of which an event must have."""
    return list(_pinned(matchers))


def _pinned(matchers: Iterable[Matcher]) -> Iterator[tuple[_Filed, ...]]:
    for matcher in matchers:
        literals = matcher.literals()
        if literals:
            yield tuple((matcher.label, value) for value in literals)
