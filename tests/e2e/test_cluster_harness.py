"""The harness itself: rollouts, pods, logs, exec, metrics and nodes behave as a cluster's do."""

from __future__ import annotations

import asyncio

import pytest

from tests.cluster.api import Object
from tests.cluster.cluster import REVISION, Cluster
from tests.cluster.pod_life import Behaviour
from tests.cluster.scripts import Answer, Ends
from tests.servers import eventually

GOOD, ALSO_GOOD, UNREADY, CRASH = "app:good-1", "app:good-2", "app:unready-1", "app:crash-1"


async def test_a_good_release_rolls_out(cluster: Cluster) -> None:
    """A good image's pods become ready, and each release is a revision of its own."""
    await cluster.deploy("web", GOOD)
    await cluster.wait_rolled_out("web")
    await cluster.deploy("web", ALSO_GOOD)
    found = await cluster.wait_rolled_out("web")
    assert found["metadata"]["annotations"][REVISION] == "2"
    assert await cluster.revisions("web") == {1: GOOD, 2: ALSO_GOOD}


async def test_an_unready_release_gets_stuck(cluster: Cluster) -> None:
    """Pods that never become ready stop the rollout, the old ones serve on, and the Deployment says why."""
    await cluster.deploy("web", GOOD)
    await cluster.wait_rolled_out("web")
    await cluster.deploy("web", UNREADY, progressDeadlineSeconds=2)

    async def reason() -> bool:
        conditions = (await cluster.deployment("web"))["status"]["conditions"]
        return any(each.get("reason") == "ProgressDeadlineExceeded" for each in conditions)

    await eventually(reason, within=20, what="the rollout has missed its deadline")
    stuck = await cluster.wait_for_pods("web", "NotReady")
    assert {pod["spec"]["containers"][0]["image"] for pod in stuck} == {UNREADY}
    assert (await cluster.deployment("web"))["status"]["availableReplicas"] == 2
    refused = await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=5s", fails=True)
    assert "exceeded its progress deadline" in refused.stderr
    events = await cluster.kubectl("get", "events", "--field-selector=reason=Unhealthy")
    assert "Readiness probe failed" in events.stdout


async def test_a_crashing_release_crash_loops(cluster: Cluster) -> None:
    """A crashing container waits in CrashLoopBackOff, restarts over and over, and keeps its previous log."""
    await cluster.deploy("web", CRASH, replicas=1)
    [pod] = await cluster.wait_for_pods("web", "CrashLoopBackOff")
    name = pod["metadata"]["name"]

    async def restarts() -> bool:
        [found] = await cluster.pods("web")
        count: int = found["status"]["containerStatuses"][0]["restartCount"]
        return count >= 3

    await eventually(restarts, within=20, what="three restarts")
    cluster.world.logs.write(cluster.namespace, "web", ["it broke"], previous=True)
    assert (await cluster.kubectl("logs", name, "--previous")).stdout == "it broke\n"
    assert "CrashLoopBackOff" in (await cluster.kubectl("get", "pods")).stdout
    assert "BackOff" in (await cluster.kubectl("get", "events")).stdout


async def test_other_images(cluster: Cluster) -> None:
    """An image that cannot be pulled backs off; a slow one becomes ready in the end."""
    await cluster.deploy("missing", "app:imagepull-1", replicas=1)
    await cluster.deploy("slow", "app:slow-1", replicas=1)
    await cluster.wait_for_pods("slow", "NotReady")
    await cluster.wait_for_pods("missing", "ImagePullBackOff")
    await cluster.wait_rolled_out("slow")


async def test_a_running_pod_can_be_turned(cluster: Cluster) -> None:
    """A test makes a good pod unready, and good again."""
    await cluster.deploy("web", GOOD, replicas=1)
    [pod] = await cluster.wait_for_pods("web", "Ready")
    cluster.world.turn(cluster.namespace, pod["metadata"]["name"], Behaviour.UNREADY)
    await cluster.wait_for_pods("web", "NotReady")
    cluster.world.turn(cluster.namespace, pod["metadata"]["name"], Behaviour.GOOD)
    await cluster.wait_for_pods("web", "Ready")


