"""`kubernetes.get_resource`: one object of any kind, as the API gives it.

Changes nothing, so there is nothing to undo. The values of a Secret are replaced by `***`, and `managedFields` and the
copy kubectl keeps of what was applied are left out.
https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from runbookd.actions.base import Action, AnyValue, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.kubernetes.cluster import ClusterName, cluster
from runbookd.actions.kubernetes.kinds import SECRET, Json, KindName, Namespace, kind_of, permission_of
from runbookd.actions.secrecy import MASK
from runbookd.model.action import Repeat, Spec

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

AnyName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.:]{0,251}[A-Za-z0-9])?$", description="The object's name."),
]


class Params(BaseParams):
    """Which object."""

    cluster: ClusterName = None
    kind: KindName
    namespace: Namespace | None = Field(default=None, description="The namespace. null: the kind has none.")
    name: AnyName


class Result(BaseResult):
    """The object."""

    object: AnyValue = Field(description="The object. null: it is not there.")
    found: bool = Field(description="Whether it is there.")


SPEC = Spec(
    name="kubernetes.get_resource",
    summary="Read one object of any kind.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=15),
    example={"kind": "networkpolicies", "namespace": "shop", "name": "deny-all"},
    permissions=(permission_of("kind", "get"),),
)


async def run(params: Params, context: Context) -> Result:
    """Read it; an object that is not there is an answer, not a failure."""
    where = await cluster(context, params.cluster)
    kind = kind_of(params.kind, namespaced=params.namespace is not None)
    found = await where.find(kind.at(params.namespace, params.name))
    if found is None:
        return Result(object=None, found=False)
    return Result(object=shown(found, secret=kind == SECRET), found=True)


def shown(found: Json, *, secret: bool) -> Json:
    """The object without what is noise, and without what is secret."""
    metadata = {name: value for name, value in found["metadata"].items() if name != "managedFields"}
    notes = metadata.get("annotations") or {}
    if LAST_APPLIED in notes:
        metadata["annotations"] = {name: text for name, text in notes.items() if name != LAST_APPLIED}
    kept = {**found, "metadata": metadata}
    for part in ("data", "stringData") if secret else ():
        if kept.get(part):
            kept[part] = dict.fromkeys(kept[part], MASK)
    return kept


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
