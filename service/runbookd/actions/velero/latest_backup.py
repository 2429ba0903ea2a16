"""`velero.latest_backup`: the newest Velero backup, how it ended and how old it is.

Changes nothing, so there is nothing to undo. A backup is as old as its beginning: later changes are not in it.
https://velero.io/docs/main/api-types/backup/
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from pydantic import Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.kubernetes.cluster import cluster
from runbookd.actions.kubernetes.events import moment
from runbookd.actions.kubernetes.kinds import Json, permission
from runbookd.actions.velero.work import BACKUP, COMPLETED, NamespaceName, VeleroParams
from runbookd.model.action import Repeat, Spec
from runbookd.model.base import Duration

_SCHEDULE = "velero.io/schedule-name"
_GOING = frozenset({"Deleting"})


class Params(VeleroParams):
    """Which backups count."""

    schedule: str | None = Field(default=None, description="Only those of this schedule. null: all.")
    namespace: NamespaceName | None = Field(
        default=None, description="Only those that hold this namespace. null: all."
    )
    completed_only: bool = Field(default=True, description="Only those that are `Completed`.")


class Result(BaseResult):
    """The newest backup; every field but `count` is null when there is none."""

    backup: str | None = Field(description="Its name. null: there is none.")
    phase: str | None = Field(description="Velero's word for how it is. null: there is none.")
    age: Duration | None = Field(description="How long ago it began. null: there is none, or it has not.")
    started_at: datetime | None = Field(description="When it began. null: it has not.")
    completed_at: datetime | None = Field(description="When it ended. null: it has not.")
    expires_at: datetime | None = Field(description="When Velero deletes it. null: not known yet.")
    errors: int | None = Field(description="Errors Velero counted. null: there is none.")
    warnings: int | None = Field(description="Warnings Velero counted. null: there is none.")
    count: int = Field(description="How many backups count.")


SPEC = Spec(
    name="velero.latest_backup",
    summary="Find the newest Velero backup, how it ended and how old it is.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=30),
    example={"schedule": "daily", "namespace": "medinovai"},
    permissions=(permission(BACKUP, "list"),),
)


async def run(params: Params, context: Context) -> Result:
    """Look through all backups, page by page."""
    where = await cluster(context, params.cluster)
    labels = None if params.schedule is None else f"{_SCHEDULE}={params.schedule}"
    newest, count = None, 0
    async for page in where.pages(BACKUP, params.velero_namespace, labels=labels):
        counting = [one for one in page if counts(one, params)]
        count += len(counting)
        newest = latest([*counting, newest] if newest else counting)
    return _result(newest, count, context.now())


def counts(backup: Json, params: Params) -> bool:
    """Whether the backup is one of those that are asked for."""
    phase = (backup.get("status") or {}).get("phase")
    if phase in _GOING or (params.completed_only and phase != COMPLETED):
        return False
    spec = backup.get("spec") or {}
    held, left_out = spec.get("includedNamespaces") or ["*"], spec.get("excludedNamespaces") or []
    return params.namespace is None or (
        params.namespace not in left_out and ("*" in held or params.namespace in held)
    )


def latest(backups: Iterable[Json]) -> Json | None:
    """The one that was begun last; None of none."""
    return max(backups, key=_begun, default=None)


def _begun(backup: Json) -> datetime:
    started = moment((backup.get("status") or {}).get("startTimestamp"))
    return started or moment(backup["metadata"].get("creationTimestamp")) or datetime.min.replace(tzinfo=UTC)


def _result(backup: Json | None, count: int, now: datetime) -> Result:
    status = {} if backup is None else backup.get("status") or {}
    started = moment(status.get("startTimestamp"))
    return Result(
        backup=None if backup is None else backup["metadata"]["name"],
        phase=None if backup is None else status.get("phase") or "New",
        age=None if started is None else now - started,
        started_at=started,
        completed_at=moment(status.get("completionTimestamp")),
        expires_at=moment(status.get("expiration")),
        errors=None if backup is None else status.get("errors") or 0,
        warnings=None if backup is None else status.get("warnings") or 0,
        count=count,
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
