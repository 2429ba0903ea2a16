"""A pod in few words: what `kubectl get pods` prints in its columns STATUS, READY and RESTARTS.

https://github.com/kubernetes/kubernetes/blob/master/pkg/printers/internalversion/printers.go (printPod)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from runbookd.actions.kubernetes.events import moment
from runbookd.actions.kubernetes.kinds import Json

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_RUNNING = frozenset({"Running", "Completed", "Succeeded"})
_ENDED = frozenset({"Succeeded", "Failed"})
_HINDRANCES = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "PostStartHookError",
        "PreCreateHookError",
        "PreStartHookError",
        "RegistryUnavailable",
        "RunContainerError",
        "SignatureValidationFailed",
    }
)
"""Why a container waits that has crashed, or whose image or start fails.

https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/images/types.go
https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/container/sync_result.go
"""
_CRASHES = 2
"""A container that failed and was started again so often crashes again and again; between two crashes it runs."""
_LONG = timedelta(seconds=30)
"""A pod that has not been able to run for so long gets no better by waiting; a first try may be a moment's trouble."""
_AT_ONCE = timedelta(seconds=2)
"""The kubelet writes the start of a pod and its first conditions at once; times are whole seconds."""


class Pod(BaseModel):
    """One pod."""

    namespace: str = Field(description="Its namespace.")
    name: str = Field(description="Its name.")
    phase: str = Field(description="`Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.")
    deleted: bool = Field(description="Whether it is being deleted.")
    status: str = Field(
        description="As `kubectl get pods` says it: `Running`, `CrashLoopBackOff`, `Terminating`, ..."
    )
    ready: bool = Field(description="Whether its condition Ready holds.")
    cannot_run: bool = Field(
        description="Whether one of its containers cannot run: it crashes again and again, or its image or its start "
        "fails. One that only is not ready yet, or not scheduled, is no such."
    )
    containers_ready: int = Field(description="How many of its containers are ready.")
    containers: int = Field(description="How many containers it has.")
    restarts: int = Field(description="Restarts of all its containers together.")
    last_exit_code: int | None = Field(
        description="Exit code of the container that ended last. null: none has."
    )
    last_reason: str = Field(description='Why it ended, such as `OOMKilled`; "" when none has.')
    message: str = Field(description='What the status is about, in Kubernetes\' words; "" for none.')
    node: str = Field(description='The node it is on; "" while it is on none.')
    ip: str = Field(description='Its address; "" while it has none.')
    images: list[str] = Field(description="The images of its containers.")
    started_at: datetime | None = Field(description="When it was taken up by a node. null: not yet.")
    owner: str = Field(description='What controls it, as `ReplicaSet/api-6b7f`; "" for nothing.')


