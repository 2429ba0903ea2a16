"""Who decides a workload's number of replicas, and how to make it decide for a number.

A person, who may have stopped it, or an autoscaler.

A HorizontalPodAutoscaler keeps the number between its bounds
(https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v1/). A KEDA
ScaledObject owns such an autoscaler, and is paused at a number by an annotation
(https://keda.sh/docs/latest/concepts/scaling-deployments/#pausing-autoscaling); the autoscaler is gone then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.cluster import Cluster
from runbookd.actions.kubernetes.kinds import AUTOSCALER, SCALED_OBJECT, Json, Ref

Mode = Literal["floor", "pin"]
"""`floor`: never fewer than the number. `pin`: exactly the number."""

PAUSED_AT = "autoscaling.keda.sh/paused-replicas"


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The two fields an autoscaler keeps a number between, and what each is where it is not given."""

    least: str
    most: str
    defaults: tuple[int, int]

    def of(self, autoscaler: Json) -> tuple[int, int]:
        """The two numbers."""
        spec = autoscaler["spec"]
        return spec.get(self.least, self.defaults[0]), spec.get(self.most, self.defaults[1])

    def patch(self, now: tuple[int, int], wanted: tuple[int, int]) -> Json | None:
        """The merge patch from the one to the other; None when they are the same."""
        both = zip((self.least, self.most), now, wanted, strict=True)
        changed = {name: new for name, old, new in both if old != new}
        return {"spec": changed} if changed else None


_BOUNDS = {
    AUTOSCALER: _Bounds("minReplicas", "maxReplicas", (1, 1)),
    SCALED_OBJECT: _Bounds("minReplicaCount", "maxReplicaCount", (0, 100)),
}


def replicas_of(workload: Json) -> int:
    """The number of replicas a workload is to have; 1 where it names none, as for a DaemonSet."""
    return int(workload["spec"].get("replicas", 1))


def check_not_stopped(workload: Json, ref: Ref) -> None:
    """Raise Rejected (`refused`) when the workload stands at 0: that it runs again is for a person to decide."""
    if replicas_of(workload) == 0:
        message = (
            f"{ref} stands at 0; somebody stopped it. Nothing was changed; who stopped it starts it again"
        )
        raise Rejected(message, kind="refused")


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


def floor(autoscaler: Json, ref: Ref, replicas: int, has: int = 0) -> Json | None:
    """The merge patch by which it keeps no fewer, as far as its maximum lets it; None when it does already.

    The maximum is left as it is: somebody has set it. Raises Rejected (`refused`) when the minimum is there already, or
    the workload `has` as many pods: none would be gained, and the autoscaler could take none away.
    """
    names = _BOUNDS[ref.kind]
    least, most = now = names.of(autoscaler)
    if least >= replicas:
        return None
    if least >= most:
        message = (
            f"{ref} has its maximum of {most} as its minimum already, and {replicas} replicas are wanted; "
            "a person decides whether to raise the maximum"
        )
        raise Rejected(message, kind="refused")
    if has >= most:
        message = (
            f"{ref} has a maximum of {most}, there are {has} already, and {replicas} replicas are wanted; nothing was "
            "changed, as a higher minimum would add none; a person decides whether to raise the maximum"
        )
        raise Rejected(message, kind="refused")
    return names.patch(now, (min(replicas, most), most))


def ceiling(autoscaler: Json, ref: Ref, replicas: int) -> Json | None:
    """The merge patch by which it keeps no more, and no more than before; None when it does already."""
    paused = _paused_at(autoscaler)
    if ref.kind == SCALED_OBJECT and (replicas == 0 or (paused.isdecimal() and int(paused) > replicas)):
        # Its maximum is at least 1, and does not count while it is paused.
        return pin(autoscaler, ref, replicas)
    names = _BOUNDS[ref.kind]
    least, most = now = names.of(autoscaler)
    return names.patch(now, (min(least, replicas), min(most, replicas)))


def pin(autoscaler: Json, ref: Ref, replicas: int) -> Json | None:
    """The merge patch by which it keeps exactly so many; None when it does already."""
    if ref.kind == AUTOSCALER:
        names = _BOUNDS[ref.kind]
        return names.patch(names.of(autoscaler), (replicas, replicas))
    text = str(replicas)
    return None if _paused_at(autoscaler) == text else {"metadata": {"annotations": {PAUSED_AT: text}}}


def reached(autoscaler: Json, ref: Ref, replicas: int) -> int:
    """The number a workload comes to for which so many are wanted, as its autoscaler's bounds stand."""
    paused = _paused_at(autoscaler)
    if ref.kind == SCALED_OBJECT and paused.isdecimal():
        return int(paused)
    least, most = _BOUNDS[ref.kind].of(autoscaler)
    return min(max(replicas, least), most)


def _paused_at(autoscaler: Json) -> str:
    """The number a ScaledObject is paused at; "" when it is not."""
    return str((autoscaler["metadata"].get("annotations") or {}).get(PAUSED_AT, ""))


def _is_target(target: Json, workload: Ref) -> bool:
    """Whether a `scaleTargetRef` names the workload; KEDA's may leave the kind out, which then is Deployment."""
    named = target.get("name") == workload.name
    return named and target.get("kind", "Deployment") == workload.kind.name
