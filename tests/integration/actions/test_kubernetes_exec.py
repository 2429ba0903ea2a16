"""`kubernetes.exec` against an API server: frames, exit codes, and doubt where there is no end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from runbookd.actions.kubernetes.kinds import DEPLOYMENT, POD
from runbookd.actions.kubernetes.remote import Tail
from runbookd.model.action import Mode, OutcomeState, Repeat
from tests.contract.actions.hands import call, every_action, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import crashing, deployment, pod
from tests.contract.actions.kube_writes import acting

STEP = {"namespace": "shop", "deployment": "api", "command": ["count", "all"]}
SUCCESS = b"\x03" + orjson.dumps({"status": "Success"})
Frames = list[bytes]


def exit_with(code: int) -> bytes:
    """The last frame of a command that ended so."""
    causes = [{"reason": "ExitCode", "message": str(code)}]
    said = {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}
    return b"\x03" + orjson.dumps(said)


def streaming(
    frames: Frames, *, hang: bool = False
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A stream of these frames, that then ends, or does not."""

    async def stream(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
        await socket.prepare(request)
        for frame in frames:
            await socket.send_bytes(frame)
        if hang:
            await asyncio.Event().wait()
        await socket.close()
        return socket

    return stream


@pytest.fixture
def api(kube: KubeApi) -> KubeApi:
    """A Deployment with a ready pod and one that is not."""
    kube.put(DEPLOYMENT, deployment())
    kube.put(POD, crashing("api-0"), pod("api-1"))
    return kube


async def test_streams_come_apart(api: KubeApi, tmp_path: Path) -> None:
    """Output, error output and exit code are told apart, and JSON is read; words of the command are not split."""
    api.handle("GET", "/exec$", streaming([b"\x01", b'\x01{"n"', b"\x02warn", b"\x01: 7}", SUCCESS]))
    async with acting(api, tmp_path) as performer:
        output = succeeded(await performer.perform(call("kubernetes.exec", STEP)))
    assert (output["pod"], output["container"], output["exit_code"]) == ("api-1", "main", 0)
    assert (output["json"], output["stderr"]) == ({"n": 7}, "warn")
    asked = api.asked[-1]
    assert (asked.path, asked.query["container"]) == ("/api/v1/namespaces/shop/pods/api-1/exec", "main")


async def test_an_unexpected_exit_code_is_a_failure(api: KubeApi, tmp_path: Path) -> None:
    """With the end of the error stream in the message, and both streams as evidence."""
    api.handle("GET", "/exec$", streaming([b"\x01out", b"\x02no rows", exit_with(3)]))
    async with acting(api, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.exec", STEP))
        assert "exit code 3: no rows" in failed(outcome, "exit_status")
        assert [piece.content for piece in outcome.evidence] == [b"out", b"no rows"]
        expected = await performer.perform(call("kubernetes.exec", {**STEP, "expect_exit": [3]}))
        assert succeeded(expected)["exit_code"] == 3


@pytest.mark.parametrize(
    ("frames", "kind", "state"),
    [
        ([b"\x01half"], "connection_lost", OutcomeState.IN_DOUBT),
        ([b"\x03not json"], "server_error", OutcomeState.IN_DOUBT),
        ([b"\x03[]"], "server_error", OutcomeState.IN_DOUBT),
        ([b"\x03" + orjson.dumps({"message": "out of memory"})], "server_error", OutcomeState.IN_DOUBT),
        ([b"\x03" + orjson.dumps({"message": "container not found"})], "not_found", OutcomeState.FAILED),
    ],
)
async def test_an_end_without_exit_code(
    api: KubeApi, tmp_path: Path, frames: Frames, kind: str, state: OutcomeState
) -> None:
    """Nobody knows how it ended, unless it is said that nothing was run; a reading command is just failed."""
    api.handle("GET", "/exec$", streaming(frames))
    async with acting(api, tmp_path) as performer:
        failed(await performer.perform(call("kubernetes.exec", STEP)), kind, state)
        reading = await performer.perform(call("kubernetes.exec", {**STEP, "reads_only": True}))
        failed(reading, kind, OutcomeState.FAILED)


async def test_a_stream_that_hangs_is_left(api: KubeApi, tmp_path: Path) -> None:
    """When time is up the command is in doubt."""
    api.handle("GET", "/exec$", streaming([b"\x01half"], hang=True))
    async with acting(api, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.exec", STEP, timeout=0.5))
        failed(outcome, "timeout", OutcomeState.IN_DOUBT)


async def test_observe_runs_only_what_reads(api: KubeApi, tmp_path: Path) -> None:
    """A command that may change something is not run in observe mode, and never again after a crash."""
    api.handle("GET", "/exec$", streaming([SUCCESS]))
    async with acting(api, tmp_path) as performer:
        left = await performer.perform(call("kubernetes.exec", STEP, mode=Mode.OBSERVE))
        assert left.state is OutcomeState.SKIPPED
        reading = {**STEP, "reads_only": True}
        succeeded(await performer.perform(call("kubernetes.exec", reading, mode=Mode.OBSERVE)))
        assert performer.repeat("kubernetes.exec", STEP) is Repeat.NEVER
        assert performer.repeat("kubernetes.exec", reading) is Repeat.SAFE
    assert every_action()["kubernetes.exec"].spec.mutates


@pytest.mark.parametrize(
    ("params", "kind", "said"),
    [
        ({"deployment": None, "selector": "app=none"}, "not_found", "no ready pod"),
        ({"deployment": None, "pod": "gone"}, "not_found", "not found"),
        ({"deployment": None, "pod": "waits"}, "conflict", "not running"),
        ({"container": "x"}, "not_found", "only main"),
        ({"pod": "api-1"}, "invalid", "exactly one"),
    ],
)
async def test_the_pod_has_to_be_there(
    api: KubeApi, tmp_path: Path, params: dict[str, object], kind: str, said: str
) -> None:
    """And to run, and to have the container; nothing is run otherwise."""
    api.put(POD, pod("waits", phase="Pending"))
    async with acting(api, tmp_path) as performer:
        assert said in failed(await performer.perform(call("kubernetes.exec", {**STEP, **params})), kind)


async def test_a_refused_stream_is_told(api: KubeApi, tmp_path: Path) -> None:
    """The answer to the handshake is the failure."""

    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=403)

    api.handle("GET", "/exec$", refuse)
    async with acting(api, tmp_path) as performer:
        message = failed(await performer.perform(call("kubernetes.exec", STEP)), "denied")
        assert 'verb "create" on "pods/exec"' in message


def test_a_tail_keeps_the_end() -> None:
    """However the bytes come, the last of them are kept, and it is known that there were more."""
    tail = Tail(4)
    for part in (b"ab", b"cd", b"ef"):
        tail.add(part)
    assert (tail.content, tail.truncated) == (b"cdef", True)
    whole = Tail(4)
    whole.add(b"abcdef")
    assert (whole.content, whole.truncated) == (b"cdef", True)
    short = Tail(4)
    short.add(b"ab")
    assert (short.content, short.truncated) == (b"ab", False)
