"""What metrics-server would say (metrics.k8s.io/v1beta1): each ready container's usage, and each node's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from tests.cluster.api import Api, ApiRefusalError, Object
from tests.cluster.custom_resources import NODE_METRICS, POD_METRICS
from tests.cluster.pod_life import stamp

IDLE = {"cpu": "5m", "memory": "20Mi"}
NODE_USAGE = {"cpu": "500m", "memory": "1Gi"}
WINDOW = "15s"


async def measure_nodes(api: Api) -> None:
    """Give every node its usage."""
    for node in (await api.get("/api/v1/nodes"))["items"]:
        await set_node_usage(api, node["metadata"]["name"], NODE_USAGE)


async def measure_pods(api: Api) -> None:
    """Give every pod that comes up a usage, until cancelled; it goes with the pod."""
    measured: set[str] = set()
    async for change, pod in api.watch("/api/v1/pods"):
        uid = pod["metadata"]["uid"]
        if change == "DELETED":
            measured.discard(uid)
        elif uid not in measured and pod["status"].get("phase") == "Running":
            measured.add(uid)
            try:
                await set_pod_usage(api, pod, IDLE)
            except ApiRefusalError as refusal:
                # 403, 404, 409: the pod or its namespace is on its way out.
                if refusal.status not in {403, 404, 409}:
                    raise


async def set_pod_usage(api: Api, pod: Object, usage: Mapping[str, str]) -> None:
    """Say that each container of a pod uses so much `cpu` and `memory` (Kubernetes quantities)."""
    metadata = pod["metadata"]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    body = {
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": metadata.get("labels", {}),
            "ownerReferences": [owner],
        },
        "containers": [{"name": each["name"], "usage": dict(usage)} for each in pod["spec"]["containers"]],
    }
    await _put(api, POD_METRICS.path(metadata["namespace"]), "PodMetrics", body)


async def set_node_usage(api: Api, name: str, usage: Mapping[str, str]) -> None:
    """Say that a node uses so much `cpu` and `memory`."""
    await _put(api, NODE_METRICS.path(), "NodeMetrics", {"metadata": {"name": name}, "usage": dict(usage)})


async def _put(api: Api, collection: str, kind: str, body: Object) -> None:
    """Create or replace a measurement, taken now."""
    measured = {"timestamp": stamp(dt.datetime.now(dt.UTC)), "window": WINDOW}
    whole = {"apiVersion": "metrics.k8s.io/v1beta1", "kind": kind} | body | measured
    try:
        await api.create(collection, whole)
    except ApiRefusalError as refusal:
        if refusal.status != 409:
            raise
        await api.patch(f"{collection}/{body['metadata']['name']}", body | measured)
