"""`kubernetes.top_pods`: how much CPU and memory pods use, of what they ask for and may use.

Changes nothing, so there is nothing to undo. Needs the metrics API (metrics-server); memory is the working set.
https://github.com/kubernetes-sigs/metrics-server
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.kubernetes.cluster import ClusterName, cluster
from runbookd.actions.kubernetes.events import moment
from runbookd.actions.kubernetes.kinds import POD, POD_METRICS, Json, Namespace, Selector, permission
from runbookd.actions.kubernetes.metrics import metrics
from runbookd.actions.kubernetes.quantities import (
    Amounts,
    amounts,
    cores,
    limits_of,
    percent,
    requests_of,
    sum_of,
    whole_bytes,
)
from runbookd.model.action import Repeat, Spec


class Params(BaseParams):
    """Which pods."""

    cluster: ClusterName = None
    namespace: Namespace | None = Field(default=None, description="The namespace. null: every one.")
    selector: Selector | None = Field(default=None, description="Label selector. null: every pod.")
    sort: Literal["cpu", "memory"] = Field(default="cpu", description="What the first uses most of.")
    most: int = Field(default=50, ge=1, le=2000, description="Pods to return; the totals are of all.")


class PodUse(BaseModel):
    """What one pod uses, all its containers together."""

    namespace: str = Field(description="Its namespace.")
    name: str = Field(description="Its name.")
    cpu: float = Field(description="Cores in use.")
    cpu_limit: float | None = Field(description="Cores it may use. null: a container has no limit.")
    cpu_percent: float | None = Field(description="Of the limit. null: there is none.")
    cpu_request_percent: float | None = Field(description="Of what it asks for. null: it asks for none.")
    memory: int = Field(description="Bytes in use.")
    memory_limit: int | None = Field(description="Bytes it may use. null: a container has no limit.")
    memory_percent: float | None = Field(description="Of the limit. null: there is none.")
    memory_request_percent: float | None = Field(description="Of what it asks for. null: it asks for none.")
    containers: dict[str, float] = Field(description="Cores in use, by container.")
    measured_at: datetime | None = Field(description="When that was measured.")


class Result(BaseResult):
    """What the pods use."""

    pods: list[PodUse] = Field(description="Those that use most first.")
    count: int = Field(description="How many pods were measured.")
    measured: int = Field(description="How many containers were measured. 0: nothing is known of their use.")
    cpu: float = Field(description="Cores all of them use.")
    memory: int = Field(description="Bytes all of them use.")
    max_cpu_percent: float | None = Field(
        description="The highest share of a CPU limit. null: there is none, or nothing is `measured`."
    )
    max_memory_percent: float | None = Field(
        description="The highest share of a memory limit. null: there is none, or nothing is `measured`."
    )


SPEC = Spec(
    name="kubernetes.top_pods",
    summary="Show the CPU and memory pods use, of their requests and limits.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=30),
    example={"namespace": "shop", "selector": "app=api", "sort": "memory"},
    permissions=(permission(POD_METRICS, "list"), permission(POD, "list")),
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a pod asks for and may use."""

    requests: Amounts
    limits: Amounts


async def run(params: Params, context: Context) -> Result:
    """Read the pods' requests and limits, then what was measured."""
    where = await cluster(context, params.cluster)
    asked = {
        _key(pod): _Asked(requests_of(pod["spec"]), limits_of(pod["spec"]))
        async for pod in where.each(POD, params.namespace, labels=params.selector)
    }
    # The metrics API does not keep every pod's labels, so the selector chooses pods only.
    pods = [
        _use(found, asked[_key(found)])
        async for found in metrics(where, POD_METRICS, params.namespace)
        if _key(found) in asked
    ]
    pods.sort(key=lambda one: (-getattr(one, params.sort), one.namespace, one.name))
    return Result(
        pods=pods[: params.most],
        count=len(pods),
        measured=sum(len(one.containers) for one in pods),
        cpu=round(sum(one.cpu for one in pods), 3),
        memory=sum(one.memory for one in pods),
        max_cpu_percent=max((one.cpu_percent for one in pods if one.cpu_percent is not None), default=None),
        max_memory_percent=max(
            (one.memory_percent for one in pods if one.memory_percent is not None), default=None
        ),
    )


def _key(thing: Json) -> tuple[str, str]:
    return thing["metadata"].get("namespace", ""), thing["metadata"]["name"]


def _use(found: Json, asked: _Asked) -> PodUse:
    used = {one["name"]: amounts(one.get("usage")) for one in found.get("containers") or []}
    cpu = sum_of(one.cpu for one in used.values())
    memory: Decimal = sum_of(one.memory for one in used.values())
    namespace, name = _key(found)
    return PodUse(
        namespace=namespace,
        name=name,
        cpu=cores(cpu) or 0,
        cpu_limit=cores(asked.limits.cpu),
        cpu_percent=percent(cpu, asked.limits.cpu),
        cpu_request_percent=percent(cpu, asked.requests.cpu),
        memory=int(memory),
        memory_limit=whole_bytes(asked.limits.memory),
        memory_percent=percent(memory, asked.limits.memory),
        memory_request_percent=percent(memory, asked.requests.memory),
        containers={container: cores(one.cpu) or 0 for container, one in used.items()},
        measured_at=moment(found.get("timestamp")),
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
