"""`velero.restore`: restore namespaces from a Velero backup, and wait for it.

Changes: a Restore is made in Velero's namespace, once however often the step is tried, and Velero makes the objects of
the backup. Onto a namespace of the same name only if the step says so; objects that are there already are left as
they are, and counted as warnings, unless `existing: update`. Not undone: what was restored stays, delete the namespace
it went to. PartiallyFailed is a failure. https://velero.io/docs/main/api-types/restore/
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from runbookd.actions.base import Action, Change, Context
from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.changes import made_once
from runbookd.actions.kubernetes.cluster import Cluster, cluster
from runbookd.actions.kubernetes.kinds import NAMESPACE, Json, permission
from runbookd.actions.kubernetes.targets import check_protected
from runbookd.actions.velero.work import (
    RESTORE,
    NamespaceName,
    Prefix,
    VeleroParams,
    Work,
    ended,
    name_for,
    progress,
)
from runbookd.model.action import Mode, Repeat, Spec


class Params(VeleroParams):
    """What to restore, and where to."""

    name: Prefix = Field(default="runbookd", description="How the Restore's name begins.")
    backup: str | None = Field(default=None, description="The backup. null: the last good one of `schedule`.")
    schedule: str | None = Field(default=None, description="The schedule. null: a `backup` is given.")
    namespaces: list[NamespaceName] = Field(
        min_length=1, description="The namespaces of the backup to restore."
    )
    namespace_mapping: dict[NamespaceName, NamespaceName] = Field(
        default_factory=dict, description="Under which names: from the backup's to the cluster's."
    )
    allow_in_place: bool = Field(
        default=False, description="Restore into a namespace of the same name as in the backup."
    )
    existing: Literal["keep", "update"] = Field(
        default="keep", description="What becomes of objects that are there already."
    )
    restore_volumes: bool | None = Field(
        default=None, description="Restore volumes from snapshots. null: as Velero is configured."
    )
    wait: bool = Field(default=True, description="Wait for its end. False: return when it is made.")

    @model_validator(mode="after")
    def _one_source(self) -> Params:
        if (self.backup is None) == (self.schedule is None):
            message = "give either `backup` or `schedule`"
            raise ValueError(message)
        return self


class Result(Work):
    """The Restore."""

    restore: str = Field(description="Its name.")
    namespaces: list[str] = Field(description="The namespaces it was restored to.")


SPEC = Spec(
    name="velero.restore",
    summary="Restore namespaces from a Velero backup, and wait for it.",
    mutates=True,
    repeat=Repeat.SAFE,
    undo="Not undone: what was restored stays; delete the namespace it went to.",
    timeout=timedelta(minutes=30),
    example={
        "backup": "daily-20260304010000",
        "namespaces": ["medinovai"],
        "namespace_mapping": {"medinovai": "medinovai-recovery"},
    },
    permissions=(permission(RESTORE, "create", "get", "watch"),),
)


async def run(params: Params, context: Context) -> Result:
    """Make the Restore unless an earlier attempt has, and wait. Raises CheckFailed unless it is `Completed`.

    Raises Rejected (`refused`) for protected namespaces, and for one in place that is not allowed.
    """
    where = await cluster(context, params.cluster)
    goals = _goals(where, params)
    ref = RESTORE.at(params.velero_namespace, name_for(params.name, context.call.key))
    check_protected(where.access, ref)
    body = {
        "apiVersion": RESTORE.api_version,
        "kind": RESTORE.name,
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "spec": _spec(params),
    }
    found, _ = await made_once(where, context, ref, body)
    change = Change(before=None, after={"restore": ref.name, "spec": body["spec"]})

    def told(now: Json) -> Result:
        return Result.model_validate(
            {**progress(now), "restore": ref.name, "namespaces": goals, "change": change}
        )

    if not params.wait or context.mode is Mode.OBSERVE:
        return told(found)
    return await ended(where, context, ref, told)


def _goals(where: Cluster, params: Params) -> list[str]:
    """The namespaces that are written to; raises Rejected (`refused`) for those that may not be."""
    stray = sorted(set(params.namespace_mapping) - set(params.namespaces))
    if stray:
        raise Rejected(f"`namespace_mapping` names what is not restored: {', '.join(stray)}", kind="invalid")
    goals = []
    for namespace in params.namespaces:
        goal = params.namespace_mapping.get(namespace, namespace)
        check_protected(where.access, NAMESPACE.at(name=goal))
        if goal == namespace and not params.allow_in_place:
            message = (
                f"{namespace} would be restored onto itself; map it to another namespace, "
                "or set `allow_in_place: true`"
            )
            raise Rejected(message, kind="refused")
        goals.append(goal)
    return goals


def _spec(params: Params) -> dict[str, Any]:
    spec: dict[str, Any] = {"includedNamespaces": list(params.namespaces)}
    if params.backup is not None:
        spec["backupName"] = params.backup
    else:
        spec["scheduleName"] = params.schedule
    if params.namespace_mapping:
        spec["namespaceMapping"] = dict(params.namespace_mapping)
    if params.existing == "update":
        spec["existingResourcePolicy"] = "update"
    if params.restore_volumes is not None:
        spec["restorePVs"] = params.restore_volumes
    return spec


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, observe=run)
