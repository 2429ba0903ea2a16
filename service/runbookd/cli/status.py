"""`runbookd status`: how things stand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from runbookd.cli.check import counted
from runbookd.cli.database import database_of, look, told
from runbookd.cli.group import examples
from runbookd.cli.output import age, fields, moment, output_option, print_json
from runbookd.cli.shared import Shared, pass_shared
from runbookd.language.names import person

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbookd.model.audit import LedgerEntry
    from runbookd.ports import Tx
    from runbookd.runtime.presence import Service
    from runbookd.stages.plan import Reach

_COUNTED = 10_000
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What `status` tells. `paused` is None when it is not; `services` are those of the last days, latest first.

    `bounds` is how much of the budget and the storm brake is used. `archiving` is what stands in the way of archives
    of the ledger; None when nothing does.

    `messages` are those on their way, with when the oldest was made; `unsent` counts those of the last day that failed.
    """

    paused: Mapping[str, str] | None
    incidents: Mapping[str, int]
    held: Sequence[str]
    running: int
    alerts: int
    queue: tuple[int, datetime | None]
    overdue: tuple[int, datetime | None]
    dead: tuple[int, datetime | None]
    messages: tuple[int, datetime | None]
    unsent: int
    entries: int
    bounds: Mapping[str, Any]
    archiving: Mapping[str, str] | None
    head: LedgerEntry | None
    services: Sequence[Service]

    def shown(self, now: datetime) -> Sequence[Service]:
        """The services that run; when none does, the one that was seen last."""
        return [one for one in self.services if one.runs(now)] or self.services[:1]


@click.command(epilog=examples("runbookd status --output json | jq .paused"))
@output_option
@pass_shared
def status(shared: Shared, output: str) -> None:
    """Say how things stand: the pause, open incidents, runs, the queue, the services, their content, the ledger."""
    now, reach = datetime.now(UTC), shared.settings().reach.bounds()

    async def unit(tx: Tx) -> Standing:
        return await _standing(tx, reach, now)

    found = look(shared, unit)
    if output == "json":
        print_json(_shape(found, now, told(database_of(shared))))
        return
    fields(_told(found, now, told(database_of(shared))))


async def _standing(tx: Tx, reach: Reach, now: datetime) -> Standing:
    from runbookd.runtime.presence import services
    from runbookd.runtime.retention import ARCHIVING
    from runbookd.units.desk import PAUSED
    from runbookd.units.pausing import bounds_now

    paused, archiving = await tx.switches.get(PAUSED), await tx.switches.get(ARCHIVING)
    priorities: dict[str, int] = {}
    for incident in await tx.incidents.recent(_COUNTED, {"state": "open"}):
        priorities[incident.priority] = priorities.get(incident.priority, 0) + 1
    recent = await tx.ledger.recent(1, {})
    return Standing(
        paused=None if paused is None else json.loads(paused),
        incidents=dict(sorted(priorities.items())),
        held=sorted({hold.target for hold in await tx.runs.holds()}),
        running=len(await tx.runs.recent(_COUNTED, {"state": "running"})),
        alerts=await tx.alerts.open_count(),
        queue=await tx.deliveries.pending(),
        overdue=await tx.work.overdue(now),
        dead=await tx.deliveries.dead(),
        messages=await tx.messages.unsettled(),
        unsent=sum(
            one.created_at > now - _DAY for one in await tx.messages.recent(_COUNTED, {"state": "failed"})
        ),
        archiving=None if archiving is None else json.loads(archiving),
        bounds=await bounds_now(tx, reach, now),
        entries=sum(head.seq for head in await tx.ledger.heads()),
        head=recent[-1] if recent else None,
        services=await services(tx),
    )


def _told(found: Standing, now: datetime, database: str) -> list[tuple[str, str]]:
    """The lines for people."""
    total = sum(found.incidents.values())
    by_priority = ", ".join(f"{count} {priority}" for priority, count in found.incidents.items())
    late, due = found.overdue
    return [
        ("database", database),
        ("acting", _acting(found)),
        ("bounds", _bounds(found.bounds)),
        ("incidents", f"{total} open{f' ({by_priority})' if total else ''}"),
        ("alerts", f"{found.alerts} firing"),
        ("runs", f"{found.running} running"),
        *((("held", f"{', '.join(found.held)}: `runbookd holds`"),) if found.held else ()),
        ("queue", _queue(found, now)),
        ("overdue", f"{counted(late, 'row')} of work{f', the oldest by {age(due, now)}' if due else ''}"),
        ("dead letters", _dead(found, now)),
        ("messages", _messages(found, now)),
        *_services(found, now),
        ("ledger", _last_entry(found, now)),
        *((("archives", _archiving(found.archiving)),) if found.archiving is not None else ()),
    ]


