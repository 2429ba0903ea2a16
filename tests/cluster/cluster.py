"""A namespace of the test cluster, in the words of the tests: deploy a release, wait for it, ask kubectl."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import Api, Object
from tests.cluster.control_plane import ADMIN
from tests.cluster.world import World
from tests.servers import eventually

REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"
KUBECTL_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Output:
    """What a command put out, and its exit code."""

    stdout: str
    stderr: str
    code: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """One namespace of the cluster, seen as `admin`; `world` is the whole, `api` a client in the test's own loop."""

    world: World
    namespace: str
    api: Api

    def path(self, kind: str, name: str = "") -> str:
        """Where `deployments`, `pods`, … of this namespace, or one of them, are in the API."""
        base = (
            "/apis/apps/v1"
            if kind in {"deployments", "replicasets", "statefulsets", "daemonsets"}
            else "/api/v1"
        )
        return f"{base}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """A kubeconfig of this user for this namespace."""
        return self.world.plane.kubeconfig(user, namespace=self.namespace)

    async def kubectl(
        self, *arguments: str, user: str = ADMIN, stdin: str = "", fails: bool = False
    ) -> Output:
        """Run kubectl in this namespace. AssertionError when it does not end well, or well although it `fails`."""
        home = self.world.plane.folder
        environment = {"PATH": os.defpath, "HOME": str(home), "KUBECONFIG": str(self.kubeconfig(user))}
        process = await asyncio.create_subprocess_exec(
            *(kubectl_program(), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
        try:
            async with asyncio.timeout(KUBECTL_WITHIN):
                stdout, stderr = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        output = Output(stdout.decode(), stderr.decode(), process.returncode or 0)
        assert bool(output.code) == fails, f"kubectl {' '.join(arguments)}: {output}"
        return output

    async def deploy(
        self, name: str, image: str, replicas: int = 2, *, cause: str | None = None, **spec: Any
    ) -> Object:
        """Deploy a release: create the Deployment `name`, or change its image if there is one.

        `cause` is the change cause, by default the image; `spec` holds further fields of the Deployment's spec, such
        as `progressDeadlineSeconds`. The pods and the Deployment carry the label `app=<name>`.
        """
        found = await self.api.get(f"{self.path('deployments')}?fieldSelector=metadata.name={name}")
        annotations = {CHANGE_CAUSE: cause or image}
        if found["items"]:
            template = {"spec": {"containers": [{"name": name, "image": image}]}}
            change = {"metadata": {"annotations": annotations}, "spec": spec | {"template": template}}
            kind = "application/strategic-merge-patch+json"
            return await self.api.patch(self.path("deployments", name), change, kind)
        body = deployment(name, image, replicas, spec)
        body["metadata"]["annotations"] = annotations
        return await self.api.create(self.path("deployments"), body)

    async def deployment(self, name: str) -> Object:
        """A Deployment as it stands."""
        return await self.api.get(self.path("deployments", name))

    async def pod_template(self, name: str) -> Object:
        """A Deployment's pod template."""
        template: Object = (await self.deployment(name))["spec"]["template"]
        return template

    async def pods(self, name: str) -> list[Object]:
        """The pods of a Deployment that are not being deleted."""
        found = await self.api.get(f"{self.path('pods')}?labelSelector=app={name}")
        return [pod for pod in found["items"] if not pod["metadata"].get("deletionTimestamp")]

    async def revisions(self, name: str) -> dict[int, str]:
        """The first container's image of each revision of a Deployment."""
        found = await self.api.get(f"{self.path('replicasets')}?labelSelector=app={name}")
        return {
            int(each["metadata"]["annotations"][REVISION]): each["spec"]["template"]["spec"]["containers"][0][
                "image"
            ]
            for each in found["items"]
        }

    async def wait_rolled_out(self, name: str, within: float = 30) -> Object:
        """The Deployment, once its rollout is complete by the rule of `kubectl rollout status`."""

        async def complete() -> Object | None:
            found = await self.deployment(name)
            return found if is_rolled_out(found) else None

        return await eventually(complete, within=within, what=f"the rollout of {name} is complete")

    async def wait_for_pods(self, name: str, state: str, count: int = 1, within: float = 30) -> list[Object]:
        """Pods of a Deployment, once so many stand so: `Ready`, `NotReady`, or a waiting reason such as
        `CrashLoopBackOff`."""

        async def found() -> list[Object] | None:
            pods = [pod for pod in await self.pods(name) if state in standing(pod)]
            return pods if len(pods) >= count else None

        return await eventually(found, within=within, what=f"{count} pods of {name} are {state}")


def kubectl_program() -> str:
    """kubectl: the one that was installed beside this Python, else the machine's; skipped or failed without."""
    beside = str(Path(sys.executable).parent)
    program = shutil.which("kubectl", path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if program is None:
        reason = "needs kubectl: tools/bootstrap e2e"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return program


def deployment(name: str, image: str, replicas: int, spec: Mapping[str, Any]) -> Object:
    """A Deployment of one container, called as it, with requests and limits."""
    labels = {"app": name}
    resources = {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}
    container = {"name": name, "image": image, "resources": resources}
    # Pods need no grace: nothing runs in them.
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        | dict(spec),
    }


def is_rolled_out(found: Object) -> bool:
    """Whether a Deployment's rollout is complete (kubectl's polymorphichelpers/rollout_status.go)."""
    status, wanted = found.get("status", {}), found["spec"]["replicas"]
    updated = status.get("updatedReplicas", 0)
    return bool(
        status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        and updated >= wanted
        and status.get("replicas", 0) <= updated
        and status.get("availableReplicas", 0) >= updated
    )


def standing(pod: Object) -> set[str]:
    """How a pod stands: its phase, `Ready` or `NotReady`, and the reasons its containers wait for."""
    status = pod.get("status", {})
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))
    states = [each["state"] for each in status.get("containerStatuses", [])]
    waits = {state["waiting"]["reason"] for state in states if "waiting" in state}
    return {status.get("phase", ""), "Ready" if ready else "NotReady"} | waits
