"""CEL expressions compute typed values, or fail with an error that says what to do."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum, StrEnum
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbookd.errors import EvaluationError, LanguageError, MissingValue
from runbookd.language.cel import NAMES, Scope, compile_expression
from runbookd.language.values import MAX_DEPTH, SecretRef, SecretText

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
WHOLE_NUMBERS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
# The engine hands timestamps out as floating seconds: exact to the microsecond for 2**53 of them, until 2255.
MOMENTS = st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(2250, 1, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(tzinfo=UTC)
)
SPANS = st.timedeltas(min_value=timedelta(days=-3_652_500), max_value=timedelta(days=3_652_500))
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | WHOLE_NUMBERS
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | MOMENTS
    | SPANS
    | st.builds(SecretRef, TEXTS),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=12,
)


class Severity(StrEnum):
    """A text by another name."""

    CRITICAL = "critical"


class Rank(IntEnum):
    """A number by another name."""

    FIRST = 1


@pytest.fixture
def scope() -> Scope:
    """What a step in the middle of a run sees."""
    return Scope(
        {
            "event": {
                "name": "Stuck",
                "labels": MappingProxyType({"severity": Severity.CRITICAL, "namespace": "medinovai"}),
            },
            "alert": None,
            "inputs": {
                "count": 3,
                "ratio": 2.5,
                "recent": timedelta(hours=2),
                "rank": Rank.FIRST,
                "gone": None,
            },
            "steps": {
                "history": {"changed_ago": timedelta(minutes=3), "at": NOW, "list": (1, 2), "empty": []}
            },
            "vars": {"huge": 2**64},
            "now": NOW,
        }
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('event.labels.severity == "critical" && event.labels.namespace.startsWith("med")', True),
        ("inputs.count > 2", True),
        ("inputs.ratio > 2", True),
        ("inputs.count > 2.5", True),
        ("inputs.rank + 1", 2),
        ("steps.history.changed_ago < inputs.recent", True),
        ("now - inputs.recent", datetime(2026, 1, 2, 1, 4, 5, 678901, tzinfo=UTC)),
        ('now - steps.history.at + duration("5m")', timedelta(minutes=5)),
        ("steps.history.list.map(x, x * 2)", [2, 4]),
        ('event.labels[?"team"].orValue("nobody")', "nobody"),
        ("has(event.labels.team)", False),
        ("alert == null ? 'none' : alert.name", "none"),
        ("alert", None),
        ("[null, {'b': null, 'a': 1u}]", [None, {"b": None, "a": 1}]),
        ("math.greatest(1, 2.5)", 2.5),
        ("'a,b'.split(',')", ["a", "b"]),
        ("inputs.count in steps.history.list", False),
        ("{'bytes': 1}.bytes", 1),
    ],
)
def test_expressions_compute_typed_values(scope: Scope, text: str, value: object) -> None:
    """Numbers compare across types, durations and timestamps calculate, null stays null."""
    assert compile_expression(text).evaluate(scope) == value


@settings(deadline=None)
@given(VALUES)
def test_a_value_passes_through_unchanged(value: object) -> None:
    """Whatever a scope holds, nested as it may be, an expression hands out the same value."""
    assert compile_expression("item").evaluate(Scope({"item": value})) == value
    assert compile_expression("inputs.x").evaluate(Scope({"inputs": {"x": value}})) == value


def test_maps_come_out_in_one_order() -> None:
    """The keys of a map are sorted, whatever order the engine keeps them in."""
    keys = [f"key{number}" for number in range(50)]
    result = compile_expression("item").evaluate(Scope({"item": dict.fromkeys(reversed(keys), 1)}))
    assert list(result) == sorted(keys)


def test_null_results_do_not_wear_out_the_interpreter() -> None:
    """Evaluating to null, bare or nested, gives back as many references to None as it takes."""
    scope = Scope({"alert": None})
    expressions = [compile_expression(text) for text in ("alert", "[alert]", "{'a': [null]}")]
    before = sys.getrefcount(None)
    for _ in range(1000):
        for expression in expressions:
            expression.evaluate(scope)
    assert abs(sys.getrefcount(None) - before) < 900


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("event.labels.team", "event.labels.team is missing"),
        ('event.labels["team"] == "x"', "event.labels.team is missing"),
        ("event.labels[event.name]", "Stuck is missing"),
        ("has(event.name) ? inputs.no : event.labels.team", "inputs.no is missing"),
        ("alert.name", "alert is null"),
        ("inputs.gone.deeper", "inputs.gone is null"),
        ("steps.history.empty[0]", "past the end"),
        ("run.id", "'run' has no value"),
        ("result", "'result' has no value"),
    ],
)
def test_what_is_not_there_is_named(scope: Scope, text: str, path: str) -> None:
    """A missing key, field, item or name is a MissingValue that says which one."""
    with pytest.raises(MissingValue, match=path):
        compile_expression(text).evaluate(scope)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", "divide by zero"),
        ("1.0 / 0.0", "not a finite number"),
        ("event.name + inputs.count", r"'\+' does not work on \(string, int\)"),
        ("event.name in inputs.count", "'in' does not work on these types"),
        ("event.name ? 1 : 2", "neither true nor false"),
        ("event.name.x", "no fields"),
        ("alert + 1", r"\(null, int\)"),
        ("int(event.name)", "cannot convert"),
        ("event.name.matches('(')", "invalid regular expression"),
        ("{'a': 1, 'a': 2}", "duplicate key"),
        ("{1: 2}", "keys must be text"),
        ("type(1)", "is a type"),
        ("event[?'name']", "optional"),
        ("[event[?'name']]", "optional"),
        ("vars.huge", "beyond 64 bits"),
        ("google.protobuf.BytesValue{}", "not computed with"),
    ],
)
def test_what_cannot_be_computed_is_an_error(scope: Scope, text: str, message: str) -> None:
    """A failure never becomes a value; it is an EvaluationError that names the expression and the reason."""
    with pytest.raises(EvaluationError, match=message) as failed:
        compile_expression(text).evaluate(scope)
    assert not isinstance(failed.value, MissingValue)


@pytest.mark.parametrize(("text", "verdict"), [("1 < 2", True), ("1 > 2", False), ("item", True)])
def test_a_condition_is_true_or_false(text: str, verdict: bool) -> None:  # noqa: FBT001  # the expectation
    """A condition gives a bool, whether its type was known at load time or not."""
    assert compile_expression(text).holds(Scope({"item": True})) is verdict


@pytest.mark.parametrize("text", ["event.missing == 1", "event.missing", "event.name > 1", "event.name", "1"])
def test_a_failed_condition_is_never_true(text: str) -> None:
    """An error, a text or a number is not taken for true."""
    with pytest.raises(EvaluationError):
        compile_expression(text).holds(Scope({"event": {"name": "x"}}))


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("1 +", 1, 4, "ends too early"),
        ("event.a = 'x'", 1, 9, "write '=='"),
        ("recursion == 1", 1, 1, "no name 'recursion'"),
        ("event.a 'x'", 1, 9, "extraneous input"),
        ("evnt.name", 1, 1, "no name 'evnt'. Did you mean 'event'"),
        ("event.x > 1 &&\n  foo.bar", 2, 3, "no name 'foo'"),
        ("event.name.strtsWith('a')", 1, 12, "no function 'strtsWith' for this. Did you mean 'startsWith'"),
        ("secret.x == 1", 1, 1, r"\$\{secret.NAME\}"),
        ('"a" > 1', 1, 5, r"'>' does not work on \(string, int\)\."),
        ("has(event)", 1, 5, r"has\(\) argument"),
        ("(" * 40 + "1" + ")" * 40, 1, 1, "32 levels"),
        ("1" + "+1" * 40, 1, 1, "32 operators"),
        ("1" * 10_001, 1, 1, "too long"),
        ("a\0", 1, 2, "no text can hold"),
        ("\n'\ud800'", 2, 2, "no text can hold"),
        ("b'x'", 1, 1, "no bytes"),
        ("size(bytes ('x'))", 1, 6, "no bytes"),
        ("", 1, 1, "ends too early"),
    ],
)
def test_mistakes_are_found_at_load_time(text: str, line: int, column: int, message: str) -> None:
    """A mistake of grammar, name, function or type is a LanguageError at its own line and column."""
    with pytest.raises(LanguageError, match=message) as refused:
        compile_expression(text)
    assert (refused.value.line, refused.value.column) == (line, column)


def test_an_expression_knows_its_text_type_and_references() -> None:
    """The loader can ask what an expression reads and gives."""
    expression = compile_expression("steps.a.b > 1")
    assert (str(expression), expression.result_type) == ("steps.a.b > 1", "BOOL")
    assert expression.references == {("steps", "a", "b")}
    assert compile_expression("steps.a.b > 1") is expression


@settings(deadline=None)
@given(st.text() | st.text(alphabet="event.labels[]()'\"{}?:=<>&|+-*/ 01,\\\n"))
def test_no_text_crashes_the_compiler(text: str) -> None:
    """Any text compiles or is a LanguageError with a place."""
    try:
        assert compile_expression(text).text == text
    except LanguageError as error:
        assert error.line is not None  # noqa: PT017  # both ends are right
        assert error.column is not None  # noqa: PT017


def test_a_scope_takes_only_the_names_of_the_language() -> None:
    """A misspelled name is a bug of the caller and is shown as one."""
    assert "event" in NAMES
    with pytest.raises(ValueError, match="Did you mean 'event'"):
        Scope({"evnt": 1})


def test_a_scope_can_be_extended(scope: Scope) -> None:
    """More and other values are seen by the new scope only; what was refused stays refused until replaced."""
    child = scope.extended(item="x", inputs={"count": 1})
    assert compile_expression("item + event.name").evaluate(child) == "xStuck"
    assert compile_expression("inputs.count").evaluate(child) == 1
    assert compile_expression("inputs.count").evaluate(scope) == 3
    with pytest.raises(EvaluationError, match="beyond 64 bits"):
        compile_expression("vars.huge").evaluate(child)
    assert compile_expression("vars.huge").evaluate(child.extended(vars={"huge": 1})) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-(2**63) - 1, "beyond 64 bits"),
        (object(), "type object"),
        (b"x", "type bytes"),
        ({1: 2}, "keys must be text"),
        (datetime(2026, 1, 1), "no timezone"),  # noqa: DTZ001
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-2))), "does not exist in UTC"),
        (timedelta.max, "10,000 years"),
    ],
)
def test_a_value_no_expression_can_read_spoils_only_its_own_name(value: object, message: str) -> None:
    """An unsuitable value is explained to whoever reads that name; other names go on working."""
    scope = Scope({"item": value, "event": {"name": "x"}})
    assert compile_expression("event.name").evaluate(scope) == "x"
    with pytest.raises(EvaluationError, match=message):
        compile_expression("item").evaluate(scope)


def test_a_deep_value_spoils_only_its_own_name() -> None:
    """A value nested beyond the limit is refused instead of exhausting the stack."""
    value: list[object] = []
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    with pytest.raises(EvaluationError, match="nests deeper"):
        compile_expression("item").evaluate(Scope({"item": value}))


def test_secrets_pass_through_but_are_not_computed_with() -> None:
    """An expression hands a secret's stand-in on, and can neither read, forge nor join it."""
    text = SecretText(("Bearer ", SecretRef("é")))
    scope = Scope(
        {"inputs": {"token": SecretRef("pd"), "header": text}, "event": {"labels": {"$secret": "pd"}}}
    )
    assert compile_expression("inputs.token").evaluate(scope) == SecretRef("pd")
    assert compile_expression("[inputs.header]").evaluate(scope) == [text]
    assert compile_expression("event.labels").evaluate(scope) == {"$secret": "pd"}
    with pytest.raises(EvaluationError, match="not computed with"):
        compile_expression("inputs.token + inputs.token").evaluate(scope)
