"""Real servers on loopback for tests: Prometheus, Alertmanager, the demo shop and a webhook sink.

Each is an async context manager that picks free ports, keeps its files in a temporary folder, is entered when
the server answers, and ends the process it started, and no other. `tests/conftest.py` makes fixtures of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import random
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, overload

import aiohttp
import pytest
import yaml
from aiohttp import web

T = TypeVar("T")

PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}
START_WITHIN = 20.0
STOP_WITHIN = 5.0
SHOP_TOKEN = "shop-token-for-tests"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server process: where it answers, its pid, and the folder with its files and `log`."""

    url: str
    pid: int
    folder: Path

    @property
    def log(self) -> str:
        """What the process has written so far, both streams."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True, slots=True)
class Alertmanager(Server):
    """A running Alertmanager; `cluster_address` is where its peers gossip, None when it is alone."""

    cluster_address: str | None = None

    async def post_alerts(self, *alerts: Mapping[str, Any]) -> None:
        """Send alerts as Prometheus does: each with `labels`, and `annotations`, `startsAt`, `endsAt`,
        `generatorURL` if wanted (API v2, postableAlerts). Raises ClientResponseError when refused."""
        await call_json("POST", f"{self.url}/api/v2/alerts", list(alerts))


@dataclass(frozen=True, slots=True)
class Shop(Server):
    """A running demo shop, and the bearer token of its administration."""

    token: str = SHOP_TOKEN

    async def admin(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None
    ) -> dict[str, Any]:
        """Call `/admin/<path>`, with an Idempotency-Key if given; raises ClientResponseError when refused."""
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Idempotency-Key": key} if key else {})
        url = f"{self.url}/admin/{path}"
        return await call_json(method, url, body, headers=headers)

    async def deploy(self, name: str, quality: str = "good") -> dict[str, Any]:
        """Deploy a release, `good` or `bad`."""
        return await self.admin("POST", "releases", {"name": name, "quality": quality})

    async def roll_back(self, to: str, *, key: str | None = None) -> dict[str, Any]:
        """Go back to a named release."""
        return await self.admin("POST", "rollback", {"to": to}, key=key)

    async def last_good(self) -> str | None:
        """The release to go back to, None while none has proven itself."""
        found: str | None = (await self.admin("GET", "releases"))["last_good"]
        return found

    async def proven(self) -> None:
        """Return once the release that serves is known to be good, so that it can be gone back to."""

        async def good() -> bool:
            releases = (await self.admin("GET", "releases"))["releases"]
            return any(release["current"] and release["good"] for release in releases)

        await eventually(good, within=10, what="the release that serves proves good")


@dataclass(slots=True)
class Sink:
    """A webhook receiver: the bodies it got, oldest first, and the status it answers (change it freely)."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200

    async def wait_for(self, wanted: Callable[[dict[str, Any]], bool], within: float) -> dict[str, Any]:
        """The first body, already here or still to come, for which `wanted` holds."""

        def found() -> dict[str, Any] | None:
            return next((body for body in self.bodies if wanted(body)), None)

        return await eventually(found, within=within, what="a wanted webhook body")


