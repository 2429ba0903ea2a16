"""What holds writes back or turns them elsewhere: autoscalers, pauses, GitOps, bounds, other kinds of workloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runbookd.actions.performer import CataloguePerformer
from runbookd.model.action import Call, Mode
from tests.cluster.api import Object
from tests.cluster.cluster import Cluster, deployment
from tests.contract.actions.hands import failed, succeeded
from tests.e2e.acting import (
    BETTER,
    GOOD,
    Versions,
    a_bad_release,
    acting,
    an_ingress,
    one_release,
    step,
    stood,
)
from tests.servers import eventually


async def an_autoscaler(cluster: Cluster, name: str, least: int = 1, most: int = 4) -> str:
    """A HorizontalPodAutoscaler of a Deployment; where it is."""
    path = f"/apis/autoscaling/v1/namespaces/{cluster.namespace}/horizontalpodautoscalers"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    spec = {"minReplicas": least, "maxReplicas": most, "scaleTargetRef": target}
    await cluster.api.create(path, {"metadata": {"name": f"{name}-hpa"}, "spec": spec})
    return f"{path}/{name}-hpa"


@pytest.mark.parametrize(
    ("mode", "replicas", "bounds"), [("floor", 3, (3, 4)), ("floor", 6, (4, 4)), ("pin", 2, (2, 2))]
)
async def test_scale_acts_on_the_autoscaler(
    cluster: Cluster, mode: str, replicas: int, bounds: tuple[int, int]
) -> None:
    """Where an autoscaler decides, its bounds are changed if the step says how, and put back by the undo."""
    await one_release(cluster, "web")
    path = await an_autoscaler(cluster, "web")

    async def bounds_now() -> tuple[int, int]:
        spec = (await cluster.api.get(path))["spec"]
        return spec["minReplicas"], spec["maxReplicas"]

    params = {"namespace": cluster.namespace, "deployment": "web", "replicas": replicas}
    async with acting(cluster.kubeconfig()) as performer:
        refused = failed(await performer.perform(step("kubernetes.scale", params)), "refused")
        assert "horizontalpodautoscalers" in refused
        call = step("kubernetes.scale", {**params, "autoscaler": mode})
        output = succeeded(await performer.perform(call))
        assert (output["acted_on"], output["replicas_before"]) == ("autoscaler", None)
        assert output["reached"] == min(replicas, 4)
        assert await bounds_now() == bounds
        assert (await cluster.deployment("web"))["spec"]["replicas"] == 1
        assert (await performer.probe(call))[0].value == "done"
        succeeded(await performer.undo(step("kubernetes.scale", call.params), output))
        assert await bounds_now() == (1, 4)


@pytest.mark.parametrize(
    ("params", "bounds"),
    [
        ({"only": "down", "autoscaler": "pin", "replicas": 1}, (1, 1)),
        ({"only": "down", "autoscaler": "pin", "replicas": 2}, (2, 2)),
        ({"only": "down", "autoscaler": "pin", "replicas": 3}, (1, 3)),
        ({"only": "up", "autoscaler": "floor", "replicas": 2}, (1, 4)),
        ({"only": "up", "autoscaler": "floor", "replicas": 9}, (4, 4)),
    ],
)
async def test_scale_goes_one_way_only(
    cluster: Cluster, params: Mapping[str, object], bounds: tuple[int, int]
) -> None:
    """Three pods: fewer are held, as few are not made more; more are a floor, and as many are left alone."""
    await one_release(cluster, "web")
    await cluster.kubectl("scale", "deployment/web", "--replicas=3")
    path = await an_autoscaler(cluster, "web")
    given = {"namespace": cluster.namespace, "deployment": "web", **params}
    async with acting(cluster.kubeconfig()) as performer:
        output = succeeded(await performer.perform(step("kubernetes.scale", given)))
        spec = (await cluster.api.get(path))["spec"]
        assert (spec["minReplicas"], spec["maxReplicas"]) == bounds
        assert output["changed"] is (bounds != (1, 4))
        if params["replicas"] == 9:
            assert spec["minReplicas"] > 3  # one is gained
            again = failed(await performer.perform(step("kubernetes.scale", given)), "refused")
            assert "has its maximum of 4" in again


async def test_a_higher_minimum_that_adds_no_pod_is_refused(cluster: Cluster) -> None:
    """At the autoscaler's maximum none is gained by it, and the autoscaler could take none away any more."""
    await one_release(cluster, "web")
    await cluster.kubectl("scale", "deployment/web", "--replicas=4")
    await an_autoscaler(cluster, "web", least=2)
    before = await Versions(cluster).still()
    there = {"namespace": cluster.namespace, "deployment": "web"}
    more = {**there, "replicas": 6, "only": "up", "autoscaler": "floor"}
    async with acting(cluster.kubeconfig()) as performer:
        message = failed(await performer.perform(step("kubernetes.scale", more)), "refused")
    assert "has a maximum of 4, there are 4 already" in message
    assert "nothing was changed" in message
    assert await Versions(cluster).still() == before


