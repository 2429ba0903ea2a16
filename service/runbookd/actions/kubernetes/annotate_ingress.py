"""`kubernetes.annotate_ingress`: set or remove annotations of an Ingress.

Changes what the ingress controller does with its traffic, depending on the annotation (the runbook blocks all of it
at the load balancer so). Undone by putting the annotations back.
https://kubernetes.io/docs/concepts/services-networking/ingress/#the-ingress-resource,
https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/#actions
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.changes import (
    ChangeResult,
    Wanted,
    change,
    probed,
    take_back,
    told,
)
from runbookd.actions.kubernetes.cluster import ClusterName, Patch, cluster
from runbookd.actions.kubernetes.fields import annotations_of
from runbookd.actions.kubernetes.kinds import INGRESS, Json, Namespace, ObjectName, Ref, permission
from runbookd.actions.kubernetes.patches import LAST_CHANGE
from runbookd.actions.kubernetes.targets import check_protected
from runbookd.actions.kubernetes.workloads import check_gitops
from runbookd.model.action import Probed, Repeat, Spec

Key = Annotated[str, StringConstraints(pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$")]


class Params(BaseParams):
    """Which Ingress, and its annotations."""

    cluster: ClusterName = None
    namespace: Namespace
    ingress: ObjectName = Field(description="The Ingress.")
    annotations: dict[Key, str | None] = Field(
        min_length=1, description="Annotations and their texts; null removes one."
    )
    allow_gitops: bool = Field(
        default=False, description="Change it although a GitOps controller owns it and may put it back."
    )

    @property
    def ref(self) -> Ref:
        """The Ingress."""
        return INGRESS.at(self.namespace, self.ingress)


class Result(ChangeResult):
    """The change."""


SPEC = Spec(
    name="kubernetes.annotate_ingress",
    summary="Set or remove annotations of an Ingress.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="The annotations are put back as they were, unless somebody has changed them since.",
    undoable=True,
    timeout=timedelta(seconds=30),
    example={
        "namespace": "medinovai",
        "ingress": "medinovai-ingress",
        "annotations": {
            "alb.ingress.kubernetes.io/actions.block-all": '{"Type": "fixed-response", "FixedResponseConfig": '
            '{"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "Temporarily unavailable"}}'
        },
    },
    permissions=(permission(INGRESS, "get", "patch"),),
)


async def run(params: Params, context: Context) -> Result:
    """Patch the annotations; nothing is sent when all are as asked. Raises Rejected as its checks do."""
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)
    if LAST_CHANGE in params.annotations:
        raise Rejected(f"the annotation {LAST_CHANGE} is this service's own", kind="invalid")

    def wanted(now: Json) -> Wanted | None:
        check_gitops(now, params.ref, allowed=params.allow_gitops)
        old = annotations_of(now)
        changes = {key: value for key, value in params.annotations.items() if old.get(key) != value}
        return Wanted(how=Patch.MERGE, body={"metadata": {"annotations": changes}}) if changes else None

    return Result(**told(await change(where, context, params.ref, wanted)))


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look for the mark of this step."""
    answer, changed = await probed(await cluster(context, params.cluster), context, params.ref)
    return answer, None if changed is None else Result(**told(changed))


async def undo(params: Params, result: Result, context: Context) -> Result | None:
    """Put the annotations back; raises Rejected (`conflict`) when somebody has changed them since."""
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)
    return Result(**told(await take_back(where, params.ref, result.revert)))


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe, undo=undo, observe=run)
