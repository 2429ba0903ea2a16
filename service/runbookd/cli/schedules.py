"""`runbookd schedules`: what runs by the clock, when next, and what became of the last time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from runbookd.cli.database import look
from runbookd.cli.group import examples
from runbookd.cli.in_force import in_force
from runbookd.cli.output import Column, moment, output_option, print_json, short, table
from runbookd.cli.shared import Shared, pass_shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbookd.model.run import Run
    from runbookd.model.schedule import Remembered, Schedule
    from runbookd.ports import Tx

_COLUMNS = [
    Column("SCHEDULE"),
    Column("PLAYBOOK", grow=True),
    Column("NEXT (UTC)"),
    Column("LAST (UTC)"),
    Column("BECAME", grow=True),
    Column("RUN"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the last time of one playbook. `run` is the newest there is, None for none.

    `waits` tells that the last time began none: it is not taken yet, or joined the run that was under way.
    """

    playbook: str
    run: Run | None
    waits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A schedule as it stands; `known` is None before a service has looked at it."""

    schedule: Schedule
    known: Remembered | None
    outcomes: Sequence[Outcome]


@click.command(epilog=examples("runbookd schedules", "runbookd schedules --output json | jq '.[].next_at'"))
@output_option
@pass_shared
def schedules(shared: Shared, output: str) -> None:
    """List the schedules: when each comes next, when it came last, and what became of it.

    Those of the content a service has in force, or had last; before any had, those of the files here.
    """
    library, now = in_force(shared), datetime.now(UTC)

    async def unit(tx: Tx) -> list[Standing]:
        return [await _standing(tx, schedule) for schedule in library.schedules.values()]

    found = look(shared, unit)
    if output == "json":
        print_json([_shape(one, now) for one in found])
        return
    table(_COLUMNS, [row for one in found for row in _rows(one, now)])
    if not found:
        click.echo("there are no schedules; write them under `schedules` in a file of the rules", err=True)


async def _standing(tx: Tx, schedule: Schedule) -> Standing:
    from runbookd.units.schedules import remembered

    outcomes = [await _outcome(tx, schedule, playbook) for playbook in schedule.run]
    return Standing(schedule=schedule, known=await remembered(tx, schedule.name), outcomes=outcomes)


async def _outcome(tx: Tx, schedule: Schedule, playbook: str) -> Outcome:
    from runbookd.stages.schedule import SOURCE, rule_name

    rule = rule_name(schedule.name, playbook)
    told = await tx.deliveries.events(1, {"source": SOURCE, "rule": rule, "status": "firing"})
    runs = await tx.runs.recent(1, {"rule": rule})
    run = runs[0] if runs else None
    waits = bool(told) and (run is None or run.alert_id != told[0].alert_id)
    return Outcome(playbook=playbook, run=run, waits=waits)


def _rows(one: Standing, now: datetime) -> list[list[str]]:
    last = one.known.last if one.known is not None else None
    return [
        [
            one.schedule.name,
            outcome.playbook,
            moment(_next(one.schedule, now)),
            moment(last),
            _became(one.known, outcome),
            short(outcome.run.id if outcome.run is not None else None),
        ]
        for outcome in one.outcomes
    ]


def _became(known: Remembered | None, outcome: Outcome) -> str:
    """Say what became of the last time, and of one missed since."""
    run = outcome.run
    if known is None:
        return "not looked at by a service yet"
    told = "-" if run is None else f"{run.state.value}{f' ({run.reason})' if run.reason else ''}"
    if outcome.waits and run is not None:
        told = f"joined a run, which is {told}" if not run.state.ended else f"{told}, that of a time before"
    if known.missed is not None and (known.last is None or known.missed > known.last):
        told += f"; missed since: {moment(known.missed)}"
    return told


def _next(schedule: Schedule, now: datetime) -> datetime | None:
    from runbookd.stages.schedule import next_firing

    return next_firing(schedule, now)


def _shape(one: Standing, now: datetime) -> dict[str, object]:
    from runbookd.cli.shapes import plain

    known = one.known
    return {
        "name": one.schedule.name,
        "cron": one.schedule.cron,
        "timezone": one.schedule.timezone,
        "next_at": plain(_next(one.schedule, now)),
        "last_at": plain(known.last if known is not None else None),
        "missed_at": plain(known.missed if known is not None else None),
        "playbooks": [_outcome_shape(outcome) for outcome in one.outcomes],
    }


def _outcome_shape(outcome: Outcome) -> dict[str, object]:
    run = outcome.run
    return {
        "playbook": outcome.playbook,
        "run": run.id if run is not None else None,
        "state": run.state.value if run is not None else None,
        "reason": run.reason if run is not None else None,
        "incident": run.incident_id if run is not None else None,
        "joined": outcome.waits,
    }
