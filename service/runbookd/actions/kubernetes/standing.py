"""Whether the time a revision stood as the newest says that its pods were there and available.

Kubernetes keeps no record of it, but either of two histories tells, for a revision that stood longer than the
Deployment's progress deadline (600 s unless set, and no more than that):

1. `Available` held at its end, and nothing but its own pods can have made it hold. The condition `Available` was True
   when the next revision came, as its `lastTransitionTime` tells; the strategy lets it say something, which it does
   not where all pods may be unavailable; and every other release had been scaled to 0 by then
   (`replica_sets.emptied_at`). With the strategy Recreate a revision ends when it is scaled down, which turns the
   condition False: that it turned only then tells the same. Where some pods may be unavailable it held without them: so
   what is known to have missed its deadline is left out there.
2. Rollouts made progress all the time. The condition `Progressing` has been True ever since: a rollout that makes no
   progress turns it False at the deadline
   (https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment). At 0 replicas a rollout
   is complete at once, and a Deployment that was complete is scaled up without a deadline, so this proves something
   only if nobody changed `spec.replicas` in that time or since, as far as `metadata.managedFields` tells: the time of
   the entry that owns the field is the last change of anything it owns. An entry that owns the pod template as well,
   as a manifest's does, has the time of its release, and says nothing else then. A HorizontalPodAutoscaler never
   scales to 0 and rests there, so its changes do not count. `kubectl scale` may leave no entry: then `Available` has
   to have been True at the end as well, unless `metadata.generation` is the number of the newest revision, so that
   the spec has never been changed but by releases.

What stood at 0 proves nothing. The word that the rollout of the newest was completed proves something on the terms of
the second; of `Available`, only that it is True now counts then: when it turned False after a rescaling, the pods may
have been asked for only then. What stays hidden: pods that become ready again and again count as progress, and a
deadline that was longer then is not known now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from runbookd.actions.kubernetes.events import moment
from runbookd.actions.kubernetes.fields import annotations_of, condition
from runbookd.actions.kubernetes.kinds import Json
from runbookd.actions.kubernetes.replica_sets import (
    DESIRED,
    created,
    emptied_at,
    number_of,
    numbers_of,
    same_release,
)

COMPLETED = "NewReplicaSetAvailable"
"""The reason of the condition Progressing once a rollout is complete."""
_HPA = ("kube-controller-manager", "scale")
_SOON = timedelta(seconds=5)
_SAME = timedelta(seconds=2)
"""Times are whole seconds, and the controller makes a ReplicaSet a moment after the template came."""
_LATE = timedelta(seconds=5)
"""How late the controller may notice a missed deadline: times are whole seconds, it looks a second after it, and the
pods made at the beginning count as progress."""
_PROGRESS_DEADLINE = 600


def stood(deployment: Json, replica_set: Json, all_of_them: Sequence[Json]) -> timedelta | None:
    """How long it stood as the newest with its pods available; None when nothing tells that it did."""
    if annotations_of(replica_set).get(DESIRED) == "0":
        return None
    deadline = deployment["spec"].get("progressDeadlineSeconds") or _PROGRESS_DEADLINE
    lengths = [
        *_with_its_pods(
            deployment, replica_set, all_of_them, timedelta(seconds=min(deadline, _PROGRESS_DEADLINE))
        ),
        *_with_progress(deployment, replica_set, all_of_them, timedelta(seconds=deadline)),
    ]
    return max(lengths, default=None)


def was_completed(deployment: Json, replica_set: Json) -> bool:
    """Whether the Deployment's last word is that the rollout of its newest ReplicaSet was completed, and not at 0."""
    status, made = deployment.get("status") or {}, created(replica_set)
    progress = condition(deployment, "Progressing") or {}
    # While pods of others are left, the word is of the rollout before: a rollback does not change it at once.
    alone = (status.get("replicas") or 0) == (status.get("updatedReplicas") or 0)
    if progress.get("reason") != COMPLETED or not alone or made is None:
        return False
    had_pods = _only_released(deployment, number_of(replica_set) or 0) or _is_available(deployment)
    return had_pods and not _is_rescaled(deployment, made, [made])


def missed_its_deadline(deployment: Json, replica_set: Json, all_of_them: Sequence[Json]) -> bool:
    """Whether its rollout is known not to have come to its end when the next one came.

    The condition `Progressing` turned True just then, so it was not before: it had missed its deadline. Resuming a
    paused Deployment with a new template looks alike. Where a later one has missed its deadline too nobody knows.
    """
    progress = condition(deployment, "Progressing") or {}
    turned = moment(progress.get("lastTransitionTime"))
    if progress.get("status") != "True" or turned is None:
        return False
    return any(abs(turned - ended) <= _SAME for _, ended in _times(replica_set, all_of_them))


