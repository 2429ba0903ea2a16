"""Whether a missed progress deadline is that of a Deployment's present rollout, or of one before it.

The condition `Progressing` with the reason `ProgressDeadlineExceeded` outlives the rollout that it speaks of: the
controller writes `observedGeneration` and the numbers of pods for a new template at once, but leaves that condition,
and its message, as they are until it sees progress. With the strategy Recreate there is no ReplicaSet for the new
template until the last old pod is gone; one that is used again (a rollback) is no progress by itself. Only where it
creates a ReplicaSet the controller turns the condition with it. (`syncRolloutStatus` of
https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/deployment/progress.go, `getNewReplicaSet` of
sync.go and `rolloutRecreate` of recreate.go there; `DeploymentTimedOut`, `DeploymentProgressing` and
`SetDeploymentCondition` of util/deployment_util.go.)

So it counts only where its message, `ReplicaSet "api-5d4f" has timed out progressing.`, names the ReplicaSet of the
Deployment's present template. One that has had one number only missed the deadline of its only rollout. One that was
returned to may have missed it earlier: then the condition, whose `lastUpdateTime` is when the deadline was missed, has
to be younger than the return. That came before the controller last wrote to the ReplicaSet, and after the template was
last changed, as the times of `metadata.managedFields` tell
(https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management); either shows it. While there is no
ReplicaSet for the template the message names the Deployment, and does not tell which rollout it is about.

What does not tell is no failure: whoever waits goes on waiting, as long as the time allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from runbookd.actions.kubernetes.events import moment
from runbookd.actions.kubernetes.fields import annotations_of, condition
from runbookd.actions.kubernetes.kinds import Json
from runbookd.actions.kubernetes.replica_sets import (
    RESTARTED_AT,
    REVISION,
    numbers_of,
    same_template,
    template_of,
)

_EXCEEDED = "ProgressDeadlineExceeded"
_REVISION = ("f:metadata", "f:annotations", f"f:{REVISION}")
_TEMPLATE = ("f:spec", "f:template")


def missed(deployment: Json) -> bool:
    """Whether the Deployment says that a rollout has missed its deadline, the present one or one before."""
    return (condition(deployment, "Progressing") or {}).get("reason") == _EXCEEDED


def missed_now(deployment: Json, replica_sets: Iterable[Json]) -> bool:
    """Whether its present rollout has; `replica_sets` are those it controls. False when that cannot be told."""
    if not missed(deployment):
        return False
    progress = condition(deployment, "Progressing") or {}
    message = progress.get("message") or ""
    named = next(
        (one for one in replica_sets if f'"{one["metadata"]["name"]}" has timed out' in message), None
    )
    if named is None or not _equal(template_of(named), deployment["spec"]["template"]):
        return False
    if len(numbers_of(named)) == 1:
        return True
    said = moment(progress.get("lastUpdateTime"))
    since = (_written(named, _REVISION), _written(deployment, _TEMPLATE))
    # Of two in the same second nobody knows which was first.
    return said is not None and any(time is not None and time < said for time in since)


def _equal(one: Json, other: Json) -> bool:
    """Whether two pod templates are the same, that of a restart and that before it not counted as one."""
    return same_template(one, other) and _restart(one) == _restart(other)


def _restart(template: Json) -> str | None:
    return annotations_of({"metadata": template.get("metadata") or {}}).get(RESTARTED_AT)


def _written(thing: Json, field: Sequence[str]) -> datetime | None:
    """When those who own a field last wrote anything, so no earlier than the field; None when that is not known."""
    entries = thing["metadata"].get("managedFields") or []
    times = [moment(one.get("time")) for one in entries if _owns(one.get("fieldsV1") or {}, field)]
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None


def _owns(owned: Json, field: Sequence[str]) -> bool:
    """Whether the tree of owned fields leads to this one."""
    for name in field:
        if name not in owned:
            return False
        owned = owned[name]
    return True