_NOT_FOR_CONNECTIONS = range(12_000, 32_000)
"""Linux takes ports for connections from 32768 on (`net.ipv4.ip_local_port_range`)."""
_DICE = random.SystemRandom()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment, for TCP and for UDP (gossip needs both).

    It is none that the kernel gives to connections, which could take it before whoever asked does.
    """
    while True:
        port = _DICE.choice(_NOT_FOR_CONNECTIONS)
        with (
            socket.socket() as tcp,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
            contextlib.suppress(OSError),
        ):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port


def find_binary(name: str) -> str:
    """The path of a server's binary. Without it the test is skipped, or fails where CI is set: a server that
    is missing there is a promise that nobody checks."""
    found = shutil.which(name)
    if found is not None:
        return found
    reason = f"needs {name}: apt-get install {PACKAGES.get(name, name)}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@overload
async def eventually(
    check: Callable[[], Awaitable[T | None]], *, within: float, every: float = ..., what: str = ...
) -> T: ...


@overload
async def eventually(
    check: Callable[[], T | None], *, within: float, every: float = ..., what: str = ...
) -> T: ...


async def eventually(
    check: Callable[[], Any],
    *,
    within: float,
    every: float = 0.05,
    what: str = "",
) -> Any:
    """The first truthy answer of `check`, asked every so often; AssertionError after `within` seconds.

    The one place where tests wait on the real clock: a real server tells nobody when it is done. A refused or
    broken connection and a failed assertion count as "not yet".
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    last: object = None
    while True:
        try:
            answer = check()
            result = await answer if inspect.isawaitable(answer) else answer
            if result:
                return result
            last = result
        except (aiohttp.ClientError, OSError, TimeoutError, AssertionError) as error:
            last = error
        if loop.time() >= deadline:
            raise AssertionError(f"not within {within} s: {what or check}; last answer: {last!r}")
        await asyncio.sleep(every)


async def call_json(
    method: str, url: str, body: object = None, *, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """One HTTP call, JSON both ways; raises ClientResponseError, with the answer's text, from status 400."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
        session.request(method, url, json=body, headers=headers) as answer,
    ):
        if answer.status >= 400:
            message = await answer.text()
            raise aiohttp.ClientResponseError(
                answer.request_info, answer.history, status=answer.status, message=message
            )
        found: dict[str, Any] = await answer.json(content_type=None)
        return found


async def answers(url: str) -> bool:
    """Whether the address answers 200."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
        session.get(url) as answer,
    ):
        return answer.status == 200


@contextlib.asynccontextmanager
async def process(
    command: Sequence[str], folder: Path, ready_url: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[int]:
    """Run a server until the block ends: enter when `ready_url` answers 200, giving its pid; on the way out
    SIGTERM, and SIGKILL after `STOP_WITHIN` seconds. AssertionError, with its log, when it does not start."""
    log = folder / "log"
    with log.open("ab") as output:
        child = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env=env
        )
    try:
        try:
            await eventually(
                lambda: _ready_or_ended(child, ready_url), within=START_WITHIN, what=f"{ready_url} is 200"
            )
            assert child.returncode is None, f"{command[0]} ended with status {child.returncode}"
        except AssertionError as error:
            error.add_note(f"{' '.join(command)}\n{_tail(log)}")
            raise
        yield child.pid
    finally:
        await _stop(child)


async def _ready_or_ended(child: asyncio.subprocess.Process, url: str) -> bool:
    """Whether there is no use in waiting on: the server answers, or it is gone."""
    return child.returncode is not None or await answers(url)


async def _stop(child: asyncio.subprocess.Process) -> None:
    """End a process this module started, and wait until it is gone."""
    if child.returncode is None:
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), STOP_WITHIN)
    except TimeoutError:
        child.kill()
        await child.wait()


def _tail(log: Path) -> str:
    """The end of a log, where the reason for a failed start is."""
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]


def temporary_folder(name: str) -> tempfile.TemporaryDirectory[str]:
    """A folder for one server's files, gone with the server."""
    return tempfile.TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True)


