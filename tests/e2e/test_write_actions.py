"""Every write that changes one object, on a real API server: foreign changes, lost writes, marks and protection."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from runbookd.model.action import OutcomeState, Probed
from tests.cluster.cluster import Cluster
from tests.cluster.faults import Fault, Trouble, fault_proxy
from tests.contract.actions.hands import failed, succeeded
from tests.e2e.acting import WRITES, Write, acting, step

each_write = pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))


@contextlib.asynccontextmanager
async def left_as_found(cluster: Cluster, write: Write) -> AsyncIterator[None]:
    """What every test shares, the nodes, takes pods again afterwards."""
    try:
        yield
    finally:
        if not write.namespaced:
            await cluster.kubectl("uncordon", *write.names)


@pytest.mark.parametrize(
    "write",
    [write for write in WRITES.values() if write.foreign],
    ids=[name for name, write in WRITES.items() if write.foreign],
)
async def test_the_undo_does_not_go_over_a_foreign_change(cluster: Cluster, write: Write) -> None:
    """When somebody has changed what the action left there, the undo leaves it to a person."""
    name = write.names[0]
    async with acting(cluster.kubeconfig()) as performer:
        await write.prepare(cluster, name)
        done = step(write.action, write.with_(cluster, name))
        output = succeeded(await performer.perform(done))
        assert write.foreign is not None
        await cluster.kubectl(*write.foreign(name))
        foreign = await write.state(cluster, name)
        undone = await performer.undo(step(write.action, done.params), output)
        assert "a person decides" in failed(undone, "conflict")
        assert await write.state(cluster, name) == foreign


@each_write
async def test_a_lost_answer_is_told_by_the_mark(cluster: Cluster, write: Write) -> None:
    """A write whose answer is lost is found by its mark; the next attempt gives what the lost one would have."""
    name = write.names[0]
    async with left_as_found(cluster, write), fault_proxy(cluster.world.plane) as proxy:
        await write.prepare(cluster, name)
        before = await write.state(cluster, name)
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        async with acting(config) as performer:
            call = step(write.action, write.with_(cluster, name))
            assert await performer.probe(call) == (Probed.NOT_DONE, None)
            proxy.faults.append(Fault(Trouble.DROP_ANSWER, method="PATCH"))
            failed(await performer.perform(call), "connection_lost", OutcomeState.IN_DOUBT)
            after = await write.state(cluster, name)
            assert after != before

            answer, known = await performer.probe(call)
            assert answer is Probed.DONE
            assert known is not None
            again = succeeded(await performer.perform(call))
            assert (again["changed"], again["revert"]) == (True, known.output["revert"])
            assert proxy.times("PATCH", "") == 1
            assert await write.state(cluster, name) == after


@each_write
async def test_a_write_that_never_arrived_is_made_once(cluster: Cluster, write: Write) -> None:
    """A write that was lost on its way is in doubt; the probe finds nothing done, and the next attempt does it."""
    name = write.names[0]
    async with left_as_found(cluster, write), fault_proxy(cluster.world.plane) as proxy:
        await write.prepare(cluster, name)
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        async with acting(config) as performer:
            call = step(write.action, write.with_(cluster, name))
            proxy.faults.append(Fault(Trouble.DROP, method="PATCH"))
            failed(await performer.perform(call), "connection_lost", OutcomeState.IN_DOUBT)
            assert await performer.probe(call) == (Probed.NOT_DONE, None)
            assert succeeded(await performer.perform(call))["changed"] is True


@each_write
async def test_what_is_protected_is_refused(cluster: Cluster, write: Write) -> None:
    """A protected namespace or name is refused before anything is sent."""
    name = write.names[0]
    kind = write.path.rpartition("/")[2]
    written = f"{kind}/{cluster.namespace}/{name}" if write.namespaced else f"{kind}/{name}"
    call = step(write.action, write.with_(cluster, name))
    async with acting(cluster.kubeconfig(), protected=[written]) as performer:
        assert "is protected" in failed(await performer.perform(call), "refused")
    if write.namespaced:
        async with acting(cluster.kubeconfig(), protected_namespaces=[cluster.namespace]) as performer:
            assert "protected namespace" in failed(await performer.perform(call), "refused")
