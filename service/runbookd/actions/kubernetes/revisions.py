"""The revisions of a Deployment, and which of them are known to have been fully available.

A Deployment keeps its earlier pod templates as ReplicaSets; the annotation `deployment.kubernetes.io/revision`
orders them: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#checking-rollout-history. Beyond
`revisionHistoryLimit` (10) they are gone. A ReplicaSet that is used again gets a new number and keeps the former ones
in `deployment.kubernetes.io/revision-history`.

Kubernetes keeps no record of which revision ever worked, so a revision counts as good only on evidence. The first of
these that says something decides:

1. its ReplicaSet is marked bad: the annotation `runbookd.io/bad` holds the ReplicaSet's own name (why the name, see
   `runbookd.actions.kubernetes.marks`);
2. its rollout is known never to have been completed: an older revision still has pods, or it is the newest and its
   Deployment does not say that it was; no mark outweighs that;
3. its ReplicaSet is marked good: the annotation `runbookd.io/good` holds the ReplicaSet's own name;
4. a rollback took it back, so it is not good: the Deployment's annotation `runbookd.io/taken-back` names it, or its
   number lies between two numbers of another ReplicaSet, which was returned to (by kubectl, Helm, a pipeline);
5. it is the newest: the Deployment's condition `Progressing` says that its rollout was completed
   (`NewReplicaSetAvailable`, which stays when pods fail later) and it was not at 0, where every rollout is complete
   (`runbookd.actions.kubernetes.standing` says how that is told); or all of it is available now;
6. it is an older one, still has pods, and all of them are available now, as during a stuck rolling update; a still
   older one that has pods shows that its rollout never was completed;
7. it stood as the newest for longer than the Deployment's progress deadline (600 s unless set), and the condition
   `Progressing` has been True ever since: a rollout that makes no progress turns it False at the deadline, and
   `lastTransitionTime` tells when it last turned
   (https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment). What stays hidden: pods
   that become ready again and again count as progress, and a deadline that was longer then is not known now. Time at 0
   replicas proves nothing; how that is told is in `runbookd.actions.kubernetes.standing`.

Without evidence a revision is not good: a rollback to a guess is no rollback. A restart is no release: templates that
differ only by its annotation count as one.
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
from runbookd.actions.kubernetes.marks import BAD, GOOD, by_mark, without_name
from runbookd.actions.kubernetes.standing import is_available, is_rescaled, only_released, was_available

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
CHANGE_CAUSE = "kubernetes.io/change-cause"
DESIRED = "deployment.kubernetes.io/desired-replicas"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""What a restart writes into the pod template, kubectl's and this service's."""
TAKEN_BACK = "runbookd.io/taken-back"
"""Names, by their pod-template-hash, the revisions of a Deployment that rollbacks took back, the latest last."""
TEMPLATE_HASH = "pod-template-hash"
_COMPLETED = "NewReplicaSetAvailable"
"""The reason of the condition Progressing once a rollout is complete."""
_PROGRESS_DEADLINE = 600
_LATE = timedelta(seconds=5)
"""How late the controller may notice a missed deadline: times are whole seconds, it looks a second after it, and the
pods made at the beginning count as progress."""

_Verdict = tuple[bool, str]
"""Whether a revision was fully available, and how that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One revision. `good` with `evidence` in words; `created_at` is when its template was first rolled out.

    `listed`: the Deployment's annotation names its release among those that rollbacks took back.
    """

    number: int
    replica_set: Json
    created_at: datetime | None
    good: bool
    evidence: str
    listed: bool = False

    @property
    def template(self) -> Json:
        """The pod template, as it is in the Deployment."""
        return template_of(self.replica_set)

    @property
    def template_hash(self) -> str:
        """What tells its pods from those of other revisions; "" for a ReplicaSet nobody labelled."""
        return template_hash(self.replica_set)

    @property
    def numbers(self) -> list[int]:
        """Every number it has had, the present one last; more than one when it was rolled back to."""
        return numbers_of(self.replica_set)


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
    known = taken_back(deployment)
    listed = [one for one in ordered if template_hash(one) in known]
    back = [*listed, *(one for one in ordered if _was_left(one, ordered))]
    found, older_has_pods = [], False
    for one in ordered:
        good, evidence = (
            by_mark(one, BAD)
            or _never_completed(deployment, one, newest=one is ordered[-1], older_has_pods=older_has_pods)
            or by_mark(one, GOOD)
            or _by_rollback(one, back)
            or (_of_newest(deployment, one) if one is ordered[-1] else None)
            or (None if older_has_pods else _by_pods(one))
            or _by_standing(deployment, one, ordered)
            or (False, "nothing shows that it ever was fully available")
        )
        older_has_pods = older_has_pods or bool(one["spec"].get("replicas"))
        found.append(
            Revision(
                number=number_of(one) or 0,
                replica_set=one,
                created_at=_created(one),
                good=good,
                evidence=evidence + without_name(one),
                listed=any(_same(one, each) for each in listed),
            )
        )
    return found


