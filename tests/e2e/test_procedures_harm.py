"""What is harm and what is not, which release is good, and which procedure goes first, on a real API server.

A rollout that goes on, a pod that is moved and an administration that is down are no reason to take a release back.
"""

from __future__ import annotations

import asyncio

from tests.cluster.cluster import Cluster
from tests.cluster.pod_life import Behaviour
from tests.contract.actions.hands import succeeded
from tests.e2e.acting import acting, step
from tests.e2e.procedures import DEPLOYMENT, FLAKY, GOOD, POD, UNREADY, released, stuck, system
from tests.e2e.test_procedures_refuse import answers, changeable
from tests.servers import eventually

NO_REST = "0s"
IN_TIME = 90.0
MARK = "runbookd.io/good"


async def test_a_mark_that_spread_makes_no_release_good(cluster: Cluster) -> None:
    """A person's undo copies it onto the Deployment, and so onto releases that never ran; none of these counts."""
    async with system(cluster) as it:
        await released(cluster, DEPLOYMENT, GOOD, UNREADY)
        await cluster.kubectl("rollout", "undo", f"deployment/{DEPLOYMENT}")
        await cluster.wait_rolled_out(DEPLOYMENT)
        await cluster.deploy(DEPLOYMENT, "app:unready-3")
        await cluster.wait_for_pods(DEPLOYMENT, "NotReady")
        await cluster.deploy(DEPLOYMENT, "app:unready-4", progressDeadlineSeconds=2)
        await stuck(cluster, DEPLOYMENT)
        sets = await cluster.api.get(f"{cluster.path('replicasets')}?labelSelector=app={DEPLOYMENT}")
        marks = [one["metadata"]["annotations"].get(MARK) for one in sets["items"]]
        assert len(marks) - marks.count(None) >= 3  # that of the good one, and copies
        assert len({*marks} - {None}) == 1

        await it.fire("KubeDeploymentRolloutStuck", deployment=DEPLOYMENT)
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/ready' AND state = 'succeeded'")
        await it.resolve()
        (run,) = await it.service.runs_ended(within=IN_TIME)
        assert run["state"] == "verified"
        assert (await cluster.revisions(DEPLOYMENT))[6] == GOOD


async def test_the_administration_alone_starts_no_remedy_of_the_api(cluster: Cluster) -> None:
    """A good release is in the middle of its rollout and serves; only the administration is down: people are told."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD, "app:good-2", minReadySeconds=120)
        await cluster.wait_for_pods(DEPLOYMENT, "Ready", 3)
        it.front.administered = False
        before = await changeable(cluster)
        await it.fire("BlackboxProbeFailed", instance=f"{it.front.url}/admin", namespace="monitoring")
        looked, *remedies = await answers(it, 4)
        assert (looked["playbook"], looked["state"]) == ("assess-system", "unverified")
        rollback, restart, scale = (it.failures(run) for run in remedies)
        answered = f"{it.front.url}/health answers 200"
        assert f"nothing is taken back: {answered}, so {DEPLOYMENT} is not what is down" in rollback
        assert "a restart is not what they need" in restart
        assert f"no pods are added: {answered}" in scale
        assert await changeable(cluster) == before

        # The alert that speaks of the pods finds no harm in a rollout that goes on, either.
        await it.fire("KubePodNotReady", pod=POD)
        found = (await answers(it, 5))[-1]
        assert f"nothing is taken back: {answered}, the rollout has not failed" in it.failures(found)
        assert await changeable(cluster) == before


async def test_a_release_that_answers_every_other_request_badly_is_taken_back(cluster: Cluster) -> None:
    """Half of the users are not served, whichever answer a single look would have got."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD, FLAKY)
        await cluster.wait_rolled_out(DEPLOYMENT)
        await it.fire("SystemDown")
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/ready' AND state = 'succeeded'")
        await it.resolve()
        looked, rollback = await it.service.runs_ended(2, within=IN_TIME)
        assert (looked["playbook"], looked["state"]) == ("assess-system", "unverified")
        assert (rollback["playbook"], rollback["state"]) == ("rollback-deployment", "verified")
        assert "users are not served: 2 of 4 answers were good" in it.failures(rollback)
        assert await cluster.revisions(DEPLOYMENT) == {2: FLAKY, 3: GOOD}


async def test_one_answer_that_is_lost_alone_is_no_harm(cluster: Cluster) -> None:
    """The new release stays, and gets no more pods."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD, "app:good-2")
        await cluster.wait_rolled_out(DEPLOYMENT)
        before = await changeable(cluster)
        _, rollback, _, scale = await it.rungs("SystemDown")
        for rung in (rollback, scale):
            it.front.loses = it.front.asked + 2
            run = await it.by_hand(rung["playbook"], rung["inputs"])
            assert f"{it.front.url}/health answers 200" in it.failures(run)
            assert it.front.asked == it.front.loses + 3
        assert await changeable(cluster) == before


async def test_one_pod_of_three_that_fails_takes_no_release_back(cluster: Cluster) -> None:
    """While users are served; nor does it restart the others."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD, "app:good-2", replicas=3)
        await cluster.wait_rolled_out(DEPLOYMENT)
        one = (await cluster.pods(DEPLOYMENT))[0]["metadata"]["name"]
        cluster.world.turn(cluster.namespace, one, Behaviour.CRASH)
        await cluster.wait_for_pods(DEPLOYMENT, "CrashLoopBackOff")
        before = await changeable(cluster)
        await it.fire("KubePodNotReady", pod=one)
        (run,) = await answers(it, 1)
        assert "new pods run, have run, or have had no time to" in it.failures(run)
        (down,) = [rung for rung in await it.rungs("SystemDown") if rung["playbook"] == "restart-deployment"]
        restart = await it.by_hand("restart-deployment", down["inputs"])
        assert f"nothing is restarted: {it.front.url}/health answers 200" in it.failures(restart)
        assert await changeable(cluster) == before


