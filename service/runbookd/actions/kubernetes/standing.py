"""Whether the time a revision stood as the newest says that its pods were there and available.

The condition `Progressing` alone does not: at 0 replicas a rollout is complete at once, and a Deployment that was
complete is scaled up without a deadline. So what stood proves something only if:

- nobody changed `spec.replicas` in that time or since, as far as `metadata.managedFields` tells: the time of the entry
  that owns the field is the last change of anything it owns
  (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management). An entry that owns the pod
  template as well, as a manifest's does, has the time of its release, and says nothing else then. A
  HorizontalPodAutoscaler never scales to 0 and rests there, so its changes do not count;
- the condition `Available` was True at the end of that time, as its `lastTransitionTime` tells, and the strategy lets
  it say something, which it does not where all pods may be unavailable. `kubectl scale` leaves no entry, so this is
  what tells of it. Where `metadata.generation` is the number of the newest revision, it is not asked: then the spec has
  never been changed but by releases.

The word that the rollout of the newest was completed proves something on the same terms. Of `Available`, only that it
is True now counts then: when it turned False after a rescaling, the pods may have been asked for only then.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from runbookd.actions.kubernetes.events import moment
from runbookd.actions.kubernetes.kinds import Json

_HPA = ("kube-controller-manager", "scale")
_SOON = timedelta(seconds=5)
_SAME = timedelta(seconds=2)
"""Times are whole seconds, and the controller makes a ReplicaSet a moment after the template came."""


def is_rescaled(deployment: Json, since: datetime, releases: Iterable[datetime]) -> bool:
    """Whether `spec.replicas` may have been changed at or after a time; `releases` are when revisions were made."""
    made = list(releases)
    return any(_tells(entry, since, made) for entry in deployment["metadata"].get("managedFields") or [])


def only_released(deployment: Json, newest: int) -> bool:
    """Whether the spec has never been changed but by releases; `newest` is the number of the newest revision."""
    return bool(deployment["metadata"].get("generation") == newest)


def was_available(deployment: Json, at: datetime) -> bool:
    """Whether the condition `Available` was True at a time, and says something; False when that is not known.

    When it turned False a moment after, its pods may have been missing already: not seen yet.
    """
    conditions = (deployment.get("status") or {}).get("conditions") or []
    available: Json = next((one for one in conditions if one.get("type") == "Available"), {})
    turned = moment(available.get("lastTransitionTime"))
    if turned is None or _least(deployment["spec"]) < 1:
        return False
    return turned <= at if available.get("status") == "True" else turned > at + _SOON


def is_available(deployment: Json) -> bool:
    """Whether the condition `Available` is True now, and says something."""
    conditions = (deployment.get("status") or {}).get("conditions") or []
    holds = any((one.get("type"), one.get("status")) == ("Available", "True") for one in conditions)
    return holds and _least(deployment["spec"]) >= 1


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
