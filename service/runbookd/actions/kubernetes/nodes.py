"""Nodes: how a step names one, and whether it takes pods."""

from __future__ import annotations

from pydantic import Field

from runbookd.actions.base import Params as BaseParams
from runbookd.actions.kubernetes.changes import Wanted, WantedOf
from runbookd.actions.kubernetes.cluster import ClusterName, Patch
from runbookd.actions.kubernetes.kinds import NODE, Json, ObjectName, Ref


class OneNode(BaseParams):
    """One node."""

    cluster: ClusterName = None
    node: ObjectName = Field(description="The node.")

    @property
    def ref(self) -> Ref:
        """The node."""
        return NODE.at(name=self.node)


def schedulable(*, wanted: bool) -> WantedOf:
    """The change after which the node takes pods, or takes none."""

    def patch(node: Json) -> Wanted | None:
        if bool(node["spec"].get("unschedulable")) is not wanted:
            return None
        return Wanted(how=Patch.STRATEGIC, body={"spec": {"unschedulable": None if wanted else True}})

    return patch
