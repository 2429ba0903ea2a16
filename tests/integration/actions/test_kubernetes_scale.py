"""`kubernetes.scale` against an API server: the workload, or the autoscaler that decides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from runbookd.actions.kubernetes.kinds import AUTOSCALER, DEPLOYMENT, SCALED_OBJECT
from runbookd.model.action import Probed
from tests.contract.actions.hands import call, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import deployment
from tests.contract.actions.kube_writes import accept_writes, acting, know

STEP = {"namespace": "shop", "deployment": "api", "replicas": 5}
TARGET = {"kind": "Deployment", "name": "api"}


def autoscaled(kube: KubeApi, *, keda: bool, replicas: int = 2) -> None:
    """A Deployment with an autoscaler between 1 and 4."""
    kube.put(DEPLOYMENT, deployment(replicas=replicas))
    spec = {"minReplicas": 1, "maxReplicas": 4, "scaleTargetRef": TARGET}
    kube.put(AUTOSCALER, {"metadata": {"name": "hpa"}, "spec": spec})
    if keda:
        kube.put(SCALED_OBJECT, {"metadata": {"name": "so"}, "spec": {"scaleTargetRef": {"name": "api"}}})


async def test_the_workload_is_scaled_and_back(kube: KubeApi, tmp_path: Path) -> None:
    """The number is set once, not at all when it is so, and the undo leaves a foreign number alone."""
    writes = accept_writes(kube)
    kube.put(DEPLOYMENT, deployment())
    know(kube, AUTOSCALER)
    made = call("kubernetes.scale", STEP)
    async with acting(kube, tmp_path) as performer:
        assert await performer.probe(made) == (Probed.NOT_DONE, None)
        output = succeeded(await performer.perform(made))
        assert [output[name] for name in ("target", "replicas_before", "reached")] == [
            "deployments/shop/api",
            2,
            5,
        ]
        assert (await performer.probe(made))[0] is Probed.DONE
        same = succeeded(await performer.perform(call("kubernetes.scale", STEP, key="other")))
        assert same["changed"] is False
        writes.the(DEPLOYMENT, "api")["spec"]["replicas"] = 7
        foreign = await performer.undo(call("kubernetes.scale", STEP), output)
        assert "a person decides" in failed(foreign, "conflict")
        writes.the(DEPLOYMENT, "api")["spec"]["replicas"] = 5
        for _ in range(2):
            succeeded(await performer.undo(call("kubernetes.scale", STEP), output))
        assert writes.the(DEPLOYMENT, "api")["spec"]["replicas"] == 2
        odd = await performer.undo(call("kubernetes.scale", STEP), {**output, "target": "pods/x"})
        failed(odd, "invalid")


async def test_a_contested_object_is_given_up(kube: KubeApi, tmp_path: Path) -> None:
    """When somebody is quicker five times, nothing was done, and it may be tried later."""
    writes = accept_writes(kube)
    kube.put(DEPLOYMENT, deployment())
    know(kube, AUTOSCALER)

    async def race(_request: object) -> None:
        kube.version += 1
        writes.the(DEPLOYMENT, "api")["metadata"]["resourceVersion"] = str(kube.version)

    kube.hooks.insert(0, ("PATCH", "/deployments/api$", race))
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.scale", STEP))
        assert "nothing was done" in failed(outcome, "conflict")
        assert outcome.failure is not None
        assert outcome.failure.temporary


@pytest.mark.parametrize(
    ("keda", "mode", "changed"),
    [
        (False, "floor", {"minReplicas": 3, "maxReplicas": 4}),
        (False, "pin", {"minReplicas": 3, "maxReplicas": 3}),
        (True, "floor", {"minReplicaCount": 3, "maxReplicaCount": None}),
        (True, "pin", {}),
    ],
)
async def test_an_autoscaler_is_changed_if_the_step_says_so(
    kube: KubeApi,
    tmp_path: Path,
    keda: bool,  # noqa: FBT001 - a row
    mode: str,
    changed: Mapping[str, int | None],
) -> None:
    """Without a word it is refused; KEDA's own object goes before the autoscaler it made."""
    writes = accept_writes(kube)
    autoscaled(kube, keda=keda)
    kind, name = (SCALED_OBJECT, "so") if keda else (AUTOSCALER, "hpa")
    async with acting(kube, tmp_path) as performer:
        refused = await performer.perform(call("kubernetes.scale", STEP))
        assert "autoscaler: floor" in failed(refused, "refused")
        params = {**STEP, "autoscaler": mode, "replicas": 3}
        output = succeeded(await performer.perform(call("kubernetes.scale", params)))
        assert (output["acted_on"], output["reached"]) == ("autoscaler", 3)
        found = writes.the(kind, name)
        assert {key: found["spec"].get(key) for key in changed} == changed
        assert ("paused-replicas" in str(found["metadata"])) is (keda and mode == "pin")
        again = call("kubernetes.scale", params, key="other")
        assert succeeded(await performer.perform(again))["changed"] is False
        succeeded(await performer.undo(call("kubernetes.scale", params), output))
        assert "paused-replicas" not in str(writes.the(kind, name)["metadata"])


