"""The scale every action of the catalogue is held to; a new one is measured without being named here."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

from runbookd.actions.base import AnyAction, Params, Result, mutates, repeats
from runbookd.actions.config import ActionsConfig
from runbookd.model.action import Repeat
from tests.contract.actions.hands import every_action

TESTS = Path(__file__).parents[2] / "integration" / "actions"
ORDER = ["Params", "Result", "SPEC", "run", "probe", "undo", "ACTION"]
ACTIONS = every_action()

each_action = pytest.mark.parametrize("action", ACTIONS.values(), ids=list(ACTIONS))


def module_of(action: AnyAction) -> ModuleType:
    """The file of an action."""
    return sys.modules[action.run.__module__]


def documentation(action: AnyAction) -> str:
    """What its file says of it, on one line."""
    return " ".join((module_of(action).__doc__ or "").split())


@each_action
def test_the_name_is_provider_and_words(action: AnyAction) -> None:
    """A name is `provider.word` or `provider.verb_noun`, and its file lies where the name says."""
    name = action.spec.name
    assert re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)*", name)
    assert module_of(action).__name__ == f"runbookd.actions.{name}"
    assert action.spec.summary.endswith(".")


@each_action
def test_the_file_says_what_changes_how_to_undo_it_and_where_that_is_written(action: AnyAction) -> None:
    """The docstring begins with the name, then tells the effect, the undoing, and the vendor's page."""
    about = documentation(action)
    assert about.startswith(f"`{action.spec.name}`: ")
    assert re.search(r"\bChanges\b", about)
    assert re.search(r"\bundo(ne)?\b", about, re.IGNORECASE)
    assert "https://" in about or action.spec.name.split(".")[0] in {"flow", "evidence"}


@each_action
def test_the_file_has_one_order(action: AnyAction) -> None:
    """Params, Result, SPEC, run, probe, undo, ACTION stand in this order in every action's file."""
    tree = ast.parse(inspect.getsource(module_of(action)))
    found = [name for name in top_level_names(tree) if name in ORDER]
    assert found == [name for name in ORDER if name in found]
    assert {"Params", "SPEC", "run", "ACTION"} <= set(found)


def top_level_names(tree: ast.Module) -> Iterator[str]:
    """What a module defines, in order."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


@each_action
def test_the_example_is_a_call_that_validates(action: AnyAction) -> None:
    """The example of the reference page is taken by the action's own parameters."""
    action.params.model_validate(action.spec.example)


@each_action
def test_undo_is_told_and_there_when_promised(action: AnyAction) -> None:
    """Every action says how it is undone or why not; with an `undo` it is undoable, and then it mutates."""
    assert len(action.spec.undo) > 10
    assert action.spec.undoable == (action.undo is not None)
    assert action.spec.mutates or not action.spec.undoable


@each_action
def test_repeat_and_probe_agree(action: AnyAction) -> None:
    """An action that is asked after a crash has a probe; one that only reads may always be called again."""
    possible = action.spec.repeat is Repeat.PROBE or action.repeats is not None
    assert action.probe is not None or action.spec.repeat is not Repeat.PROBE
    assert action.probe is None or possible
    assert action.spec.mutates or action.spec.repeat is Repeat.SAFE


@each_action
def test_an_attempt_is_bounded(action: AnyAction) -> None:
    """Every action has a timeout of its own, longer than nothing and no longer than half an hour."""
    assert timedelta(0) < action.spec.timeout <= timedelta(minutes=30)


@each_action
def test_unknown_is_the_worse(action: AnyAction) -> None:
    """Parameters that make no sense, or still are expressions, count for the worst the action can do."""
    config = ActionsConfig()
    odds: list[object] = ["${inputs.x}", 7, None, [], {}, {"a": 1}]
    for odd in odds:
        params: Mapping[str, object] = dict.fromkeys((*action.params.model_fields, "command", "method"), odd)
        assert mutates(action, params, config) == action.spec.mutates
        assert repeats(action, params, config) in {action.spec.repeat, Repeat.NEVER, Repeat.PROBE}


@each_action
def test_every_parameter_and_result_is_typed_and_told(action: AnyAction) -> None:
    """Models derive from the bases, and every field of their schemas has a type and a description."""
    assert issubclass(action.params, Params)
    assert issubclass(action.result, Result)
    for model, mode in ((action.params, "validation"), (action.result, "serialization")):
        assert model.__doc__
        untold = list(untyped_fields(model, mode))
        assert not untold


def untyped_fields(model: type[BaseModel], mode: Any) -> Iterator[str]:
    """The fields, of nested models too, without a type or a description."""
    schema = model.model_json_schema(mode=mode)
    for owner in (schema, *schema.get("$defs", {}).values()):
        for name, field in owner.get("properties", {}).items():
            if not field.get("description"):
                yield f"{owner['title']}.{name} has no description"
            if not {"type", "anyOf", "$ref", "enum", "const", "allOf"} & set(field):
                yield f"{owner['title']}.{name} has no type"


@each_action
def test_there_is_a_test_of_its_own(action: AnyAction) -> None:
    """Every action has a file of tests against real servers, named after it."""
    assert (TESTS / f"test_{action.spec.name.replace('.', '_')}.py").is_file()


def test_every_file_of_a_provider_with_an_action_is_listed() -> None:
    """An action that nobody registered is no action: every ACTION in a provider's folder is in the catalogue."""
    folder = Path(inspect.getfile(ActionsConfig)).parent
    written = {
        f"{path.parent.name}.{path.stem}"
        for path in folder.glob("*/*.py")
        if re.search(r"^ACTION\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert written == set(ACTIONS)
