"""`kubernetes.rollout_undo` against an API server: to the revision that is named, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbookd.actions.kubernetes.kinds import CONTROLLER_REVISION, DEPLOYMENT, REPLICA_SET, STATEFUL_SET
from runbookd.model.action import OutcomeState, Probed
from tests.contract.actions.hands import call, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import deployment, replica_set, restarted, template
from tests.contract.actions.kube_writes import accept_writes, acting

STEP = {"namespace": "shop", "deployment": "api", "to_revision": 1}


def a_history(kube: KubeApi) -> None:
    """A Deployment at its second revision."""
    kube.put(DEPLOYMENT, deployment())
    kube.put(REPLICA_SET, replica_set(1), replica_set(2, replicas=2, available=2))


async def test_the_template_returns_and_comes_back(kube: KubeApi, tmp_path: Path) -> None:
    """Only the template is changed, with the version it was read at; the undo brings the other back."""
    writes = accept_writes(kube)
    a_history(kube)
    made = call("kubernetes.rollout_undo", STEP)
    async with acting(kube, tmp_path) as performer:
        assert await performer.probe(made) == (Probed.NOT_DONE, None)
        output = succeeded(await performer.perform(made))
        assert (output["from_revision"], output["to_revision"], output["images"]) == (2, 1, ["shop:1"])
        assert (await performer.probe(made))[0] is Probed.DONE
        assert succeeded(await performer.perform(made))["revert"] == output["revert"]
        back = succeeded(await performer.undo(call("kubernetes.rollout_undo", STEP, key="undo"), output))
        assert (back["images"], back["to_revision"]) == (["shop:2"], 2)
    assert writes.made() == ["PATCH deployments/api"] * 2
    first = next(one for one in kube.asked if one.method == "PATCH").body
    assert first[0]["op"] == "test"
    assert [one["path"] for one in first if "runbookd" not in one["path"]] == [
        "/metadata/resourceVersion",
        "/spec/template",
    ]


async def test_what_it_leaves_is_noted_and_its_undo_takes_the_note_away(
    kube: KubeApi, tmp_path: Path
) -> None:
    """In the patch of the template: also a lost answer is found with it, and undone to the notes there were."""
    writes = accept_writes(kube)
    a_history(kube)
    before = {**writes.the(DEPLOYMENT, "api")["metadata"]["annotations"], "runbookd.io/taken-back": "h1"}
    writes.the(DEPLOYMENT, "api")["metadata"]["annotations"] = before
    made = call("kubernetes.rollout_undo", STEP)
    async with acting(kube, tmp_path) as performer:
        writes.broken.append("PATCH")
        failed(await performer.perform(made), "connection_lost", OutcomeState.IN_DOUBT)
        notes = writes.the(DEPLOYMENT, "api")["metadata"]["annotations"]
        assert notes["runbookd.io/taken-back"] == "h2"
        answer, known = await performer.probe(made)
        assert answer is Probed.DONE
        assert known is not None
        assert "runbookd.io/last-change" not in str(known.change)
        for _ in range(2):
            succeeded(await performer.undo(call("kubernetes.rollout_undo", STEP, key="undo"), known.output))
        # But for the note that what comes by the undo is no release.
        newest = f"{before['deployment.kubernetes.io/revision']}/uid-of-api"
        after = {**before, "runbookd.io/put-back-after": newest}
        assert writes.the(DEPLOYMENT, "api")["metadata"]["annotations"] == after


async def test_a_restart_is_nothing_to_take_back(kube: KubeApi, tmp_path: Path) -> None:
    """A revision that was only restarted since is there already."""
    writes = accept_writes(kube)
    kube.put(DEPLOYMENT, restarted(deployment()))
    kube.put(REPLICA_SET, replica_set(2), restarted(replica_set(3, release=2)))
    async with acting(kube, tmp_path) as performer:
        made = call("kubernetes.rollout_undo", {**STEP, "to_revision": 2})
        assert succeeded(await performer.perform(made))["changed"] is False
    assert writes.made() == []


async def test_a_revision_that_got_a_new_number_is_found(kube: KubeApi, tmp_path: Path) -> None:
    """A rollback gives a revision a new number; the old one still leads to it, and nothing is changed twice."""
    kube.put(DEPLOYMENT, deployment())
    kube.put(REPLICA_SET, replica_set(2, notes={"deployment.kubernetes.io/revision-history": "1"}))
    async with acting(kube, tmp_path) as performer:
        assert succeeded(await performer.perform(call("kubernetes.rollout_undo", STEP)))["changed"] is False
        gone = call("kubernetes.rollout_undo", {**STEP, "to_revision": 9})
        assert "those kept are: 2" in failed(await performer.perform(gone), "not_found")


async def test_a_new_release_in_between_is_not_overwritten(kube: KubeApi, tmp_path: Path) -> None:
    """A template that changes between the look and the write is left alone."""
    writes = accept_writes(kube)
    a_history(kube)
    seen = 0

    async def deploy(_request: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 2:
            writes.the(DEPLOYMENT, "api")["spec"]["template"] = template("api", "shop:3")

    kube.handle("GET", "/deployments/api$", deploy)
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.rollout_undo", STEP))
        assert "new template" in failed(outcome, "refused")
    assert writes.made() == []


@pytest.mark.parametrize("what", ["pending", "newer", "restarting", "restarted"])
async def test_only_what_was_looked_at_is_taken_back(kube: KubeApi, tmp_path: Path, what: str) -> None:
    """What came since, a release or a restart, with or without a revision of its own, is for the next look."""
    writes = accept_writes(kube)
    a_history(kube)
    now = template("api", "shop:2" if what.startswith("restart") else "shop:3")
    now["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "2026-03-04T05:00:00Z"}
    writes.the(DEPLOYMENT, "api")["spec"]["template"] = now
    if what in {"newer", "restarted"}:
        third = replica_set(3)
        third["spec"]["template"] = now
        kube.objects["apps", "replicasets"].append(third)
    async with acting(kube, tmp_path) as performer:
        looked_at = call("kubernetes.rollout_undo", {**STEP, "from_revision": 2})
        said = failed(await performer.perform(looked_at), "refused")
        assert "got a new template, by a release or a restart, while revision 2 of it was to be" in said
        assert "nothing was changed" in said
        assert writes.made() == []
        if what in {"newer", "restarted"}:
            again = call("kubernetes.rollout_undo", {**STEP, "from_revision": 3})
            assert succeeded(await performer.perform(again))["images"] == ["shop:1"]


async def test_a_stateful_set_returns_too(kube: KubeApi, tmp_path: Path) -> None:
    """Its revisions are patches of the template."""
    writes = accept_writes(kube)
    kube.put(STATEFUL_SET, deployment())
    for number in (1, 2):
        data = {"spec": {"template": {**template("api", f"shop:{number}"), "$patch": "replace"}}}
        owner = [{"kind": "StatefulSet", "name": "api", "uid": "uid-of-api", "controller": True}]
        metadata = {"name": f"api-{number}", "labels": {"app": "api"}, "ownerReferences": owner}
        kube.put(CONTROLLER_REVISION, {"metadata": metadata, "data": data, "revision": number})
    params = {"namespace": "shop", "statefulset": "api", "to_revision": 1, "from_revision": 2}
    async with acting(kube, tmp_path) as performer:
        output = succeeded(await performer.perform(call("kubernetes.rollout_undo", params)))
        assert (output["from_revision"], output["images"]) == (2, ["shop:1"])
        gone = call("kubernetes.rollout_undo", {**params, "to_revision": 9}, key="other")
        assert "kept are: 1, 2" in failed(await performer.perform(gone), "not_found")
    assert writes.the(STATEFUL_SET, "api")["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"