@pytest.mark.parametrize(("replicas", "said"), [(0, "at_least"), (21, "at_most")])
async def test_bounds_are_kept(kube: KubeApi, tmp_path: Path, replicas: int, said: str) -> None:
    """A number beyond the step's bounds is refused before anything is asked."""
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.scale", {**STEP, "replicas": replicas}))
        assert said in failed(outcome, "refused")
    assert kube.asked == []


async def test_a_floor_does_not_grow_the_maximum(kube: KubeApi, tmp_path: Path) -> None:
    """The minimum is raised to the maximum somebody has set; when it is there already, that is told."""
    writes = accept_writes(kube)
    autoscaled(kube, keda=False)
    params = {**STEP, "autoscaler": "floor"}
    async with acting(kube, tmp_path) as performer:
        output = succeeded(await performer.perform(call("kubernetes.scale", params)))
        assert (output["changed"], output["reached"]) == (True, 4)
        spec = writes.the(AUTOSCALER, "hpa")["spec"]
        assert (spec["minReplicas"], spec["maxReplicas"]) == (4, 4)
        again = await performer.perform(call("kubernetes.scale", params, key="other"))
        assert "has its maximum of 4" in failed(again, "refused")


@pytest.mark.parametrize(
    ("only", "has", "becomes"),
    [("down", 7, 5), ("down", 5, 5), ("down", 2, 2), ("down", 0, 0), ("up", 2, 5), ("up", 7, 7)],
)
async def test_one_way_only(kube: KubeApi, tmp_path: Path, only: str, has: int, becomes: int) -> None:
    """A workload that has as few, or as many, is left as it is, and nothing is sent."""
    writes = accept_writes(kube)
    kube.put(DEPLOYMENT, deployment(replicas=has))
    know(kube, AUTOSCALER)
    async with acting(kube, tmp_path) as performer:
        output = succeeded(await performer.perform(call("kubernetes.scale", {**STEP, "only": only})))
    assert (output["changed"], output["replicas_before"]) == (has != becomes, has)
    assert writes.the(DEPLOYMENT, "api")["spec"]["replicas"] == becomes
    assert bool(writes.made()) is (has != becomes)


@pytest.mark.parametrize(
    ("params", "has", "becomes"),
    [
        # More pods than that: the number is held.
        ({"only": "down", "autoscaler": "pin", "replicas": 2}, 3, (2, 2)),
        # As few: no more are added, and none either.
        ({"only": "down", "autoscaler": "pin", "replicas": 2}, 1, (1, 2)),
        ({"only": "down", "autoscaler": "pin", "replicas": 5}, 1, (1, 4)),
        ({"only": "up", "autoscaler": "floor", "replicas": 3}, 2, (3, 4)),
        ({"only": "up", "autoscaler": "pin", "replicas": 3}, 2, (3, 3)),
        # As many: the autoscaler goes on deciding.
        ({"only": "up", "autoscaler": "floor", "replicas": 3}, 3, (1, 4)),
        ({"only": "up", "autoscaler": "pin", "replicas": 3}, 4, (1, 4)),
    ],
)
async def test_one_way_only_with_an_autoscaler(
    kube: KubeApi, tmp_path: Path, params: Mapping[str, object], has: int, becomes: tuple[int, int]
) -> None:
    """What the workload has decides which way it goes; the autoscaler's bounds follow that way only."""
    writes = accept_writes(kube)
    autoscaled(kube, keda=False, replicas=has)
    async with acting(kube, tmp_path) as performer:
        output = succeeded(await performer.perform(call("kubernetes.scale", {**STEP, **params})))
    spec = writes.the(AUTOSCALER, "hpa")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == becomes
    assert (output["acted_on"], output["changed"]) == ("autoscaler", becomes != (1, 4))


@pytest.mark.parametrize("scaled", [None, "floor", "pin"])
async def test_what_was_stopped_is_not_started(kube: KubeApi, tmp_path: Path, scaled: str | None) -> None:
    """A workload that stands at 0 is never raised by `only: up`, with an autoscaler or without."""
    writes = accept_writes(kube)
    if scaled is None:
        kube.put(DEPLOYMENT, deployment(replicas=0))
        know(kube, AUTOSCALER)
    else:
        autoscaled(kube, keda=False, replicas=0)
    params = {**STEP, "only": "up", "autoscaler": scaled}
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.scale", params))
        assert "stands at 0; somebody stopped it" in failed(outcome, "refused")
    assert writes.made() == []


async def test_a_floor_does_not_go_down(kube: KubeApi, tmp_path: Path) -> None:
    """A step that may only lower, and raises a minimum, contradicts itself; that is told before anything is asked."""
    params = {**STEP, "only": "down", "autoscaler": "floor"}
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.scale", params))
        assert "`autoscaler: floor` only raises" in failed(outcome, "invalid")
    assert kube.asked == []