def as_mapping(config: str | Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as given: YAML text, or the mapping it stands for."""
    return dict(yaml.safe_load(config) if isinstance(config, str) else config)


@contextlib.asynccontextmanager
async def prometheus(
    config: str | Mapping[str, Any], rules: str | Mapping[str, Any] | None = None
) -> AsyncIterator[Server]:
    """A Prometheus with this configuration; `rules`, the content of a rule file, joins its `rule_files`.

    Firing alerts are sent again each second rather than each minute, so that a test sees a repeat.
    """
    binary = find_binary("prometheus")
    with temporary_folder("prometheus") as name:
        folder, url = Path(name), f"http://127.0.0.1:{free_port()}"
        settings = as_mapping(config)
        if rules is not None:
            (folder / "rules.yml").write_text(yaml.safe_dump(as_mapping(rules)), encoding="utf-8")
            settings["rule_files"] = [*settings.get("rule_files", []), "rules.yml"]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        command = [
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={url.removeprefix('http://')}",
            f"--web.external-url={url}",
            "--web.enable-lifecycle",
            "--rules.alert.resend-delay=1s",
            "--log.level=warn",
        ]
        async with process(command, folder, f"{url}/-/ready") as pid:
            yield Server(url, pid, folder)


@contextlib.asynccontextmanager
async def alertmanager(
    config: str | Mapping[str, Any],
    *,
    cluster_peers: Sequence[str] = (),
    cluster_address: str | None = None,
    peer_timeout: str = "1s",
) -> AsyncIterator[Alertmanager]:
    """An Alertmanager with this configuration, alone, or gossiping at `cluster_address` with `cluster_peers`.

    `peer_timeout` is how long each later member of a pair leaves the first one to notify (15s by default in
    the real world).
    """
    binary = find_binary("prometheus-alertmanager")
    with temporary_folder("alertmanager") as name:
        folder, url = Path(name), f"http://127.0.0.1:{free_port()}"
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(as_mapping(config)), encoding="utf-8")
        if cluster_peers and cluster_address is None:
            cluster_address = f"127.0.0.1:{free_port()}"
        command = [
            binary,
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={url.removeprefix('http://')}",
            f"--web.external-url={url}",
            f"--cluster.listen-address={cluster_address or ''}",
            f"--cluster.peer-timeout={peer_timeout}",
            "--cluster.settle-timeout=5s",
            "--cluster.gossip-interval=50ms",
            *(f"--cluster.peer={peer}" for peer in cluster_peers),
        ]
        async with process(command, folder, f"{url}/-/ready") as pid:
            yield Alertmanager(url, pid, folder, cluster_address)


@contextlib.asynccontextmanager
async def alertmanager_pair(
    config: str | Mapping[str, Any], *, peer_timeout: str = "1s"
) -> AsyncIterator[tuple[Alertmanager, Alertmanager]]:
    """Two Alertmanagers that have found each other and share silences and what they have notified."""
    one, two = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    async with (
        alertmanager(config, cluster_address=one, cluster_peers=[two], peer_timeout=peer_timeout) as first,
        alertmanager(config, cluster_address=two, cluster_peers=[one], peer_timeout=peer_timeout) as second,
    ):

        async def settled() -> bool:
            states = [
                (await call_json("GET", f"{am.url}/api/v2/status"))["cluster"] for am in (first, second)
            ]
            return all(state["status"] == "ready" and len(state["peers"]) == 2 for state in states)

        await eventually(
            settled, within=START_WITHIN, every=0.2, what="the two Alertmanagers are one cluster"
        )
        yield first, second


@contextlib.asynccontextmanager
async def shop(
    *,
    users: float = 0,
    proven_after: float = 0.2,
    delay_ms: int = 0,
    state: Path | None = None,
    token: str = SHOP_TOKEN,
) -> AsyncIterator[Shop]:
    """The demo shop, with so many visits a second of its own; `state` is the file that outlives it.
    An empty `token` switches its administration off."""
    with temporary_folder("shop") as name:
        folder, port = Path(name), free_port()
        command = [
            *(sys.executable, "-m", "runbookd.demo.shop"),
            *("--port", str(port), "--users", str(users)),
            *("--proven-after", str(proven_after), "--delay-ms", str(delay_ms)),
            *(("--state", str(state)) if state else ()),
        ]
        env = os.environ | {"SHOP_TOKEN": token}
        url = f"http://127.0.0.1:{port}"
        async with process(command, folder, f"{url}/metrics", env) as pid:
            yield Shop(url, pid, folder, token)


@contextlib.asynccontextmanager
async def webhook_sink() -> AsyncIterator[Sink]:
    """A receiver of JSON webhooks inside the test's own process."""
    port = free_port()
    sink = Sink(f"http://127.0.0.1:{port}/hook")

    async def receive(request: web.Request) -> web.Response:
        sink.bodies.append(await request.json())
        return web.Response(status=sink.status)

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield sink
    finally:
        await runner.cleanup()
