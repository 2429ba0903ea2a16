"""`velero.create_backup`: back up namespaces with Velero, and wait for it.

Changes: a Backup is made in Velero's namespace, whose name ends with a hash of the step's idempotency key, so that it
is made once however often the step is tried. Not undone: a backup changes nothing of what it saves; it goes when its
time is over, or with `velero backup delete`. PartiallyFailed is a failure. https://velero.io/docs/main/api-types/backup/
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import Field

from runbookd.actions.base import Action, Change, Context
from runbookd.actions.kubernetes.changes import made_once
from runbookd.actions.kubernetes.cluster import cluster
from runbookd.actions.kubernetes.kinds import Json, permission
from runbookd.actions.kubernetes.targets import check_protected
from runbookd.actions.velero.work import (
    BACKUP,
    NamespaceName,
    Prefix,
    VeleroParams,
    Work,
    ended,
    name_for,
    progress,
)
from runbookd.model.action import Mode, Repeat, Spec
from runbookd.model.base import Duration


class Params(VeleroParams):
    """What to back up."""

    name: Prefix = Field(default="runbookd", description="How the Backup's name begins.")
    namespaces: list[NamespaceName] = Field(min_length=1, description="The namespaces to back up.")
    labels: dict[str, str] = Field(
        default_factory=dict, description="Only objects that have all these labels. Empty: all objects."
    )
    exclude_resources: list[str] = Field(
        default_factory=list, description="Kinds that are left out, as `events`."
    )
    snapshot_volumes: bool | None = Field(
        default=None, description="Take snapshots of volumes. null: as Velero is configured."
    )
    storage_location: str | None = Field(default=None, description="Where to. null: Velero's default.")
    keep: Duration = Field(default=timedelta(days=30), description="After this Velero deletes the backup.")
    wait: bool = Field(default=True, description="Wait for its end. False: return when it is made.")


class Result(Work):
    """The Backup."""

    backup: str = Field(description="Its name.")


SPEC = Spec(
    name="velero.create_backup",
    summary="Back up namespaces with Velero, and wait for it.",
    mutates=True,
    repeat=Repeat.SAFE,
    undo="Not undone: a backup changes nothing of what it saves; `velero backup delete` removes it.",
    timeout=timedelta(minutes=30),
    example={"name": "before-restore", "namespaces": ["medinovai"], "keep": "7d"},
    permissions=(permission(BACKUP, "create", "get", "watch"),),
)


async def run(params: Params, context: Context) -> Result:
    """Make the Backup unless an earlier attempt has, and wait. Raises CheckFailed unless it is `Completed`."""
    where = await cluster(context, params.cluster)
    ref = BACKUP.at(params.velero_namespace, name_for(params.name, context.call.key))
    check_protected(where.access, ref)
    body = {
        "apiVersion": BACKUP.api_version,
        "kind": BACKUP.name,
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "spec": _spec(params),
    }
    found, _ = await made_once(where, context, ref, body)
    change = Change(before=None, after={"backup": ref.name, "spec": body["spec"]})

    def told(now: Json) -> Result:
        return Result.model_validate({**progress(now), "backup": ref.name, "change": change})

    if not params.wait or context.mode is Mode.OBSERVE:
        return told(found)
    return await ended(where, context, ref, told)


def _spec(params: Params) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "includedNamespaces": list(params.namespaces),
        "ttl": f"{int(params.keep.total_seconds())}s",
    }
    if params.exclude_resources:
        spec["excludedResources"] = list(params.exclude_resources)
    if params.labels:
        spec["labelSelector"] = {"matchLabels": dict(params.labels)}
    if params.snapshot_volumes is not None:
        spec["snapshotVolumes"] = params.snapshot_volumes
    if params.storage_location is not None:
        spec["storageLocation"] = params.storage_location
    return spec


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, observe=run)
