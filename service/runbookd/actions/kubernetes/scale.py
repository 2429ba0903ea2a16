"""`kubernetes.scale`: set the number of replicas of a workload.

Changes `spec.replicas` of the Deployment or StatefulSet; where a HorizontalPodAutoscaler or a KEDA ScaledObject
decides the number, that is changed instead if the step says so, else the step is refused, because the autoscaler
would put the number back at once. A step that says `only: down` never adds pods, one that says `only: up` never takes
any away and never starts what stands at 0. Undone by putting the former number, or the autoscaler's former bounds,
back.
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/,
https://keda.sh/docs/latest/reference/scaledobject-spec/
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from runbookd.actions.base import Action, Context
from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.autoscalers import (
    Mode,
    autoscaler_of,
    ceiling,
    check_not_stopped,
    floor,
    pin,
    reached,
    replicas_of,
)
from runbookd.actions.kubernetes.changes import (
    Changed,
    ChangeResult,
    Wanted,
    change,
    probed,
    ref_of,
    take_back,
    told,
)
from runbookd.actions.kubernetes.cluster import Cluster, Patch, cluster
from runbookd.actions.kubernetes.kinds import AUTOSCALER, SCALED_OBJECT, Json, Ref, permission
from runbookd.actions.kubernetes.targets import check_protected
from runbookd.actions.kubernetes.workloads import OneWorkload, check_gitops, rights, when
from runbookd.model.action import Probed, Repeat, Spec


class Params(OneWorkload):
    """Which workload, and how many replicas."""

    replicas: int = Field(ge=0, le=10_000, description="The number of replicas.")
    at_least: int = Field(default=1, ge=0, description="A smaller number is refused.")
    at_most: int = Field(default=20, ge=0, description="A greater number is refused.")
    autoscaler: Mode | None = Field(
        default=None,
        description="What to do to an autoscaler: `floor` raises its minimum to the number, or to its maximum where "
        "that is lower, `pin` makes the number its minimum and maximum. null: refuse if there is one.",
    )
    only: Literal["down", "up"] | None = Field(
        default=None,
        description="`down`: a workload that has as few is left so, and an autoscaler is only kept from adding more. "
        "`up`: one that has as many is left so; one that stands at 0, or has all that its autoscaler allows, is "
        "refused. null: either way.",
    )
    allow_gitops: bool = Field(
        default=False, description="Change it although a GitOps controller owns it and may put it back."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Params:
        if (self.only, self.autoscaler) == ("down", "floor"):
            message = "`autoscaler: floor` only raises; with `only: down` say `autoscaler: pin`"
            raise ValueError(message)
        return self


class Result(ChangeResult):
    """The change; `target` is the autoscaler if that decides. Not `changed` when `only` left all as it was."""

    acted_on: Literal["workload", "autoscaler"] = Field(description="What was changed.")
    replicas_before: int | None = Field(
        description="The workload's number before. null: the autoscaler was changed, which decides it."
    )
    reached: int = Field(
        description="How many it comes to; fewer than `replicas` where the autoscaler's maximum is lower."
    )


SPEC = Spec(
    name="kubernetes.scale",
    summary="Set the number of replicas of a Deployment or StatefulSet.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="The former number, or the autoscaler's former bounds, are put back, unless changed by somebody since.",
    undoable=True,
    timeout=timedelta(seconds=30),
    example={
        "namespace": "medinovai",
        "deployment": "medinovai-backend",
        "replicas": 5,
        "autoscaler": "floor",
    },
    permissions=(
        *rights(OneWorkload, "get", "patch"),
        permission(AUTOSCALER, "list"),
        when("autoscaler", permission(AUTOSCALER, "get", "patch")),
        permission(SCALED_OBJECT, "list"),
        when("autoscaler", permission(SCALED_OBJECT, "get", "patch")),
    ),
)


async def run(params: Params, context: Context) -> Result:
    """Patch the workload or its autoscaler.

    Raises Rejected (`refused`) beyond the bounds, for `only: up` at 0, or as its checks do.
    """
    if not params.at_least <= params.replicas <= params.at_most:
        message = (
            f"{params.replicas} replicas of {params.ref} are beyond the step's bounds, "
            f"{params.at_least} to {params.at_most}; raise `at_most` or lower `at_least` if that is meant"
        )
        raise Rejected(message, kind="refused")
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)
    ref = await _acted_on(where, params)
    check_protected(where.access, ref)

    scaled = None if ref == params.ref or params.only is None else await where.get(params.ref)

    def wanted(now: Json) -> Wanted | None:
        check_gitops(now, ref, allowed=params.allow_gitops)
        body = _of_workload(params, now) if ref == params.ref else _of_autoscaler(params, ref, now, scaled)
        return None if body is None else Wanted(how=Patch.MERGE, body=body)

    return _result(params, await change(where, context, ref, wanted))


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look for the mark of this step, on the workload and on its autoscaler."""
    where = await cluster(context, params.cluster)
    for ref in {await _acted_on(where, params), params.ref}:
        answer, changed = await probed(where, context, ref)
        if answer is not Probed.NOT_DONE:
            return answer, None if changed is None else _result(params, changed)
    return Probed.NOT_DONE, None


