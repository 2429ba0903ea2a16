"""`kubernetes.uncordon` against an API server: made once, and put back."""

from __future__ import annotations

from pathlib import Path

from runbookd.actions.kubernetes.kinds import NODE
from runbookd.model.action import Probed
from tests.contract.actions.hands import call, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_writes import accept_writes, acting

STEP = {"node": "node-1"}


async def test_the_node_is_changed_and_put_back(kube: KubeApi, tmp_path: Path) -> None:
    """It is changed once, found by the probe, and twice undone is as good as once."""
    writes = accept_writes(kube)
    kube.put(NODE, {"metadata": {"name": "node-1"}, "spec": {"unschedulable": True}})
    made = call("kubernetes.uncordon", STEP)
    async with acting(kube, tmp_path) as performer:
        assert await performer.probe(made) == (Probed.NOT_DONE, None)
        output = succeeded(await performer.perform(made))
        assert writes.the(NODE, "node-1")["spec"].get("unschedulable") is None
        assert (await performer.probe(made))[0] is Probed.DONE
        again = call("kubernetes.uncordon", STEP, key="other")
        assert succeeded(await performer.perform(again))["changed"] is False
        for _ in range(2):
            succeeded(await performer.undo(made, output))
    assert writes.the(NODE, "node-1")["spec"] == {"unschedulable": True}
    assert writes.made() == ["PATCH nodes/node-1"] * 2


async def test_a_protected_node_is_refused(kube: KubeApi, tmp_path: Path) -> None:
    """Before anything is asked."""
    async with acting(kube, tmp_path, protected=["nodes/*"]) as performer:
        assert "is protected" in failed(await performer.perform(call("kubernetes.uncordon", STEP)), "refused")
    assert kube.asked == []
