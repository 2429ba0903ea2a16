"""The actions that read, against the real API server, compared with what kubectl says."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from runbookd.actions.kubernetes.sealing import unseal
from runbookd.actions.performer import CataloguePerformer
from runbookd.language.values import SecretRef
from tests.cluster.cluster import Cluster
from tests.cluster.faults import fault_proxy
from tests.contract.actions.hands import SetClock, call, failed, performing, succeeded
from tests.e2e.acting import acting, step, stood
from tests.servers import eventually

GOOD, BETTER, BAD = "app:good-1", "app:good-2", "app:unready-3"


async def asked(performer: CataloguePerformer, action: str, **params: Any) -> Mapping[str, Any]:
    """The result of a read."""
    return succeeded(await performer.perform(step(f"kubernetes.{action}", params)))


async def read(cluster: Cluster, action: str, **params: Any) -> Mapping[str, Any]:
    """The result of a read in the test's own namespace."""
    async with acting(cluster.kubeconfig()) as performer:
        return await asked(performer, action, namespace=cluster.namespace, **params)


async def test_pods_are_as_kubectl_says(cluster: Cluster) -> None:
    """STATUS and RESTARTS of every pod are those kubectl prints, also of crashing and unpulled ones."""
    for name, image in (("good", GOOD), ("crash", "app:crash-1"), ("pull", "app:imagepull-1")):
        await cluster.deploy(name, image, replicas=1)
    await cluster.wait_for_pods("good", "Ready")
    await cluster.wait_for_pods("crash", "CrashLoopBackOff")
    await cluster.wait_for_pods("pull", "ImagePullBackOff")

    async def agree() -> bool:
        lines = (await cluster.kubectl("get", "pods", "--no-headers")).stdout.splitlines()
        theirs = {line.split()[0]: line.split()[2:4] for line in lines}
        result = await read(cluster, "get_pods")
        ours = {one["name"]: [one["status"], str(one["restarts"])] for one in result["pods"]}
        return ours == theirs

    await eventually(agree, within=20, what="runbookd and kubectl say the same of the pods")
    result = await read(cluster, "get_pods", only="not_running")
    assert result["looked_at"] == 3
    broken = {one["name"].partition("-")[0]: one for one in result["pods"]}
    assert set(broken) == {"crash", "pull"}
    assert broken["crash"]["last_exit_code"] == 1
    assert broken["crash"]["owner"].startswith("ReplicaSet/crash-")
    assert (await read(cluster, "get_pods", selector="app=good"))["ready"] == 1


async def test_events_are_found_by_type_and_reason(cluster: Cluster) -> None:
    """The kubelet's and the controllers' events, the latest first."""
    await cluster.deploy("web", "app:crash-1", replicas=1)
    await cluster.wait_for_pods("web", "CrashLoopBackOff")

    async def told() -> Mapping[str, Any] | None:
        result = await read(cluster, "get_events", type="Warning", reasons=["BackOff"], object_kind="Pod")
        return result if result["count"] else None

    result = await eventually(told, within=20, what="there is a BackOff event")
    assert result["events"][0]["object"].startswith("Pod/web-")
    everything = await read(cluster, "get_events", since="1h")
    times = [one["last_seen"] for one in everything["events"]]
    assert times == sorted(times, reverse=True)
    assert "ScalingReplicaSet" in everything["reasons"]


async def test_logs_come_through_the_api_server(cluster: Cluster) -> None:
    """The last lines of every pod with a label, the lines with a pattern, and the run before the last restart."""
    await cluster.deploy("web", GOOD, replicas=2)
    await cluster.wait_rolled_out("web")
    lines = [f"request {number} {'ERROR' if number % 5 == 0 else 'ok'}" for number in range(20)]
    cluster.world.logs.write(cluster.namespace, "web", lines)
    async with acting(cluster.kubeconfig()) as performer:
        params = {"namespace": cluster.namespace, "selector": "app=web", "tail": 10, "pattern": "ERROR"}
        outcome = await performer.perform(step("kubernetes.logs", params))
        result = succeeded(outcome)
        assert (result["pods"], result["lines"], result["matches"]) == (2, 20, 4)
        kept = [piece.content.decode().splitlines() for piece in outcome.evidence]
        assert kept == [lines[-10:]] * 2
        before = await asked(performer, "logs", **params | {"previous": True, "pattern": None})
        assert all("not found" in one["missing"] for one in before["containers"])


