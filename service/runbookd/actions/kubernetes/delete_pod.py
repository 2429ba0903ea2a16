"""`kubernetes.delete_pod`: delete a pod, so that its controller makes another.

Changes: the pods are deleted with their grace period. Not undone: a deleted pod does not come back, its controller
makes a new one; a pod that has no controller is refused. Each pod is deleted by its uid, so one that took its name
meanwhile is left alone. https://kubernetes.io/docs/reference/kubectl/generated/kubectl_delete/
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field, model_validator

from runbookd.actions.base import Action, Change, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.cluster import Cluster, ClusterName, cluster
from runbookd.actions.kubernetes.events import moment
from runbookd.actions.kubernetes.kinds import POD, Json, Namespace, ObjectName, Selector, permission
from runbookd.actions.kubernetes.targets import Target, resolve
from runbookd.actions.kubernetes.workloads import when
from runbookd.errors import ActionError
from runbookd.model.action import Probed, Repeat, Spec
from runbookd.model.base import Duration

_CLOCKS_APART = timedelta(minutes=1)
"""By how much the API server's clock and ours may differ."""


class Params(BaseParams):
    """Which pods."""

    cluster: ClusterName = None
    namespace: Namespace
    pod: ObjectName | None = Field(default=None, description="The pod. null: those of the `selector`.")
    selector: Selector | None = Field(default=None, description="Labels; every pod that has them is deleted.")
    max_targets: int = Field(
        default=1,
        ge=1,
        description="More pods than this are refused; the settings have a limit of their own.",
    )
    grace_period: Duration | None = Field(
        default=None,
        description="How long its containers may take to end, in whole seconds. null: the pod's own.",
    )
    allow_bare: bool = Field(
        default=False, description="Delete a pod although it has no controller that makes another."
    )

    @model_validator(mode="after")
    def _one(self) -> Params:
        if (self.pod is None) == (self.selector is None):
            message = "give either `pod` or `selector`"
            raise ValueError(message)
        return self


class Result(BaseResult):
    """What was deleted."""

    deleted: list[str] = Field(description="The names of the pods, sorted.")


SPEC = Spec(
    name="kubernetes.delete_pod",
    summary="Delete a pod, so that its controller makes another.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="Not undone: a deleted pod does not come back; its controller makes a new one.",
    timeout=timedelta(seconds=30),
    example={"namespace": "medinovai", "pod": "medinovai-backend-6b7f9c-x2x4z"},
    permissions=(
        permission(POD, "get", "delete"),
        when("selector", permission(POD, "list")),
    ),
)


async def run(params: Params, context: Context) -> Result:
    """Delete them one by one. Raises Rejected for none, too many, protected or bare ones, before any is deleted."""
    where = await cluster(context, params.cluster)
    targets = await resolve(
        where, POD, params.namespace, name=params.pod, selector=params.selector, most=params.max_targets
    )
    if not params.allow_bare:
        await _check_controlled(where, targets)
    deleted: list[str] = []
    try:
        for target in targets:
            await _delete(where, target, params.grace_period)
            deleted.append(target.ref.name or "")
    except ActionError:
        if deleted:
            context.attach("deleted-pods", "text/plain", "\n".join(deleted))
        raise
    return Result(deleted=deleted, change=Change(before={"pods": deleted}, after={"pods": []}))


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look whether pods older than the call are still there. Young ones may be their successors."""
    where = await cluster(context, params.cluster)
    if params.pod is not None:
        found = await where.find(POD.at(params.namespace, params.pod))
        pods = [] if found is None else [found]
    else:
        pods = [pod async for pod in where.each(POD, params.namespace, labels=params.selector)]
    return judged(pods, context.call.intended_at, named=params.pod is not None), None


def judged(pods: Sequence[Json], intended_at: datetime | None, *, named: bool) -> Probed:
    """What the pods that are there tell about a deletion that was intended then.

    Only a StatefulSet gives a name again: of others a pod that still is there by its name was not deleted.
    """
    if intended_at is None:
        return Probed.UNKNOWN
    ages = {_age(pod, intended_at, named=named) for pod in pods}
    if ages <= {"leaving", "new"}:
        return Probed.DONE
    return Probed.NOT_DONE if ages == {"old"} else Probed.UNKNOWN


def _age(pod: Json, intended_at: datetime, *, named: bool) -> str:
    """`old`: older than the call. `new`: younger. `leaving`: being deleted. `unclear`: the clocks cannot say."""
    metadata = pod["metadata"]
    if metadata.get("deletionTimestamp"):
        return "leaving"
    kinds = {owner["kind"] for owner in metadata.get("ownerReferences") or []}
    created = moment(metadata.get("creationTimestamp"))
    if named and "StatefulSet" not in kinds:
        return "old"
    if created is None or abs(created - intended_at) <= _CLOCKS_APART:
        return "unclear"
    return "old" if created < intended_at else "new"


async def _check_controlled(where: Cluster, targets: Sequence[Target]) -> None:
    """Raise Rejected (`refused`) for a pod that nothing would make anew."""
    for target in targets:
        owners = (await where.get(target.ref))["metadata"].get("ownerReferences") or []
        if not any(owner.get("controller") for owner in owners):
            message = (
                f"{target.ref} has no controller that would make another; nothing was deleted. "
                "Set `allow_bare: true` if it may be gone for good"
            )
            raise Rejected(message, kind="refused")


async def _delete(where: Cluster, target: Target, grace_period: timedelta | None) -> None:
    """Delete one; that it is gone already, or being deleted, is as good."""
    options: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": target.uid},
    }
    if grace_period is not None:
        options["gracePeriodSeconds"] = int(grace_period.total_seconds())
    try:
        await where.delete(target.ref, options)
    except Rejected as error:
        if error.kind != "not_found":
            raise


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe, observe=run)
