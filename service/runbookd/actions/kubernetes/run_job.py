"""`kubernetes.run_job`: run a Job to its end, from a CronJob's template or from an image.

Changes: a Job is made, whose name ends with a hash of the step's idempotency key, so that it is made once however
often the step is tried; its pods do what they do. Undone by deleting the Job and its pods; what they did is not
reversed. https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from runbookd.actions.base import Action, Change, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.failures import Rejected, Unavailable
from runbookd.actions.kubernetes.changes import made_once
from runbookd.actions.kubernetes.cluster import Cluster, ClusterName, cluster
from runbookd.actions.kubernetes.fields import condition
from runbookd.actions.kubernetes.kinds import (
    CRON_JOB,
    JOB,
    POD,
    Json,
    Namespace,
    ObjectName,
    Ref,
    permission,
)
from runbookd.actions.kubernetes.targets import check_protected
from runbookd.actions.kubernetes.workloads import when
from runbookd.model.action import Mode, Repeat, Spec
from runbookd.model.base import Duration

_LOG_BYTES = 65_536
Text = Annotated[str, StringConstraints(max_length=100_000)]


class Params(BaseParams):
    """What to run."""

    cluster: ClusterName = None
    namespace: Namespace
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$")] = Field(
        description="How the Job's name begins."
    )
    cron_job: ObjectName | None = Field(
        default=None, description="The CronJob whose template is run now. null: an image is given."
    )
    image: str | None = Field(default=None, description="The image to run. null: a CronJob is given.")
    command: list[Text] | None = Field(
        default=None, description="The program and its arguments, never split. null: the image's own."
    )
    env: dict[str, Text] = Field(default_factory=dict, description="Environment variables of the image.")
    service_account: ObjectName | None = Field(
        default=None, description="The service account it runs as. null: the namespace's default."
    )
    retries: int = Field(default=0, ge=0, le=10, description="How often a failed pod is tried again.")
    deadline: Duration = Field(
        default=timedelta(minutes=10), description="After this the Job is ended, and has failed."
    )
    keep: Duration = Field(
        default=timedelta(days=1), description="How long an ended Job and its logs stay in the cluster."
    )
    wait: bool = Field(default=True, description="Wait for its end. False: return when it is made.")

    @model_validator(mode="after")
    def _one(self) -> Params:
        if (self.cron_job is None) == (self.image is None):
            message = "give either `cron_job` or `image`"
            raise ValueError(message)
        if self.cron_job is not None and (self.command or self.env or self.service_account):
            message = "`command`, `env` and `service_account` go with `image`; a CronJob has its own"
            raise ValueError(message)
        return self


class Result(BaseResult):
    """The Job."""

    job: str = Field(description="Its name.")
    done: bool = Field(description="Whether it has ended, and well; False when it was not waited for.")
    logs: str = Field(description='The end of what its last pod wrote; "" when it was not waited for.')


SPEC = Spec(
    name="kubernetes.run_job",
    summary="Run a Job to its end, from a CronJob's template or from an image.",
    mutates=True,
    repeat=Repeat.SAFE,
    undo="The Job and its pods are deleted; what they did is not reversed.",
    undoable=True,
    timeout=timedelta(minutes=15),
    example={"namespace": "medinovai", "name": "backup-now", "cron_job": "nightly-backup"},
    permissions=(
        permission(JOB, "create", "get", "watch", "delete"),
        permission(POD, "list"),
        permission(POD, "get", sub="log"),
        when("cron_job", permission(CRON_JOB, "get")),
    ),
)


async def run(params: Params, context: Context) -> Result:
    """Make the Job unless an earlier attempt has, and wait. Raises Rejected (`exit_status`) when it fails.

    Raises Unavailable (`timeout`) when it has not ended in the attempt's time; the next attempt waits on.
    """
    where = await cluster(context, params.cluster)
    ref = JOB.at(params.namespace, _name(params, context.call.key))
    check_protected(where.access, ref)
    template = await _template(where, params)
    job, _ = await made_once(where, context, ref, _job(params, ref, template))
    change = Change(before=None, after={"job": ref.name, "spec": template})
    if not params.wait or context.mode is Mode.OBSERVE:
        return Result(job=str(ref.name), done=_ended(job) == "Complete", logs="", change=change)
    how = await _end(where, context, ref)
    logs = await _logs(where, ref)
    if how != "Complete":
        context.attach(f"{ref.name}.log", "text/plain", logs)
        said = logs.strip()[-500:] or "its pods wrote nothing"
        raise Rejected(f"{ref} has failed: {how}: {said}", kind="exit_status")
    return Result(job=str(ref.name), done=True, logs=logs, change=change)


async def undo(params: Params, result: Result, context: Context) -> Result | None:
    """Delete the Job and its pods; one that is gone already is as good."""
    where = await cluster(context, params.cluster)
    ref = JOB.at(params.namespace, result.job)
    check_protected(where.access, ref)
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    try:
        await where.delete(ref, options)
    except Rejected as error:
        if error.kind != "not_found":
            raise
        return None
    return result.model_copy(update={"done": False, "change": Change(before={"job": ref.name}, after=None)})


def _name(params: Params, key: str) -> str:
    """The Job's name: the same for every attempt at the step, another for every other step."""
    return f"{params.name}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"


