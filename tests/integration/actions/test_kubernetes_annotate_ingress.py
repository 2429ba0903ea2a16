"""`kubernetes.annotate_ingress` against an API server: set, removed, put back."""

from __future__ import annotations

from pathlib import Path

from runbookd.actions.kubernetes.kinds import INGRESS
from runbookd.actions.kubernetes.patches import LAST_CHANGE
from runbookd.model.action import Mode, Probed
from tests.contract.actions.hands import call, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_writes import accept_writes, acting, know

STEP = {
    "namespace": "shop",
    "ingress": "web",
    "annotations": {"example.com/block": "all", "example.com/old": None},
}
NOTES = {"example.com/old": "1"}


async def test_annotations_are_set_and_put_back(kube: KubeApi, tmp_path: Path) -> None:
    """Observed, made, found again, not repeated, and undone; other annotations stay."""
    writes = accept_writes(kube)
    kube.put(INGRESS, {"metadata": {"name": "web", "annotations": NOTES}, "spec": {}})
    made = call("kubernetes.annotate_ingress", STEP)
    async with acting(kube, tmp_path) as performer:
        seen = await performer.perform(call("kubernetes.annotate_ingress", STEP, mode=Mode.OBSERVE))
        assert succeeded(seen)["changed"] is True
        assert writes.the(INGRESS, "web")["metadata"]["annotations"] == NOTES
        output = succeeded(await performer.perform(made))
        notes = writes.the(INGRESS, "web")["metadata"]["annotations"]
        assert (notes["example.com/block"], "example.com/old" in notes) == ("all", False)
        answer, known = await performer.probe(made)
        assert answer is Probed.DONE
        assert known is not None
        assert known.output["revert"] == output["revert"]
        same = call("kubernetes.annotate_ingress", STEP, key="other")
        assert succeeded(await performer.perform(same))["changed"] is False
        succeeded(await performer.undo(made, output))
    assert writes.the(INGRESS, "web")["metadata"]["annotations"] == NOTES


async def test_the_mark_of_an_earlier_step_is_still_known(kube: KubeApi, tmp_path: Path) -> None:
    """A later step's change does not hide that the first was made, only what stood there before it."""
    accept_writes(kube)
    kube.put(INGRESS, {"metadata": {"name": "web"}, "spec": {}})
    first = call("kubernetes.annotate_ingress", STEP, key="first")
    later = {**STEP, "annotations": {"example.com/more": "1"}}
    async with acting(kube, tmp_path) as performer:
        succeeded(await performer.perform(first))
        succeeded(await performer.perform(call("kubernetes.annotate_ingress", later, key="later")))
        assert await performer.probe(first) == (Probed.DONE, None)
        long = {**STEP, "annotations": {"example.com/long": "x" * 70_000}}
        succeeded(await performer.perform(call("kubernetes.annotate_ingress", long, key="long")))
        gone = {**STEP, "annotations": {"example.com/long": None}}
        fourth = call("kubernetes.annotate_ingress", gone, key="fourth")
        succeeded(await performer.perform(fourth))
        assert await performer.probe(fourth) == (Probed.DONE, None)


async def test_our_own_mark_is_not_for_playbooks(kube: KubeApi, tmp_path: Path) -> None:
    """The annotation by which steps are told apart is refused; without the object nobody can tell."""
    know(kube, INGRESS)
    async with acting(kube, tmp_path) as performer:
        own = call("kubernetes.annotate_ingress", {**STEP, "annotations": {LAST_CHANGE: "x"}})
        assert "own" in failed(await performer.perform(own), "invalid")
        assert await performer.probe(own) == (Probed.UNKNOWN, None)