def last_good(revisions: Sequence[Revision]) -> Revision | None:
    """The newest good revision; None when none is known to be."""
    return next((one for one in reversed(revisions) if one.good), None)


def previous_good(revisions: Sequence[Revision]) -> Revision | None:
    """The newest good revision before the newest, of another release; None when none is known to be.

    From one that was taken back and deployed again it is none that was taken back too, marked or not: so two of them
    never take turns.
    """
    if not revisions:
        return None
    *earlier, newest = revisions
    others = [one for one in earlier if not same_template(one.template, newest.template)]
    return last_good([one for one in others if not (newest.listed and one.listed)])


def find_revision(revisions: Sequence[Revision], number: int) -> Revision:
    """The revision that has this number, or had it before it was rolled back to.

    Raises Rejected (`not_found`) naming those there are.
    """
    for one in revisions:
        if number in one.numbers:
            return one
    known = ", ".join(str(one.number) for one in revisions) or "none"
    raise Rejected(f"there is no revision {number}; those kept are: {known}", kind="not_found")


def present_release(revisions: Sequence[Revision]) -> list[tuple[int, Revision]]:
    """The newest revision and those just before it that differ from it by restarts only, by number, oldest first."""
    held = {number: one for one in revisions for number in one.numbers}
    found: list[tuple[int, Revision]] = []
    for number in range(max(held, default=0), 0, -1):
        if number not in held or not same_template(held[number].template, revisions[-1].template):
            break
        found.insert(0, (number, held[number]))
    return found


def is_return(revisions: Sequence[Revision]) -> bool:
    """Whether the present release was there before something else was, and was returned to, by whoever.

    A ReplicaSet that is used again has more than one number; a restart may have made a new one of the same release.
    One that a rollback took back, and still counts as that, was not gone back to but deployed again.
    """
    release = present_release(revisions)
    if not release or revisions[-1].listed:
        return False
    began = release[0][0]
    same = [one for one in revisions if same_template(one.template, revisions[-1].template)]
    again = any(number != one.numbers[0] for number, one in release)
    return again or any(one.numbers[0] < began for one in same)


def changed_at(deployment: Json, revisions: Sequence[Revision]) -> datetime | None:
    """When the present release came; None when there is no revision yet, or the time is not known.

    A ReplicaSet that was rolled back to is older than the change; then the next restart tells, or without one the last
    word of the Deployment's condition `Progressing`.
    """
    release = present_release(revisions)
    for number, one in release:
        if number == one.numbers[0]:
            return one.created_at
    progress = condition(deployment, "Progressing") or {}
    return moment(progress.get("lastUpdateTime")) if release else None


def taken_back(deployment: Json) -> list[str]:
    """The pod-template-hashes of the revisions that rollbacks took back, the latest last."""
    return [one for one in annotations_of(deployment).get(TAKEN_BACK, "").split(",") if one]


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


def _never_completed(
    deployment: Json, replica_set: Json, *, newest: bool, older_has_pods: bool
) -> _Verdict | None:
    """Not good when its only rollout is known not to have come to its end; of one that was used again nobody knows."""
    if len(numbers_of(replica_set)) > 1:
        return None
    if newest:
        progress = condition(deployment, "Progressing") or {}
        under_way = progress.get("reason", _COMPLETED) != _COMPLETED and not deployment["spec"].get("paused")
        verdict = _of_newest(deployment, replica_set)
        return verdict if under_way and not verdict[0] else None
    if older_has_pods:
        return False, "its rollout was never completed: an older revision still has pods"
    return None


def _by_rollback(replica_set: Json, back: Sequence[Json]) -> _Verdict | None:
    """Not good when it, or the same with restarts, is among those that were taken back."""
    if any(_same(replica_set, one) for one in back):
        return False, "it was taken back by a rollback"
    return None


