"""`kubernetes.describe_nodes` against an API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runbookd.actions.kubernetes.kinds import NODE, POD, Json
from tests.contract.actions.hands import perform, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import pod


def node(name: str, *, ready: str = "True", **spec: Any) -> Json:
    """A node of two cores and 1 GiB."""
    return {
        "metadata": {"name": name, "labels": {"pool": name.partition("-")[0]}},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "2", "memory": "1Gi", "pods": "110"},
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": ready, "message": "kubelet stopped posting"},
            ],
            "nodeInfo": {"kubeletVersion": "v1.20.2"},
        },
    }


async def test_nodes_with_what_is_spoken_for(kube: KubeApi, tmp_path: Path) -> None:
    """Requests and limits of the pods that have not ended, against allocatable; conditions that are wrong."""
    taint = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
    kube.put(NODE, node("node-1"), node("node-2", ready="Unknown", unschedulable=True, taints=[taint]))
    nowhere = pod("c")
    nowhere["spec"]["nodeName"] = None
    kube.put(POD, pod("a"), pod("b"), nowhere, pod("d", phase="Succeeded"), pod("e", phase="Failed"))
    result = succeeded(await perform("kubernetes.describe_nodes", {}, kube.config(tmp_path)))
    assert (result["count"], result["ready"], result["problems"]) == (2, 1, 1)
    first, second = result["nodes"]
    assert first["cpu"] == {
        "allocatable": 2.0,
        "requests": 0.2,
        "requests_percent": 10.0,
        "limits": 0.4,
        "limits_percent": 20.0,
    }
    assert (first["memory"]["requests"], first["memory"]["limits_percent"]) == (2 * 64 * 2**20, 25.0)
    assert (first["pods"], first["pods_allocatable"], first["version"]) == (2, 110, "v1.20.2")
    assert (first["ready"], first["schedulable"], first["problems"]) == (True, True, [])
    assert (second["ready"], second["schedulable"]) == (False, False)
    assert second["problems"] == ["Ready: kubelet stopped posting"]
    assert second["taints"] == ["dedicated=db:NoSchedule"]
    assert second["pods"] == 0


async def test_one_node_or_a_pool(kube: KubeApi, tmp_path: Path) -> None:
    """By name only its pods are read; by label only the nodes with it are told."""
    kube.put(NODE, node("web-1"), node("db-1", taints=[{"key": "db", "effect": "NoExecute"}]))
    kube.put(POD, pod("a"))
    one = succeeded(await perform("kubernetes.describe_nodes", {"node": "db-1"}, kube.config(tmp_path)))
    assert [found["name"] for found in one["nodes"]] == ["db-1"]
    assert one["nodes"][0]["taints"] == ["db:NoExecute"]
    assert kube.lists("pods")[-1].query["fieldSelector"].endswith("spec.nodeName=db-1")
    pool = succeeded(
        await perform("kubernetes.describe_nodes", {"selector": "pool=web"}, kube.config(tmp_path))
    )
    assert [found["name"] for found in pool["nodes"]] == ["web-1"]


async def test_a_node_that_tells_little(kube: KubeApi, tmp_path: Path) -> None:
    """What it does not say is null, and no share of it is made up."""
    kube.put(NODE, {"metadata": {"name": "new"}})
    kube.put(POD)
    kube.objects["", "pods"] = []
    (found,) = succeeded(await perform("kubernetes.describe_nodes", {}, kube.config(tmp_path)))["nodes"]
    assert (found["cpu"]["allocatable"], found["cpu"]["requests_percent"]) == (None, None)
    assert (found["ready"], found["pods_allocatable"], found["version"]) == (False, None, "")
