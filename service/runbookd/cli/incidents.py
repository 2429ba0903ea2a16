"""`runbookd incidents`: what is or was wrong, and what was done about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import click

from runbookd.cli.complete import incident_ids, rule_names
from runbookd.cli.database import find_incident, look
from runbookd.cli.group import ListGroup, examples
from runbookd.cli.output import (
    Column,
    fields,
    heading,
    length,
    limit_option,
    listed,
    moment,
    output_option,
    print_json,
    short,
    table,
)
from runbookd.cli.shared import Shared, pass_shared
from runbookd.language.names import person
from runbookd.model.reasons import Answer
from runbookd.stages.audit import merged
from runbookd.stages.holders import held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbookd.model.alert import Alert
    from runbookd.model.audit import Entry, LedgerEntry
    from runbookd.model.escalation import IncidentLevel, Message
    from runbookd.model.incident import Incident, IncidentClock
    from runbookd.model.run import Run
    from runbookd.ports import Tx
    from runbookd.reports.review_levels import Telling, Times

_EVENTS = 100
_ENTRIES = 1000
_SAID_ELSEWHERE = frozenset({Answer.DONE, Answer.NOT_ASKED, Answer.NOT_A_PERSON})
"""What the timeline leaves out: an act of a person has an entry of its own, and the others ask nothing of us."""


class Reached(NamedTuple):
    """Whom the incident reaches: its levels, and its messages."""

    levels: list[IncidentLevel]
    messages: list[Message]


@click.group(
    cls=ListGroup, epilog=examples("runbookd incidents --state open", "runbookd incidents show 7f3k9x2b")
)
def incidents() -> None:
    """List incidents, newest first; show one with its timeline. Without a command: list."""


@incidents.command("list")
@click.option("--state", type=click.Choice(["open", "resolved"]), help="Only those in this state.")
@click.option("--rule", metavar="NAME", shell_complete=rule_names, help="Only those of this rule.")
@click.option("--priority", metavar="NAME", help="Only those of this priority, such as P1.")
@limit_option(20)
@output_option
@pass_shared
def list_(
    shared: Shared, state: str | None, rule: str | None, priority: str | None, limit: int, output: str
) -> None:
    """List incidents, newest first."""
    wanted = {"state": state, "rule": rule, "priority": priority}
    filters = {name: value for name, value in wanted.items() if value is not None}

    async def unit(tx: Tx) -> list[Incident]:
        return await tx.incidents.recent(limit, filters)

    found = look(shared, unit)
    if output == "json":
        from runbookd.cli.shapes import incident_shape

        print_json([incident_shape(incident) for incident in found])
        return
    columns = [
        Column("ID"),
        Column("PRIORITY"),
        Column("STATE"),
        Column("OPENED (UTC)"),
        Column("LASTED", right=True),
        Column("TITLE", grow=True),
    ]
    now = datetime.now(UTC)
    table(columns, [_row(incident, now) for incident in found])
    if not found:
        click.echo("no incidents" if not filters else "no incidents like that", err=True)


@incidents.command()
@click.argument("incident_id", metavar="ID", shell_complete=incident_ids)
@output_option
@pass_shared
def show(shared: Shared, incident_id: str, output: str) -> None:
    """Show one incident: its clocks, alerts, runs and timeline.

    ID may be any part of at least 4 letters that the id begins or ends with.
    """

    async def unit(
        tx: Tx,
    ) -> tuple[Incident, Reached, list[IncidentClock], list[Alert], list[Run], list[LedgerEntry]]:
        incident = await find_incident(tx, incident_id)
        return (
            incident,
            Reached(await tx.levels.of(incident.id), await tx.messages.of(incident.id)),
            await tx.incidents.clocks(incident.id),
            await tx.alerts.of_incident(incident.id),
            await tx.runs.recent(_ENTRIES, {"incident_id": incident.id}),
            await _history(tx, incident),
        )

    incident, reached, clocks, alerts, runs, entries = look(shared, unit)
    if output == "json":
        from runbookd.cli.messages import shape as message_shape
        from runbookd.cli.shapes import entry_shape, incident_shape, noun, run_shape

        print_json(
            {
                **incident_shape(incident),
                "clocks": [noun(clock, "incident_id") for clock in clocks],
                "levels": [{**noun(level, "incident_id"), "number": level.place} for level in reached.levels],
                "messages": [message_shape(message) for message in reached.messages],
                "alerts": [noun(alert) for alert in alerts],
                "runs": [run_shape(run) for run in reversed(runs)],
                "timeline": [entry_shape(entry) for entry in entries],
            }
        )
        return
    now = datetime.now(UTC)
    _print_head(incident, [sealed.entry for sealed in entries], now)
    _print_clocks(clocks, now)
    _print_people(reached, [sealed.entry for sealed in entries], incident)
    _print_alerts(alerts)
    _print_runs(runs)
    told = [sealed for sealed in entries if sealed.entry.what not in _SAID_ELSEWHERE]
    if told:
        from runbookd.cli.timeline import timeline

        heading("Timeline")
        timeline(told, indent=2)


async def _history(tx: Tx, incident: Incident) -> list[LedgerEntry]:
    """Everything the ledger says of the incident, and of the events that belong to it, in order."""
    entries = await tx.ledger.recent(_ENTRIES, {"incident_id": incident.id})
    for event in await tx.deliveries.events(_EVENTS, {"incident_id": incident.id}):
        entries += await tx.ledger.recent(_ENTRIES, {"event_id": event.id})
    once = {(entry.chain, entry.seq): entry for entry in entries}
    return merged(once.values())


def _row(incident: Incident, now: datetime) -> list[str]:
    lasted = (incident.resolved_at or now) - incident.opened_at
    return [
        short(incident.id),
        incident.priority,
        incident.state.value,
        listed(incident.opened_at, now),
        length(lasted),
        incident.title,
    ]


def _print_head(incident: Incident, entries: Sequence[Entry], now: datetime) -> None:
    import json

    key = json.loads(incident.key)
    lasted = length((incident.resolved_at or now) - incident.opened_at)
    escalated = incident.escalated_at
    fields(
        [
            ("incident", incident.id),
            ("title", incident.title),
            ("state", f"{incident.state.value} ({lasted})"),
            ("priority", incident.priority),
            ("rule", incident.rule),
            ("key", ", ".join(f"{label}={value}" for label, value in key.items())),
            ("opened", f"{moment(incident.opened_at)} UTC"),
            ("resolved", f"{moment(incident.resolved_at)} UTC" if incident.resolved_at else ""),
            ("acknowledged", _acknowledged(incident, entries)),
            ("leads", _leads(incident, entries)),
            ("channel", f"#{incident.channel['name']}" if incident.channel else ""),
            ("escalated", f"{moment(escalated)} UTC  {incident.escalation_reason}" if escalated else ""),
        ]
    )


def _acknowledged(incident: Incident, entries: Sequence[Entry]) -> str:
    """Say who acknowledged it first and when; another may have taken it over since."""
    at = incident.acknowledged_at
    if at is None:
        return ""
    first = next((one.actor for one in entries if one.what == "person_acknowledge" and one.at == at), None)
    return f"{moment(at)} UTC  by {person(first or incident.acknowledged_by) or 'automation'}"


def _leads(incident: Incident, entries: Sequence[Entry]) -> str:
    """Say who has it, or had it at its end, and since when; who had it before them, if anybody."""
    having = held(entries)
    before = [f"{person(one.who)} until {moment(one.until)}" for one in having if one.until is not None]
    now = next((one for one in having if one.until is None), None)
    name = person(incident.assignee or incident.acknowledged_by)
    has_it = f"{person(now.who)}, since {moment(now.since)} UTC" if now is not None else name
    earlier = f"before: {', '.join(before)}" if before else ""
    return "  ".join(part for part in (has_it or (earlier and "nobody"), earlier) if part)


def _print_clocks(clocks: list[IncidentClock], now: datetime) -> None:
    if not clocks:
        return
    heading("Clocks")
    rows = [[clock.kind.value, standing(clock, now), moment(clock.due_at)] for clock in clocks]
    table([Column("CLOCK"), Column("STANDS", grow=True), Column("DUE (UTC)")], rows, indent=2)


def _print_people(reached: Reached, entries: Sequence[Entry], incident: Incident) -> None:
    """Print the escalation's levels, and the messages that went out or should have."""
    if reached.levels:
        from runbookd.reports.review_levels import times_of

        heading("Escalation")
        every = times_of(reached.levels, reached.messages, entries, incident)
        rows = [_level(level, times) for level, times in zip(reached.levels, every, strict=True)]
        columns = [
            Column("LEVEL"),
            Column("STANDS", grow=True),
            Column("DUE (UTC)"),
            Column("TOLD (UTC)"),
            Column("WHO", grow=True),
        ]
        table(columns, rows, indent=2)
    if reached.messages:
        from runbookd.cli import messages as outbox

        heading("Messages")
        now, names = datetime.now(UTC), outbox.channels_of([incident])
        table(outbox.COLUMNS, [outbox.row(message, now, names) for message in reached.messages], indent=2)


