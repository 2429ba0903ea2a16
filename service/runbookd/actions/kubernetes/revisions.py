"""The revisions of a Deployment, and which of them are known to have been fully available.

A Deployment keeps its earlier pod templates as ReplicaSets; the annotation `deployment.kubernetes.io/revision`
orders them: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#checking-rollout-history. Beyond
`revisionHistoryLimit` (10) they are gone.

Kubernetes keeps no record of which revision ever worked, so a revision counts as good only on evidence:

1. its ReplicaSet carries the annotation `runbookd.io/good`: `"true"` or `"false"`, set by whoever knows;
2. it is the newest, and the Deployment's condition `Progressing` says that its rollout was completed
   (`NewReplicaSetAvailable`, which stays when pods fail later), or all of it is available now;
3. it is an older one, still has pods, and all of them are available now, as during a stuck rolling update;
4. it stood as the newest for longer than the Deployment's progress deadline (600 s unless set) before the next
   came, the strategy is RollingUpdate, and no older one still has pods: a rolling update that never became available
   leaves pods of an older revision behind.

Without evidence a revision is not good: a rollback to a guess is no rollback.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.cluster import Cluster
from runbookd.actions.kubernetes.events import moment
from runbookd.actions.kubernetes.kinds import REPLICA_SET, Json

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
CHANGE_CAUSE = "kubernetes.io/change-cause"
GOOD = "runbookd.io/good"
TEMPLATE_HASH = "pod-template-hash"
_PROGRESS_DEADLINE = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One revision. `good` with `evidence` in words; `created_at` is when its template was first rolled out."""

    number: int
    replica_set: Json
    created_at: datetime | None
    good: bool
    evidence: str

    @property
    def template(self) -> Json:
        """The pod template, as it is in the Deployment."""
        return template_of(self.replica_set)


async def revisions_of(where: Cluster, deployment: Json) -> list[Revision]:
    """The Deployment's revisions, oldest first. Needs `list` on replicasets."""
    namespace = deployment["metadata"]["namespace"]
    labels = selector_text(deployment["spec"]["selector"])
    owned = [
        one
        async for one in where.each(REPLICA_SET, namespace, labels=labels)
        if controller_of(one) == deployment["metadata"]["uid"]
    ]
    return judged(deployment, owned)


def judged(deployment: Json, replica_sets: Iterable[Json]) -> list[Revision]:
    """The revisions its ReplicaSets make, oldest first, each judged by the evidence above."""
    ordered = sorted(
        (one for one in replica_sets if number_of(one) is not None), key=lambda one: number_of(one) or 0
    )
    found, older_has_pods = [], False
    for one, following in zip(ordered, [*ordered[1:], None], strict=False):
        good, evidence = _judge(deployment, one, following, older_has_pods=older_has_pods)
        older_has_pods = older_has_pods or bool(one["spec"].get("replicas"))
        created = moment(one["metadata"].get("creationTimestamp"))
        found.append(
            Revision(
                number=number_of(one) or 0, replica_set=one, created_at=created, good=good, evidence=evidence
            )
        )
    return found


def last_good(revisions: Sequence[Revision]) -> Revision | None:
    """The newest good revision; None when none is known to be."""
    return next((one for one in reversed(revisions) if one.good), None)


def previous_good(revisions: Sequence[Revision]) -> Revision | None:
    """The newest good revision before the newest, with another template; None when none is known to be."""
    if not revisions:
        return None
    *earlier, newest = revisions
    return last_good([one for one in earlier if one.template != newest.template])


def find_revision(revisions: Sequence[Revision], number: int) -> Revision:
    """The revision of this number; raises Rejected (`not_found`) naming those there are."""
    for one in revisions:
        if one.number == number:
            return one
    known = ", ".join(str(one.number) for one in revisions) or "none"
    raise Rejected(f"there is no revision {number}; those kept are: {known}", kind="not_found")


def changed_at(deployment: Json, revisions: Sequence[Revision]) -> datetime | None:
    """When the pod template last changed; None when there is no revision yet.

    For a revision that was rolled back to, its ReplicaSet is older than the change; then the last word of the
    Deployment's condition `Progressing` is taken.
    """
    if not revisions:
        return None
    newest = revisions[-1]
    progress = condition(deployment, "Progressing")
    if REVISION_HISTORY in annotations_of(newest.replica_set) and progress is not None:
        return moment(progress.get("lastUpdateTime")) or newest.created_at
    return newest.created_at


