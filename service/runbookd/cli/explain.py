"""`runbookd explain`: what would be done about an event, and why; and why not by every other rule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbookd.cli.group import examples
from runbookd.cli.output import Column, fields, heading, output_option, print_json, table
from runbookd.cli.shared import Shared, pass_shared

if TYPE_CHECKING:
    from collections.abc import Mapping

Shape = dict[str, Any]

_NEAREST = 5


@click.command(
    epilog=examples(
        "runbookd explain event.json",
        "runbookd events show 7f3k9x2b --output json | runbookd explain -",
        """echo '{"labels": {"alertname": "ShopErrorsHigh", "service": "shop"}}' | runbookd explain -""",
    )
)
@click.argument(
    "event",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="EVENT.json",
)
@click.option("--all", "every", is_flag=True, help="Show every rule, not only the nearest misses.")
@output_option
@pass_shared
def explain(shared: Shared, event: Path, output: str, *, every: bool) -> None:
    """Say which rule would take an event, what it would run with which inputs, and why not the other rules.

    The file holds an Alertmanager webhook body, one alert, or an event; `-` reads it from standard input. Nothing is
    called or written. Where the database is there, it is asked what the guards would say now.
    """
    from runbookd.cli.event_file import events_in
    from runbookd.cli.explained import explained

    found = explained(shared, events_in(event))
    if output == "json":
        print_json(found)
        return
    for number, each in enumerate(found):
        if number:
            click.echo("\n" + "-" * 60)
        _print(each, every=every)


def _print(found: Shape, *, every: bool) -> None:
    event = found["event"]
    fields(
        [
            ("event", f"{event['name']}, {event['status']}, from {event['source']}"),
            ("labels", "  ".join(f"{name}={value}" for name, value in event["labels"].items())),
            ("news", found["episode"] or ""),
        ]
    )
    for taken in found["taken"]:
        _print_taken(taken)
    if not found["taken"]:
        heading("No rule takes it")
        click.echo("  It would be kept with this reason, and nothing done.")
    _print_others(found, every=every)


def _print_taken(taken: Shape) -> None:
    heading(f"Rule {taken['rule']} takes it")
    incident = taken["incident"]
    key = incident["key"]
    limits = taken["limits"]
    fields(
        [
            ("written", taken["place"] or ""),
            ("incident", f"{incident['priority']}  {incident['title']}"),
            ("key", incident["error"] or "  ".join(f"{name}={value}" for name, value in (key or {}).items())),
            ("mode", taken["mode"]),
            ("limits", f"cooldown {limits['cooldown']}; runs: {', '.join(limits['runs'])}"),
            ("first", taken["for_count"] or ""),
            ("now", _now(taken["now"])),
        ],
        indent=2,
    )
    for number, rung in enumerate(taken["rungs"], start=1):
        _print_rung(number, rung)
    if not taken["rungs"]:
        click.echo("  It runs nothing: the incident opens, and its clocks start.")


def _now(answer: Mapping[str, str] | None) -> str:
    if answer is None:
        return ""
    return f"{answer['reason']}{': ' if answer['detail'] else ''}{answer['detail']}"


def _print_rung(number: int, rung: Shape) -> None:
    then = "First" if number == 1 else "If that does not help,"
    heading(f"  {then} playbook {rung['playbook']}")
    refusal = rung["refusal"]
    fields(
        [
            ("written", rung["place"] or ""),
            ("refused", f"{refusal['reason']}: {refusal['detail']}" if refusal else ""),
            ("target", rung["target"] or ""),
            ("inputs", "  ".join(f"{name}={_shown(value)}" for name, value in rung["inputs"].items())),
        ],
        indent=4,
    )
    columns = [Column("STEP"), Column(" "), Column("CALLS", grow=True), Column("IF", grow=True)]
    rows = [
        [step["path"], "!" if step["mutates"] else "", step["what"], step["note"]] for step in rung["steps"]
    ]
    table(columns, rows, indent=4)


def _print_others(found: Shape, *, every: bool) -> None:
    others = [each for each in found["rules"] if each["verdict"] != "matched"]
    if not every:
        others = sorted(others, key=lambda each: -each["held"])[:_NEAREST]
    if not others:
        return
    heading("Other rules" if every else "Other rules, the nearest first")
    columns = [Column("RULE"), Column("VERDICT"), Column("WHY", grow=True)]
    table(columns, [[each["rule"], each["verdict"], each["detail"]] for each in others], indent=2)
    left = len(found["rules"]) - len(found["taken"]) - len(others)
    if left > 0:
        click.echo(f"  and {left} more: --all shows them")


def _shown(value: object) -> str:
    from runbookd.cli.shapes import written

    return written(value)
