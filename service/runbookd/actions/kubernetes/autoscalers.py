"""Who decides a workload's number of replicas, and how to make it decide for a number.

A HorizontalPodAutoscaler keeps the number between its bounds
(https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v1/). A KEDA
ScaledObject owns such an autoscaler, and is paused at a number by an annotation
(https://keda.sh/docs/latest/concepts/scaling-deployments/#pausing-autoscaling); the autoscaler is gone then.
"""

from __future__ import annotations

from typing import Any, Literal

from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.cluster import Cluster
from runbookd.actions.kubernetes.kinds import AUTOSCALER, SCALED_OBJECT, Json, Kind, Ref

Mode = Literal["floor", "pin"]
"""`floor`: never fewer than the number. `pin`: exactly the number."""

PAUSED_AT = "autoscaling.keda.sh/paused-replicas"
_KEDA_MAXIMUM = 100
"""`maxReplicaCount` where a ScaledObject names none."""


async def autoscaler_of(where: Cluster, workload: Ref) -> Ref | None:
    """The ScaledObject, else the HorizontalPodAutoscaler, whose target the workload is; None without either."""
    for kind in (SCALED_OBJECT, AUTOSCALER):
        try:
            async for item in where.each(kind, workload.namespace):
                if _is_target(item["spec"].get("scaleTargetRef") or {}, workload):
                    return kind.at(workload.namespace, item["metadata"]["name"])
        except Rejected as error:
            # A cluster without KEDA does not know its kind.
            if kind != SCALED_OBJECT or error.kind != "not_found":
                raise
    return None


def bounds(autoscaler: Json, kind: Kind, replicas: int, mode: Mode) -> Json | None:
    """The merge patch that makes the autoscaler keep to the number; None when it does already."""
    spec = autoscaler["spec"]
    if kind == AUTOSCALER:
        least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
        wanted = (replicas, replicas if mode == "pin" else max(most, replicas))
        if (least, most) == wanted:
            return None
        return {"spec": {"minReplicas": wanted[0], "maxReplicas": wanted[1]}}
    if mode == "pin":
        annotations: dict[str, Any] = autoscaler["metadata"].get("annotations") or {}
        text = str(replicas)
        return (
            None if annotations.get(PAUSED_AT) == text else {"metadata": {"annotations": {PAUSED_AT: text}}}
        )
    least, most = spec.get("minReplicaCount", 0), spec.get("maxReplicaCount", _KEDA_MAXIMUM)
    if least == replicas <= most:
        return None
    return {"spec": {"minReplicaCount": replicas, "maxReplicaCount": max(most, replicas)}}


def _is_target(target: Json, workload: Ref) -> bool:
    """Whether a `scaleTargetRef` names the workload; KEDA's may leave the kind out, which then is Deployment."""
    named = target.get("name") == workload.name
    return named and target.get("kind", "Deployment") == workload.kind.name