async def test_what_somebody_stopped_stays_stopped(cluster: Cluster) -> None:
    """A workload at 0 is neither scaled up nor restarted, and stays the version it was."""
    await one_release(cluster, "web")
    await cluster.kubectl("scale", "deployment/web", "--replicas=0")
    there = {"namespace": cluster.namespace, "deployment": "web"}
    scale = {**there, "replicas": 2, "only": "up"}
    before = await Versions(cluster).still()
    async with acting(cluster.kubeconfig()) as performer:
        for _ in range(2):
            for action, params in (("kubernetes.scale", scale), ("kubernetes.rollout_restart", there)):
                message = failed(await performer.perform(step(action, params)), "refused")
                assert "stands at 0; somebody stopped it" in message
            await an_autoscaler(cluster, "web") if "autoscaler" not in scale else None
            scale["autoscaler"] = "floor"
        down = {**there, "replicas": 2, "only": "down", "autoscaler": "pin"}
        succeeded(await performer.perform(step("kubernetes.scale", down)))
        assert (await cluster.deployment("web"))["spec"]["replicas"] == 0
    after = await Versions(cluster).still()
    assert {path: after[path] for path in before} == before


async def test_scale_to_zero_rests_the_autoscaler(cluster: Cluster) -> None:
    """Zero is set on the workload, because an autoscaler leaves a workload of zero alone; it has to be allowed."""
    await one_release(cluster, "web")
    await an_autoscaler(cluster, "web")
    params = {"namespace": cluster.namespace, "deployment": "web", "replicas": 0}
    async with acting(cluster.kubeconfig()) as performer:
        assert "at_least" in failed(await performer.perform(step("kubernetes.scale", params)), "refused")
        many = {**params, "replicas": 21}
        assert "at_most" in failed(await performer.perform(step("kubernetes.scale", many)), "refused")
        output = succeeded(await performer.perform(step("kubernetes.scale", {**params, "at_least": 0})))
        assert (output["acted_on"], output["replicas_before"]) == ("workload", 1)


@pytest.mark.parametrize(
    ("mode", "replicas", "changed"),
    [
        ("floor", 3, {"minReplicaCount": 3, "maxReplicaCount": 5}),
        ("pin", 2, {"minReplicaCount": 1, "maxReplicaCount": 5}),
    ],
)
async def test_scale_acts_on_keda(
    cluster: Cluster, mode: str, replicas: int, changed: Mapping[str, int]
) -> None:
    """A KEDA ScaledObject gets a new minimum, or is paused at the number, and is put back by the undo."""
    await _know_keda(cluster)
    await one_release(cluster, "web")
    path = f"/apis/keda.sh/v1alpha1/namespaces/{cluster.namespace}/scaledobjects"
    spec = {"scaleTargetRef": {"name": "web"}, "minReplicaCount": 1, "maxReplicaCount": 5}
    body = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "web"},
        "spec": spec,
    }
    await cluster.api.create(path, body)
    params = {"namespace": cluster.namespace, "deployment": "web", "replicas": replicas, "autoscaler": mode}
    async with acting(cluster.kubeconfig()) as performer:
        output = succeeded(await performer.perform(step("kubernetes.scale", params)))
        found = await cluster.api.get(f"{path}/web")
        assert {key: found["spec"][key] for key in changed} == changed
        paused = found["metadata"]["annotations"].get("autoscaling.keda.sh/paused-replicas")
        assert paused == ("2" if mode == "pin" else None)
        succeeded(await performer.undo(step("kubernetes.scale", params), output))
        found = await cluster.api.get(f"{path}/web")
        assert found["spec"] == spec
        assert not found["metadata"].get("annotations")


