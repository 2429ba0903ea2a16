"""The good release is known whatever was done to a Deployment since: histories of its people, on a real API server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.contract.actions.hands import succeeded
from tests.e2e.acting import acting, step, stood
from tests.e2e.procedures import stuck
from tests.servers import eventually

GOOD, UNREADY, BROKEN, BETTER = "app:good-1", "app:unready-2", "app:good-broken-3", "app:good-4"
DEADLINE = 2
LONG = DEADLINE + 3.0


async def history(cluster: Cluster, current: int) -> Mapping[str, Any]:
    """What runbookd says of the Deployment `web`, once this is its newest revision."""
    params = {"namespace": cluster.namespace, "deployment": "web"}
    async with acting(cluster.kubeconfig()) as performer:

        async def there() -> Mapping[str, Any] | None:
            found = succeeded(await performer.perform(step("kubernetes.rollout_history", params)))
            return found if found["current"] == current else None

        return await eventually(there, within=20, what=f"revision {current} is the newest")


async def stands(cluster: Cluster, **spec: Any) -> None:
    """The good release has stood for longer than its deadline."""
    await cluster.deploy("web", GOOD, progressDeadlineSeconds=DEADLINE, **spec)
    await cluster.wait_rolled_out("web")
    await stood(cluster, "web", GOOD, LONG)


async def stuck_after(cluster: Cluster, **spec: Any) -> None:
    """After the good release one that never became ready has missed its deadline."""
    await stands(cluster, **spec)
    await cluster.deploy("web", UNREADY)
    await stuck(cluster, "web")


async def taken_back(cluster: Cluster) -> None:
    """A person took it back."""
    await stuck_after(cluster)
    await cluster.kubectl("rollout", "undo", "deployment/web", "--to-revision=1")
    await cluster.wait_rolled_out("web")


async def test_a_person_mended_a_bad_release_by_another(cluster: Cluster) -> None:
    """The third is ready and does harm; the good one is the first, not the second, which never came up."""
    await stuck_after(cluster)
    await cluster.deploy("web", BROKEN)
    await cluster.wait_rolled_out("web")
    assert (await history(cluster, 3))["previous_good"] == 1


async def test_what_was_returned_to_stays_good(cluster: Cluster) -> None:
    """A stuck release was taken back; the release after that is ready and does harm."""
    await taken_back(cluster)
    await cluster.deploy("web", BROKEN)
    await cluster.wait_rolled_out("web")
    found = await history(cluster, 4)
    assert (found["previous_good"], found["taken_back"]) == (3, False)
    assert [one["good"] for one in found["revisions"]][:2] == [False, True]


async def test_what_served_before_a_bad_release_came_again_is_good(cluster: Cluster) -> None:
    """We took it back, another release came up and stood, and a pipeline deploys the bad one again."""
    await stuck_after(cluster)
    params = {"namespace": cluster.namespace, "deployment": "web", "to_revision": 1, "from_revision": 2}
    async with acting(cluster.kubeconfig()) as performer:
        succeeded(await performer.perform(step("kubernetes.rollout_undo", params)))
    await cluster.wait_rolled_out("web")
    await cluster.deploy("web", BETTER)
    await cluster.wait_rolled_out("web")
    await stood(cluster, "web", BETTER, LONG)
    await cluster.deploy("web", UNREADY)
    again = await history(cluster, 5)
    assert (again["previous_good"], again["taken_back"]) == (4, False)


@pytest.mark.parametrize("newer", ["app:unready-4", "app:crash-4", BROKEN])
async def test_what_was_taken_back_and_came_again_is_a_release(cluster: Cluster, newer: str) -> None:
    """A pipeline deploys again what a person took back: no return, and the first is good; so it is for what follows."""
    await taken_back(cluster)
    await cluster.deploy("web", UNREADY)
    again = await history(cluster, 4)
    assert (again["previous_good"], again["taken_back"]) == (3, False)
    await cluster.deploy("web", newer)
    assert (await history(cluster, 5))["previous_good"] == 3


@pytest.mark.parametrize("how", ["scale", "patch"])
async def test_a_deployment_that_was_scaled(cluster: Cluster, how: str) -> None:
    """Somebody added pods while the good release stood."""
    await cluster.deploy("web", GOOD, progressDeadlineSeconds=DEADLINE)
    await cluster.wait_rolled_out("web")
    if how == "scale":
        await cluster.kubectl("scale", "deployment/web", "--replicas=3")
    else:
        await cluster.kubectl("patch", "deployment/web", "-p", '{"spec":{"replicas":3}}')
    await cluster.wait_rolled_out("web")
    await stood(cluster, "web", GOOD, LONG)
    await cluster.deploy("web", BROKEN)
    await cluster.wait_rolled_out("web")
    assert (await history(cluster, 2))["previous_good"] == 1


async def test_all_pods_at_once(cluster: Cluster) -> None:
    """With the strategy Recreate nothing of the good release is left when the next misses its deadline."""
    await stuck_after(cluster, strategy={"type": "Recreate"})
    assert (await history(cluster, 2))["previous_good"] == 1
