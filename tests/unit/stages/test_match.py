"""Which rule takes an event does not depend on the index, and every no has its reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.errors import LanguageError
from runbookd.language.cel import Scope
from runbookd.model.event import Event, Status
from runbookd.model.reasons import Verdict
from runbookd.model.rule import Rule
from runbookd.model.views import event_view
from runbookd.stages.match import UNMATCHED, Decision, compile_rules, explain, judge, match


def event_of(**labels: str) -> Event:
    """A firing event with these labels."""
    return Event(source="test", name="Trouble", status=Status.FIRING, fingerprint="f", labels=labels)


def scope_of(event: Event) -> Scope:
    """What a rule's condition sees."""
    return Scope({"event": event_view(event)})


def rule(name: str, *matchers: str, when: str | None = None, go_on: bool = False) -> Rule:
    """A rule of priority P1."""
    return Rule(name=name, match=list(matchers), when=when, priority="P1", continue_=go_on)


def taken(rules: list[Rule], **labels: str) -> tuple[list[str], list[Decision]]:
    """Names of the rules that take an event with these labels, and the reasons."""
    event = event_of(**labels)
    found, reasons = match(compile_rules(rules), event, scope_of(event))
    return [one.name for one in found], reasons


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "1", "2", "3"]))
MATCHERS = st.builds(
    '{}{}"{}"'.format,
    st.sampled_from("abc"),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["", "1", "2", "1|2", "1|1", "|3", ".*", "[12]"]),
)
WHENS = st.sampled_from(
    [None, None, "true", "false", "event.labels.a == '1'", "event.labels.size() > 1", "1"]
)
RULES = st.lists(
    st.builds(
        lambda matchers, when, go_on: (matchers, when, go_on),
        st.lists(MATCHERS, min_size=1, max_size=3),
        WHENS,
        st.booleans(),
    ),
    max_size=12,
).map(
    lambda rows: [rule(f"r{number}", *row[0], when=row[1], go_on=row[2]) for number, row in enumerate(rows)]
)
LEFT = st.sampled_from([None, Rule(name=UNMATCHED, priority="P3"), rule(UNMATCHED, 'a="1"')])


@given(rules=RULES, left=LEFT, labels=LABELS)
def test_the_index_gives_what_trying_every_rule_gives(
    rules: list[Rule], left: Rule | None, labels: dict[str, str]
) -> None:
    """`match` takes what trying all rules in order would take, for any rules and labels; `explain` says the same."""
    event = event_of(**labels)
    compiled = compile_rules([*([left] if left else []), *rules])
    expected: list[str] = []
    for one in compiled.rules:
        if judge(one, labels, scope_of(event)).matched:
            expected.append(one.rule.name)
            if not one.rule.continue_:
                break
    if not expected and compiled.unmatched and judge(compiled.unmatched, labels, scope_of(event)).matched:
        expected.append(UNMATCHED)
    found, reasons = match(compiled, event, scope_of(event))
    told = explain(compiled, event, scope_of(event))
    assert [one.name for one in found] == expected
    assert [one.rule for one in told if one.matched] == expected
    assert {one.rule: one for one in told}.items() >= {one.rule: one for one in reasons}.items()
    assert len(told) == len(rules) + (left is not None)


def test_the_first_match_wins_unless_it_goes_on() -> None:
    """A rule that says `continue` lets later rules have the event too."""
    rules = [rule("a", 'x="1"', go_on=True), rule("b", 'x="1"'), rule("c", 'x="1"')]
    assert taken(rules, x="1")[0] == ["a", "b"]


def test_the_left_over_event_is_taken_by_unmatched() -> None:
    """The rule named `unmatched` is asked only when no other took the event, wherever it is written."""
    rules = [Rule(name=UNMATCHED, priority="P3"), rule("a", 'x="1"')]
    assert taken(rules, x="1")[0] == ["a"]
    assert taken(rules, x="2")[0] == [UNMATCHED]
    assert taken([], x="2") == ([], [])
    assert taken([rule(UNMATCHED, 'x="1"')], x="2")[0] == []


@pytest.mark.parametrize(
    ("one", "verdict", "detail"),
    [
        (rule("r", 'x="1"'), Verdict.MATCHED, ""),
        (rule("r", 'x!="1"'), Verdict.MATCHER, "x!=\"1\": x is '1'"),
        (rule("r", 'y=~"a+"'), Verdict.MATCHER, 'y=~"a+": no such label'),
        (rule("r", when="event.labels.x == '2'"), Verdict.WHEN_FALSE, "event.labels.x == '2'"),
        (rule("r", when="event.labels.size()"), Verdict.WHEN_ERROR, "event.labels.size(): "),
    ],
)
def test_every_reason_names_what_it_saw(one: Rule, verdict: Verdict, detail: str) -> None:
    """A no says which matcher or condition, and on which value."""
    event = event_of(x="1")
    decision = judge(compile_rules([one]).rules[0], event.labels, scope_of(event))
    assert decision.verdict is verdict
    assert decision.detail.startswith(detail)


def test_explain_says_who_was_first() -> None:
    """A rule that was not tried says which rule had the event before it; so does `unmatched`."""
    event = event_of(x="1")
    rules = compile_rules([rule("a", 'x="1"'), rule("b", 'x="1"'), Rule(name=UNMATCHED, priority="P3")])
    details = [(one.verdict, one.detail) for one in explain(rules, event, scope_of(event))]
    assert details == [
        (Verdict.MATCHED, ""),
        (Verdict.EARLIER, "taken by a"),
        (Verdict.EARLIER, "another rule took it"),
    ]


def test_an_event_is_compared_with_few_rules() -> None:
    """Among ten thousand rules only those filed under a label of the event, and those filed under none, are tried."""
    rules = [rule(f"r{number}", f'name="n{number}"', 'team="web"') for number in range(10_000)]
    compiled = compile_rules([*rules, rule("any", 'team!="db"')])
    assert [one.rule.name for one in compiled.candidates({"name": "n7", "team": "web"})] == ["r7", "any"]


def test_a_rule_that_does_not_compile_is_refused() -> None:
    """What content checking lets through by mistake is not silently left out."""
    with pytest.raises(LanguageError):
        compile_rules([rule("r", "not a matcher")])
