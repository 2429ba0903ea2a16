"""`kubernetes.uncordon`: let a node take pods again.

Changes `spec.unschedulable` of the Node; pods come as they are scheduled. Undone by setting it back to what it
was; by hand: `kubectl cordon`. https://kubernetes.io/docs/concepts/architecture/nodes/#manual-node-administration
"""

from __future__ import annotations

from datetime import timedelta

from runbookd.actions.base import Action, Context
from runbookd.actions.kubernetes.changes import ChangeResult, change, probed, take_back, told
from runbookd.actions.kubernetes.cluster import cluster
from runbookd.actions.kubernetes.kinds import NODE, permission
from runbookd.actions.kubernetes.nodes import OneNode, schedulable
from runbookd.actions.kubernetes.targets import check_protected
from runbookd.model.action import Probed, Repeat, Spec


class Params(OneNode):
    """Which node."""


class Result(ChangeResult):
    """The change."""


SPEC = Spec(
    name="kubernetes.uncordon",
    summary="Let a node take pods again.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="The node takes no pods again, if it took none before.",
    undoable=True,
    timeout=timedelta(seconds=30),
    example={"node": "worker-3"},
    permissions=(permission(NODE, "get", "patch"),),
)


async def run(params: Params, context: Context) -> Result:
    """Patch the node; nothing is sent when it takes pods already. Raises Rejected for a protected one."""
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)
    return Result(**told(await change(where, context, params.ref, schedulable(wanted=True))))


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look for the mark of this step."""
    answer, changed = await probed(await cluster(context, params.cluster), context, params.ref)
    return answer, None if changed is None else Result(**told(changed))


async def undo(params: Params, result: Result, context: Context) -> Result | None:
    """Set it back; nothing is sent when somebody has done so."""
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)
    return Result(**told(await take_back(where, params.ref, result.revert)))


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe, undo=undo, observe=run)
