"""`docs/reference/actions.md`: every action of the catalogue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import yaml
from pydantic import BaseModel

from runbookd.actions.catalogue import ActionCatalogue, Description
from runbookd.model.action import Repeat
from runbookd.model.durations import format_duration
from tools.docs import models
from tools.docs.markdown import anchor, block, code, prose, table
from tools.docs.markdown import page as make_page
from tools.docs.models import Place

_INTRO = f"""What a playbook can call. `runbookd actions` prints the same of an installation, with what other packages
added.

*Changes* tells whether a call changes anything; `depends` means that the parameters, or the settings, decide. *Repeat*
tells what a crash between the call and its answer allows: {", ".join(code(each.value) for each in Repeat)}. [Called
twice](../decisions/0006-called-twice.md) says what is then done."""


def page() -> str:
    """Make the page."""
    catalogue = ActionCatalogue()
    described = catalogue.describe()
    summary = table(
        ("action", "changes", "repeat", "undo", "what it does"),
        [
            [
                f"[{each.name}](#{anchor(each.name)})",
                each.mutates,
                each.repeat,
                "yes" if each.undoable else "no",
                each.summary,
            ]
            for each in described
        ],
    )
    parts = [_INTRO, summary]
    for provider, actions in groupby(described, key=lambda each: each.name.partition(".")[0]):
        parts.append(f"## {provider}")
        for each in actions:
            parts += _action(each, catalogue)
    return make_page("Actions", ["service/runbookd/actions/"], *parts)


def _action(each: Description, catalogue: ActionCatalogue) -> Iterator[str]:
    yield f"### {each.name}"
    yield each.summary
    yield _about(each)
    facts = [
        ["changes anything", each.mutates],
        ["after a crash", each.repeat],
        ["undo", each.undo],
        ["time for one attempt", format_duration(each.timeout)],
        ["permissions", "; ".join(_permission(one) for one in each.permissions) or "none"],
    ]
    yield table(("", ""), facts)
    yield from _model(each.name, "with", catalogue.params(each.name))
    step = {"action": each.name, "with": dict(each.example)}
    yield block(yaml.safe_dump([step], sort_keys=False, allow_unicode=True, width=100), "yaml")
    yield from _model(each.name, "result", catalogue.result(each.name))


def _about(each: Description) -> str:
    """Return the text of the action's file after its first line, which is the summary again."""
    return prose(each.about).partition("\n\n")[2]


def _permission(permission: Mapping[str, Any]) -> str:
    """Say a right in the words of its system; one of a form that is not known here as JSON."""
    system, rule = permission["system"], permission["rule"]
    if not {"verbs", "resources"} <= rule.keys():
        return f"{system}: {code(json.dumps(rule, ensure_ascii=False))}"
    groups = [f".{group}" if group else "" for group in rule.get("apiGroups", [""])]
    things = ", ".join(code(name + group) for name in rule["resources"] for group in groups)
    everywhere = "" if rule.get("namespaced", True) else " in the whole cluster"
    return f"{system}: {', '.join(rule['verbs'])} {things}{everywhere}"


def _model(action: str, path: str, model: type[BaseModel]) -> Iterator[str]:
    """Make the tables of a model and of the models in it; one without keys is said to be empty."""
    prefix = f"{action}: "
    known = models.places(Place(path, model))
    for place in known:
        rows = models.rows(place, known, prefix=prefix)
        yield f"#### {prefix}{place.path}"
        yield prose(place.model.__doc__)
        if path == "result":  # what is there is there; only what is written has defaults
            yield table(
                ("key", "type", "meaning"), [[name, kind, meaning] for name, kind, _, meaning in rows]
            )
        elif rows:
            yield table(models.HEAD, rows)
