"""G14: replicas on one Postgres share the work; one dies or stalls, another goes on, and nothing is done twice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.postgres import PostgresServer, ask
from tests.servers import eventually, free_port
from tests.service import Service, notification

LEASE = 2
"""Seconds that a claim holds."""
RULES = """
rules:
  - name: broken
    match: [alertname="Broken"]
    priority: P1
    incident: {key: [host]}
    run:
      - playbook: mend
        with: {host: "${event.labels.host}", url: "${event.labels.url}"}
    limits: {cooldown: 0s, runs: []}
priorities:
  P1: {name: High, respond_within: 1h, resolve_within: 2h}
"""
PLAYBOOK = """
playbook: mend
inputs: {host: {type: string}, url: {type: string}}
target: hosts/${inputs.host}
steps:
  - {id: first, action: http.request, with: {method: POST, url: "${inputs.url}/first/${inputs.host}"}}
  - {id: look, action: http.request, with: {url: "${inputs.url}/look/${inputs.host}"}}
  - {id: second, action: http.request, with: {method: POST, url: "${inputs.url}/second/${inputs.host}"}}
"""


@dataclass
class Target:
    """A server that counts calls by path, and answers `/look/...` only while it is let go."""

    url: str
    calls: Counter[str] = field(default_factory=Counter)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        """Count a call and answer it."""
        self.calls[request.path] += 1
        if request.path.startswith("/look/"):
            await self.let_go.wait()
        return web.json_response({})


@pytest.fixture
async def target(running: AsyncExitStack) -> Target:
    """The server that playbooks act upon."""
    port = free_port()
    it = Target(f"http://127.0.0.1:{port}")
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", it.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    running.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return it


class Replicas:
    """Services on one database."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._folder = folder
        self.services: dict[str, Service] = {}

    async def start(self, *names: str) -> None:
        """Start one service of each name."""
        for name in names:
            folder = self._folder / name
            folder.mkdir()
            settings = {
                "database_url": self.url,
                "name": name,
                "lease": f"{LEASE}s",
                "reload": False,
                "reach": {"budget": 10_000, "brake": 0},
            }
            self.services[name] = Service.at(
                folder, rules=RULES, playbooks={"mend": PLAYBOOK}, settings=settings
            )
        await asyncio.gather(*(self.services[name].start() for name in names))

    async def ask(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Ask the database itself."""
        return await ask(self.url, sql, *values)

    async def holder(self) -> str:
        """The name of the replica that carries on the one run."""

        async def held() -> list[dict[str, Any]]:
            return await self.ask("SELECT owner FROM work WHERE kind = 'advance' AND owner IS NOT NULL")

        (row,) = await eventually(held, within=10, what="a run is carried on")
        return str(row["owner"]).partition("/")[0]

    async def runs_ended(self, number: int) -> list[dict[str, Any]]:
        """Every run, once so many have ended."""

        async def ended() -> list[dict[str, Any]] | None:
            runs = await self.ask("SELECT * FROM runs ORDER BY id")
            return runs if sum(run["state"] != "running" for run in runs) >= number else None

        return await eventually(ended, within=30, what=f"{number} runs have ended")


@pytest.fixture
async def replicas(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[Replicas]:
    """Replicas on a new database, none started; all are ended with the test."""
    name = await postgres.new()
    it = Replicas(postgres.url(name), tmp_path)
    yield it
    for service in it.services.values():
        await service.kill()
    await postgres.drop(name)


def broken(target: Target, *hosts: str) -> dict[str, Any]:
    """What an Alertmanager tells of hosts that are broken."""
    return notification(*({"alertname": "Broken", "host": host, "url": target.url} for host in hosts))


async def test_one_stream_of_alerts_is_answered_once(replicas: Replicas, target: Target) -> None:
    """Every replica hears of every alert; each is acted upon once, all replicas work, and the ledger is whole."""
    target.let_go.set()
    await replicas.start("a", "b", "c")
    hosts = [f"h{n}" for n in range(30)]
    groups = [hosts[n : n + 3] for n in range(0, 30, 3)]
    services = list(replicas.services.values())
    told = [service.post(broken(target, *group)) for group in groups for service in services]
    assert set(await asyncio.gather(*told)) == {202}
    runs = await replicas.runs_ended(30)
    assert [run["state"] for run in runs] == ["succeeded"] * 30
    await eventually(lambda: services[0].cli_json("status"), within=10)
    assert all(target.calls[f"/{call}/{host}"] == 1 for call in ("first", "look", "second") for host in hosts)
    (counts,) = await replicas.ask("SELECT count(*) AS alerts, count(DISTINCT fingerprint) AS of FROM alerts")
    assert counts == {"alerts": 30, "of": 30}
    verified = await services[0].cli_json("audit", "verify")
    assert verified["ok"]
    assert {head["chain"] for head in verified["heads"]} == {"a", "b", "c"}
    assert len(await services[1].cli_json("incidents", "list", "--limit", "50")) == 30
    assert (await services[2].cli("pause", "--reason", "a test")).returncode == 0
    assert (await services[0].cli_json("status"))["paused"]["reason"] == "a test"


async def test_a_dead_replicas_run_is_carried_on(replicas: Replicas, target: Target) -> None:
    """A replica killed in the middle of a run is replaced within the lease, and no finished step is made again."""
    await replicas.start("a", "b")
    await replicas.services["a"].post(broken(target, "h"))
    await eventually(lambda: target.calls["/look/h"], within=10)
    await replicas.services[await replicas.holder()].kill()
    await eventually(lambda: target.calls["/look/h"] == 2, within=LEASE + 2, what="the other goes on")
    target.let_go.set()
    (run,) = await replicas.runs_ended(1)
    assert run["state"] == "succeeded"
    assert (target.calls["/first/h"], target.calls["/second/h"]) == (1, 1)


async def test_a_stalled_replica_that_wakes_up_writes_nothing(replicas: Replicas, target: Target) -> None:
    """A replica stopped past its lease is replaced; when it goes on it leaves the run alone."""
    await replicas.start("a", "b")
    await replicas.services["a"].post(broken(target, "h"))
    await eventually(lambda: target.calls["/look/h"], within=10)
    stalled = replicas.services[await replicas.holder()]
    os.kill(stalled.pid, signal.SIGSTOP)
    await eventually(lambda: target.calls["/look/h"] == 2, within=LEASE + 2, what="the other goes on")
    target.let_go.set()
    (run,) = await replicas.runs_ended(1)
    written = "SELECT chain, seq FROM ledger WHERE run_id = $1 ORDER BY chain, seq"
    before = await replicas.ask(written, run["id"]), await replicas.ask("SELECT * FROM steps ORDER BY seq")
    os.kill(stalled.pid, signal.SIGCONT)
    await eventually(lambda: "lease lost" in stalled.log, within=10)
    after = await replicas.ask(written, run["id"]), await replicas.ask("SELECT * FROM steps ORDER BY seq")
    assert after == before
    assert await replicas.runs_ended(1) == [run]
    assert (target.calls["/first/h"], target.calls["/second/h"]) == (1, 1)
    assert await stalled.stop() == 0
