"""Moving pods off a node: which may be moved, and evicting them within their disruption budgets.

https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/. What stays, and what is asked for first, is as
with `kubectl drain`:
https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/kubectl/pkg/drain/filters.go
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from runbookd.actions.base import Context
from runbookd.actions.config import KubernetesAccess
from runbookd.actions.failures import Rejected, Unavailable
from runbookd.actions.kubernetes.cluster import Cluster
from runbookd.actions.kubernetes.kinds import POD, Json, Ref
from runbookd.actions.kubernetes.targets import Target, check_protected
from runbookd.errors import PermanentFailure
from runbookd.model.action import Mode

_VERSIONS = ("policy/v1", "policy/v1beta1")
"""Eviction is `policy/v1` since Kubernetes 1.22; an older server takes the other only."""
_LEAVING = "because it is being terminated"
"""Of a pod whose namespace is being deleted, and which then goes by itself: such evictions are forbidden."""
_MIRROR = "kubernetes.io/config.mirror"
_PAUSE = 5.0
"""Seconds until an eviction that a budget holds back is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a drain may do to pods."""

    most: int
    local_data: bool
    bare: bool
    access: KubernetesAccess


def movable(pods: Sequence[Json], allowed: Allowed) -> tuple[list[Target], list[str]]:
    """The pods to move, and the names of those that stay.

    Raises Rejected (`refused`) for protected pods, too many, and those that would be lost.
    """
    move, stay, problems = [], [], []
    for pod in sorted(pods, key=_name):
        if _stays(pod):
            stay.append(_name(pod))
            continue
        problems += _problems(pod, allowed)
        metadata = pod["metadata"]
        ref = POD.at(metadata["namespace"], metadata["name"])
        check_protected(allowed.access, ref)
        move.append(Target(ref, metadata["uid"], metadata["resourceVersion"]))
    if problems:
        raise Rejected(f"nothing was changed: {'; '.join(problems)}", kind="refused")
    if len(move) > allowed.most:
        message = (
            f"there are {len(move)} pods to move, more than `max_pods` {allowed.most}; nothing was changed"
        )
        raise Rejected(message, kind="refused")
    return move, stay


async def evict_all(
    where: Cluster, context: Context, targets: Sequence[Target], grace_period: timedelta | None
) -> list[str]:
    """Evict all, each as soon as its budget allows, and wait until they are gone; in observe mode ask only.

    Returns their names, as `namespace/name`, sorted.

    Raises Unavailable (`unavailable`) naming the pods that are still there when time is up.
    """
    left = {target.ref: target for target in targets}
    try:
        async with context.patience():
            await _evict(where, context, left, grace_period)
    except TimeoutError:
        names = ", ".join(sorted(_text(ref) for ref in left))
        message = f"disruption budgets or slow endings still hold back {names}; the rest was moved"
        raise Unavailable(message, kind="unavailable") from None
    return sorted(_text(target.ref) for target in targets)


async def _evict(
    where: Cluster, context: Context, left: dict[Ref, Target], grace_period: timedelta | None
) -> None:
    """Evict until none is left, taking those that are gone out of `left`."""
    while left:
        taken = [one for one in left.values() if await _evicted(where, one, grace_period)]
        if context.mode is Mode.OBSERVE:
            return
        for target in taken:
            await _gone(where, target)
            del left[target.ref]
        if left:
            await _pause(where, next(iter(left.values())))


async def _evicted(where: Cluster, target: Target, grace_period: timedelta | None) -> bool:
    """Whether the pod may go (or has gone); False when its budget has no room just now."""
    options: dict[str, Any] = {"preconditions": {"uid": target.uid}}
    if grace_period is not None:
        options["gracePeriodSeconds"] = int(grace_period.total_seconds())
    place = {"name": target.ref.name, "namespace": target.ref.namespace}
    for version in _VERSIONS:
        body = {"apiVersion": version, "kind": "Eviction", "metadata": place, "deleteOptions": options}
        try:
            await where.create(target.ref.of("eviction"), body)
        except Unavailable as error:
            if error.kind != "rate_limited":
                raise
            return False
        except Rejected as error:
            if error.kind in {"not_found", "conflict"}:
                now = await where.find(target.ref)
                return now is None or now["metadata"]["uid"] != target.uid
            if _LEAVING in str(error):
                return False
            if error.kind != "invalid" or version == _VERSIONS[-1]:
                raise
            continue
        return True
    return True


async def _gone(where: Cluster, target: Target) -> None:
    """Wait until the pod is gone, or another has its name."""
    try:
        async with aclosing(where.states(target.ref)) as states:
            async for pod in states:
                if pod["metadata"]["uid"] != target.uid:
                    return
    except PermanentFailure as error:
        if getattr(error, "kind", "") != "not_found":
            raise


async def _pause(where: Cluster, target: Target) -> None:
    """Wait a little, or until this pod is gone by itself."""
    try:
        async with asyncio.timeout(_PAUSE):
            await _gone(where, target)
    except TimeoutError:
        return


def _stays(pod: Json) -> bool:
    """Whether the pod belongs on the node, or has ended anyhow."""
    metadata = pod["metadata"]
    owned = any(
        one.get("controller") and one["kind"] == "DaemonSet" for one in metadata.get("ownerReferences") or []
    )
    return owned or _MIRROR in (metadata.get("annotations") or {})


def _problems(pod: Json, allowed: Allowed) -> list[str]:
    """Why moving it would lose something; empty when it would not. A pod that has ended loses nothing."""
    if (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}:
        return []
    found = []
    if not allowed.bare and not any(
        one.get("controller") for one in pod["metadata"].get("ownerReferences") or []
    ):
        found.append(f"{_name(pod)} has no controller that makes another (`allow_bare`)")
    volumes = pod["spec"].get("volumes") or []
    if not allowed.local_data and any("emptyDir" in one for one in volumes):
        found.append(f"{_name(pod)} keeps data in an emptyDir (`delete_local_data`)")
    return found


def _name(pod: Json) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _text(ref: Ref) -> str:
    return f"{ref.namespace}/{ref.name}"
