"""CEL, the Common Expression Language, behind one small port. The engine is imported in this file only.

The language: https://github.com/google/cel-spec/blob/master/doc/langdef.md. The engine is Google's own
(https://github.com/cel-expr/cel-python), with its extensions for optionals (`labels[?"team"].orValue("none")`),
strings (`split`, `replace`, `lowerAscii`, ...) and numbers (`math.greatest`, ...). It checks names, functions and
types at load time, stops after 10,000 loop steps, and refuses nesting beyond 32 levels. `cel.bind` stays out: it
would let a short text build values of any size.

The engine hands out a failed evaluation as a value, whose plain form is a text and so would count as true; every
result is therefore looked at here before it leaves.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_math, ext_optional, ext_strings

from runbookd.errors import EvaluationError, LanguageError
from runbookd.language.cel_errors import evaluation_error, language_error, quote
from runbookd.language.cel_values import from_cel, to_cel
from runbookd.language.fuzzy import did_you_mean
from runbookd.language.tokens import Token, place, references, tokenize

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = frozenset({"event", "alert", "incident", "inputs", "vars", "steps", "run", "now", "item", "result"})
"""Every name an expression may start with; which of them have values depends on where it stands."""

MAX_LENGTH = 10_000
"""The longest expression, in characters."""


class Scope:
    """The values a set of expressions is evaluated against: prepared once, on first use, and used by all of them.

    The values may be changed neither before nor after: a scope reads them late and keeps what it read.
    """

    __slots__ = ("_activation", "_base", "_pending", "_ready", "_refused", "_values")

    def __init__(self, values: Mapping[str, object]) -> None:
        """Take values by name, of the types `values.encode` takes; ValueError for a name that is not in NAMES."""
        for name in values:
            if name not in NAMES:
                raise ValueError(f"'{name}' is not a name of the language.{did_you_mean(name, NAMES)}")
        self._values = dict(values)
        self._pending = self._values
        self._base: Scope | None = None
        self._ready: dict[str, Any] = {}
        self._refused: dict[str, str] = {}
        self._activation: Any = None

    @property
    def values(self) -> Mapping[str, object]:
        """The values as they were given."""
        return self._values

    @property
    def refused(self) -> Mapping[str, str]:
        """Why a name has no value although one was given: it holds something no expression can read."""
        return self._refused

    def extended(self, **values: object) -> Scope:
        """Make a scope with more or other values; what this one has prepared is not prepared again."""
        scope = Scope(values)
        scope._values = self._values | values
        scope._base = self
        return scope

    def activation(self) -> Any:
        """Give the engine's form of the values."""
        if self._activation is None:
            self._prepare()
            self._activation = _environment().Activation(self._ready)
        return self._activation

    def _prepared(self) -> tuple[dict[str, Any], dict[str, str]]:
        self._prepare()
        return self._ready, self._refused

    def _prepare(self) -> None:
        if self._base is not None:
            ready, refused = self._base._prepared()  # noqa: SLF001 - another scope, of this very class
            self._base = None
            self._ready = {name: value for name, value in ready.items() if name not in self._pending}
            self._refused = {name: why for name, why in refused.items() if name not in self._pending}
        for name, value in self._pending.items():
            try:
                self._ready[name] = to_cel(value)
            except EvaluationError as error:
                self._refused[name] = str(error)
        self._pending = {}


