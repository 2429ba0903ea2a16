"""What the reading actions make of an API server that refuses, is cut off, hangs, or is not to be trusted."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from runbookd.model.action import Outcome
from tests.cluster.cluster import Cluster
from tests.cluster.faults import Fault, Trouble, fault_proxy
from tests.contract.actions.hands import failed, succeeded
from tests.e2e.acting import acting, step
from tests.servers import eventually

BAD = "app:unready-3"


async def as_user(cluster: Cluster, user: str, action: str, **params: Any) -> Outcome:
    """The outcome of a read as another user."""
    async with acting(cluster.kubeconfig(user)) as performer:
        return await performer.perform(step(f"kubernetes.{action}", params))


async def test_a_missing_permission_is_named(cluster: Cluster) -> None:
    """The message holds the verb, the resource and the namespace a Role has to give; given that, it works."""
    params = {"namespace": cluster.namespace}
    message = failed(await as_user(cluster, "user-5", "get_pods", **params), "denied")
    assert f'verb "list" on "pods" (API group "") in namespace "{cluster.namespace}"' in message
    for action, more, right in (
        ("get_events", {}, '"list" on "events"'),
        ("rollout_status", {"deployment": "a"}, '"get" on "deployments" (API group "apps")'),
        ("rollout_history", {"deployment": "a"}, '"get" on "deployments"'),
        ("logs", {"pod": "a"}, '"get" on "pods"'),
        ("get_resource", {"kind": "secrets", "name": "a"}, '"get" on "secrets"'),
        ("top_pods", {}, '"list" on "pods"'),
    ):
        assert right in failed(await as_user(cluster, "user-5", action, **params, **more), "denied")
    for action in ("describe_nodes", "top_nodes"):
        assert "in the whole cluster" in failed(await as_user(cluster, "user-5", action), "denied")
    await cluster.kubectl("create", "role", "reader", "--verb=list", "--resource=pods")
    await cluster.kubectl("create", "rolebinding", "reader", "--role=reader", "--user=user-5")

    async def allowed() -> bool:
        outcome = await as_user(cluster, "user-5", "get_pods", **params)
        return outcome.failure is None

    await eventually(allowed, within=10, what="the role is in effect")


async def test_a_watch_is_a_permission_of_its_own(cluster: Cluster) -> None:
    """Waiting for a rollout without the verb `watch` says so."""
    await cluster.deploy("web", BAD, replicas=1)
    await cluster.kubectl("create", "role", "getter", "--verb=get", "--resource=deployments")
    await cluster.kubectl("create", "rolebinding", "getter", "--role=getter", "--user=user-6")

    async def told() -> str:
        params = {"namespace": cluster.namespace, "deployment": "web"}
        message = failed(await as_user(cluster, "user-6", "rollout_status", **params), "denied")
        return message if '"watch" on "deployments"' in message else ""

    await eventually(told, within=10, what="the missing watch is named")


async def test_credentials_that_are_not_accepted(cluster: Cluster) -> None:
    """The real 401 is told with where to look, and the token is in no message."""
    path = cluster.world.plane.folder / "wrong-kubeconfig"
    right = cluster.kubeconfig().read_text(encoding="utf-8")
    path.write_text(right.replace(cluster.world.plane.users["admin"], "canary-token"), encoding="utf-8")
    async with acting(path) as performer:
        outcome = await performer.perform(step("kubernetes.get_pods", {"namespace": cluster.namespace}))
    message = failed(outcome, "denied")
    assert "does not accept the credentials" in message
    assert "canary" not in message


async def test_what_is_not_there_is_told(cluster: Cluster) -> None:
    """Objects, pods of a selector, and kinds nobody installed."""
    async with acting(cluster.kubeconfig()) as performer:

        async def message(action: str, **params: Any) -> str:
            wanted = {"namespace": cluster.namespace, **params}
            return failed(await performer.perform(step(f"kubernetes.{action}", wanted)), "not_found")

        assert 'deployments.apps "gone" not found' in await message("rollout_status", deployment="gone")
        assert 'pods "gone" not found' in await message("logs", pod="gone")
        assert "there are no pods" in await message("logs", selector="app=gone")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, "rate_limited"), (500, "server_error"), (503, "unavailable"), (409, "conflict")],
)
async def test_a_refusal_has_its_word(cluster: Cluster, status: int, kind: str) -> None:
    """What the server refuses with, and for how long it asks to wait."""
    async with (
        fault_proxy(cluster.world.plane) as proxy,
        acting(cluster.world.plane.kubeconfig(server=proxy.url)) as performer,
    ):
        proxy.faults.append(Fault(Trouble.REFUSE, "/pods", status=status, headers={"Retry-After": "3"}))
        outcome = await performer.perform(step("kubernetes.get_pods", {"namespace": cluster.namespace}))
        assert "refused on purpose" in failed(outcome, kind)
        assert outcome.failure is not None
        assert outcome.failure.retry_after == (None if kind == "conflict" else 3.0)
        assert succeeded(
            await performer.perform(step("kubernetes.get_pods", {"namespace": cluster.namespace}))
        )


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble.DROP, "connection_lost"),
        (Trouble.DROP_ANSWER, "connection_lost"),
        (Trouble.HANG, "timeout"),
        (Trouble.HOLD_ANSWER, "timeout"),
    ],
)
async def test_a_broken_or_hung_server_is_a_temporary_failure(
    cluster: Cluster, trouble: Trouble, kind: str
) -> None:
    """A read that was dropped or never answered has failed and may be tried again; it is never in doubt."""
    async with (
        fault_proxy(cluster.world.plane) as proxy,
        acting(cluster.world.plane.kubeconfig(server=proxy.url), request_timeout="1s") as performer,
    ):
        proxy.faults.append(Fault(trouble, "/pods", times=5))
        outcome = await performer.perform(step("kubernetes.get_pods", {"namespace": cluster.namespace}))
        assert failed(outcome, kind)
        assert outcome.failure is not None
        assert outcome.failure.temporary


async def test_a_server_that_is_not_trusted_is_not_asked(cluster: Cluster) -> None:
    """A certificate of an authority the kubeconfig does not name is a permanent failure, and no token is sent."""
    path = cluster.world.plane.folder / "untrusting-kubeconfig"
    content = yaml.safe_load(cluster.kubeconfig().read_text(encoding="utf-8"))
    del content["clusters"][0]["cluster"]["certificate-authority"]
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    async with acting(path) as performer:
        outcome = await performer.perform(step("kubernetes.get_pods", {"namespace": cluster.namespace}))
    assert "no trusted TLS connection" in failed(outcome, "tls")
