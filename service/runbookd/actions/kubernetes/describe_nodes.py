"""`kubernetes.describe_nodes`: the condition of nodes, and what of them is spoken for.

Changes nothing, so there is nothing to undo. Requests and limits are summed over the pods of each node that have not
ended, as `kubectl describe node` does.
https://kubernetes.io/docs/reference/node/node-status/
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from pydantic import BaseModel, Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.kubernetes.cluster import Cluster, ClusterName, cluster
from runbookd.actions.kubernetes.kinds import NODE, POD, Json, ObjectName, Selector, permission
from runbookd.actions.kubernetes.quantities import (
    Amounts,
    amounts,
    cores,
    limits_of,
    parse_quantity,
    percent,
    requests_of,
    whole_bytes,
)
from runbookd.model.action import Permission, Repeat, Spec


class Params(BaseParams):
    """Which nodes."""

    cluster: ClusterName = None
    node: ObjectName | None = Field(default=None, description="The node. null: every one, or `selector`'s.")
    selector: Selector | None = Field(default=None, description="Label selector. null: every node.")


class Share(BaseModel):
    """How much of a node's CPU or memory is spoken for; CPU in cores, memory in bytes."""

    allocatable: float | None = Field(description="What pods can have. null: the node does not say.")
    requests: float = Field(description="What its pods ask for.")
    requests_percent: float | None = Field(description="Of allocatable.")
    limits: float = Field(description="What its pods may use at most; pods without a limit count nothing.")
    limits_percent: float | None = Field(description="Of allocatable; over 100 is overcommitted.")


class Node(BaseModel):
    """One node."""

    name: str = Field(description="Its name.")
    ready: bool = Field(description="Whether its condition Ready holds.")
    schedulable: bool = Field(description="False when it is cordoned.")
    problems: list[str] = Field(
        description="Conditions that are not as they should be, as `MemoryPressure: message`."
    )
    conditions: dict[str, str] = Field(description="`True`, `False` or `Unknown` by type.")
    taints: list[str] = Field(description="Its taints, as `key=value:effect`.")
    cpu: Share = Field(description="CPU, in cores.")
    memory: Share = Field(description="Memory, in bytes.")
    pods: int = Field(description="Pods on it that have not ended.")
    pods_allocatable: int | None = Field(description="Pods it can have. null: it does not say.")
    version: str = Field(description='Its kubelet\'s version; "" when it does not say.')


class Result(BaseResult):
    """The nodes."""

    nodes: list[Node] = Field(description="In order of name.")
    count: int = Field(description="How many there are.")
    ready: int = Field(description="How many are ready.")
    problems: int = Field(description="How many have a problem.")


SPEC = Spec(
    name="kubernetes.describe_nodes",
    summary="Show nodes with their conditions, and allocatable against requests and limits.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=60),
    example={"selector": "pool=web"},
    permissions=(
        permission(NODE, "list"),
        Permission(system="kubernetes", rule={**permission(POD, "list").rule, "namespaced": False}),
    ),
)


@dataclass(slots=True)
class _Used:
    """What the pods of one node come to."""

    pods: int = 0
    cpu_requests: Decimal = Decimal(0)
    memory_requests: Decimal = Decimal(0)
    cpu_limits: Decimal = Decimal(0)
    memory_limits: Decimal = Decimal(0)

    def add(self, spec: Json) -> None:
        """Count one pod."""
        asked, most = requests_of(spec), limits_of(spec)
        self.pods += 1
        self.cpu_requests += asked.cpu or 0
        self.memory_requests += asked.memory or 0
        self.cpu_limits += most.cpu or 0
        self.memory_limits += most.memory or 0


async def run(params: Params, context: Context) -> Result:
    """Read the nodes, then the pods of the whole cluster, page by page."""
    where = await cluster(context, params.cluster)
    fields = f"metadata.name={params.node}" if params.node else None
    found = [one async for one in where.each(NODE, labels=params.selector, fields=fields)]
    used = await _used(where, params.node)
    nodes = [_node(one, used.get(one["metadata"]["name"], _Used())) for one in found]
    return Result(
        nodes=sorted(nodes, key=lambda one: one.name),
        count=len(nodes),
        ready=sum(one.ready for one in nodes),
        problems=sum(bool(one.problems) for one in nodes),
    )


async def _used(where: Cluster, node: str | None) -> dict[str, _Used]:
    """The pods' requests and limits, by node."""
    fields = "status.phase!=Succeeded,status.phase!=Failed" + (f",spec.nodeName={node}" if node else "")
    found: dict[str, _Used] = {}
    async for pod in where.each(POD, fields=fields):
        name = pod["spec"].get("nodeName")
        if name:
            found.setdefault(name, _Used()).add(pod["spec"])
    return found


def _node(found: Json, used: _Used) -> Node:
    status, spec = found.get("status") or {}, found.get("spec") or {}
    conditions = status.get("conditions") or []
    allocatable = status.get("allocatable") or {}
    whole: Amounts = amounts(allocatable)
    return Node(
        name=found["metadata"]["name"],
        ready=any(one["type"] == "Ready" and one["status"] == "True" for one in conditions),
        schedulable=not spec.get("unschedulable", False),
        problems=[f"{one['type']}: {one.get('message', '')}" for one in conditions if _is_problem(one)],
        conditions={one["type"]: one["status"] for one in conditions},
        taints=[_taint(one) for one in spec.get("taints") or []],
        cpu=Share(
            allocatable=cores(whole.cpu),
            requests=cores(used.cpu_requests) or 0,
            requests_percent=percent(used.cpu_requests, whole.cpu),
            limits=cores(used.cpu_limits) or 0,
            limits_percent=percent(used.cpu_limits, whole.cpu),
        ),
        memory=Share(
            allocatable=whole_bytes(whole.memory),
            requests=whole_bytes(used.memory_requests) or 0,
            requests_percent=percent(used.memory_requests, whole.memory),
            limits=whole_bytes(used.memory_limits) or 0,
            limits_percent=percent(used.memory_limits, whole.memory),
        ),
        pods=used.pods,
        pods_allocatable=whole_bytes(parse_quantity(allocatable["pods"])) if "pods" in allocatable else None,
        version=(status.get("nodeInfo") or {}).get("kubeletVersion", ""),
    )


def _is_problem(one: Json) -> bool:
    """Ready has to hold; every other condition is a pressure or a fault, and must not."""
    return bool(one["status"] != ("True" if one["type"] == "Ready" else "False"))


def _taint(one: Json) -> str:
    value = f"={one['value']}" if one.get("value") else ""
    return f"{one['key']}{value}:{one['effect']}"


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
