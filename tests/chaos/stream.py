"""A stream of alerts through a real Alertmanager, and what must hold of it at the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import aiohttp

from tests.chaos.scene import Door, Report, Target, labels_of
from tests.servers import Alertmanager, eventually

Ask = Callable[..., Awaitable[list[dict[str, Any]]]]
"""Asks the database itself: rows of a statement."""


@dataclass
class Stream:
    """Hosts that break one after another; each is told to Alertmanager until it says that it heard."""

    alertmanager: Alertmanager
    target: Target
    dice: Random
    pause: float
    hosts: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    async def flow(self, over: asyncio.Event) -> None:
        """Break a host every so often, until it is over; one in five by what cannot be asked about."""
        while not over.is_set():
            host = f"h{len(self.hosts)}"
            kind = "throw" if self.dice.random() < 0.2 else "mend"
            self.hosts[host] = kind, datetime.now(UTC)
            await self._tell(host)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self.pause * self.dice.uniform(0.5, 1.5))

    async def resolve(self) -> None:
        """Every alert is over."""
        now = datetime.now(UTC)
        hosts = list(self.hosts)
        for first in range(0, len(hosts), 100):
            alerts = [self._alert(host) | {"endsAt": now.isoformat()} for host in hosts[first : first + 100]]
            await self.alertmanager.post_alerts(*alerts)

    async def _tell(self, host: str) -> None:
        with contextlib.suppress(aiohttp.ClientError):
            await self.alertmanager.post_alerts(self._alert(host))

    def _alert(self, host: str) -> dict[str, Any]:
        kind, began = self.hosts[host]
        return {"labels": labels_of(self.target.url, host, kind), "startsAt": began.isoformat()}


async def settled(ask: Ask, stream: Stream, within: float) -> None:
    """Return when every host's alert is known, nothing waits to be admitted, and no run goes on."""

    async def quiet() -> bool:
        (row,) = await ask(
            "SELECT (SELECT count(*) FROM deliveries WHERE state = 'pending') AS pending,"
            " (SELECT count(*) FROM runs WHERE state = 'running') AS running,"
            " (SELECT count(DISTINCT fingerprint) FROM alerts) AS known"
        )
        return row["known"] >= len(stream.hosts) and not row["pending"] and not row["running"]

    await eventually(quiet, within=within, every=0.25, what="every alert is known, and no run goes on")


async def resolved(ask: Ask, stream: Stream, within: float) -> None:
    """Tell the end of every alert, and return when it is heard."""
    await stream.resolve()

    async def over() -> bool:
        (row,) = await ask("SELECT count(*) AS open FROM alerts WHERE resolved_at IS NULL")
        return not row["open"]

    await eventually(over, within=within, every=0.25, what="every alert has resolved")


async def judge(report: Report, name: str, ask: Ask, stream: Stream, door: Door) -> None:
    """Count what was lost, made twice, left undone or left in silence."""
    deliveries = {row["id"]: row["state"] for row in await ask("SELECT id, state FROM deliveries")}
    runs = await ask("SELECT id, state, reason, mutated, incident_id, playbook FROM runs")
    told = {row["id"] for row in await ask("SELECT id FROM incidents WHERE escalated_at IS NOT NULL")}
    lost = [each for each in door.acknowledged if deliveries.get(each) != "admitted"]
    alone = [run["id"] for run in runs if run["state"] not in GOOD and run["incident_id"] not in told]
    alerts = await ask("SELECT fingerprint, count(*) AS episodes FROM alerts GROUP BY fingerprint")
    report.row(name, "alerts sent", len(stream.hosts))
    report.row(name, "deliveries acknowledged", len(door.acknowledged))
    report.row(name, "answers of the service", dict(sorted(door.statuses.items())))
    report.row(name, "mutating calls made", sum(stream.target.made.values()))
    report.row(name, "runs", dict(sorted(Counter(run["state"] for run in runs).items())))
    report.row(name, "of these in doubt, told to people", sum(run["reason"] == "in_doubt" for run in runs))
    report.nothing(name, "acknowledged deliveries lost", len(lost), lost[:5])
    report.nothing(name, "alerts without an episode, or with two", abs(len(alerts) - len(stream.hosts)))
    report.nothing(name, "mutating calls made twice", stream.target.twice)
    report.nothing(name, "runs that did not end", sum(run["state"] == "running" for run in runs))
    report.nothing(name, "alerts without a run, or with two", abs(len(runs) - len(stream.hosts)))
    report.nothing(name, "runs that ended badly and told nobody", len(alone), alone[:5])
    undone = [run["id"] for run in runs if run["state"] not in GOOD and run["reason"] != "in_doubt"]
    report.nothing(name, "runs that failed for another reason than doubt", len(undone), undone[:5])


GOOD = {"verified", "succeeded"}
