"""Reads of a large cluster, on a real control plane, beside the bare SDK: `make bench ARGS=kubernetes`.

500 pods, 200 Deployments, 1,000 events, 20 pods with logs. The reads are made in a process of its own, so that neither
the played nodes nor the harness are counted: `python -m tests.bench.kubernetes KUBECONFIG NAMESPACE`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kubernetes_asyncio.client
import kubernetes_asyncio.config
import pytest

from tests.cluster import metrics
from tests.cluster.api import Api
from tests.cluster.cluster import Cluster, deployment
from tests.cluster.control_plane import binaries
from tests.cluster.pod_life import stamp
from tests.cluster.world import world
from tests.contract.actions.hands import succeeded
from tests.e2e.acting import acting, step

PODS, DEPLOYMENTS, EVENTS, RUNNING, LINES, REVISIONS = 500, 200, 1_000, 20, 1_000, 10
PAGE = 100
"""Objects in a page: the default of `actions.kubernetes.page_size`."""
TIMES = 5
NAMESPACE = "bench"
WITHIN = 300.0

Read = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One read: the best of some times, in seconds, and the most bytes that were allocated at once."""

    what: str
    seconds: float
    peak: int
    bare_seconds: float
    bare_peak: int
    paged_seconds: float | None = None
    paged_peak: int | None = None


def missing() -> str:
    """Why there is no control plane to measure on; "" when there is one."""
    try:
        binaries()
    except (pytest.skip.Exception, pytest.fail.Exception) as reason:
        return str(reason)
    return ""


def figures() -> list[Figure]:
    """Fill a cluster and read it."""
    with world() as started:
        cluster = asyncio.run(_fill(started))
        command = [sys.executable, "-m", "tests.bench.kubernetes", str(cluster.kubeconfig()), NAMESPACE]
        told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=WITHIN)
    return [Figure(**one) for one in json.loads(told.stdout)]


async def _fill(started: Any) -> Cluster:
    """Make what is read; the pods of a node that does not exist are only there to be read."""
    async with started.plane.api() as api:
        cluster = Cluster(started, NAMESPACE, api)
        await api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        for number in range(1, REVISIONS + 1):
            await cluster.deploy("web", f"app:good-{number}", RUNNING)
            await cluster.wait_rolled_out("web", within=60)
        lines = [f"2026-03-04T05:06:07Z INFO request {number} served in 12 ms" for number in range(LINES)]
        started.logs.write(NAMESPACE, "web", lines)
        await _each(api, _objects(cluster))
        pods = (await api.get(cluster.path("pods")))["items"]
        await _at_once(metrics.set_pod_usage(api, pod, metrics.IDLE) for pod in pods)
        return cluster


def _objects(cluster: Cluster) -> Iterator[tuple[str, dict[str, Any]]]:
    spec = {"nodeName": "nowhere", "containers": [{"name": "main", "image": "app:good-1"}]}
    note = {"example.com/padding": "x" * 4_000}
    for number in range(PODS - RUNNING):
        metadata = {"name": f"p-{number:03}", "labels": {"app": "large"}, "annotations": note}
        yield cluster.path("pods"), {"metadata": metadata, "spec": spec}
    for number in range(DEPLOYMENTS - 1):
        yield cluster.path("deployments"), deployment(f"d-{number:03}", "app:good-1", 0, {})
    now = stamp(datetime.now(UTC))
    for number in range(EVENTS):
        yield (
            cluster.path("events"),
            {
                "metadata": {"name": f"e-{number:04}"},
                "involvedObject": {
                    "kind": "Pod",
                    "name": f"p-{number % PODS:03}",
                    "namespace": NAMESPACE,
                    "apiVersion": "v1",
                },
                "reason": "BackOff",
                "type": "Warning",
                "message": "Back-off restarting failed container",
                "count": 1,
                "firstTimestamp": now,
                "lastTimestamp": now,
            },
        )


async def _each(api: Api, objects: Iterator[tuple[str, dict[str, Any]]]) -> None:
    await _at_once(api.create(path, body) for path, body in objects)


