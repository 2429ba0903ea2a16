"""`kubernetes.get_pods` against an API server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbookd.actions.kubernetes.kinds import POD, Json
from tests.contract.actions.hands import failed, perform, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import CREATED, crashing, pod


async def seen(kube: KubeApi, folder: Path, **params: Any) -> Mapping[str, Any]:
    """The result."""
    return succeeded(
        await perform("kubernetes.get_pods", {"namespace": "shop"} | params, kube.config(folder))
    )


async def test_pods_are_told_with_their_trouble(kube: KubeApi, tmp_path: Path) -> None:
    """Every pod with phase, readiness, restarts and reason, and the sums over all of them."""
    kube.put(POD, pod("api-1"), crashing("api-2", restarts=7), pod("web-1", app="web"))
    result = await seen(kube, tmp_path)
    assert [one["name"] for one in result["pods"]] == ["api-1", "api-2", "web-1"]
    assert (result["count"], result["looked_at"], result["ready"], result["restarts"]) == (3, 3, 2, 7)
    assert result["statuses"] == {"CrashLoopBackOff": 1, "Running": 2}
    assert sum(result["cannot_run"].values()) == 1
    broken = result["pods"][1]
    assert (broken["status"], broken["last_reason"], broken["images"]) == (
        "CrashLoopBackOff",
        "OOMKilled",
        ["shop:1"],
    )
    assert (await seen(kube, tmp_path, selector="app=web"))["count"] == 1


async def test_what_never_ran_is_told_by_its_controller(kube: KubeApi, tmp_path: Path) -> None:
    """If all its pods cannot run and none ever did; one that runs, has run or has not been tried speaks for it."""

    def owned(found: Json, owner: str) -> Json:
        owners = [{"kind": "ReplicaSet", "name": owner, "controller": True}]
        found["metadata"]["ownerReferences"] = owners
        for one in found["status"]["conditions"]:
            one["lastTransitionTime"] = CREATED
        return found

    going = pod("g", ready=False)
    going["metadata"]["deletionTimestamp"] = CREATED
    kube.put(
        POD,
        *(owned(crashing(name), "new") for name in ("a", "b")),
        owned(going, "new"),
        *(owned(crashing(name), "half") for name in ("c", "d")),
        owned(pod("e", ready=False, phase="Pending", containerStatuses=[]), "half"),
        owned(pod("f"), "old"),
        crashing("alone"),
    )
    assert (await seen(kube, tmp_path))["never_ran"] == ["ReplicaSet/new"]


async def test_only_what_needs_attention_is_listed(kube: KubeApi, tmp_path: Path) -> None:
    """`not_running` leaves out what runs or has ended well; `not_ready` what has ended or goes, however it did."""
    done = pod("job-1", ready=False, phase="Succeeded", containerStatuses=[])
    evicted = pod("d", ready=False, phase="Failed", reason="Evicted", containerStatuses=[])
    going = pod("e", ready=False)
    going["metadata"]["deletionTimestamp"] = "2026-03-04T00:00:00Z"
    kube.put(POD, pod("a"), crashing("b"), pod("c", ready=False), evicted, going, done)
    for only, names in (("not_running", ["b", "d", "e"]), ("not_ready", ["b", "c"])):
        result = await seen(kube, tmp_path, only=only)
        assert [one["name"] for one in result["pods"]] == names
        assert (result["count"], result["looked_at"]) == (len(names), 6)
        assert (result["ended"], result["terminating"]) == (2, 1)


async def test_a_long_list_comes_in_pages_and_is_counted_whole(kube: KubeApi, tmp_path: Path) -> None:
    """No page is larger than set; what is not shown is still counted."""
    kube.put(POD, *(pod(f"p-{number:03}") for number in range(25)))
    config = kube.config(tmp_path, page_size=10)
    result = succeeded(await perform("kubernetes.get_pods", {"namespace": "shop", "most": 3}, config))
    assert ([one["name"] for one in result["pods"]], result["count"]) == (["p-000", "p-001", "p-002"], 25)
    assert result["truncated"]
    assert [one.query["limit"] for one in kube.lists("pods")] == ["10"] * 3
    assert [one.query.get("continue") for one in kube.lists("pods")] == [None, "10", "20"]


async def test_every_namespace_can_be_read(kube: KubeApi, tmp_path: Path) -> None:
    """Without a namespace the list is of the whole cluster."""
    elsewhere = pod("b")
    elsewhere["metadata"]["namespace"] = "other"
    kube.put(POD, pod("a"), elsewhere)
    assert (await seen(kube, tmp_path, namespace=None))["count"] == 2


async def test_a_namespace_is_a_name(kube: KubeApi, tmp_path: Path) -> None:
    """Text that would lead elsewhere is refused before anything is asked."""
    outcome = await perform("kubernetes.get_pods", {"namespace": "shop/secrets?x="}, kube.config(tmp_path))
    assert "namespace" in failed(outcome, "invalid")
    assert kube.asked == []
