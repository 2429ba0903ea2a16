"""What senders write can neither steer, stall nor break the two languages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbookd.errors import EvaluationError, LanguageError
from runbookd.language.cel import Scope, compile_expression, matches_whole
from runbookd.language.matchers import Matcher
from runbookd.language.render import compile_template


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_label_text_is_never_looked_at_again(text: str) -> None:
    """A label's text comes out of a template as it went in, whatever it looks like."""
    scope = Scope({"event": {"labels": {"a": text}}})
    assert compile_template("${event.labels.a}").render(scope) == text
    assert compile_template("<${event.labels.a}>").render(scope) == f"<{text}>"


@pytest.mark.parametrize("text", ["${vars.password}", "${secret.pd}", "$${x}", "{{ 7*7 }}", "%s{0}", "$(id)"])
def test_template_syntax_in_a_label_stays_text(text: str) -> None:
    """Template, secret and shell syntax in a label is rendered as itself."""
    scope = Scope({"event": {"labels": {"a": text}}, "vars": {"password": "canary"}})
    assert compile_template("run ${event.labels.a}").render(scope) == f"run {text}"


@pytest.mark.parametrize("text", ["critical\0x", "\0critical", "critical\ud800"])
def test_unspeakable_characters_cannot_make_texts_equal(text: str) -> None:
    """NUL and half surrogates become the replacement character; they neither cut a text short nor break anything."""
    scope = Scope({"event": {"labels": {"severity": text, text: "key"}}})
    assert compile_expression('event.labels.severity != "critical"').holds(scope)
    assert "\ufffd" in compile_expression("event.labels.severity").evaluate(scope)
    assert not matches_whole("critical", text)
    assert not Matcher("a", "=~", "critical.").matches({"a": text + "xx"})


def test_an_endless_loop_is_stopped() -> None:
    """A comprehension over a comprehension over a comprehension ends at the engine's budget."""
    scope = Scope({"item": list(range(1000))})
    expression = compile_expression("item.all(x, item.all(y, item.all(z, x + y + z >= 0)))")
    with pytest.raises(EvaluationError, match="loop steps"):
        expression.holds(scope)
    with pytest.raises(EvaluationError, match="loop steps"):
        expression.evaluate(scope)


def test_no_label_makes_a_match_slow() -> None:
    """The pattern that ruins backtracking engines is answered in linear time."""
    assert not matches_whole("(a+)+b", "a" * 50_000)
    assert not Matcher("a", "=~", "(a+)+b").matches({"a": "a" * 50_000})


@pytest.mark.parametrize("pattern", ["(?=a)b", "(a)\\1", "a++", "(", "a{1001}", "((a{100}){100}){100}"])
def test_patterns_without_a_linear_match_are_refused(pattern: str) -> None:
    """Look-around, back-references and repetition bombs are mistakes when they are written, not when they run."""
    with pytest.raises(LanguageError, match="not a regular expression"):
        Matcher("a", "=~", pattern)


@pytest.mark.parametrize("text", ["!" * 5000 + "true", "[" * 3000, "{" * 3000, "-" * 3000 + "1", "a." * 3000])
def test_deep_nesting_is_refused_or_computed(text: str) -> None:
    """Thousands of brackets or operators end in a LanguageError or a value, never in a crash."""
    try:
        compile_expression(text).evaluate(Scope({}))
    except (LanguageError, EvaluationError) as error:
        assert str(error)  # noqa: PT017  # both ends are right
