"""What the ReplicaSets of a Deployment tell of its revisions: numbers, templates, pods, times.

A Deployment keeps its earlier pod templates as ReplicaSets; the annotation `deployment.kubernetes.io/revision`
orders them: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#checking-rollout-history. Beyond
`revisionHistoryLimit` (10) they are gone. A ReplicaSet that is used again gets a new number and keeps the former ones
in `deployment.kubernetes.io/revision-history`. A restart is no release: templates that differ only by its annotation
are of one release.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from runbookd.actions.kubernetes.events import moment
from runbookd.actions.kubernetes.fields import annotations_of
from runbookd.actions.kubernetes.kinds import Json

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""What a restart writes into the pod template, kubectl's and this service's."""
_STAMPS = frozenset({RESTARTED_AT, "cattle.io/timestamp", "openshift.openshift.io/restartedAt"})
"""The same of kubectl, Rancher's redeploy button and OpenShift's restart: nothing else of the template changes."""
_TO_BEGIN = timedelta(hours=1)
"""A restart's ReplicaSet is made within this: with the strategy Recreate after the last old pod is gone."""
TEMPLATE_HASH = "pod-template-hash"
CHANGED_AFTER = "runbookd.io/changed-after"
"""The newest revision there was when this service changed the pod template in place, as `newest_noted` writes it."""


def number_of(thing: Json) -> int | None:
    """The revision number of a ReplicaSet or Deployment; None when it has none (yet)."""
    text = annotations_of(thing).get(REVISION, "")
    return int(text) if text.isdecimal() else None


def numbers_of(replica_set: Json) -> list[int]:
    """Every revision number a ReplicaSet has had, the present one last."""
    notes = annotations_of(replica_set)
    texts = (*notes.get(REVISION_HISTORY, "").split(","), notes.get(REVISION, ""))
    return [int(text) for text in texts if text.isdecimal()]


def template_hash(replica_set: Json) -> str:
    """The label `pod-template-hash` of a ReplicaSet; "" without one."""
    return str((replica_set["metadata"].get("labels") or {}).get(TEMPLATE_HASH, ""))


def template_of(replica_set: Json) -> Json:
    """Its pod template without the label `pod-template-hash`, which the Deployment's own template lacks."""
    template: Json = dict(replica_set["spec"]["template"])
    metadata = dict(template.get("metadata") or {})
    labels = {name: text for name, text in (metadata.get("labels") or {}).items() if name != TEMPLATE_HASH}
    return {**template, "metadata": {**metadata, "labels": labels}}


def same_template(one: Json, other: Json) -> bool:
    """Whether two pod templates are of one release: equal but for restarts and the label `pod-template-hash`."""
    return _unrestarted(one) == _unrestarted(other)


def same_release(one: Json, other: Json) -> bool:
    """Whether two ReplicaSets are of one release."""
    return same_template(one["spec"]["template"], other["spec"]["template"])


def numbers_of_releases(replica_sets: Sequence[Json]) -> list[list[int]]:
    """Of each, every number that its release has had, in order: those of its restarts as well."""
    bare = [_unrestarted(one["spec"]["template"]) for one in replica_sets]
    return [
        sorted(
            n for one, other in zip(replica_sets, bare, strict=True) if other == own for n in numbers_of(one)
        )
        for own in bare
    ]


def newest_noted(deployment: Json) -> str:
    """The number of its newest revision as a note keeps it, with the Deployment's uid: `7/1f0c…`.

    One that is made anew from a backup keeps its annotations and counts from 1, so their numbers are not its own.
    """
    return f"{number_of(deployment) or 0}/{deployment['metadata']['uid']}"


def noted_number(deployment: Json, text: str) -> int | None:
    """The number in such a note; None in another Deployment's. A bare number is taken for its own."""
    number, _, uid = text.partition("/")
    return int(number) if number.isdecimal() and uid in {"", deployment["metadata"]["uid"]} else None


def own_changes(deployment: Json, replica_sets: Sequence[Json]) -> set[int]:
    """The revisions that began as this service's own changes of the template, as far as anything still notes them.

    The controller copies the Deployment's annotations to the newest ReplicaSet, where they stay when another comes,
    also when a new Deployment adopts it (`kubectl delete --cascade=orphan`): it counts on from its number then. A
    number above the newest there is was noted of another Deployment, from whose backup this one was made.
    """
    newest = max((number for one in replica_sets for number in numbers_of(one)), default=0)
    found = [noted_number(deployment, annotations_of(deployment).get(CHANGED_AFTER, ""))]
    for one in replica_sets:
        text = annotations_of(one).get(CHANGED_AFTER, "")
        found.append(
            noted_number(deployment, text.partition("/")[0] if _is_adopted(one, deployment) else text)
        )
    return {number + 1 for number in found if number is not None and number <= newest}


def _is_adopted(replica_set: Json, deployment: Json) -> bool:
    """Whether a ReplicaSet is older than its Deployment, and so was another's before."""
    made, since = created(replica_set), created(deployment)
    return made is not None and since is not None and made < since


def may_be_restart(replica_set: Json) -> bool:
    """Whether its template may have come by a restart.

    A release carries along the stamp of a restart before it, so one that is older than its ReplicaSet by more than a
    restart takes is no sign; one that is no time is.
    """
    notes = annotations_of(replica_set["spec"]["template"])
    stamped = [moment(text) for name, text in notes.items() if name in _STAMPS]
    made = created(replica_set)
    return any(at is None or made is None or made - at <= _TO_BEGIN for at in stamped)


def pods_of(replica_set: Json) -> tuple[int, int]:
    """How many pods it should have, and how many of it are available."""
    available = (replica_set.get("status") or {}).get("availableReplicas") or 0
    return replica_set["spec"].get("replicas") or 0, available


def created(thing: Json) -> datetime | None:
    """When it was made; None when that is not told."""
    return moment(thing["metadata"].get("creationTimestamp"))


def emptied_at(replica_set: Json) -> datetime | None:
    """When it was scaled to 0, or later; None when it is not at 0, or nothing tells.

    The controller leaves what is at 0 alone, so the time of the entry of `metadata.managedFields` that owns
    `spec.replicas` is that of its last scaling
    (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management); before Kubernetes 1.22 that
    entry owns the status as well, which follows within moments.
    """
    if pods_of(replica_set)[0]:
        return None
    entries = replica_set["metadata"].get("managedFields") or []
    owners = [one for one in entries if "f:replicas" in ((one.get("fieldsV1") or {}).get("f:spec") or {})]
    times = [moment(one.get("time")) for one in owners]
    return max((time for time in times if time is not None), default=None) if None not in times else None


def _unrestarted(template: Json) -> Json:
    """A pod template without what the controller and restarts write into it."""
    bare = template_of({"spec": {"template": template}})
    annotations = bare["metadata"].get("annotations") or {}
    kept = {name: text for name, text in annotations.items() if name not in _STAMPS}
    return {**bare, "metadata": {**bare["metadata"], "annotations": kept}}
