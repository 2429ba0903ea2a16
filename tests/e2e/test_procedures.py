"""The runbook's procedures from alert to end: Alertmanager, runbookd with the rights it prints, a real API server.

Each run's real calls are those of its playbook's embedded test, where `runbookd explain` planned them.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.pod_life import Behaviour
from tests.e2e.acting import Versions
from tests.e2e.procedures import (
    AUTOSCALERS,
    CONNECTIONS,
    DEPLOYMENT,
    EXHAUSTED,
    GOOD,
    INGRESS,
    INGRESSES,
    UNREADY,
    System,
    agree,
    answered,
    autoscaled,
    backup,
    bad_release,
    released,
    stuck,
    system,
    using,
)
from tests.servers import eventually, prometheus

IN_TIME = 90.0
TAKEN_BACK = "a new release whose rollout has failed is taken back, also while the old pods serve"
UNSERVED = "a new release that is available and serves nobody is taken back as well"


def plain(template: Any, name: str) -> Any:
    """A pod template without the name of its Deployment."""
    return json.loads(json.dumps(template).replace(f'"{name}"', '"NAME"'))


async def test_a_release_that_never_becomes_ready_is_rolled_back_verified_and_closed(
    cluster: Cluster,
) -> None:
    """With the shipped content as it is; on a twin `kubectl rollout undo --to-revision` gives the same template."""
    async with system(cluster, quick=False) as it:
        for name in (DEPLOYMENT, "twin"):
            await released(cluster, name, GOOD, UNREADY, progressDeadlineSeconds=2)
        await stuck(cluster, DEPLOYMENT)
        assert await it.front.serves()  # the old pods do
        await it.fire("KubeDeploymentRolloutStuck", deployment=DEPLOYMENT)
        plan = await it.plan()
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/ready' AND state = 'succeeded'")
        await cluster.wait_rolled_out(DEPLOYMENT)
        await it.resolve()
        (run,) = await it.service.runs_ended(within=IN_TIME)
        (incident,) = await it.service.incidents_resolved()

        agree(it, run, plan, TAKEN_BACK)
        assert (incident["rule"], incident["priority"], incident["escalated_at"]) == (
            "failed-deployment",
            "P1",
            None,
        )
        assert it.broken_evidence(run) == ["evidence/logs-before-crash"] or it.broken_evidence(run) == []
        await cluster.kubectl("rollout", "undo", "deployment/twin", "--to-revision=1")
        ours, twin = await cluster.pod_template(DEPLOYMENT), await cluster.pod_template("twin")
        assert plain(ours, DEPLOYMENT) == plain(twin, "twin")
        assert await cluster.revisions(DEPLOYMENT) == {2: UNREADY, 3: GOOD}


async def sick_pods(it: System) -> None:
    """The pods of the first release there ever was stop being ready."""
    await released(it.cluster, DEPLOYMENT, GOOD)
    for pod in await it.cluster.pods(DEPLOYMENT):
        it.cluster.world.turn(it.cluster.namespace, pod["metadata"]["name"], Behaviour.UNREADY)
    await it.cluster.wait_for_pods(DEPLOYMENT, "NotReady", 2)


async def too_few_pods(it: System) -> None:
    """All pods are ready, and not enough for those who come."""
    await released(it.cluster, DEPLOYMENT, GOOD)
    it.front.needed = 4


Trouble = Callable[[System], Awaitable[None]]


@pytest.mark.parametrize(
    ("trouble", "remedies", "embedded"),
    [
        (bad_release, ["rollback-deployment"], UNSERVED),
        (sick_pods, ["rollback-deployment", "restart-deployment"], "pods that fail are replaced"),
        (
            too_few_pods,
            ["rollback-deployment", "restart-deployment", "scale-deployment"],
            "pods are added",
        ),
    ],
    ids=["a bad release", "sick pods", "too few pods"],
)
async def test_system_down(cluster: Cluster, trouble: Trouble, remedies: list[str], embedded: str) -> None:
    """The system is looked at again, then remedy by remedy is tried until one helps; then nobody is woken.

    Two probes that tell of the same outage are one incident.
    """
    async with system(cluster) as it:
        await trouble(it)
        assert not await it.front.serves()
        await it.fire("SystemDown")
        plan = await it.plan()
        await it.fire("EndpointDown", instance=f"{it.front.url}/health", namespace="monitoring")
        await it.serving()
        await it.resolve()
        runs = await it.service.runs_ended(1 + len(remedies), within=IN_TIME)
        (incident,) = await it.service.incidents_resolved()

        assert [run["playbook"] for run in runs] == ["assess-system", *remedies]
        assert it.broken_evidence(runs[0]) == []
        agree(it, runs[0], plan, "a system that does not answer is left to the next remedy")
        agree(it, runs[-1], plan, embedded)
        if remedies[-1] == "scale-deployment":
            agree(it, runs[2], plan, "pods that are all ready are left alone")
        if len(remedies) > 1:
            agree(it, runs[1], plan, "nothing is changed when no earlier revision is known to be good")
        assert (incident["priority"], incident["escalated_at"]) == ("P0", None)


async def autoscale(cluster: Cluster) -> None:
    """Do what the autoscaler's controller, which does not run here, does once the autoscaler has a new maximum."""

    async def pinned() -> bool:
        path = f"{AUTOSCALERS.format(namespace=cluster.namespace)}/{DEPLOYMENT}"
        spec = (await cluster.api.get(path))["spec"]
        return (spec["minReplicas"], spec["maxReplicas"]) == (1, 1)

    await eventually(pinned, within=20, what="the autoscaler keeps one pod")
    await cluster.kubectl("scale", f"deployment/{DEPLOYMENT}", "--replicas=1")


