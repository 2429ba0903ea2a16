"""`runbookd status`: how things stand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from runbookd.cli.check import counted
from runbookd.cli.database import database_of, look, told
from runbookd.cli.group import examples
from runbookd.cli.output import fields, length, moment, output_option, print_json
from runbookd.cli.shared import Shared, pass_shared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbookd.model.audit import LedgerEntry
    from runbookd.ports import Tx

_COUNTED = 10_000
_RECENT = 5000
_SEEN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What `status` tells. `content` is None when the latest entries do not name it; `paused` is None when not."""

    paused: Mapping[str, str] | None
    incidents: Mapping[str, int]
    running: int
    alerts: int
    queue: tuple[int, datetime | None]
    overdue: tuple[int, datetime | None]
    entries: int
    head: LedgerEntry | None
    started: LedgerEntry | None
    content: str | None


@click.command(epilog=examples("runbookd status --output json | jq .paused"))
@output_option
@pass_shared
def status(shared: Shared, output: str) -> None:
    """Say how things stand: the pause, open incidents, running runs, the queue, the content, the ledger."""
    now = datetime.now(UTC)

    async def unit(tx: Tx) -> Standing:
        return await _standing(tx, now)

    found = look(shared, unit)
    if output == "json":
        print_json(_shape(found, told(database_of(shared))))
        return
    fields(_told(found, now, told(database_of(shared))))


async def _standing(tx: Tx, now: datetime) -> Standing:
    from runbookd.units.desk import PAUSED

    paused = await tx.switches.get(PAUSED)
    priorities: dict[str, int] = {}
    for incident in await tx.incidents.recent(_COUNTED, {"state": "open"}):
        priorities[incident.priority] = priorities.get(incident.priority, 0) + 1
    recent = await tx.ledger.recent(_RECENT, {})
    loads = [entry for entry in recent if entry.entry.what in {"started", "reloaded"}]
    return Standing(
        paused=None if paused is None else json.loads(paused),
        incidents=dict(sorted(priorities.items())),
        running=len(await tx.runs.recent(_COUNTED, {"state": "running"})),
        alerts=await tx.alerts.open_count(),
        queue=await tx.deliveries.pending(),
        overdue=await tx.work.overdue(now),
        entries=sum(head.seq for head in await tx.ledger.heads()),
        head=recent[-1] if recent else None,
        started=next((entry for entry in reversed(loads) if entry.entry.what == "started"), None),
        content=str(loads[-1].entry.detail.get("content")) if loads else None,
    )


def _told(found: Standing, now: datetime, database: str) -> list[tuple[str, str]]:
    """The lines for people."""
    total = sum(found.incidents.values())
    by_priority = ", ".join(f"{count} {priority}" for priority, count in found.incidents.items())
    late, due = found.overdue
    return [
        ("database", database),
        ("acting", _acting(found)),
        ("incidents", f"{total} open{f' ({by_priority})' if total else ''}"),
        ("alerts", f"{found.alerts} firing"),
        ("runs", f"{found.running} running"),
        ("queue", _queue(found, now)),
        ("overdue", f"{counted(late, 'row')} of work{f', the oldest by {length(now - due)}' if due else ''}"),
        ("content", found.content[:16] if found.content else "unknown: no service has started lately"),
        ("service", _last_start(found)),
        ("ledger", _last_entry(found, now)),
    ]


def _acting(found: Standing) -> str:
    paused = found.paused
    if paused is None:
        return "ok, not paused"
    since = moment(datetime.fromisoformat(paused["at"]))
    return f"paused since {since} UTC by {paused['by']}: {paused['reason']}"


def _queue(found: Standing, now: datetime) -> str:
    waiting, oldest = found.queue
    since = f", the oldest for {length(now - oldest)}" if oldest is not None else ""
    return f"{counted(waiting, 'delivery', 'deliveries')} waiting{since}"


def _last_start(found: Standing) -> str:
    if found.started is None:
        return "not started lately"
    entry = found.started.entry
    version, where, mode = (entry.detail.get(name) for name in ("version", "replica", "mode"))
    return f"{version} started {moment(entry.at)} UTC on {where}, mode {mode}"


def _last_entry(found: Standing, now: datetime) -> str:
    if found.head is None:
        return "empty"
    count = counted(found.entries, "entry", "entries")
    return f"{count}, the last {length(now - found.head.entry.at)} ago, head {found.head.hash[:16]}"


def _shape(found: Standing, database: str) -> dict[str, object]:
    from runbookd.cli.shapes import entry_shape, plain

    return {
        "database": database,
        "paused": found.paused,
        "open_incidents": found.incidents,
        "firing_alerts": found.alerts,
        "running_runs": found.running,
        "queue": {"deliveries": found.queue[0], "oldest": plain(found.queue[1])},
        "overdue": {"rows": found.overdue[0], "oldest": plain(found.overdue[1])},
        "content": found.content,
        "started": entry_shape(found.started) if found.started else None,
        "entries": found.entries,
        "head": {"chain": found.head.chain, "seq": found.head.seq, "hash": found.head.hash}
        if found.head
        else None,
    }