async def _know_keda(cluster: Cluster) -> None:
    """Register KEDA's kind, for all tests."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "scaledobjects", "singular": "scaledobject", "kind": "ScaledObject"}
    body: Object = {
        "metadata": {"name": "scaledobjects.keda.sh"},
        "spec": {"group": "keda.sh", "names": names, "scope": "Namespaced", "versions": [version]},
    }
    await cluster.api.ensure("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)

    async def served() -> bool:
        groups = await cluster.api.get("/apis")
        return any(one["name"] == "keda.sh" for one in groups["groups"])

    await eventually(served, within=20, what="the server knows KEDA's kind")


async def test_a_paused_rollout_is_refused(cluster: Cluster) -> None:
    """Nothing would come of a new template while a rollout is paused, so it is refused unless told otherwise."""
    await a_bad_release(cluster, "web")
    await cluster.kubectl("rollout", "pause", "deployment/web")
    before = await Versions(cluster).still()
    there = {"namespace": cluster.namespace, "deployment": "web"}
    async with acting(cluster.kubeconfig()) as performer:
        undo = step("kubernetes.rollout_undo", {**there, "to_revision": 1})
        assert "is paused" in failed(await performer.perform(undo), "refused")
        restart = step("kubernetes.rollout_restart", there)
        assert "is paused" in failed(await performer.perform(restart), "refused")
        env = {**there, "env": {"READ_ONLY_MODE": "true"}}
        assert "is paused" in failed(await performer.perform(step("kubernetes.set_env", env)), "refused")
        where = {"namespace": cluster.namespace, "kind": "deployments", "name": "web"}
        labelled = {"template": {"metadata": {"labels": {"color": "blue"}}}}
        for patch in (
            {"spec": labelled},
            [{"op": "add", "path": "/spec/template/metadata/labels/color", "value": "blue"}],
        ):
            call = step("kubernetes.patch", {**where, "patch": patch})
            assert "is paused" in failed(await performer.perform(call), "refused")
        assert await Versions(cluster).still() == before
        told = step("kubernetes.rollout_undo", {**there, "to_revision": 1, "allow_paused": True})
        assert succeeded(await performer.perform(told))["images"] == [GOOD]
        for action, params in (
            ("kubernetes.set_env", {**env, "allow_paused": True}),
            # What is no part of the template needs no pod, and what resumes the rollout is followed.
            ("kubernetes.patch", {**where, "patch": {"spec": {"minReadySeconds": 1}}}),
            ("kubernetes.patch", {**where, "patch": {"spec": {**labelled, "paused": False}}}),
        ):
            assert succeeded(await performer.perform(step(action, params)))["changed"] is True


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("kubernetes.rollout_undo", {"deployment": "web", "to_revision": 1}),
        ("kubernetes.scale", {"deployment": "web", "replicas": 2}),
        ("kubernetes.set_env", {"deployment": "web", "env": {"A": "1"}}),
        ("kubernetes.patch", {"kind": "deployments", "name": "web", "patch": {"spec": {"paused": True}}}),
        ("kubernetes.annotate_ingress", {"ingress": "web", "annotations": {"a": "b"}}),
    ],
)
async def test_what_gitops_owns_is_refused(
    cluster: Cluster, action: str, params: Mapping[str, object]
) -> None:
    """What Argo CD or Flux would put back is refused unless told otherwise."""
    await one_release(cluster, "web")
    await cluster.deploy("web", BETTER)
    await cluster.wait_rolled_out("web")
    await an_ingress(cluster, "web")
    await cluster.kubectl(
        "annotate", "deployment/web", "argocd.argoproj.io/tracking-id=shop:apps/Deployment:x/web"
    )
    await cluster.kubectl("label", "ingress/web", "kustomize.toolkit.fluxcd.io/name=shop")
    given = {"namespace": cluster.namespace, **params}
    async with acting(cluster.kubeconfig()) as performer:
        message = failed(await performer.perform(step(action, given)), "refused")
        assert "is managed by" in message
        assert (
            succeeded(await performer.perform(step(action, {**given, "allow_gitops": True})))["changed"]
            is True
        )


async def test_a_second_rollback_never_toggles(cluster: Cluster) -> None:
    """Another step that returns to the same revision finds it there, under its new number, and changes nothing."""
    await a_bad_release(cluster, "web")
    params = {"namespace": cluster.namespace, "deployment": "web", "to_revision": 2}
    async with acting(cluster.kubeconfig()) as performer:
        first = succeeded(await performer.perform(step("kubernetes.rollout_undo", params)))
        assert (first["changed"], first["from_revision"], first["images"]) == (True, 3, [BETTER])
        await cluster.wait_rolled_out("web")
        before = await Versions(cluster).still()
        again = succeeded(await performer.perform(step("kubernetes.rollout_undo", params)))
        assert (again["changed"], again["images"]) == (False, [BETTER])
        assert await Versions(cluster).still() == before
        gone = step("kubernetes.rollout_undo", {**params, "to_revision": 99})
        assert "those kept are: 1, 3, 4" in failed(await performer.perform(gone), "not_found")


async def history(performer: CataloguePerformer, cluster: Cluster, current: int) -> Mapping[str, Any]:
    """The history of `web`, once this revision is the newest and complete."""
    there = {"namespace": cluster.namespace, "deployment": "web"}

    async def known() -> Mapping[str, Any] | None:
        found = succeeded(await performer.perform(step("kubernetes.rollout_history", there)))
        newest = found["revisions"][-1]
        done = newest["revision"] == current and newest["available"] == newest["replicas"] > 0
        # The Deployment says so a moment after its ReplicaSets do.
        return found if done and newest["good"] else None

    return await eventually(known, within=30, what=f"revision {current} is complete")


async def test_what_was_taken_back_is_not_returned_to(cluster: Cluster) -> None:
    """A release that stood long and was available is not good any more once it was taken back, restarts or not.

    The rollback is known for one until the next release, and so is its undo; a person may return to what was taken
    back by its number.
    """
    params = {"namespace": cluster.namespace, "deployment": "web"}
    await cluster.deploy("web", GOOD, replicas=1, progressDeadlineSeconds=1)
    await cluster.wait_rolled_out("web")
    await stood(cluster, "web", GOOD, 8)
    await cluster.deploy("web", "app:good-broken-2")
    await cluster.wait_rolled_out("web")
    await stood(cluster, "web", "app:good-broken-2", 8)
    async with acting(cluster.kubeconfig()) as performer:

        def to(number: int) -> Call:
            return step("kubernetes.rollout_undo", {**params, "to_revision": number})

        succeeded(await performer.perform(step("kubernetes.rollout_restart", params)))
        found = await history(performer, cluster, 3)
        assert (found["last_good"], found["previous_good"], found["taken_back"]) == (3, 1, False)
        first = succeeded(await performer.perform(to(1)))
        found = await history(performer, cluster, 4)
        assert (found["last_good"], found["previous_good"], found["taken_back"]) == (4, None, True)
        bad = [one for one in found["revisions"] if one["revision"] in {2, 3}]
        assert {one["evidence"] for one in bad} == {"it was taken back by a rollback"}

        succeeded(await performer.perform(step("kubernetes.rollout_restart", params)))
        found = await history(performer, cluster, 5)
        assert (found["previous_good"], found["taken_back"]) == (None, True)
        await cluster.deploy("web", BETTER)
        found = await history(performer, cluster, 6)
        assert (found["taken_back"], [one["good"] for one in found["revisions"][:2]]) == (False, [False] * 2)
        assert "a person decides" in failed(await performer.undo(to(1), first), "conflict")

        second = succeeded(await performer.perform(to(2)))
        found = await history(performer, cluster, 7)
        assert (found["taken_back"], found["last_good"]) == (True, 7)
        notes = (await cluster.deployment("web"))["metadata"]["annotations"]
        assert len(notes["runbookd.io/taken-back"].split(",")) == 1
        succeeded(await performer.undo(to(2), second))
        found = await history(performer, cluster, 8)
        assert (found["taken_back"], found["last_good"]) == (True, 8)
        assert [one["good"] for one in found["revisions"] if one["revision"] in {3, 7}] == [False] * 2


async def test_a_person_s_rollback_is_one(cluster: Cluster) -> None:
    """`kubectl rollout undo` is known for a return at once, while pods of what it left are still available."""
    await one_release(cluster, "web")
    replica_sets = await cluster.api.get(f"{cluster.path('replicasets')}?labelSelector=app=web")
    marked = replica_sets["items"][0]["metadata"]["name"]
    await cluster.kubectl("annotate", f"rs/{marked}", f"runbookd.io/good={marked}")
    await cluster.kubectl("scale", "deployment/web", "--replicas=3")
    await cluster.deploy("web", "app:good-broken-2")
    await cluster.wait_rolled_out("web")
    there = {"namespace": cluster.namespace, "deployment": "web"}
    async with acting(cluster.kubeconfig()) as performer:
        await cluster.kubectl("rollout", "undo", "deployment/web")

        async def returned() -> Mapping[str, Any] | None:
            found = succeeded(await performer.perform(step("kubernetes.rollout_history", there)))
            # Not one answer on the way may name what was left, to which a rollback would then go.
            assert found["current"] == 2 or (found["taken_back"], found["previous_good"]) == (True, None)
            newest = found["revisions"][-1]
            return found if (newest["revision"], newest["available"]) == (3, 3) else None

        found = await eventually(returned, within=30, every=0.05, what="revision 3 is complete")
        assert found["revisions"][0]["evidence"] == "it was taken back by a rollback"
        await cluster.deploy("web", BETTER)
        found = await history(performer, cluster, 4)
        assert (found["taken_back"], found["previous_good"]) == (False, 3)


async def test_a_change_of_ours_is_no_release(cluster: Cluster) -> None:
    """Variables this service set make a revision that is known for its own, until the next release or the undo."""
    await one_release(cluster, "web")
    params = {"namespace": cluster.namespace, "deployment": "web", "env": {"READ_ONLY_MODE": "true"}}
    made = step("kubernetes.set_env", params)
    async with acting(cluster.kubeconfig()) as performer:
        assert (await history(performer, cluster, 1))["changed_by_runbookd"] is False
        output = succeeded(await performer.perform(made))
        found = await history(performer, cluster, 2)
        assert (found["changed_by_runbookd"], found["taken_back"]) == (True, False)
        await cluster.kubectl("rollout", "restart", "deployment/web")
        assert (await history(performer, cluster, 3))["changed_by_runbookd"] is True
        succeeded(await performer.undo(made, output))
        assert (await history(performer, cluster, 4))["changed_by_runbookd"] is False
        succeeded(await performer.perform(step("kubernetes.set_env", params)))
        await cluster.deploy("web", BETTER)
        await eventually(lambda: _is_newest(cluster, BETTER), within=20, what="the next release is there")
        newest = max(await cluster.revisions("web"))
        assert (await history(performer, cluster, newest))["changed_by_runbookd"] is False


async def _is_newest(cluster: Cluster, image: str) -> bool:
    """Whether the newest revision of `web` has this image."""
    revisions = await cluster.revisions("web")
    return revisions[max(revisions)] == image


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
async def test_other_workloads_are_rolled_back_too(cluster: Cluster, kind: str) -> None:
    """A StatefulSet and a DaemonSet return to an earlier revision as with kubectl, and back by the undo."""
    plural, field = f"{kind.lower()}s", kind.lower()
    for name in ("ours", "twin"):
        await cluster.api.create(cluster.path(plural), _workload(kind, name))
        await _revisions(cluster, name, 1)
        await cluster.kubectl("set", "image", f"{field}/{name}", f"{name}={BETTER}")
        await _revisions(cluster, name, 2)

    async def template(name: str) -> Any:
        found = await cluster.api.get(cluster.path(plural, name))
        text: Any = found["spec"]["template"]["spec"]
        return {**text, "containers": [{**one, "name": "x"} for one in text["containers"]]}

    params = {"namespace": cluster.namespace, field: "ours", "to_revision": 1}
    async with acting(cluster.kubeconfig()) as performer:
        before = await template("ours")
        seen = await performer.perform(step("kubernetes.rollout_undo", params, mode=Mode.OBSERVE))
        assert succeeded(seen)["changed"] is True
        assert await template("ours") == before
        output = succeeded(await performer.perform(step("kubernetes.rollout_undo", params)))
        await cluster.kubectl("rollout", "undo", f"{field}/twin", "--to-revision=1")
        assert await template("ours") == await template("twin")
        assert (await template("ours"))["containers"][0]["image"] == GOOD
        succeeded(await performer.undo(step("kubernetes.rollout_undo", params), output))
        assert await template("ours") == before
        missing = step("kubernetes.rollout_undo", {**params, "to_revision": 9})
        assert "no revision 9" in failed(await performer.perform(missing), "not_found")


def _workload(kind: str, name: str) -> Object:
    body = deployment(name, GOOD, 1, {})
    spec = {key: value for key, value in body["spec"].items() if kind != "DaemonSet" or key != "replicas"}
    extra = {"serviceName": name} if kind == "StatefulSet" else {}
    return {**body, "kind": kind, "spec": {**spec, **extra}}


async def _revisions(cluster: Cluster, name: str, count: int) -> None:
    path = f"/apis/apps/v1/namespaces/{cluster.namespace}/controllerrevisions?labelSelector=app={name}"

    async def known() -> bool:
        return len((await cluster.api.get(path))["items"]) >= count

    await eventually(known, within=20, what=f"{name} has {count} revisions")


@pytest.mark.parametrize(
    ("params", "kind", "said"),
    [
        ({"kind": "secrets", "patch": {"data": {}}}, "refused", "a person does that"),
        ({"kind": "roles", "patch": {"rules": []}}, "refused", "a person does that"),
        ({"kind": "deployments", "patch": {"status": {"replicas": 1}}}, "refused", "`status.replicas`"),
        (
            {"kind": "deployments", "patch": {"metadata": {"finalizers": []}}},
            "refused",
            "`metadata.finalizers`",
        ),
        ({"kind": "deployments", "patch": [{"op": "remove", "path": ""}]}, "refused", "the whole object"),
        (
            {"kind": "deployments", "patch": [{"op": "destroy", "path": "/spec"}]},
            "invalid",
            "list of operations",
        ),
        ({"kind": "deployments", "patch": "x"}, "invalid", "is a map"),
        (
            {"kind": "backups.v1.velero.io", "type": "strategic", "patch": {"spec": {}}},
            "invalid",
            "take no `strategic` patch",
        ),
        ({"kind": "deploiments", "patch": {}}, "invalid", "deployments"),
    ],
)
async def test_what_may_not_be_patched(
    cluster: Cluster, params: Mapping[str, object], kind: str, said: str
) -> None:
    """Secrets, roles, status and most metadata are nobody's to patch from a playbook; nothing is sent."""
    async with acting(cluster.kubeconfig()) as performer:
        given = {"namespace": cluster.namespace, "name": "x", **params}
        assert said in failed(await performer.perform(step("kubernetes.patch", given)), kind)


