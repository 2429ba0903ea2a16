"""`kubernetes.top_nodes`: how much CPU and memory nodes use, of what pods can have.

Changes nothing, so there is nothing to undo. Needs the metrics API (metrics-server); percentages are of allocatable,
as in `kubectl top node`. https://github.com/kubernetes-sigs/metrics-server
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.kubernetes.cluster import ClusterName, cluster
from runbookd.actions.kubernetes.events import moment
from runbookd.actions.kubernetes.kinds import NODE, NODE_METRICS, Json, Selector, permission
from runbookd.actions.kubernetes.metrics import metrics
from runbookd.actions.kubernetes.quantities import Amounts, amounts, cores, percent, whole_bytes
from runbookd.model.action import Repeat, Spec


class Params(BaseParams):
    """Which nodes."""

    cluster: ClusterName = None
    selector: Selector | None = Field(default=None, description="Label selector. null: every node.")


class NodeUse(BaseModel):
    """What one node uses."""

    name: str = Field(description="Its name.")
    cpu: float | None = Field(description="Cores in use. null: not told.")
    cpu_percent: float | None = Field(description="Of allocatable. null: one of them is not known.")
    memory: int | None = Field(description="Bytes in use (the working set). null: not told.")
    memory_percent: float | None = Field(description="Of allocatable. null: one of them is not known.")
    measured_at: datetime | None = Field(description="When that was measured.")


class Result(BaseResult):
    """What the nodes use."""

    nodes: list[NodeUse] = Field(description="The busiest CPU first.")
    count: int = Field(description="How many nodes were measured.")
    max_cpu_percent: float | None = Field(
        description="Of the node whose CPU is busiest. null: none is known."
    )
    max_memory_percent: float | None = Field(
        description="Of the node whose memory is fullest. null: none is known."
    )


SPEC = Spec(
    name="kubernetes.top_nodes",
    summary="Show the CPU and memory nodes use, of what is allocatable.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=30),
    example={"selector": "pool=web"},
    permissions=(permission(NODE_METRICS, "list"), permission(NODE, "list")),
)


async def run(params: Params, context: Context) -> Result:
    """Read the nodes and what was measured of them."""
    where = await cluster(context, params.cluster)
    whole = {
        node["metadata"]["name"]: amounts((node.get("status") or {}).get("allocatable"))
        async for node in where.each(NODE, labels=params.selector)
    }
    # metrics-server does not keep the nodes' labels everywhere, so the selector chooses nodes only.
    nodes = [
        _use(found, whole[found["metadata"]["name"]])
        async for found in metrics(where, NODE_METRICS)
        if found["metadata"]["name"] in whole
    ]
    return Result(
        nodes=sorted(nodes, key=lambda one: (-(one.cpu_percent or 0), one.name)),
        count=len(nodes),
        max_cpu_percent=max((one.cpu_percent for one in nodes if one.cpu_percent is not None), default=None),
        max_memory_percent=max(
            (one.memory_percent for one in nodes if one.memory_percent is not None), default=None
        ),
    )


def _use(found: Json, whole: Amounts) -> NodeUse:
    used = amounts(found.get("usage"))
    return NodeUse(
        name=found["metadata"]["name"],
        cpu=cores(used.cpu),
        cpu_percent=percent(used.cpu, whole.cpu),
        memory=whole_bytes(used.memory),
        memory_percent=percent(used.memory, whole.memory),
        measured_at=moment(found.get("timestamp")),
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