@pytest.mark.parametrize("autoscaler", ["", "autoscaled"], ids=["four pods", "an autoscaler"])
async def test_security_breach(cluster: Cluster, autoscaler: str) -> None:
    """The traces are kept first, the system is shut off from outside, and people are told at once."""
    async with system(cluster) as it:
        cluster.world.logs.write(cluster.namespace, DEPLOYMENT, ["authentication failed for root"])
        await released(cluster, DEPLOYMENT, GOOD, replicas=4)
        if autoscaler:
            await autoscaled(cluster)
        await it.fire("SecurityBreachSuspected")
        plan = await it.plan()
        if autoscaler:
            await autoscale(cluster)
        (run,) = await it.service.runs_ended(within=IN_TIME)

        agree(it, run, plan, "everything is shut, and people are told")
        assert not await it.front.serves()
        assert len(await cluster.pods(DEPLOYMENT)) == 1
        assert (await cluster.deployment(DEPLOYMENT))["spec"]["replicas"] == 1
        ingress = await cluster.api.get(f"{INGRESSES.format(namespace=cluster.namespace)}/{INGRESS}")
        action = ingress["metadata"]["annotations"]["alb.ingress.kubernetes.io/actions.block-all"]
        assert json.loads(action)["fixedResponseConfig"]["statusCode"] == "503"
        assert it.broken_evidence(run) == []
        kept = it.service.rows("SELECT content FROM evidence WHERE run_id = ?", run["id"])
        assert any(b"authentication failed for root" in row["content"] for row in kept)
        traces = ("evidence/", "steps/keep")
        ended = [row["ended_at"] for row in it.steps(run) if row["path"].startswith(traces)]
        (block,) = [row for row in it.steps(run) if row["path"] == "steps/block"]
        assert max(ended) <= block["started_at"]
        (incident,) = it.service.rows("SELECT * FROM incidents")
        assert (incident["escalation_reason"], run["reason"]) == ("run_failed", "handed_over")
        (hand_over,) = [row for row in it.steps(run) if row["action"] == "flow.fail"]
        for said in (
            "refuse everybody: succeeded",
            "where it leads: succeeded",
            "down to 1: succeeded",
            "the events: yes",
            "in 4 of 4 pods",
            "the list of pods: yes",
        ):
            assert said in hand_over["message"]


