"""What this service changed of a pod template is no release, and hides none of people's: on a real API server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from runbookd.actions.kubernetes.replica_sets import CHANGED_AFTER
from tests.cluster.cluster import Cluster
from tests.contract.actions.hands import succeeded
from tests.e2e.acting import acting, step, stood
from tests.servers import eventually

GOOD, BETTER, BEST, BROKEN = "app:good-1", "app:good-2", "app:good-3", "app:good-broken-4"
LONG = 5.0
QUICK: dict[str, Any] = {"progressDeadlineSeconds": 2}


async def newest(cluster: Cluster, number: int) -> Mapping[str, Any]:
    """What runbookd says of the Deployment `web`, once this is its newest revision."""
    params = {"namespace": cluster.namespace, "deployment": "web"}
    async with acting(cluster.kubeconfig()) as performer:

        async def there() -> Mapping[str, Any] | None:
            found = succeeded(await performer.perform(step("kubernetes.rollout_history", params)))
            return found if found["current"] == number and not found["pending"] else None

        return await eventually(there, within=20, what=f"revision {number} is the newest")


async def stop_writes(cluster: Cluster, name: str = "web") -> None:
    """The change that `stop-writes` makes."""
    params = {"namespace": cluster.namespace, "deployment": name, "env": {"READ_ONLY_MODE": "true"}}
    async with acting(cluster.kubeconfig()) as performer:
        succeeded(await performer.perform(step("kubernetes.set_env", params)))


async def settled(cluster: Cluster, seconds: float = 1.5) -> None:
    """Return once the newest release is complete, and another would be so much younger: the older is dropped first."""
    found = await cluster.wait_rolled_out("web")
    image = found["spec"]["template"]["spec"]["containers"][0]["image"]
    await stood(cluster, "web", image, seconds)


@pytest.mark.parametrize(("what", "previous"), [("released", 4), ("restarted", None)])
async def test_what_stood_after_a_change_of_ours_that_is_not_kept(
    cluster: Cluster, what: str, previous: int | None
) -> None:
    """With one old revision kept: what people released since can be gone back to, a restart of ours cannot."""
    await cluster.deploy("web", GOOD, replicas=1, revisionHistoryLimit=1, **QUICK)
    await cluster.wait_rolled_out("web")
    await stop_writes(cluster)
    await newest(cluster, 2)
    for number, image in ((3, BETTER), (4, BEST)):
        await settled(cluster)
        if what == "released":
            await cluster.deploy("web", image)
        else:
            await cluster.kubectl("rollout", "restart", "deployment/web")
        await newest(cluster, number)
    await settled(cluster, LONG)
    await cluster.deploy("web", BROKEN)
    await newest(cluster, 5)
    await settled(cluster)
    found = await newest(cluster, 5)
    assert [(each["revision"], each["good"]) for each in found["revisions"]] == [(4, True), (5, True)]
    assert found["previous_good"] == previous


async def test_a_deployment_made_from_a_backup_has_none(cluster: Cluster) -> None:
    """What was noted of the one that is lost is not its own, whichever way it was kept; its numbers begin anew."""
    await cluster.deploy("web", GOOD, replicas=1, **QUICK)
    await cluster.wait_rolled_out("web")
    await stop_writes(cluster)
    await newest(cluster, 2)
    lost = await cluster.deployment("web")
    assert lost["metadata"]["annotations"][CHANGED_AFTER] == f"1/{lost['metadata']['uid']}"
    async with acting(cluster.kubeconfig()) as performer:
        params = {"namespaces": [cluster.namespace], "kinds": ["deployments"]}
        outcome = await performer.perform(step("kubernetes.export_resources", params))
    (kept,) = json.loads(outcome.evidence[0].content)["items"]
    assert CHANGED_AFTER not in kept["metadata"]["annotations"]

    await cluster.kubectl("delete", "deployment/web")
    kept["metadata"]["annotations"][CHANGED_AFTER] = lost["metadata"]["annotations"][CHANGED_AFTER]
    await cluster.kubectl("apply", "-f", "-", stdin=json.dumps(kept))
    await newest(cluster, 1)
    await settled(cluster, LONG)
    await cluster.deploy("web", BROKEN)
    found = await newest(cluster, 2)
    assert (found["changed_by_runbookd"], found["previous_good"]) == (False, 1)
