"""S3 on loopback: moto's server, and before it a door that loses, delays, changes or refuses what passes.

What moto does not do the door does: outages, answers that are lost after the deed, refusals, and a bucket whose
objects another writer puts first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from tests.servers import START_WITHIN, free_port, temporary_folder

LISTED_AT_ONCE = 3
"""Names on a page of a list, where S3 has a thousand."""
KEY_ID, SECRET = "canary-aws-key-id", "canary-aws-secret"
_SCOPE = "owner/20260101/us-east-1/s3/aws4_request"
_OWNER = {"Authorization": f"AWS4-HMAC-SHA256 Credential={_SCOPE}, SignedHeaders=host, Signature=0"}
"""moto looks whether there is a signature, and not into it."""
_HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "content-encoding", "server", "date"}
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class Fault(Enum):
    """What happens to a request in place of an answer."""

    LOSE = "the connection breaks, and nothing was done"
    DROP = "what was asked is done, and the connection breaks"
    HANG = "what was asked is done, and no answer comes"
    SPOIL = "what was asked is done, and a byte of the answer is another one"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error in S3's words, in place of doing anything."""

    status: int
    code: str
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """As S3 writes it."""
        xml = f"<Error><Code>{self.code}</Code><Message>the reason of {self.code}</Message></Error>"
        return web.Response(
            status=self.status, text=xml, content_type="application/xml", headers=self.headers
        )


@dataclass(frozen=True, slots=True)
class Other:
    """Somebody else puts these bytes under the name first; then the connection breaks."""

    data: bytes


Trouble = Fault | Refusal | Other


@dataclass(slots=True)
class S3:
    """The door, and what moto keeps behind it. `faults` are taken by one request each; `always` by all that follow."""

    url: str
    behind: str
    session: aiohttp.ClientSession
    bucket: str = ""
    faults: deque[Trouble] = field(default_factory=deque)
    always: Trouble | None = None
    only: str | None = None
    """The method that faults are for; None is every one."""
    when_done: Callable[[str, str], None] | None = None
    """Told of what was carried out, by method and path, before it is answered."""
    one_writes: asyncio.Lock = field(default_factory=asyncio.Lock)
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def trouble(self, *faults: Trouble, only: str | None = None) -> None:
        """Let these befall the next requests, one each."""
        self.faults, self.only = deque(faults), only

    @contextlib.contextmanager
    def down(self, trouble: Trouble = Fault.LOSE) -> Iterator[None]:
        """Let this befall every request meanwhile."""
        self.always = trouble
        try:
            yield
        finally:
            self.always = None

    def settings(self) -> dict[str, object]:
        """The section `aws` that leads here."""
        return {"endpoint_url": self.url, "timeout": "2s"}

    def address(self, prefix: str = "ledger") -> str:
        """A place in the bucket."""
        return f"s3://{self.bucket}/{prefix}"

    def _ask(self, method: str, key: str = "", **options: Any) -> Any:
        """Ask moto itself, as the owner."""
        url = URL(f"{self.behind}/{self.bucket}/{quote(key)}".rstrip("/"), encoded=True)
        return self.session.request(method, url, headers=_OWNER, **options)

    async def make_bucket(self, name: str) -> None:
        """Make a bucket, which is the one from now on."""
        self.bucket = name
        async with self._ask("PUT") as answer:
            assert answer.status == HTTPStatus.OK, await answer.text()

    async def put(self, key: str, data: bytes) -> None:
        """Write an object, or over it, as somebody with every right does."""
        async with self._ask("PUT", key, data=data) as answer:
            assert answer.status == HTTPStatus.OK, await answer.text()

    async def get(self, key: str) -> bytes:
        """What an object holds."""
        async with self._ask("GET", key) as answer:
            assert answer.status == HTTPStatus.OK, await answer.text()
            found: bytes = await answer.read()
            return found

    async def delete(self, key: str) -> None:
        """Take an object away."""
        async with self._ask("DELETE", key) as answer:
            assert answer.status == HTTPStatus.NO_CONTENT, await answer.text()

    async def keys(self, prefix: str = "") -> list[str]:
        """The names of all objects, in their order."""
        found: list[str] = []
        while True:
            query = {"list-type": "2", "prefix": prefix, "start-after": found[-1] if found else ""}
            async with self._ask("GET", params=query) as answer:
                tree = ET.fromstring(await answer.text())  # noqa: S314 - our own server's
            found += [each.text or "" for each in tree.iter(f"{_NAMESPACE}Key")]
            if tree.findtext(f"{_NAMESPACE}IsTruncated") != "true":
                return found

    def counted(self, method: str) -> int:
        """How many requests of a method came to the door."""
        return sum(1 for each, _ in self.requests if each == method)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Let a request through, unless a fault befalls it."""
        self.requests.append((request.method, request.raw_path))
        self.headers.append(dict(request.headers))
        body = await request.read()
        trouble = self._befalls(request.method)
        if isinstance(trouble, Refusal):
            return trouble.response()
        if isinstance(trouble, Other):
            await self._forward(request, trouble.data, by_another=True)
        if trouble in {Fault.DROP, Fault.HANG, Fault.SPOIL, None}:
            answer = await self._forward(request, body)
            if self.when_done is not None:
                self.when_done(request.method, request.path)
            if trouble is Fault.SPOIL:
                assert isinstance(answer.body, bytes)
                answer.body = answer.body[:-1] + bytes([answer.body[-1] ^ 1])
            if trouble in {Fault.SPOIL, None}:
                return answer
        if trouble is Fault.HANG:
            await asyncio.Event().wait()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _befalls(self, method: str) -> Trouble | None:
        if self.always is not None:
            return self.always
        if self.faults and self.only in {None, method}:
            return self.faults.popleft()
        return None

    async def _forward(self, request: web.Request, body: bytes, *, by_another: bool = False) -> web.Response:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in {"host", "content-length", "expect"}
            and not (by_another and name.lower().startswith(("if-", "x-amz-")))
        }
        url = URL(f"{self.behind}{request.raw_path}", encoded=True)
        # One after another: moto looks for the object and writes it in two steps, where S3 does it in one.
        async with (
            self.one_writes if request.method == "PUT" else contextlib.nullcontext(),
            self.session.request(request.method, url, data=body, headers=headers) as answer,
        ):
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """A server of moto in a process of its own; its address."""
    port = free_port()
    with temporary_folder("moto") as folder, (Path(folder) / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"MOTO_S3_DEFAULT_MAX_KEYS": str(LISTED_AT_ONCE)},
        )
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_WITHIN
    while time.monotonic() < end:
        assert process.poll() is None, "moto's server ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    message = "moto's server did not start"
    raise AssertionError(message)


@contextlib.asynccontextmanager
async def s3_door(behind: str, bucket: str) -> AsyncIterator[S3]:
    """The door before moto's server, with one empty bucket."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        it = S3("", behind, session)
        app = web.Application(client_max_size=256 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", it.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            await it.make_bucket(bucket)
            yield it
        finally:
            await runner.cleanup()


def sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK find credentials, in the environment and nowhere else."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    sign_out_of_files(monkeypatch)


def sign_out_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK look into no file, and ask no metadata service."""
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
