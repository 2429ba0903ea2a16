"""The nodes the harness plays: what they are, and which of them takes a pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.cluster.api import Object

CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "1000", "ephemeral-storage": "100Gi"}
ALLOCATABLE = CAPACITY | {"cpu": "3800m", "memory": "7Gi"}


def node(name: str) -> Object:
    """A Node to create."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def node_status(name: str, port: int, now: str) -> Object:
    """The status of a node that is ready, and whose kubelet listens on this port of loopback."""
    return {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "capacity": CAPACITY,
        "allocatable": ALLOCATABLE,
        "conditions": [
            _condition("Ready", "True", "KubeletReady", now),
            _condition("MemoryPressure", "False", "KubeletHasSufficientMemory", now),
            _condition("DiskPressure", "False", "KubeletHasNoDiskPressure", now),
            _condition("PIDPressure", "False", "KubeletHasSufficientPID", now),
        ],
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": "",
            "containerRuntimeVersion": "harness://1",
            "kernelVersion": "6.1",
            "kubeProxyVersion": "",
            "kubeletVersion": "v1.20.2",
            "machineID": "",
            "operatingSystem": "linux",
            "osImage": "harness",
            "systemUUID": "",
        },
    }


def choose(pod: Object, nodes: Mapping[str, Object], load: Mapping[str, int]) -> str | None:
    """The node for a pod: the one its affinity names (a DaemonSet's), else the schedulable one with the fewest
    pods; None when there is none."""
    wanted = _named_node(pod)
    if wanted is not None:
        return wanted if wanted in nodes else None
    free = [name for name, each in nodes.items() if not each["spec"].get("unschedulable")]
    return min(free, key=lambda name: (load.get(name, 0), name), default=None)


def _named_node(pod: Object) -> str | None:
    """The node that the DaemonSet controller wrote into a pod's affinity (matchFields metadata.name)."""
    path = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    found: Any = pod["spec"]
    for key in path:
        found = found.get(key) or {}
    for term in found.get("nodeSelectorTerms", []):
        for field in term.get("matchFields", []):
            name: str = field["values"][0]
            return name
    return None


def _condition(name: str, status: str, reason: str, now: str) -> Object:
    times = {"lastHeartbeatTime": now, "lastTransitionTime": now}
    return {"type": name, "status": status, "reason": reason, "message": reason} | times
