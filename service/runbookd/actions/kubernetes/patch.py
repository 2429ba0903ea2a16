"""`kubernetes.patch`: change any object by a strategic, merge or JSON patch.

Changes what the patch says, in the object's labels, annotations and everything beside its metadata and status. A
pod template is not changed while its Deployment's rollout is paused, unless the patch resumes it.
Undone by putting back the parts that were changed, unless somebody has changed them since. Secrets and roles are
refused: the one would stand in the open in the record, the other could give this service rights.
https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Literal

from pydantic import Field

from runbookd.actions.base import Action, AnyValue, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.changes import ChangeResult, Wanted, change, probed, take_back, told
from runbookd.actions.kubernetes.cluster import ClusterName, Patch, cluster
from runbookd.actions.kubernetes.kinds import (
    KINDS,
    SECRET,
    Json,
    KindName,
    Namespace,
    ObjectName,
    Ref,
    kind_of,
    permission_of,
)
from runbookd.actions.kubernetes.own_changes import noted
from runbookd.actions.kubernetes.patches import tokens
from runbookd.actions.kubernetes.targets import check_protected
from runbookd.actions.kubernetes.workloads import check_gitops, check_running
from runbookd.model.action import Probed, Repeat, Spec

_REFUSED_GROUPS = frozenset({"rbac.authorization.k8s.io"})
_OPEN_METADATA = frozenset({"annotations", "labels"})
_PAUSED = ["spec", "paused"]
_OPERATIONS = frozenset({"add", "copy", "move", "remove", "replace", "test"})


class Params(BaseParams):
    """Which object, and the patch."""

    cluster: ClusterName = None
    kind: KindName
    namespace: Namespace | None = Field(default=None, description="The namespace. null: the kind has none.")
    name: ObjectName
    type: Literal["strategic", "merge", "json"] | None = Field(
        default=None,
        description="How the patch is to be read: `strategic` merges lists by their keys and is not for custom "
        "resources, `merge` replaces lists, `json` is a list of operations. null: `json` for a list, else "
        "`strategic` for built-in kinds and `merge` for others.",
    )
    patch: AnyValue = Field(description="The patch: a map, or for `json` a list of operations.")
    allow_paused: bool = Field(
        default=False, description="Change a pod template although the rollout is paused and will not follow."
    )
    allow_gitops: bool = Field(
        default=False, description="Change it although a GitOps controller owns it and may put it back."
    )

    @property
    def ref(self) -> Ref:
        """The object. Raises Rejected (`invalid`) for a kind that is not known."""
        return kind_of(self.kind, namespaced=self.namespace is not None).at(self.namespace, self.name)


class Result(ChangeResult):
    """The change."""


SPEC = Spec(
    name="kubernetes.patch",
    summary="Change any object by a strategic, merge or JSON patch.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="The parts that were changed are put back, unless somebody has changed them since.",
    undoable=True,
    timeout=timedelta(seconds=30),
    example={
        "kind": "networkpolicies",
        "namespace": "medinovai",
        "name": "backend",
        "patch": {"spec": {"ingress": []}},
    },
    permissions=(permission_of("kind", "get", "patch"),),
)


async def run(params: Params, context: Context) -> Result:
    """Send the patch; what it would not change is not sent. Raises Rejected for what may not be patched."""
    where = await cluster(context, params.cluster)
    ref = params.ref
    check_protected(where.access, ref)
    wanted = _wanted(params, ref)

    def look(now: Json) -> Wanted:
        note = noted(now, ref, wanted)
        if note is not wanted:  # so it changes the pod template of a Deployment
            check_running(now, ref, allowed=params.allow_paused or _resumes(wanted))
        check_gitops(now, ref, allowed=params.allow_gitops)
        return note

    return Result(**told(await change(where, context, ref, look)))


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look for the mark of this step."""
    answer, changed = await probed(await cluster(context, params.cluster), context, params.ref)
    return answer, None if changed is None else Result(**told(changed))


async def undo(params: Params, result: Result, context: Context) -> Result | None:
    """Put back what was changed; raises Rejected (`conflict`) when somebody has changed it since."""
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)
    return Result(**told(await take_back(where, params.ref, result.revert)))


def _wanted(params: Params, ref: Ref) -> Wanted:
    """The patch as it is sent; raises Rejected (`invalid` or `refused`) for one that may not be."""
    if ref.kind == SECRET or ref.kind.group in _REFUSED_GROUPS:
        raise Rejected(f"{ref.kind.plural} are not patched by a playbook; a person does that", kind="refused")
    patch, built_in = params.patch, ref.kind in KINDS
    how = params.type or ("json" if isinstance(patch, list) else "strategic" if built_in else "merge")
    if how == "json":
        if not isinstance(patch, list) or not all(_is_operation(one) for one in patch):
            raise Rejected("a `json` patch is a list of operations with `op` and `path`", kind="invalid")
        _check_paths(tokens(one[field]) for one in patch for field in ("path", "from") if field in one)
        return Wanted(how=Patch.JSON, body=patch)
    if not isinstance(patch, dict):
        raise Rejected(f"a `{how}` patch is a map", kind="invalid")
    if how == "strategic" and not built_in:
        raise Rejected(
            f"{ref.kind.plural} take no `strategic` patch, as all custom resources; use `merge`",
            kind="invalid",
        )
    _check_paths(_paths(patch))
    return Wanted(how=Patch.STRATEGIC if how == "strategic" else Patch.MERGE, body=patch)


def _resumes(wanted: Wanted) -> bool:
    """Whether the patch itself lets the rollout of a Deployment go on."""
    if isinstance(wanted.body, Mapping):
        spec = wanted.body.get("spec")
        return isinstance(spec, Mapping) and not spec.get("paused", True)
    told = [one for one in wanted.body if one["op"] != "test" and tokens(one["path"]) == _PAUSED]
    return bool(told) and not told[-1].get("value")


def _is_operation(one: object) -> bool:
    return (
        isinstance(one, dict)
        and one.get("op") in _OPERATIONS
        and isinstance(one.get("path"), str)
        and isinstance(one.get("from", ""), str)
    )


def _paths(patch: Mapping[str, object]) -> Iterable[list[str]]:
    """The paths a map leads to, two steps deep."""
    for key, value in patch.items():
        yield from ([key, inner] for inner in value) if isinstance(value, Mapping) else [[key]]


def _check_paths(paths: Iterable[list[str]]) -> None:
    """Raise Rejected (`refused`) for what is not the patch's to change."""
    for path in paths:
        top, *below = path or [""]
        closed = top in {"", "apiVersion", "kind", "status"}
        if closed or (top == "metadata" and (not below or below[0] not in _OPEN_METADATA)):
            message = (
                f"a patch may not change `{'.'.join(path) or 'the whole object'}`: of the metadata only labels "
                "and annotations, and no status"
            )
            raise Rejected(message, kind="refused")


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe, undo=undo, observe=run)
