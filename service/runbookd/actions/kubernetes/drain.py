"""`kubernetes.drain`: move the pods off a node.

Changes: the node takes no new pods (`spec.unschedulable`), and its pods are evicted, as far as disruption budgets
allow; it waits until they are gone. Pods of DaemonSets and static pods stay, as with kubectl. Undone by letting the
node take pods again, if it did before; pods that moved stay where they are.
https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pydantic import Field

from runbookd.actions.base import Action, Change, Context
from runbookd.actions.kubernetes.changes import Changed, ChangeResult, change, take_back, told
from runbookd.actions.kubernetes.cluster import Cluster, cluster
from runbookd.actions.kubernetes.evictions import Allowed, evict_all, movable
from runbookd.actions.kubernetes.kinds import NODE, POD, Json, permission
from runbookd.actions.kubernetes.nodes import OneNode, schedulable
from runbookd.actions.kubernetes.targets import check_protected
from runbookd.model.action import Repeat, Spec
from runbookd.model.base import Duration


class Params(OneNode):
    """Which node, and what may be lost."""

    max_pods: int = Field(default=50, ge=1, description="More pods to move than this are refused.")
    grace_period: Duration | None = Field(
        default=None,
        description="How long containers may take to end, in whole seconds. null: each pod's own.",
    )
    delete_local_data: bool = Field(
        default=False, description="Move pods although what they keep in an `emptyDir` is lost."
    )
    allow_bare: bool = Field(
        default=False, description="Move pods although they have no controller that makes others."
    )


class Result(ChangeResult):
    """The node, and the pods."""

    evicted: list[str] = Field(description="Pods that were moved, as `namespace/name`, sorted.")
    stayed: list[str] = Field(description="Pods that belong on the node: of DaemonSets, and static ones.")


SPEC = Spec(
    name="kubernetes.drain",
    summary="Move the pods off a node, as far as disruption budgets allow, and keep new ones off.",
    mutates=True,
    repeat=Repeat.SAFE,
    undo="The node takes pods again, if it did before; pods that moved stay where they are.",
    undoable=True,
    timeout=timedelta(minutes=10),
    example={"node": "worker-3"},
    permissions=(
        permission(NODE, "get", "patch"),
        permission(POD, "get", "list", "watch"),
        permission(POD, "create", sub="eviction"),
    ),
)


async def run(params: Params, context: Context) -> Result:
    """Cordon, then evict and wait. Raises Rejected before anything is changed, for pods that may not be moved.

    Raises Unavailable (`unavailable`) when budgets hold pods back for as long as the attempt may take.
    """
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)
    allowed = Allowed(
        most=params.max_pods, local_data=params.delete_local_data, bare=params.allow_bare, access=where.access
    )
    movable(await _pods_on(where, params.node), allowed)
    changed = await change(where, context, params.ref, schedulable(wanted=False))
    # A pod may have come while the node still took some.
    move, stayed = movable(await _pods_on(where, params.node), allowed)
    evicted = await evict_all(where, context, move, params.grace_period)
    return _result(changed, evicted, stayed)


async def undo(params: Params, result: Result, context: Context) -> Result | None:
    """Let the node take pods again; nothing is sent when somebody has done so."""
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)
    changed = await take_back(where, params.ref, result.revert)
    return _result(changed, [], [])


async def _pods_on(where: Cluster, node: str) -> list[Json]:
    return [pod async for pod in where.each(POD, fields=f"spec.nodeName={node}")]


def _result(changed: Changed, evicted: Sequence[str], stayed: Sequence[str]) -> Result:
    fields = told(changed)
    if evicted:
        node = fields["change"] or Change(before={}, after={})
        before, after = {**node.before, "pods": list(evicted)}, {**node.after, "pods": []}
        fields["change"] = Change(before=before, after=after)
    return Result(**fields, evicted=list(evicted), stayed=list(stayed))


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, undo=undo, observe=run)
