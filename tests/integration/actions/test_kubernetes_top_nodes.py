"""`kubernetes.top_nodes` against an API server."""

from __future__ import annotations

from pathlib import Path

from runbookd.actions.kubernetes.kinds import NODE, NODE_METRICS, Json
from tests.contract.actions.hands import failed, perform, succeeded
from tests.contract.actions.kube_api import KubeApi


def node(name: str) -> Json:
    """A node of four cores, two of them allocatable."""
    capacity = {"capacity": {"cpu": "4"}, "allocatable": {"cpu": "2", "memory": "1Gi"}}
    return {"metadata": {"name": name, "labels": {"pool": "web"}}, "status": capacity}


def measured(name: str, cpu: str, memory: str) -> Json:
    """What a node uses."""
    used = {"cpu": cpu, "memory": memory}
    return {"metadata": {"name": name}, "timestamp": "2026-03-04T05:06:00Z", "usage": used}


async def test_use_is_of_what_is_allocatable(kube: KubeApi, tmp_path: Path) -> None:
    """The busiest first; percentages are not of the capacity."""
    kube.put(NODE, node("a"), node("b"))
    kube.put(
        NODE_METRICS,
        measured("a", "500m", "256Mi"),
        measured("b", "1500000000n", "128Mi"),
        measured("gone", "2", "1Gi"),
    )
    result = succeeded(await perform("kubernetes.top_nodes", {"selector": "pool=web"}, kube.config(tmp_path)))
    assert [(one["name"], one["cpu"], one["cpu_percent"]) for one in result["nodes"]] == [
        ("b", 1.5, 75.0),
        ("a", 0.5, 25.0),
    ]
    assert (result["count"], result["max_cpu_percent"], result["max_memory_percent"]) == (2, 75.0, 25.0)


async def test_a_cluster_without_metrics_is_told(kube: KubeApi, tmp_path: Path) -> None:
    """Without metrics-server the failure says what to install."""
    kube.put(NODE, node("a"))
    outcome = await perform("kubernetes.top_nodes", {}, kube.config(tmp_path))
    assert "install metrics-server" in failed(outcome, "unsupported")


async def test_no_measurement_is_no_number(kube: KubeApi, tmp_path: Path) -> None:
    """Nodes that were not measured yet are left out, and there is no highest share."""
    kube.put(NODE, node("a"))
    kube.objects["metrics.k8s.io", "nodes"] = []
    result = succeeded(await perform("kubernetes.top_nodes", {}, kube.config(tmp_path)))
    assert (result["nodes"], result["max_cpu_percent"]) == ([], None)


async def test_a_missing_right_is_not_taken_for_missing_metrics(kube: KubeApi, tmp_path: Path) -> None:
    """Who may not read the metrics is told so."""
    kube.put(NODE, node("a"))
    kube.put(NODE_METRICS, measured("a", "1", "1"))
    kube.refused.add("list nodes.metrics.k8s.io")
    outcome = await perform("kubernetes.top_nodes", {}, kube.config(tmp_path))
    assert 'verb "list" on "nodes" (API group "metrics.k8s.io")' in failed(outcome, "denied")
