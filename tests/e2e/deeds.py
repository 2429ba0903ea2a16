"""Every write action, and the proofs each owes: the table that `test_write_*.py` walk, with no blank cell.

A proof that cannot be given has its reason in the table.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

import pytest

from runbookd.model.action import OutcomeState
from tests.cluster.api import Object
from tests.cluster.cluster import Cluster
from tests.cluster.custom_resources import BACKUP, CERTIFICATE, RESTORE
from tests.contract.actions.hands import every_action
from tests.e2e.acting import GOOD, WRITES, Write, nothing, one_release
from tests.servers import eventually

FAILED, IN_DOUBT = OutcomeState.FAILED, OutcomeState.IN_DOUBT


class Proof(StrEnum):
    """What is shown of a write, on the real API server."""

    TWIN = "twin"
    """On a twin, the kubectl command of the runbook has the same effect."""
    UNDO = "undo"
    """The undo returns the object to its former state, and a second one changes nothing."""
    OBSERVE = "observe"
    """In observe mode every resourceVersion stays as it was."""
    LOST = "lost"
    """A write whose answer is lost is not made twice."""
    KILLED = "killed"
    """A write is not made twice when the service is killed between the call and its outcome."""
    WORDS = "words"
    """Each refusal of the server has its word."""
    BROKEN = "broken"
    """A dropped connection and a hung server have theirs."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a status that was answered so many `times` comes to, and what the message `says` of it.

    `temporary`: whether the failure is; None when its kind tells. `within` are the seconds of the attempt.
    """

    kind: str
    state: OutcomeState = FAILED
    times: int = 1
    temporary: bool | None = None
    says: str = "cluster 'test' answered {status}"
    within: float = 20.0

    @property
    def is_temporary(self) -> bool:
        """Whether to try again makes sense."""
        by_kind = self.kind in {"rate_limited", "server_error", "unavailable"}
        return by_kind if self.temporary is None else self.temporary


STATUSES: Mapping[int, Meaning] = {
    # A 401 is asked once more, with credentials read anew.
    401: Meaning("denied", times=2),
    403: Meaning("denied"),
    404: Meaning("not_found"),
    409: Meaning("conflict"),
    422: Meaning("invalid"),
    429: Meaning("rate_limited"),
    500: Meaning("server_error", IN_DOUBT),
    502: Meaning("server_error", IN_DOUBT),
    503: Meaning("unavailable"),
    504: Meaning("server_error", IN_DOUBT),
}
_HELD_BACK = Meaning("unavailable", times=99, says="hold back", within=2.0)
EVICTION = {
    **STATUSES,
    # The pod is still there, as when its budget has no room: it is tried again until time is up.
    **dict.fromkeys((404, 409, 429), _HELD_BACK),
    # An older server takes another version of Eviction only, so that one is tried too.
    422: Meaning("invalid", times=2),
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A request by which something is changed: method, path, what its refusals mean, and the right it takes."""

    method: str
    path: str
    missing: str
    meant: Mapping[int, Meaning] = field(default_factory=lambda: STATUSES)


