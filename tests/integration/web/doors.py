"""The real HTTP door on loopback, in front of an inbox that understands deliveries and remembers them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from prometheus_client import CollectorRegistry

from runbookd.errors import PayloadError, StoreUnavailable
from runbookd.model.event import Delivery
from runbookd.sources import SOURCES
from runbookd.stages.receive import Receipt, dead_letter, take_delivery
from runbookd.web.app import Everybody, Inside, create_app
from runbookd.web.config import WebConfig
from runbookd.web.health import Check, Warn
from runbookd.web.hooks import Inbox
from runbookd.web.server import serve

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TOKEN = "the-right-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HOOK = "/v1/hooks/alertmanager"
GOOD = b'{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A"}}]}'


@dataclass(slots=True)
class RecordingInbox:
    """What the pipeline promises the door, kept in a list. `full` is a database that cannot take writes; `open`
    lets deliveries through, and is closed to hold them."""

    kept: list[Delivery] = field(default_factory=list)
    full: bool = False
    open: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    def __post_init__(self) -> None:
        """Begin open."""
        self.open.set()

    async def receive(
        self, source: str, body: bytes, headers: Mapping[str, str], remote: str | None
    ) -> Receipt:
        """Keep the delivery, or the dead letter."""
        self.waiting += 1
        await self.open.wait()
        self.waiting -= 1
        delivery = self._delivery(source, body, headers, remote)
        alerts = 0
        try:
            alerts = len(SOURCES[source](body).events)
        except PayloadError as error:
            delivery = dead_letter(delivery, str(error))
        self.kept.append(delivery)
        return Receipt(delivery=delivery, alerts=alerts)

    async def refuse(
        self, source: str, body: bytes, headers: Mapping[str, str], remote: str | None, reason: str
    ) -> Receipt:
        """Keep the beginning of what was refused."""
        self.kept.append(dead_letter(self._delivery(source, body, headers, remote), reason))
        return Receipt(delivery=self.kept[-1])

    def _delivery(self, source: str, body: bytes, headers: Mapping[str, str], remote: str | None) -> Delivery:
        if self.full:
            raise StoreUnavailable("the disk is full; free some space")
        number = f"d-{len(self.kept) + 1}"
        return take_delivery(number, source, body, headers=headers, remote=remote, now=NOW)


class StandingClock:
    """`ports.Clock` that stands."""

    def now(self) -> datetime:
        """The same moment always."""
        return NOW


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it came: header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Wire:
    """Bytes to and from a running door."""

    port: int

    async def post(self, body: bytes, headers: Mapping[str, str] = BEARER, path: str = HOOK) -> Answer:
        """Post a body the usual way."""
        return await self.ask("POST", path, headers, body)

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Make one request on a connection of its own."""
        lines = [f"{method} {path} HTTP/1.1", "Host: runbookd", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        return await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))

    async def raw(self, request: bytes) -> Answer:
        """Send exactly these bytes, and read the answer until the server has sent it whole."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            return await read_answer(reader)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@dataclass(frozen=True, slots=True)
class Door(Wire):
    """A running door, what it took in, and its metrics."""

    inbox: RecordingInbox
    registry: CollectorRegistry


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    status = int(head[0].split()[1])
    return Answer(status, headers, await reader.readexactly(int(headers.get("content-length", 0))))


@contextlib.asynccontextmanager
async def running_door(
    config: Mapping[str, Any] | None = None,
    checks: Mapping[str, Check] | None = None,
    warnings: Mapping[str, Warn] | None = None,
) -> AsyncIterator[Door]:
    """Serve on a free port until the block ends; bearer `TOKEN` opens it unless `config` says otherwise."""
    inbox, registry = RecordingInbox(), CollectorRegistry()
    async with serving(inbox, registry, config, checks, warnings) as wire:
        yield Door(wire.port, inbox, registry)


@contextlib.asynccontextmanager
async def serving(
    inside: Inbox | Inside,
    registry: CollectorRegistry,
    config: Mapping[str, Any] | None = None,
    checks: Mapping[str, Check] | None = None,
    warnings: Mapping[str, Warn] | None = None,
) -> AsyncIterator[Wire]:
    """Serve in front of any inbox, or of all that the doors lead to."""
    settings = WebConfig.model_validate(
        {"port": 0, "hooks": {"alertmanager": {"bearer": [TOKEN]}}, **(config or {})}
    )
    if not isinstance(inside, Inside):
        inside = Inside(inside, cast("Everybody", None), StandingClock())
    app = create_app(settings, inside, checks=checks or {}, registry=registry, warnings=warnings)
    runner = await serve(app, settings)
    try:
        yield Wire(runner.addresses[0][1])
    finally:
        await runner.cleanup()
