"""Pydantic models as tables: one row per key, with its type, its default and what it means."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from runbookd.actions.kubernetes.kinds import NAME_PATTERN, NAMESPACE_PATTERN
from runbookd.model.base import Duration, Name
from runbookd.model.durations import format_duration
from runbookd.model.people import Email, Reach, SlackPlace
from runbookd.model.playbook import Identifier
from runbookd.model.rule import Calendar, Holiday
from tools.docs.markdown import anchor, code

Schema = Mapping[str, Any]

HEAD = ("key", "type", "default", "meaning")

_NAMED_PATTERNS = {
    TypeAdapter(kind).json_schema()["pattern"]: word
    for kind, word in (
        (Duration, "duration"),
        (Name, "name"),
        (Identifier, "identifier"),
        (Reach, "role or address"),
        (Email, "mail address"),
        (SlackPlace, "`#channel` or id"),
        (Holiday, "country or date"),
    )
}
_NAMED_PATTERNS[Calendar.model_json_schema()["properties"]["from"]["pattern"]] = (
    'time of day such as `"09:00"`'
)
_NAMED_PATTERNS |= {NAMESPACE_PATTERN: "Kubernetes namespace", NAME_PATTERN: "Kubernetes name"}
_LONGEST_PATTERN = 30
"""The longest regular expression that is shown; a longer one helps nobody, and the schemas have it."""
_FORMATS = {"path": "path", "date-time": "timestamp", "password": "secret text", "duration": "duration"}
_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "maxLength": "at most",
    "minItems": "at least",
    "maxItems": "at most",
}
_UNITS = {"maxLength": " characters", "minItems": " items", "maxItems": " items"}


@dataclass(frozen=True, slots=True)
class Place:
    """A model, and the dotted path of the keys that lead to it; `[]` is an item of a list, `.NAME` of a map.

    `parent` is None for the first; `in_collection` tells whether a list or map lies on the way.
    """

    path: str
    model: type[BaseModel]
    in_collection: bool = False


def places(*roots: Place) -> list[Place]:
    """Return each model below the roots once, at the first path that leads to it, top to bottom."""
    found: dict[type[BaseModel], Place] = {}
    for root in roots:
        _visit(root, found)
    return list(found.values())


def rows(place: Place, known: Sequence[Place], *, prefix: str = "") -> list[list[str]]:
    """Make the rows of one model. A key that holds a model links to its heading, which is `prefix` and its path."""
    schema = place.model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    properties = (
        schema["properties"] if "properties" in schema else definitions[place.model.__name__]["properties"]
    )
    titles = {each.model.__name__: prefix + each.path for each in known}
    return [
        [
            code(key(name, info)),
            type_text(properties[key(name, info)], definitions, titles),
            default_text(info),
            info.description or "",
        ]
        for name, info in place.model.model_fields.items()
        if not info.exclude
    ]


def key(name: str, info: FieldInfo) -> str:
    """Return a field's name as it is written in a file."""
    return info.alias or name


def type_text(schema: Schema, definitions: Mapping[str, Schema], titles: Mapping[str, str]) -> str:
    """Say a JSON Schema's type in words. `titles` has the heading of each model by its name in the schema."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        if name in titles:
            return f"[map](#{anchor(titles[name])})"
        return type_text(definitions[name], definitions, titles)
    if "enum" in schema:
        return " or ".join(code(_json(value)) for value in schema["enum"])
    if "const" in schema:
        return code(_json(schema["const"]))
    if "anyOf" in schema:
        kinds = [type_text(each, definitions, titles) for each in schema["anyOf"] if each != {"type": "null"}]
        return " or ".join(dict.fromkeys(kinds))
    if schema.get("type") == "array":
        items = type_text(schema["items"], definitions, titles) if "items" in schema else "anything"
        return f"list of {items}{_bounds(schema)}"
    if schema.get("type") == "object":
        return _map_text(schema, definitions, titles)
    return _scalar_text(schema)


def default_text(info: FieldInfo) -> str:
    """Say what a key is when it is not written; nothing for one whose parts have defaults of their own."""
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return ""
    return code(_json(_plain(value)))


def models_in(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the models in a type, each with what has to be added to the path: nothing, `[]` or `.NAME`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
        return
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is dict:
        yield from ((f".NAME{step}", model) for step, model in models_in(arguments[1]))
    elif origin in {list, tuple}:
        yield from ((f"[]{step}", model) for step, model in models_in(arguments[0]))
    else:
        for argument in arguments:
            yield from models_in(argument)


def _visit(place: Place, found: dict[type[BaseModel], Place]) -> None:
    if place.model in found:
        return
    found[place.model] = place
    for name, info in place.model.model_fields.items():
        if info.exclude:
            continue
        for step, model in models_in(info.annotation):
            path = f"{place.path}.{key(name, info)}{step}".lstrip(".")
            _visit(Place(path, model, place.in_collection or bool(step)), found)


def _map_text(schema: Schema, definitions: Mapping[str, Schema], titles: Mapping[str, str]) -> str:
    values = schema.get("additionalProperties")
    if isinstance(values, dict) and values:
        return f"map of {type_text(values, definitions, titles)}"
    patterns = schema.get("patternProperties")
    if patterns:
        return f"map of {type_text(next(iter(patterns.values())), definitions, titles)}"
    return "map"


def _scalar_text(schema: Schema) -> str:
    if schema.get("pattern") in _NAMED_PATTERNS:
        return _NAMED_PATTERNS[schema["pattern"]]
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    kind = schema.get("type")
    if not isinstance(kind, str):
        return "anything"
    return f"{_TYPES[kind]}{_form(schema.get('pattern', ''))}{_bounds(schema)}"


def _form(pattern: str) -> str:
    if not pattern:
        return ""
    return f" like {code(pattern)}" if len(pattern) <= _LONGEST_PATTERN else " of a fixed form"


def _bounds(schema: Schema) -> str:
    said = ["not empty"] if schema.get("minLength") == 1 else []
    if "minimum" in schema and "maximum" in schema:
        said.append(f"{schema['minimum']:,} to {schema['maximum']:,}")
        schema = {key: value for key, value in schema.items() if key not in {"minimum", "maximum"}}
    said += [
        f"{word} {schema[bound]:,}{_UNITS.get(bound, '')}"
        for bound, word in _BOUNDS.items()
        if bound in schema
    ]
    return f", {', '.join(said)}" if said else ""


def _plain(value: object) -> object:
    """Reduce a default to what JSON writes."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, BaseModel):
        return _plain(dict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value


def _json(value: object) -> str:
    """Write a value; a text stands without quotes, as in a file, but for one that would then be unseen."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
