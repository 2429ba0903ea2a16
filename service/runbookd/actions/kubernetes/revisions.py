"""The revisions of a Deployment, oldest first, and what a rollback has to know of them.

Which of them are good is told in `runbookd.actions.kubernetes.evidence`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.cluster import Cluster
from runbookd.actions.kubernetes.events import moment
from runbookd.actions.kubernetes.evidence import listed_numbers, verdicts
from runbookd.actions.kubernetes.fields import annotations_of, condition, controller_of, selector_text
from runbookd.actions.kubernetes.kinds import REPLICA_SET, Json
from runbookd.actions.kubernetes.replica_sets import (
    created,
    may_be_restart,
    noted_number,
    number_of,
    numbers_of,
    numbers_of_releases,
    own_changes,
    same_template,
    template_hash,
    template_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One revision. `good` with `evidence` in words; `created_at` is when its template was first rolled out.

    `release` is every number that its release has had, in order. `listed`: the Deployment's annotation names its
    release among those that rollbacks took back. `behind_own`: it is a change of this service's own, or older than one.
    """

    number: int
    replica_set: Json
    created_at: datetime | None
    good: bool
    evidence: str
    release: tuple[int, ...] = ()
    listed: bool = False
    behind_own: bool = False

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


async def replica_sets_of(where: Cluster, deployment: Json) -> list[Json]:
    """The ReplicaSets that the Deployment controls. Needs `list` on replicasets."""
    namespace = deployment["metadata"]["namespace"]
    labels = selector_text(deployment["spec"]["selector"])
    return [
        one
        async for one in where.each(REPLICA_SET, namespace, labels=labels)
        if controller_of(one) == deployment["metadata"]["uid"]
    ]


async def revisions_of(where: Cluster, deployment: Json) -> list[Revision]:
    """The Deployment's revisions, oldest first. Needs `list` on replicasets."""
    return judged(deployment, await replica_sets_of(where, deployment))


def judged(deployment: Json, replica_sets: Iterable[Json]) -> list[Revision]:
    """The revisions its ReplicaSets make, oldest first, each judged by the evidence there is."""
    ordered = sorted(
        (one for one in replica_sets if number_of(one) is not None), key=lambda one: number_of(one) or 0
    )
    listed = listed_numbers(deployment, ordered)
    releases = numbers_of_releases(ordered)
    own = _with_restarts(own_changes(deployment, ordered), ordered)
    return [
        Revision(
            number=number_of(one) or 0,
            replica_set=one,
            created_at=created(one),
            good=good,
            evidence=evidence,
            release=tuple(release),
            listed=not listed.isdisjoint(release),
            behind_own=_is_behind(release, number_of(one) or 0, own),
        )
        for one, release, (good, evidence) in zip(
            ordered, releases, verdicts(deployment, ordered), strict=True
        )
    ]


def _with_restarts(own: Iterable[int], replica_sets: Sequence[Json]) -> dict[int, int]:
    """Beside each of these own changes the number that may be a restart of it; its own where there is none.

    Of one that is not kept any more nobody knows the template; only what came next of what is kept can be one.
    """
    held = {number: one for one in replica_sets for number in numbers_of(one)}
    found = {change: min((one for one in held if one >= change), default=change) for change in own}
    return {
        change: after if after in held and may_be_restart(held[after]) else change
        for change, after in found.items()
    }


def _is_behind(release: Sequence[int], number: int, own: Mapping[int, int]) -> bool:
    """Whether a revision of this release is one of these own changes, a restart of one, or older than one."""
    return any(
        number <= change or change in release or (restart in release and release[0] > change)
        for change, restart in own.items()
    )


def is_pending(deployment: Json, revisions: Sequence[Revision]) -> bool:
    """Whether the Deployment's template is not that of the newest revision yet.

    So it is until the controller has made a ReplicaSet for it, or numbered the one it uses again: with the strategy
    Recreate that comes after the last old pod is gone (`rolloutRecreate` of
    https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/deployment/recreate.go), while it is paused not
    at all. What is known of the newest revision is not known of that template then, be it only a restart.
    """
    return not revisions or revisions[-1].template != template_of(deployment)


def last_good(revisions: Sequence[Revision]) -> Revision | None:
    """The newest good revision; None when none is known to be."""
    return next((one for one in reversed(revisions) if one.good), None)


def previous_good(revisions: Sequence[Revision]) -> Revision | None:
    """The newest good revision before the newest, of another release; None when none is known to be.

    From one that was taken back and deployed again it is none that was taken back too, marked or not: so two of them
    never take turns. Nor is anything gone back to where that is a change of this service's own, or older than one: to
    switch off writes again, or on again, is for a person to decide.
    """
    if not revisions:
        return None
    *earlier, newest = revisions
    others = [one for one in earlier if not same_template(one.template, newest.template)]
    found = last_good([one for one in others if not (newest.listed and one.listed)])
    return None if found is not None and found.behind_own else found


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
    """Whether what there was before the present release is newer than that: somebody went back to it, by any way.

    A ReplicaSet that is used again has more than one number; a restart may have made a new one of the same release. A
    release that was there before and came again after an older one was not gone back to, but deployed again; nor was
    one that a rollback took back, and that still counts as that. Where what there was is not known, whatever was there
    before was gone back to.
    """
    release = present_release(revisions)
    if not release or revisions[-1].listed:
        return False
    began = release[0][0]
    before = next((one for one in revisions if began - 1 in one.numbers), None)
    return revisions[-1].release[0] < (began if before is None else before.release[0])


def is_all_since(deployment: Json, note: str, revisions: Sequence[Revision]) -> bool:
    """Whether nothing but the present release has come after the number that an annotation of the Deployment notes."""
    noted = noted_number(deployment, annotations_of(deployment).get(note, ""))
    if noted is None:
        return False
    later = [one for one in revisions if one.number > noted]
    return bool(later) and all(same_template(one.template, later[-1].template) for one in later)


def renewed_at(deployment: Json, revisions: Sequence[Revision]) -> datetime | None:
    """When the present pods began to come: with the present release, or the last restart of it. None: as above."""
    newest = revisions[-1] if revisions else None
    if newest is not None and newest.numbers == [newest.number]:
        return newest.created_at
    return changed_at(deployment, revisions)


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
