"""Three replicas on one Postgres: killed, stopped and woken, cut off, their database restarted, one clock wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from tests.acceptance.nursery import Mortal, nursery
from tests.chaos import scene
from tests.chaos.one_process import SETTINGS
from tests.chaos.stream import Ask, Stream, judge, resolved, settled
from tests.postgres import PostgresServer, postgres_server
from tests.postgres_proxy import Proxy, proxy
from tests.servers import Alertmanager, alertmanager, temporary_folder

NAME = "three replicas, Postgres"
LEASE = 2.0
MINUTES_OFF = {"b": -4, "c": 7}
"""How far the clocks of two machines are wrong."""
BLOWS = {"kill -9": 8, "SIGSTOP": 6, "connections cut": 5, "Postgres restarted": 1}
"""What is dealt, and how often beside the others."""
WATCHING = (
    "CREATE TABLE journal_writes (replica TEXT, holder TEXT)",
    """
    CREATE FUNCTION note_journal_write() RETURNS TRIGGER LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO journal_writes SELECT
            substr(current_setting('application_name'), length('runbookd ') + 1),
            (SELECT split_part(owner, '/', 1) FROM work WHERE kind = 'advance' AND ref = NEW.run_id);
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER note AFTER INSERT OR UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION note_journal_write()",
)
"""Lets the database note of every write to a run's journal who made it, and who held the run at that moment."""


@dataclass
class Cluster:
    """The replicas, the wire of each to the database, and the chances."""

    server: PostgresServer
    replicas: dict[str, Mortal]
    wires: dict[str, Proxy]
    dice: Random
    done: Counter[str]
    restarted: list[str] = field(default_factory=list)
    down: set[int] = field(default_factory=set)
    overslept: int = 0

    async def supervise(self, over: asyncio.Event) -> None:
        """Start again what ended by itself, as a supervisor does; why it ended is kept."""
        while not over.is_set():
            for it in self.replicas.values():
                if not it.running and it.port not in self.down:
                    self.restarted.append(it.log[-400:])
                    await it.start(ready=False)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 0.5)

    def one(self) -> Mortal:
        """Any of them."""
        return self.replicas[self.dice.choice(sorted(self.replicas))]

    async def kill(self) -> None:
        """One dies, and is born again after up to twice the lease."""
        it = self.one()
        self.down.add(it.port)
        await it.kill()
        await asyncio.sleep(self.dice.choice([0.0, self.dice.uniform(0, 2 * LEASE)]))
        await it.start(ready=False)
        self.down.discard(it.port)

    async def stall(self) -> None:
        """One stands still, every other time for longer than its lease, and wakes up."""
        pid = self.one().pid
        with contextlib.suppress(ProcessLookupError):  # it ended by itself, and is not started again yet
            os.kill(pid, signal.SIGSTOP)
            seconds = self.dice.choice([self.dice.uniform(0.2, LEASE), self.dice.uniform(LEASE, 2 * LEASE)])
            await asyncio.sleep(seconds)
            os.kill(pid, signal.SIGCONT)
            self.overslept += seconds > LEASE

    async def cut(self) -> None:
        """Every connection of one to the database breaks, and for a while there is no other."""
        wire = self.wires[self.dice.choice(sorted(self.wires))]
        wire.open = False
        wire.cut()
        await asyncio.sleep(self.dice.choice([0.0, self.dice.uniform(0, LEASE)]))
        wire.open = True

    async def restart(self) -> None:
        """The database goes away at once, with every connection, and comes back."""
        control = [str(self.server.programs / "pg_ctl"), "-D", str(self.server.folder), "-w"]
        await _run(*control, "-m", "immediate", "restart", "-l", "/dev/null", owner=self.server.folder)

    async def deal(self, blow: str) -> None:
        """Deal one blow."""
        self.done[blow] += 1
        deals = {
            "kill -9": self.kill,
            "SIGSTOP": self.stall,
            "connections cut": self.cut,
            "Postgres restarted": self.restart,
        }
        await deals[blow]()


def _owner_of(folder: Path) -> tuple[int | None, int | None]:
    """Whose it is, where this process may become that; else None: this process is who it is."""
    owned = folder.stat()
    return (owned.st_uid, owned.st_gid) if os.geteuid() == 0 else (None, None)


async def _run(*command: str, owner: Path) -> None:
    """Run a program of the database as the user who owns its data: it refuses to be run as root."""
    user, group = _owner_of(owner)
    child = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        user=user,
        group=group,
        cwd=owner,
    )
    assert await child.wait() == 0, command


def asking(url: str) -> Ask:
    """What asks the database itself, beside the wires."""

    async def ask(sql: str, *values: object) -> list[dict[str, Any]]:
        for _ in range(50):
            with contextlib.suppress(asyncpg.PostgresError, OSError):
                connection = await asyncpg.connect(url)
                try:
                    return [dict(row) for row in await connection.fetch(sql, *values)]
                finally:
                    await connection.close()
            await asyncio.sleep(0.2)
        raise AssertionError("the database does not come back")

    return ask


