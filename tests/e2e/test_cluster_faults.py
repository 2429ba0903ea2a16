"""The proxy that makes trouble on purpose, and what is left when the tests themselves die."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.cluster.api import Api, ApiRefusalError
from tests.cluster.cluster import Cluster
from tests.cluster.faults import Fault, FaultProxy, Trouble, fault_proxy
from tests.servers import eventually

ROOT = Path(__file__).parents[2]
GOOD = "app:good-1"


@contextlib.asynccontextmanager
async def through(proxy: FaultProxy, cluster: Cluster) -> AsyncIterator[Cluster]:
    """The same namespace, its API client going through a proxy."""
    api = Api(proxy.url, proxy.plane.users["admin"], proxy.plane.trust())
    async with api:
        yield Cluster(cluster.world, cluster.namespace, api)


async def test_faults(cluster: Cluster) -> None:
    """The proxy refuses, drops and holds calls as told; one whose answer is dropped was carried out."""
    name: dict[str, Any] = {"metadata": {"name": "web"}}
    async with fault_proxy(cluster.world.plane) as proxy, through(proxy, cluster) as proxied:
        proxy.faults.append(Fault(Trouble.REFUSE, "configmaps", "POST", 429))
        with pytest.raises(ApiRefusalError, match="429"):
            await proxied.api.create(proxied.path("configmaps"), name)
        proxy.faults.append(Fault(Trouble.DROP, "configmaps", "POST"))
        with pytest.raises(aiohttp.ClientError):
            await proxied.api.create(proxied.path("configmaps"), name)
        proxy.faults.append(Fault(Trouble.HANG, "configmaps", "POST"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await proxied.api.create(proxied.path("configmaps"), name)
        with pytest.raises(ApiRefusalError, match="404"):
            await cluster.api.get(cluster.path("configmaps", "web"))
        proxy.faults.append(Fault(Trouble.DROP_ANSWER, "configmaps", "POST"))
        with pytest.raises(aiohttp.ClientError):
            await proxied.api.create(proxied.path("configmaps"), name)
        assert await proxied.api.get(proxied.path("configmaps", "web"))
        assert len(proxy.writes()) == 4


async def test_exec_through_the_proxy(cluster: Cluster) -> None:
    """Commands and exec of kubectl work through the proxy, which counts the call."""
    await cluster.deploy("web", GOOD, replicas=1)
    await cluster.wait_rolled_out("web")
    async with fault_proxy(cluster.world.plane) as proxy:
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        ran = await cluster.kubectl(f"--kubeconfig={config}", "exec", "deployment/web", "--", "echo", "hello")
        assert ran.stdout == "hello\n"
        assert any(call.path.endswith("/exec") for call in proxy.calls)


async def test_a_killed_session_leaves_no_process(tmp_path: Path) -> None:
    """When the tests die by SIGKILL the control plane dies with them."""
    script = (
        "import time\n"
        "from tests.cluster.world import world\n"
        "with world() as started:\n"
        "    print(*started.plane.pids, flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    pids = [int(word) for word in (await process.stdout.readline()).split()]
    assert len(pids) == 3
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await eventually(lambda: not any(_lives(pid) for pid in pids), within=10, what="all three are gone")


def _lives(pid: int) -> bool:
    """Whether a process runs, and is not only waiting to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
