"""`kubernetes.exec`: run a command in a container of a running pod.

Changes whatever the command changes, unless the step says `reads_only: true`. Not undone: what a command did is not
known here. There is no shell unless the command is one, no terminal and no input. Of a workload's pods the one that
has been ready longest is taken. When the stream breaks before the exit code came, the call is in doubt.
https://kubernetes.io/docs/reference/kubectl/generated/kubectl_exec/
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

import aiohttp
import orjson
from pydantic import Field, StringConstraints, model_validator

from runbookd.actions.base import Action, AnyValue, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.config import MEBIBYTE, ActionsConfig
from runbookd.actions.failures import Rejected, failure_of_error
from runbookd.actions.kubernetes.cluster import Cluster, ClusterName, cluster
from runbookd.actions.kubernetes.fields import annotations_of, condition, selector_text
from runbookd.actions.kubernetes.kinds import (
    DEPLOYMENT,
    POD,
    STATEFUL_SET,
    Json,
    Namespace,
    ObjectName,
    Selector,
    permission,
)
from runbookd.actions.kubernetes.pods import DEFAULT_CONTAINER, is_ready
from runbookd.actions.kubernetes.remote import Ended, Tail, follow
from runbookd.actions.kubernetes.targets import check_protected
from runbookd.actions.kubernetes.workloads import when
from runbookd.model.action import Repeat, Spec

_SAID = 500
"""Characters of the error stream that a failure repeats."""
_WAYS = ("pod", "deployment", "statefulset", "selector")


class Params(BaseParams):
    """Where to run what."""

    cluster: ClusterName = None
    namespace: Namespace
    pod: ObjectName | None = Field(default=None, description="The pod. null: found another way.")
    deployment: ObjectName | None = Field(default=None, description="A Deployment, for one of its pods.")
    statefulset: ObjectName | None = Field(default=None, description="A StatefulSet, for one of its pods.")
    selector: Selector | None = Field(default=None, description="Labels, for one of the pods that have them.")
    container: ObjectName | None = Field(
        default=None, description="The container. null: the pod's default, else its first."
    )
    command: list[Annotated[str, StringConstraints(max_length=100_000)]] = Field(
        min_length=1, max_length=1000, description="The program and its arguments, never split."
    )
    reads_only: bool = Field(
        default=False,
        description="True: it changes nothing, so it is run in observe mode and as evidence, and may be repeated.",
    )
    expect_exit: list[int] = Field(default=[0], min_length=1, description="Exit codes that count as success.")
    max_output: int = Field(
        default=65_536, ge=1, le=16 * MEBIBYTE, description="Bytes kept of each stream; the end is kept."
    )

    @model_validator(mode="after")
    def _one(self) -> Params:
        if sum(getattr(self, way) is not None for way in _WAYS) != 1:
            message = f"give exactly one of {', '.join(_WAYS)}"
            raise ValueError(message)
        return self


class Result(BaseResult):
    """What came of it."""

    pod: str = Field(description="The pod it ran in.")
    container: str = Field(description="The container it ran in.")
    exit_code: int = Field(description="Its exit code.")
    stdout: str = Field(description="The end of what it wrote; bytes that are no UTF-8 become U+FFFD.")
    stderr: str = Field(description="The end of what it wrote to its error stream.")
    json_: AnyValue = Field(
        alias="json", description="What it wrote, if that is JSON (a number alone is). null: it is not."
    )
    stdout_truncated: bool = Field(description="True when it wrote more than is kept.")
    stderr_truncated: bool = Field(description="True when it wrote more to its error stream than is kept.")


SPEC = Spec(
    name="kubernetes.exec",
    summary="Run a command in a container of a running pod.",
    mutates=True,
    repeat=Repeat.NEVER,
    undo="Not undone: what the command did is not known here.",
    timeout=timedelta(minutes=1),
    example={
        "namespace": "medinovai",
        "deployment": "medinovai-backend",
        "command": ["python", "-c", "print(1)"],
        "reads_only": True,
    },
    permissions=(
        permission(POD, "create", "get", sub="exec"),
        when("pod", permission(POD, "get")),
        when("selector", permission(POD, "list")),
        when("deployment", permission(POD, "list")),
        when("deployment", permission(DEPLOYMENT, "get")),
        when("statefulset", permission(POD, "list")),
        when("statefulset", permission(STATEFUL_SET, "get")),
    ),
)


def mutates(params: Mapping[str, object], config: ActionsConfig) -> bool:
    """Unless the step says that the command only reads."""
    return params.get("reads_only") is not True


def repeats(params: Mapping[str, object], config: ActionsConfig) -> Repeat:
    """A command that only reads may always be run again."""
    return Repeat.SAFE if params.get("reads_only") is True else Repeat.NEVER


async def run(params: Params, context: Context) -> Result:
    """Run it; raises Rejected when there is no such running pod, or the exit code is unexpected (`exit_status`)."""
    where = await cluster(context, params.cluster)
    pod = await _chosen(where, params)
    name, container = pod["metadata"]["name"], _container(pod, params)
    ref = POD.at(params.namespace, name)
    if not params.reads_only:
        check_protected(where.access, ref)
    query: list[tuple[str, str | list[str]]] = [
        ("container", container),
        ("stdout", "true"),
        ("stderr", "true"),
        ("command", params.command),
    ]
    what = f"{params.command[0]!r} in {container!r} of {ref}"
    try:
        async with where.stream(ref.of("exec"), query, reads=params.reads_only) as socket:
            ended = await follow(socket, what, params.max_output)
    except (aiohttp.ClientError, OSError) as error:
        raise failure_of_error(error, what) or error from error
    if ended.exit_code in params.expect_exit:
        return _result(name, container, ended)
    context.attach(f"{name}.stdout", "text/plain", ended.stdout.content)
    context.attach(f"{name}.stderr", "text/plain", ended.stderr.content)
    said = _text(ended.stderr).strip()[-_SAID:] or "it wrote nothing to its error stream"
    raise Rejected(f"{what} ended with exit code {ended.exit_code}: {said}", kind="exit_status")


async def _chosen(where: Cluster, params: Params) -> Json:
    """The pod: the one that is named, or of the others the one that has been ready longest.

    Raises Rejected: `not_found` for none, `conflict` for one that does not run.
    """
    if params.pod is not None:
        pod = await where.get(POD.at(params.namespace, params.pod))
        if (pod.get("status") or {}).get("phase") != "Running":
            raise Rejected(f"the pod {params.namespace}/{params.pod} is not running", kind="conflict")
        return pod
    selector = params.selector or await _selector(where, params)
    ready = [
        pod
        async for pod in where.each(POD, params.namespace, labels=selector)
        if is_ready(pod) and not pod["metadata"].get("deletionTimestamp")
    ]
    if not ready:
        message = f"there is no ready pod in {params.namespace} with {selector}; nothing was run"
        raise Rejected(message, kind="not_found")
    return min(ready, key=_readiness)


async def _selector(where: Cluster, params: Params) -> str:
    """The labels of the workload's pods."""
    kind, name = (
        (DEPLOYMENT, params.deployment)
        if params.deployment is not None
        else (STATEFUL_SET, params.statefulset)
    )
    workload = await where.get(kind.at(params.namespace, name))
    return selector_text(workload["spec"]["selector"])


