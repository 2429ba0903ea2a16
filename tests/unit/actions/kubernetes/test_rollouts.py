"""How far a rollout is, by the rules of `kubectl rollout status`."""

from __future__ import annotations

from typing import Any

import pytest

from runbookd.actions.kubernetes.kinds import DAEMON_SET, DEPLOYMENT, STATEFUL_SET, Json
from runbookd.actions.kubernetes.rollouts import progress_of
from tests.contract.actions.kube_objects import deployment, replica_set, timed_out


@pytest.mark.parametrize(
    ("status", "done", "said"),
    [
        ({}, True, "all 2 pods are updated and available"),
        ({"observedGeneration": 0}, False, "has not seen the last change"),
        ({"updatedReplicas": 1}, False, "1 of 2 pods are updated"),
        ({"replicas": 3}, False, "1 old pods are still there"),
        ({"availableReplicas": None}, False, "0 of 2 updated pods are available"),
    ],
)
def test_a_deployment(status: Json, done: bool, said: str) -> None:  # noqa: FBT001 - a row
    """Every pod updated, no old one left, every updated one available."""
    found = deployment()
    found["status"] |= status
    progress = progress_of(DEPLOYMENT, found)
    assert (progress.done, progress.failed) == (done, False)
    assert said in progress.message


def test_an_exceeded_deadline_is_a_failure() -> None:
    """ProgressDeadlineExceeded will not pass by waiting, even if the numbers look complete."""
    progress = progress_of(DEPLOYMENT, deployment(conditions=[timed_out("api-2")]), [replica_set(2)])
    assert (progress.done, progress.failed) == (False, True)
    assert 'ReplicaSet "api-2" has timed out progressing' in progress.message


def test_the_failure_of_the_rollout_before_is_none() -> None:
    """The numbers are of the present template, and tell what is waited for; complete, nothing is."""
    found = deployment(conditions=[timed_out("api-1")])
    assert progress_of(DEPLOYMENT, found, [replica_set(1), replica_set(2)]).done
    found["status"] |= {"updatedReplicas": 0}
    progress = progress_of(DEPLOYMENT, found, [replica_set(1)])
    assert (progress.done, progress.failed) == (False, False)
    assert progress.message == "0 of 2 pods are updated"


def workload(spec: Json, **status: Any) -> Json:
    """A StatefulSet or DaemonSet."""
    return {"metadata": {"generation": 1}, "spec": spec, "status": {"observedGeneration": 1} | status}


@pytest.mark.parametrize(
    ("spec", "status", "done", "failed"),
    [
        ({}, {"readyReplicas": 2, "updateRevision": "b", "currentRevision": "b"}, True, False),
        ({}, {"readyReplicas": 1, "updateRevision": "b", "currentRevision": "b"}, False, False),
        ({}, {"readyReplicas": 2, "updateRevision": "b", "currentRevision": "a"}, False, False),
        ({"partition": 1}, {"readyReplicas": 2, "updatedReplicas": 1}, True, False),
        ({"partition": 1}, {"readyReplicas": 2, "updatedReplicas": 0}, False, False),
        ({"type": "OnDelete"}, {"readyReplicas": 2}, False, True),
    ],
)
def test_a_stateful_set(spec: Json, status: Json, done: bool, failed: bool) -> None:  # noqa: FBT001 - a row
    """Ready, and of one revision; with a partition only beyond it; never by itself with OnDelete."""
    kind = spec.get("type", "RollingUpdate")
    strategy = {"type": kind, "rollingUpdate": {"partition": spec.get("partition")}}
    progress = progress_of(STATEFUL_SET, workload({"replicas": 2, "updateStrategy": strategy}, **status))
    assert (progress.done, progress.failed) == (done, failed)


@pytest.mark.parametrize(
    ("kind", "updated", "available", "done"),
    [
        ("RollingUpdate", 3, 3, True),
        ("RollingUpdate", 2, 3, False),
        ("RollingUpdate", 3, 2, False),
        ("OnDelete", 3, 3, False),
    ],
)
def test_a_daemon_set(kind: str, updated: int, available: int, done: bool) -> None:  # noqa: FBT001 - a row
    """A pod of the newest revision on every node, and available."""
    status = {
        "desiredNumberScheduled": 3,
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberReady": available,
    }
    progress = progress_of(DAEMON_SET, workload({"updateStrategy": {"type": kind}}, **status))
    assert progress.done is done
    assert progress.failed is (kind == "OnDelete")