async def test_a_rollout_is_waited_for(cluster: Cluster) -> None:
    """A slow release is done when kubectl says so; one that never becomes ready fails with what it hangs on."""
    await cluster.deploy("web", "app:slow-1", replicas=2)
    result = await read(cluster, "rollout_status", deployment="web")
    assert (result["done"], result["available"], result["revision"]) == (True, 2, 1)
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=1s")
    await cluster.deploy("web", BAD, progressDeadlineSeconds=2)
    async with acting(cluster.kubeconfig()) as performer:
        params = {"namespace": cluster.namespace, "deployment": "web"}
        outcome = await performer.perform(step("kubernetes.rollout_status", params, within=30))
        assert "will not become complete: the progress deadline was exceeded" in failed(
            outcome, "check_failed"
        )
        assert outcome.output["done"] is False


@pytest.mark.parametrize("kind", ["statefulset", "daemonset"])
async def test_other_workloads_are_waited_for(cluster: Cluster, kind: str) -> None:
    """StatefulSets and DaemonSets by their own rules, as kubectl judges them."""
    labels = {"app": "web"}
    container = {"name": "web", "image": GOOD}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    if kind == "statefulset":
        spec |= {"replicas": 2, "serviceName": "web"}
    await cluster.api.create(cluster.path(f"{kind}s"), {"metadata": {"name": "web"}, "spec": spec})
    result = await read(cluster, "rollout_status", **{kind: "web"})
    assert result["done"]
    await cluster.kubectl("rollout", "status", f"{kind}/web", "--timeout=1s")


async def test_the_last_good_revision_is_the_one_that_was_available(cluster: Cluster) -> None:
    """After two releases that never became ready, the last good one is not the one before."""
    await cluster.deploy("web", GOOD, replicas=2)
    await cluster.wait_rolled_out("web")
    await cluster.deploy("web", BETTER, cause="release 2")
    await cluster.wait_rolled_out("web")
    good = await read(cluster, "rollout_history", deployment="web")
    assert (good["current"], good["last_good"]) == (2, 2)
    for number, image in ((3, BAD), (4, "app:crash-4")):
        await cluster.deploy("web", image)

        async def known(number: int = number) -> bool:
            return number in await cluster.revisions("web")

        await eventually(known, within=20, what=f"revision {number} is there")
        await cluster.wait_for_pods("web", "NotReady")
    result = await read(cluster, "rollout_history", deployment="web")
    assert (result["current"], result["last_good"], result["previous_good"]) == (4, 2, 2)
    assert [one["good"] for one in result["revisions"]] == [False, True, False, False]
    assert result["revisions"][1]["images"] == {"web": BETTER}
    assert result["revisions"][1]["change_cause"] == "release 2"
    assert timedelta(0) <= result["changed_ago"] < timedelta(minutes=2)
    history = (await cluster.kubectl("rollout", "history", "deployment/web")).stdout
    theirs = [line.split()[0] for line in history.splitlines() if line[:1].isdigit()]
    assert [str(one["revision"]) for one in result["revisions"]] == theirs