Parameters = Callable[[Cluster, str], Awaitable[Mapping[str, object]]]
State = Callable[[Cluster, str], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One write action: what it takes, what it is given, and how its effect is seen.

    `names` are the two things it is done to in tests, which `prepare` makes. `state` is what is compared of one;
    `former` is what the undo brings back of it. `marked` leads to the object that carries the step's mark, None where
    nothing that stays does. `kubectl` does the same. `without` says why a proof cannot be given.
    """

    action: str
    params: Parameters
    sent: Mapping[str, Sent]
    state: State
    former: State
    prepare: Callable[[Cluster, str], Awaitable[None]]
    kubectl: Callable[[str], Sequence[str]] | None = None
    names: tuple[str, str] = ("ours", "twin")
    marked: str | None = None
    without: Mapping[Proof, str] = field(default_factory=dict)

    @property
    def of_nodes(self) -> bool:
        """Whether it is done to nodes, which all tests share."""
        return self.names[0].startswith("node-")

    @contextlib.asynccontextmanager
    async def prepared(self, cluster: Cluster, *names: str) -> AsyncIterator[None]:
        """Make what it is done to, by default the first of `names`; nodes take pods again afterwards."""
        try:
            for name in names or self.names[:1]:
                await self.prepare(cluster, name)
            yield
        finally:
            if self.of_nodes:
                await cluster.kubectl("uncordon", *self.names)


def _of(write: Write) -> Deed:
    """The deed of a write of one object."""

    async def params(cluster: Cluster, name: str) -> Mapping[str, object]:
        return write.with_(cluster, name)

    kind = write.path.rpartition("/")[2]
    group = write.path.split("/")[2] if write.path.startswith("/apis") else ""
    missing = f'verb "patch" on "{kind}" (API group "{group}")'
    return Deed(
        action=write.action,
        params=params,
        sent={"": Sent("PATCH", f"/{kind}/[^/]+$", missing)},
        state=write.state,
        former=write.state,
        prepare=write.prepare,
        kubectl=write.kubectl,
        names=write.names,
        marked=write.path,
        without=_final(write.action),
    )


def _final(action: str) -> dict[Proof, str]:
    """Why an action has no undo, in its own words; empty when it has one."""
    spec = every_action()[action].spec
    return {} if spec.undoable else {Proof.UNDO: spec.undo}


async def ready(cluster: Cluster, name: str) -> Any:
    """How many pods of a Deployment are ready, and how many were ever made for it."""
    events = await cluster.api.get(
        f"/api/v1/namespaces/{cluster.namespace}/events?fieldSelector=reason=SuccessfulCreate"
    )
    about = [one for one in events["items"] if one["involvedObject"]["name"].startswith(f"{name}-")]
    made = sum(one.get("count") or 1 for one in about if one["involvedObject"]["kind"] == "ReplicaSet")
    status = (await cluster.deployment(name)).get("status", {})
    return {"ready": status.get("readyReplicas", 0), "made": made}


async def _one_pod(cluster: Cluster, name: str) -> Mapping[str, object]:
    (pod,) = await cluster.pods(name)
    return {"namespace": cluster.namespace, "pod": pod["metadata"]["name"]}


async def on_node(cluster: Cluster, name: str, node: str, **spec: Any) -> None:
    """A Deployment whose pods are on this node, and nothing else is."""

    async def empty() -> bool:
        pods = (await cluster.api.get(f"/api/v1/pods?fieldSelector=spec.nodeName={node}"))["items"]
        return not pods

    await eventually(empty, within=60, what="the node has no pods of earlier tests")
    for other in {"node-1", "node-2", "node-3"} - {node}:
        await cluster.kubectl("cordon", other)
    try:
        await cluster.deploy(name, GOOD, **spec)
        await cluster.wait_rolled_out(name)
    finally:
        await cluster.kubectl("uncordon", "node-1", "node-2", "node-3")


async def _a_node_with_a_pod(cluster: Cluster, name: str) -> None:
    await on_node(cluster, f"web-{name}", name, replicas=1)


async def _takes_pods(cluster: Cluster, name: str) -> Any:
    return (await cluster.api.get(f"/api/v1/nodes/{name}"))["spec"].get("unschedulable")


async def _drained(cluster: Cluster, name: str) -> Any:
    left = [pod for pod in await cluster.pods(f"web-{name}") if pod["spec"].get("nodeName") == name]
    return {"unschedulable": await _takes_pods(cluster, name), "pods": len(left)}


async def _a_node(_cluster: Cluster, name: str) -> Mapping[str, object]:
    return {"node": name}


COMMAND = ("sh", "-c", "echo NAME")


async def _a_command(cluster: Cluster, name: str) -> Mapping[str, object]:
    return {"namespace": cluster.namespace, "deployment": name, "command": list(COMMAND)}


async def _commands(cluster: Cluster, name: str) -> Any:
    """The commands that were run in the pods of a Deployment."""
    calls = [one for one in cluster.world.scripts.calls if one.namespace == cluster.namespace]
    return [(one.container == name, one.command) for one in calls if one.pod.startswith(f"{name}-")]


async def _a_job(cluster: Cluster, name: str) -> Mapping[str, object]:
    return {"namespace": cluster.namespace, "name": name, "image": GOOD, "command": ["tidy"]}


async def _jobs(cluster: Cluster, name: str) -> Any:
    """What the Jobs of this name run, and how that went."""
    items = (await cluster.api.get(f"/apis/batch/v1/namespaces/{cluster.namespace}/jobs"))["items"]
    return [
        {
            "pod": {key: job["spec"]["template"]["spec"][key] for key in ("restartPolicy",)},
            "runs": [(one["image"], one["command"]) for one in job["spec"]["template"]["spec"]["containers"]],
            "succeeded": job.get("status", {}).get("succeeded", 0),
        }
        for job in items
        if job["metadata"]["name"].startswith(name)
    ]


async def _a_backup(cluster: Cluster, _name: str) -> None:
    """A Backup called as the namespace, that is complete."""
    path = BACKUP.path("velero")
    body = {
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {"name": cluster.namespace},
        "spec": {"includedNamespaces": [cluster.namespace]},
    }
    await cluster.api.create(path, body)

    async def complete() -> bool:
        found = await cluster.api.get(f"{path}/{cluster.namespace}")
        return bool(found.get("status", {}).get("phase") == "Completed")

    await eventually(complete, within=30, what="the backup is complete")


async def _backup(cluster: Cluster, _name: str) -> Mapping[str, object]:
    return {"namespaces": [cluster.namespace]}


async def _restore(cluster: Cluster, _name: str) -> Mapping[str, object]:
    mapping = {cluster.namespace: f"{cluster.namespace}-b"}
    return {
        "backup": cluster.namespace,
        "namespaces": [cluster.namespace],
        "namespace_mapping": mapping,
    }


async def _of_velero(kind: Any, cluster: Cluster, _name: str) -> Any:
    """The specs of Velero's objects about the namespace."""
    items = (await cluster.api.get(kind.path("velero")))["items"]
    return [one["spec"] for one in items if cluster.namespace in one["spec"].get("includedNamespaces", ())]


async def a_certificate(cluster: Cluster, name: str) -> None:
    """A Certificate that was issued."""
    spec = {"secretName": f"{name}-tls", "dnsNames": ["x.example.com"]}
    body: Object = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": name},
        "spec": spec,
    }
    await cluster.api.create(CERTIFICATE.path(cluster.namespace), body)

    async def issued() -> bool:
        return bool(await _revision(cluster, name))

    await eventually(issued, within=20, what="the certificate is issued")


