"""The harness that plays the scheduler and the kubelets: nodes that are ready, and pods that live as their images say.

Everything else of a rollout (ReplicaSets, revisions, scaling, garbage collection, disruption budgets) is the real
controller-manager's.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import itertools
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import aiohttp

from tests.cluster.api import STRATEGIC_PATCH, Api, ApiRefusalError, Object
from tests.cluster.pod_life import (
    SLOW_S,
    Behaviour,
    Condition,
    Phase,
    behaviour_of,
    pull_error,
    runs_for_ever,
    settled,
    stamp,
    status_of,
)

NODE_CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "1000", "ephemeral-storage": "100Gi"}
NODE_ALLOCATABLE = NODE_CAPACITY | {"cpu": "3800m", "memory": "7Gi"}
FIRST_BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 8.0
# A pod that is gone, or was changed meanwhile: its next watch event says what to do.
OVERTAKEN = {404, 409}


class Kubelet:
    """Plays `nodes` nodes; `port` is where its logs and exec are served. `serve` runs until cancelled.

    `pods` is every pod it has seen and that still is, by (namespace, name). `failures` are the errors nobody
    expected: a test session ends by looking at them.
    """

    def __init__(self, api: Api, port: int, nodes: int = 3) -> None:
        self.pods: dict[tuple[str, str], Object] = {}
        self.failures: list[BaseException] = []
        self._api = api
        self._port = port
        self._names = [f"node-{number}" for number in range(1, nodes + 1)]
        self._nodes: dict[str, Object] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._placed: dict[str, str] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)

    async def serve(self) -> None:
        """Bring the nodes up, then play them until cancelled."""
        for name in self._names:
            await self._join(name)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch_nodes())
                tasks.create_task(self._watch_pods())
        finally:
            running = [*self._lives.values(), *self._others]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def turn(self, namespace: str, name: str, behaviour: Behaviour) -> None:
        """Let a running pod behave otherwise from now on, whatever its image says."""
        pod = self.pods[namespace, name]
        self._live(pod, behaviour)

    async def _join(self, name: str) -> None:
        """A Node that is ready, and whose kubelet is this process."""
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        await self._api.ensure("/api/v1/nodes", node)
        now = stamp(dt.datetime.now(dt.UTC))
        conditions = [
            _node_condition("Ready", "True", "KubeletReady", now),
            _node_condition("MemoryPressure", "False", "KubeletHasSufficientMemory", now),
            _node_condition("DiskPressure", "False", "KubeletHasNoDiskPressure", now),
            _node_condition("PIDPressure", "False", "KubeletHasSufficientPID", now),
        ]
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "capacity": NODE_CAPACITY,
            "allocatable": NODE_ALLOCATABLE,
            "conditions": conditions,
            "nodeInfo": _node_info(),
        }
        self._nodes[name] = await self._api.patch(
            f"/api/v1/nodes/{name}/status", {"status": status}, STRATEGIC_PATCH
        )
        # The API server marks every new node as not ready; the node lifecycle controller would take it away.
        await self._api.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})

    async def _watch_nodes(self) -> None:
        """Know which nodes take pods; a pod that waited for one is tried again."""
        async for change, node in self._api.watch("/api/v1/nodes"):
            name = node["metadata"]["name"]
            if change == "DELETED":
                self._nodes.pop(name, None)
                continue
            self._nodes[name] = node
            for pod in list(self.pods.values()):
                if not pod["spec"].get("nodeName"):
                    self._spawn(self._place(pod))

    async def _watch_pods(self) -> None:
        """Do for each change of a pod what is to be done."""
        async for change, pod in self._api.watch("/api/v1/pods"):
            metadata = pod["metadata"]
            place, uid = (metadata["namespace"], metadata["name"]), metadata["uid"]
            if change == "DELETED":
                self._end(uid)
                if self.pods.get(place, pod)["metadata"]["uid"] == uid:
                    self.pods.pop(place, None)
                continue
            self.pods[place] = pod
            if metadata.get("deletionTimestamp"):
                if self._end(uid):
                    self._spawn(self._kill(pod))
            elif not pod["spec"].get("nodeName"):
                self._spawn(self._place(pod))
            elif uid not in self._lives and pod["status"].get("phase") not in {"Succeeded", "Failed"}:
                self._placed[uid] = pod["spec"]["nodeName"]
                self._live(pod, None)

    def _live(self, pod: Object, behaviour: Behaviour | None) -> None:
        """Begin a pod's life, in place of the one it had."""
        uid = pod["metadata"]["uid"]
        if uid in self._lives:
            self._lives[uid].cancel()
        self._lives[uid] = asyncio.create_task(self._guard(self._run_pod(pod, behaviour)))

    def _end(self, uid: str) -> bool:
        """End a pod's life; whether that was not already done."""
        ended = self._placed.pop(uid, None) is not None
        life = self._lives.get(uid)
        if life is not None:
            life.cancel()
        return ended or life is None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside everything else."""
        task = asyncio.create_task(self._guard(work))
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it; being overtaken by other changes is part of life, anything else is remembered."""
        try:
            await work
        except ApiRefusalError as refusal:
            # A namespace that is being deleted refuses new Events.
            if refusal.status not in OVERTAKEN and not (refusal.status == 403 and "terminated" in str(refusal)):
                self.failures.append(refusal)
        except (aiohttp.ClientError, TimeoutError, KeyError, ValueError) as error:
            self.failures.append(error)

    async def _place(self, pod: Object) -> None:
        """Bind a pod to the schedulable node with the fewest pods, or to the one its affinity names."""
        uid, path = pod["metadata"]["uid"], _path(pod)
        if uid in self._placed:
            return
        wanted = _wanted_node(pod)
        load = Counter(self._placed.values())
        open_nodes = [
            name
            for name, node in self._nodes.items()
            if wanted in {None, name} and (wanted or not node["spec"].get("unschedulable"))
        ]
        if not open_nodes:
            await self._refuse_to_place(pod)
            return
        node = min(open_nodes, key=lambda name: (load[name], name))
        self._placed[uid] = node
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod["metadata"]["name"]},
            "target": target,
        }
        await self._api.create(f"{path}/binding", binding)
        where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        await self._event(pod, "Scheduled", f"Successfully assigned {where} to {node}", "default-scheduler")

    async def _refuse_to_place(self, pod: Object) -> None:
        """Say, once, that no node takes the pod."""
        conditions = pod["status"].get("conditions", [])
        if any(each.get("reason") == "Unschedulable" for each in conditions):
            return
        count = len(self._nodes)
        message = f"0/{count} nodes are available: {count} node(s) were unschedulable."
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        await self._patch_status(pod, {"phase": "Pending", "conditions": [condition]})
        await self._event(pod, "FailedScheduling", message, "default-scheduler", warning=True)

    async def _run_pod(self, pod: Object, told: Behaviour | None) -> None:
        """A pod's life from its binding on; `told` overrules what its images say."""
        behaviours = {each["name"]: told or behaviour_of(each["image"]) for each in pod["spec"]["containers"]}
        restarts = {each["name"]: each["restartCount"] for each in pod["status"].get("containerStatuses", [])}
        if told is None:
            await self._announce_start(pod, behaviours)
        for_ever, back_off = runs_for_ever(pod), FIRST_BACK_OFF_S
        stands: dict[str, Condition] = {}
        for name, behaviour in behaviours.items():
            phase = settled(behaviour, for_ever=for_ever)
            if behaviour is Behaviour.SLOW:
                phase = Phase.UNREADY
            if behaviour is Behaviour.IMAGE_PULL:
                phase = Phase.PULL_FAILED
            count = restarts.get(name, 0) + (phase is Phase.CRASHED)
            stands[name] = Condition(phase, count, dt.datetime.now(dt.UTC))
        pod = await self._stand(pod, stands)
        await self._announce_trouble(pod, stands)
        if Behaviour.SLOW in behaviours.values():
            await asyncio.sleep(SLOW_S)
            pod = await self._stand(pod, _slow_ones_settle(stands, behaviours, for_ever=for_ever))
        while {Phase.PULL_FAILED, Phase.CRASHED} & {each.phase for each in stands.values()}:
            await asyncio.sleep(back_off)
            back_off = min(back_off * 2, LONGEST_BACK_OFF_S)
            stands = {name: _try_again(each) for name, each in stands.items()}
            pod = await self._stand(pod, stands)
            await self._announce_trouble(pod, stands)

    async def _stand(self, pod: Object, stands: dict[str, Condition]) -> Object:
        """Write a pod's status; gives the pod as it then is."""
        return await self._patch_status(pod, status_of(pod, stands, dt.datetime.now(dt.UTC)))

    async def _patch_status(self, pod: Object, status: Object) -> Object:
        """Patch a pod's status, of this very pod and no later one of the same name."""
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        return await self._api.patch(f"{_path(pod)}/status", body, STRATEGIC_PATCH)

    async def _kill(self, pod: Object) -> None:
        """End a pod that is being deleted, without grace."""
        await self._event(pod, "Killing", f"Stopping container {pod['spec']['containers'][0]['name']}")
        await self._api.delete(_path(pod), grace_s=0)

    async def _announce_start(self, pod: Object, behaviours: dict[str, Behaviour]) -> None:
        """The Events of a pod's containers coming up."""
        for container in pod["spec"]["containers"]:
            name, image = container["name"], container["image"]
            if behaviours[name] is Behaviour.IMAGE_PULL:
                await self._event(pod, "Pulling", f'Pulling image "{image}"')
                continue
            await self._event(pod, "Pulled", f'Container image "{image}" already present on machine')
            await self._event(pod, "Created", f"Created container {name}")
            await self._event(pod, "Started", f"Started container {name}")

    async def _announce_trouble(self, pod: Object, stands: dict[str, Condition]) -> None:
        """The warning Events of containers that do not do well."""
        images = {each["name"]: each["image"] for each in pod["spec"]["containers"]}
        for name, condition in stands.items():
            match condition.phase:
                case Phase.UNREADY:
                    probe = "Readiness probe failed: HTTP probe failed with statuscode: 503"
                    await self._event(pod, "Unhealthy", probe, warning=True)
                case Phase.CRASHED:
                    await self._event(pod, "BackOff", "Back-off restarting failed container", warning=True)
                case Phase.PULL_FAILED:
                    message = f'Failed to pull image "{images[name]}": {pull_error(images[name])}'
                    await self._event(pod, "Failed", message, warning=True)
                    await self._event(pod, "Failed", "Error: ErrImagePull", warning=True)
                case Phase.PULL_BACK_OFF:
                    await self._event(pod, "BackOff", f'Back-off pulling image "{images[name]}"')

    async def _event(
        self, pod: Object, reason: str, message: str, component: str = "kubelet", *, warning: bool = False
    ) -> None:
        """Record an Event about a pod; one that says the same again only counts up."""
        metadata, now = pod["metadata"], stamp(dt.datetime.now(dt.UTC))
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata['name']}.{next(self._numbers):08x}", "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message,
            "source": {"component": component},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        await self._api.create(f"/api/v1/namespaces/{metadata['namespace']}/events", event)