async def test_a_release_whose_pods_crash_is_taken_back_before_its_deadline(cluster: Cluster) -> None:
    """One of three is new and has never run: no more of them will come, and that is harm, although the old serve."""
    async with system(cluster) as it:
        await released(cluster, DEPLOYMENT, GOOD, replicas=3)
        await cluster.deploy(DEPLOYMENT, "app:crash-2", 3)
        bad = await _crashed(cluster)
        assert await it.front.serves()
        await it.fire("KubePodCrashLooping", pod=bad)
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/ready' AND state = 'succeeded'")
        await it.resolve()
        (run,) = await it.service.runs_ended(within=IN_TIME)
        assert run["state"] == "verified", it.failures(run)
        assert await cluster.revisions(DEPLOYMENT) == {2: "app:crash-2", 3: GOOD}


async def test_a_bad_release_that_is_deployed_again_is_taken_back_again(cluster: Cluster) -> None:
    """Once for each time that somebody deploys it; what was gone back to stays, whatever becomes of it."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD)
        inputs = (await it.rungs("KubeDeploymentRolloutStuck"))[0]["inputs"]
        for number in (2, 4):
            await cluster.deploy(DEPLOYMENT, "app:crash-2", progressDeadlineSeconds=2)
            await _is_revision(cluster, number, "app:crash-2")
            await stuck(cluster, DEPLOYMENT)
            it.front.needed = 100
            asked = asyncio.create_task(it.by_hand("rollback-deployment", inputs))
            await _is_revision(cluster, number + 1, GOOD)
            it.front.needed = 1
            run = await asked
            assert run["state"] == "verified", it.failures(run)
        it.front.needed = 100
        run = await it.by_hand("rollback-deployment", inputs)
        assert "has been taken back, to what is now revision 5" in it.failures(run)
        assert await cluster.revisions(DEPLOYMENT) == {4: "app:crash-2", 5: GOOD}


async def test_a_release_that_was_complete_at_zero_never_ran(cluster: Cluster) -> None:
    """Pods that somebody took away and added again make no good release of one that never had a ready one."""
    async with acting(cluster.kubeconfig()) as performer:
        await released(cluster, DEPLOYMENT, GOOD, UNREADY)
        for replicas in (0, 2):
            await cluster.kubectl("scale", f"deployment/{DEPLOYMENT}", f"--replicas={replicas}")
            await _has_pods(cluster, replicas)
        await cluster.wait_for_pods(DEPLOYMENT, "NotReady", 2)
        there = {"namespace": cluster.namespace, "deployment": DEPLOYMENT}
        found = succeeded(await performer.perform(step("kubernetes.rollout_history", there)))
        assert (found["current"], found["last_good"], found["previous_good"]) == (2, 1, 1)


async def _crashed(cluster: Cluster) -> str:
    """The name of a new pod, once it has crashed often enough to be known for one that does not run."""

    async def known() -> str | None:
        for pod in await cluster.pods(DEPLOYMENT):
            if any(one["restartCount"] >= 2 for one in pod["status"].get("containerStatuses", [])):
                return str(pod["metadata"]["name"])
        return None

    return await eventually(known, within=30, what="a pod has crashed twice")


async def _is_revision(cluster: Cluster, number: int, image: str) -> None:
    async def known() -> bool:
        return (await cluster.revisions(DEPLOYMENT)).get(number) == image

    await eventually(known, within=30, every=0.2, what=f"{image} is revision {number}")


async def _has_pods(cluster: Cluster, count: int) -> None:
    async def known() -> bool:
        return len(await cluster.pods(DEPLOYMENT)) == count

    await eventually(known, within=20, every=0.2, what=f"there are {count} pods")


async def test_a_breach_does_not_wait_for_stopped_writes(cluster: Cluster) -> None:
    """What waits for the last pod that takes writes makes way within seconds; what it set stays, and its hold too."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD)
        await cluster.deploy(DEPLOYMENT, GOOD, minReadySeconds=300)  # so that the wait is a long one
        await it.fire("DataLossSuspected")
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/stopped' AND state = 'intent'")
        began = asyncio.get_running_loop().time()
        await it.fire("SecurityBreachSuspected")
        await it.service.until("SELECT * FROM runs WHERE playbook = 'isolate-system'")
        assert asyncio.get_running_loop().time() - began < 15
        stopped, isolated = await answers(it, 2)
        assert (stopped["playbook"], stopped["state"]) == ("stop-writes", "cancelled")
        assert stopped["reason"] == "gives way to rule security-breach"
        for said in ("How great the damage is: NOT asked.", "Newest good Velero backup: NOT asked for."):
            assert said in it.failures(stopped)
        assert isolated["playbook"] == "isolate-system"
        assert not await it.front.serves()
        (container,) = (await cluster.pod_template(DEPLOYMENT))["spec"]["containers"]
        assert container["env"] == [{"name": "READ_ONLY_MODE", "value": "true"}]
        held = it.service.rows("SELECT playbook FROM holds ORDER BY playbook")
        assert [row["playbook"] for row in held] == ["isolate-system", "stop-writes"]


async def test_an_isolation_whose_selector_fits_no_pod_shows_nothing(cluster: Cluster) -> None:
    """It is not verified, and people are told that nobody knows what still runs."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD)
        (breach,) = await it.rungs("SecurityBreachSuspected")
        run = await it.by_hand("isolate-system", breach["inputs"] | {"selector": "app=nothing"})
        assert (run["state"], run["reason"]) == ("unverified", "not_verified")
        assert "what still runs is NOT known: none fits app=nothing" in it.failures(run)
