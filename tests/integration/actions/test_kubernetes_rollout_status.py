"""`kubernetes.rollout_status` against an API server, on watches that change, end and fail."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from runbookd.actions.kubernetes.kinds import DEPLOYMENT, REPLICA_SET, STATEFUL_SET, Json
from runbookd.model.action import Outcome
from tests.contract.actions.hands import SetClock, call, failed, performing, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import deployment, replica_set, timed_out


def modified(found: Json) -> Json:
    """An event of a watch."""
    return {"type": "MODIFIED", "object": found}


async def status(kube: KubeApi, folder: Path, within: float = 5.0, **params: Any) -> Outcome:
    """The outcome of waiting for `api`."""
    wanted = {"namespace": "shop", "deployment": "api"} | params
    async with performing(kube.config(folder), clock=SetClock(tick=timedelta(seconds=2))) as performer:
        return await performer.perform(call("kubernetes.rollout_status", wanted, timeout=within))


async def test_a_complete_rollout_is_done_at_once(kube: KubeApi, tmp_path: Path) -> None:
    """Without waiting, with its numbers and revision."""
    kube.put(DEPLOYMENT, deployment())
    result = succeeded(await status(kube, tmp_path))
    assert (result["done"], result["revision"], result["available"]) == (True, 2, 2)
    assert result["message"] == "all 2 pods are updated and available"


async def test_it_waits_on_a_watch_until_the_rollout_is_complete(kube: KubeApi, tmp_path: Path) -> None:
    """What changes is seen as it comes; a watch that ends is begun again."""
    kube.put(DEPLOYMENT, deployment(availableReplicas=0))
    kube.changes = [
        [modified(deployment(availableReplicas=1)), {"type": "ERROR", "object": {"code": 410}}],
        [],
        [modified(deployment())],
    ]
    assert succeeded(await status(kube, tmp_path))["done"]
    watches = [one.query for one in kube.lists("deployments")]
    assert len(watches) == 3
    assert watches[0]["fieldSelector"] == "metadata.name=api"
    assert watches[0]["timeoutSeconds"] == "24"


async def test_it_fails_when_the_deadline_was_exceeded(kube: KubeApi, tmp_path: Path) -> None:
    """What will not pass by waiting fails at once, with what was seen."""
    kube.put(DEPLOYMENT, deployment(availableReplicas=0))
    kube.put(REPLICA_SET, replica_set(1), replica_set(2))
    kube.changes = [[modified(deployment(availableReplicas=0, conditions=[timed_out("api-2")]))]]
    outcome = await status(kube, tmp_path)
    assert 'ReplicaSet "api-2" has timed out progressing' in failed(outcome, "check_failed")
    assert (outcome.output["done"], outcome.output["failed"]) == (False, True)


async def test_the_failure_of_the_rollout_before_is_waited_out(kube: KubeApi, tmp_path: Path) -> None:
    """A condition that names another ReplicaSet, or none for the template yet, is no failure of the present one."""
    stale = deployment(updatedReplicas=0, conditions=[timed_out("api-1")])
    kube.put(DEPLOYMENT, stale)
    kube.put(REPLICA_SET, replica_set(1))
    assert succeeded(await status(kube, tmp_path, wait=False))["failed"] is False
    kube.changes = [[modified(stale), modified(deployment())]]
    assert succeeded(await status(kube, tmp_path))["done"]


async def test_other_rights_are_needed_only_once_a_deadline_was_missed(kube: KubeApi, tmp_path: Path) -> None:
    """Which rollout missed it is told by the ReplicaSets; who may not list them is told so."""
    kube.refused.add("list replicasets")
    kube.put(DEPLOYMENT, deployment())
    assert succeeded(await status(kube, tmp_path))["done"]
    kube.objects["apps", "deployments"] = [deployment(conditions=[timed_out("api-2")])]
    assert 'verb "list" on "replicasets"' in failed(await status(kube, tmp_path), "denied")


async def test_it_fails_when_time_is_up(kube: KubeApi, tmp_path: Path) -> None:
    """With what was last seen, so that a person knows what it hangs on."""
    kube.put(DEPLOYMENT, deployment(availableReplicas=1))
    outcome = await status(kube, tmp_path, within=1.0)
    assert "1 of 2 updated pods are available" in failed(outcome, "check_failed")


async def test_it_looks_once_when_told(kube: KubeApi, tmp_path: Path) -> None:
    """Without waiting, an incomplete rollout is an answer."""
    kube.put(DEPLOYMENT, deployment(availableReplicas=1))
    assert succeeded(await status(kube, tmp_path, wait=False))["done"] is False


async def test_other_workloads_are_judged_by_their_own_rules(kube: KubeApi, tmp_path: Path) -> None:
    """A StatefulSet is complete when its pods are ready and of one revision."""
    found = {
        "metadata": {"name": "db", "generation": 1},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "readyReplicas": 1},
    }
    kube.put(STATEFUL_SET, found)
    result = succeeded(await status(kube, tmp_path, deployment=None, statefulset="db"))
    assert (result["done"], result["revision"]) == (True, None)


async def test_a_workload_that_goes_meanwhile_is_told(kube: KubeApi, tmp_path: Path) -> None:
    """Deleted while it is watched is a failure of its own."""
    kube.put(DEPLOYMENT, deployment(availableReplicas=1))
    kube.changes = [[{"type": "DELETED", "object": {}}]]
    assert "was deleted meanwhile" in failed(await status(kube, tmp_path), "not_found")


async def test_a_server_that_ends_every_watch_is_not_flooded(kube: KubeApi, tmp_path: Path) -> None:
    """A watch that ends at once and saw nothing is a temporary failure, not a reason to ask for ever."""
    kube.put(DEPLOYMENT, deployment(availableReplicas=1))
    kube.changes = [[]]
    async with performing(kube.config(tmp_path)) as performer:
        wanted = {"namespace": "shop", "deployment": "api"}
        outcome = await performer.perform(call("kubernetes.rollout_status", wanted))
    assert "ended as soon as it began" in failed(outcome, "connection_lost")


async def test_a_watch_that_is_refused_names_the_right(kube: KubeApi, tmp_path: Path) -> None:
    """Reading once is not enough: watch is a right of its own."""
    kube.put(DEPLOYMENT, deployment(availableReplicas=1))
    kube.refused.add("watch deployments")
    message = failed(await status(kube, tmp_path), "denied")
    assert 'verb "watch" on "deployments" (API group "apps") in namespace "shop"' in message


async def test_a_watch_that_is_no_watch_is_told(kube: KubeApi, tmp_path: Path) -> None:
    """Half a line, or what is no object, is a readable failure; blank lines are none."""
    kube.put(DEPLOYMENT, deployment(availableReplicas=1))

    async def page(request: web.Request) -> web.Response | None:
        return web.Response(text="\n\n<html>\n") if "watch" in request.query else None

    kube.handle("GET", "/deployments", page)
    assert "is it Kubernetes?" in failed(await status(kube, tmp_path), "unexpected_status")


async def test_a_server_that_hangs_before_the_first_look(kube: KubeApi, tmp_path: Path) -> None:
    """When nothing was seen at all, the failure is temporary."""

    async def hang(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    kube.handle("GET", "/deployments", hang)
    outcome = await status(kube, tmp_path, within=0.3)
    assert failed(outcome, "timeout")
