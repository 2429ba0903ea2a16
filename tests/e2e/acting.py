"""Actions of this service against the test cluster, and the writes each is compared by: what kubectl would do."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runbookd.actions.kubernetes.patches import LAST_CHANGE
from runbookd.actions.performer import CataloguePerformer
from runbookd.model.action import Call, Mode
from tests.cluster.api import Object
from tests.cluster.cluster import Cluster
from tests.contract.actions.hands import SetClock, performing
from tests.servers import eventually

GOOD, BETTER, BAD = "app:good-1", "app:good-2", "app:unready-3"
NUMBERS = itertools.count(1)
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
INGRESSES = "/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"


@contextlib.asynccontextmanager
async def acting(kubeconfig: Path, **access: Any) -> AsyncIterator[CataloguePerformer]:
    """A performer for the cluster of this kubeconfig, on today's clock; `access` are further settings."""
    clusters = {"test": {"kubeconfig": str(kubeconfig)}}
    clock = SetClock(datetime.now(UTC), tick=timedelta(milliseconds=10))
    async with performing({"kubernetes": {"clusters": clusters, **access}}, clock=clock) as performer:
        yield performer


def step(
    action: str,
    params: Mapping[str, object],
    *,
    mode: Mode = Mode.ACT,
    key: str | None = None,
    within: float = 20.0,
    intended_at: datetime | None = None,
) -> Call:
    """One attempt at a step of its own unless a key is given, intended now, left after so many seconds."""
    return Call(
        run_id="run-1",
        path="steps/act",
        attempt=1,
        action=action,
        key=key or f"run-{next(NUMBERS)}/steps/act",
        params=params,
        mode=mode,
        timeout=timedelta(seconds=within),
        intended_at=intended_at or datetime.now(UTC),
    )


@dataclass(frozen=True)
class Write:
    """One write of an object, and the kubectl command it is to agree with.

    `params` and `kubectl` are made from the name of the object; `path` leads to it; `prepare` makes it. `parts` are
    what is compared of the two objects. `foreign` is a command by which somebody changes the same again; None where
    there is no third state.
    """

    action: str
    params: Callable[[str], Mapping[str, object]]
    kubectl: Callable[[str], Sequence[str]]
    prepare: Callable[[Cluster, str], Awaitable[None]]
    path: str = "/apis/apps/v1/namespaces/{namespace}/deployments"
    parts: Sequence[str] = ("spec",)
    foreign: Callable[[str], Sequence[str]] | None = None
    names: tuple[str, str] = ("ours", "twin")
    namespaced: bool = True

    def with_(self, cluster: Cluster, name: str) -> Mapping[str, object]:
        """The step's parameters."""
        place = {"namespace": cluster.namespace} if self.namespaced else {}
        return {**place, **self.params(name)}

    async def read(self, cluster: Cluster, name: str) -> Object:
        """The object as it stands."""
        return await cluster.api.get(f"{self.path.format(namespace=cluster.namespace)}/{name}")

    async def state(self, cluster: Cluster, name: str) -> dict[str, Any]:
        """What is compared of the object, without its name and without what no two objects share."""
        found = await self.read(cluster, name)
        annotations = found["metadata"].get("annotations") or {}
        noise = {LAST_CHANGE, "deployment.kubernetes.io/revision", "kubernetes.io/change-cause"}
        parts = {"annotations": {key: text for key, text in annotations.items() if key not in noise}} | found
        text = json.dumps({part: parts[part] for part in self.parts}, sort_keys=True)
        state: dict[str, Any] = json.loads(text.replace(f'"{name}"', '"NAME"'))
        stamped = state.get("spec", {}).get("template", {}).get("metadata", {}).get("annotations") or {}
        if RESTARTED_AT in stamped:
            stamped[RESTARTED_AT] = "some time"
        return state


async def one_release(cluster: Cluster, name: str) -> None:
    """A Deployment, rolled out."""
    await cluster.deploy(name, GOOD, replicas=1, revisionHistoryLimit=5)
    await cluster.wait_rolled_out(name)


