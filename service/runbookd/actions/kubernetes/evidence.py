"""Which revisions of a Deployment are known to have been fully available.

Kubernetes keeps no record of which revision ever worked, so a revision counts as good only on evidence. The first of
these that says something decides:

1. its ReplicaSet is marked bad: the annotation `runbookd.io/bad` holds the ReplicaSet's own name (why the name, see
   `runbookd.actions.kubernetes.marks`);
2. its rollout is known never to have been completed: an older revision still has pods, or it is the newest and its
   Deployment does not say that it was; no mark outweighs that;
3. its ReplicaSet is marked good: the annotation `runbookd.io/good` holds the ReplicaSet's own name;
4. it was taken back, so it is not good: the Deployment's annotation `runbookd.io/taken-back` names it, or an older
   release came after it (by kubectl, Helm, a pipeline), and it not again since. That a newer one came after it, which
   had been there before, is no rollback: somebody deployed that again;
5. it is the newest: the Deployment's condition `Progressing` says that its rollout was completed
   (`NewReplicaSetAvailable`, which stays when pods fail later) and it was not at 0, where every rollout is complete
   (`runbookd.actions.kubernetes.standing` says how that is told); or all of it is available now;
6. it is an older one, still has pods, and all of them are available now, as during a stuck rolling update; a still
   older one that has pods shows that its rollout never was completed;
7. it stood as the newest, with its pods available, for longer than the Deployment's progress deadline; how that is
   told is in `runbookd.actions.kubernetes.standing`.

Without evidence a revision is not good: a rollback to a guess is no rollback.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from runbookd.actions.kubernetes.fields import annotations_of, condition
from runbookd.actions.kubernetes.kinds import Json
from runbookd.actions.kubernetes.marks import BAD, GOOD, by_mark, without_name
from runbookd.actions.kubernetes.replica_sets import (
    numbers_of,
    numbers_of_releases,
    pods_of,
    template_hash,
)
from runbookd.actions.kubernetes.standing import COMPLETED, missed_its_deadline, stood, was_completed

TAKEN_BACK = "runbookd.io/taken-back"
"""Names, by their pod-template-hash, the revisions of a Deployment that rollbacks took back, the latest last."""

Verdict = tuple[bool, str]
"""Whether a revision was fully available, and how that is known."""


def verdicts(deployment: Json, ordered: Sequence[Json]) -> list[Verdict]:
    """Judge the ReplicaSets of a Deployment, which come in the order of their numbers."""
    releases = numbers_of_releases(ordered)
    listed = listed_numbers(deployment, ordered)
    returned = [numbers for numbers in releases if listed.isdisjoint(numbers)]
    found, older_has_pods = [], False
    for one, numbers in zip(ordered, releases, strict=True):
        back = not listed.isdisjoint(numbers) or _was_left(numbers, returned)
        newest = one is ordered[-1]
        good, evidence = (
            by_mark(one, BAD)
            or _never_completed(deployment, one, newest=newest, older_has_pods=older_has_pods)
            or by_mark(one, GOOD)
            or ((False, "it was taken back by a rollback") if back else None)
            or (_of_newest(deployment, one) if newest else None)
            or (None if older_has_pods else _by_pods(deployment, one, ordered))
            or _by_standing(deployment, one, ordered)
            or (False, "nothing shows that it ever was fully available")
        )
        older_has_pods = older_has_pods or pods_of(one)[0] > 0
        found.append((good, evidence + without_name(one)))
    return found


def taken_back(deployment: Json) -> list[str]:
    """The pod-template-hashes of the revisions that rollbacks took back, the latest last."""
    return [one for one in annotations_of(deployment).get(TAKEN_BACK, "").split(",") if one]


def listed_numbers(deployment: Json, replica_sets: Sequence[Json]) -> set[int]:
    """The numbers of the ReplicaSets that the Deployment's annotation names."""
    known = taken_back(deployment)
    return {number for one in replica_sets if template_hash(one) in known for number in numbers_of(one)}


def _never_completed(
    deployment: Json, replica_set: Json, *, newest: bool, older_has_pods: bool
) -> Verdict | None:
    """Not good when its only rollout is known not to have come to its end; of one that was used again nobody knows."""
    if len(numbers_of(replica_set)) > 1:
        return None
    if newest:
        progress = condition(deployment, "Progressing") or {}
        under_way = progress.get("reason", COMPLETED) != COMPLETED and not deployment["spec"].get("paused")
        verdict = _of_newest(deployment, replica_set)
        return verdict if under_way and not verdict[0] else None
    if older_has_pods:
        return False, "its rollout was never completed: an older revision still has pods"
    return None


def _was_left(own: Sequence[int], others: Sequence[Sequence[int]]) -> bool:
    """Whether an older one of these releases came after this one: somebody went back past it, and not to it since."""
    return any(numbers[0] < own[0] and own[-1] < numbers[-1] for numbers in others)


def _of_newest(deployment: Json, replica_set: Json) -> Verdict:
    """The newest revision, whose rollout the Deployment itself tells about."""
    status = deployment.get("status") or {}
    if (status.get("observedGeneration") or 0) < deployment["metadata"].get("generation", 0):
        return False, "its rollout has not begun"
    total = deployment["spec"].get("replicas", 1)
    if total and was_completed(deployment, replica_set):
        return True, "its rollout was completed"
    wanted, available = pods_of(replica_set)
    if total and wanted >= total and available >= total:
        return True, f"its {available} pods are available now"
    return False, f"its rollout is not complete: {available} of {total} pods are available"


def _by_pods(deployment: Json, replica_set: Json, all_of_them: Sequence[Json]) -> Verdict | None:
    """An older revision that still has pods; of fewer than there should be, those that never were ready are gone."""
    wanted, available = pods_of(replica_set)
    fewer = wanted < deployment["spec"].get("replicas", 1)
    if wanted and fewer and missed_its_deadline(deployment, replica_set, all_of_them):
        return False, "its rollout missed its deadline before the next one came"
    return (True, f"its {available} pods are available now") if wanted and available >= wanted else None


def _by_standing(deployment: Json, replica_set: Json, all_of_them: Sequence[Json]) -> Verdict | None:
    """An older revision that was the newest for long enough."""
    length = stood(deployment, replica_set, all_of_them)
    return None if length is None else (True, f"it stood {_words(length)} before the next revision")


def _words(span: timedelta) -> str:
    """A length of time, roughly, for a sentence."""
    seconds = int(span.total_seconds())
    for size, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
