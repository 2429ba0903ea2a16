"""Deadlines on the real clock: many pending incidents, some of their levels due each second, under a load of alerts.

A real `runbookd serve` on SQLite pages a webhook on loopback. In the middle it is killed (SIGKILL), stays away for
some seconds, and is started again on the same database. What was told is counted from the ledger, and what arrived
at the webhook.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.actions.webhook.signing import webhook_id
from runbookd.content.load import load
from runbookd.model.incident import Incident
from runbookd.ports import Tx
from runbookd.runtime.ids import Ulids
from runbookd.store.sqlite import open_sqlite
from runbookd.units.desk import Desk
from runbookd.units.escalation import begin_clocks
from tests.bench.bodies import alert, notification
from tests.bench.load import Connection, post
from tests.contract.actions.hands import serving
from tests.fakes.webhooks import Receiver
from tests.servers import answers, eventually, temporary_folder
from tests.service import Service

KEY = "whsec_" + "QUJD" * 8
DAY = timedelta(days=1)
NEXT = timedelta(seconds=5)
RULES = """
priorities:
  P1: {name: High, respond_within: 30d, escalation: calls}
  P3: {name: Low, respond_within: 4h}
escalations:
  calls:
    - {after: 24h, unless: acknowledged, page: ["webhook:pager"]}
    - {after: 24h5s, unless: acknowledged, page: ["webhook:pager"]}
    - {after: 30d, page: ["webhook:pager"]}
rules:
  - {name: seeded, match: [alertname="Seeded"], priority: P1}
  - {name: load, match: [alertname="Load"], priority: P3}
"""
_CHUNK = 500
_CONNECTIONS = 8
_LEAD = timedelta(seconds=6)
_EDGE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured: so many incidents pending, of which some a second have two levels due, `NEXT` apart.

    `steady` and `after` are seconds before and after the kill, `away` is how long the service is not there, `alerts`
    the load a second.
    """

    pending: int = 100_000
    per_second: float = 25.0
    steady: float = 60.0
    away: float = 10.0
    after: float = 40.0
    alerts: float = 200.0

    @property
    def due(self) -> int:
        """How many incidents have levels that are due while it is measured."""
        return min(self.pending, int(self.per_second * (self.steady + self.after)))