async def a_bad_release(cluster: Cluster, name: str) -> None:
    """A Deployment with two good releases, and a bad one that does not come up."""
    await one_release(cluster, name)
    for image in (BETTER, BAD):
        await cluster.deploy(name, image)
        await _revision_of(cluster, name, image)


async def _revision_of(cluster: Cluster, name: str, image: str) -> None:
    async def known() -> bool:
        return image in (await cluster.revisions(name)).values()

    await eventually(known, within=20, what=f"{name} has a revision with {image}")


async def stood(cluster: Cluster, name: str, image: str, seconds: float) -> None:
    """Return once the revision with this image was made so many seconds ago, by the server's own time of it."""

    async def old() -> bool:
        found = await cluster.api.get(f"{cluster.path('replicasets')}?labelSelector=app={name}")
        made = [
            datetime.fromisoformat(each["metadata"]["creationTimestamp"])
            for each in found["items"]
            if each["spec"]["template"]["spec"]["containers"][0]["image"] == image
        ]
        return bool(made) and datetime.now(UTC) - max(made) > timedelta(seconds=seconds)

    await eventually(old, within=seconds + 20, every=0.5, what=f"{image} has stood for {seconds} s")


async def an_ingress(cluster: Cluster, name: str) -> None:
    """An Ingress with one annotation."""
    rule = {"service": {"name": "web", "port": {"number": 80}}}
    body = {
        "metadata": {"name": name, "annotations": {"example.com/kept": "yes", "example.com/old": "1"}},
        "spec": {"defaultBackend": rule},
    }
    await cluster.api.create(INGRESSES.format(namespace=cluster.namespace), body)


async def nothing(_cluster: Cluster, _name: str) -> None:
    """It is there already."""


async def cordoned(cluster: Cluster, name: str) -> None:
    """A node that takes no pods."""
    await cluster.kubectl("cordon", name)