def summary(pod: Json) -> Pod:
    """The pod in few words."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    containers = status.get("containerStatuses") or []
    every = [*containers, *(status.get("initContainerStatuses") or [])]
    ended = _ended_last(every)
    return Pod(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        phase=status.get("phase", "Unknown"),
        deleted=bool(metadata.get("deletionTimestamp")),
        status=status_word(pod),
        ready=is_ready(pod),
        cannot_run=cannot_run(pod),
        containers_ready=sum(bool(one.get("ready")) for one in containers),
        containers=len(spec.get("containers") or []),
        restarts=sum(one.get("restartCount") or 0 for one in containers),
        last_exit_code=ended.get("exitCode"),
        last_reason=ended.get("reason") or "",
        message=next(_messages(status, every), ""),
        node=spec.get("nodeName") or "",
        ip=status.get("podIP") or "",
        images=[one.get("image", "") for one in spec.get("containers") or []],
        started_at=moment(status.get("startTime")),
        owner=_owner(metadata),
    )


def is_ready(pod: Json) -> bool:
    """Whether its condition Ready holds."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def cannot_run(pod: Json) -> bool:
    """Whether it should run, and one of its containers cannot; as the field of `Pod` says."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") in _ENDED or is_ready(pod):
        return False
    every = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return any(_is_hindered(one) for one in every)


def may_have_been_ready(pod: Json) -> bool:
    """Whether it is ready, or may have been: its condition Ready turned after the pod's start, or tells no time.

    Without a readiness probe a container is ready whenever it runs, so one that crashes has been.
    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
    """
    status = pod.get("status") or {}
    ready: Json = next((one for one in status.get("conditions") or [] if one.get("type") == "Ready"), {})
    if not ready:
        return False
    started, turned = moment(status.get("startTime")), moment(ready.get("lastTransitionTime"))
    return ready.get("status") == "True" or not started or not turned or turned - started > _AT_ONCE


def never_ran(pod: Json, now: datetime) -> bool:
    """Whether it cannot run, was never ready, and has had its time: half a minute, or two restarts of a container."""
    if not cannot_run(pod) or may_have_been_ready(pod):
        return False
    status = pod.get("status") or {}
    every = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    started = moment(status.get("startTime"))
    long = started is not None and now - started >= _LONG
    return long or any((one.get("restartCount") or 0) >= _CRASHES for one in every)


def is_running(pod: Pod) -> bool:
    """Whether its status is one that asks for nothing: running, or ended well."""
    return pod.status in _RUNNING


def has_ended(pod: Pod) -> bool:
    """Whether all its containers have ended for good, well or not: it will never be ready, and another takes its place.

    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase
    """
    return pod.phase in _ENDED


def status_word(pod: Json) -> str:
    """The word in kubectl's column STATUS."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    beginning = _initializing(pod)
    if beginning:
        return beginning
    word = status.get("reason") or status.get("phase") or "Unknown"
    running = False
    for one in reversed(status.get("containerStatuses") or []):
        state = one.get("state") or {}
        running = running or bool(one.get("ready") and state.get("running"))
        word = _stopped(state) or word
    if word == "Completed" and running:
        return "Running" if is_ready(pod) else "NotReady"
    return str(word)


def _initializing(pod: Json) -> str | None:
    """The word while init containers are not done; None when they are."""
    status = pod.get("status") or {}
    total = len((pod.get("spec") or {}).get("initContainers") or [])
    for index, one in enumerate(status.get("initContainerStatuses") or []):
        state = one.get("state") or {}
        ended = state.get("terminated")
        if (ended is not None and ended.get("exitCode") == 0) or one.get("started"):
            continue
        word = _stopped(state)
        return f"Init:{word}" if word and word != "PodInitializing" else f"Init:{index}/{total}"
    return None


def _stopped(state: Json) -> str | None:
    """Why a container waits or has ended; None when it does neither."""
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting and waiting.get("reason"):
        return str(waiting["reason"])
    if not ended:
        return None
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def _is_hindered(container: Json) -> bool:
    """Whether a container waits for what does not come by itself, or has just failed, as it did before."""
    state, last = container.get("state") or {}, container.get("lastState") or {}
    if (state.get("waiting") or {}).get("reason") in _HINDRANCES:
        return True
    ended = state.get("terminated") or last.get("terminated") or {}
    failed = bool(ended.get("exitCode")) and not container.get("ready")
    return failed and (container.get("restartCount") or 0) >= _CRASHES


def _ended_last(containers: list[Json]) -> Json:
    """How the container that ended last did; empty when none has ended."""
    ended = [
        found["terminated"]
        for one in containers
        for found in (one.get("state") or {}, one.get("lastState") or {})
        if found.get("terminated")
    ]
    return max(ended, key=lambda one: one.get("finishedAt") or "", default={})


def _messages(status: Json, containers: list[Json]) -> Iterator[str]:
    """What Kubernetes says about the trouble, the most telling first."""
    for one in containers:
        for state in (one.get("state") or {}).values():
            if state and state.get("message"):
                yield state["message"]
    if status.get("message"):
        yield status["message"]
    for one in status.get("conditions") or []:
        if one.get("status") == "False" and one.get("message"):
            yield one["message"]


def _owner(metadata: Json) -> str:
    owners = metadata.get("ownerReferences") or []
    return next((f"{one['kind']}/{one['name']}" for one in owners if one.get("controller")), "")
