"""Reads of a large cluster: in pages, and in bounded memory."""

from __future__ import annotations

import asyncio
import tracemalloc

from tests.cluster.cluster import Cluster, deployment
from tests.cluster.faults import fault_proxy
from tests.contract.actions.hands import succeeded
from tests.e2e.acting import acting, step

PODS, DEPLOYMENTS, PAGE = 500, 200, 50
SELECTOR = "app=large"


async def fill(cluster: Cluster) -> None:
    """Make 500 pods and 200 Deployments; nothing runs them."""
    labels = {"app": "large"}
    # Their node does not exist, so that they are only there to be read.
    spec = {"nodeName": "nowhere", "containers": [{"name": "main", "image": "app:good-1"}]}
    note = {"example.com/padding": "x" * 8000}
    bodies = [
        (
            cluster.path("pods"),
            {"metadata": {"name": f"p-{n:03}", "labels": labels, "annotations": note}, "spec": spec},
        )
        for n in range(PODS)
    ] + [
        (cluster.path("deployments"), deployment(f"d-{n:03}", "app:good-1", 0, {}))
        for n in range(DEPLOYMENTS)
    ]
    at_once = asyncio.Semaphore(8)

    async def make(path: str, body: dict[str, object]) -> None:
        async with at_once:
            await cluster.api.create(path, body)

    await asyncio.gather(*(make(path, body) for path, body in bodies))


async def peak_of(cluster: Cluster, page_size: int) -> int:
    """The most bytes that were allocated at once while the pods were read in such pages."""
    async with acting(cluster.kubeconfig(), page_size=page_size) as performer:
        read = step("kubernetes.get_pods", {"namespace": cluster.namespace, "selector": SELECTOR, "most": 10})
        succeeded(await performer.perform(read))  # what is made once, such as connections, is there now
        tracemalloc.start()
        result = succeeded(await performer.perform(read))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (result["looked_at"], len(result["pods"]), result["truncated"]) == (PODS, 10, True)
    return peak


async def test_a_large_namespace_is_read_in_pages_and_bounded_memory(cluster: Cluster) -> None:
    """500 pods and 200 Deployments are counted whole, page by page; of the pods only a page is held at once."""
    await fill(cluster)
    in_pages, at_once = await peak_of(cluster, PAGE), await peak_of(cluster, 1000)
    assert in_pages < at_once / 3
    async with (
        fault_proxy(cluster.world.plane) as proxy,
        acting(cluster.world.plane.kubeconfig(server=proxy.url), page_size=PAGE) as performer,
    ):
        wanted = {"namespaces": [cluster.namespace], "kinds": ["deployments"]}
        exported = succeeded(await performer.perform(step("kubernetes.export_resources", wanted)))
        assert exported["objects"] == DEPLOYMENTS
        assert len(proxy.calls) == DEPLOYMENTS // PAGE
        assert all(f"limit={PAGE}" in one.query for one in proxy.calls)