@dataclass(slots=True)
class Found:
    """What came of it. Before the kill: how many seconds late levels were decided upon, and their pages arrived.

    After it: how many levels were overdue when the service was there again, how many seconds later all of those were
    decided upon (`recovered`), and how many until pages were on time again, which is a second (`caught_up`).
    """

    levels: int = 0
    decided: list[float] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    overdue: int = 0
    collapsed: int = 0
    recovered: float = 0.0
    caught_up: float = 0.0
    missed: int = 0
    twice: int = 0
    pages: int = 0
    unsent: int = 0
    repeated: int = 0
    alerts: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class Pager:
    """A receiver of webhooks that notes when each message came first."""

    receiver: Receiver
    arrivals: dict[str, float] = field(default_factory=dict)

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Take one."""
        self.arrivals.setdefault(request.headers["webhook-id"], time.time())
        return await self.receiver.receive(request)


def plan() -> Plan:
    """The plan of this run: RUNBOOKD_DEADLINES says how many are pending."""
    return Plan(pending=int(os.environ.get("RUNBOOKD_DEADLINES", "100000")))


async def measure(given: Plan) -> Found:
    """Seed, run, kill, run again, and count."""
    found, pager = Found(), Pager(Receiver(keys=[KEY]))
    async with serving(pager.take) as url:
        with temporary_folder("deadlines") as name:
            service = _service(Path(name), url)
            base = await _seed(service, given)
            try:
                killed, back = await _run(service, given, base, found.alerts)
            finally:
                if service.running:
                    await service.stop(within=60)
            await _count(service, pager, killed, back, found)
    return found


def _service(folder: Path, url: str) -> Service:
    settings: Mapping[str, Any] = {
        "reload": False,
        "log_level": "ERROR",
        "actions": {"webhooks": {"pager": {"url": url, "signing_secret": "pager_key"}}},
    }
    return Service.at(folder, rules=RULES, playbooks={}, settings=settings, secrets={"pager_key": KEY})


async def _seed(service: Service, given: Plan) -> datetime:
    """Write the incidents as the service does, those that are due last; returns when the first may be due."""
    chance = random.Random(1)
    library = load(service.folder / "rules", service.folder / "playbooks", ActionCatalogue())
    desk = Desk.of(library, Ulids())
    store = await open_sqlite(service.database)
    numbers = iter(range(1 << 60))

    async def write(dues: Sequence[datetime]) -> None:
        async def unit(tx: Tx) -> None:
            for due in dues:
                number = next(numbers)
                opened = due - DAY
                incident = Incident(
                    id=desk.ids.new("inc"),
                    rule="seeded",
                    key=f'{{"number":{number}}}',
                    priority="P1",
                    title=f"Seeded incident {number}",
                    opened_at=opened,
                )
                await tx.incidents.save(incident)
                await begin_clocks(tx, desk, incident, opened, quiet=False)

        await store.write(unit)

    far = datetime.now(UTC) + timedelta(hours=1)
    await _each(write, [far + chance.random() * DAY for _ in range(given.pending - given.due)])
    base = datetime.now(UTC) + _LEAD + given.due * timedelta(milliseconds=3)
    window = timedelta(seconds=given.steady + given.after)
    await _each(write, [base + chance.random() * window for _ in range(given.due)])
    await store.close()
    return base


async def _each(write: Any, dues: Sequence[datetime]) -> None:
    for first in range(0, len(dues), _CHUNK):
        await write(dues[first : first + _CHUNK])


async def _run(
    service: Service, given: Plan, base: datetime, statuses: Counter[int]
) -> tuple[datetime, datetime]:
    """Let the service live through the plan; returns when it was killed, and when it was there again."""
    await _start(service)
    async with _load(service, given, statuses):
        await _until(base + timedelta(seconds=given.steady))
        await service.kill()
        killed = datetime.now(UTC)
        await asyncio.sleep(given.away)
        back = await _start(service)
        await _until(base + timedelta(seconds=given.steady + given.after) + NEXT + _EDGE)
        await eventually(lambda: _settled(service), within=120, every=0.5, what="everything due is done")
    return killed, back


async def _start(service: Service) -> datetime:
    """Start the service; returns when it was there."""
    await service.start(ready=False)
    try:
        await eventually(
            lambda: answers(f"{service.url}/healthz"), within=60, every=0.01, what="the service is there"
        )
    except AssertionError as error:
        error.add_note(service.log[-4000:])
        raise
    return datetime.now(UTC)


async def _until(at: datetime) -> None:
    await asyncio.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))


def _settled(service: Service) -> bool:
    now = time.time_ns() // 1000
    late = service.rows("SELECT 1 FROM levels WHERE state = 'pending' AND due_at < ? LIMIT 1", now)
    return not late and not service.rows(
        "SELECT 1 FROM messages WHERE state IN ('pending', 'sending') LIMIT 1"
    )


@asynccontextmanager
async def _load(service: Service, given: Plan, statuses: Counter[int]) -> AsyncIterator[None]:
    """Send alerts at a steady rate for the time of a block; 0 counts those that nobody took, while nobody was there."""
    numbers = iter(range(1 << 60))

    async def send() -> None:
        connection: Connection | None = None
        due = time.perf_counter()
        while True:
            due = max(due + _CONNECTIONS / given.alerts, time.perf_counter() - 1)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            body = notification([alert(next(numbers), "Load")])
            try:
                connection = connection or await Connection.open(service.port)
                statuses[await connection.send(post("/v1/hooks/alertmanager", body, service.token))] += 1
            except (OSError, asyncio.IncompleteReadError):
                statuses[0] += 1
                connection = None

    senders = [asyncio.create_task(send()) for _ in range(_CONNECTIONS)]
    try:
        yield
    finally:
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)


async def _count(service: Service, pager: Pager, killed: datetime, back: datetime, found: Found) -> None:
    """Count from the ledger what was told, and when; from the outbox and the pager what arrived."""
    store = await open_sqlite(service.database)
    settled: Counter[tuple[str, int]] = Counter()
    arrivals = _arrivals(service, pager)
    for what in ("level_fired", "level_collapsed"):
        entries = await store.read(lambda tx, what=what: tx.ledger.read(0, 1 << 30, {"what": what}))  # type: ignore[misc]
        for one in entries:
            level, due_at, at = one.entry.detail["level"], one.entry.detail["due_at"], one.entry.at
            assert isinstance(level, int)
            assert isinstance(due_at, datetime)
            settled[str(one.entry.incident_id), level] += 1
            found.collapsed += what == "level_collapsed"
            arrived = arrivals.get((str(one.entry.incident_id), level))
            if due_at < killed - _EDGE:
                found.decided.append((at - due_at).total_seconds())
                found.arrived += [] if arrived is None else [(arrived - due_at).total_seconds()]
                continue
            if due_at <= back:
                found.overdue += 1
                found.recovered = max(found.recovered, (at - back).total_seconds())
            if arrived is not None and arrived - due_at > _EDGE:
                found.caught_up = max(found.caught_up, (arrived - back).total_seconds())
    await store.close()
    due = service.rows("SELECT count(*) AS n FROM levels WHERE due_at < ?", time.time_ns() // 1000)[0]["n"]
    found.levels, found.missed = due, due - len(settled)
    found.twice = sum(count > 1 for count in settled.values())
    found.pages = len(pager.arrivals)
    found.unsent = sum(settled.values()) - found.collapsed - found.pages
    found.repeated = sum(count > 1 for count in pager.receiver.deliveries.values())


def _arrivals(service: Service, pager: Pager) -> dict[tuple[str, int], datetime]:
    """When the page of each level arrived, by incident and level."""
    found = {}
    for row in service.rows("SELECT key, incident_id, facts FROM messages"):
        level = int(str(json.loads(row["facts"])["reason"]).split(" ")[1])
        arrived = pager.arrivals.get(webhook_id(row["key"]))
        if arrived is not None:
            found[row["incident_id"], level] = datetime.fromtimestamp(arrived, UTC)
    return found


def bare(kind: str, given: Plan) -> list[float]:
    """The lateness of the bare limit, two deadlines for each of the plan's."""
    with temporary_folder("bare") as folder:
        numbers = (str(each) for each in (given.pending, given.per_second * 2, min(given.steady, 20.0)))
        command = [sys.executable, "-m", "tests.bench.bare_deadlines", kind, *numbers, f"{folder}/bare.db"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    late: list[float] = json.loads(done.stdout)
    return late


def share(seconds: Sequence[float], part: float) -> float:
    """The lateness that this part of them stays below, in milliseconds; 0 when there is none."""
    return 1000 * sorted(seconds)[int((len(seconds) - 1) * part)] if seconds else 0.0


def spread(seconds: Sequence[float]) -> str:
    """The median, the 99th percentile and the worst."""
    return " / ".join(f"{share(seconds, part):,.0f}" for part in (0.5, 0.99, 1.0))


def figures() -> Iterator[tuple[str, str, str, float | None]]:
    """Measure, and give lines for the table: what, the figure, the bare limit, and its share of ours (at p99)."""
    given = plan()
    timers, claims = bare("timers", given), bare("claims", given)
    found = asyncio.run(measure(given))
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    taken = found.alerts[202]
    refused = sum(found.alerts.values()) - taken - found.alerts[0]
    away = f"kill -9, {given.away:.0f} s away: {found.overdue} overdue levels decided within"
    yield f"{given.pending:,} incidents pending; load 1, 5, 15 min", load, "", None
    for what, ours, limit in (
        ("level due to decided, ms p50/p99/max", found.decided, claims),
        ("level due to page arrived, ms p50/p99/max", found.arrived, claims),
    ):
        part = share(limit, 0.99) / share(ours, 0.99) if ours else None
        yield f"{what} (n={len(ours):,})", spread(ours), spread(limit), part
    yield "  the limit of what is not durable, asyncio's timers", "", spread(timers), None
    yield f"  beside it {given.alerts:.0f} alerts/s, taken / refused", f"{taken:,} / {refused}", "", None
    yield away, f"{found.recovered:.1f} s", "", None
    yield "  pages on time again after", f"{found.caught_up:.1f} s", "", None
    yield f"{found.levels:,} levels due: missed / told twice", f"{found.missed} / {found.twice}", "", None
    yield "  taken into the page of a later level", f"{found.collapsed:,}", "", None
    yield (
        f"{found.pages:,} pages: not sent / again under one id",
        f"{found.unsent} / {found.repeated}",
        "",
        None,
    )