def _with_its_pods(
    deployment: Json, replica_set: Json, all_of_them: Sequence[Json], needed: timedelta
) -> Iterator[timedelta]:
    """Yield the length of each time it stood at whose end nothing but its own pods can have been available."""
    if _least(deployment["spec"]) < int(deployment["spec"].get("replicas", 1)) and missed_its_deadline(
        deployment, replica_set, all_of_them
    ):
        return  # the condition held without all of its pods
    recreated = (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"
    others = [one for one in all_of_them if not same_release(one, replica_set)]
    for began, ended in _times(replica_set, all_of_them):
        before = [emptied_at(one) for one in others if (created(one) or ended) < ended]
        alone = all(emptied is not None and emptied < ended for emptied in before)
        left = emptied_at(replica_set) if recreated else None
        available = _was_available(deployment, ended) or (left is not None and _turned_with(deployment, left))
        if ended - began > needed and alone and available:
            yield ended - began


def _with_progress(
    deployment: Json, replica_set: Json, all_of_them: Sequence[Json], needed: timedelta
) -> Iterator[timedelta]:
    """Yield how long it stood at first while rollouts made progress, then and ever since."""
    progress = condition(deployment, "Progressing") or {}
    since = moment(progress.get("lastTransitionTime"))
    if deployment["spec"].get("paused") or progress.get("status") != "True" or since is None:
        return
    made = [time for one in all_of_them if (time := created(one)) is not None]
    newest = number_of(all_of_them[-1]) or 0
    for began, ended in list(_times(replica_set, all_of_them))[:1]:
        if began != created(replica_set) or _is_rescaled(deployment, began, made):
            return
        length = ended - max(began, since)
        had_pods = _only_released(deployment, newest) or _was_available(deployment, ended)
        if length > needed + _LATE and had_pods:
            yield length


def _times(replica_set: Json, all_of_them: Sequence[Json]) -> Iterator[tuple[datetime, datetime]]:
    """Yield from when to when it was the newest, as far as that is known: from the making of one to that of the next.

    When it was returned to is not known: at the earliest when what it replaced was made.
    """
    made = {numbers_of(one)[0]: created(one) for one in all_of_them}
    first, *later = numbers_of(replica_set)
    for number in (first, *later):
        began = made.get(first if number == first else number - 1)
        ended = made.get(number + 1)
        if began is not None and ended is not None:
            yield began, ended


def _only_released(deployment: Json, newest: int) -> bool:
    """Whether the spec has never been changed but by releases; `newest` is the number of the newest revision."""
    return bool(deployment["metadata"].get("generation") == newest)


def _was_available(deployment: Json, at: datetime) -> bool:
    """Whether the condition `Available` was True at a time, and says something; False when that is not known.

    When it turned False a moment after, its pods may have been missing already: not seen yet.
    """
    available = condition(deployment, "Available") or {}
    turned = moment(available.get("lastTransitionTime"))
    if turned is None or _least(deployment["spec"]) < 1:
        return False
    return turned <= at if available.get("status") == "True" else turned > at + _SOON


def _turned_with(deployment: Json, left: datetime) -> bool:
    """Whether `Available` has been False since this time, when what was available was scaled down, and not before."""
    available = condition(deployment, "Available") or {}
    turned = moment(available.get("lastTransitionTime"))
    return available.get("status") == "False" and turned is not None and turned >= left - _SAME


def _is_available(deployment: Json) -> bool:
    """Whether the condition `Available` is True now, and says something."""
    available = condition(deployment, "Available") or {}
    return available.get("status") == "True" and _least(deployment["spec"]) >= 1


def _least(spec: Json) -> int:
    """How few available pods the condition `Available` asks for; percentages of unavailable ones are rounded down.

    Where neither surge nor unavailable pods come to one, one may be unavailable:
    https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#max-unavailable
    """
    strategy, total = spec.get("strategy") or {}, int(spec.get("replicas", 1))
    if strategy.get("type") == "Recreate":
        return total
    rolling = strategy.get("rollingUpdate") or {}
    most = _part(rolling.get("maxUnavailable", "25%"), total)
    surge = rolling.get("maxSurge", "25%")
    return total - (most or (1 if surge in {0, "0%"} else 0))


def _part(wanted: int | str, total: int) -> int:
    """A number of pods, or a percentage of them."""
    return int(wanted[:-1]) * total // 100 if isinstance(wanted, str) else wanted


def _is_rescaled(deployment: Json, since: datetime, releases: Iterable[datetime]) -> bool:
    """Whether `spec.replicas` may have been changed at or after a time; `releases` are when revisions were made."""
    made = list(releases)
    return any(_tells(entry, since, made) for entry in deployment["metadata"].get("managedFields") or [])


def _tells(entry: Json, since: datetime, releases: Iterable[datetime]) -> bool:
    """Whether an entry of managedFields may tell of such a change."""
    spec = (entry.get("fieldsV1") or {}).get("f:spec") or {}
    if "f:replicas" not in spec or (entry.get("manager"), entry.get("subresource")) == _HPA:
        return False
    time = moment(entry.get("time"))
    if time is None:
        return True
    if time < since:
        return False
    return not ("f:template" in spec and any(abs(time - made) <= _SAME for made in releases))