ISOLATION = '{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}'
ENV = {
    "spec": {"template": {"spec": {"containers": [{"name": "NAME", "env": [{"name": "A", "value": "1"}]}]}}}
}
LABELS = {
    "metadata": {"labels": {"tier": "gold"}, "annotations": {"example.com/a": "b"}},
    "spec": {"paused": True},
}
OPERATIONS = [
    {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": BETTER},
    {"op": "add", "path": "/metadata/labels/tier", "value": "gold"},
]


def patched(name: str, patch: object, **more: object) -> dict[str, object]:
    """Parameters of `kubernetes.patch` on a Deployment."""
    body = json.loads(json.dumps(patch).replace("NAME", name))
    return {"kind": "deployments", "name": name, "patch": body, **more}


def kubectl_patch(name: str, patch: object, how: str) -> list[str]:
    """The same with kubectl."""
    text = json.dumps(patch).replace("NAME", name)
    return ["patch", "deployment", name, "--type", how, "-p", text]


WRITES: Mapping[str, Write] = {
    "rollout_undo": Write(
        "kubernetes.rollout_undo",
        lambda name: {"deployment": name, "to_revision": 1},
        lambda name: ["rollout", "undo", f"deployment/{name}", "--to-revision=1"],
        a_bad_release,
        foreign=lambda name: ["set", "image", f"deployment/{name}", f"{name}=app:good-9"],
    ),
    "rollout_restart": Write(
        "kubernetes.rollout_restart",
        lambda name: {"deployment": name},
        lambda name: ["rollout", "restart", f"deployment/{name}"],
        one_release,
    ),
    "scale": Write(
        "kubernetes.scale",
        lambda name: {"deployment": name, "replicas": 3},
        lambda name: ["scale", f"deployment/{name}", "--replicas=3"],
        one_release,
        foreign=lambda name: ["scale", f"deployment/{name}", "--replicas=2"],
    ),
    "patch strategic": Write(
        "kubernetes.patch",
        lambda name: patched(name, ENV),
        lambda name: kubectl_patch(name, ENV, "strategic"),
        one_release,
        foreign=lambda name: ["set", "env", f"deployment/{name}", "A=7"],
    ),
    "patch merge": Write(
        "kubernetes.patch",
        lambda name: patched(name, LABELS, type="merge"),
        lambda name: kubectl_patch(name, LABELS, "merge"),
        one_release,
        foreign=lambda name: ["label", "--overwrite", "deployment", name, "tier=silver"],
        parts=("spec", "annotations"),
    ),
    "patch json": Write(
        "kubernetes.patch",
        lambda name: patched(name, OPERATIONS),
        lambda name: kubectl_patch(name, OPERATIONS, "json"),
        one_release,
        foreign=lambda name: ["set", "image", f"deployment/{name}", f"{name}=app:good-9"],
    ),
    "set_env": Write(
        "kubernetes.set_env",
        lambda name: {"deployment": name, "env": {"READ_ONLY_MODE": "true", "B": "2"}},
        lambda name: ["set", "env", f"deployment/{name}", "READ_ONLY_MODE=true", "B=2"],
        one_release,
        foreign=lambda name: ["set", "env", f"deployment/{name}", "READ_ONLY_MODE=false"],
    ),
    "annotate_ingress": Write(
        "kubernetes.annotate_ingress",
        lambda name: {
            "ingress": name,
            "annotations": {"example.com/block": ISOLATION, "example.com/old": None},
        },
        lambda name: [
            *("annotate", "--overwrite", "ingress", name),
            *(f"example.com/block={ISOLATION}", "example.com/old-"),
        ],
        an_ingress,
        foreign=lambda name: ["annotate", "--overwrite", "ingress", name, "example.com/block=other"],
        path=INGRESSES,
        parts=("spec", "annotations"),
    ),
    "cordon": Write(
        "kubernetes.cordon",
        lambda name: {"node": name},
        lambda name: ["cordon", name],
        nothing,
        path="/api/v1/nodes",
        names=("node-1", "node-2"),
        namespaced=False,
    ),
    "uncordon": Write(
        "kubernetes.uncordon",
        lambda name: {"node": name},
        lambda name: ["uncordon", name],
        cordoned,
        path="/api/v1/nodes",
        names=("node-1", "node-2"),
        namespaced=False,
    ),
}
"""Every write that changes one object."""


@dataclass
class Versions:
    """The resourceVersion of everything in a namespace, and of the nodes, but for what others change all the time."""

    cluster: Cluster
    kinds: Sequence[str] = field(
        default=(
            "/apis/apps/v1/namespaces/{namespace}/deployments",
            "/apis/apps/v1/namespaces/{namespace}/replicasets",
            "/apis/apps/v1/namespaces/{namespace}/statefulsets",
            "/apis/batch/v1/namespaces/{namespace}/jobs",
            "/api/v1/namespaces/{namespace}/pods",
            "/apis/autoscaling/v1/namespaces/{namespace}/horizontalpodautoscalers",
            INGRESSES,
            "/apis/velero.io/v1/namespaces/velero/backups",
            "/apis/velero.io/v1/namespaces/velero/restores",
            "/apis/cert-manager.io/v1/namespaces/{namespace}/certificates",
            "/api/v1/nodes",
        )
    )

    async def read(self) -> dict[str, str]:
        """The versions now, by the path of the kind and the name of the object."""
        found = {}
        for kind in self.kinds:
            path = kind.format(namespace=self.cluster.namespace)
            for item in (await self.cluster.api.get(path))["items"]:
                found[f"{path}/{item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
        return found

    async def still(self) -> dict[str, str]:
        """The versions, once the controllers have come to rest."""
        last: dict[str, str] = {}

        async def rested() -> bool:
            nonlocal last
            before, last = last, await self.read()
            return bool(last) and last == before

        await eventually(rested, within=30, every=0.5, what="the controllers are at rest")
        return last
