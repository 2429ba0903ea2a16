"""Templates keep the type of a whole value and write values out inside texts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbookd.errors import EvaluationError, LanguageError, MissingValue
from runbookd.language.cel import Scope
from runbookd.language.render import SecretRef, SecretText, compile_template
from runbookd.language.values import MAX_DEPTH

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="ab$}{\n "),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet="abc"), inner),
    max_leaves=10,
)


@pytest.fixture
def scope() -> Scope:
    """What a step sees."""
    return Scope(
        {
            "event": {"labels": {"namespace": "medinovai"}},
            "alert": None,
            "inputs": {
                "count": 3,
                "whole": 4.0,
                "ratio": 2.5,
                "recent": timedelta(minutes=90),
                "token": SecretRef("pd"),
                "header": SecretText(("Bearer ", SecretRef("pd"))),
            },
            "now": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        }
    )


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${inputs.count}", 3),
        ("${ inputs.recent }", timedelta(minutes=90)),
        ("${alert}", None),
        ("${[inputs.count, {'a': '}'}]}", [3, {"a": "}"}]),
        ("deployments/${event.labels.namespace}/x", "deployments/medinovai/x"),
        ("${inputs.count}${inputs.whole} ${inputs.ratio} ${1 < 2}", "34 2.5 true"),
        ("in ${inputs.recent} from ${now}", "in 1h30m from 2026-01-02T03:04:05Z"),
        ("${[1, 2.0, inputs.recent, null, now]} ", '[1,2,"1h30m",null,"2026-01-02T03:04:05Z"] '),
        ("${{'b': {'c': true}, 'a': 'é'}}!", '{"a":"é","b":{"c":true}}!'),
        ("costs $5, $${x} and $$${inputs.count}", "costs $5, ${x} and $${inputs.count}"),
        ("$${", "${"),
        ("a }", "a }"),
        ("", ""),
        ({"a": ["${inputs.count}", 1, None], "b": {"c": "x"}}, {"a": [3, 1, None], "b": {"c": "x"}}),
        (("x",), ["x"]),
    ],
)
def test_values_are_rendered(scope: Scope, template: object, value: object) -> None:
    """A whole scalar keeps its type, a text has values written into it, a tree keeps its shape."""
    assert compile_template(template).render(scope) == value


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${secret.pd}", SecretRef("pd")),
        ("Bearer ${ secret.pd }", SecretText(("Bearer ", SecretRef("pd")))),
        ("${inputs.token}", SecretRef("pd")),
        ("<${inputs.token}>", SecretText(("<", SecretRef("pd"), ">"))),
        ("${inputs.header} ${inputs.count}", SecretText(("Bearer ", SecretRef("pd"), " ", "3"))),
    ],
)
def test_secrets_stay_stand_ins(scope: Scope, template: str, value: object) -> None:
    """A secret is rendered to its name only, alone or inside a text, written there or handed on."""
    assert compile_template(template).render(scope) == value


def test_references_and_constants_are_known() -> None:
    """The loader can ask what a template reads, secrets included, and whether it reads anything."""
    template = compile_template({"a": "${steps.x.y} ${secret.pd}", "b": ["${event.name}", "c"]})
    assert template.references == {("steps", "x", "y"), ("secret", "pd"), ("event", "name")}
    assert not template.is_constant
    assert not compile_template(["a", ["${1}"]]).is_constant
    assert compile_template({"a": ["$${b}", 1]}).is_constant


def test_each_rendering_is_a_new_tree(scope: Scope) -> None:
    """Changing a rendered value does not change the next one."""
    template = compile_template({"a": []})
    template.render(scope)["a"].append(1)
    assert template.render(scope) == {"a": []}


@pytest.mark.parametrize(
    ("template", "error", "message"),
    [
        ("x ${alert}", MissingValue, "`alert` is null"),
        ("x ${event.labels.team}", MissingValue, r"event\.labels\.team is missing"),
        ("x ${1 / 0}", EvaluationError, "divide by zero"),
        ("x ${[inputs.token]}", EvaluationError, "secret"),
    ],
)
def test_what_cannot_be_written_is_an_error(
    scope: Scope, template: str, error: type[EvaluationError], message: str
) -> None:
    """Null, missing values and buried secrets inside a text are errors, never an empty text."""
    with pytest.raises(error, match=message):
        compile_template(template).render(scope)


@pytest.mark.parametrize(
    ("template", "line", "column", "message"),
    [
        ("${event.name", 1, 1, "never closed"),
        ("a\n ${'}'", 2, 2, "never closed"),
        ("${}", 1, 3, "ends too early"),
        ("x ${1 +} y", 1, 8, "ends too early"),
        ("x\n  ${ foo }", 2, 6, "no name 'foo'"),
        ("x ${event.a &&\n foo}", 2, 2, "no name 'foo'"),
        ({"with": [{"url": "${foo}"}]}, 1, 3, "^with.0.url: .*no name 'foo'"),
        ("${secret.a + 'x'}", 1, 3, "on its own"),
        ({"${a}": 1}, None, None, "a key is taken as it is"),
    ],
)
def test_mistakes_are_found_at_load_time(
    template: object, line: int | None, column: int | None, message: str
) -> None:
    """A mistake is reported with its path in the tree and its place in the text."""
    with pytest.raises(LanguageError, match=message) as refused:
        compile_template(template)
    assert (refused.value.line, refused.value.column) == (line, column)


def test_endless_nesting_is_refused() -> None:
    """A tree nested beyond the limit is refused instead of exhausting the stack."""
    tree: list[object] = []
    for _ in range(MAX_DEPTH + 1):
        tree = [tree]
    with pytest.raises(LanguageError, match="nests deeper"):
        compile_template(tree)


@settings(deadline=None)
@given(JSON)
def test_no_tree_crashes_the_compiler(tree: object) -> None:
    """Any tree compiles or is a LanguageError; without `${` it renders to itself."""
    try:
        template = compile_template(tree)
    except LanguageError:
        return
    if "${" not in repr(tree):
        assert template.render(Scope({})) == tree