async def test_set_env_keeps_and_removes(cluster: Cluster) -> None:
    """A variable from elsewhere becomes a plain one, one is removed, the order stays, and all comes back."""
    await one_release(cluster, "web")
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        {"name": "C", "value": "3"},
    ]
    container = {"name": "web", "env": env}
    template = {"spec": {"template": {"spec": {"containers": [container]}}}}
    path = cluster.path("deployments", "web")
    await cluster.api.patch(path, template, "application/strategic-merge-patch+json")
    params = {"namespace": cluster.namespace, "deployment": "web"}

    async def now() -> Any:
        return (await cluster.pod_template("web"))["spec"]["containers"][0]["env"]

    async with acting(cluster.kubeconfig()) as performer:
        wanted = {"A": None, "B": "2", "C": "3", "D": None}
        output = succeeded(await performer.perform(step("kubernetes.set_env", {**params, "env": wanted})))
        assert await now() == [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}]
        same = succeeded(await performer.perform(step("kubernetes.set_env", {**params, "env": wanted})))
        assert same["changed"] is False
        succeeded(await performer.undo(step("kubernetes.set_env", {**params, "env": wanted}), output))
        assert await now() == env
        other = step("kubernetes.set_env", {**params, "env": {"A": "1"}, "container": "x"})
        assert "only web" in failed(await performer.perform(other), "not_found")
