"""`runbookd actions`: what a playbook can call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from runbookd.cli.group import examples
from runbookd.cli.output import Column, fields, heading, output_option, print_json, table
from runbookd.cli.shared import Shared, pass_shared
from runbookd.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runbookd.actions.catalogue import Description


def action_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of the actions."""
    from runbookd.actions.catalogue import ActionCatalogue

    del ctx, param
    return [name for name in ActionCatalogue().names() if name.startswith(incomplete)]


@click.command(epilog=examples("runbookd actions", "runbookd actions http.request"))
@click.argument("name", required=False, shell_complete=action_names)
@output_option
@pass_shared
def actions(shared: Shared, name: str | None, output: str) -> None:
    """List the actions; or describe one: what it changes, how it is undone, its parameters, result and an example."""
    found = shared.catalogue().describe()
    if name is None:
        if output == "json":
            print_json([_shape(action) for action in found])
        else:
            _print_list(found)
        return
    action = next((action for action in found if action.name == name), None)
    if action is None:
        from runbookd.actions.catalogue import unknown

        raise NotFound(unknown(name, [action.name for action in found]))
    if output == "json":
        print_json(_shape(action))
    else:
        _print_one(action)


def _shape(action: Description) -> dict[str, object]:
    from runbookd.cli.shapes import noun

    return noun(action)


def _print_list(found: Sequence[Description]) -> None:
    rows = [
        [action.name, action.mutates, action.repeat, "yes" if action.undoable else "no", action.summary]
        for action in found
    ]
    columns = [
        Column("ACTION"),
        Column("CHANGES"),
        Column("REPEAT"),
        Column("UNDO"),
        Column("WHAT IT DOES", grow=True),
    ]
    table(columns, rows)


def _print_one(action: Description) -> None:
    from runbookd.model.durations import format_duration

    click.echo(f"{action.about.strip()}\n")
    fields(
        [
            ("changes", f"{action.mutates}{'' if action.mutates != 'depends' else ' on its parameters'}"),
            ("repeat", _REPEAT.get(action.repeat, action.repeat)),
            ("undo", action.undo),
            ("timeout", f"{format_duration(action.timeout)}, of one attempt, unless the step says otherwise"),
            ("permissions", "" if action.permissions else "none"),
        ]
    )
    _print_permissions(action.permissions)
    for title, model in (("Parameters (with:)", action.params), ("Result", action.result)):
        rows = list(_properties(model))
        if rows:
            heading(title)
            columns = [
                Column("NAME"),
                Column("TYPE", grow=True),
                Column("DEFAULT"),
                Column("MEANING", grow=True),
            ]
            table(columns, rows, indent=2)
    heading("Example")
    _print_yaml([{"action": action.name, "with": dict(action.example)}])


def _print_permissions(permissions: Sequence[Mapping[str, Any]]) -> None:
    """Print the rights on Kubernetes as a table of rules, those of any other system in its own form."""
    rules = [each["rule"] for each in permissions if each["system"] == "kubernetes"]
    if rules:
        heading("Permissions on Kubernetes (`runbookd rbac` prints the roles that your content needs)")
        columns = [
            Column("APIGROUPS"),
            Column("RESOURCES"),
            Column("VERBS", grow=True),
            Column("NAMES", grow=True),
        ]
        table([*columns, Column("WHERE"), Column("ONLY")], [_rule_row(rule) for rule in rules], indent=2)
    for each in permissions:
        if each["system"] != "kubernetes":
            heading(f"Permissions on {each['system']}")
            _print_yaml(each["rule"])


def _rule_row(rule: Mapping[str, Any]) -> list[str]:
    """One rule of a Role; `""` is the core API group, as in a Role."""
    if "kindFrom" in rule:
        of = f"of `{rule['kindFrom']}`"
        where = ["its kind's", of, ", ".join(rule["verbs"]), "any", "where that is"]
    else:
        where = [
            ", ".join(group or '""' for group in rule["apiGroups"]),
            ", ".join(rule["resources"]),
            ", ".join(rule["verbs"]),
            ", ".join(rule.get("resourceNames", ())) or "any",
            "namespace" if rule["namespaced"] else "cluster",
        ]
    return [*where, f"with `{rule['when']}`" if "when" in rule else "-"]


_REPEAT = {
    "safe": "safe: after a crash it is called again",
    "probe": "probe: after a crash it is asked whether it happened",
    "never": "never: after a crash a person decides",
    "depends": "depends on its parameters",
}


def _properties(model: Mapping[str, object]) -> Iterator[list[str]]:
    """One row per property of a JSON Schema."""
    properties, required = model.get("properties", {}), model.get("required", [])
    assert isinstance(properties, dict)  # noqa: S101 - pydantic's schemas are so
    assert isinstance(required, list)  # noqa: S101
    for name, schema in properties.items():
        default = "required" if name in required else json.dumps(schema.get("default"))
        yield [name, _type(schema), default, str(schema.get("description", ""))]


def _type(schema: Mapping[str, object]) -> str:
    """Say in a word or two what a schema takes."""
    if isinstance(each := schema.get("anyOf"), list):
        return " or ".join(dict.fromkeys(_type(one) for one in each))
    if isinstance(values := schema.get("enum"), list):
        return " | ".join(map(str, values))
    if isinstance(reference := schema.get("$ref"), str):
        return reference.rpartition("/")[2]
    if schema.get("type") == "array" and isinstance(items := schema.get("items"), dict):
        return f"list of {_type(items)}"
    kind = schema.get("type", "any")
    return kind if isinstance(kind, str) else "any"


def _print_yaml(value: object) -> None:
    """Print a value as it stands in a YAML file."""
    import yaml

    from runbookd.cli.shapes import plain

    for line in yaml.safe_dump(plain(value), sort_keys=False, allow_unicode=True, width=100).splitlines():
        click.echo(f"  {line}")
