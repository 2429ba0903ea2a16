"""Whether what is given fits what takes it: a step's `with` its action, a rung's its playbook's inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ValidationError

from runbookd.content.expressions import is_constant
from runbookd.content.messages import findings
from runbookd.content.read import Located
from runbookd.content.yaml import Path
from runbookd.errors import EvaluationError, LanguageError, Problem
from runbookd.language.cel import Scope, matches_whole
from runbookd.language.fuzzy import did_you_mean
from runbookd.language.render import compile_template
from runbookd.model.playbook import Input, Playbook
from runbookd.stages.inputs import fit_input


def action_params(
    located: Located[BaseModel], below: Path, given: Mapping[str, object], model: type[BaseModel]
) -> Iterator[Problem]:
    """Hold a `with` against the parameters of its action; `below` is the path of the step.

    What holds `${...}` is known only when it is rendered, and is left to that; all else is judged now, keys that
    are unknown or missing at any depth too.
    """
    place = (*below, "with")
    try:
        model.model_validate(given)
    except ValidationError as error:
        for finding in findings(model, given, error):
            about_keys = finding.unknown_key or finding.absent
            if about_keys or is_constant(_value_at(given, finding.path)):
                message = finding.message
                if finding.absent:
                    message = f"the parameter {finding.absent!r} is missing"
                yield located.problem(message, *place, *finding.path, at_key=finding.at_key)


def playbook_inputs(
    located: Located[BaseModel], below: Path, given: Mapping[str, object], playbook: Playbook
) -> Iterator[Problem]:
    """Hold a `with` against the inputs of the playbook it is for; `below` is the path of the rung or step."""
    place = (*below, "with")
    declared = playbook.inputs
    for name, value in given.items():
        if name not in declared:
            there_are = ", ".join(declared) or "none"
            message = f"playbook {playbook.playbook!r} has no input {name!r}; its inputs are: {there_are}"
            hint = did_you_mean(name, declared)
            yield located.problem(f"{message}.{hint}" if hint else message, *place, name, at_key=True)
        elif is_constant(value):
            yield from _fits(located, (*place, name), name, declared[name], _constant(value))
    for name, each in declared.items():
        if each.required and name not in given:
            yield located.problem(f"playbook {playbook.playbook!r} needs the input {name!r}", *place)


def input_declarations(located: Located[Playbook]) -> Iterator[Problem]:
    """Hold each declared input's default, enum and bounds against its own type."""
    for name, declared in located.item.inputs.items():
        place = ("inputs", name)
        for key, types in _BOUNDS.items():
            if getattr(declared, key) is not None and declared.type not in types:
                message = f"`{key}` has no meaning for an input of type {declared.type}"
                yield located.problem(message, *place, key, at_key=True)
        if (
            declared.minimum is not None
            and declared.maximum is not None
            and declared.minimum > declared.maximum
        ):
            yield located.problem("`minimum` is more than `maximum`", *place, "minimum")
        if declared.pattern is not None:
            try:
                matches_whole(declared.pattern, "")
            except LanguageError as error:
                yield located.problem(str(error), *place, "pattern")
                continue
        of_type = Input(type=declared.type)
        for index, value in enumerate(declared.enum or ()):
            yield from _fits(located, (*place, "enum", index), name, of_type, value)
        if not is_constant(declared.default):
            yield located.problem("a default is a constant; ${...} is not rendered here", *place, "default")
        elif declared.default is not None:
            yield from _fits(located, (*place, "default"), name, declared, declared.default)


_BOUNDS = {"pattern": {"string"}, "minimum": {"integer", "number"}, "maximum": {"integer", "number"}}


def _fits(
    located: Located[BaseModel], below: Path, name: str, declared: Input, value: object
) -> Iterator[Problem]:
    try:
        fit_input(name, declared, value)
    except EvaluationError as error:
        yield located.problem(str(error), *below)


def _value_at(value: object, path: Path) -> object:
    for part in path:
        value = (
            value[part]
            if isinstance(value, Mapping)
            else value[int(part)]
            if isinstance(value, list)
            else None
        )
    return value


def _constant(value: object) -> object:
    """Return what a constant renders to: itself, with `$${` turned into `${`."""
    return compile_template(value).render(Scope({}))
