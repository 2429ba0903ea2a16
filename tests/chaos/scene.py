"""What every scenario stands on: a server that counts the calls made to it, a door that remembers what was
acknowledged, the content under test, and the figures at the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp
from aiohttp import web

from tests.servers import free_port

RULES = """
rules:
  - name: mend
    match: [alertname="Broken", kind="mend"]
    priority: P1
    incident: {key: [host]}
    run: [{playbook: mend, with: {host: "${event.labels.host}", url: "${event.labels.url}"}}]
    limits: {cooldown: 0s, runs: []}
  - name: throw
    match: [alertname="Broken", kind="throw"]
    priority: P1
    incident: {key: [host]}
    run: [{playbook: throw, with: {host: "${event.labels.host}", url: "${event.labels.url}"}}]
    limits: {cooldown: 0s, runs: []}
priorities:
  P1: {name: High, respond_within: 1h, resolve_within: 2h}
"""

MEND = """
playbook: mend
inputs: {host: {type: string}, url: {type: string}}
target: hosts/${inputs.host}
evidence:
  - {action: http.request, name: before, with: {url: "${inputs.url}/state/${inputs.host}"}}
steps:
  - id: look
    action: http.request
    with: {url: "${inputs.url}/state/${inputs.host}"}
    retry: {attempts: 20, backoff: 20ms}
  - id: mend
    action: http.request
    with:
      method: POST
      url: ${inputs.url}/mend/${inputs.host}
      idempotency_key: false            # so that the server does not forgive a call made twice
      probe: {url: "${inputs.url}/state/${inputs.host}", json: {mended: true}}
    timeout: 5s
    retry: {attempts: 20, backoff: 20ms}
  - {id: settle, wait: 50ms}
  - id: after
    action: http.request
    with: {url: "${inputs.url}/state/${inputs.host}"}
    retry: {attempts: 20, backoff: 20ms}
verify:
  - {action: http.request, with: {url: "${inputs.url}/state/${inputs.host}"}, every: 50ms, for: 100ms, within: 60s}
"""

THROW = """
playbook: throw
inputs: {host: {type: string}, url: {type: string}}
target: hosts/${inputs.host}
steps:
  - id: look
    action: http.request
    with: {url: "${inputs.url}/state/${inputs.host}"}
    retry: {attempts: 20, backoff: 20ms}
  - id: throw
    action: http.request
    with: {method: POST, url: "${inputs.url}/mend/${inputs.host}", idempotency_key: false, repeat: never}
    timeout: 5s
"""

PLAYBOOKS = {"mend": MEND, "throw": THROW}
"""One whose call can be asked about after a crash, and one whose call cannot: it ends in doubt, and people are told."""


@dataclass
class Target:
    """A server that does at once what it is told, and lets its caller wait; a call of a caller who is gone already
    before it is taken up is not done."""

    url: str
    dice: Random
    slowest: float
    made: Counter[str] = field(default_factory=Counter)
    asked: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        """Do a POST and count it; answer a GET with what has been done."""
        host = request.path.rpartition("/")[2]
        if request.method == "POST":
            if self.dice.random() < 0.3:
                await asyncio.sleep(self.dice.uniform(0, self.slowest))
            if request.transport is None or request.transport.is_closing():
                return web.json_response({}, status=503)
            self.made[host] += 1
            await asyncio.sleep(self.dice.uniform(0, self.slowest))
        self.asked += 1
        return web.json_response({"mended": self.made[host] > 0})

    @property
    def twice(self) -> int:
        """How many were done more than once."""
        return sum(count > 1 for count in self.made.values())


@contextlib.asynccontextmanager
async def target(dice: Random, slowest: float = 0.3) -> AsyncIterator[Target]:
    """The server, in the bench's own process, which nobody kills."""
    port = free_port()
    it = Target(f"http://127.0.0.1:{port}", dice, slowest)
    async with served(it.answer, port):
        yield it


@dataclass
class Door:
    """A proxy between an Alertmanager and replicas, which remembers each delivery that was acknowledged, by its id.

    A request goes to one of `replicas` chosen by chance; where nobody answers, the sender hears 502 and tries again.
    """

    url: str
    token: str
    replicas: list[str]
    dice: Random
    session: aiohttp.ClientSession
    acknowledged: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)

    async def pass_on(self, request: web.Request) -> web.Response:
        """Hand one delivery on, and remember what came of it."""
        body = await request.read()
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.dice.choice(self.replicas)}/v1/hooks/alertmanager"
        try:
            async with self.session.post(url, data=body, headers=headers) as answer:
                told = await answer.read()
                status = answer.status
                if status == 202:
                    self.acknowledged.add((await answer.json())["delivery"])
        except (aiohttp.ClientError, TimeoutError):
            status, told = 502, b""
        self.statuses[status] += 1
        return web.Response(status=status, body=told)


@contextlib.asynccontextmanager
async def door(token: str, replicas: list[str], dice: Random) -> AsyncIterator[Door]:
    """The proxy, in the bench's own process."""
    port = free_port()
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=aiohttp.TCPConnector(force_close=True)
    ) as session:
        it = Door(f"http://127.0.0.1:{port}", token, replicas, dice, session)
        async with served(it.pass_on, port):
            yield it


@contextlib.asynccontextmanager
async def served(answer: Any, port: int) -> AsyncIterator[None]:
    """A handler of every path at a port of loopback."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        yield
    finally:
        await runner.cleanup()


def alertmanager_config(url: str) -> dict[str, Any]:
    """An Alertmanager that tells the door of each host by itself, at once, and again until it is acknowledged."""
    return {
        "route": {
            "receiver": "runbookd",
            "group_by": ["host"],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "runbookd", "webhook_configs": [{"url": url, "send_resolved": True}]}],
    }


@dataclass
class Report:
    """The table: one line per figure. `failed` holds what a promise was broken by."""

    lines: list[tuple[str, str, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def row(self, scenario: str, figure: str, value: object) -> None:
        """Add a figure, and show it at once."""
        self.lines.append((scenario, figure, str(value)))
        print(f"| {scenario} | {figure} | {value} |", flush=True)

    def hold(self, scenario: str, promise: str, *, kept: bool, found: object = "") -> None:
        """Add a promise, and whether it was kept."""
        said = "kept" if kept else f"BROKEN {found}".strip()
        if not kept:
            self.failed.append(f"{scenario}: {promise}: {found}")
        self.row(scenario, promise, said)

    def nothing(self, scenario: str, figure: str, count: int, more: object = "") -> None:
        """Add a count that must be 0."""
        if count:
            self.failed.append(f"{scenario}: {figure}: {count} {more}")
        self.row(scenario, figure, count)


def labels_of(url: str, host: str, kind: str) -> Mapping[str, str]:
    """The labels of one host's alert."""
    return {"alertname": "Broken", "host": host, "kind": kind, "url": url}
