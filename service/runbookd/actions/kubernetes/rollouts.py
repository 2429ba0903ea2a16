"""How far the rollout of a Deployment, StatefulSet or DaemonSet is.

Progress is judged as `kubectl rollout status` does:
https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go
but for a Deployment's missed progress deadline, which counts only if it is that of the present rollout
(`runbookd.actions.kubernetes.deadlines`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runbookd.actions.kubernetes.deadlines import missed_now
from runbookd.actions.kubernetes.fields import condition
from runbookd.actions.kubernetes.kinds import DAEMON_SET, STATEFUL_SET, Json, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a rollout is. `failed`: it will not complete by itself; `message` says what is waited for."""

    done: bool
    failed: bool = False
    message: str
    desired: int
    updated: int
    ready: int
    available: int


def progress_of(kind: Kind, found: Json, replica_sets: Iterable[Json] = ()) -> Progress:
    """How far the rollout of this Deployment, StatefulSet or DaemonSet is.

    `replica_sets` are those that a Deployment controls; they are needed only if it has `deadlines.missed`.
    """
    status: Json = found.get("status") or {}
    if (status.get("observedGeneration") or 0) < found["metadata"].get("generation", 0):
        desired = found["spec"].get("replicas", 0)
        message = "its controller has not seen the last change yet"
        return Progress(done=False, message=message, desired=desired, updated=0, ready=0, available=0)
    if kind == DAEMON_SET:
        return _of_daemon_set(found, status)
    if kind == STATEFUL_SET:
        return _of_stateful_set(found, status)
    return _of_deployment(found, status, failed=missed_now(found, replica_sets))


def _of_deployment(found: Json, status: Json, *, failed: bool) -> Progress:
    desired = found["spec"].get("replicas", 1)
    updated, total = status.get("updatedReplicas") or 0, status.get("replicas") or 0
    available = status.get("availableReplicas") or 0
    if failed:
        progress = condition(found, "Progressing") or {}
        waits = f"the progress deadline was exceeded: {progress.get('message', '')}"
    elif updated < desired:
        waits = f"{updated} of {desired} pods are updated"
    elif total > updated:
        waits = f"{total - updated} old pods are still there"
    elif available < updated:
        waits = f"{available} of {updated} updated pods are available"
    else:
        waits = ""
    return Progress(
        done=not waits,
        failed=failed,
        message=waits or f"all {desired} pods are updated and available",
        desired=desired,
        updated=updated,
        ready=status.get("readyReplicas") or 0,
        available=available,
    )


def _of_stateful_set(found: Json, status: Json) -> Progress:
    spec = found["spec"]
    desired, strategy = spec.get("replicas", 1), spec.get("updateStrategy") or {}
    updated, ready = status.get("updatedReplicas") or 0, status.get("readyReplicas") or 0
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    by_hand = strategy.get("type") == "OnDelete"
    if by_hand:
        waits = "its strategy is OnDelete: pods are updated only when somebody deletes them"
    elif ready < desired:
        waits = f"{ready} of {desired} pods are ready"
    elif partition and updated < desired - partition:
        waits = f"{updated} of {desired - partition} pods beyond the partition are updated"
    elif not partition and status.get("updateRevision") != status.get("currentRevision"):
        waits = f"{updated} of {desired} pods are updated"
    else:
        waits = ""
    return Progress(
        done=not waits,
        failed=by_hand,
        message=waits or f"{desired - partition} pods are updated and ready",
        desired=desired,
        updated=updated,
        ready=ready,
        available=status.get("availableReplicas") or 0,
    )


def _of_daemon_set(found: Json, status: Json) -> Progress:
    desired = status.get("desiredNumberScheduled") or 0
    updated = status.get("updatedNumberScheduled") or 0
    available = status.get("numberAvailable") or 0
    by_hand = (found["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    if by_hand:
        waits = "its strategy is OnDelete: pods are updated only when somebody deletes them"
    elif updated < desired:
        waits = f"{updated} of {desired} pods are updated"
    elif available < desired:
        waits = f"{available} of {desired} updated pods are available"
    else:
        waits = ""
    return Progress(
        done=not waits,
        failed=by_hand,
        message=waits or f"all {desired} pods are updated and available",
        desired=desired,
        updated=updated,
        ready=status.get("numberReady") or 0,
        available=available,
    )
