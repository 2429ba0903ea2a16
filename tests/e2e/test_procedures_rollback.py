"""A rollback is judged by its own rollout, and a release by its own pods: with Recreate as well, on a real API server.

The controller says of a new template at once that it has seen it; its word on how the rollout goes comes later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.contract.actions.hands import failed, succeeded
from tests.e2e.acting import acting, step
from tests.e2e.procedures import DEPLOYMENT, GOOD, UNREADY, released, stuck, system
from tests.servers import eventually

NO_REST = "0s"
BETTER = "app:good-2"
IN_TIME = 90.0
RECREATE: dict[str, Any] = {"strategy": {"type": "Recreate", "rollingUpdate": None}}
HELD = {"metadata": {"finalizers": ["example.com/hold"]}}
MERGE = "application/merge-patch+json"


@pytest.mark.parametrize(
    ("replicas", "strategy"),
    [
        (3, RECREATE),
        (4, {}),
        (1, {}),
        (3, {"strategy": {"rollingUpdate": {"maxUnavailable": "100%"}}}),
    ],
    ids=["recreate", "default", "one", "all-at-once"],
)
async def test_a_rollback_that_works_is_not_called_failed_by_the_release_before(
    cluster: Cluster, replicas: int, strategy: Mapping[str, Any]
) -> None:
    """The stuck release missed its deadline; what was gone back to comes up, is waited for, and is all that is done."""
    async with system(cluster, rest=NO_REST) as it:
        await released(
            cluster, DEPLOYMENT, GOOD, UNREADY, replicas=replicas, progressDeadlineSeconds=2, **strategy
        )
        await stuck(cluster, DEPLOYMENT)
        it.front.needed = replicas + 1  # users are not served, whatever the pods say
        await it.fire("SystemDown")
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/rollback' AND state = 'succeeded'")
        it.front.needed = 1
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/ready' AND state <> 'intent'")
        await it.resolve()
        looked, rollback = await it.service.runs_ended(2, within=IN_TIME)
        assert (looked["playbook"], looked["state"]) == ("assess-system", "unverified")
        assert (rollback["playbook"], rollback["state"]) == ("rollback-deployment", "verified"), it.failures(
            rollback
        )
        assert await cluster.revisions(DEPLOYMENT) == {2: UNREADY, 3: GOOD}
        assert len(await cluster.pods(DEPLOYMENT)) == replicas


@pytest.mark.parametrize("change", ["restart", "set"])
async def test_the_failure_before_a_change_of_the_template_is_waited_out(
    cluster: Cluster, change: str
) -> None:
    """A stuck Recreate gets a new template: while old pods go nothing has failed, until its own deadline is missed."""
    await released(cluster, DEPLOYMENT, GOOD, UNREADY, progressDeadlineSeconds=2, **RECREATE)
    await stuck(cluster, DEPLOYMENT)
    await _hold(cluster)
    there = {"namespace": cluster.namespace, "deployment": DEPLOYMENT}
    words = ("env", "MODE=read-only") if change == "set" else ()
    subject = f"deployment/{DEPLOYMENT}"
    command = ("set", words[0], subject, words[1]) if words else ("rollout", "restart", subject)
    async with acting(cluster.kubeconfig()) as performer:
        await cluster.kubectl(*command)
        await _seen(cluster)
        once = succeeded(await performer.perform(step("kubernetes.rollout_status", {**there, "wait": False})))
        assert (once["done"], once["failed"]) == (False, False)
        waited = await performer.perform(step("kubernetes.rollout_status", there, within=2))
        assert "is not complete in time: 0 of 2 pods are updated" in failed(waited, "check_failed")
        await _let_go(cluster)
        waited = await performer.perform(step("kubernetes.rollout_status", there, within=30))
        assert "will not become complete: the progress deadline was exceeded" in failed(
            waited, "check_failed"
        )


async def test_a_fix_whose_pods_are_not_there_yet_is_not_taken_back(cluster: Cluster) -> None:
    """Old pods take their time to go: what is known is of the stuck release, so the fix is waited for, and left."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD, UNREADY, progressDeadlineSeconds=2, **RECREATE)
        await stuck(cluster, DEPLOYMENT)
        inputs = (await it.rungs("KubeDeploymentRolloutStuck"))[0]["inputs"]
        await _hold(cluster)
        await cluster.deploy(DEPLOYMENT, "app:good-3")
        await _seen(cluster)
        running = asyncio.create_task(it.by_hand("rollback-deployment", inputs))
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/history'")
        await _let_go(cluster)
        run = await running
        assert f"nothing is taken back: {it.front.url}/health answers 200" in it.failures(run)
        await cluster.wait_rolled_out(DEPLOYMENT)
        assert await cluster.revisions(DEPLOYMENT) == {1: GOOD, 2: UNREADY, 3: "app:good-3"}