async def test_data_loss(cluster: Cluster) -> None:
    """Writes are stopped, the damage is counted read-only, the newest good backup is found, and people are told."""
    async with system(cluster) as it, backup(cluster) as name:
        await released(cluster, DEPLOYMENT, GOOD)
        await it.fire("DataCorruptionSuspected")
        plan = await it.plan()
        (run,) = await it.service.runs_ended(within=IN_TIME)

        agree(it, run, plan, "writes are stopped, the damage is counted, and people are told")
        (container,) = (await cluster.pod_template(DEPLOYMENT))["spec"]["containers"]
        assert container["env"] == [{"name": "READ_ONLY_MODE", "value": "true"}]
        (hand_over,) = [row for row in it.steps(run) if row["action"] == "flow.fail"]
        for said in ("gone: true", '{"recent": 12, "corrupted": 3}', f"backup: {name}."):
            assert said in hand_over["message"]
        (incident,) = it.service.rows("SELECT * FROM incidents")
        assert incident["escalation_reason"] == "run_failed"
        (call,) = [each for each in cluster.world.scripts.calls if each.namespace == cluster.namespace]
        assert "SET TRANSACTION READ ONLY" in call.command[2]


async def test_database_connections_are_reset(cluster: Cluster) -> None:
    """The pods that hold all connections are replaced, and the database is asked whether it has some again."""
    async with system(cluster) as it:
        await released(cluster, DEPLOYMENT, GOOD)
        answered(cluster, CONNECTIONS, {"used": 100, "limit": 100, "states": {"idle": 100}})
        await it.fire(EXHAUSTED)
        plan = await it.plan()
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/ready' AND state = 'succeeded'")
        answered(cluster, CONNECTIONS, {"used": 8, "limit": 100, "states": {"idle": 8}})
        await it.resolve()
        (run,) = await it.service.runs_ended(within=IN_TIME)
        await it.service.incidents_resolved()

        agree(it, run, plan, "pods that hold all connections are replaced")
        assert (await cluster.pod_template(DEPLOYMENT))["metadata"]["annotations"]
        assert it.broken_evidence(run) == []


async def test_high_cpu_is_shared_among_more_pods(cluster: Cluster) -> None:
    """Half as many pods again, until the use has gone down; the trend is asked of a real Prometheus."""
    async with prometheus({}) as server, system(cluster, prometheus=server.url) as it:
        await released(cluster, DEPLOYMENT, GOOD, replicas=4)
        busy = await using(cluster, "98m")
        await it.fire("PodCPUHigh", pod=busy[0])
        plan = await it.plan()
        await it.service.until("SELECT * FROM steps WHERE path = 'steps/ready' AND state = 'succeeded'")
        await using(cluster, "60m", *busy)
        await it.resolve()
        (run,) = await it.service.runs_ended(within=IN_TIME)
        await it.service.incidents_resolved()

        agree(it, run, plan, "busy pods get half as many again")
        assert (await cluster.deployment(DEPLOYMENT))["spec"]["replicas"] == 6
        assert it.broken_evidence(run) == []


async def test_observe_mode_changes_nothing(cluster: Cluster) -> None:
    """Every playbook comes to its end with each write sent as a dry run, and no object has another version.

    The cluster's name, from the vars, is part of what the runs are about.
    """
    async with system(cluster) as it, backup(cluster):
        await released(cluster, DEPLOYMENT, GOOD, UNREADY)
        await cluster.wait_for_pods(DEPLOYMENT, "NotReady")
        await using(cluster, "98m")
        answered(cluster, CONNECTIONS, {"used": 100, "limit": 100, "states": {"idle": 100}})
        await it.service.stop()
        alerts = ("SystemDown", "SecurityBreachSuspected", "DataLossSuspected", "PodCPUHigh", EXHAUSTED)
        planned = {rung["playbook"]: rung["inputs"] for rung in await it.rungs(*alerts)}
        versions = Versions(cluster)
        before = await versions.still()
        it.front.needed = 100
        for playbook, inputs in planned.items():
            run = await it.by_hand(playbook, inputs, "--observe")
            failed = [(row["path"], row["message"]) for row in it.steps(run) if row["state"] == "failed"]
            assert run["state"] == "observed", (playbook, run["reason"], failed)
            place = f"deployments/{cluster.namespace}/{DEPLOYMENT}@test"
            assert run["target"] == (None if playbook == "assess-system" else place)
            # What a dry run would have changed is in the record all the same.
            assert playbook == "assess-system" or any(row["change"] is not None for row in it.steps(run))
        assert await versions.still() == before
        assert not await it.release()