async def test_what_missed_its_deadline_is_no_good_revision(cluster: Cluster) -> None:
    """A release that never became ready is not good for having stood long, and does not hide what was before it."""
    await cluster.deploy("web", GOOD, replicas=2, progressDeadlineSeconds=1)
    await cluster.wait_rolled_out("web")
    await stood(cluster, "web", GOOD, 8)
    await cluster.deploy("web", BAD)
    await cluster.wait_for_pods("web", "NotReady")
    stuck = await read(cluster, "rollout_history", deployment="web")
    assert (stuck["last_good"], stuck["previous_good"]) == (1, 1)
    await stood(cluster, "web", BAD, 8)
    stuck = await read(cluster, "rollout_history", deployment="web")
    assert (stuck["last_good"], stuck["previous_good"]) == (1, 1)
    await cluster.deploy("web", BETTER)
    await cluster.wait_rolled_out("web")

    async def known() -> bool:
        result = await read(cluster, "rollout_history", deployment="web")
        goods = [one["good"] for one in result["revisions"]]
        return (goods, result["previous_good"]) == ([True, False, True], 1)

    await eventually(known, within=20, what="the second revision is not good")


@pytest.mark.parametrize("how", ["scale", "patch"])
async def test_what_stood_at_zero_is_no_good_revision(cluster: Cluster, how: str) -> None:
    """A release that was never ready, stood at 0 beyond its deadline and was scaled up again shows nothing."""

    async def scaled(number: int) -> None:
        if how == "scale":
            await cluster.kubectl("scale", "deployment/web", f"--replicas={number}")
        else:
            await cluster.kubectl("patch", "deployment/web", "-p", f'{{"spec":{{"replicas":{number}}}}}')

    await cluster.deploy("web", GOOD, replicas=2, progressDeadlineSeconds=5)
    await cluster.wait_rolled_out("web")
    await cluster.deploy("web", "app:unready-2")
    await cluster.wait_for_pods("web", "NotReady")
    await scaled(0)
    await stood(cluster, "web", "app:unready-2", 12)
    await scaled(2)
    await cluster.wait_for_pods("web", "NotReady", count=2)
    await cluster.deploy("web", BAD)

    async def known() -> Mapping[str, Any] | None:
        found = await read(cluster, "rollout_history", deployment="web")
        return found if found["current"] == 3 else None

    result = await eventually(known, within=20, what="the third revision is there")
    assert [one["good"] for one in result["revisions"]] == [False] * 3


async def test_an_available_release_is_told_from_the_good_one_before(cluster: Cluster) -> None:
    """What stood beyond the deadline was available; what stood for a moment may have been; a restart is no release."""
    await cluster.deploy("web", GOOD, replicas=2, progressDeadlineSeconds=2)
    await cluster.wait_rolled_out("web")
    await cluster.deploy("web", BETTER)
    await cluster.wait_rolled_out("web")
    await stood(cluster, "web", BETTER, 9)
    await cluster.deploy("web", "app:good-broken-3")
    await cluster.wait_rolled_out("web")

    async def known() -> Mapping[str, Any] | None:
        result = await read(cluster, "rollout_history", deployment="web")
        return result if result["last_good"] == 3 else None

    result = await eventually(known, within=20, what="the third revision is complete")
    assert [one["good"] for one in result["revisions"]] == [False, True, True]
    assert (result["previous_good"], result["taken_back"]) == (2, False)

    await cluster.kubectl("rollout", "restart", "deployment/web")
    await cluster.wait_rolled_out("web")
    later = await read(cluster, "rollout_history", deployment="web")
    assert (later["current"], later["previous_good"]) == (4, 2)
    assert later["changed_at"] == result["changed_at"]


async def test_a_rollback_is_the_newest_revision(cluster: Cluster) -> None:
    """After an undo the ReplicaSet is used again under a new number, which is good, and just changed."""
    await cluster.deploy("web", GOOD, replicas=1)
    await cluster.wait_rolled_out("web")
    await cluster.deploy("web", BAD)
    await cluster.wait_for_pods("web", "NotReady")
    await cluster.kubectl("rollout", "undo", "deployment/web", "--to-revision=1")
    await cluster.wait_rolled_out("web")

    async def settled() -> bool:
        result = await read(cluster, "rollout_history", deployment="web")
        return (result["current"], result["last_good"], result["previous_good"]) == (3, 3, None)

    await eventually(settled, within=20, what="revision 3 is the good one")


