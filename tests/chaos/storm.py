"""A storm: ten thousand alerts over five hundred targets in one minute, in front of a budget of thirty runs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from tests.chaos import scene
from tests.chaos.one_process import asking
from tests.chaos.stream import Ask
from tests.servers import eventually
from tests.service import Service, notification, service

NAME = "storm"
BUDGET = 30
TARGETS = 500
ALERTS = 10_000
PER_DELIVERY = 10
CLOCKS = {
    "rules": """
  - name: promised
    match: [alertname="Promised"]
    priority: P0
""",
    "priorities": "  P0: {name: Critical, acknowledge_within: 5s}\n",
}
"""Alerts whose clock runs out in the middle of the storm: how late people hear of that is what the storm costs them."""
_LOOK_EVERY = 0.5


@dataclass
class Watched:
    """What was seen of the service while the storm went on."""

    memory: list[float] = field(default_factory=list)
    answers: dict[int, int] = field(default_factory=dict)
    slowest: float = 0.0
    bare: float = 0.0

    async def look(self, pid: int, over: asyncio.Event) -> None:
        """Note the resident memory, MiB, twice a second, and how late that is at most: all that a timer does here."""
        while not over.is_set():
            self.memory.append(resident_mib(pid))
            due = time.monotonic() + _LOOK_EVERY
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), _LOOK_EVERY)
            self.bare = max(self.bare, time.monotonic() - due)

    async def post(self, session: aiohttp.ClientSession, it: Service, body: dict[str, Any]) -> None:
        """Deliver until it is acknowledged, as senders do."""
        headers = {"Authorization": f"Bearer {it.token}"}
        while True:
            begun = time.monotonic()
            async with session.post(it.hook, json=body, headers=headers) as answer:
                self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
            self.slowest = max(self.slowest, time.monotonic() - begun)
            if answer.status == 202:
                return
            await asyncio.sleep(0.5)


def resident_mib(pid: int) -> float:
    """The resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def storm(report: scene.Report, dice: Random, *, seconds: float) -> None:
    """Let all come within so many seconds, evenly, on sixteen connections."""
    rules = scene.RULES.replace(
        "priorities:\n", f"{CLOCKS['rules'].lstrip(chr(10))}priorities:\n{CLOCKS['priorities']}"
    )
    settings = {"reload": False, "log_level": "WARNING", "reach": {"budget": BUDGET, "brake": 0}}
    async with (
        service(rules=rules, playbooks=scene.PLAYBOOKS, settings=settings) as it,
        scene.target(dice, slowest=0.05) as target,
    ):
        watched, over = Watched(), asyncio.Event()
        looking = asyncio.create_task(watched.look(it.pid, over))
        await _let_loose(it, target, watched, seconds)
        ask = asking(it)
        drained = time.monotonic()
        await eventually(lambda: _quiet(ask), within=180, every=0.5, what="the storm is over")
        drained = time.monotonic() - drained
        over.set()
        await looking
        await _judge(report, it, ask, target, watched)
        report.row(NAME, "seconds from its end to the last decision", round(drained, 1))


async def flood(report: scene.Report, *, bodies: int) -> None:
    """So many bodies of 4,500 alerts at once: what does not fit into memory hears 503, and is taken when sent again."""
    name = "flood of large bodies"
    settings = {"reload": False, "log_level": "ERROR"}
    labels = [{"alertname": "Nothing", "number": str(number), "pod": "x" * 200} for number in range(4500)]
    body = notification(*labels)
    async with service(rules=scene.RULES, playbooks=scene.PLAYBOOKS, settings=settings) as it:
        watched, over = Watched(), asyncio.Event()
        looking = asyncio.create_task(watched.look(it.pid, over))
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
            await asyncio.gather(*(watched.post(session, it, body) for _ in range(bodies)))
        over.set()
        await looking
        report.row(name, "bodies, MB in all", f"{bodies}, {len(str(body)) * bodies // 1_000_000}")
        report.row(name, "answers", watched.answers)
        most = max(watched.memory)
        report.row(name, "memory, MiB: at the start, most", [round(watched.memory[0]), round(most)])
        report.hold(name, "memory stays below 512 MiB", kept=most < 512, found=most)
        report.hold(name, "all are taken in the end", kept=watched.answers[202] == bodies)


