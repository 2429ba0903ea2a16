"""Whether the expressions at one place compile, and read only what is there for them to read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic import BaseModel

from runbookd.content.read import Located, texts
from runbookd.content.yaml import Path
from runbookd.errors import LanguageError, Problem
from runbookd.language.cel import compile_expression
from runbookd.language.conditions import compile_condition
from runbookd.language.fuzzy import did_you_mean
from runbookd.language.render import compile_template
from runbookd.language.tokens import place
from runbookd.model.views import ALERT_FIELDS, EVENT_FIELDS, INCIDENT_FIELDS, RUN_FIELDS

FIELDS: Mapping[str, frozenset[str]] = {
    "event": EVENT_FIELDS,
    "alert": ALERT_FIELDS,
    "incident": INCIDENT_FIELDS,
    "run": RUN_FIELDS,
}
"""The fields of each name that has a fixed shape."""

STANDING = frozenset({"outcome", "error"})
"""What every step has besides its result: how it went."""


_CONDITIONS = frozenset({"when", "assert"})
"""Keys whose expression has to come to true or false."""

_TRUTH = frozenset({"BOOL", "DYN"})
"""CEL's types that may be true or false; DYN is known only when it is computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What expressions at one place may read.

    `names` are the first words there are. `steps` maps each step that has ended by then to the fields of its
    result, None when they cannot be known; `later` are steps that have not. `result` are the fields of `result`,
    None when they cannot be known. `secrets` tells whether `${secret.NAME}` may stand here.
    """

    where: str
    names: frozenset[str]
    vars: Collection[str] = ()
    inputs: Collection[str] = ()
    steps: Mapping[str, Collection[str] | None] = field(default_factory=dict)
    later: Collection[str] = ()
    result: Collection[str] | None = None
    secrets: bool = False

    def at(self, where: str, *more: str, result: Collection[str] | None = None) -> View:
        """Return the view of another place, with more names."""
        return replace(self, where=where, names=self.names | set(more), result=result)


def expression(located: Located[BaseModel], below: Path, text: str, view: View) -> Iterator[Problem]:
    """Check one CEL expression."""
    if text.lstrip().startswith("${"):
        yield located.problem("this is an expression already; write it without ${ and }", *below)
        return
    key = "" if below[-2:-1] == ("outputs",) else below[-1]
    try:
        compiled = compile_condition(text) if key == "when" else compile_expression(text)
    except LanguageError as error:
        yield located.problem_inside(str(error), below, error.line, error.column)
        return
    if key in _CONDITIONS and compiled.result_type not in _TRUTH:
        message = (
            f"`{key}` must come to true or false, and this always comes to {compiled.result_type}; compare it"
        )
        yield located.problem(message, *below)
        return
    yield from _unreadable(located, below, text, compiled.references, view)


def templates(located: Located[BaseModel], below: Path, value: object, view: View) -> Iterator[Problem]:
    """Check every text inside a value for the `${...}` it holds; keys may hold none."""
    for path, text in texts(value, below):
        try:
            references = compile_template(text).references
        except LanguageError as error:
            yield located.problem_inside(str(error), path, error.line, error.column)
            continue
        yield from _unreadable(located, path, text, references, view)
    for path in _rendered_keys(value, below):
        yield located.problem("a key is taken as it is; move ${...} to a value", *path, at_key=True)


def is_constant(value: object) -> bool:
    """Tell whether a value holds no `${...}` that is computed; True for what does not compile, too."""
    try:
        return compile_template(value).is_constant
    except LanguageError:
        return False


def fields_of(model: type[BaseModel]) -> Collection[str] | None:
    """Return the names an expression may read of a model's values; None when it takes any."""
    if model.model_config.get("extra") == "allow":
        return None
    fields = model.model_fields.items()
    names = {info.serialization_alias or info.alias or name for name, info in fields if not info.exclude}
    return names | set(model.model_computed_fields)


def _unreadable(
    located: Located[BaseModel], below: Path, text: str, references: Iterable[tuple[str, ...]], view: View
) -> Iterator[Problem]:
    for reference in sorted(references):
        found = _mistake(reference, view)
        if found is not None:
            length, message = found
            line, column = place(text, _offset(text, reference[:length]))
            yield located.problem_inside(message, below, line, column)


def _mistake(reference: tuple[str, ...], view: View) -> tuple[int, str] | None:
    """Return how many words of the path are needed to see the mistake, and the mistake; None when there is none."""
    root, *rest = reference
    if root == "secret":
        return (
            None
            if view.secrets
            else (1, f"secrets cannot be used in {view.where}, because it is shown to people")
        )
    if root not in view.names:
        return 1, f"{root!r} has no value in {view.where}; what can be read there: {_listed(view.names)}"
    if not rest:
        return None
    if root == "steps":
        return _step_mistake(rest, view)
    known = {"inputs": view.inputs, "vars": view.vars, "result": view.result}.get(root, FIELDS.get(root))
    if known is None or rest[0] in known:
        return None
    what = {"inputs": "input", "vars": "var"}.get(root, f"field of {root}")
    return (
        2,
        f"there is no {what} named {rest[0]!r}; there is: {_listed(known)}.{did_you_mean(rest[0], known)}",
    )


def _step_mistake(rest: list[str], view: View) -> tuple[int, str] | None:
    step = rest[0]
    if step not in view.steps:
        if step in view.later:
            return (
                2,
                f"step {step!r} has not ended when {view.where} is computed; only earlier steps can be read",
            )
        hint = did_you_mean(step, [*view.steps, *view.later])
        return 2, f"there is no step {step!r} before this; there is: {_listed(view.steps)}.{hint}"
    fields = view.steps[step]
    if fields is None or len(rest) == 1 or rest[1] in fields or rest[1] in STANDING:
        return None
    hint = did_you_mean(rest[1], fields)
    return (
        3,
        f"the result of step {step!r} has no {rest[1]!r}; it has: {_listed([*fields, *STANDING])}.{hint}",
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _offset(text: str, words: tuple[str, ...]) -> int:
    """Find where a path is written; where its first word is when it is written another way."""
    whole = text.find(".".join(words))
    return whole if whole >= 0 else max(text.find(words[0]), 0)


def _rendered_keys(value: object, path: Path) -> Iterator[Path]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if "${" in key:
                yield (*path, key)
            yield from _rendered_keys(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _rendered_keys(item, (*path, index))
