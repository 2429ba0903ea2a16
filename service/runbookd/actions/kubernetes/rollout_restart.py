"""`kubernetes.rollout_restart`: replace all pods of a workload, a few at a time.

Changes the annotation `kubectl.kubernetes.io/restartedAt` of the pod template, as kubectl does; the rollout that
follows replaces the pods. Not undone: pods that were replaced do not come back. A step restarts once, however often
it is tried, and never a workload that stands at 0: somebody stopped it.
https://kubernetes.io/docs/reference/kubectl/generated/kubectl_rollout/kubectl_rollout_restart/
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from runbookd.actions.base import Action, Context
from runbookd.actions.kubernetes.autoscalers import check_not_stopped
from runbookd.actions.kubernetes.changes import Changed, ChangeResult, Wanted, change, probed, told
from runbookd.actions.kubernetes.cluster import Patch, cluster
from runbookd.actions.kubernetes.kinds import Json
from runbookd.actions.kubernetes.replica_sets import RESTARTED_AT
from runbookd.actions.kubernetes.targets import check_protected
from runbookd.actions.kubernetes.workloads import OneTemplate, check_running, rights
from runbookd.language.values import utc_text
from runbookd.model.action import Probed, Repeat, Spec


class Params(OneTemplate):
    """Which workload."""


class Result(ChangeResult):
    """The restart."""

    restarted_at: datetime = Field(description="The time written into the pod template.")


SPEC = Spec(
    name="kubernetes.rollout_restart",
    summary="Restart all pods of a Deployment, StatefulSet or DaemonSet, a few at a time.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="Not undone: the pods that were replaced do not come back.",
    timeout=timedelta(seconds=30),
    example={"namespace": "medinovai", "deployment": "medinovai-backend"},
    permissions=rights(OneTemplate, "get", "patch"),
)


async def run(params: Params, context: Context) -> Result:
    """Write the annotation; raises Rejected (`refused`) for a paused, stopped or protected workload."""
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)

    def wanted(now: Json) -> Wanted:
        check_running(now, params.ref)
        check_not_stopped(now, params.ref)
        stamp = {RESTARTED_AT: utc_text(context.now())}
        body = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
        return Wanted(how=Patch.STRATEGIC, body=body)

    return _result(await change(where, context, params.ref, wanted))


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look for the mark of this step."""
    answer, changed = await probed(await cluster(context, params.cluster), context, params.ref)
    return answer, None if changed is None else _result(changed)


def _result(changed: Changed) -> Result:
    annotations = changed.after["spec"]["template"]["metadata"]["annotations"]
    return Result(**told(changed), restarted_at=datetime.fromisoformat(annotations[RESTARTED_AT]))


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe, observe=run)