class Expression:
    """One compiled expression; made by `compile_expression`, without state, used for ever."""

    __slots__ = ("_always_bool", "_program", "references", "result_type", "text")

    def __init__(self, text: str, program: Any) -> None:
        """Keep the engine's program beside what the loader asks about it."""
        self.text = text
        """The expression as written."""
        self.references: frozenset[tuple[str, ...]] = references(text, NAMES)
        """The dotted paths it reads, as far as they are written out: ("steps", "history", "changed_ago")."""
        self.result_type: str = program.return_type().name()
        """CEL's name of the type it results in: BOOL, INT, STRING, ... or DYN when only the values decide."""
        self._program = program
        self._always_bool = self.result_type == "BOOL"

    def called(self, text: str) -> Expression:
        """Return the same program under the text its author wrote, which errors then show."""
        renamed = Expression(text, self._program)
        renamed.references = self.references
        return renamed

    def __repr__(self) -> str:
        """Show the expression as written."""
        return self.text

    def evaluate(self, scope: Scope) -> Any:
        """Compute the value: None, bool, int, float, str, list, dict, timedelta, datetime (UTC), or a secret.

        Raises MissingValue for a key, field or item that is not there, EvaluationError for anything else.
        """
        result = self._run(scope)
        if result.type().name() == "ERROR":
            raise self._failure(_said(result), scope)
        try:
            return from_cel(result)
        except EvaluationError as error:
            raise EvaluationError(f"{error} (In {quote(self.text)}.)") from None

    def holds(self, scope: Scope) -> bool:
        """Compute a condition; raises as `evaluate` does, and EvaluationError when the result is not true or false."""
        if (
            self._always_bool
        ):  # the checker promised: a bool or an error, never null, so the quick way is safe
            verdict = self._run(scope).plain_value()
            if verdict is True or verdict is False:
                return bool(verdict)
            raise self._failure(verdict, scope)
        value = self.evaluate(scope)
        if isinstance(value, bool):
            return value
        kind = type(value).__name__
        raise EvaluationError(
            f"The condition {quote(self.text)} gave a {kind}, not true or false; compare it."
        )

    def _run(self, scope: Scope) -> Any:
        try:
            return self._program.eval(scope.activation())
        except RuntimeError as error:
            raise self._failure(str(error), scope) from None

    def _failure(self, said: str, scope: Scope) -> EvaluationError:
        return evaluation_error(self.text, said, self.references, scope.values, scope.refused)


def _said(failed: Any) -> str:
    """Give the engine's words for a failure; an optional, which it counts as one, has none."""
    try:
        return str(failed.plain_value())
    except TypeError:
        return "the result is an optional; end it with .orValue(default) or .value()"


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> Expression:
    """Compile an expression, or hand out the one compiled before.

    Raises LanguageError, with line and column inside the text, for a mistake of grammar, an unknown name or function,
    types that cannot fit, bytes, and for a text longer than MAX_LENGTH.
    """
    _check_characters(text)
    try:
        program = _environment().compile(text)
    except RuntimeError as error:
        raise language_error(text, str(error), NAMES) from None
    return Expression(text, program)


def matches_whole(pattern: str, text: str) -> bool:
    """Tell whether a regular expression (RE2: linear time, no look-around, no back-references) matches all of a text.

    Raises LanguageError when it is not a regular expression. The engine's RE2 is used so that label matchers and
    `matches()` agree, and so that no label text can make a match slow.
    """
    anchored = to_cel(f"^(?:{pattern})$")
    program = _regex_program()
    result = program.eval(data={"pattern": anchored, "text": to_cel(text)}).plain_value()
    if result is True or result is False:
        return bool(result)
    reason = str(result).partition("invalid regular expression: ")[2].partition(f": {anchored}")[0]
    raise LanguageError(f"'{pattern}' is not a regular expression: {reason}.")


def _check_characters(text: str) -> None:
    """Refuse what the engine would misread, and bytes, which are reserved for secrets on their way through."""
    if len(text) > MAX_LENGTH:
        raise LanguageError(
            f"An expression of {len(text)} characters is too long; the limit is {MAX_LENGTH}.",
            line=1,
            column=1,
        )
    for offset, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            line, column = place(text, offset)
            raise LanguageError(
                "The expression holds a character no text can hold.", line=line, column=column
            )
    for token in tokenize(text):
        if _makes_bytes(token, text):
            line, column = place(text, token.start)
            raise LanguageError("There are no bytes in this language; use text.", line=line, column=column)


def _makes_bytes(token: Token, text: str) -> bool:
    """Tell a byte literal or the conversion `bytes(...)` from a field that happens to be called `bytes`."""
    if token.kind == "text":
        return token.text[0] in "bB"
    following = next(tokenize(text, token.end), None) if token.text == "bytes" else None
    return following is not None and following.text == "("


@cache
def _environment() -> Any:
    """Make the one environment; late, because it costs milliseconds a `--help` must not pay."""
    types = dict.fromkeys(NAMES, cel.Type.DYN) | {"now": cel.Type.TIMESTAMP}
    return cel.NewEnv(
        variables=types, extensions=[ext_math.ExtMath(), ext_optional.ExtOptional(), ext_strings.ExtStrings()]
    )


@cache
def _regex_program() -> Any:
    """Compile the one expression every regular expression is run by."""
    environment = cel.NewEnv(variables={"pattern": cel.Type.STRING, "text": cel.Type.STRING})
    return environment.compile("text.matches(pattern)")
