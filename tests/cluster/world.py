"""The control plane and everything that is played around it, on a thread of its own.

A thread, not a test's own event loop: a session's tests each have a loop, and one that waits or hangs must not stop
the nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.cluster import metrics
from tests.cluster.api import Api, Object
from tests.cluster.certmanager import CertManager
from tests.cluster.control_plane import START_WITHIN, ControlPlane, binaries, control_plane
from tests.cluster.custom_resources import register
from tests.cluster.kubelet import Kubelet
from tests.cluster.kubelet_server import kubelet_server
from tests.cluster.pod_life import Behaviour
from tests.cluster.scripts import Logs, Scripts
from tests.cluster.velero import Velero
from tests.servers import eventually, free_port

T = TypeVar("T")
CALL_WITHIN = 30.0


@dataclass(frozen=True, slots=True)
class World:
    """A running cluster: `logs` and `scripts` are laid down in advance, `velero.outcomes` as well.

    The methods may be called from any thread, and return when the thing is done.
    """

    plane: ControlPlane
    logs: Logs
    scripts: Scripts
    velero: Velero
    kubelet: Kubelet
    _api: Api
    _loop: asyncio.AbstractEventLoop

    def turn(self, namespace: str, pod: str, behaviour: Behaviour) -> None:
        """Let a running pod behave otherwise from now on."""

        async def turn() -> None:
            self.kubelet.turn(namespace, pod, behaviour)

        self._do(turn())

    def set_pod_usage(self, namespace: str, pod: str, usage: Mapping[str, str]) -> None:
        """Let each container of a pod use so much `cpu` and `memory`, as metrics.k8s.io shows it."""

        def known() -> Object | None:
            return self.kubelet.pods.get((namespace, pod))

        async def use() -> None:
            found = await eventually(known, within=CALL_WITHIN / 2, what=f"the kubelet knows {pod}")
            await metrics.set_pod_usage(self._api, found, usage)

        self._do(use())

    def set_node_usage(self, name: str, usage: Mapping[str, str]) -> None:
        """Let a node use so much `cpu` and `memory`, as metrics.k8s.io shows it."""
        self._do(metrics.set_node_usage(self._api, name, usage))

    def check(self) -> None:
        """Raise what has gone wrong in the harness itself, if anything."""
        assert not self._loop.is_closed(), "the harness has stopped; its error is shown when the session ends"
        assert not self.kubelet.failures, f"the harness was refused: {self.kubelet.failures[:3]}"

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the harness's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_WITHIN)


@contextlib.contextmanager
def world(users: Sequence[str] = ()) -> Iterator[World]:
    """A whole cluster with these users beside `admin`, until the block ends.

    At the end nothing it started is left; an error in the harness is raised then.
    """
    binaries()
    started: Future[World] = Future()
    begun: Future[Callable[[], object]] = Future()

    async def play() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        begun.set_result(lambda: loop.call_soon_threadsafe(task.cancel))
        await _play(users, started)

    def stop() -> None:
        with contextlib.suppress(RuntimeError):  # it has stopped by itself
            begun.result(START_WITHIN)()

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="cluster") as thread:
        ended = thread.submit(asyncio.run, play())
        try:
            either: set[Future[Any]] = {started, ended}
            wait(either, 2 * START_WITHIN, FIRST_COMPLETED)
            if not started.done():
                ended.result(0)
            yield started.result()
        finally:
            stop()
    with contextlib.suppress(asyncio.CancelledError):
        ended.result()


async def _play(users: Sequence[str], started: Future[World]) -> None:
    """Start everything, tell, and go on until cancelled."""
    async with control_plane(users) as plane, plane.api() as api:
        await register(api)
        port, logs, scripts, velero = free_port(), Logs(), Scripts(), Velero(api)
        kubelet = Kubelet(api, port)
        async with (
            kubelet_server(port, plane.folder, kubelet.pods, logs, scripts),
            asyncio.TaskGroup() as tasks,
        ):
            await kubelet.join()
            await metrics.measure_nodes(api)
            for service in (
                kubelet.serve(),
                metrics.measure_pods(api),
                velero.serve(),
                CertManager(api).serve(),
            ):
                tasks.create_task(service)
            loop = asyncio.get_running_loop()
            started.set_result(World(plane, logs, scripts, velero, kubelet, api, loop))