def number_of(thing: Json) -> int | None:
    """The revision number of a ReplicaSet or Deployment; None when it has none (yet)."""
    text = annotations_of(thing).get(REVISION, "")
    return int(text) if text.isdecimal() else None


def template_of(replica_set: Json) -> Json:
    """Its pod template without the label `pod-template-hash`, which the Deployment's own template lacks."""
    template: Json = dict(replica_set["spec"]["template"])
    metadata = dict(template.get("metadata") or {})
    labels = {name: text for name, text in (metadata.get("labels") or {}).items() if name != TEMPLATE_HASH}
    return {**template, "metadata": {**metadata, "labels": labels}}


def same_template(one: Json, other: Json) -> bool:
    """Whether two pod templates are equal but for the label `pod-template-hash`."""
    return template_of({"spec": {"template": one}}) == template_of({"spec": {"template": other}})


def controller_of(thing: Json) -> str | None:
    """The uid of the object that controls it; None when nothing does."""
    owners = thing["metadata"].get("ownerReferences") or []
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def annotations_of(thing: Json) -> Mapping[str, str]:
    """Its annotations; empty when it has none."""
    return thing["metadata"].get("annotations") or {}


def condition(thing: Json, name: str) -> Json | None:
    """The condition of this type in its status; None when there is none."""
    conditions = (thing.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one.get("type") == name), None)


def selector_text(selector: Mapping[str, Any]) -> str:
    """A label selector object as the query parameter takes it.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
    """
    parts = [f"{name}={text}" for name, text in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or []:
        name, operator, values = one["key"], one["operator"], ",".join(one.get("values") or [])
        words = {
            "In": f"{name} in ({values})",
            "NotIn": f"{name} notin ({values})",
            "Exists": name,
            "DoesNotExist": f"!{name}",
        }
        parts.append(words[operator])
    return ",".join(parts)


def _judge(
    deployment: Json, replica_set: Json, following: Json | None, *, older_has_pods: bool
) -> tuple[bool, str]:
    """Whether it was fully available, and how that is known."""
    mark = annotations_of(replica_set).get(GOOD)
    if mark in {"true", "false"}:
        return mark == "true", f'marked {GOOD}: "{mark}"'
    wanted = replica_set["spec"].get("replicas") or 0
    available = (replica_set.get("status") or {}).get("availableReplicas") or 0
    if following is None:
        return _judge_newest(deployment, wanted, available)
    if wanted and available >= wanted:
        return True, f"its {available} pods are available now"
    stood = _stood(deployment, replica_set, following)
    if stood is not None and not older_has_pods:
        return True, f"it stood {_hours(stood)} before the next revision"
    return False, "nothing shows that it ever was fully available"


def _judge_newest(deployment: Json, wanted: int, available: int) -> tuple[bool, str]:
    """The newest revision, whose rollout the Deployment itself tells about."""
    observed = (deployment.get("status") or {}).get("observedGeneration") or 0
    if observed < deployment["metadata"].get("generation", 0):
        return False, "its rollout has not begun"
    progress = condition(deployment, "Progressing")
    if progress is not None and progress.get("reason") == "NewReplicaSetAvailable":
        return True, "its rollout was completed"
    total = deployment["spec"].get("replicas", 1)
    if total and wanted >= total and available >= total:
        return True, f"its {available} pods are available now"
    return False, f"its rollout is not complete: {available} of {total} pods are available"


def _stood(deployment: Json, replica_set: Json, following: Json) -> timedelta | None:
    """How long it was the newest, if that says something; a rollback to either of the two hides it."""
    spec = deployment["spec"]
    replaced_at_once = (spec.get("strategy") or {}).get("type") == "Recreate"
    if replaced_at_once or any(REVISION_HISTORY in annotations_of(one) for one in (replica_set, following)):
        return None
    began, ended = (moment(one["metadata"].get("creationTimestamp")) for one in (replica_set, following))
    needed = timedelta(seconds=spec.get("progressDeadlineSeconds") or _PROGRESS_DEADLINE)
    return ended - began if began and ended and ended - began > needed else None


def _hours(span: timedelta) -> str:
    """A length of time, roughly, for a sentence."""
    minutes = int(span.total_seconds()) // 60
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"  # noqa: PLR2004 - two hours