def _level(level: IncidentLevel, times: Times) -> list[str]:
    """A row for a level: how it stands, and when it was due and told; of several times the first and the last."""
    told = [f"{_unheard(one)}{moment(one.at)}{' by hand' * one.by_hand}" for one in times.told]
    return [
        str(level.place),
        level.state.value + (f" ({level.reason})" if level.reason else ""),
        (moment(times.due_at) if times.due_at else f"when {level.on_breach} is breached")
        + (f", due again at {moment(times.again_at)}" if times.again_at else ""),
        ", last ".join([*told[:1], *told[1:][-1:]]),
        ", ".join((*(f"page {one}" for one in level.page), *level.notify)),
    ]


def _unheard(one: Telling) -> str:
    """Say that a level was called and its pages reached nobody; empty for one that was told."""
    if one.only:
        return f"{', '.join(one.only)} alone, called at "
    return "not told, called at " if one.silent else ""


def standing(clock: IncidentClock, now: datetime) -> str:
    """Say how a clock stands at a time."""
    if clock.breached_at is not None:
        if clock.met_at is not None:
            return f"met {length(clock.met_at - clock.due_at)} late"
        return f"breached by {length(now - clock.due_at)}, and still not met"
    if clock.met_at is not None:
        return f"met with {length(clock.due_at - clock.met_at)} to spare"
    left = clock.due_at - now
    return f"running, {length(left)} left" if left.total_seconds() > 0 else f"due {length(-left)} ago"


def _print_alerts(alerts: list[Alert]) -> None:
    if not alerts:
        return
    heading("Alerts")
    columns = [
        Column("ID"),
        Column("STATE"),
        Column("STARTED (UTC)"),
        Column("ENDED (UTC)"),
        Column("TOLD", right=True),
        Column("ALERT", grow=True),
    ]
    rows = [
        [
            short(alert.id),
            "firing" if alert.resolved_at is None else "resolved",
            moment(alert.starts_at),
            moment(alert.ends_at),
            str(alert.received),
            labels_of(alert),
        ]
        for alert in alerts
    ]
    table(columns, rows, indent=2)


def labels_of(alert: Alert) -> str:
    """The alert's name and its other labels."""
    labels = [f"{name}={value}" for name, value in alert.event.labels.items() if name != "alertname"]
    return f"{alert.event.name}  {' '.join(labels)}".strip()


def _print_runs(runs: list[Run]) -> None:
    if not runs:
        return
    from runbookd.cli.runs import COLUMNS, row

    heading("Runs")
    table(COLUMNS, [row(run, datetime.now(UTC)) for run in reversed(runs)], indent=2)