async def test_nodes_are_as_kubectl_describes_them(cluster: Cluster) -> None:
    """Requests and limits of a node's pods, its readiness, and whether it takes pods."""
    await cluster.deploy("web", GOOD, replicas=3)
    await cluster.wait_rolled_out("web")
    async with acting(cluster.kubeconfig()) as performer:
        result = await asked(performer, "describe_nodes")
        assert result["count"] == result["ready"] == 3
        assert sum(one["pods"] for one in result["nodes"]) >= 3
        assert all(one["problems"] == [] and one["pods_allocatable"] for one in result["nodes"])

        async def agree() -> bool:
            (one,) = (await asked(performer, "describe_nodes", node="node-1"))["nodes"]
            parts = (("cpu", 1000, "m"), ("memory", 2**-20, "Mi"))
            ours = [
                f"{one[name][which] * unit:.0f}{suffix}"
                for name, unit, suffix in parts
                for which in ("requests", "limits")
            ]
            text = (await cluster.kubectl("describe", "node", "node-1")).stdout.partition("Allocated")[2]
            lines = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
            theirs = [lines[name][column] for name, _, _ in parts for column in (1, 3)]
            return [word for word in ours if word[0] != "0"] == [word for word in theirs if word != "0"]

        # Pods of tests before this one may be on their way out, so that the two look at different moments.
        await eventually(agree, within=20, what="runbookd and kubectl say the same of node-1")


async def test_use_is_as_kubectl_top_says(cluster: Cluster) -> None:
    """Cores and bytes of pods and nodes, and percentages of limits and of what is allocatable."""
    await cluster.deploy("web", GOOD, replicas=1)
    ((pod,),) = [await cluster.wait_for_pods("web", "Ready")]
    name = pod["metadata"]["name"]
    cluster.world.set_pod_usage(cluster.namespace, name, {"cpu": "80m", "memory": "48Mi"})
    cluster.world.set_node_usage("node-1", {"cpu": "1500m", "memory": "2Gi"})
    (one,) = (await read(cluster, "top_pods", selector="app=web"))["pods"]
    assert (one["cpu"], one["cpu_percent"], one["memory_percent"]) == (0.08, 80.0, 75.0)
    theirs = (await cluster.kubectl("top", "pods", "--no-headers")).stdout.split()
    assert theirs == [name, f"{one['cpu'] * 1000:.0f}m", f"{one['memory'] // 2**20}Mi"]
    async with acting(cluster.kubeconfig()) as performer:
        nodes = {node["name"]: node for node in (await asked(performer, "top_nodes"))["nodes"]}
    lines = (await cluster.kubectl("top", "nodes", "--no-headers")).stdout.splitlines()
    shares = {line.split()[0]: line.split()[2].rstrip("%") for line in lines}
    assert {name: str(int(node["cpu_percent"])) for name, node in nodes.items()} == shares
    assert nodes["node-1"]["cpu"] == 1.5


async def test_any_object_is_read_and_a_secret_stays_one(cluster: Cluster) -> None:
    """Objects of any kind, custom ones too; what is not there is an answer."""
    await cluster.kubectl("create", "secret", "generic", "db", "--from-literal=password=canary")
    secret = await read(cluster, "get_resource", kind="secrets", name="db")
    assert secret["object"]["data"] == {"password": "***"}
    absent = await read(cluster, "get_resource", kind="certificates.v1.cert-manager.io", name="tls")
    assert absent == {"object": None, "found": False}