def _readiness(pod: Json) -> tuple[str, str]:
    """Since when it is ready, then its name: RFC 3339 in UTC sorts as text."""
    since = (condition(pod, "Ready") or {}).get("lastTransitionTime") or ""
    return since, pod["metadata"]["name"]


def _container(pod: Json, params: Params) -> str:
    """The container's name; raises Rejected (`not_found`) when the pod has none of that name."""
    names = [str(one["name"]) for one in pod["spec"]["containers"]]
    wanted = params.container or annotations_of(pod).get(DEFAULT_CONTAINER) or names[0]
    if wanted not in names:
        message = f"the pod {pod['metadata']['name']} has no container {wanted!r}, only {', '.join(names)}"
        raise Rejected(message, kind="not_found")
    return wanted


def _result(pod: str, container: str, ended: Ended) -> Result:
    return Result(
        pod=pod,
        container=container,
        exit_code=ended.exit_code,
        stdout=_text(ended.stdout),
        stderr=_text(ended.stderr),
        json_=_json(ended.stdout),
        stdout_truncated=ended.stdout.truncated,
        stderr_truncated=ended.stderr.truncated,
    )


def _text(tail: Tail) -> str:
    return tail.content.decode("utf-8", "replace")


def _json(tail: Tail) -> object:
    """What was written as JSON, or None."""
    try:
        return orjson.loads(tail.content)
    except orjson.JSONDecodeError:
        return None


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, mutates=mutates, repeats=repeats)
