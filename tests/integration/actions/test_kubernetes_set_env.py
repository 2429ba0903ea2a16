"""`kubernetes.set_env` against an API server: set, removed, put back."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbookd.actions.kubernetes.kinds import DEPLOYMENT, Json
from runbookd.model.action import Probed
from tests.contract.actions.hands import call, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import deployment
from tests.contract.actions.kube_writes import Writes, accept_writes, acting

STEP = {"namespace": "shop", "deployment": "api", "env": {"A": None, "B": "2", "C": "3"}}
ENV = [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {}}}, {"name": "C", "value": "3"}]


def with_env() -> Json:
    """A Deployment with variables."""
    found = deployment()
    found["spec"]["template"]["spec"]["containers"][0]["env"] = ENV
    return found


def env_of(writes: Writes) -> object:
    """Its variables now."""
    return writes.the(DEPLOYMENT, "api")["spec"]["template"]["spec"]["containers"][0]["env"]


async def test_variables_are_set_and_put_back(kube: KubeApi, tmp_path: Path) -> None:
    """What came from elsewhere becomes plain, what is so is not sent, and the undo knows the order."""
    writes = accept_writes(kube)
    kube.put(DEPLOYMENT, with_env())
    made = call("kubernetes.set_env", STEP)
    async with acting(kube, tmp_path) as performer:
        assert await performer.probe(made) == (Probed.NOT_DONE, None)
        output = succeeded(await performer.perform(made))
        assert env_of(writes) == [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}]
        assert (
            writes.the(DEPLOYMENT, "api")["metadata"]["annotations"]["runbookd.io/changed-after"]
            == "2/uid-of-api"
        )
        assert (await performer.probe(made))[0] is Probed.DONE
        same = succeeded(await performer.perform(call("kubernetes.set_env", STEP, key="other")))
        assert same["changed"] is False
        succeeded(await performer.undo(made, output))
    assert env_of(writes) == ENV
    assert "runbookd.io/changed-after" not in writes.the(DEPLOYMENT, "api")["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("container", "kind", "said"),
    [("x", "not_found", "only main, side"), (None, "invalid", "name a `container`")],
)
async def test_the_container_has_to_be_clear(
    kube: KubeApi, tmp_path: Path, container: str | None, kind: str, said: str
) -> None:
    """One of several has to be named, by a name there is."""
    found = deployment()
    found["spec"]["template"]["spec"]["containers"].append({"name": "side"})
    kube.put(DEPLOYMENT, found)
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.set_env", {**STEP, "container": container}))
        assert said in failed(outcome, kind)


async def test_what_gitops_owns_is_refused(kube: KubeApi, tmp_path: Path) -> None:
    """Unless the step says otherwise."""
    accept_writes(kube)
    found = deployment()
    found["metadata"]["labels"] = {"argocd.argoproj.io/instance": "shop"}
    kube.put(DEPLOYMENT, found)
    async with acting(kube, tmp_path) as performer:
        assert "Argo CD" in failed(await performer.perform(call("kubernetes.set_env", STEP)), "refused")
        succeeded(await performer.perform(call("kubernetes.set_env", {**STEP, "allow_gitops": True})))
