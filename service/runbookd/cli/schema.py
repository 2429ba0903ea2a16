"""`runbookd schema`: the JSON Schemas of the files an operator writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from runbookd.cli.group import examples
from runbookd.cli.output import print_json
from runbookd.cli.shared import Shared, pass_shared

KINDS = ("rules", "playbook", "settings")


@click.command(
    epilog=examples("runbookd schema --write schemas", "runbookd schema settings | jq .properties.web")
)
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.option(
    "--write",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write KIND.schema.json into this folder instead of printing.",
)
@pass_shared
def schema(shared: Shared, kind: str | None, folder: Path | None) -> None:
    """Print the JSON Schema (2020-12) of rules, of a playbook, or of the settings; without a kind, all by their names.

    An editor uses one when the file's first line says so:
    `# yaml-language-server: $schema=../schemas/rules.schema.json`.
    """
    found = {name: each for name, each in schemas(shared).items() if kind is None or name == kind}
    if folder is None:
        print_json(found[kind] if kind is not None else found)
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, each in found.items():
        file = folder / f"{name}.schema.json"
        file.write_text(json.dumps(each, indent=2) + "\n", encoding="utf-8")
        click.echo(str(file))


def schemas(shared: Shared) -> dict[str, Any]:
    """Return every schema by its kind."""
    from runbookd.content.schema import playbook_schema, rules_schema
    from runbookd.settings import Settings

    return {
        "rules": rules_schema(),
        "playbook": playbook_schema(shared.catalogue()),
        "settings": Settings.model_json_schema(by_alias=True),
    }
