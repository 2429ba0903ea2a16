"""`kubernetes.get_pods`: pods with their phase, readiness, restarts and the reasons of their trouble.

Changes nothing, so there is nothing to undo.
https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#list-list-or-watch-objects-of-kind-pod
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Literal

from pydantic import Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.kubernetes.cluster import ClusterName, cluster
from runbookd.actions.kubernetes.kinds import POD, Namespace, Selector, permission
from runbookd.actions.kubernetes.pods import (
    Pod,
    has_ended,
    is_running,
    may_have_been_ready,
    never_ran,
    summary,
)
from runbookd.model.action import Repeat, Spec


class Params(BaseParams):
    """Which pods."""

    cluster: ClusterName = None
    namespace: Namespace | None = Field(default=None, description="The namespace. null: every one.")
    selector: Selector | None = Field(
        default=None, description="Label selector, such as `app=shop,tier!=cache`. null: every pod."
    )
    only: Literal["all", "not_running", "not_ready"] = Field(
        default="all",
        description="`not_running`: those that neither run nor have ended well; `not_ready`: those that should be "
        "ready and are not, neither ended nor being deleted.",
    )
    most: int = Field(
        default=200,
        ge=1,
        le=2000,
        description="Pods to return; all are counted, the first by name are shown.",
    )


class Result(BaseResult):
    """The pods found. The counts are of all that fit, shown or not."""

    pods: list[Pod] = Field(description="In order of namespace and name.")
    count: int = Field(description="How many pods fit `selector` and `only`.")
    looked_at: int = Field(description="How many pods fit `selector`. 0: it fits none, and may be mistaken.")
    ended: int = Field(
        description="How many of those looked at have ended, well or not (phase `Succeeded` or `Failed`, as an evicted "
        "one), and will not run again."
    )
    terminating: int = Field(description="How many of the others are being deleted.")
    ready: int = Field(description="How many of those looked at are ready.")
    restarts: int = Field(description="Restarts of all those looked at.")
    cannot_run: dict[str, int] = Field(
        description="How many of those looked at cannot run (they crash, or their image or start fails), by what "
        "controls them, such as `ReplicaSet/api-6b7f`. Without an entry: none of it."
    )
    never_ran: list[str] = Field(
        description="What controls pods of which not one runs or ever did, such as `ReplicaSet/api-6b7f`: of those "
        "looked at that should run, each cannot, for half a minute or two restarts, and none was ever ready."
    )
    statuses: dict[str, int] = Field(description="How many of those looked at have each status.")
    truncated: bool = Field(description="True when more fit than are shown.")


SPEC = Spec(
    name="kubernetes.get_pods",
    summary="List pods with phase, readiness, restarts and reasons.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=30),
    example={"namespace": "shop", "selector": "app=api", "only": "not_running"},
    permissions=(permission(POD, "list"),),
)


async def run(params: Params, context: Context) -> Result:
    """List them, page by page; what is not shown is only counted."""
    where = await cluster(context, params.cluster)
    shown: list[Pod] = []
    statuses: Counter[str] = Counter()
    unable: Counter[str] = Counter()
    never: dict[str, bool] = {}
    count = looked_at = ready = restarts = ended = terminating = 0
    async for found in where.each(POD, params.namespace, labels=params.selector):
        pod = summary(found)
        looked_at += 1
        ready += pod.ready
        restarts += pod.restarts
        ended += has_ended(pod)
        terminating += pod.deleted and not has_ended(pod)
        statuses[pod.status] += 1
        unable[pod.owner] += pod.cannot_run
        gone = pod.deleted or has_ended(pod)
        if not gone or may_have_been_ready(found):
            never[pod.owner] = never.get(pod.owner, True) and never_ran(found, context.now())
        if not _asked_for(pod, params.only):
            continue
        count += 1
        if len(shown) < params.most:
            shown.append(pod)
    return Result(
        pods=shown,
        count=count,
        looked_at=looked_at,
        ended=ended,
        terminating=terminating,
        ready=ready,
        restarts=restarts,
        cannot_run=dict(sorted((+unable).items())),
        never_ran=sorted(owner for owner, none in never.items() if none and owner),
        statuses=dict(sorted(statuses.items())),
        truncated=count > len(shown),
    )


def _asked_for(pod: Pod, only: str) -> bool:
    """Whether the pod is among those the step wants to see."""
    if only == "not_ready":
        return not (pod.ready or has_ended(pod) or pod.deleted)
    return only == "all" or not is_running(pod)


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