async def undo(params: Params, result: Result, context: Context) -> Result | None:
    """Put back what was changed; raises Rejected (`conflict`) when somebody has changed it since."""
    where = await cluster(context, params.cluster)
    ref = ref_of(result.target, (params.ref.kind, AUTOSCALER, SCALED_OBJECT))
    check_protected(where.access, ref)
    return _result(params, await take_back(where, ref, result.revert))


async def _acted_on(where: Cluster, params: Params) -> Ref:
    """The workload, or the autoscaler that decides its number; raises Rejected (`refused`) if that may not be changed.

    A HorizontalPodAutoscaler rests while the number is zero, so zero is set on the workload itself.
    """
    autoscaler = await autoscaler_of(where, params.ref)
    if autoscaler is None or (autoscaler.kind == AUTOSCALER and params.replicas == 0):
        return params.ref
    if params.autoscaler is None:
        message = (
            f"the number of replicas of {params.ref} is decided by {autoscaler}, which would put it back; "
            "say `autoscaler: floor` to raise its minimum, or `autoscaler: pin` to hold the number"
        )
        raise Rejected(message, kind="refused")
    return autoscaler


def _is_left(params: Params, workload: Json) -> bool:
    """Whether the step leaves a workload that has so many; raises Rejected (`refused`) for one it may not start."""
    has = replicas_of(workload)
    if params.only == "up" and has < params.replicas:
        check_not_stopped(workload, params.ref)
    left = {"down": has <= params.replicas, "up": has >= params.replicas, None: has == params.replicas}
    return left[params.only]


def _of_workload(params: Params, now: Json) -> Json | None:
    """The merge patch of the workload; None to leave it."""
    return None if _is_left(params, now) else {"spec": {"replicas": params.replicas}}


def _of_autoscaler(params: Params, ref: Ref, now: Json, workload: Json | None) -> Json | None:
    """The merge patch of the autoscaler; None to leave it. `workload` is read for a step that goes one way only."""
    if workload is not None and _is_left(params, workload):
        # It must not add pods to a workload that has few enough; what has enough is its own affair.
        return ceiling(now, ref, params.replicas) if params.only == "down" else None
    if params.autoscaler == "floor":
        return floor(now, ref, params.replicas, 0 if workload is None else replicas_of(workload))
    return pin(now, ref, params.replicas)


def _result(params: Params, changed: Changed) -> Result:
    own = changed.ref == params.ref
    return Result(
        **told(changed),
        acted_on="workload" if own else "autoscaler",
        replicas_before=replicas_of(changed.before) if own else None,
        reached=replicas_of(changed.after) if own else reached(changed.after, changed.ref, params.replicas),
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe, undo=undo, observe=run)
