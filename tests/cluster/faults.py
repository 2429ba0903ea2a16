"""A proxy before the API server that refuses, drops or holds the calls a test names, and counts all of them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict, CIMultiDictProxy

from tests.cluster.api import Object
from tests.cluster.control_plane import ControlPlane
from tests.servers import free_port

# Those are about one connection, not about the message (RFC 9110, section 7.6.1); the rest is set anew.
NOT_FORWARDED = {"connection", "content-length", "host", "transfer-encoding"}


class Trouble(StrEnum):
    """What becomes of a call."""

    REFUSE = "refuse"
    """It is answered with the fault's status, and never arrives."""
    DROP = "drop"
    """The connection is cut before it arrives."""
    DROP_ANSWER = "drop-answer"
    """It arrives and is carried out; then the connection is cut. A call the server refuses passes unharmed."""
    HANG = "hang"
    """It never arrives, and no answer comes."""
    HOLD_ANSWER = "hold-answer"
    """It arrives and is carried out; its answer never comes. A call the server refuses passes unharmed."""


@dataclass(slots=True)
class Fault:
    """Trouble for the next `times` calls of a method (None: any) whose path the regular expression is found in."""

    trouble: Trouble
    path: str = ""
    method: str | None = None
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1

    def meets(self, call: Call) -> bool:
        """Whether this call is one of those."""
        return self.times > 0 and self.method in {None, call.method} and bool(re.search(self.path, call.path))


@dataclass(frozen=True, slots=True)
class Call:
    """A call that came: its path is without the query."""

    method: str
    path: str
    query: str


@dataclass(slots=True)
class FaultProxy:
    """A running proxy: `calls` is all that came, oldest first; put a Fault into `faults` to make trouble.

    `carried` are the calls among them that the API server has carried out, in the order of its answers.
    """

    url: str
    plane: ControlPlane
    calls: list[Call] = field(default_factory=list)
    carried: list[Call] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def writes(self) -> list[Call]:
        """The calls that are made to change something, dry runs left out."""
        return [call for call in self.calls if call.method != "GET" and "dryRun" not in call.query]

    def times(self, method: str, path: str) -> int:
        """How often the API server carried out a call of this method and path, dry runs left out."""
        met = Fault(Trouble.REFUSE, path, method)
        return len([call for call in self.carried if met.meets(call) and "dryRun" not in call.query])

    def trouble_for(self, call: Call) -> Fault | None:
        """Note a call; the fault that meets it, used up by one."""
        self.calls.append(call)
        fault = next((each for each in self.faults if each.meets(call)), None)
        if fault is not None:
            fault.times -= 1
        return fault


@contextlib.asynccontextmanager
async def fault_proxy(plane: ControlPlane) -> AsyncIterator[FaultProxy]:
    """A proxy before this control plane, with the same certificate: a kubeconfig needs only its address."""
    port = free_port()
    proxy = FaultProxy(f"https://127.0.0.1:{port}", plane)
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(plane.authority, plane.authority.with_suffix(".key"))
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=plane.authority), limit=0)
    endless = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(connector=connector, timeout=endless, auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            return await _forward(request, proxy, session)

        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=trust).start()
        try:
            yield proxy
        finally:
            await runner.cleanup()


async def _forward(
    request: web.Request, proxy: FaultProxy, session: aiohttp.ClientSession
) -> web.StreamResponse:
    """Hand a call on, and its answer back, as far as no fault meets it."""
    call = Call(request.method, request.path, request.query_string)
    fault = proxy.trouble_for(call)
    if fault is not None and fault.trouble is Trouble.REFUSE:
        return web.json_response(_refusal(fault.status), status=fault.status, headers=fault.headers)
    if fault is not None and fault.trouble in {Trouble.DROP, Trouble.HANG}:
        return await _fail(request, fault.trouble)
    url = f"{proxy.plane.url}{request.raw_path}"
    headers = _kept(request.headers)
    if request.headers.get("Upgrade", "").lower() == "websocket":
        async with _inside(request, session, url) as socket:
            if fault is not None:
                await _swallow(request, socket)
            proxy.carried.append(call)
            return await (_bridge(request, socket) if fault is None else _fail(request, fault.trouble))
    body = await request.read() or None  # not b"", which would get a content type
    async with session.request(request.method, url, headers=headers, data=body) as answer:
        carried = answer.status < HTTPStatus.BAD_REQUEST
        if carried:
            proxy.carried.append(call)
        if fault is not None and carried:
            await answer.read()
            return await _fail(request, fault.trouble)
        if fault is not None:
            fault.times += 1
        response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


def _kept(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers that go on, one that comes twice (kubectl's Accept) twice."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in NOT_FORWARDED)


def _inside(
    request: web.Request, session: aiohttp.ClientSession, url: str
) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
    """The API server's end of a WebSocket (exec)."""
    offered = tuple(
        word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if word
    )
    headers = {name: request.headers[name] for name in ("Authorization",) if name in request.headers}
    return session.ws_connect(url, protocols=offered, headers=headers)


async def _outside(request: web.Request, inside: aiohttp.ClientWebSocketResponse) -> web.WebSocketResponse:
    """The caller's end of it."""
    socket = web.WebSocketResponse(protocols=[inside.protocol] if inside.protocol else [])
    await socket.prepare(request)
    return socket


async def _bridge(request: web.Request, inside: aiohttp.ClientWebSocketResponse) -> web.StreamResponse:
    """Join both ends until one of them is closed."""
    outside = await _outside(request, inside)
    pumps = {asyncio.create_task(_pump(outside, inside)), asyncio.create_task(_pump(inside, outside))}
    _, left = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    await outside.close()
    return outside


async def _swallow(request: web.Request, inside: aiohttp.ClientWebSocketResponse) -> None:
    """Let the command run to its end, and tell the caller nothing of it."""
    await _outside(request, inside)
    async for _ in inside:
        continue


async def _pump(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    """Hand binary messages on until the source ends."""
    async for message in source:
        if message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)


async def _fail(request: web.Request, trouble: Trouble) -> web.StreamResponse:
    """Cut the connection, or keep it and say nothing until the caller goes."""
    if trouble in {Trouble.HANG, Trouble.HOLD_ANSWER}:
        await asyncio.Event().wait()  # cancelled when the caller goes
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _refusal(status: int) -> Object:
    """A refusal as the API server words it (metav1.Status)."""
    message = "refused on purpose"
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status}
