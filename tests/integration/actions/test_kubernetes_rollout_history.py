"""`kubernetes.rollout_history` against an API server; how revisions are judged is in `tests/unit/`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbookd.actions.kubernetes.kinds import DEPLOYMENT, REPLICA_SET
from tests.contract.actions.hands import failed, perform, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import deployment, replica_set, template

API = {"namespace": "shop", "deployment": "api"}


async def test_the_history_of_a_stuck_release(kube: KubeApi, tmp_path: Path) -> None:
    """Revisions with image, cause and evidence, the last good one, and how long ago the template changed."""
    stranger = replica_set(9)
    stranger["metadata"]["ownerReferences"] = [{"uid": "other", "controller": True}]
    cause = {"kubernetes.io/change-cause": "release 2"}
    kube.put(DEPLOYMENT, deployment(availableReplicas=1))
    kube.put(
        REPLICA_SET,
        replica_set(2, replicas=1, created="2026-03-04T04:56:07Z", notes=cause),
        replica_set(1, replicas=2, available=2),
        stranger,
    )
    result = succeeded(await perform("kubernetes.rollout_history", API, kube.config(tmp_path)))
    assert [one["revision"] for one in result["revisions"]] == [1, 2]
    assert (result["current"], result["last_good"], result["previous_good"]) == (2, 1, 1)
    assert result["changed_at"] == datetime(2026, 3, 4, 4, 56, 7, tzinfo=UTC)
    assert result["changed_ago"] == timedelta(minutes=10)
    newest = result["revisions"][-1]
    assert (newest["images"], newest["change_cause"], newest["good"]) == (
        {"main": "shop:2"},
        "release 2",
        False,
    )
    assert [result[name] for name in ("paused", "pending", "taken_back", "changed_by_runbookd")] == [
        False
    ] * 4


async def test_the_history_while_a_release_has_no_revision_yet(kube: KubeApi, tmp_path: Path) -> None:
    """As with Recreate while old pods go: what is told is of the revision before, whose time is not the release's."""
    found = deployment(updatedReplicas=0)
    found["spec"]["template"] = template("api", "shop:3")
    found["metadata"]["annotations"]["runbookd.io/changed-after"] = "1"
    back = replica_set(2, notes={"deployment.kubernetes.io/revision-history": "0"})
    kube.put(DEPLOYMENT, found)
    kube.put(REPLICA_SET, replica_set(1), back)
    result = succeeded(await perform("kubernetes.rollout_history", API, kube.config(tmp_path)))
    assert (result["pending"], result["current"], result["current_replica_set"]) == (True, 2, "api-2")
    assert (result["changed_at"], result["changed_ago"]) == (None, None)
    assert (result["taken_back"], result["changed_by_runbookd"]) == (False, False)


@pytest.mark.parametrize("end", ["arrived", "paused", "late"])
async def test_the_history_of_a_release_is_waited_for(kube: KubeApi, tmp_path: Path, end: str) -> None:
    """Until it is a revision, or paused and will not be one; when it is none in time, that is told."""
    found = deployment(updatedReplicas=0)
    found["spec"]["template"] = template("api", "shop:3")
    kube.put(DEPLOYMENT, found)
    kube.put(REPLICA_SET, replica_set(2))

    async def arrive(_request: object) -> None:
        if end == "arrived":
            kube.objects["apps", "replicasets"].append(replica_set(3))

    kube.handle("GET", "/deployments$", arrive)
    changed = found | {"spec": found["spec"] | {"paused": end == "paused"}}
    kube.changes = [] if end == "late" else [[{"type": "MODIFIED", "object": changed}]]
    wait = {**API, "wait": True}
    within = 0.5 if end == "late" else 20.0
    config = kube.config(tmp_path)
    result = succeeded(await perform("kubernetes.rollout_history", wait, config, within=within))
    assert (result["pending"], result["current"]) == ((False, 3) if end == "arrived" else (True, 2))


async def test_the_history_after_a_rollback_of_ours(kube: KubeApi, tmp_path: Path) -> None:
    """The newest revision is known for one that was returned to, and the one that was taken back for no good one."""
    found = deployment()
    ours = {"runbookd.io/taken-back": "h2"}
    found["metadata"]["annotations"] |= ours
    back = replica_set(3, replicas=2, available=2, notes={"deployment.kubernetes.io/revision-history": "1"})
    found["spec"]["template"] = template("api", "shop:3")
    back["metadata"]["labels"]["pod-template-hash"] = "h1"
    kube.put(DEPLOYMENT, found)
    kube.put(REPLICA_SET, replica_set(2, replicas=1, available=1), back)
    result = succeeded(await perform("kubernetes.rollout_history", API, kube.config(tmp_path)))
    assert (result["taken_back"], result["last_good"], result["previous_good"]) == (True, 3, None)
    assert result["revisions"][0]["evidence"] == "it was taken back by a rollback"


async def test_the_history_after_a_change_of_ours(kube: KubeApi, tmp_path: Path) -> None:
    """A revision this service made by changing the template in place is told from a release of people."""
    found = deployment()
    found["metadata"]["annotations"]["runbookd.io/changed-after"] = "1"
    kube.put(DEPLOYMENT, found)
    kube.put(REPLICA_SET, replica_set(1), replica_set(2, replicas=2, available=2))
    result = succeeded(await perform("kubernetes.rollout_history", API, kube.config(tmp_path)))
    assert (result["changed_by_runbookd"], result["taken_back"]) == (True, False)


async def test_a_deployment_that_has_no_revision_yet(kube: KubeApi, tmp_path: Path) -> None:
    """Everything that is not known is null."""
    kube.put(DEPLOYMENT, deployment())
    kube.put(REPLICA_SET)
    kube.objects["apps", "replicasets"] = []
    result = succeeded(await perform("kubernetes.rollout_history", API, kube.config(tmp_path)))
    known = [result[name] for name in ("current", "last_good", "previous_good", "changed_at", "changed_ago")]
    assert known == [None] * 5
    assert result["pending"]


async def test_no_deployment_is_not_found(kube: KubeApi, tmp_path: Path) -> None:
    """A name that is not there is told with cluster and namespace."""
    kube.objects["apps", "deployments"] = []
    outcome = await perform("kubernetes.rollout_history", API, kube.config(tmp_path))
    assert "cluster 'main' answered 404 to get deployments shop/api" in failed(outcome, "not_found")
