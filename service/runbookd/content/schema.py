"""JSON Schemas of the files, for editors: the models that read them, and every action's own parameters.

Draft 2020-12 (https://json-schema.org/draft/2020-12). A file asks for its schema in its first line:
`# yaml-language-server: $schema=../schemas/rules.schema.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from runbookd.model.people import Escalation, Role, Template
from runbookd.model.playbook import Playbook
from runbookd.model.rule import Calendar, Priority, Rule
from runbookd.model.schedule import Schedule
from runbookd.ports import Catalogue

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEMPLATE: Schema = {"type": "string", "pattern": r"\$\{", "description": "An expression, as ${...}."}
_CALLERS = ("Step", "EvidenceStep", "Check")
_UNTITLED = "title"


def schemas(catalogue: Catalogue) -> dict[str, Schema]:
    """Return every schema by its file name."""
    return {"rules.schema.json": rules_schema(), "playbook.schema.json": playbook_schema(catalogue)}


def rules_schema() -> Schema:
    """Return the schema of a file with rules, priorities, roles and the like, and vars."""
    shared = _shared()
    return _file(
        "Rules of runbookd", shared.pop("$defs"), {"properties": shared, "additionalProperties": False}
    )


def playbook_schema(catalogue: Catalogue) -> Schema:
    """Return the schema of a file with a playbook, whose `with` fits the action it is for."""
    shared = _shared()
    schema = Playbook.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs") | shared.pop("$defs")
    schema["properties"] |= shared
    definitions |= _actions(catalogue)
    for name in _CALLERS:
        caller = definitions[name]
        caller["properties"]["action"] = {"enum": list(catalogue.names()), "description": "What is called."}
        caller["allOf"] = [_with_of(action) for action in catalogue.names()]
    schema.pop(_UNTITLED)
    return _file("A playbook of runbookd", definitions, schema)


def _shared() -> Schema:
    """Return the properties any file may have, and their definitions under `$defs`."""
    types: Mapping[str, Any] = {
        "rules": list[Rule],
        "schedules": list[Schedule],
        "priorities": dict[str, Priority],
        "escalations": dict[str, Escalation],
        "roles": dict[str, Role],
        "calendars": dict[str, Calendar],
        "messages": dict[str, Template],
        "vars": dict[str, Any],
    }
    properties: Schema = {}
    definitions: Schema = {}
    for name, kind in types.items():
        schema = TypeAdapter(kind).json_schema(by_alias=True)
        definitions |= schema.pop("$defs", {})
        properties[name] = schema
    return {**properties, "$defs": definitions}


def _file(title: str, definitions: Schema, schema: Schema) -> Schema:
    return {"$schema": DIALECT, "title": title, "type": "object", **schema, "$defs": definitions}


def _with_of(action: str) -> Schema:
    """Say that a step of this action has this action's parameters."""
    return {
        "if": {"properties": {"action": {"const": action}}, "required": ["action"]},
        "then": {"properties": {"with": {"$ref": f"#/$defs/{action}"}}},
    }


def _actions(catalogue: Catalogue) -> Schema:
    """Return the parameters of every action, and what they are made of, each under a name of its own."""
    definitions: Schema = {}
    for action in catalogue.names():
        schema = _params(catalogue.params(action), action)
        definitions |= {f"{action}:{name}": inner for name, inner in schema.pop("$defs", {}).items()}
        definitions[action] = schema
    return definitions


def _params(model: type[BaseModel], action: str) -> Schema:
    schema: Schema = _own(model.model_json_schema(by_alias=True, ref_template=f"#/$defs/{action}:{{model}}"))
    return schema


def _own(schema: Any) -> Any:
    """Let every property be written as an expression instead of its value, at any depth."""
    if isinstance(schema, list):
        return [_own(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    rewritten = {key: _own(value) for key, value in schema.items() if key != "properties"}
    if "properties" in schema:
        rewritten["properties"] = {
            name: _or_template(_own(each)) for name, each in schema["properties"].items()
        }
    return rewritten


def _or_template(schema: Schema) -> Schema:
    told: Schema = {key: schema[key] for key in ("title", "description") if key in schema}
    return {**told, "anyOf": [schema, _TEMPLATE]}
