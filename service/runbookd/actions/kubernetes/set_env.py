"""`kubernetes.set_env`: set or remove environment variables of a workload's container.

Changes the pod template, so the pods are replaced (the runbook's read-only switch); refused while the rollout is
paused, as no pod would change. Undone by putting back the variables as they were, in their order. Values stand in the
open in the workload; a secret belongs in a Secret.
https://kubernetes.io/docs/reference/kubectl/generated/kubectl_set/kubectl_set_env/
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from runbookd.actions.base import Action, Context
from runbookd.actions.kubernetes.changes import (
    ChangeResult,
    Wanted,
    change,
    probed,
    take_back,
    told,
)
from runbookd.actions.kubernetes.cluster import Patch, cluster
from runbookd.actions.kubernetes.kinds import Json, ObjectName
from runbookd.actions.kubernetes.own_changes import noted
from runbookd.actions.kubernetes.targets import check_protected
from runbookd.actions.kubernetes.workloads import (
    OneTemplate,
    check_gitops,
    check_running,
    container_named,
    rights,
)
from runbookd.model.action import Probed, Repeat, Spec

Variable = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$", max_length=250)]


class Params(OneTemplate):
    """Which workload, which container, and its variables."""

    container: ObjectName | None = Field(default=None, description="The container. null: the only one.")
    env: dict[Variable, str | None] = Field(
        min_length=1, description="Variables and their values; null removes one."
    )
    allow_paused: bool = Field(
        default=False, description="Change the template although the rollout is paused and will not follow."
    )
    allow_gitops: bool = Field(
        default=False, description="Change it although a GitOps controller owns it and may put it back."
    )


class Result(ChangeResult):
    """The change."""


SPEC = Spec(
    name="kubernetes.set_env",
    summary="Set or remove environment variables of a workload's container.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="The variables are put back as they were, unless somebody has changed them since.",
    undoable=True,
    timeout=timedelta(seconds=30),
    example={
        "namespace": "medinovai",
        "deployment": "medinovai-backend",
        "container": "medinovai-backend",
        "env": {"READ_ONLY_MODE": "true"},
    },
    permissions=rights(OneTemplate, "get", "patch"),
)


async def run(params: Params, context: Context) -> Result:
    """Patch the container's list; nothing is sent when all is as asked. Raises Rejected as its checks do."""
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)

    def wanted(now: Json) -> Wanted | None:
        check_running(now, params.ref, allowed=params.allow_paused)
        check_gitops(now, params.ref, allowed=params.allow_gitops)
        name = container_named(now, params.ref, params.container)
        changes = _changes(_env_of(now, name), params.env)
        if not changes:
            return None
        body = {"spec": {"template": {"spec": {"containers": [{"name": name, "env": changes}]}}}}
        return noted(now, params.ref, Wanted(how=Patch.STRATEGIC, body=body))

    return Result(**told(await change(where, context, params.ref, wanted)))


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look for the mark of this step."""
    answer, changed = await probed(await cluster(context, params.cluster), context, params.ref)
    return answer, None if changed is None else Result(**told(changed))


async def undo(params: Params, result: Result, context: Context) -> Result | None:
    """Put back what the variables were; raises Rejected (`conflict`) when somebody has changed them since."""
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)
    return Result(**told(await take_back(where, params.ref, result.revert)))


def _env_of(obj: Json, container: str) -> dict[str, Json]:
    """The container's variables by name, each with its value or where that comes from."""
    containers = obj["spec"]["template"]["spec"]["containers"]
    entries = next((one.get("env") or [] for one in containers if one["name"] == container), [])
    return {entry["name"]: entry for entry in entries}


def _changes(now: dict[str, Json], wanted: dict[str, str | None]) -> list[dict[str, Any]]:
    """The entries of a strategic patch. One that came from elsewhere has to say that it no longer does."""
    found: list[dict[str, Any]] = []
    for name, value in wanted.items():
        entry = now.get(name)
        if value is None and entry is not None:
            found.append({"name": name, "$patch": "delete"})
        elif value is not None and (entry is None or entry.get("value", "") != value or "valueFrom" in entry):
            dropped = {"valueFrom": None} if entry is not None and "valueFrom" in entry else {}
            found.append({"name": name, "value": value, **dropped})
    return found


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe, undo=undo, observe=run)
