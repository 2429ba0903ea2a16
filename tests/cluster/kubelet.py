"""The harness that plays the scheduler and the kubelets: nodes that are ready, pods that live as their images say.

Everything else of a rollout (ReplicaSets, revisions, scaling, garbage collection, disruption budgets) is the real
controller-manager's.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import aiohttp

from tests.cluster.api import STRATEGIC_PATCH, Api, ApiRefusalError, Object
from tests.cluster.nodes import choose, node, node_status
from tests.cluster.pod_events import Note, Recorder, killed, not_placed, placed, started, troubled
from tests.cluster.pod_life import (
    SLOW_S,
    Behaviour,
    Condition,
    Phase,
    behaviour_of,
    runs_for_ever,
    settled,
    stamp,
    status_of,
)

FIRST_BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 8.0
AT_FIRST = {Behaviour.SLOW: Phase.UNREADY, Behaviour.IMAGE_PULL: Phase.PULL_FAILED}
"""Where a container stands until it settles, if that is somewhere else."""


def now() -> dt.datetime:
    """The moment, in UTC."""
    return dt.datetime.now(dt.UTC)


def is_overtaken(refusal: ApiRefusalError) -> bool:
    """Whether a call came too late: the object is gone or another, or its namespace is being deleted."""
    return refusal.status in {404, 409} or (refusal.status == 403 and "being terminated" in str(refusal))


class Kubelet:
    """Plays so many nodes, whose logs and exec are served at `port`.

    `pods` is every pod there is, by (namespace, name). `failures` holds the errors nobody expected: whoever
    runs the harness looks at them at the end.
    """

    def __init__(self, api: Api, port: int, nodes: int = 3) -> None:
        self.pods: dict[tuple[str, str], Object] = {}
        self.failures: list[Exception] = []
        self._api = api
        self._port = port
        self._names = [f"node-{number}" for number in range(1, nodes + 1)]
        self._nodes: dict[str, Object] = {}
        self._recorder = Recorder(api)
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._places: dict[str, str] = {}
        self._dying: set[str] = set()
        self._errands: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Play, until cancelled, what `join` has brought up."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch_nodes())
                tasks.create_task(self._watch_pods())
        finally:
            left = [*self._lives.values(), *self._errands]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def join(self) -> None:
        """Bring the nodes up: ready, with room, and with this process as their kubelet."""
        for name in self._names:
            await self._api.ensure("/api/v1/nodes", node(name))
            status = node_status(name, self._port, stamp(now()))
            await self._api.patch(f"/api/v1/nodes/{name}/status", {"status": status}, STRATEGIC_PATCH)
            # Every new node is tainted as not ready; the node lifecycle controller, not run, would end that.
            self._nodes[name] = await self._api.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})

    def turn(self, namespace: str, name: str, behaviour: Behaviour) -> None:
        """Let a running pod behave otherwise from now on, whatever its images say. KeyError: no such pod."""
        self._begin(self.pods[namespace, name], behaviour)

    async def _watch_nodes(self) -> None:
        """Know the nodes; when one changes, the pods that wait for one are tried again."""
        async for change, each in self._api.watch("/api/v1/nodes"):
            name = each["metadata"]["name"]
            if change == "DELETED":
                self._nodes.pop(name, None)
                continue
            self._nodes[name] = each
            for pod in list(self.pods.values()):
                if not pod["spec"].get("nodeName"):
                    self._spawn(self._place, pod)

    async def _watch_pods(self) -> None:
        """Do for each change of a pod what is to be done."""
        async for change, pod in self._api.watch("/api/v1/pods"):
            place = (pod["metadata"]["namespace"], pod["metadata"]["name"])
            uid = pod["metadata"]["uid"]
            if change == "DELETED":
                self._forget(uid)
                if self.pods.get(place, pod)["metadata"]["uid"] == uid:
                    self.pods.pop(place, None)
                continue
            self.pods[place] = pod
            if pod["metadata"].get("deletionTimestamp"):
                if uid not in self._dying:
                    self._forget(uid)
                    self._dying.add(uid)
                    self._spawn(self._kill, pod)
            elif not pod["spec"].get("nodeName"):
                self._spawn(self._place, pod)
            elif uid not in self._lives:
                self._places[uid] = pod["spec"]["nodeName"]
                self._begin(pod, None)

    def _begin(self, pod: Object, behaviour: Behaviour | None) -> None:
        """Begin a pod's life, in place of the one it had."""
        uid = pod["metadata"]["uid"]
        if uid in self._lives:
            self._lives[uid].cancel()
        self._lives[uid] = asyncio.create_task(self._guard(functools.partial(self._live, pod, behaviour)))

    def _forget(self, uid: str) -> None:
        """End what is being done for a pod."""
        self._places.pop(uid, None)
        self._dying.discard(uid)
        life = self._lives.pop(uid, None)
        if life is not None:
            life.cancel()

    def _spawn(self, errand: Callable[[Object], Awaitable[None]], pod: Object) -> None:
        """Do something for a pod beside everything else."""
        task = asyncio.create_task(self._guard(functools.partial(errand, pod)))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it; to be overtaken is part of life, any other failure is remembered."""
        try:
            await work()
        except ApiRefusalError as refusal:
            if not is_overtaken(refusal):
                self.failures.append(refusal)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failures.append(error)

    async def _place(self, pod: Object) -> None:
        """Bind a pod to a node."""
        uid = pod["metadata"]["uid"]
        if uid in self._places:
            return
        chosen = choose(pod, self._nodes, Counter(self._places.values()))
        if chosen is None:
            await self._refuse_to_place(pod)
            return
        self._places[uid] = chosen
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod["metadata"]["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": chosen},
        }
        await self._api.create(f"{_path(pod)}/binding", binding)
        await self._say(pod, [placed(pod, chosen)])

    async def _refuse_to_place(self, pod: Object) -> None:
        """Say, once, that no node takes the pod."""
        if any(each.get("reason") == "Unschedulable" for each in pod["status"].get("conditions", [])):
            return
        count = len(self._nodes)
        message = f"0/{count} nodes are available: {count} node(s) were unschedulable."
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        await self._write(pod, {"phase": "Pending", "conditions": [condition]})
        await self._say(pod, [not_placed(message)])

    async def _live(self, pod: Object, told: Behaviour | None) -> None:
        """A pod's life from its binding on; `told` overrules what its images say."""
        behaviours = {each["name"]: told or behaviour_of(each["image"]) for each in pod["spec"]["containers"]}
        for_ever = runs_for_ever(pod)
        final = {name: settled(behaviour, for_ever=for_ever) for name, behaviour in behaviours.items()}
        restarts = {each["name"]: each["restartCount"] for each in pod["status"].get("containerStatuses", [])}
        stands = {
            name: Condition(
                AT_FIRST.get(behaviours[name], phase), restarts.get(name, 0) + (phase is Phase.CRASHED), now()
            )
            for name, phase in final.items()
        }
        pod = await self._stand(pod, stands)
        if told is None:
            await self._say(pod, started(pod, behaviours))
        await self._say(pod, troubled(pod, stands))
        if Behaviour.SLOW in behaviours.values():
            await asyncio.sleep(SLOW_S)
            stands = {
                name: replace(each, phase=final[name]) if behaviours[name] is Behaviour.SLOW else each
                for name, each in stands.items()
            }
            pod = await self._stand(pod, stands)
        await self._try_again(pod, stands)

    async def _try_again(self, pod: Object, stands: dict[str, Condition]) -> None:
        """Start what crashed and pull what was not there, ever more rarely, and always in vain."""
        back_off = FIRST_BACK_OFF_S
        while {Phase.PULL_FAILED, Phase.CRASHED} & {each.phase for each in stands.values()}:
            await asyncio.sleep(back_off)
            back_off = min(back_off * 2, LONGEST_BACK_OFF_S)
            stands = {name: _next_try(each) for name, each in stands.items()}
            pod = await self._stand(pod, stands)
            await self._say(pod, troubled(pod, stands))

    async def _stand(self, pod: Object, stands: dict[str, Condition]) -> Object:
        """Write where a pod's containers stand; gives the pod as it then is."""
        return await self._write(pod, status_of(pod, stands, now()))

    async def _write(self, pod: Object, status: Object) -> Object:
        """Patch the status of this very pod, and of no later one of the same name."""
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        return await self._api.patch(f"{_path(pod)}/status", body, STRATEGIC_PATCH)

    async def _kill(self, pod: Object) -> None:
        """End a pod that is being deleted, without grace."""
        await self._say(pod, killed(pod))
        await self._api.delete(_path(pod), grace_s=0)

    async def _say(self, pod: Object, notes: Iterable[Note]) -> None:
        """Record Events; a namespace that is being deleted takes none, and that is no reason to stop."""
        for note in notes:
            try:
                await self._recorder.record(pod, note)
            except ApiRefusalError as refusal:
                if not is_overtaken(refusal):
                    raise


def _next_try(condition: Condition) -> Condition:
    """Where a container stands after one more try."""
    match condition.phase:
        case Phase.CRASHED:
            return Condition(Phase.CRASHED, condition.restarts + 1, now())
        case Phase.PULL_FAILED:
            return replace(condition, phase=Phase.PULL_BACK_OFF)
        case _:
            return condition


def _path(pod: Object) -> str:
    """Where a pod is in the API."""
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