async def _template(where: Cluster, params: Params) -> Json:
    """The Job's spec: the CronJob's, or one container of the image."""
    if params.cron_job is not None:
        cron_job = await where.get(CRON_JOB.at(params.namespace, params.cron_job))
        spec: Json = cron_job["spec"]["jobTemplate"]["spec"]
        return spec
    container: dict[str, Any] = {"name": "job", "image": params.image}
    if params.command is not None:
        container["command"] = list(params.command)
    if params.env:
        container["env"] = [{"name": name, "value": value} for name, value in params.env.items()]
    pod: dict[str, Any] = {"restartPolicy": "Never", "containers": [container]}
    if params.service_account is not None:
        pod["serviceAccountName"] = params.service_account
    return {"template": {"spec": pod}}


def _job(params: Params, ref: Ref, template: Json) -> Json:
    bounds = {
        "backoffLimit": params.retries,
        "activeDeadlineSeconds": max(1, int(params.deadline.total_seconds())),
        "ttlSecondsAfterFinished": int(params.keep.total_seconds()),
    }
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "spec": {**template, **bounds},
    }


async def _end(where: Cluster, context: Context, ref: Ref) -> str:
    """How the Job ended: `Complete`, or why it failed."""
    try:
        async with (
            context.patience(),
            aclosing(where.states(ref)) as states,
        ):
            async for job in states:
                how = _ended(job)
                if how:
                    return how
    except TimeoutError:
        pass
    message = f"{ref} has not ended in time; it goes on, and the next attempt waits for it"
    raise Unavailable(message, kind="timeout", in_doubt=True)


def _ended(job: Json) -> str:
    """`Complete`, or the reason and message of its failure; "" while it goes on."""
    if (condition(job, "Complete") or {}).get("status") == "True":
        return "Complete"
    failed = condition(job, "Failed") or {}
    if failed.get("status") != "True":
        return ""
    return f"{failed.get('reason', 'Failed')}, {failed.get('message', '')}"


async def _logs(where: Cluster, ref: Ref) -> str:
    """What the Job's youngest pod wrote, its end; a pod that cannot be asked any more wrote nothing we know of."""
    pods = [pod async for pod in where.each(POD, ref.namespace, labels=f"job-name={ref.name}")]
    if not pods:
        return ""
    last = max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])
    log = POD.at(ref.namespace, last["metadata"]["name"], "log")
    try:
        raw, _ = await where.text(log, [("tailLines", "1000"), ("limitBytes", str(_LOG_BYTES))], _LOG_BYTES)
    except (Rejected, Unavailable) as error:
        return f"({error})"
    return raw.decode("utf-8", "replace")


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, undo=undo, observe=run)
