"""`kubernetes.patch` against an API server: three ways to read a patch, and what none may touch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from runbookd.actions.kubernetes.kinds import DEPLOYMENT, Kind
from runbookd.model.action import Probed
from tests.contract.actions.hands import call, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import deployment
from tests.contract.actions.kube_writes import accept_writes, acting

STEP = {"kind": "deployments", "namespace": "shop", "name": "api"}
OPERATIONS = [
    {"op": "test", "path": "/spec/replicas", "value": 2},
    {"op": "replace", "path": "/spec/replicas", "value": 3},
    {"op": "add", "path": "/metadata/labels", "value": {"tier": "gold"}},
]


@pytest.mark.parametrize(
    ("patch", "how"),
    [
        ({"spec": {"replicas": 3}, "metadata": {"labels": {"tier": "gold"}}}, None),
        ({"spec": {"replicas": 3}, "metadata": {"labels": {"tier": "gold"}}}, "merge"),
        (OPERATIONS, None),
    ],
)
async def test_a_patch_is_sent_and_taken_back(
    kube: KubeApi, tmp_path: Path, patch: object, how: str | None
) -> None:
    """Each way of patching is sent as such, found by the probe, and taken back."""
    writes = accept_writes(kube)
    kube.put(DEPLOYMENT, deployment())
    made = call("kubernetes.patch", {**STEP, "patch": patch, "type": how})
    async with acting(kube, tmp_path) as performer:
        output = succeeded(await performer.perform(made))
        found = writes.the(DEPLOYMENT, "api")
        assert (found["spec"]["replicas"], found["metadata"]["labels"]) == (3, {"tier": "gold"})
        assert (await performer.probe(made))[0] is Probed.DONE
        succeeded(await performer.undo(made, output))
    found = writes.the(DEPLOYMENT, "api")
    assert (found["spec"]["replicas"], found["metadata"]["labels"]) == (2, {})


async def test_custom_resources_take_a_merge_patch(kube: KubeApi, tmp_path: Path) -> None:
    """A kind that is not built in is patched by merging."""
    writes = accept_writes(kube)
    widgets = Kind("example.com", "v1", "widgets", "Widget")
    kube.put(widgets, {"metadata": {"name": "a"}, "spec": {"size": 1}})
    params = {
        "kind": "widgets.v1.example.com",
        "namespace": "shop",
        "name": "a",
        "patch": {"spec": {"size": 2}},
    }
    async with acting(kube, tmp_path) as performer:
        assert succeeded(await performer.perform(call("kubernetes.patch", params)))["changed"] is True
    assert writes.the(widgets, "a")["spec"] == {"size": 2}
    assert kube.asked[-1].content_type == "application/merge-patch+json"


async def test_a_test_of_the_step_s_own_that_fails_is_told(kube: KubeApi, tmp_path: Path) -> None:
    """The server's refusal of a patch is the step's failure, and not taken for somebody being quicker."""
    writes = accept_writes(kube)
    kube.put(DEPLOYMENT, deployment())
    patch = [{"op": "test", "path": "/spec/replicas", "value": 9}]
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.patch", {**STEP, "patch": patch}))
        assert "test failed" in failed(outcome, "invalid")
    assert len(writes.made()) == 1


@pytest.mark.parametrize(
    ("params", "kind", "said"),
    [
        ({"kind": "secrets", "patch": {"data": {}}}, "refused", "a person does that"),
        ({"kind": "roles", "patch": {"rules": []}}, "refused", "a person does that"),
        ({"patch": {"status": {"replicas": 1}}}, "refused", "`status.replicas`"),
        ({"patch": {"metadata": {"finalizers": []}}}, "refused", "`metadata.finalizers`"),
        ({"patch": {"kind": "Pod"}}, "refused", "`kind`"),
        ({"patch": [{"op": "remove", "path": ""}]}, "refused", "the whole object"),
        (
            {"patch": [{"op": "move", "path": "/spec/a", "from": "/metadata/uid"}]},
            "refused",
            "`metadata.uid`",
        ),
        ({"patch": [{"op": "destroy", "path": "/spec"}]}, "invalid", "list of operations"),
        ({"patch": "x"}, "invalid", "is a map"),
        (
            {"kind": "widgets.v1.example.com", "type": "strategic", "patch": {}},
            "invalid",
            "take no `strategic`",
        ),
    ],
)
async def test_what_may_not_be_patched(
    kube: KubeApi, tmp_path: Path, params: Mapping[str, object], kind: str, said: str
) -> None:
    """Secrets, roles, status and most metadata are refused, and what is no patch; nothing is asked."""
    async with acting(kube, tmp_path) as performer:
        assert said in failed(await performer.perform(call("kubernetes.patch", {**STEP, **params})), kind)
    assert kube.asked == []
