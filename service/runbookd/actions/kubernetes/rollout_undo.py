"""`kubernetes.rollout_undo`: return a workload's pod template to an earlier revision.

Changes the pod template of the Deployment, StatefulSet or DaemonSet; the rollout that follows replaces the pods.
ConfigMaps and Secrets are not returned. The revision is always named, so a second attempt never toggles back; on a
Deployment the annotation `runbookd.io/taken-back` names the revision that was left, so that no later rollback counts it
as good. To return to such a revision takes it off that list. Undone by putting back the template and the annotations
there were.
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-back-a-deployment
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydantic import Field

from runbookd.actions.base import Action, Context
from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.changes import (
    Changed,
    ChangeResult,
    Wanted,
    change,
    made_before,
    probed,
    take_back,
    told,
)
from runbookd.actions.kubernetes.cluster import Cluster, Patch, cluster
from runbookd.actions.kubernetes.fields import controller_of, selector_text
from runbookd.actions.kubernetes.kinds import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    REPLICA_SET,
    Json,
    permission,
)
from runbookd.actions.kubernetes.replica_sets import number_of, same_template
from runbookd.actions.kubernetes.revisions import find_revision, is_pending, revisions_of
from runbookd.actions.kubernetes.rollbacks import notes, put_back
from runbookd.actions.kubernetes.targets import check_protected
from runbookd.actions.kubernetes.workloads import OneTemplate, check_gitops, check_running, rights, when
from runbookd.model.action import Probed, Repeat, Spec


class Params(OneTemplate):
    """Which workload, and which revision."""

    to_revision: int = Field(ge=1, description="The revision to return to, as `rollout_history` numbers it.")
    from_revision: int | None = Field(
        default=None,
        ge=1,
        description="The revision that is to be left: refused when it has another template by then, be "
        "it only that of a restart, or one that is no revision yet. null: whichever it has.",
    )
    allow_paused: bool = Field(
        default=False, description="Change the template although the rollout is paused and will not follow."
    )
    allow_gitops: bool = Field(
        default=False, description="Change it although a GitOps controller owns it and may put it back."
    )


class Result(ChangeResult):
    """The rollback; not `changed` when the template was that of the revision already, restarts aside."""

    from_revision: int | None = Field(description="The newest revision before. null: not known any more.")
    to_revision: int = Field(description="The revision whose template the workload has now.")
    images: list[str] = Field(description="The images of the template now, container by container.")


SPEC = Spec(
    name="kubernetes.rollout_undo",
    summary="Return a workload's pod template to an earlier revision.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="The template and the annotations there were are put back, unless somebody has changed them since.",
    undoable=True,
    timeout=timedelta(seconds=60),
    example={
        "namespace": "medinovai",
        "deployment": "medinovai-backend",
        "to_revision": 4,
        "from_revision": 5,
    },
    permissions=(
        *rights(OneTemplate, "get", "patch"),
        when("deployment", permission(REPLICA_SET, "list")),
        when("statefulset", permission(CONTROLLER_REVISION, "list")),
        when("daemonset", permission(CONTROLLER_REVISION, "list")),
    ),
)


@dataclass(frozen=True, slots=True)
class _Former:
    """What is to be returned to: the template, the patch of the object that brings it, and the newest revision.

    `leaves` is the number of the revision it has now; None while what it has is no revision yet.
    """

    template: Json
    patch: Callable[[Json], Wanted]
    newest: int | None
    leaves: int | None


async def run(params: Params, context: Context) -> Result:
    """Patch the template. Raises Rejected: `not_found` without the revision, `refused` by its checks."""
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)
    seen = await where.get(params.ref)
    made = made_before(seen, params.ref, context.call.key)
    if made is not None:
        return _result(params, made, None)
    former = await _former(where, params, seen)

    def wanted(now: Json) -> Wanted | None:
        check_running(now, params.ref, allowed=params.allow_paused)
        check_gitops(now, params.ref, allowed=params.allow_gitops)
        if same_template(now["spec"]["template"], former.template):
            return None
        left = params.from_revision
        if now["spec"]["template"] != seen["spec"]["template"] or (left and left != former.leaves):
            which = f"revision {left} of it" if left else "it"
            message = (
                f"{params.ref} got a new template, by a release or a restart, while {which} was to be rolled "
                "back; nothing was changed"
            )
            raise Rejected(message, kind="refused")
        return former.patch(now)

    return _result(params, await change(where, context, params.ref, wanted), former.newest)


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look for the mark of this step."""
    answer, changed = await probed(await cluster(context, params.cluster), context, params.ref)
    return answer, None if changed is None else _result(params, changed, None)


async def undo(params: Params, result: Result, context: Context) -> Result | None:
    """Put the template back; raises Rejected (`conflict`) when somebody has changed it since."""
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)
    changed = await take_back(
        where, params.ref, result.revert, put_back if params.ref.kind == DEPLOYMENT else None
    )
    back = result.from_revision or params.to_revision
    return _result(params, changed, None).model_copy(update={"to_revision": back})


async def _former(where: Cluster, params: Params, seen: Json) -> _Former:
    """The revision that is asked for; raises Rejected (`not_found`) naming those there are."""
    if params.ref.kind == DEPLOYMENT:
        revisions = await revisions_of(where, seen)
        target = find_revision(revisions, params.to_revision)
        replace = {"op": "replace", "path": "/spec/template", "value": target.template}

        def patched(now: Json) -> Wanted:
            return Wanted(how=Patch.JSON, body=[replace, *notes(now, revisions, target)])

        leaves = None if is_pending(seen, revisions) else revisions[-1].number
        return _Former(target.template, patched, number_of(seen), leaves)
    data = await _controller_revisions(where, seen)
    if params.to_revision not in data:
        known = ", ".join(str(number) for number in sorted(data)) or "none"
        message = f"there is no revision {params.to_revision} of {params.ref}; those kept are: {known}"
        raise Rejected(message, kind="not_found")
    spec = data[params.to_revision]["spec"]
    template = {key: value for key, value in spec["template"].items() if key != "$patch"}
    wanted = Wanted(how=Patch.STRATEGIC, body={"spec": spec})
    return _Former(template, lambda _: wanted, max(data), max(data))


async def _controller_revisions(where: Cluster, owner: Json) -> Mapping[int, Json]:
    """The patches a StatefulSet or DaemonSet keeps, one a revision, by number.

    https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/controller-revision-v1/
    """
    metadata = owner["metadata"]
    labels = selector_text(owner["spec"]["selector"])
    return {
        one["revision"]: one["data"]
        async for one in where.each(CONTROLLER_REVISION, metadata["namespace"], labels=labels)
        if controller_of(one) == metadata["uid"]
    }


def _result(params: Params, changed: Changed, newest: int | None) -> Result:
    containers = changed.after["spec"]["template"]["spec"]["containers"]
    return Result(
        **told(changed),
        from_revision=newest,
        to_revision=params.to_revision,
        images=[one.get("image", "") for one in containers],
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe, undo=undo, observe=run)