async def _at_once(works: Iterator[Awaitable[object]]) -> None:
    """Do them, eight at a time."""

    async def work() -> None:
        for each in works:
            await each

    await asyncio.gather(*(work() for _ in range(8)))


@contextlib.asynccontextmanager
async def _sdk(kubeconfig: str) -> AsyncIterator[Any]:
    """The bare SDK, signed in."""
    configuration = kubernetes_asyncio.client.Configuration()
    await kubernetes_asyncio.config.load_kube_config(kubeconfig, client_configuration=configuration)
    async with kubernetes_asyncio.client.ApiClient(configuration) as api:
        yield api


async def _measured(read: Read) -> tuple[float, int]:
    """The best time of some reads, and the most bytes held at once in one more, which tracing slows."""
    await read()  # connections and what else is made once
    best = float("inf")
    for _ in range(TIMES):
        begun = time.perf_counter()
        await read()
        best = min(best, time.perf_counter() - begun)
    tracemalloc.start()
    await read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return best, peak


async def _paged(listing: Callable[..., Awaitable[Any]], *place: str) -> None:
    """Read a list with the SDK, page by page, keeping none."""
    more = ""
    while True:
        found = await listing(*place, limit=PAGE, **({"_continue": more} if more else {}))
        more = found.metadata._continue  # noqa: SLF001 - `continue` is a word of Python
        if not more:
            return


async def _child(kubeconfig: str, namespace: str) -> list[Figure]:
    """Make the reads, ours and the bare ones."""
    there = {"namespace": namespace}
    async with acting(Path(kubeconfig), page_size=PAGE) as performer, _sdk(kubeconfig) as api:
        core = kubernetes_asyncio.client.CoreV1Api(api)
        apps = kubernetes_asyncio.client.AppsV1Api(api)
        custom = kubernetes_asyncio.client.CustomObjectsApi(api)

        def ours(action: str, **params: object) -> Read:
            async def read() -> object:
                return succeeded(await performer.perform(step(f"kubernetes.{action}", params, within=60)))

            return read

        async def logs() -> None:
            found = await core.list_namespaced_pod(namespace, label_selector="app=web")
            for pod in found.items:
                await core.read_namespaced_pod_log(pod.metadata.name, namespace, tail_lines=LINES)

        async def used() -> None:
            await core.list_namespaced_pod(namespace)
            await custom.list_namespaced_custom_object("metrics.k8s.io", "v1beta1", namespace, "pods")

        async def history() -> None:
            await apps.read_namespaced_deployment("web", namespace)
            await apps.list_namespaced_replica_set(namespace, label_selector="app=web")

        async def figure(what: str, read: Read, bare: Read, paged: Read | None = None) -> Figure:
            pages = await _measured(paged) if paged is not None else (None, None)
            return Figure(what, *await _measured(read), *await _measured(bare), *pages)

        def lists(listing: Callable[..., Awaitable[Any]]) -> tuple[Read, Read]:
            return lambda: listing(namespace), lambda: _paged(listing, namespace)

        return [
            await figure(
                f"get_pods, {PODS} pods", ours("get_pods", **there), *lists(core.list_namespaced_pod)
            ),
            await figure(
                f"get_events, {EVENTS:,} and more",
                ours("get_events", **there),
                *lists(core.list_namespaced_event),
            ),
            await figure(
                f"logs, {RUNNING} pods, {LINES:,} lines each",
                ours("logs", **there, selector="app=web", tail=LINES),
                logs,
            ),
            await figure(f"top_pods, {PODS} pods", ours("top_pods", **there), used),
            await figure(
                f"rollout_history, {REVISIONS} revisions",
                ours("rollout_history", **there, deployment="web"),
                history,
            ),
            await figure(
                f"export_resources, {DEPLOYMENTS} Deployments",
                ours("export_resources", namespaces=[namespace], kinds=["deployments"]),
                *lists(apps.list_namespaced_deployment),
            ),
        ]


if __name__ == "__main__":
    print(json.dumps([asdict(one) for one in asyncio.run(_child(*sys.argv[1:]))]))