def _was_left(replica_set: Json, all_of_them: Sequence[Json]) -> bool:
    """Whether its release came between two numbers of another one: somebody went back past it, and not to it since."""
    latest = max(number_of(one) or 0 for one in all_of_them if _same(one, replica_set))
    return any(
        (numbers := numbers_of(other))[0] < latest < numbers[-1] and not _same(other, replica_set)
        for other in all_of_them
    )


def _same(one: Json, other: Json) -> bool:
    """Whether two ReplicaSets are of one release."""
    return same_template(one["spec"]["template"], other["spec"]["template"])


def _of_newest(deployment: Json, replica_set: Json) -> _Verdict:
    """The newest revision, whose rollout the Deployment itself tells about."""
    status = deployment.get("status") or {}
    if (status.get("observedGeneration") or 0) < deployment["metadata"].get("generation", 0):
        return False, "its rollout has not begun"
    total = deployment["spec"].get("replicas", 1)
    if total and _was_completed(deployment, replica_set):
        return True, "its rollout was completed"
    wanted, available = _pods(replica_set)
    if total and wanted >= total and available >= total:
        return True, f"its {available} pods are available now"
    return False, f"its rollout is not complete: {available} of {total} pods are available"


def _was_completed(deployment: Json, replica_set: Json) -> bool:
    """Whether the Deployment's last word is that the rollout of its newest ReplicaSet was completed, and not at 0."""
    status, made = deployment.get("status") or {}, _created(replica_set)
    progress = condition(deployment, "Progressing") or {}
    # While pods of others are left, the word is of the rollout before: a rollback does not change it at once.
    alone = (status.get("replicas") or 0) == (status.get("updatedReplicas") or 0)
    if progress.get("reason") != _COMPLETED or not alone or made is None:
        return False
    had_pods = only_released(deployment, number_of(replica_set) or 0) or is_available(deployment)
    return had_pods and not is_rescaled(deployment, made, [made])


def _by_pods(replica_set: Json) -> _Verdict | None:
    """An older revision that still has pods."""
    wanted, available = _pods(replica_set)
    return (True, f"its {available} pods are available now") if wanted and available >= wanted else None


def _by_standing(deployment: Json, replica_set: Json, all_of_them: Sequence[Json]) -> _Verdict | None:
    """How long it was the newest, from its making to that of the next number, while rollouts made progress."""
    spec, progress = deployment["spec"], condition(deployment, "Progressing") or {}
    stopped = annotations_of(replica_set).get(DESIRED) == "0"
    if spec.get("paused") or stopped or progress.get("status") != "True":
        return None
    following = numbers_of(replica_set)[0] + 1
    ended = next((_created(one) for one in all_of_them if numbers_of(one)[0] == following), None)
    began, since = _created(replica_set), moment(progress.get("lastTransitionTime"))
    if began is None or since is None or ended is None:
        return None
    made = [time for one in all_of_them if (time := _created(one)) is not None]
    newest = number_of(all_of_them[-1]) or 0
    if is_rescaled(deployment, began, made):
        return None
    if not (only_released(deployment, newest) or was_available(deployment, ended)):
        return None
    stood = ended - max(began, since)
    needed = timedelta(seconds=spec.get("progressDeadlineSeconds") or _PROGRESS_DEADLINE)
    return (True, f"it stood {_length(stood)} before the next revision") if stood > needed + _LATE else None


def _pods(replica_set: Json) -> tuple[int, int]:
    """How many pods it should have, and how many of it are available."""
    available = (replica_set.get("status") or {}).get("availableReplicas") or 0
    return replica_set["spec"].get("replicas") or 0, available


def _created(thing: Json) -> datetime | None:
    return moment(thing["metadata"].get("creationTimestamp"))


def _unrestarted(template: Json) -> Json:
    """A pod template without what the controller and restarts write into it."""
    bare = template_of({"spec": {"template": template}})
    annotations = bare["metadata"].get("annotations") or {}
    kept = {name: text for name, text in annotations.items() if name != RESTARTED_AT}
    return {**bare, "metadata": {**bare["metadata"], "annotations": kept}}


def _length(span: timedelta) -> str:
    """A length of time, roughly, for a sentence."""
    seconds = int(span.total_seconds())
    for size, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
