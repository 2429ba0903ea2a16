"""Backups and Restores while Velero works on them, and how they ended.

https://velero.io/docs/main/api-types/backup/ and https://velero.io/docs/main/api-types/restore/; the phases are in
https://github.com/vmware-tanzu/velero/tree/main/pkg/apis/velero/v1. PartiallyFailed is not success: something is
missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import Field, StringConstraints

from runbookd.actions.base import Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.failures import CheckFailed, Unavailable
from runbookd.actions.kubernetes.cluster import Cluster, ClusterName
from runbookd.actions.kubernetes.events import moment
from runbookd.actions.kubernetes.kinds import NAMESPACE_PATTERN, Json, Kind, Ref

BACKUP = Kind("velero.io", "v1", "backups", "Backup")
RESTORE = Kind("velero.io", "v1", "restores", "Restore")
COMPLETED = "Completed"
_ENDED = frozenset({COMPLETED, "PartiallyFailed", "Failed", "FailedValidation"})

Prefix = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$")]
NamespaceName = Annotated[str, StringConstraints(pattern=NAMESPACE_PATTERN)]


class VeleroParams(BaseParams):
    """Where Velero is."""

    cluster: ClusterName = None
    velero_namespace: NamespaceName = Field(default="velero", description="The namespace Velero runs in.")


class Work(BaseResult):
    """How far Velero is with a Backup or Restore."""

    phase: str = Field(description="Velero's word: `New`, `InProgress`, `Completed`, ...")
    done: bool = Field(description="Whether it is `Completed`; False when it was not waited for.")
    items: int | None = Field(description="Objects that were taken care of. null: none yet.")
    errors: int = Field(description="Errors Velero counted.")
    warnings: int = Field(description="Warnings Velero counted, such as objects that were there already.")
    started_at: datetime | None = Field(description="When Velero began. null: not yet.")
    completed_at: datetime | None = Field(description="When Velero ended. null: not yet.")


W = TypeVar("W", bound=Work)


def name_for(prefix: str, key: str) -> str:
    """The object's name: the same for every attempt at the step, another for every other step."""
    return f"{prefix}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"


def progress(found: Json) -> dict[str, object]:
    """The fields of Work."""
    status = found.get("status") or {}
    counted = status.get("progress") or {}
    phase = status.get("phase") or "New"
    return {
        "phase": phase,
        "done": phase == COMPLETED,
        "items": counted.get("itemsBackedUp", counted.get("itemsRestored")),
        "errors": status.get("errors") or 0,
        "warnings": status.get("warnings") or 0,
        "started_at": moment(status.get("startTimestamp")),
        "completed_at": moment(status.get("completionTimestamp")),
    }


async def ended(where: Cluster, context: Context, ref: Ref, told: Callable[[Json], W]) -> W:
    """Wait for Velero's end, and tell of it.

    Raises CheckFailed when it ended in any way but `Completed`, Unavailable (`timeout`) when it has not in time.
    """
    try:
        async with (
            context.patience(),
            aclosing(where.states(ref)) as states,
        ):
            async for found in states:
                result = told(found)
                if result.phase in _ENDED:
                    return _good(ref, found, result)
    except TimeoutError:
        pass
    message = f"Velero has not ended {ref} in time; it goes on, and the next attempt waits for it"
    raise Unavailable(message, kind="timeout", in_doubt=True)


def _good(ref: Ref, found: Json, result: W) -> W:
    """The result, if the work is complete; raises CheckFailed with what Velero says."""
    if result.done:
        return result
    status = found.get("status") or {}
    said = [*(status.get("validationErrors") or []), *filter(None, [status.get("failureReason")])]
    reasons = "; ".join(said) or f"{result.errors} errors, {result.warnings} warnings"
    command = f"velero {ref.kind.name.lower()} logs {ref.name}"
    raise CheckFailed(f"{ref} ended {result.phase}: {reasons}; `{command}` tells more", result)
