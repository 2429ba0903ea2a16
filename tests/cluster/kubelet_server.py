"""The HTTPS door of the played kubelets: container logs and exec, which the API server forwards to them.

Paths and query: pkg/kubelet/server/server.go of Kubernetes. Exec speaks the WebSocket subprotocols
`v4.channel.k8s.io` and `v5.channel.k8s.io` (kubectl): each binary message begins with a channel byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from aiohttp import WSMsgType, web

from tests.cluster.api import Object
from tests.cluster.keys import write_certificate
from tests.cluster.scripts import Answer, Ends, ExecCall, Logs, Scripts

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, STATUS, CLOSE = 0, 1, 2, 3, 255
CHUNK = 32 * 1024


@contextlib.asynccontextmanager
async def kubelet_server(
    port: int, folder: Path, pods: Mapping[tuple[str, str], Object], logs: Logs, scripts: Scripts
) -> AsyncIterator[None]:
    """Serve the logs and exec of these pods until the block ends; `folder` gets the server's certificate."""
    certificate, key = write_certificate(folder, "kubelet", ["127.0.0.1"])
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(certificate, key)
    door = _Door(pods, logs, scripts)
    app = web.Application()
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", door.logs)
    app.router.add_get("/exec/{namespace}/{pod}/{container}", door.exec)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=trust).start()
    try:
        yield
    finally:
        await runner.cleanup()


class _Door:
    """The two handlers."""

    def __init__(self, pods: Mapping[tuple[str, str], Object], logs: Logs, scripts: Scripts) -> None:
        self._pods = pods
        self._logs = logs
        self._scripts = scripts

    def _pod(self, request: web.Request) -> Object:
        """The pod that a path names; 404 when the harness has none such."""
        place = (request.match_info["namespace"], request.match_info["pod"])
        if place not in self._pods:
            raise web.HTTPNotFound(text=f"pod {place[1]!r} does not exist\n")
        return self._pods[place]

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """A container's log: `tailLines`, `sinceSeconds`, `previous`, `timestamps`, `limitBytes`."""
        pod, container, query = self._pod(request), request.match_info["container"], request.query
        previous = query.get("previous") == "true"
        if previous and not _restarted(pod, container):
            where = f'"{container}" in pod "{request.match_info["pod"]}"'
            raise web.HTTPBadRequest(text=f"previous terminated container {where} not found\n")
        text = self._logs.read(
            pod,
            container,
            previous=previous,
            since_s=_number(query.get("sinceSeconds")),
            tail=_number(query.get("tailLines")),
            timestamps=query.get("timestamps") == "true",
        ).encode()
        return web.Response(body=text[: _number(query.get("limitBytes"))], content_type="text/plain")

    async def exec(self, request: web.Request) -> web.StreamResponse:
        """Run `command` and stream its output; the status message carries its exit code."""
        pod, container = self._pod(request), request.match_info["container"]
        command = tuple(request.query.getall("command", []))
        socket = web.WebSocketResponse(protocols=PROTOCOLS)
        if not socket.can_prepare(request):
            raise web.HTTPBadRequest(text="exec: only WebSocket is served\n")
        await socket.prepare(request)
        # As the kubelet does, to say that the stream stands.
        await socket.send_bytes(bytes([STDOUT]))
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        answer = self._scripts.called(ExecCall(namespace, name, container, command))
        if answer is None:
            answer = await _run(socket, command, with_input=request.query.get("input") == "1")
        else:
            await _send(socket, STDOUT, answer.stdout)
            await _send(socket, STDERR, answer.stderr)
        match answer.ends:
            case Ends.BREAK:
                assert request.transport is not None
                request.transport.abort()
            case Ends.HANG:
                async for _ in socket:
                    pass
            case Ends.EXIT:
                await _send(socket, STATUS, json.dumps(_status(answer.code)).encode())
                await socket.close()
        return socket


async def _run(socket: web.WebSocketResponse, command: tuple[str, ...], *, with_input: bool) -> Answer:
    """Run a command for real, in an empty folder, its output sent as it comes; gives how it ended."""
    with tempfile.TemporaryDirectory(prefix="exec-") as folder:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=folder,
            )
        except OSError as error:
            await _send(socket, STDERR, f"{command[0]}: {error.strerror}\n".encode())
            return Answer(code=127)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        if not with_input:
            process.stdin.close()
        reading = asyncio.create_task(_feed(socket, process.stdin))
        try:
            await asyncio.gather(
                _forward(socket, STDOUT, process.stdout), _forward(socket, STDERR, process.stderr)
            )
            return Answer(code=await process.wait())
        finally:
            reading.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _feed(socket: web.WebSocketResponse, stdin: asyncio.StreamWriter) -> None:
    """Hand what the caller sends on to the command, until the caller closes that channel (v5) or goes."""
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == STDIN and not stdin.is_closing():
            stdin.write(data)
            await stdin.drain()
        if channel == CLOSE:
            break
    stdin.close()


async def _forward(socket: web.WebSocketResponse, channel: int, stream: asyncio.StreamReader) -> None:
    """Send a stream of the command on as it comes."""
    while data := await stream.read(CHUNK):
        await _send(socket, channel, data)


async def _send(socket: web.WebSocketResponse, channel: int, data: bytes) -> None:
    """One message on a channel, if there is something to say and somebody to hear it."""
    if data:
        with contextlib.suppress(ConnectionError):
            await socket.send_bytes(bytes([channel]) + data)


def _status(code: int) -> Object:
    """The message of the status channel (metav1.Status), as the kubelet's remotecommand server writes it."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _restarted(pod: Object, container: str) -> bool:
    """Whether a container has run before."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return any(each["name"] == container and each["restartCount"] for each in statuses)


def _number(text: str | None) -> int | None:
    """A number of the query, None when it is not there."""
    return None if text is None else int(text)