async def _let_loose(it: Service, target: scene.Target, watched: Watched, seconds: float) -> None:
    """Send every delivery at its time; each alert is of one pod, so that a target's alerts are many."""
    bodies = []
    for first in range(0, ALERTS, PER_DELIVERY):
        labels = [
            {**scene.labels_of(target.url, f"t{number % TARGETS}", "mend"), "pod": str(number)}
            for number in range(first, first + PER_DELIVERY)
        ]
        bodies.append(notification(*labels))
    bodies[len(bodies) // 5] = notification({"alertname": "Promised"})
    begun, order = time.monotonic(), iter(list(enumerate(bodies)))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:

        async def send() -> None:
            for number, body in order:
                due = begun + seconds * number / len(bodies)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await watched.post(session, it, body)

        await asyncio.gather(*(send() for _ in range(16)))


async def _quiet(ask: Ask) -> bool:
    (row,) = await ask(
        "SELECT (SELECT count(*) FROM deliveries WHERE state = 'pending') AS pending,"
        " (SELECT count(*) FROM runs WHERE state = 'running') AS running,"
        " (SELECT count(*) FROM work WHERE kind = 'escalate') AS untold,"
        " (SELECT count(*) FROM clocks WHERE kind = 'acknowledge' AND breached_at IS NULL) AS clocks"
    )
    return not any(row.values())


async def _judge(report: scene.Report, it: Service, ask: Ask, target: scene.Target, watched: Watched) -> None:
    """What must hold of a storm."""
    events = (await ask("SELECT count(*) AS n FROM events WHERE outcome = 'new_alert'"))[0]["n"]
    runs = await ask("SELECT state, count(*) AS n FROM runs WHERE state <> 'refused' GROUP BY state")
    untold = await ask(
        "SELECT i.id FROM incidents AS i WHERE escalated_at IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM runs AS r WHERE r.incident_id = i.id AND r.state IN ('verified', 'succeeded'))"
    )
    late = await ask(
        "SELECT (i.escalated_at - c.due_at) / 1e6 AS seconds FROM clocks AS c"
        " JOIN incidents AS i ON i.id = c.incident_id WHERE c.kind = 'acknowledge'"
    )
    fewer = PER_DELIVERY - 1
    report.row(
        NAME,
        f"alerts sent: {ALERTS:,} less the {fewer} that the clock's delivery holds fewer",
        ALERTS - fewer,
    )
    report.row(NAME, "alerts taken in", events)
    report.row(NAME, "answers", watched.answers)
    report.row(NAME, "slowest answer, s", round(watched.slowest, 2))
    report.row(NAME, "runs that acted", {row["state"]: row["n"] for row in runs})
    report.hold(NAME, "every alert is decided", kept=events == ALERTS - PER_DELIVERY + 1, found=events)
    made = sum(target.made.values())
    report.hold(NAME, f"the budget of {BUDGET} holds exactly", kept=made == BUDGET, found=made)
    report.nothing(NAME, "mutating calls made twice", target.twice)
    report.nothing(NAME, "incidents neither mended nor told to people", len(untold))
    lateness = max(row["seconds"] for row in late)
    report.row(NAME, "a bare timer beside it was late by, s", round(watched.bare, 3))
    allowed = 1 + 10 * watched.bare
    held = "a clock in the storm is kept within 1 s and ten times what a bare timer is late"
    report.hold(NAME, held, kept=lateness <= allowed, found=lateness)
    report.row(NAME, "lateness of that clock, s", round(lateness, 3))
    half = len(watched.memory) // 2
    early, end = max(watched.memory[: max(half, 1)]), max(watched.memory)
    report.row(
        NAME,
        "memory, MiB: at the start, most in the first half, most",
        [round(x) for x in (watched.memory[0], early, end)],
    )
    report.hold(
        NAME,
        "memory is flat (the second half adds less than 40 MiB)",
        kept=end - early < 40,
        found=end - early,
    )
    ready = await it.cli_json("audit", "verify")
    report.hold(NAME, "the ledger verifies", kept=bool(ready["ok"]), found=ready)
