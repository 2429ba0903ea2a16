"""`kubernetes.rollout_status`: wait until a rollout is complete, and say how far it is.

Changes nothing, so there is nothing to undo. It waits on a watch, as long as the step's timeout allows. A complete
rollout may still crash later: let the playbook's `verify` look at it for a while. That the rollout before has failed is
no failure of the one that has come since.
https://kubernetes.io/docs/reference/kubectl/generated/kubectl_rollout/kubectl_rollout_status/
"""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta

from pydantic import Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.failures import CheckFailed
from runbookd.actions.kubernetes.cluster import Cluster, cluster
from runbookd.actions.kubernetes.deadlines import missed
from runbookd.actions.kubernetes.kinds import DEPLOYMENT, REPLICA_SET, Json, Ref, permission
from runbookd.actions.kubernetes.replica_sets import number_of
from runbookd.actions.kubernetes.revisions import replica_sets_of
from runbookd.actions.kubernetes.rollouts import progress_of
from runbookd.actions.kubernetes.workloads import OneTemplate, rights, when
from runbookd.model.action import Repeat, Spec


class Params(OneTemplate):
    """Whose rollout."""

    wait: bool = Field(
        default=True,
        description="Wait until it is complete, and fail when it is not by the step's timeout. False: look once.",
    )


class Result(BaseResult):
    """How far the rollout is."""

    done: bool = Field(description="Whether every pod is of the newest revision, and available.")
    failed: bool = Field(
        description="Whether it will not complete by itself: a Deployment's progress deadline was exceeded, by its "
        "present rollout and not one before."
    )
    message: str = Field(description="How far it is, or what is waited for.")
    revision: int | None = Field(description="The newest revision of a Deployment. null for other kinds.")
    desired: int = Field(description="Pods there should be.")
    updated: int = Field(description="Pods of the newest revision.")
    ready: int = Field(description="Pods that are ready.")
    available: int = Field(description="Pods that have been ready for `minReadySeconds`.")


SPEC = Spec(
    name="kubernetes.rollout_status",
    summary="Wait until a rollout is complete.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(minutes=5),
    example={"namespace": "shop", "deployment": "api"},
    permissions=(
        *rights(OneTemplate, "get", "watch"),
        when("deployment", permission(REPLICA_SET, "list")),
    ),
)


async def run(params: Params, context: Context) -> Result:
    """Look, and go on looking; raises CheckFailed when it has failed, or is not complete in time."""
    seen: list[Result] = []
    try:
        # A little less than the attempt has, so that what was seen last can still be told.
        async with context.patience():
            where = await cluster(context, params.cluster)
            if not params.wait:
                return await _look(where, params.ref, await where.get(params.ref))
            return await _complete(where, params.ref, seen)
    except TimeoutError:
        if not seen:
            raise
        raise CheckFailed(f"{params.ref} is not complete in time: {seen[-1].message}", seen[-1]) from None


async def _complete(where: Cluster, ref: Ref, seen: list[Result]) -> Result:
    """The result once it is done; every state looked at goes to `seen`."""
    async with aclosing(where.states(ref)) as states:
        async for found in states:
            seen[:] = [await _look(where, ref, found)]
            if seen[0].failed:
                raise CheckFailed(f"{ref} will not become complete: {seen[0].message}", seen[0])
            if seen[0].done:
                break
    return seen[0]


async def _look(where: Cluster, ref: Ref, found: Json) -> Result:
    """How far the rollout of the workload is, which was found so."""
    asked = ref.kind == DEPLOYMENT and missed(found)
    progress = progress_of(ref.kind, found, await replica_sets_of(where, found) if asked else ())
    return Result(
        done=progress.done,
        failed=progress.failed,
        message=progress.message,
        revision=number_of(found),
        desired=progress.desired,
        updated=progress.updated,
        ready=progress.ready,
        available=progress.available,
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
