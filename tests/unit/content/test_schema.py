"""The JSON Schemas say what the models say, and know every action's parameters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.content.read import SHARED_KEYS
from runbookd.content.schema import DIALECT, playbook_schema, rules_schema, schemas
from runbookd.ports import Catalogue
from tests.unit.content.catalogue import FakeCatalogue


def references(schema: Any) -> set[str]:
    """Every `$ref` in a schema."""
    if isinstance(schema, dict):
        own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
        return own.union(*map(references, schema.values()))
    return set().union(*map(references, schema)) if isinstance(schema, list) else set()


@pytest.mark.parametrize("catalogue", [FakeCatalogue(), ActionCatalogue()])
def test_schemas_are_whole(catalogue: Catalogue) -> None:
    """Both files are there, of draft 2020-12, plain JSON, and every reference leads somewhere."""
    made = schemas(catalogue)
    assert list(made) == ["rules.schema.json", "playbook.schema.json"]
    for schema in made.values():
        assert schema["$schema"] == DIALECT
        assert json.loads(json.dumps(schema)) == schema
        defined = {f"#/$defs/{name}" for name in schema["$defs"]}
        assert references(schema) <= defined


def test_keys_are_those_of_the_files() -> None:
    """Keys are written as in the files, unknown ones are mistakes, and durations are texts."""
    rules = rules_schema()
    assert tuple(rules["properties"]) == SHARED_KEYS
    assert rules["$defs"]["Escalation"]["items"] == {"$ref": "#/$defs/Level"}
    assert rules["additionalProperties"] is False
    assert {"with", "playbook"} == set(rules["$defs"]["Rung"]["properties"])
    assert rules["$defs"]["Rung"]["additionalProperties"] is False
    assert rules["$defs"]["Limits"]["properties"]["cooldown"]["type"] == "string"


def test_each_action_has_its_own_parameters() -> None:
    """Which `with` fits depends on the `action`; a value may be an expression, at any depth."""
    schema = playbook_schema(FakeCatalogue())
    step = schema["$defs"]["Step"]
    assert step["properties"]["action"]["enum"] == list(FakeCatalogue().names())
    chosen = next(
        each for each in step["allOf"] if each["if"]["properties"]["action"]["const"] == "http.check"
    )
    assert chosen["then"]["properties"]["with"] == {"$ref": "#/$defs/http.check"}
    params = schema["$defs"]["http.check"]
    assert params["required"] == ["url"]
    assert params["additionalProperties"] is False
    assert params["properties"]["url"]["anyOf"][1] == {
        "type": "string",
        "pattern": r"\$\{",
        "description": "An expression, as ${...}.",
    }
    nested = schema["$defs"]["http.check:Expectation"]["properties"]["json"]
    assert nested["anyOf"][1]["pattern"] == r"\$\{"
    assert schema["required"] == ["playbook"]
