"""What a pod does, decided by its images' tags: pure functions from a pod and a moment to the status a kubelet
would write. Conditions and reasons: kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/.

The tag's first word decides: `good` (and any other word) is ready at once, `slow` after 2 s, `unready` never,
`crash` crash-loops, `imagepull` is never pulled. Of a pod that need not run for ever (a Job's), `good` ends with
exit code 0, `slow` so after 2 s, `crash` with exit code 1.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.cluster.api import Object

SLOW_S = 2.0
CRASH_EXIT_CODE = 1


class Behaviour(StrEnum):
    """What a container does."""

    GOOD = "good"
    UNREADY = "unready"
    CRASH = "crash"
    IMAGE_PULL = "imagepull"
    SLOW = "slow"


class Phase(StrEnum):
    """Where one container stands."""

    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    PULL_FAILED = "pull-failed"
    PULL_BACK_OFF = "pull-back-off"
    CRASHED = "crashed"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Condition:
    """One container's standing, its restarts so far, and since when it stands so."""

    phase: Phase
    restarts: int
    since: dt.datetime


def behaviour_of(image: str) -> Behaviour:
    """What the tag of an image asks for; `registry:5000/app` has no tag."""
    _, _, tag = image.rpartition("/")[2].partition(":")
    word = tag.partition("-")[0]
    return next((behaviour for behaviour in Behaviour if behaviour == word), Behaviour.GOOD)


def runs_for_ever(pod: Object) -> bool:
    """Whether the pod's containers are started again when they end well."""
    return bool(pod["spec"].get("restartPolicy", "Always") == "Always")


def settled(behaviour: Behaviour, *, for_ever: bool) -> Phase:
    """Where a container of this behaviour comes to stand, once it has had its time."""
    match behaviour:
        case Behaviour.GOOD | Behaviour.SLOW:
            return Phase.READY if for_ever else Phase.DONE
        case Behaviour.UNREADY:
            return Phase.UNREADY
        case Behaviour.CRASH:
            return Phase.CRASHED if for_ever else Phase.FAILED
        case Behaviour.IMAGE_PULL:
            return Phase.PULL_BACK_OFF


def status_of(pod: Object, containers: dict[str, Condition], now: dt.datetime) -> Object:
    """The status to patch (strategic merge): phase, conditions, container statuses, addresses."""
    known = pod.get("status", {})
    ready = all(condition.phase is Phase.READY for condition in containers.values())
    ended = all(condition.phase in {Phase.DONE, Phase.FAILED} for condition in containers.values())
    not_ready = {"reason": "PodCompleted" if ended else "ContainersNotReady"}
    return {
        "phase": _pod_phase(containers),
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "startTime": known.get("startTime") or stamp(now),
        "conditions": [
            _condition("PodScheduled", known, now, holds=True),
            _condition("Initialized", known, now, holds=True),
            _condition("Ready", known, now, holds=ready) | ({} if ready else not_ready),
            _condition("ContainersReady", known, now, holds=ready) | ({} if ready else not_ready),
        ],
        "containerStatuses": [
            _container_status(container, containers[container["name"]])
            for container in pod["spec"]["containers"]
        ],
    }


def stamp(moment: dt.datetime) -> str:
    """A moment as Kubernetes writes it: RFC 3339, whole seconds, UTC."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _pod_phase(containers: dict[str, Condition]) -> str:
    phases = {condition.phase for condition in containers.values()}
    if phases <= {Phase.DONE, Phase.FAILED}:
        return "Failed" if Phase.FAILED in phases else "Succeeded"
    waits_for_images = phases <= {Phase.STARTING, Phase.PULL_FAILED, Phase.PULL_BACK_OFF}
    return "Pending" if waits_for_images else "Running"


def _condition(name: str, known: Object, now: dt.datetime, *, holds: bool) -> Object:
    """A pod condition, which keeps its transition time while its status stays."""
    status = "True" if holds else "False"
    before: Object = next((each for each in known.get("conditions", []) if each["type"] == name), {})
    since = before.get("lastTransitionTime") if before.get("status") == status else None
    # null takes a reason that no longer holds away.
    return {
        "type": name,
        "status": status,
        "reason": None,
        "lastProbeTime": None,
        "lastTransitionTime": since or stamp(now),
    }


def _container_status(container: Object, condition: Condition) -> Object:
    name, image = container["name"], container["image"]
    pulled = condition.phase not in {Phase.STARTING, Phase.PULL_FAILED, Phase.PULL_BACK_OFF}
    running = condition.phase in {Phase.READY, Phase.UNREADY}
    crashed = _terminated(condition, CRASH_EXIT_CODE, "Error")
    return {
        "name": name,
        "image": image,
        "imageID": f"{image}@sha256:{'0' * 64}" if pulled else "",
        "containerID": f"harness://{name}-{condition.restarts}" if pulled else "",
        "ready": condition.phase is Phase.READY,
        "started": running,
        "restartCount": condition.restarts,
        "state": _state(name, image, condition),
        "lastState": {"terminated": crashed} if condition.restarts else {},
    }


def _state(name: str, image: str, condition: Condition) -> dict[str, Any]:
    match condition.phase:
        case Phase.STARTING:
            return {"waiting": {"reason": "ContainerCreating"}}
        case Phase.READY | Phase.UNREADY:
            return {"running": {"startedAt": stamp(condition.since)}}
        case Phase.PULL_FAILED:
            return {"waiting": {"reason": "ErrImagePull", "message": pull_error(image)}}
        case Phase.PULL_BACK_OFF:
            message = f'Back-off pulling image "{image}"'
            return {"waiting": {"reason": "ImagePullBackOff", "message": message}}
        case Phase.CRASHED:
            message = f"back-off restarting failed container={name}"
            return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        case Phase.DONE:
            return {"terminated": _terminated(condition, 0, "Completed")}
        case Phase.FAILED:
            return {"terminated": _terminated(condition, CRASH_EXIT_CODE, "Error")}


def _terminated(condition: Condition, exit_code: int, reason: str) -> dict[str, Any]:
    at = stamp(condition.since)
    return {"exitCode": exit_code, "reason": reason, "startedAt": at, "finishedAt": at}


def pull_error(image: str) -> str:
    """What a container runtime says of an image that is not there."""
    return f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": not found'
