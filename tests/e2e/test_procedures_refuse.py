"""What the runbook's procedures leave alone: the work of another one, what a person did, and what is well.

Each time an alert asks for a change, the change is not made, and people are told why.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cluster.api import Object
from tests.cluster.cluster import Cluster
from tests.e2e.procedures import (
    AUTOSCALERS,
    BROKEN,
    CONNECTIONS,
    DEPLOYMENT,
    EXHAUSTED,
    GOOD,
    INGRESS,
    INGRESSES,
    POD,
    UNREADY,
    System,
    answered,
    autoscaled,
    backup,
    bad_release,
    released,
    stuck,
    system,
    unanswered,
    using,
)
from tests.servers import eventually

NO_REST = "0s"
IN_TIME = 90.0


async def changeable(cluster: Cluster) -> list[Object]:
    """What the procedures change of the system: the specs of the Deployment and of its ingress."""
    ingress = await cluster.api.get(f"{INGRESSES.format(namespace=cluster.namespace)}/{INGRESS}")
    deployment = await cluster.deployment(DEPLOYMENT)
    return [deployment["spec"], ingress["spec"], ingress["metadata"].get("annotations") or {}]


async def answers(it: System, count: int) -> list[dict[str, Any]]:
    """All runs, once there are so many and all have ended; people have been told of every incident."""
    runs = await it.service.runs_ended(count, within=IN_TIME)
    assert len(runs) == count, [(run["playbook"], run["state"], run["reason"]) for run in runs]
    told = it.service.rows("SELECT rule, escalation_reason FROM incidents")
    assert all(row["escalation_reason"] for row in told), told
    return runs


@pytest.mark.parametrize(
    ("alert", "holding"),
    [("DataCorruptionSuspected", "stop-writes"), ("SecurityBreachSuspected", "isolate-system")],
    ids=["writes are stopped", "the system is isolated"],
)
async def test_what_was_shut_on_purpose_stays_shut(cluster: Cluster, alert: str, holding: str) -> None:
    """The outage that follows rolls nothing back, restarts nothing and adds no pods, until a person releases it."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD, replicas=3)
        await it.fire(alert)
        (run,) = await answers(it, 1)
        assert (run["playbook"], run["state"]) == (holding, "failed")
        it.front.needed = 100
        left = await changeable(cluster)

        for name, labels in (
            ("SystemDown", {}),
            ("KubeDeploymentRolloutStuck", {"deployment": DEPLOYMENT}),
            ("PodCPUHigh", {"pod": POD}),
            (EXHAUSTED, {}),
        ):
            await it.fire(name, **labels)
        _, *later = await answers(it, 6)
        assert {run["playbook"]: run["reason"] for run in later} == {
            "assess-system": "not_verified",
            "rollback-deployment": "target_on_hold",
            "relieve-cpu": "target_on_hold",
            "reset-connections": "target_on_hold",
        }
        assert await changeable(cluster) == left

        assert await it.release() == [run["target"]]
        await using(cluster, "20m")
        (relief,) = await it.rungs("PodCPUHigh")
        looked = await it.by_hand("relieve-cpu", relief["inputs"])
        assert "uses 20% of the CPU it may" in it.failures(looked)


async def test_a_second_alert_does_not_toggle_back_to_the_bad_release(cluster: Cluster) -> None:
    """The release that was taken back was available too; what runbookd went back to stays, and people are told."""
    async with system(cluster, rest=NO_REST) as it:
        await bad_release(it)
        await it.fire("SystemDown")
        await it.serving()
        await it.resolve()
        await it.service.runs_ended(2, within=IN_TIME)
        await it.service.incidents_resolved()
        after_rollback = await changeable(cluster)
        it.fired.clear()

        it.front.needed = 100
        await it.fire("KubePodNotReady", deployment=DEPLOYMENT)
        *_, run = await it.service.runs_ended(3, within=IN_TIME)
        assert (run["playbook"], run["state"]) == ("rollback-deployment", "failed")
        assert "steps/once: medinovai-backend has been taken back" in it.failures(run)
        assert await changeable(cluster) == after_rollback
        assert await cluster.revisions(DEPLOYMENT) == {2: BROKEN, 3: GOOD}
        (incident,) = it.service.rows("SELECT * FROM incidents WHERE rule = 'failed-deployment'")
        assert incident["escalation_reason"] == "run_failed"


async def test_a_restart_is_no_release(cluster: Cluster) -> None:
    """Pods that somebody has just restarted are of the old release, which is not taken back."""
    async with system(cluster) as it:
        await released(cluster, DEPLOYMENT, GOOD, "app:good-2")
        deployed = await cluster.wait_rolled_out(DEPLOYMENT)
        progress = next(each for each in deployed["status"]["conditions"] if each["type"] == "Progressing")
        stands_since = datetime.fromisoformat(progress["lastUpdateTime"])
        inputs = (await it.rungs("SystemDown"))[1]["inputs"]

        def age() -> float:
            return (datetime.now(UTC) - stands_since).total_seconds()

        await eventually(lambda: age() > 10, within=20, what="the release is older than a restart takes")
        it.front.needed = 100
        await cluster.kubectl("rollout", "restart", f"deployment/{DEPLOYMENT}")
        recent = f"{int(age()) - 1}s"
        run = await it.by_hand("rollback-deployment", inputs | {"recent": recent})
        assert run["state"] == "failed"
        assert f"steps/new: medinovai-backend has had no new release within {recent}" in it.failures(run)


