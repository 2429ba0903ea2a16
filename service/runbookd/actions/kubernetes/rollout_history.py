"""`kubernetes.rollout_history`: the revisions of a Deployment, when it last changed, and which revision was good.

Changes nothing, so there is nothing to undo. What counts as good, and on which evidence, is written down in
`docs/howto/alerts-for-the-runbook.md`; without evidence it is null rather than a guess.
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#checking-rollout-history-of-a-deployment
"""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.kubernetes.cluster import Cluster, ClusterName, cluster
from runbookd.actions.kubernetes.fields import annotations_of
from runbookd.actions.kubernetes.kinds import DEPLOYMENT, REPLICA_SET, Json, Namespace, ObjectName, permission
from runbookd.actions.kubernetes.own_changes import is_changed_here
from runbookd.actions.kubernetes.revisions import (
    Revision,
    changed_at,
    is_pending,
    last_good,
    previous_good,
    renewed_at,
    revisions_of,
)
from runbookd.actions.kubernetes.rollbacks import is_rolled_back
from runbookd.actions.kubernetes.workloads import when
from runbookd.model.action import Repeat, Spec
from runbookd.model.base import Duration

_CHANGE_CAUSE = "kubernetes.io/change-cause"


class Params(BaseParams):
    """Whose history."""

    cluster: ClusterName = None
    namespace: Namespace
    deployment: ObjectName = Field(description="Name of the Deployment.")
    wait: bool = Field(
        default=False,
        description="While it is `pending` and not paused, wait for that to pass; when it has not by the step's "
        "timeout, tell of it as it is. False: look once.",
    )


class KeptRevision(BaseModel):
    """One revision that can be returned to."""

    revision: int = Field(description="Its number.")
    replica_set: str = Field(description="The ReplicaSet that keeps it.")
    images: dict[str, str] = Field(description="The image of each container.")
    change_cause: str = Field(description='Annotation `kubernetes.io/change-cause`; "" without one.')
    created_at: datetime | None = Field(description="When its template was first rolled out.")
    replicas: int = Field(description="Pods it should have now.")
    available: int = Field(description="Pods of it that are available now.")
    good: bool = Field(description="Whether it is known to have been fully available.")
    evidence: str = Field(description="How that is known, or why it is not.")


class Result(BaseResult):
    """The history. `last_good` and `previous_good` are revision numbers for `kubernetes.rollout_undo`."""

    revisions: list[KeptRevision] = Field(description="Oldest first.")
    pending: bool = Field(
        description="Whether the pod template, be it only a restart's, is that of no revision yet, so that it has no "
        "pods: with the strategy Recreate until the last old pod is gone, else for a moment. What is told of the "
        "newest revision is of the one before it then."
    )
    current: int | None = Field(description="The newest revision. null: there is none yet.")
    current_replica_set: str = Field(
        description='The ReplicaSet of the newest revision; "" when there is none yet.'
    )
    last_good: int | None = Field(
        description="The newest revision known to have been fully available, the current one included. null: none is."
    )
    previous_good: int | None = Field(
        description="The newest such revision before the current one that differs by more than restarts, for a "
        "release that is available and bad all the same; none that was taken back, where the current one was too. "
        "null: none is, or it is a change of this service's own, or older than one."
    )
    taken_back: bool = Field(
        description="Whether the newest revision is one that was returned to, by whoever (this service, kubectl, "
        "Helm, a pipeline), and nothing was released since. Restarts do not count, nor does one that a rollback of "
        "this service took back and that was deployed again."
    )
    changed_by_runbookd: bool = Field(
        description="Whether the newest revision is this service's own change of the template (`kubernetes.set_env`, "
        "`kubernetes.patch`), and nothing was released since. Restarts do not count."
    )
    changed_at: datetime | None = Field(
        description="When the pod template last changed, restarts aside. null: not known, as while `pending`."
    )
    changed_ago: Duration | None = Field(description="How long ago that is. null: not known.")
    renewed_ago: Duration | None = Field(
        description="How long ago its present pods began to come: by the present release or the last restart. null: "
        "not known."
    )
    paused: bool = Field(description="Whether the Deployment is paused.")


SPEC = Spec(
    name="kubernetes.rollout_history",
    summary="List a Deployment's revisions, and the last that was fully available.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=30),
    example={"namespace": "shop", "deployment": "api"},
    permissions=(
        permission(DEPLOYMENT, "get"),
        when("wait", permission(DEPLOYMENT, "watch")),
        permission(REPLICA_SET, "list"),
    ),
)


async def run(params: Params, context: Context) -> Result:
    """Read the Deployment and its ReplicaSets, as often as it takes."""
    where = await cluster(context, params.cluster)
    ref = DEPLOYMENT.at(params.namespace, params.deployment)
    seen: list[Result] = []
    try:
        # A little less than the attempt has, so that what was seen last can still be told.
        async with context.patience(), aclosing(where.states(ref)) as states:
            async for found in states:
                seen[:] = [await _look(where, found, context.now())]
                if not params.wait or not seen[0].pending or seen[0].paused:
                    break
    except TimeoutError:
        if not seen:
            raise
    return seen[0]


async def _look(where: Cluster, deployment: Json, now: datetime) -> Result:
    """The history of the Deployment, which was found so."""
    revisions = await revisions_of(where, deployment)
    good, previous = last_good(revisions), previous_good(revisions)
    pending = is_pending(deployment, revisions)
    changed = None if pending else changed_at(deployment, revisions)
    renewed = None if pending else renewed_at(deployment, revisions)
    return Result(
        revisions=[_kept(one) for one in revisions],
        pending=pending,
        current=revisions[-1].number if revisions else None,
        current_replica_set=revisions[-1].replica_set["metadata"]["name"] if revisions else "",
        last_good=good.number if good else None,
        previous_good=previous.number if previous else None,
        taken_back=not pending and is_rolled_back(deployment, revisions),
        changed_by_runbookd=not pending and is_changed_here(deployment, revisions),
        changed_at=changed,
        changed_ago=None if changed is None else max(timedelta(0), now - changed),
        renewed_ago=None if renewed is None else max(timedelta(0), now - renewed),
        paused=bool(deployment["spec"].get("paused")),
    )


def _kept(revision: Revision) -> KeptRevision:
    found = revision.replica_set
    containers = found["spec"]["template"]["spec"]["containers"]
    return KeptRevision(
        revision=revision.number,
        replica_set=found["metadata"]["name"],
        images={one["name"]: one.get("image", "") for one in containers},
        change_cause=annotations_of(found).get(_CHANGE_CAUSE, ""),
        created_at=revision.created_at,
        replicas=found["spec"].get("replicas") or 0,
        available=(found.get("status") or {}).get("availableReplicas") or 0,
        good=revision.good,
        evidence=revision.evidence,
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
