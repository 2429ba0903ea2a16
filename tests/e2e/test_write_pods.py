"""Writes about pods, on a real API server: deleted, moved, run in, and made for a Job; each once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbookd.model.action import Mode, OutcomeState, Probed
from tests.cluster.cluster import Cluster
from tests.cluster.faults import Fault, Trouble, fault_proxy
from tests.cluster.scripts import Answer, Ends
from tests.contract.actions.hands import failed, succeeded
from tests.e2e.acting import GOOD, Versions, acting, one_release, step
from tests.e2e.deeds import on_node
from tests.servers import eventually

IN_DOUBT = OutcomeState.IN_DOUBT
LATER = timedelta(minutes=2)
"""Beyond what clocks may differ by: seen from then, pods of now are old."""


@pytest.fixture
async def node(cluster: Cluster) -> AsyncIterator[str]:
    """A node of which the test may move pods; it takes pods again afterwards."""
    yield "node-3"
    await cluster.kubectl("uncordon", "node-3")


def names(pods: list[dict[str, Any]]) -> list[str]:
    """Their names, sorted."""
    return sorted(pod["metadata"]["name"] for pod in pods)


async def test_delete_pod(cluster: Cluster) -> None:
    """The pod goes and its controller makes another, as with kubectl; the probe tells old from new."""
    await one_release(cluster, "web")
    (pod,) = names(await cluster.pods("web"))
    params = {"namespace": cluster.namespace, "pod": pod}
    call = step("kubernetes.delete_pod", params)
    async with acting(cluster.kubeconfig()) as performer:
        versions = Versions(cluster)
        before = await versions.still()
        seen = await performer.perform(step("kubernetes.delete_pod", params, mode=Mode.OBSERVE))
        assert succeeded(seen)["deleted"] == [pod]
        assert await versions.still() == before
        assert await performer.probe(call) == (Probed.NOT_DONE, None)
        outcome = await performer.perform(call)
        assert succeeded(outcome) == {"deleted": [pod]}
        assert outcome.change == {"before": {"pods": [pod]}, "after": {"pods": []}}
        await cluster.wait_for_pods("web", "Ready")

        async def gone() -> bool:
            return pod not in names(await cluster.pods("web"))

        await eventually(gone, within=20, what="the pod is gone")
        assert await performer.probe(call) == (Probed.DONE, None)
        failed(await performer.perform(step("kubernetes.delete_pod", params)), "not_found")


async def test_delete_pods_of_a_selector(cluster: Cluster) -> None:
    """None, too many and bare pods are refused before any is deleted; young pods leave a probe undecided."""
    await cluster.deploy("web", GOOD, replicas=2)
    await cluster.wait_rolled_out("web")
    there = {"namespace": cluster.namespace, "selector": "app=web"}
    before = names(await cluster.pods("web"))
    async with acting(cluster.kubeconfig()) as performer:
        too_many = await performer.perform(step("kubernetes.delete_pod", there))
        assert "more than 1" in failed(too_many, "refused")
        none = await performer.perform(step("kubernetes.delete_pod", {**there, "selector": "app=none"}))
        failed(none, "not_found")
        call = step(
            "kubernetes.delete_pod", {**there, "max_targets": 2}, intended_at=datetime.now(UTC) + LATER
        )
        assert await performer.probe(call) == (Probed.NOT_DONE, None)
        young = step("kubernetes.delete_pod", {**there, "max_targets": 2})
        assert (await performer.probe(young))[0] is Probed.UNKNOWN
        assert succeeded(await performer.perform(call))["deleted"] == before

        bare = {"metadata": {"name": "bare"}, "spec": {"containers": [{"name": "c", "image": GOOD}]}}
        await cluster.api.create(cluster.path("pods"), bare)
        alone = {"namespace": cluster.namespace, "pod": "bare"}
        assert "no controller" in failed(
            await performer.perform(step("kubernetes.delete_pod", alone)), "refused"
        )
        succeeded(await performer.perform(step("kubernetes.delete_pod", {**alone, "allow_bare": True})))


async def test_drain(cluster: Cluster, node: str) -> None:
    """Pods are moved and the node takes none; observed first, repeated without harm, and undone."""
    await on_node(cluster, "web", node, replicas=2)
    moved = [f"{cluster.namespace}/{name}" for name in names(await cluster.pods("web"))]
    call = step("kubernetes.drain", {"node": node})
    async with acting(cluster.kubeconfig()) as performer:
        versions = Versions(cluster)
        before = await versions.still()
        seen = await performer.perform(step("kubernetes.drain", {"node": node}, mode=Mode.OBSERVE))
        assert succeeded(seen)["evicted"] == moved
        assert await versions.still() == before

        outcome = await performer.perform(call)
        output = succeeded(outcome)
        assert output["evicted"] == moved
        assert outcome.change is not None
        assert outcome.change["before"] == {"spec": {"unschedulable": None}, "pods": moved}
        await cluster.wait_for_pods("web", "Ready", 2)
        assert node not in {pod["spec"]["nodeName"] for pod in await cluster.pods("web")}
        assert (await cluster.api.get(f"/api/v1/nodes/{node}"))["spec"]["unschedulable"] is True

        again = succeeded(await performer.perform(call))
        assert (again["evicted"], again["revert"]) == ([], output["revert"])
        succeeded(await performer.undo(step("kubernetes.drain", {"node": node}), output))
        assert "unschedulable" not in (await cluster.api.get(f"/api/v1/nodes/{node}"))["spec"]


async def test_drain_keeps_to_budgets(cluster: Cluster, node: str) -> None:
    """A pod its budget holds back stays, the drain says so in time, and moves it once the budget has room."""
    await on_node(cluster, "web", node, replicas=1)
    (pod,) = names(await cluster.pods("web"))
    budgets = f"/apis/policy/v1beta1/namespaces/{cluster.namespace}/poddisruptionbudgets"
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    await cluster.api.create(budgets, {"metadata": {"name": "web"}, "spec": spec})

    async def counted() -> bool:
        status = (await cluster.api.get(f"{budgets}/web")).get("status", {})
        return bool(status.get("currentHealthy") == 1)

    await eventually(counted, within=20, what="the budget knows the pod")
    async with acting(cluster.kubeconfig()) as performer:
        held = await performer.perform(step("kubernetes.drain", {"node": node}, within=2))
        assert f"{cluster.namespace}/{pod}" in failed(held, "unavailable")
        assert names(await cluster.pods("web")) == [pod]
        draining = asyncio.create_task(performer.perform(step("kubernetes.drain", {"node": node}, within=30)))
        await cluster.api.patch(f"{budgets}/web", {"spec": {"minAvailable": 0}})
        assert succeeded(await draining)["evicted"] == [f"{cluster.namespace}/{pod}"]


async def test_drain_refuses_what_would_be_lost(cluster: Cluster, node: str) -> None:
    """Bare pods, data on the node, protected pods and too many are refused before the node is touched."""
    spec = {
        "nodeName": node,
        "containers": [{"name": "c", "image": GOOD}],
        "volumes": [{"name": "d", "emptyDir": {}}],
    }
    body = {"metadata": {"name": "bare"}, "spec": {**spec, "terminationGracePeriodSeconds": 0}}
    await cluster.api.create(cluster.path("pods"), body)
    async with acting(cluster.kubeconfig()) as performer:
        message = failed(await performer.perform(step("kubernetes.drain", {"node": node})), "refused")
        assert "no controller" in message
        assert "emptyDir" in message
    async with acting(cluster.kubeconfig(), protected=[f"pods/{cluster.namespace}/*"]) as performer:
        all_allowed = {"node": node, "allow_bare": True, "delete_local_data": True}
        assert "protected" in failed(
            await performer.perform(step("kubernetes.drain", all_allowed)), "refused"
        )
    assert "unschedulable" not in (await cluster.api.get(f"/api/v1/nodes/{node}"))["spec"]


async def test_exec(cluster: Cluster) -> None:
    """Output, error output and exit code come apart, as with kubectl; a JSON answer is read."""
    await one_release(cluster, "web")
    there = {"namespace": cluster.namespace, "deployment": "web"}
    script = "echo out; echo err >&2; exit 3"
    async with acting(cluster.kubeconfig()) as performer:
        params = {**there, "command": ["sh", "-c", script], "expect_exit": [3]}
        output = succeeded(await performer.perform(step("kubernetes.exec", params)))
        told = await cluster.kubectl("exec", "deployment/web", "--", "sh", "-c", script, fails=True)
        assert (output["stdout"], output["exit_code"]) == (told.stdout, told.code)
        assert output["stderr"] == "err\n"
        unexpected = await performer.perform(step("kubernetes.exec", {**params, "expect_exit": [0]}))
        assert "exit code 3: err" in failed(unexpected, "exit_status")
        assert [piece.content for piece in unexpected.evidence] == [b"out\n", b"err\n"]

        asked = {**there, "command": ["python", "-c", "print(1)"], "reads_only": True}
        cluster.world.scripts.answer("print", Answer(stdout=b'{"count": 7}\n'), namespace=cluster.namespace)
        seen = await performer.perform(step("kubernetes.exec", asked, mode=Mode.OBSERVE))
        assert succeeded(seen)["json"] == {"count": 7}
        before = len(cluster.world.scripts.calls)
        left = await performer.perform(step("kubernetes.exec", params, mode=Mode.OBSERVE))
        assert left.state is OutcomeState.SKIPPED
        assert len(cluster.world.scripts.calls) == before

        cluster.world.scripts.answer("seq", Answer(stdout=b"x" * 300_000), namespace=cluster.namespace)
        long = {**there, "command": ["seq"], "max_output": 1000}
        cut = succeeded(await performer.perform(step("kubernetes.exec", long)))
        assert (len(cut["stdout"]), cut["stdout_truncated"]) == (1000, True)


async def test_exec_in_doubt(cluster: Cluster) -> None:
    """A stream that breaks or hangs before the exit code leaves the command in doubt, and it is not run again."""
    await one_release(cluster, "web")
    scripts = cluster.world.scripts
    scripts.answer("breaks", Answer(stdout=b"half", ends=Ends.BREAK), namespace=cluster.namespace)
    scripts.answer("hangs", Answer(ends=Ends.HANG), namespace=cluster.namespace)
    async with acting(cluster.kubeconfig()) as performer:
        for word, kind in (("breaks", "connection_lost"), ("hangs", "timeout")):
            params = {"namespace": cluster.namespace, "deployment": "web", "command": [word]}
            call = step("kubernetes.exec", params, within=1.5)
            failed(await performer.perform(call), kind, IN_DOUBT)
            assert [one.command for one in scripts.calls if one.namespace == cluster.namespace].count(
                (word,)
            ) == 1
            assert await performer.probe(call) == (Probed.UNKNOWN, None)


async def test_exec_finds_its_pod(cluster: Cluster) -> None:
    """No pod, one that does not run, and a container that is not there are told before anything is run."""
    await cluster.deploy("web", "app:unready-1", replicas=1)
    (pod,) = names(await cluster.wait_for_pods("web", "NotReady"))
    there = {"namespace": cluster.namespace, "command": ["true"]}
    async with acting(cluster.kubeconfig()) as performer:
        none = await performer.perform(step("kubernetes.exec", {**there, "deployment": "web"}))
        assert "no ready pod" in failed(none, "not_found")
        absent = await performer.perform(step("kubernetes.exec", {**there, "pod": "gone"}))
        failed(absent, "not_found")
        wrong = await performer.perform(step("kubernetes.exec", {**there, "pod": pod, "container": "x"}))
        assert "only web" in failed(wrong, "not_found")
        assert cluster.namespace not in {one.namespace for one in cluster.world.scripts.calls}


@pytest.mark.parametrize(("image", "good"), [("app:good-1", True), ("app:crash-1", False)])
async def test_run_job(cluster: Cluster, image: str, good: bool) -> None:  # noqa: FBT001 - a row
    """A Job is run to its end, its logs told, made once however often it is tried, and deleted by the undo."""
    params = {
        "namespace": cluster.namespace,
        "name": "tidy",
        "image": image,
        "command": ["tidy"],
        "env": {"A": "1"},
    }
    jobs = f"/apis/batch/v1/namespaces/{cluster.namespace}/jobs"
    async with fault_proxy(cluster.world.plane) as proxy:
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        async with acting(config) as performer:
            versions = Versions(cluster)
            before = await versions.still()
            seen = await performer.perform(step("kubernetes.run_job", params, mode=Mode.OBSERVE))
            assert succeeded(seen)["done"] is False
            assert await versions.still() == before

            proxy.faults.append(Fault(Trouble.DROP_ANSWER, "/jobs$", "POST"))
            call = step("kubernetes.run_job", params)
            failed(await performer.perform(call), "connection_lost", IN_DOUBT)
            for _ in range(2):
                outcome = await performer.perform(call)
                if good:
                    assert succeeded(outcome)["logs"] == "started\n"
                else:
                    assert "BackoffLimitExceeded" in failed(outcome, "exit_status")
            (job,) = (await cluster.api.get(jobs))["items"]
            assert job["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]
            for _ in range(2):
                output = {"job": job["metadata"]["name"], "done": good, "logs": ""}
                undone = await performer.undo(step("kubernetes.run_job", params), output)
                assert undone.state is OutcomeState.SUCCEEDED