async def test_a_deployment_that_somebody_stopped_stays_stopped(cluster: Cluster) -> None:
    """No remedy starts it: not one of the outage that follows, and not the isolation, which takes pods only away."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD)
        await cluster.kubectl("scale", f"deployment/{DEPLOYMENT}", "--replicas=0")
        await eventually(lambda: _none_left(cluster), within=20, what="no pod is left")
        stopped = await changeable(cluster)
        await it.fire("SystemDown")
        _, *remedies = await answers(it, 4)
        for run in remedies:
            assert "stands at 0 pods; somebody stopped it" in it.failures(run)
        await it.fire("PodCPUHigh", pod=POD)
        assert "stands at 0 pods; somebody stopped it" in it.failures((await answers(it, 5))[-1])
        await it.fire(EXHAUSTED)
        assert "there is no ready pod in" in it.failures((await answers(it, 6))[-1])
        assert await changeable(cluster) == stopped

        await it.fire("SecurityBreachSuspected")
        isolated = (await answers(it, 7))[-1]
        assert "down to 1: succeeded" in it.failures(isolated)
        assert (await changeable(cluster))[0] == stopped[0]


async def _none_left(cluster: Cluster) -> bool:
    return not await cluster.pods(DEPLOYMENT)


async def test_an_alert_that_a_look_does_not_confirm_changes_nothing(cluster: Cluster) -> None:
    """A new release that serves its users, pods with CPU to spare and a database with free connections are well."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD, "app:good-2")
        await cluster.wait_rolled_out(DEPLOYMENT)
        await using(cluster, "20m")
        answered(cluster, CONNECTIONS, {"used": 5, "limit": 100, "states": {"idle": 5}})
        well = await changeable(cluster)
        for count, (name, said) in enumerate(
            (
                ("KubePodNotReady", "nothing is taken back: http://127.0.0.1"),
                ("PodCPUHigh", "uses 20% of the CPU it may, less than 80%"),
                (EXHAUSTED, "5 of 100 connections are in use, fewer than 80%"),
            ),
            start=1,
        ):
            await it.fire(name, pod=POD)
            run = (await answers(it, count))[-1]
            assert run["state"] == "failed"
            assert said in it.failures(run)
        assert await changeable(cluster) == well


async def test_a_question_that_is_not_answered_replaces_no_pod(cluster: Cluster) -> None:
    """People are told its error; only a database that refused one more connection is one that has none left."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD)
        well = await changeable(cluster)
        (reset,) = await it.rungs(EXHAUSTED)
        for container, said in (
            (DEPLOYMENT, "ModuleNotFoundError: No module named 'src'"),
            (DEPLOYMENT, "connection to server failed: Connection refused"),
            ("sidecar", "has no container 'sidecar'"),
        ):
            unanswered(cluster, CONNECTIONS, said)
            run = await it.by_hand("reset-connections", reset["inputs"] | {"container": container})
            assert run["state"] == "failed"
            assert "steps/asked: whether connections are used up is not known" in it.failures(run)
            assert said in it.failures(run)
        assert await changeable(cluster) == well

        unanswered(cluster, CONNECTIONS, "FATAL:  sorry, too many clients already")
        looked = await it.by_hand("reset-connections", reset["inputs"], "--observe")
        assert looked["state"] == "observed"
        assert [row["path"] for row in it.steps(looked) if row["change"] is not None] == ["steps/restart"]


async def test_what_is_held_in_one_cluster_is_free_in_another(cluster: Cluster) -> None:
    """A Deployment of that name in a cluster of another name is another one; without a name nothing is touched.

    So a hold cannot be passed by with another spelling of the same cluster.
    """
    async with system(cluster, rest=NO_REST, names=("test", "twin")) as it:
        await released(cluster, DEPLOYMENT, GOOD)
        await using(cluster, "20m")
        breach, relief = await it.rungs("SecurityBreachSuspected", "PodCPUHigh")
        isolated = await it.by_hand("isolate-system", breach["inputs"])
        assert isolated["target"] == f"deployments/{cluster.namespace}/{DEPLOYMENT}@test"
        looked = await it.by_hand("relieve-cpu", relief["inputs"] | {"cluster": "twin"})
        assert looked["target"] == f"deployments/{cluster.namespace}/{DEPLOYMENT}@twin"
        assert "uses 20% of the CPU it may" in it.failures(looked)
        left = await changeable(cluster)
        for playbook, inputs in (("relieve-cpu", relief["inputs"]), ("isolate-system", breach["inputs"])):
            nameless = await it.by_hand(playbook, inputs | {"cluster": None})
            assert "the settings name clusters: test, twin; say which: `cluster: test`" in it.failures(
                nameless
            )
        assert await changeable(cluster) == left
        assert await it.release() == [
            isolated["target"]
        ]  # the one without a name changed nothing, and holds nothing


async def test_pods_are_added_only_for_users_who_are_not_served(cluster: Cluster) -> None:
    """Where an autoscaler's maximum keeps them below what was asked for, people are told the number."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD)
        await autoscaled(cluster)
        well = await changeable(cluster)
        inputs = (await it.rungs("SystemDown"))[-1]["inputs"] | {"replicas": 8}
        served = await it.by_hand("scale-deployment", inputs)
        assert served["state"] == "failed"
        assert f"steps/harm: no pods are added: {it.front.url}/health answers 200" in it.failures(served)
        assert await changeable(cluster) == well

        it.front.needed = 100
        bounded = await it.by_hand("scale-deployment", inputs)
        assert bounded["state"] == "unverified"
        assert f"keeps {DEPLOYMENT} at 6 pods, of 8 asked for" in it.failures(bounded)


