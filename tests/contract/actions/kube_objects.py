"""Kubernetes objects for the tests, as the API gives them, with as little as a test has to say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbookd.actions.kubernetes.kinds import Json

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
CREATED = "2026-03-04T00:00:00Z"


def pod(name: str, *, ready: bool = True, app: str = "api", **status: Any) -> Json:
    """A pod with one container `main`; further words go into its status."""
    container = {"name": "main", "ready": ready, "restartCount": 0, "state": {"running": {}}}
    resources = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}}
    return {
        "metadata": {"name": name, "labels": {"app": app}, "creationTimestamp": CREATED},
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "main", "image": "shop:1", "resources": resources}],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "startTime": CREATED,
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [container],
        }
        | status,
    }


def crashing(name: str, restarts: int = 7) -> Json:
    """A pod in CrashLoopBackOff, whose container was last killed for its memory."""
    state = {
        "name": "main",
        "ready": False,
        "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": CREATED}},
    }
    return pod(name, ready=False, containerStatuses=[state])


def deployment(name: str = "api", *, replicas: int = 2, generation: int = 1, **status: Any) -> Json:
    """A Deployment whose rollout is complete unless `status` says otherwise."""
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-of-{name}",
            "generation": generation,
            "resourceVersion": "1",
            "annotations": {REVISION: "2"},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"type": "RollingUpdate"},
            "template": template(name, "shop:2"),
        },
        "status": {
            "observedGeneration": generation,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
        }
        | status,
    }


def template(app: str, image: str, **labels: str) -> Json:
    """A pod template of one container."""
    return {
        "metadata": {"labels": {"app": app} | labels},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }


def replica_set(
    number: int,
    *,
    replicas: int = 0,
    available: int = 0,
    created: str = CREATED,
    release: int | None = None,
    notes: Mapping[str, str] | None = None,
) -> Json:
    """A ReplicaSet that keeps a revision of the Deployment `api`; `notes` are annotations.

    Its image is that of `release`; None: each revision has its own.
    """
    image = f"shop:{number if release is None else release}"
    return {
        "metadata": {
            "name": f"api-{number}",
            "namespace": "shop",
            "labels": {"app": "api", HASH: f"h{number}"},
            "creationTimestamp": created,
            "annotations": {REVISION: str(number)} | dict(notes or {}),
            "ownerReferences": [
                {"kind": "Deployment", "name": "api", "uid": "uid-of-api", "controller": True}
            ],
        },
        "spec": {"replicas": replicas, "template": template("api", image, **{HASH: f"h{number}"})},
        "status": {"replicas": replicas, "availableReplicas": available},
    }


def timed_out(name: str, at: str = CREATED) -> Json:
    """The condition of a Deployment whose rollout of this ReplicaSet has missed its deadline at this time."""
    return {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": f'ReplicaSet "{name}" has timed out progressing.',
        "lastUpdateTime": at,
        "lastTransitionTime": at,
    }


def restarted(found: Json, at: str = CREATED) -> Json:
    """The ReplicaSet, or Deployment, as a restart at this time makes it."""
    annotations = {"kubectl.kubernetes.io/restartedAt": at}
    found["spec"]["template"]["metadata"]["annotations"] = annotations
    return found
