"""A service that is killed between a write and its answer: what comes after it finds the write, and makes no other."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runbookd.model.action import Call, Probed
from tests.cluster.cluster import Cluster
from tests.cluster.custom_resources import BACKUP
from tests.cluster.faults import Fault, Trouble, fault_proxy
from tests.contract.actions.hands import succeeded
from tests.e2e.acting import WRITES, Write, acting, step
from tests.servers import eventually

ROOT = Path(__file__).parents[2]


async def killed(config: Path, call: Call, arrived: Callable[[], Awaitable[bool]]) -> None:
    """Make the call in a process of its own, and kill it when its write was carried out and waits for the answer."""
    told = json.dumps({"action": call.action, "params": dict(call.params), "key": call.key})
    command = (sys.executable, "-m", "tests.e2e.child", str(config), told)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    try:
        await eventually(arrived, within=30, what="the write was carried out")
        assert process.returncode is None
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize(
    "write",
    [write for write in WRITES.values() if write.namespaced],
    ids=[name for name, write in WRITES.items() if write.namespaced],
)
async def test_a_killed_change_is_found(cluster: Cluster, write: Write) -> None:
    """After a SIGKILL the probe says that the change was made, and gives what its undo needs."""
    name = write.names[0]
    async with fault_proxy(cluster.world.plane) as proxy:
        await write.prepare(cluster, name)
        before = await write.state(cluster, name)
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        call = step(write.action, write.with_(cluster, name))
        proxy.faults.append(Fault(Trouble.HOLD_ANSWER, method="PATCH"))

        async def changed() -> bool:
            return await write.state(cluster, name) != before

        await killed(config, call, changed)
        async with acting(config) as performer:
            answer, known = await performer.probe(call)
            assert answer is Probed.DONE
            assert known is not None
            succeeded(await performer.perform(call))
            assert len(proxy.writes()) == 1
            if write.undoable:
                succeeded(await performer.undo(step(write.action, call.params), known.output))
                assert await write.state(cluster, name) == before


async def test_a_killed_backup_is_not_made_twice(cluster: Cluster) -> None:
    """After a SIGKILL the next attempt finds the backup and waits for it."""
    async with fault_proxy(cluster.world.plane) as proxy:
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        call = step("velero.create_backup", {"namespaces": [cluster.namespace]})
        proxy.faults.append(Fault(Trouble.HOLD_ANSWER, "/backups$", "POST"))

        async def count() -> int:
            items = (await cluster.api.get(BACKUP.path("velero")))["items"]
            return len([one for one in items if call.key in str(one["metadata"].get("annotations"))])

        async def made() -> bool:
            return await count() == 1

        await killed(config, call, made)
        async with acting(config) as performer:
            assert succeeded(await performer.perform(call))["done"] is True
        assert await count() == 1
