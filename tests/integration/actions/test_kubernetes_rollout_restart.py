"""`kubernetes.rollout_restart` against an API server: once a step, and never while paused or stopped."""

from __future__ import annotations

from pathlib import Path

from runbookd.actions.kubernetes.kinds import DEPLOYMENT
from runbookd.model.action import OutcomeState, Probed
from tests.contract.actions.hands import call, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import deployment
from tests.contract.actions.kube_writes import NOW, accept_writes, acting

STEP = {"namespace": "shop", "deployment": "api"}


async def test_it_restarts_once(kube: KubeApi, tmp_path: Path) -> None:
    """The template is stamped; a lost answer is found by the probe, and the next attempt sends nothing."""
    writes = accept_writes(kube)
    kube.put(DEPLOYMENT, deployment())
    made = call("kubernetes.rollout_restart", STEP)
    async with acting(kube, tmp_path) as performer:
        writes.broken.append("PATCH")
        failed(await performer.perform(made), "connection_lost", OutcomeState.IN_DOUBT)
        assert (await performer.probe(made))[0] is Probed.DONE
        assert succeeded(await performer.perform(made))["restarted_at"] == NOW
    assert writes.made() == ["PATCH deployments/api"]


async def test_a_paused_rollout_is_refused(kube: KubeApi, tmp_path: Path) -> None:
    """Nothing would come of it."""
    paused = deployment()
    paused["spec"]["paused"] = True
    kube.put(DEPLOYMENT, paused)
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.rollout_restart", STEP))
        assert "paused" in failed(outcome, "refused")


async def test_what_was_stopped_is_refused(kube: KubeApi, tmp_path: Path) -> None:
    """A workload that stands at 0 has no pods to replace, and somebody had a reason."""
    writes = accept_writes(kube)
    kube.put(DEPLOYMENT, deployment(replicas=0))
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.rollout_restart", STEP))
        assert "stands at 0; somebody stopped it" in failed(outcome, "refused")
    assert writes.made() == []