async def test_kubectl_rollout(cluster: Cluster) -> None:
    """`kubectl rollout` undoes, restarts, tells the history and waits."""
    await cluster.deploy("web", GOOD)
    await cluster.wait_rolled_out("web")
    before = await cluster.pod_template("web")
    await cluster.deploy("web", UNREADY, cause="a bad release")
    history = await cluster.kubectl("rollout", "history", "deployment/web")
    assert "a bad release" in history.stdout
    await cluster.kubectl("rollout", "undo", "deployment/web", "--to-revision=1")
    status = await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert "successfully rolled out" in status.stdout
    assert await cluster.pod_template("web") == before
    await cluster.kubectl("rollout", "restart", "deployment/web")
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    annotations = (await cluster.pod_template("web"))["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations


async def test_kubectl_scale(cluster: Cluster) -> None:
    """`kubectl scale` adds and takes pods."""
    await cluster.deploy("web", GOOD, replicas=1)
    await cluster.kubectl("scale", "deployment/web", "--replicas=4")
    await cluster.wait_for_pods("web", "Ready", count=4)
    await cluster.kubectl("scale", "deployment/web", "--replicas=1")

    async def one() -> bool:
        return len(await cluster.pods("web")) == 1

    await eventually(one, within=20, what="one pod is left")


async def test_deleted_and_evicted_pods_are_replaced(cluster: Cluster) -> None:
    """A deleted pod goes at once, and another takes its place."""
    await cluster.deploy("web", GOOD, replicas=1)
    [first] = await cluster.wait_for_pods("web", "Ready")
    await cluster.kubectl("delete", "pod", first["metadata"]["name"], "--timeout=20s")
    [second] = await cluster.wait_for_pods("web", "Ready")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


async def test_logs(cluster: Cluster) -> None:
    """Logs written for an app come from each of its pods, cut by tail and since."""
    await cluster.deploy("web", GOOD)
    await cluster.wait_rolled_out("web")
    cluster.world.logs.write(cluster.namespace, "web", ["old"], age_s=3600)
    cluster.world.logs.write(cluster.namespace, "web", ["one", "two"])
    every = await cluster.kubectl("logs", "-l", "app=web")
    assert sorted(every.stdout.split()) == ["old", "old", "one", "one", "two", "two"]
    last = await cluster.kubectl("logs", "deployment/web", "--tail=1")
    assert last.stdout == "two\n"
    recent = await cluster.kubectl("logs", "deployment/web", "--since=10m")
    assert recent.stdout == "one\ntwo\n"


async def test_exec(cluster: Cluster) -> None:
    """A command runs for real: its output, apart from its errors, its input and its exit code come back."""
    await cluster.deploy("web", GOOD, replicas=1)
    await cluster.wait_rolled_out("web")
    ran = await cluster.kubectl(
        "exec", "deployment/web", "--", "sh", "-c", "echo out; echo err >&2; exit 3", fails=True
    )
    assert ran.code == 3
    assert ran.stdout == "out\n"
    assert ran.stderr.startswith("err\n")
    read = await cluster.kubectl("exec", "-i", "deployment/web", "--", "cat", stdin="hello")
    assert read.stdout == "hello"
    missing = await cluster.kubectl("exec", "deployment/web", "--", "no-such-program", fails=True)
    assert missing.code == 127


async def test_exec_by_script(cluster: Cluster) -> None:
    """A test answers in a command's place, breaks its stream or lets it hang, and sees what was called."""
    scripts, namespace = cluster.world.scripts, cluster.namespace
    await cluster.deploy("web", GOOD, replicas=1)
    await cluster.wait_rolled_out("web")
    scripts.answer("pg_stat_activity", Answer(b"42\n"), namespace=namespace)
    scripts.answer("breaks", Answer(b"half", ends=Ends.BREAK), namespace=namespace)
    scripts.answer("hangs", Answer(ends=Ends.HANG), namespace=namespace)
    asked = await cluster.kubectl("exec", "deployment/web", "--", "python", "-c", "from pg_stat_activity")
    assert asked.stdout == "42\n"
    broken = await cluster.kubectl("exec", "deployment/web", "--", "breaks", fails=True)
    assert broken.stdout == "half"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await cluster.kubectl("exec", "deployment/web", "--", "hangs")
    called = [call.command[0] for call in scripts.calls if call.namespace == namespace]
    assert called == ["python", "breaks", "hangs"]


async def test_top(cluster: Cluster) -> None:
    """`kubectl top` shows what the test says the pods and nodes use."""
    await cluster.deploy("web", GOOD, replicas=1)
    [pod] = await cluster.wait_for_pods("web", "Ready")
    name = pod["metadata"]["name"]
    cluster.world.set_pod_usage(cluster.namespace, name, {"cpu": "250m", "memory": "48Mi"})
    pods = await cluster.kubectl("top", "pods", "--no-headers")
    assert pods.stdout.split() == [name, "250m", "48Mi"]
    cluster.world.set_node_usage("node-1", {"cpu": "1900m", "memory": "3584Mi"})
    nodes = await cluster.kubectl("top", "node", "node-1", "--no-headers")
    assert nodes.stdout.split() == ["node-1", "1900m", "50%", "3584Mi", "50%"]


async def test_cordon_and_drain(cluster: Cluster) -> None:
    """A cordoned node takes no pod; draining moves its pods, and a disruption budget holds it up."""
    await cluster.deploy("web", GOOD, replicas=3)
    pods = await cluster.wait_for_pods("web", "Ready", count=3)
    budget = {
        "apiVersion": "policy/v1beta1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "web"}}},
    }
    budgets = f"/apis/policy/v1beta1/namespaces/{cluster.namespace}/poddisruptionbudgets"
    await cluster.api.create(budgets, budget)
    node = pods[0]["spec"]["nodeName"]
    drain = ("drain", node, "--ignore-daemonsets", "--pod-selector=app=web")
    try:
        await cluster.kubectl("cordon", node)
        held = await cluster.kubectl(*drain, "--timeout=3s", fails=True)
        assert "disruption budget" in held.stderr
        await cluster.api.patch(f"{budgets}/web", {"spec": {"minAvailable": 1}})
        await cluster.kubectl(*drain, "--timeout=30s")
        moved = await cluster.wait_for_pods("web", "Ready", count=3)
        assert node not in {pod["spec"]["nodeName"] for pod in moved}
    finally:
        await cluster.kubectl("uncordon", node)


async def test_pods_wait_for_a_node(cluster: Cluster) -> None:
    """With every node cordoned a pod waits, says so, and runs once there is room."""
    nodes = ("node-1", "node-2", "node-3")
    try:
        await cluster.kubectl("cordon", *nodes)
        await cluster.deploy("web", GOOD, replicas=1)
        await cluster.wait_for_pods("web", "Pending")
        found = await eventually(
            lambda: _events(cluster, "FailedScheduling"), within=20, what="a scheduling failure"
        )
        assert "nodes are available" in found
    finally:
        await cluster.kubectl("uncordon", *nodes)
    await cluster.wait_rolled_out("web")


async def _events(cluster: Cluster, reason: str) -> str:
    """The messages of the namespace's Events with this reason; empty when there is none."""
    output = "jsonpath={.items[*].message}"
    found = await cluster.kubectl("get", "events", f"--field-selector=reason={reason}", "-o", output)
    return found.stdout


@pytest.mark.parametrize(("image", "done"), [(GOOD, "succeeded"), (CRASH, "failed")])
async def test_a_job_ends(cluster: Cluster, image: str, done: str) -> None:
    """A Job's pod ends well or not, by its image."""
    container = {"name": "work", "image": image, "command": ["true"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    job = {"metadata": {"name": "work"}, "spec": {"backoffLimit": 0, "template": template}}
    jobs = f"/apis/batch/v1/namespaces/{cluster.namespace}/jobs"
    await cluster.api.create(jobs, job)

    async def ended() -> bool:
        status = (await cluster.api.get(f"{jobs}/work"))["status"]
        return status.get(done) == 1 and bool(status.get("conditions"))

    await eventually(ended, within=20, what=f"the job has {done}")


async def test_stateful_and_daemon_sets(cluster: Cluster) -> None:
    """StatefulSets and DaemonSets roll out, the latter on every node."""
    for kind in ("statefulsets", "daemonsets"):
        labels = {"app": kind}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": GOOD}]}}
        spec: Object = {"selector": {"matchLabels": labels}, "template": template}
        if kind == "statefulsets":
            spec |= {"serviceName": kind, "replicas": 2}
        await cluster.api.create(cluster.path(kind), {"metadata": {"name": kind}, "spec": spec})
        await cluster.kubectl("rollout", "status", f"{kind}/{kind}", "--timeout=20s")
    pods = await cluster.pods("daemonsets")
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node-1", "node-2", "node-3"}


async def test_an_autoscaler_can_be_made(cluster: Cluster) -> None:
    """A HorizontalPodAutoscaler is an object that can be found; nothing scales by it."""
    await cluster.deploy("web", GOOD, replicas=1)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {
        "scaleTargetRef": target,
        "minReplicas": 1,
        "maxReplicas": 5,
        "targetCPUUtilizationPercentage": 80,
    }
    autoscalers = f"/apis/autoscaling/v1/namespaces/{cluster.namespace}/horizontalpodautoscalers"
    await cluster.api.create(autoscalers, {"metadata": {"name": "web"}, "spec": spec})
    found = await cluster.kubectl("get", "hpa", "web", "-o", "jsonpath={.spec.scaleTargetRef.name}")
    assert found.stdout == "web"


async def test_a_user_may_do_what_a_role_says(cluster: Cluster) -> None:
    """A user without a role is refused, with the missing permission; a bound role gives that one."""
    refused = await cluster.kubectl("get", "pods", user="user-1", fails=True)
    assert 'cannot list resource "pods"' in refused.stderr
    await cluster.kubectl("create", "role", "reader", "--verb=list", "--resource=pods")
    await cluster.kubectl("create", "rolebinding", "reader", "--role=reader", "--user=user-1")
    await eventually(
        lambda: cluster.kubectl("get", "pods", user="user-1"), within=10, what="the role is in force"
    )
    await cluster.kubectl("get", "deployments", user="user-1", fails=True)
