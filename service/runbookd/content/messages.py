"""What pydantic found wrong, said to the operator who wrote the file: where it stands, and what to write."""

from __future__ import annotations

import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError

from runbookd.content.yaml import Path
from runbookd.language.fuzzy import did_you_mean
from runbookd.model.base import Name
from runbookd.model.people import Email, Reach, SlackPlace
from runbookd.model.rule import Holiday

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_KINDS = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a map (`key: value` lines)",
    "model_type": "a map (`key: value` lines)",
    "model_attributes_type": "a map (`key: value` lines)",
    "list_type": "a list (lines that start with `- `)",
    "timedelta_type": "a duration such as 90s, 5m or 1h30m",
    "time_delta_parsing": "a duration such as 90s, 5m or 1h30m",
    "none_required": "left out",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}


def _pattern(kind: Any) -> str:
    return str(TypeAdapter(kind).json_schema()["pattern"])


_PATTERN_HINTS = {
    r"^[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*$": "is not a name; write kebab-case: letters and digits, joined by -",
    r"^[a-z][a-z0-9_]*$": "is not an identifier; write small letters, digits and _, a letter first",
    r"^([01]\d|2[0-3]):[0-5]\d$": 'is not a time of day; write it as "09:00"',
    _pattern(
        Reach
    ): "names nobody; write a role, ROLE.secondary, slack:#channel, email:somebody@example.com, "
    "webhook:NAME or statuspage",
    _pattern(Email): "is not a mail address",
    _pattern(SlackPlace): "is no place in Slack; write a channel as '#name', or an id such as C012AB3CD",
    _pattern(
        Holiday
    ): "is no holiday; write a country as US, a part of one as US-NY, or a date as 2026-12-24",
}
_LONGEST_SHOWN = 60
_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake inside a value: the path to it from that value, and whether the key itself is the mistake.

    `absent` is the key that is missing there, else "".
    """

    path: Path
    message: str
    at_key: bool = False
    unknown_key: bool = False
    absent: str = ""


def findings(model: type[BaseModel], data: object, error: ValidationError) -> list[Finding]:
    """Rewrite every error of one validation; the members of a union become one finding."""
    found: dict[tuple[Path, bool, str], list[Finding]] = {}
    for each in error.errors(include_url=False):
        finding = _finding(model, data, each)
        found.setdefault((finding.path, finding.unknown_key, finding.absent), []).append(finding)
    return [_joined(group) for group in found.values()]


def known_keys(model: type[BaseModel]) -> list[str]:
    """Return the keys a model takes, as they are written."""
    return [info.alias or name for name, info in model.model_fields.items()]


def unknown_key(key: str, known: Sequence[str]) -> str:
    """Say that a key is unknown, which one was probably meant, and which there are."""
    there_are = f"the keys here are: {', '.join(known)}" if known else "there are no keys here"
    hint = did_you_mean(key, known)
    return f"unknown key {key!r}{'.' if hint else ''}{hint} ({there_are})"


def no_such(kind: str, name: str, known: Collection[str]) -> str:
    """Say that a name stands for nothing, which one was probably meant, or which there are."""
    hint = did_you_mean(name, known)
    there_is = f".{hint}" if hint else f"; there is: {', '.join(sorted(known)) or 'none'}"
    return f"there is no {kind} {name!r}{there_is}"


def name_mistake(name: str) -> str | None:
    """Say what is wrong with a name that stands as a key; None when it is a name."""
    try:
        _NAME.validate_python(name)
    except ValidationError as error:
        return sentence(error, name)
    return None


def sentence(error: ValidationError, value: object) -> str:
    """Say the first mistake of a single value."""
    return _message(error.errors(include_url=False)[0], value)


def shown(value: object) -> str:
    """Show a value as it was written, its kind when it has parts, and not endless."""
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _finding(model: type[BaseModel], data: object, error: ErrorDetails) -> Finding:
    path, absent, about_key = _path(data, error["loc"])
    if error["type"] == "missing":
        return Finding(path, f"the key {str(absent)!r} is missing", absent=str(absent))
    if error["type"] == "extra_forbidden":
        owner = next(iter(_models_at(model, path[:-1])), None)
        message = unknown_key(str(path[-1]), known_keys(owner) if owner else [])
        return Finding(path, message, at_key=True, unknown_key=True)
    if about_key:
        return Finding(path, _message(error, path[-1]), at_key=True)
    return Finding(path, _message(error, error["input"]))


def _path(data: object, loc: tuple[int | str, ...]) -> tuple[Path, int | str | None, bool]:
    """Follow pydantic's location through the data.

    Returns the path as far as the data goes (pydantic puts names of union members into it, which are no keys), the
    first part that is not there (None when all are), and whether the error is about the last key itself.
    """
    path: list[int | str] = []
    absent: int | str | None = None
    here = data
    for part in loc:
        try:
            here = here[int(part)] if isinstance(here, list) else _mapping(here)[part]
            path.append(part)
        except (KeyError, IndexError, ValueError):
            absent = part if absent is None else absent
    return tuple(path), absent, bool(path) and loc[-1] == "[key]"


def _mapping(value: object) -> Mapping[int | str, object]:
    return value if isinstance(value, Mapping) else {}


def _message(error: ErrorDetails, value: object) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind in _KINDS:
        hint = (
            "; put it in quotes if it is one"
            if kind == "string_type" and isinstance(value, int | float)
            else ""
        )
        return f"must be {_KINDS[kind]}, not {shown(value)}{hint}"
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"must be {words} {context[bound]}, not {shown(value)}"
    if kind in {"literal_error", "enum"}:
        return _choice(str(context["expected"]), value)
    if kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return f"{shown(value)} {_PATTERN_HINTS.get(pattern, f'must match {pattern}')}"
    return _other(kind, context, value, error["msg"])


def _other(kind: str, context: Mapping[str, Any], value: object, said: str) -> str:
    if kind in {"string_too_short", "too_short"} and context["min_length"] == 1:
        return "must not be empty"
    plain = said.removeprefix("Input ").removeprefix("Value error, ")
    return f"{plain[:1].lower()}{plain[1:]}, not {shown(value)}"


def _choice(expected: str, value: object) -> str:
    choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
    listed = " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
    hint = did_you_mean(value, choices) if isinstance(value, str) else ""
    return f"must be {listed}, not {shown(value)}.{hint}" if hint else f"must be {listed}, not {shown(value)}"


def _joined(group: list[Finding]) -> Finding:
    first = group[0]
    if len(group) == 1:
        return first
    return Finding(first.path, "; or ".join(dict.fromkeys(each.message for each in group)), first.at_key)


def _models_at(annotation: Any, path: Path) -> Iterator[type[BaseModel]]:
    """Yield the models that stand at a path below a type, through optionals, lists and maps."""
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        for member in get_args(annotation):
            yield from _models_at(member, path)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if issubclass(annotation, RootModel):
            yield from _models_at(annotation.model_fields["root"].annotation, path)
            return
        if not path:
            yield annotation
            return
        for name, info in annotation.model_fields.items():
            if (info.alias or name) == path[0]:
                yield from _models_at(info.annotation, path[1:])
    elif origin in {list, tuple, dict} and path:
        yield from _models_at(get_args(annotation)[-1], path[1:])