async def test_a_higher_minimum_of_an_autoscaler_at_its_maximum_is_left_alone(cluster: Cluster) -> None:
    """Busy pods get no more of them, the autoscaler may still take some away, and people are told both."""
    async with system(cluster, rest=NO_REST) as it:
        await released(cluster, DEPLOYMENT, GOOD, replicas=6)
        await autoscaled(cluster)
        await using(cluster, "98m")
        await it.fire("PodCPUHigh", pod=POD)
        (run,) = await answers(it, 1)
        assert (run["playbook"], run["state"]) == ("relieve-cpu", "failed")
        for said in ("has a maximum of 6, there are 6 already", "nothing was changed"):
            assert said in it.failures(run)
        found = await cluster.api.get(f"{AUTOSCALERS.format(namespace=cluster.namespace)}/{DEPLOYMENT}")
        assert found["spec"]["minReplicas"] == 3


async def test_writes_of_a_paused_deployment_are_not_stopped_and_that_is_said_at_once(
    cluster: Cluster,
) -> None:
    """No pod would change, so nothing is; the damage is counted and the backup found, and nothing is held."""
    async with system(cluster, rest=NO_REST) as it, backup(cluster) as name:
        await released(cluster, DEPLOYMENT, GOOD)
        await cluster.kubectl("rollout", "pause", f"deployment/{DEPLOYMENT}")
        before = await changeable(cluster)
        await it.fire("DataCorruptionSuspected")
        (run,) = await answers(it, 1)
        told = it.failures(run)
        for said in (
            "to take no more writes: paused, NOT switched (the rollout of",
            "gone: false",
            '{"recent": 12, "corrupted": 3}',
            f"backup: {name}.",
        ):
            assert said in told
        assert (
            run["ended_at"] - run["created_at"] < 60_000_000
        )  # microseconds; the wait for pods alone is five minutes
        assert await changeable(cluster) == before
        assert not await it.release()


async def test_a_stop_of_writes_that_changed_nothing_holds_nothing(cluster: Cluster) -> None:
    """A container that is not there is refused; the release that crashes right after is taken back all the same."""
    async with system(cluster) as it:
        await released(cluster, DEPLOYMENT, GOOD)
        (loss,) = await it.rungs("DataLossSuspected")
        run = await it.by_hand("stop-writes", loss["inputs"] | {"container": "sidecar"})
        assert "NOT switched (" in it.failures(run)
        assert "has no container 'sidecar'" in it.failures(run)
        assert not it.service.rows("SELECT * FROM holds")
        await cluster.deploy(DEPLOYMENT, UNREADY, progressDeadlineSeconds=2)
        await stuck(cluster, DEPLOYMENT)
        await it.fire("KubeDeploymentRolloutStuck", deployment=DEPLOYMENT)
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/ready' AND state = 'succeeded'")
        await it.resolve()
        *_, rollback = await it.service.runs_ended(2, within=IN_TIME)
        assert (rollback["playbook"], rollback["state"]) == ("rollback-deployment", "verified")


async def test_an_ingress_that_cannot_be_shut_keeps_no_pod(cluster: Cluster) -> None:
    """What can be shut off is, and people are told what was and what was not."""
    async with system(cluster) as it:
        await released(cluster, DEPLOYMENT, GOOD, replicas=3)
        await cluster.kubectl("delete", f"ingress/{INGRESS}")
        await it.fire("SecurityBreachSuspected")
        (run,) = await answers(it, 1)
        assert run["state"] == "failed"
        for said in ("refuse everybody: failed", "where it leads: failed", "down to 1: succeeded"):
            assert said in it.failures(run)
        assert (await cluster.deployment(DEPLOYMENT))["spec"]["replicas"] == 1
