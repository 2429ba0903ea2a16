"""`kubernetes.logs`: the logs of a pod, or of all pods with a label, kept as evidence and searched for a pattern.

Changes nothing, so there is nothing to undo. Every container's log is a piece of evidence of its own; a container that
has none (it never started, its pod is gone) is named with the reason instead of failing the step.
https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel, Field, model_validator

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.config import MEBIBYTE, Pattern
from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.cluster import Cluster, ClusterName, cluster
from runbookd.actions.kubernetes.kinds import POD, Json, Namespace, ObjectName, Selector, permission
from runbookd.actions.kubernetes.pods import is_ready
from runbookd.actions.kubernetes.workloads import when
from runbookd.model.action import Repeat, Spec
from runbookd.model.base import Duration

_MAX_READ = 8 * MEBIBYTE
"""Bytes read of one container's log."""
_MAX_KEPT = 16 * MEBIBYTE
"""Bytes one call keeps as evidence."""
_MAX_LINE = 4096
"""Characters of a line that are searched; a pattern cannot be made slow by an endless line."""
_SHOWN_LINE = 500


class Params(BaseParams):
    """Whose logs, and how much of them."""

    cluster: ClusterName = None
    namespace: Namespace
    pod: ObjectName | None = Field(default=None, description="The pod. null: those with `selector`.")
    selector: Selector | None = Field(
        default=None, description="Label selector of the pods. null: the one named `pod`."
    )
    container: ObjectName | None = Field(
        default=None, description="The container. null: every container, init containers too."
    )
    previous: bool = Field(default=False, description="The log of the run before the last restart.")
    tail: int = Field(default=200, ge=1, le=100_000, description="Lines of each container, the last.")
    since: Duration | None = Field(
        default=None, description="Only lines written within this time. null: all that `tail` takes."
    )
    pattern: Pattern | None = Field(
        default=None, description="Regular expression; lines that hold it are counted. null: none are."
    )
    show: int = Field(default=20, ge=0, le=500, description="Lines with the pattern to return.")
    most_pods: int = Field(default=20, ge=1, le=200, description="Pods to read; those not ready first.")
    max_bytes: int = Field(
        default=256 * 1024,
        ge=1024,
        le=_MAX_READ,
        description="Bytes kept of each container; the end is kept.",
    )

    @model_validator(mode="after")
    def _one_choice(self) -> Params:
        if (self.pod is None) == (self.selector is None):
            message = "give either `pod` or `selector`"
            raise ValueError(message)
        return self


class ContainerLog(BaseModel):
    """One container's log."""

    pod: str = Field(description="The pod.")
    container: str = Field(description="The container.")
    lines: int = Field(description="Lines read.")
    matches: int = Field(description="Lines that hold the pattern.")
    truncated: bool = Field(description="True when not all lines asked for are kept as evidence.")
    missing: str = Field(description='Why there is no log; "" when there is one.')


class Result(BaseResult):
    """What was read. The logs themselves are evidence, named `logs/POD/CONTAINER.log`."""

    containers: list[ContainerLog] = Field(description="Every container that was read.")
    pods: int = Field(description="Pods read.")
    pods_found: int = Field(
        description="Pods there are; more than `pods` when there are more than `most_pods`."
    )
    lines: int = Field(description="Lines of all containers.")
    matches: int = Field(description="Lines of all containers that hold the pattern.")
    shown: list[str] = Field(description="The first lines with the pattern, as `pod/container: line`.")


SPEC = Spec(
    name="kubernetes.logs",
    summary="Keep the logs of pods as evidence, and count lines with a pattern.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(minutes=2),
    example={
        "namespace": "shop",
        "selector": "app=api",
        "since": "15m",
        "tail": 1000,
        "pattern": "ERROR|Traceback",
    },
    permissions=(
        permission(POD, "get", sub="log"),
        when("pod", permission(POD, "get")),
        when("selector", permission(POD, "list")),
    ),
)


@dataclass(frozen=True, slots=True)
class _Source:
    """A pod in the words needed here; the whole object is not kept."""

    name: str
    ready: bool
    containers: Sequence[str]


async def run(params: Params, context: Context) -> Result:
    """Read the logs one after another; raises Rejected (`not_found`) when there is no pod."""
    where = await cluster(context, params.cluster)
    sources = await _sources(where, params)
    if not sources:
        raise Rejected(f"there are no pods in {params.namespace} with {params.selector!r}", kind="not_found")
    chosen = sorted(sources, key=lambda one: (one.ready, one.name))[: params.most_pods]
    places = [(one.name, container) for one in chosen for container in one.containers]
    shown: list[str] = []
    found = [await _read(where, params, context, place, shown) for place in places]
    return Result(
        containers=found,
        pods=len(chosen),
        pods_found=len(sources),
        lines=sum(one.lines for one in found),
        matches=sum(one.matches for one in found),
        shown=shown,
    )


async def _sources(where: Cluster, params: Params) -> list[_Source]:
    if params.pod is not None:
        return [_source(await where.get(POD.at(params.namespace, params.pod)), params)]
    return [_source(pod, params) async for pod in where.each(POD, params.namespace, labels=params.selector)]


def _source(pod: Json, params: Params) -> _Source:
    spec = pod["spec"]
    every = [one["name"] for one in [*(spec.get("initContainers") or []), *spec["containers"]]]
    wanted = every if params.container is None else [params.container]
    return _Source(pod["metadata"]["name"], is_ready(pod), wanted)


async def _read(
    where: Cluster, params: Params, context: Context, place: tuple[str, str], shown: list[str]
) -> ContainerLog:
    """One container's log: keep it as evidence, count its lines, and add lines with the pattern to `shown`."""
    pod, container = place
    ref = POD.at(params.namespace, pod, "log")
    try:
        text, cut = await where.text(ref, _query(params, container), _MAX_READ)
    except Rejected as error:
        # 400 when the container has no log (yet), 404 when its pod is gone: both are findings, not failures.
        if error.kind not in {"invalid", "not_found"}:
            raise
        return ContainerLog(
            pod=pod, container=container, lines=0, matches=0, truncated=False, missing=str(error)
        )
    lines = text.decode("utf-8", "replace").splitlines()
    matching = _matching(lines, params.pattern)
    room = max(0, params.show - len(shown))
    shown += [f"{pod}/{container}: {line[:_SHOWN_LINE]}" for line in matching[:room]]
    most = max(0, min(params.max_bytes, _MAX_KEPT - sum(len(piece.content) for piece in context.pieces)))
    if most and text:
        context.attach(f"logs/{pod}/{container}.log", "text/plain", text[-most:])
    return ContainerLog(
        pod=pod,
        container=container,
        lines=len(lines),
        matches=len(matching),
        truncated=cut or len(text) > most,
        missing="",
    )


def _query(params: Params, container: str) -> list[tuple[str, str]]:
    query = [("container", container), ("tailLines", str(params.tail))]
    if params.previous:
        query.append(("previous", "true"))
    if params.since is not None:
        query.append(("sinceSeconds", str(max(1, math.ceil(params.since.total_seconds())))))
    return query


def _matching(lines: Sequence[str], pattern: str | None) -> list[str]:
    if pattern is None:
        return []
    search = re.compile(pattern).search
    return [line for line in lines if search(line[:_MAX_LINE])]


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
