"""Inputs: whether the values given to a playbook are what it declares, with defaults filled in.

Used when content is checked, when a run is planned, and when a playbook is called as a step: one meaning of
`type`, `pattern`, `enum`, `minimum` and `maximum` for all three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from runbookd.errors import EvaluationError, LanguageError
from runbookd.language.cel import matches_whole
from runbookd.language.fuzzy import did_you_mean
from runbookd.language.values import SecretRef, SecretText
from runbookd.model.durations import format_duration, parse_duration
from runbookd.model.playbook import Input

_LONGEST_SHOWN = 60


def fit_inputs(declared: Mapping[str, Input], given: Mapping[str, object]) -> dict[str, object]:
    """Return a value for every declared input, in the order of declaration.

    Raises EvaluationError for an input that is missing, unknown, or not what its declaration says.
    """
    for name in given:
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise EvaluationError(
                f"there is no input {name!r}; the inputs are: {known}.{did_you_mean(name, declared)}"
            )
    return {name: fit_input(name, declaration, given.get(name)) for name, declaration in declared.items()}


def fit_input(name: str, declared: Input, value: object) -> object:
    """Return the value of one input; None stands for not given, so the default is taken.

    Duration texts become timedelta, and an integer is taken for a number. A secret is taken for a string, and
    only its existence is known here, so neither pattern nor enum is looked at. Raises EvaluationError.
    """
    if value is None:
        if declared.required:
            raise EvaluationError(f"input {name!r} is required: give a {declared.type}")
        if declared.default is None:
            return None
        value = declared.default
    if declared.type == "string" and isinstance(value, SecretRef | SecretText):
        return value
    fitted = _FITS[declared.type](value)
    if fitted is None:
        hint = _conversion(declared.type, value) if isinstance(value, str) else ""
        raise EvaluationError(f"input {name!r} must be {_WANTED[declared.type]}, got {_shown(value)}{hint}")
    if (mistake := _outside(declared, fitted)) is not None:
        raise EvaluationError(f"input {name!r} {mistake}, got {_shown(value)}")
    return fitted


def _outside(declared: Input, value: object) -> str | None:
    """Say which bound of the declaration the value breaks; None when it is within all."""
    if declared.enum is not None and value not in [_FITS[declared.type](each) for each in declared.enum]:
        return f"must be one of {', '.join(_shown(each) for each in declared.enum)}"
    if declared.pattern is not None and isinstance(value, str) and not _matches(declared.pattern, value):
        return f"must match {declared.pattern}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if declared.minimum is not None and value < declared.minimum:
            return f"must be at least {declared.minimum:g}"
        if declared.maximum is not None and value > declared.maximum:
            return f"must be at most {declared.maximum:g}"
    return None


def _matches(pattern: str, text: str) -> bool:
    """Match the whole text; a pattern that is none matches nothing, and content checking refuses it at load."""
    try:
        return matches_whole(pattern, text)
    except LanguageError as error:
        raise EvaluationError(str(error)) from error


def _string(value: object) -> object:
    return value if isinstance(value, str) else None


def _integer(value: object) -> object:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> object:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _boolean(value: object) -> object:
    return value if isinstance(value, bool) else None


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except LanguageError:
        return None


def _list(value: object) -> object:
    return list(value) if isinstance(value, list | tuple) else None


def _map(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else None


_FITS: Mapping[str, Callable[[object], object]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "duration": _duration,
    "list": _list,
    "map": _map,
}
"""Per type: the value as the playbook sees it, or None when it is of another type."""

_WANTED = {
    "string": "a text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "duration": "a duration such as 90s, 5m or 1h30m",
    "list": "a list",
    "map": "a map",
}


_CONVERTED: Mapping[str, tuple[str, str]] = {
    "integer": (r"[+-]?[0-9]+", "convert it, as in ${int(event.labels.n)}"),
    "number": (r"[+-]?[0-9]+(\.[0-9]+)?", "convert it, as in ${double(event.labels.n)}"),
    "boolean": (r"true|false", 'compare it, as in ${event.labels.on == "true"}'),
}
"""By the type that is wanted: the texts that look like it, and what to do with one."""


def _conversion(wanted: str, text: str) -> str:
    """Say how a text becomes what is wanted; nothing when it does not look like it."""
    pattern, how = _CONVERTED.get(wanted, ("", ""))
    return f"; a label is a text: {how}" if how and matches_whole(pattern, text) else ""


def _shown(value: object) -> str:
    """Show a value in a message: as written in YAML, its kind when that is not plain, and not endless."""
    if isinstance(value, bool):
        text = f"the boolean {str(value).lower()}"
    elif isinstance(value, timedelta):
        text = f"the duration {format_duration(value)}"
    elif isinstance(value, str):
        text = f"the text {value!r}"
    elif isinstance(value, int | float):
        text = f"the number {value}"
    elif isinstance(value, Mapping):
        text = "a map"
    else:
        text = (
            "a list"
            if isinstance(value, list | tuple)
            else "a secret"
            if isinstance(value, SecretRef | SecretText)
            else type(value).__name__
        )
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