@pytest.mark.parametrize("what", ["release", "restart"])
async def test_a_recreate_is_given_time_to_start(cluster: Cluster, what: str) -> None:
    """Nobody is served from the end of the old pods to the beginning of the new ones: that is no harm yet."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD, *([BETTER] if what == "restart" else []))
        await cluster.wait_rolled_out(DEPLOYMENT)
        inputs = (await it.rungs("SystemDown"))[1]["inputs"]
        await cluster.deploy(DEPLOYMENT, BETTER if what == "restart" else GOOD, **RECREATE)
        await _hold(cluster)
        if what == "restart":
            await cluster.kubectl("rollout", "restart", f"deployment/{DEPLOYMENT}")
        else:
            await cluster.deploy(DEPLOYMENT, BETTER)
        await _seen(cluster)
        it.front.needed = 3
        running = asyncio.create_task(it.by_hand("rollback-deployment", {**inputs, "time_to_start": "1m"}))
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/history'")
        await _let_go(cluster)
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/reachable'", within=30)
        it.front.needed = 1
        run = await running
        assert f"nothing is taken back: {it.front.url}/health answers 200" in it.failures(run)
        assert [*(await cluster.revisions(DEPLOYMENT)).values()].count(BETTER) == (
            2 if what == "restart" else 1
        )


async def test_what_is_restarted_during_the_wait_is_judged_at_the_next_look(cluster: Cluster) -> None:
    """Somebody mends the cause and restarts: that gets its time, and is taken back later if it does harm."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD, UNREADY, progressDeadlineSeconds=8, **RECREATE)
        inputs = (await it.rungs("KubeDeploymentReplicasMismatch"))[0]["inputs"]
        waiting = asyncio.create_task(it.by_hand("rollback-deployment", {**inputs, "time_to_start": "1m"}))
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/start'")
        await cluster.kubectl("rollout", "restart", f"deployment/{DEPLOYMENT}")
        run = await waiting
        assert run["state"] == "failed"
        words = "got a new template, by a release or a restart, while revision 2 of it was to be rolled back"
        assert words in it.failures(run)
        assert await cluster.revisions(DEPLOYMENT) == {1: GOOD, 2: UNREADY, 3: UNREADY}
        await it.by_hand("rollback-deployment", inputs)
        assert await cluster.revisions(DEPLOYMENT) == {2: UNREADY, 3: UNREADY, 4: GOOD}


async def _hold(cluster: Cluster) -> None:
    """Let the pods there are not go away when they are deleted."""
    for pod in await cluster.pods(DEPLOYMENT):
        await cluster.api.patch(cluster.path("pods", pod["metadata"]["name"]), HELD, MERGE)


async def _let_go(cluster: Cluster) -> None:
    """Let those go that are held."""
    found = await cluster.api.get(f"{cluster.path('pods')}?labelSelector=app={DEPLOYMENT}")
    for pod in found["items"]:
        if pod["metadata"].get("finalizers"):
            free = {"metadata": {"finalizers": None}}
            await cluster.api.patch(cluster.path("pods", pod["metadata"]["name"]), free, MERGE)


async def _seen(cluster: Cluster) -> None:
    """Return once the controller has seen the last change."""

    async def known() -> bool:
        found = await cluster.deployment(DEPLOYMENT)
        return bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])

    await eventually(known, within=20, every=0.1, what="the controller has seen the last change")
