"""`kubernetes.rollout_history` against an API server; how revisions are judged is in `tests/unit/`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from runbookd.actions.kubernetes.kinds import DEPLOYMENT, REPLICA_SET
from tests.contract.actions.hands import failed, perform, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import deployment, replica_set

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
    assert result["paused"] is False


async def test_a_deployment_that_has_no_revision_yet(kube: KubeApi, tmp_path: Path) -> None:
    """Everything that is not known is null."""
    kube.put(DEPLOYMENT, deployment())
    kube.put(REPLICA_SET)
    kube.objects["apps", "replicasets"] = []
    result = succeeded(await perform("kubernetes.rollout_history", API, kube.config(tmp_path)))
    known = [result[name] for name in ("current", "last_good", "previous_good", "changed_at", "changed_ago")]
    assert known == [None] * 5


async def test_no_deployment_is_not_found(kube: KubeApi, tmp_path: Path) -> None:
    """A name that is not there is told with cluster and namespace."""
    kube.objects["apps", "deployments"] = []
    outcome = await perform("kubernetes.rollout_history", API, kube.config(tmp_path))
    assert "cluster 'main' answered 404 to get deployments shop/api" in failed(outcome, "not_found")
