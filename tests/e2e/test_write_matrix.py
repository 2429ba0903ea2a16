"""Every write action, on a real API server: as kubectl does it, undone, observed, and no cell of the table is blank."""

from __future__ import annotations

import re
from pathlib import Path

from runbookd.actions.failures import NOT_UNDOABLE
from runbookd.actions.kubernetes.rollbacks import PUT_BACK_AFTER
from runbookd.model.action import Mode, OutcomeState
from tests.cluster.cluster import Cluster
from tests.contract.actions.hands import every_action, failed, succeeded
from tests.e2e.acting import Versions, acting, step
from tests.e2e.deeds import DEEDS, Deed, Proof, proves
from tests.servers import eventually

PROVIDERS = ("kubernetes.", "velero.", "certmanager.")


def test_no_cell_is_blank() -> None:
    """Every write action of a cluster has a row, and gives each proof or says in one line why it cannot."""
    writes = {
        name for name, action in every_action().items() if name.startswith(PROVIDERS) and action.spec.mutates
    }
    assert {deed.action for deed in DEEDS.values()} == writes
    tests = "".join(
        path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_write_*.py")
    )
    given = re.findall(r"^@proves(?:_each_request)?\(Proof\.(\w+)\)$", tests, re.MULTILINE)
    assert sorted(given) == sorted(proof.name for proof in Proof)
    for name, deed in DEEDS.items():
        assert all(reason and "\n" not in reason for reason in deed.without.values()), name
        assert (Proof.TWIN in deed.without) == (deed.kubectl is None), name
        assert (Proof.UNDO in deed.without) == (not every_action()[deed.action].spec.undoable), name
        assert set(deed.without) <= {Proof.TWIN, Proof.UNDO}, name


@proves(Proof.TWIN)
async def test_the_effect_is_kubectl_s(cluster: Cluster, deed: Deed) -> None:
    """On twins, the action and the kubectl command of the runbook have the same effect."""
    ours, twin = deed.names
    async with deed.prepared(cluster, ours, twin), acting(cluster.kubeconfig()) as performer:
        before = await deed.state(cluster, ours)
        outcome = await performer.perform(step(deed.action, await deed.params(cluster, ours)))
        assert succeeded(outcome).get("changed", True) is True
        assert deed.kubectl is not None
        await cluster.kubectl(*deed.kubectl(twin))

        async def same() -> bool:
            after = await deed.state(cluster, ours)
            assert after == await deed.state(cluster, twin)
            return bool(after != before)

        await eventually(same, within=20, what="the twins are alike")
        if deed.marked is not None:
            assert outcome.change is not None
            assert outcome.change["before"] != outcome.change["after"]


@proves(Proof.UNDO)
async def test_the_undo_brings_the_former_state_back(cluster: Cluster, deed: Deed) -> None:
    """The undo returns the object to what it was, no mark of the change is left, and a second undo changes nothing."""
    name = deed.names[0]
    async with deed.prepared(cluster, name), acting(cluster.kubeconfig()) as performer:
        before = await deed.former(cluster, name)
        params = await deed.params(cluster, name)
        output = succeeded(await performer.perform(step(deed.action, params)))
        assert await deed.former(cluster, name) != before
        for changed in (True, False):
            undone = succeeded(await performer.undo(step(deed.action, params), output))
            assert undone.get("changed", changed) is changed

            async def back() -> bool:
                return bool(await deed.former(cluster, name) == before)

            await eventually(back, within=20, what="the former state is back")
        if deed.marked is not None:
            found = await cluster.api.get(f"{deed.marked.format(namespace=cluster.namespace)}/{name}")
            ours = {name for name in found["metadata"].get("annotations") or {} if "runbookd" in name}
            assert ours <= {PUT_BACK_AFTER}  # stays, lest what came by an undo is taken for a release


async def test_what_has_no_undo_says_so(cluster: Cluster) -> None:
    """An action that cannot be undone sends nothing when it is asked to, and tells why."""
    versions = Versions(cluster)
    before = await versions.still()
    async with acting(cluster.kubeconfig()) as performer:
        for deed in DEEDS.values():
            if Proof.UNDO in deed.without:
                undone = await performer.undo(step(deed.action, {}), {})
                assert deed.without[Proof.UNDO] in failed(undone, NOT_UNDOABLE, OutcomeState.SKIPPED)
    assert await versions.still() == before


@proves(Proof.OBSERVE)
async def test_observe_changes_nothing(cluster: Cluster, deed: Deed) -> None:
    """In observe mode every resourceVersion stays as it was, and the outcome tells what would have changed.

    A command in a container has no dry run, so that it is not run at all.
    """
    name = deed.names[0]
    async with deed.prepared(cluster, name), acting(cluster.kubeconfig()) as performer:
        versions = Versions(cluster)
        before = await versions.still()
        state = await deed.state(cluster, name)
        outcome = await performer.perform(
            step(deed.action, await deed.params(cluster, name), mode=Mode.OBSERVE)
        )
        if deed.action == "kubernetes.exec":
            failed(outcome, "observed", OutcomeState.SKIPPED)
        else:
            assert succeeded(outcome).get("changed", True) is True
            assert outcome.change is not None
            assert outcome.change["before"] != outcome.change["after"]
        assert await versions.still() == before
        assert await deed.state(cluster, name) == state
        undone = await performer.undo(step(deed.action, outcome.output, mode=Mode.OBSERVE), outcome.output)
        assert undone.state is OutcomeState.SKIPPED
