"""The reference and the schemas are what the code makes of them, and leave nothing out.

A page that is not current is mended by `make docs`.
"""

from __future__ import annotations

import json
import re
from functools import cache

import click
import pytest
from pydantic import BaseModel

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.cli.main import cli as runbookd
from runbookd.settings import Settings
from tests.architecture.tree import PACKAGE, ROOT, listing, modules, place
from tools.docs import REFERENCE, cli, errors, http, metrics, models, pages, settings
from tools.docs.__main__ import GENERATED
from tools.docs.models import Place

made = cache(pages)

HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
METRIC = re.compile(r'"(runbookd_[a-z_]+)"')


def reference(name: str) -> str:
    """The text of a page of the reference."""
    return made()[f"docs/reference/{name}.md"]


def test_every_generated_file_is_current() -> None:
    """What `make docs` would write is what stands in the repository, and nothing else stands beside it."""
    there = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in GENERATED
        for path in (ROOT / folder).glob("*")
    }
    stale = sorted(name for name in there.keys() | made().keys() if there.get(name) != made().get(name))
    assert not stale, f"run `make docs`; not current: {', '.join(stale)}"


def test_the_same_code_makes_the_same_files() -> None:
    """Making the files again gives the same bytes."""
    assert pages() == made()


@pytest.mark.parametrize("name", sorted(f"docs/reference/{name}.md" for name in REFERENCE))
def test_no_heading_stands_twice(name: str) -> None:
    """Each heading of a page has an anchor of its own, so every link leads to one place."""
    headings = HEADING.findall(re.sub(r"^```.*?^```", "", made()[name], flags=re.MULTILINE | re.DOTALL))
    assert len(headings) == len(set(headings))


def test_every_action_is_documented() -> None:
    """Each action of the catalogue has its section."""
    names = ActionCatalogue().names()
    assert names
    missing = [name for name in names if f"\n### {name}\n" not in reference("actions")]
    assert not missing, listing(missing)


def test_every_setting_is_documented() -> None:
    """Each setting, however deep, has its row, and its variable where it has one."""
    missing = []
    for each in models.places(Place("", Settings)):
        for name in each.model.model_fields:
            variable = settings.variable(each, name)
            row = f"| `{name}` | `{variable}` |" if variable else f"| `{name}` |  |"
            if row not in reference("settings"):
                missing.append(f"{each.path}.{name}")
    assert not missing, listing(missing)


def test_a_variable_of_the_page_sets_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable named for a nested setting is the one that is read."""
    monkeypatch.setenv(settings.variable(Place("actions.http", BaseModel), "max_body"), "5")
    assert Settings().actions.http.max_body == 5


def test_every_error_is_documented() -> None:
    """Each class of errors has its section and an explanation, wherever in the package it is defined."""
    found = errors.errors()
    assert len(found) > 10
    missing = [
        f"{each.module}: {each.name}"
        for each in found
        if not each.about or f"\n### {each.name}\n" not in reference("errors")
    ]
    assert not missing, listing(missing)


def test_every_metric_is_documented() -> None:
    """Each metric named anywhere in the package is registered where the page looks, and has a meaning."""
    known = {each.name.removesuffix("_total") for each in metrics.registered()}
    named = {
        (name, place(path, 1))
        for path in modules(PACKAGE)
        for name in METRIC.findall(path.read_text(encoding="utf-8"))
    }
    missing = [f"{where}: {name}" for name, where in sorted(named) if name not in known]
    assert not missing, listing(missing)
    assert all(each.about for each in metrics.registered())


def test_every_command_and_flag_is_documented() -> None:
    """Each command and each of its options is in the page; options say what they do."""
    missing = []
    for context in cli.contexts(runbookd, "runbookd", None):
        section = reference("cli").partition(f"\n## {context.command_path}\n")[2].partition("\n## ")[0]
        missing += [context.command_path] if not section else []
        for parameter in context.command.get_params(context):
            if isinstance(parameter, click.Option) and not parameter.hidden:
                missing += [
                    f"{context.command_path} {flag}"
                    for flag in parameter.opts
                    if flag not in section or not parameter.help
                ]
    assert not missing, listing(missing)


def test_every_address_is_documented() -> None:
    """Each route of the HTTP door is in the page, with what answers there."""
    assert http.routes()
    missing = [
        http.address(route)
        for route in http.routes()
        if not route.handler.__doc__ or f"| `{http.address(route)}` |" not in reference("http")
    ]
    assert not missing, listing(missing)


@pytest.mark.parametrize("name", ["schemas/rules.schema.json", "schemas/playbook.schema.json"])
def test_a_schema_names_its_dialect(name: str) -> None:
    """A schema is JSON that says which JSON Schema it is written in."""
    assert json.loads(made()[name])["$schema"] == "https://json-schema.org/draft/2020-12/schema"
