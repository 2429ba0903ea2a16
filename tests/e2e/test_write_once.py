"""Every write action is made once: though its answer is lost, though the service is killed before it comes."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from runbookd.actions.performer import CataloguePerformer
from runbookd.model.action import Call, Outcome, OutcomeState, Probed, Repeat
from tests.cluster.cluster import Cluster
from tests.cluster.faults import Fault, FaultProxy, Trouble, fault_proxy
from tests.contract.actions.hands import failed, succeeded
from tests.e2e.acting import acting, step
from tests.e2e.deeds import Deed, Proof, Sent, proves_each_request
from tests.servers import eventually

ROOT = Path(__file__).parents[2]


async def killed(config: Path, call: Call, proxy: FaultProxy, sent: Sent) -> None:
    """Make the call in a process of its own, and kill it when its write was carried out and waits for the answer."""
    told = json.dumps({"action": call.action, "params": dict(call.params), "key": call.key})
    command = (sys.executable, "-m", "tests.e2e.child", str(config), told)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    try:
        await eventually(
            lambda: proxy.times(sent.method, sent.path), within=60, what="the write was carried out"
        )
        assert process.returncode is None
    finally:
        process.kill()
        await process.wait()


async def carried_on(performer: CataloguePerformer, call: Call) -> Outcome | None:
    """Do with a call in doubt what the service does, as the action's `repeat` says; the outcome, if one is known."""
    repeat = performer.repeat(call.action, call.params)
    answer, known = await performer.probe(call)
    if repeat is Repeat.SAFE:
        for _ in range(2):
            known = await performer.perform(call)
            succeeded(known)
    else:
        assert answer is (Probed.DONE if repeat is Repeat.PROBE else Probed.UNKNOWN)
    return known


async def _undone(performer: CataloguePerformer, call: Call, deed: Deed, known: Outcome | None) -> None:
    """Where there is an undo, what is known of the write is enough for it."""
    if Proof.UNDO not in deed.without:
        assert known is not None
        succeeded(await performer.undo(step(deed.action, call.params), known.output))


@proves_each_request(Proof.LOST)
async def test_a_lost_answer_does_not_do_it_twice(cluster: Cluster, deed: Deed, sent: Sent) -> None:
    """A write whose answer is lost is in doubt; it is found done and not made again, and can be undone."""
    name = deed.names[0]
    async with deed.prepared(cluster, name), fault_proxy(cluster.world.plane) as proxy:
        former = await deed.former(cluster, name)
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        async with acting(config) as performer:
            call = step(deed.action, await deed.params(cluster, name))
            proxy.faults.append(Fault(Trouble.DROP_ANSWER, sent.path, sent.method))
            failed(await performer.perform(call), "connection_lost", OutcomeState.IN_DOUBT)
            assert proxy.times(sent.method, sent.path) == 1
            known = await carried_on(performer, call)
            for each in deed.sent.values():
                assert proxy.times(each.method, each.path) == 1
            await _undone(performer, call, deed, known)
        if Proof.UNDO not in deed.without:

            async def back() -> bool:
                return bool(await deed.former(cluster, name) == former)

            await eventually(back, within=20, what="the former state is back")


@proves_each_request(Proof.KILLED)
async def test_a_killed_service_does_not_do_it_twice(cluster: Cluster, deed: Deed, sent: Sent) -> None:
    """After a SIGKILL between the call and its outcome the write is found done, and not made again."""
    name = deed.names[0]
    async with deed.prepared(cluster, name), fault_proxy(cluster.world.plane) as proxy:
        former = await deed.former(cluster, name)
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        call = step(deed.action, await deed.params(cluster, name))
        proxy.faults.append(Fault(Trouble.HOLD_ANSWER, sent.path, sent.method))
        await killed(config, call, proxy, sent)
        async with acting(config) as performer:
            known = await carried_on(performer, call)
            for each in deed.sent.values():
                assert proxy.times(each.method, each.path) == 1
            await _undone(performer, call, deed, known)
        if Proof.UNDO not in deed.without:

            async def back() -> bool:
                return bool(await deed.former(cluster, name) == former)

            await eventually(back, within=20, what="the former state is back")
