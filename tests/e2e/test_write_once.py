"""Every write action is made once: though its answer is lost, though the service is killed before it comes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

from runbookd.actions.performer import CataloguePerformer
from runbookd.model.action import Call, Outcome, OutcomeState, Probed, Repeat
from tests.cluster.cluster import Cluster
from tests.cluster.faults import Fault, FaultProxy, Trouble, fault_proxy
from tests.contract.actions.hands import every_action, failed, succeeded
from tests.e2e.acting import acting, step
from tests.e2e.deeds import Deed, Proof, Sent, proves_each_request
from tests.e2e.one_step import ALERT, ENDS, attempts, ending, one_step
from tests.servers import eventually


async def carried_on(performer: CataloguePerformer, call: Call) -> Outcome | None:
    """Do with a call in doubt what the service does, as the action's `repeat` says; the outcome, if one is known."""
    repeat = performer.repeat(call.action, call.params)
    answer, known = await performer.probe(call)
    if repeat is Repeat.SAFE:
        for _ in range(2):
            known = await performer.perform(call)
            succeeded(known)
    else:
        assert answer is (Probed.DONE if repeat is Repeat.PROBE else Probed.UNKNOWN)
    return known


@dataclass(frozen=True, slots=True)
class Before:
    """How things stood before the write: the state that is compared, and what the undo is to bring back of it."""

    cluster: Cluster
    deed: Deed
    state: Any
    former: Any

    @classmethod
    async def of(cls, cluster: Cluster, deed: Deed) -> Self:
        """As it is now."""
        name = deed.names[0]
        return cls(cluster, deed, await deed.state(cluster, name), await deed.former(cluster, name))

    async def is_over(self) -> None:
        """Return when the effect of the write is seen."""

        async def changed() -> bool:
            return bool(await self.deed.state(self.cluster, self.deed.names[0]) != self.state)

        await eventually(changed, within=20, what="the effect of the write is seen")

    async def comes_back(
        self, performer: CataloguePerformer, call: Call, output: Mapping[str, object]
    ) -> None:
        """Where there is an undo, what is known of the write is enough for it to bring the former state back."""
        if Proof.UNDO in self.deed.without:
            return
        succeeded(await performer.undo(step(call.action, call.params), output))

        async def back() -> bool:
            return bool(await self.deed.former(self.cluster, self.deed.names[0]) == self.former)

        await eventually(back, within=20, what="the former state is back")


def made_once(proxy: FaultProxy, deed: Deed) -> None:
    """AssertionError unless the API server carried out each request of the write exactly once."""
    for each in deed.sent.values():
        assert proxy.times(each.method, each.path) == 1, each


@proves_each_request(Proof.LOST)
async def test_a_lost_answer_does_not_do_it_twice(cluster: Cluster, deed: Deed, sent: Sent) -> None:
    """A write whose answer is lost is in doubt; it is found done and not made again, and can be undone."""
    async with deed.prepared(cluster), fault_proxy(cluster.world.plane) as proxy:
        before = await Before.of(cluster, deed)
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        async with acting(config) as performer:
            call = step(deed.action, await deed.params(cluster, deed.names[0]))
            proxy.faults.append(Fault(Trouble.DROP_ANSWER, sent.path, sent.method))
            failed(await performer.perform(call), "connection_lost", OutcomeState.IN_DOUBT)
            assert proxy.times(sent.method, sent.path) == 1
            known = await carried_on(performer, call)
            made_once(proxy, deed)
            await before.comes_back(performer, call, known.output if known is not None else {})


@proves_each_request(Proof.KILLED)
async def test_a_killed_service_does_not_do_it_twice(cluster: Cluster, deed: Deed, sent: Sent) -> None:
    """A service killed (SIGKILL) when its write was carried out and waits for the answer ends the run in its next
    life as the action's `repeat` says; the write is not made again, and what was written down is enough to undo it."""
    async with deed.prepared(cluster), fault_proxy(cluster.world.plane) as proxy:
        before = await Before.of(cluster, deed)
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        call = step(deed.action, await deed.params(cluster, deed.names[0]))
        proxy.faults.append(Fault(Trouble.HOLD_ANSWER, sent.path, sent.method))
        async with one_step(config, call) as service:
            await service.start()
            assert await service.post(ALERT) == HTTPStatus.ACCEPTED
            await eventually(
                lambda: proxy.times(sent.method, sent.path), within=60, what="the write was carried out"
            )
            assert [row["state"] for row in attempts(service)] == ["intent"]
            await service.kill()
            await service.start(ready=False)
            await service.runs_ended(within=60)
            assert ending(service) == ENDS[every_action()[deed.action].spec.repeat]
            (*_, last) = attempts(service)
        made_once(proxy, deed)
        await before.is_over()
        async with acting(config) as performer:
            await before.comes_back(performer, call, json.loads(last["output"]))