async def test_an_export_can_be_applied_again(cluster: Cluster) -> None:
    """What was exported is taken by the API server as it is; Secrets only with the key."""
    key = base64.b64encode(b"k" * 32).decode()
    await cluster.deploy("web", GOOD, replicas=1)
    await cluster.kubectl("create", "configmap", "settings", "--from-literal=a=1")
    await cluster.kubectl("create", "secret", "generic", "db", "--from-literal=password=canary")
    await cluster.kubectl("create", "service", "clusterip", "web", "--tcp=80")
    clusters = {"kubernetes": {"clusters": {"test": {"kubeconfig": str(cluster.kubeconfig())}}}}
    params = {
        "namespaces": [cluster.namespace],
        "kinds": ["configmaps", "deployments", "secrets", "services", "roles"],
        "key": SecretRef("export_key"),
    }
    async with performing(clusters, clock=SetClock(datetime.now(UTC)), export_key=key) as performer:
        outcome = await performer.perform(call("kubernetes.export_resources", params))
    assert succeeded(outcome)["objects"] >= 4
    assert "Y2FuYXJ5" not in str(outcome)
    pieces = {piece.name.rpartition("/")[2]: piece.content for piece in outcome.evidence}
    opened = unseal(json.loads(pieces["secrets.json"]), base64.b64decode(key))
    await cluster.kubectl("delete", "all,configmap,secret", "--all", "--wait=true")
    for content in (pieces["configmaps.json"], pieces["deployments.json"], pieces["services.json"], opened):
        await cluster.kubectl("apply", "-f", "-", stdin=content.decode())
    await cluster.wait_rolled_out("web")
    assert (
        await cluster.kubectl("get", "secret", "db", "-o", "jsonpath={.data.password}")
    ).stdout == "Y2FuYXJ5"


async def test_long_lists_come_in_pages(cluster: Cluster) -> None:
    """No answer holds more than a page; nothing is lost or told twice between them."""
    for number in range(23):
        await cluster.api.create(
            cluster.path("configmaps"), {"metadata": {"name": f"m-{number:02}"}, "data": {"a": "1"}}
        )
    async with (
        fault_proxy(cluster.world.plane) as proxy,
        acting(cluster.world.plane.kubeconfig(server=proxy.url), page_size=5) as performer,
    ):
        outcome = await performer.perform(
            step(
                "kubernetes.export_resources",
                {"namespaces": [cluster.namespace], "kinds": ["configmaps"]},
            )
        )
        lists = [one for one in proxy.calls if one.path.endswith("/configmaps")]
    (piece,) = outcome.evidence
    names = [one["metadata"]["name"] for one in json.loads(piece.content)["items"]]
    assert [name for name in names if name.startswith("m-")] == [f"m-{number:02}" for number in range(23)]
    assert len(lists) == 5
    assert all("limit=5" in one.query for one in lists)


async def test_reads_run_at_once_on_one_client(cluster: Cluster) -> None:
    """Many steps share the cluster's connections and do not get into each other's way."""
    await cluster.deploy("web", GOOD, replicas=2)
    await cluster.wait_rolled_out("web")
    async with acting(cluster.kubeconfig()) as performer:
        many = [
            performer.perform(step("kubernetes.get_pods", {"namespace": cluster.namespace}))
            for _ in range(30)
        ]
        results = [succeeded(outcome) for outcome in await asyncio.gather(*many)]
    assert {one["count"] for one in results} == {2}


async def test_the_service_account_of_a_pod_signs_in(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without settings a pod uses its own account: address from the environment, token and authority from files."""
    plane = cluster.world.plane
    address = URL(plane.url)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.host))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    token = tmp_path / "token"
    token.write_text(plane.users["admin"], encoding="utf-8")
    # Where a pod finds them; a test may not write there.
    place = "kubernetes_asyncio.config.incluster_config"
    monkeypatch.setattr(f"{place}.SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(f"{place}.SERVICE_CERT_FILENAME", str(plane.authority))
    monkeypatch.setattr("runbookd.actions.kubernetes.kubeconfig._SERVICE_ACCOUNT", token)
    for clusters in ({}, {"here": {"in_cluster": True}}):
        async with performing({"kubernetes": {"clusters": clusters}}) as performer:
            result = await asked(performer, "get_pods", namespace=cluster.namespace)
            assert result["count"] == 0