@contextlib.asynccontextmanager
async def _cluster(server: PostgresServer, database: str, dice: Random) -> AsyncIterator[Cluster]:
    async with contextlib.AsyncExitStack() as stack:
        born_by = await stack.enter_async_context(nursery())
        replicas, wires = {}, {}
        for name in ("a", "b", "c"):
            wires[name] = await stack.enter_async_context(proxy(server))
            folder = Path(stack.enter_context(temporary_folder(f"chaos-{name}")))
            settings = SETTINGS | {"database_url": wires[name].url(database), "name": name}
            it = Mortal.at(folder, rules=scene.RULES, playbooks=scene.PLAYBOOKS, settings=settings)
            it.nursery, it.minutes_off = born_by, MINUTES_OFF.get(name, 0)
            stack.push_async_callback(it.kill)
            replicas[name] = it
        await asyncio.gather(*(it.start() for it in replicas.values()))
        yield Cluster(server, replicas, wires, dice, Counter())


async def replicas(report: scene.Report, dice: Random, *, blows: int) -> None:
    """Deal so many blows under a stream of alerts: each kind once, the others by chance."""
    with postgres_server() as server:
        database = await server.new()
        await server.run(*WATCHING, database=database)
        async with _cluster(server, database, dice) as cluster, scene.target(dice) as target:
            urls = [it.url for it in cluster.replicas.values()]
            token = next(iter(cluster.replicas.values())).token
            async with (
                scene.door(token, urls, dice) as door,
                alertmanager(scene.alertmanager_config(door.url)) as teller,
            ):
                stream = await _storm(report, cluster, (teller, target), blows)
                ask = asking(server.url(database))
                await _end(report, cluster, ask, stream)
                await judge(report, NAME, ask, stream, door)
                await _fenced(report, cluster, ask)
                verified = await next(iter(cluster.replicas.values())).cli_json("audit", "verify")
                report.hold(NAME, "the ledger verifies", kept=bool(verified["ok"]), found=verified)


async def _fenced(report: scene.Report, cluster: Cluster, ask: Ask) -> None:
    """Who woke up, or came back, after its lease must have written nothing of the runs it had in hand."""
    writes = await ask(
        "SELECT replica, holder, count(*) AS writes FROM journal_writes GROUP BY replica, holder"
    )
    stale = [row for row in writes if row["replica"] != row["holder"]]
    refused = sum(it.log.count('"lease lost"') for it in cluster.replicas.values())
    report.row(NAME, "woken after their lease had run out", cluster.overslept)
    report.row(NAME, "units of work refused since the lease was lost", refused)
    report.row(NAME, "writes to journals of runs", sum(row["writes"] for row in writes))
    report.nothing(NAME, "of these by another than held the run", sum(row["writes"] for row in stale), stale)


async def _storm(
    report: scene.Report, cluster: Cluster, ends: tuple[Alertmanager, scene.Target], blows: int
) -> Stream:
    teller, target = ends
    stream, over = Stream(teller, target, cluster.dice, pause=0.3), asyncio.Event()
    helpers = [asyncio.create_task(stream.flow(over)), asyncio.create_task(cluster.supervise(over))]
    begun = time.monotonic()
    chosen = cluster.dice.choices(list(BLOWS), list(BLOWS.values()), k=blows - len(BLOWS))
    for number, blow in enumerate([*cluster.dice.sample(list(BLOWS), len(BLOWS)), *chosen]):
        await asyncio.sleep(cluster.dice.uniform(0, 1.0))
        await cluster.deal(blow)
        if number % 20 == 19:
            print(f"{number + 1} blows, {len(stream.hosts)} alerts", flush=True)
    over.set()
    await asyncio.gather(*helpers)
    report.row(
        NAME, "ended at their start, the database being away, and started again", len(cluster.restarted)
    )
    others = [said for said in cluster.restarted if "Traceback" in said and "StoreUnavailable" not in said]
    report.nothing(NAME, "ended for another reason", len(others), others[:2])
    report.row(NAME, "clocks off, minutes", MINUTES_OFF)
    report.row(NAME, "blows", f"{dict(cluster.done)} in {time.monotonic() - begun:.0f} s")
    return stream


async def _end(report: scene.Report, cluster: Cluster, ask: Ask, stream: Stream) -> None:
    for it in cluster.replicas.values():
        if not it.running:
            await it.start(ready=False)
    begun = time.monotonic()
    try:
        await settled(ask, stream, within=90)
        report.row(
            NAME, "seconds from the last blow to the last run's end", round(time.monotonic() - begun, 1)
        )
        await resolved(ask, stream, within=60)
    except AssertionError as error:
        report.hold(NAME, "work comes to its end", kept=False, found=error)