def _acting(found: Standing) -> str:
    paused = found.paused
    if paused is None:
        return "ok, not paused"
    since = moment(datetime.fromisoformat(paused["at"]))
    return f"paused since {since} UTC by {person(paused['by'])}: {paused['reason']}"


def _bounds(bounds: Mapping[str, Any]) -> str:
    """How much of what all rules may do together is used, by the settings of whoever asks."""
    budget, brake = bounds["budget"], bounds["brake"]
    used = f"{budget['used']} of {budget['runs']} runs that act used in {budget['window']}"
    return (
        f"{used}; {brake['used']} of {brake['runs']} in {brake['window']} that pull the brake"
        if brake["runs"]
        else used
    )


def _queue(found: Standing, now: datetime) -> str:
    waiting, oldest = found.queue
    since = f", the oldest for {age(oldest, now)}" if oldest is not None else ""
    return f"{counted(waiting, 'delivery', 'deliveries')} waiting{since}"


def _dead(found: Standing, now: datetime) -> str:
    count, newest = found.dead
    if newest is None:
        return "none"
    last = f"the last {age(newest, now)} ago"
    return f"{counted(count, 'dead letter')}, {last}: `runbookd events --dead-letters`"


def _messages(found: Standing, now: datetime) -> str:
    waiting, oldest = found.messages
    since = f", the oldest for {age(oldest, now)}" if oldest is not None else ""
    look_at = ": `runbookd messages --state failed`" if found.unsent else ""
    return f"{waiting} on their way{since}, {found.unsent} failed in the last day{look_at}"


def _services(found: Standing, now: datetime) -> list[tuple[str, str]]:
    """Lines about the services: what runs on which content, and a reload that was refused."""
    shown = found.shown(now)
    if not shown:
        return [("service", "none has told of itself in the last days")]
    contents = dict.fromkeys(one.content[:16] for one in shown)
    problems = dict.fromkeys(one.refused for one in shown if one.refused and one.stopped_at is None)
    return [
        *(("service", _service(one, now)) for one in shown),
        *(("content", content) for content in contents),
        *(("reload", f"refused, the content above goes on: {problem}") for problem in problems),
    ]


def _service(one: Service, now: datetime) -> str:
    who = f"{one.version} on {one.name}"
    if one.stopped_at is not None:
        return f"stopped {age(one.stopped_at, now)} ago: {who}"
    if not one.runs(now):
        return f"not seen for {age(one.last_seen, now)}: {who}"
    return f"running since {moment(one.started_at)} UTC: {who}, mode {one.mode}, at {one.address}"


def _last_entry(found: Standing, now: datetime) -> str:
    if found.head is None:
        return "empty"
    count = counted(found.entries, "entry", "entries")
    return f"{count}, the last {age(found.head.entry.at, now)} ago, head {found.head.hash[:16]}"


def _archiving(failing: Mapping[str, str]) -> str:
    since = moment(datetime.fromisoformat(failing["since"]))
    return f"cannot be written since {since} UTC, nothing is taken from the ledger: {failing['error']}"


def _shape(found: Standing, now: datetime, database: str) -> dict[str, object]:
    from runbookd.cli.shapes import plain

    shown = found.shown(now)

    return {
        "database": database,
        "paused": found.paused,
        "budget": found.bounds["budget"],
        "brake": found.bounds["brake"],
        "open_incidents": found.incidents,
        "firing_alerts": found.alerts,
        "running_runs": found.running,
        "held_targets": found.held,
        "queue": {"deliveries": found.queue[0], "oldest": plain(found.queue[1])},
        "overdue": {"rows": found.overdue[0], "oldest": plain(found.overdue[1])},
        "dead_letters": {"deliveries": found.dead[0], "newest": plain(found.dead[1])},
        "messages": {
            "waiting": found.messages[0],
            "oldest": plain(found.messages[1]),
            "failed_last_day": found.unsent,
        },
        "content": shown[0].content if shown else None,
        "services": [{**one.model_dump(mode="json"), "running": one.runs(now)} for one in found.services],
        "entries": found.entries,
        "archiving": found.archiving,
        "head": {"chain": found.head.chain, "seq": found.head.seq, "hash": found.head.hash}
        if found.head
        else None,
    }
