"""`kubernetes.top_pods` against an API server."""

from __future__ import annotations

from pathlib import Path

from runbookd.actions.kubernetes.kinds import POD, POD_METRICS, Json
from tests.contract.actions.hands import failed, perform, succeeded
from tests.contract.actions.kube_api import KubeApi, refusal
from tests.contract.actions.kube_objects import pod


def measured(name: str, cpu: str, memory: str) -> Json:
    """What a pod uses, half of it in a sidecar that tells nothing of its memory."""
    containers = [
        {"name": "main", "usage": {"cpu": cpu, "memory": memory}},
        {"name": "proxy", "usage": {"cpu": "1m"}},
    ]
    return {"metadata": {"name": name}, "timestamp": "2026-03-04T05:06:00Z", "containers": containers}


async def test_use_is_of_limits_and_requests(kube: KubeApi, tmp_path: Path) -> None:
    """Each pod with all its containers together; a pod without limits has no share of them."""
    free = pod("c")
    free["spec"]["containers"][0]["resources"] = {}
    kube.put(POD, pod("a"), pod("b"), free, pod("web", app="web"))
    kube.put(
        POD_METRICS,
        measured("a", "49m", "120Mi"),
        measured("b", "149m", "64Mi"),
        measured("c", "9m", "1Mi"),
        measured("web", "1", "1Gi"),
    )
    params = {"namespace": "shop", "selector": "app=api"}
    result = succeeded(await perform("kubernetes.top_pods", params, kube.config(tmp_path)))
    assert [(one["name"], one["cpu"], one["cpu_percent"]) for one in result["pods"]] == [
        ("b", 0.15, 75.0),
        ("a", 0.05, 25.0),
        ("c", 0.01, None),
    ]
    assert (result["cpu"], result["memory"], result["count"], result["measured"]) == (0.21, 185 * 2**20, 3, 6)
    assert (result["max_cpu_percent"], result["max_memory_percent"]) == (75.0, 93.8)
    busiest = result["pods"][0]
    assert (busiest["cpu_request_percent"], busiest["memory_request_percent"]) == (150.0, 100.0)
    assert busiest["containers"] == {"main": 0.149, "proxy": 0.001}
    by_memory = succeeded(
        await perform("kubernetes.top_pods", params | {"sort": "memory", "most": 1}, kube.config(tmp_path))
    )
    assert ([one["name"] for one in by_memory["pods"]], by_memory["count"]) == (["a"], 3)


async def test_what_is_not_measured_is_told_from_what_has_no_limit(kube: KubeApi, tmp_path: Path) -> None:
    """Without a measurement, and without pods, there is no highest share either, and nothing is measured."""
    kube.put(POD, pod("a"))
    kube.put(POD_METRICS, measured("web", "1", "1Gi"))
    for selector in ("app=api", "app=none"):
        params = {"namespace": "shop", "selector": selector}
        result = succeeded(await perform("kubernetes.top_pods", params, kube.config(tmp_path)))
        assert (result["max_cpu_percent"], result["measured"]) == (None, 0)


async def test_metrics_that_are_down_may_come_back(kube: KubeApi, tmp_path: Path) -> None:
    """A 503 of the aggregated API is a temporary failure; without the API it is none."""
    kube.put(POD, pod("a"))
    params = {"namespace": "shop"}
    outcome = await perform("kubernetes.top_pods", params, kube.config(tmp_path))
    assert "metrics.k8s.io/v1beta1" in failed(outcome, "unsupported")

    async def down(_request: object) -> object:
        return refusal(503, "the server is currently unable to handle the request")

    kube.handle("GET", "metrics.k8s.io", down)  # type: ignore[arg-type]
    outcome = await perform("kubernetes.top_pods", params, kube.config(tmp_path))
    assert failed(outcome, "unavailable")
    assert outcome.failure is not None
    assert outcome.failure.temporary