async def _certificate(cluster: Cluster, name: str) -> Mapping[str, object]:
    return {"namespace": cluster.namespace, "certificate": name, "not_within": "0s"}


async def _revision(cluster: Cluster, name: str) -> Any:
    return (
        (await cluster.api.get(CERTIFICATE.path(cluster.namespace, name))).get("status", {}).get("revision")
    )


def _velero(action: str, kind: Any, params: Parameters, prepare: Any) -> Deed:
    plural, state = kind.path("x").rpartition("/")[2], partial(_of_velero, kind)
    missing = f'verb "create" on "{plural}" (API group "velero.io")'
    twin = "kubectl has no such command; `velero` makes the same object"
    return Deed(
        action=action,
        params=params,
        sent={"": Sent("POST", f"/{plural}$", missing)},
        state=state,
        former=state,
        prepare=prepare,
        without={Proof.TWIN: twin, **_final(action)},
    )


DEEDS: Mapping[str, Deed] = {
    **{name: _of(write) for name, write in WRITES.items()},
    "delete_pod": Deed(
        action="kubernetes.delete_pod",
        params=_one_pod,
        # A pod that is gone already is as good as deleted.
        sent={
            "": Sent(
                "DELETE",
                "/pods/[^/]+$",
                'verb "delete" on "pods"',
                {**STATUSES, 404: Meaning("", OutcomeState.SUCCEEDED)},
            )
        },
        state=ready,
        former=ready,
        prepare=one_release,
        kubectl=lambda name: ["delete", "pod", "--selector", f"app={name}"],
        without=_final("kubernetes.delete_pod"),
    ),
    "drain": Deed(
        action="kubernetes.drain",
        params=_a_node,
        sent={
            "cordons": Sent("PATCH", "/nodes/[^/]+$", 'verb "patch" on "nodes"'),
            "evicts": Sent("POST", "/eviction$", 'verb "create" on "pods/eviction"', EVICTION),
        },
        state=_drained,
        former=_takes_pods,
        prepare=_a_node_with_a_pod,
        kubectl=lambda name: ["drain", name, "--ignore-daemonsets"],
        names=("node-2", "node-3"),
        marked="/api/v1/nodes",
    ),
    "exec": Deed(
        action="kubernetes.exec",
        params=_a_command,
        sent={"": Sent("GET", "/pods/[^/]+/exec$", 'verb "create" on "pods/exec"')},
        state=_commands,
        former=_commands,
        prepare=one_release,
        kubectl=lambda name: ["exec", f"deployment/{name}", "--", *COMMAND],
        without=_final("kubernetes.exec"),
    ),
    "run_job": Deed(
        action="kubernetes.run_job",
        params=_a_job,
        sent={"": Sent("POST", "/jobs$", 'verb "create" on "jobs"')},
        state=_jobs,
        former=_jobs,
        prepare=nothing,
        kubectl=lambda name: ["create", "job", name, f"--image={GOOD}", "--", "tidy"],
    ),
    "create_backup": _velero("velero.create_backup", BACKUP, _backup, nothing),
    "restore": _velero("velero.restore", RESTORE, _restore, _a_backup),
    "renew": Deed(
        action="certmanager.renew",
        params=_certificate,
        sent={
            "marks": Sent(
                "PATCH",
                "/certificates/ours$",
                'verb "patch" on "certificates" (API group "cert-manager.io")',
            ),
            "asks": Sent(
                "PUT",
                "/certificates/ours/status$",
                'verb "update" on "certificates/status"',
                # Somebody else was quicker: looked at again, up to five times.
                {
                    **STATUSES,
                    409: Meaning("conflict", times=5, temporary=True, says="changed by somebody else"),
                },
            ),
        },
        state=_revision,
        former=_revision,
        prepare=a_certificate,
        without={
            Proof.TWIN: "kubectl has no such command; `cmctl renew` sets the same condition",
            **_final("certmanager.renew"),
        },
    ),
}
"""The table: every write action, `kubernetes.patch` in each of its ways."""


def proves(proof: Proof) -> pytest.MarkDecorator:
    """Give a test every deed that owes this proof, as `deed`."""
    owing = {name: deed for name, deed in DEEDS.items() if proof not in deed.without}
    return pytest.mark.parametrize("deed", owing.values(), ids=list(owing))


def proves_each_request(proof: Proof) -> pytest.MarkDecorator:
    """Give a test every deed that owes this proof, once for each of its requests, as `deed` and `sent`."""
    owing = {
        f"{name} {what}".strip(): (deed, sent)
        for name, deed in DEEDS.items()
        if proof not in deed.without
        for what, sent in deed.sent.items()
    }
    return pytest.mark.parametrize(("deed", "sent"), owing.values(), ids=list(owing))
