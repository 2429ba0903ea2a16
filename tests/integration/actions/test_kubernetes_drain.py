"""`kubernetes.drain` against an API server: what moves, what stays, what holds it back."""

from __future__ import annotations

from pathlib import Path

from runbookd.actions.kubernetes.kinds import NODE, POD, Json
from runbookd.model.action import Mode
from tests.contract.actions.hands import call, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import pod
from tests.contract.actions.kube_writes import accept_writes, acting

STEP = {"node": "node-1"}


def owned(name: str, kind: str = "ReplicaSet") -> Json:
    """A pod that something controls."""
    found = pod(name)
    found["metadata"]["ownerReferences"] = [{"kind": kind, "name": "x", "uid": "u", "controller": True}]
    return found


async def test_pods_are_moved_and_the_node_takes_none(kube: KubeApi, tmp_path: Path) -> None:
    """Pods of DaemonSets and static ones stay; observed nothing moves; the undo lets pods come again."""
    writes = accept_writes(kube)
    kube.put(NODE, {"metadata": {"name": "node-1"}, "spec": {}})
    static = pod("static")
    static["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    kube.put(POD, owned("api-1"), owned("agent", "DaemonSet"), static)
    made = call("kubernetes.drain", {**STEP, "grace_period": "5s"})
    async with acting(kube, tmp_path) as performer:
        seen = await performer.perform(call("kubernetes.drain", STEP, mode=Mode.OBSERVE))
        assert succeeded(seen)["evicted"] == ["shop/api-1"]
        assert writes.has(POD, "api-1")
        outcome = await performer.perform(made)
        output = succeeded(outcome)
        assert (output["evicted"], output["stayed"]) == (["shop/api-1"], ["shop/agent", "shop/static"])
        assert outcome.change is not None
        assert writes.the(NODE, "node-1")["spec"] == {"unschedulable": True}
        again = succeeded(await performer.perform(made))
        assert (again["evicted"], again["revert"]) == ([], output["revert"])
        succeeded(await performer.undo(made, output))
    assert writes.the(NODE, "node-1")["spec"] == {}


async def test_a_budget_holds_pods_back(kube: KubeApi, tmp_path: Path) -> None:
    """The others move, and the drain names those that did not, in time."""
    writes = accept_writes(kube)
    kube.put(NODE, {"metadata": {"name": "node-1"}, "spec": {}})
    kube.put(POD, owned("api-1"), owned("api-2"))
    writes.held.add("api-2")
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.drain", STEP, timeout=3))
        assert "hold back shop/api-2" in failed(outcome, "unavailable")
    assert (writes.has(POD, "api-1"), writes.has(POD, "api-2")) == (False, True)


async def test_what_would_be_lost_is_refused(kube: KubeApi, tmp_path: Path) -> None:
    """Bare pods, local data, too many and protected ones, before the node is touched."""
    writes = accept_writes(kube)
    kube.put(NODE, {"metadata": {"name": "node-1"}, "spec": {}})
    bare, ended = pod("bare"), pod("ended", phase="Succeeded")
    bare["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}]
    kube.put(POD, bare, ended)
    allowed = {**STEP, "allow_bare": True, "delete_local_data": True}
    async with acting(kube, tmp_path) as performer:
        message = failed(await performer.perform(call("kubernetes.drain", STEP)), "refused")
        assert ("allow_bare" in message, "delete_local_data" in message) == (True, True)
        many = await performer.perform(call("kubernetes.drain", {**allowed, "max_pods": 1}))
        assert "max_pods" in failed(many, "refused")
    async with acting(kube, tmp_path, protected_namespaces=["shop"]) as performer:
        assert "protected" in failed(await performer.perform(call("kubernetes.drain", allowed)), "refused")
    assert writes.made() == []
