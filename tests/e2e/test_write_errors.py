"""What every write of the cluster makes of an API server that refuses, drops or hangs: one word each, and no doubt
where there is none."""

from __future__ import annotations

import pytest

from runbookd.model.action import OutcomeState
from tests.cluster.cluster import Cluster
from tests.cluster.faults import Fault, Trouble, fault_proxy
from tests.contract.actions.hands import failed
from tests.e2e.acting import acting, one_release, step
from tests.e2e.deeds import DEEDS, Deed, Proof, Sent, proves_each_request

READABLE = [
    *("pods", "nodes", "deployments", "replicasets", "jobs", "ingresses", "horizontalpodautoscalers"),
    *("scaledobjects", "backups", "restores", "certificates"),
]
"""Not their subresources: to read `pods/exec` is to run commands, before Kubernetes 1.35."""


@proves_each_request(Proof.WORDS)
async def test_every_refusal_has_its_word(cluster: Cluster, deed: Deed, sent: Sent) -> None:
    """A status means the same word for every write, says who refused what, and 429 says when to try again."""
    name = deed.names[0]
    async with deed.prepared(cluster, name), fault_proxy(cluster.world.plane) as proxy:
        params = await deed.params(cluster, name)
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        for status, means in sent.meant.items():
            headers = {"Retry-After": "7"} if status == 429 else {}
            fault = Fault(Trouble.REFUSE, sent.path, sent.method, status, headers, means.times)
            proxy.faults[:] = [fault]
            async with acting(config) as performer:
                outcome = await performer.perform(step(deed.action, params, within=means.within))
            assert fault.times < means.times
            if means.state is OutcomeState.SUCCEEDED:
                assert outcome.state is means.state
                continue
            message = failed(outcome, means.kind, means.state)
            assert means.says.format(status=status) in message
            assert outcome.failure is not None
            assert outcome.failure.temporary is means.is_temporary
            assert outcome.failure.retry_after == (7.0 if means.kind == "rate_limited" else None)
        assert proxy.times(sent.method, sent.path) == 0


@proves_each_request(Proof.BROKEN)
async def test_dropped_and_hung_calls_are_in_doubt(cluster: Cluster, deed: Deed, sent: Sent) -> None:
    """A connection that breaks, or a server that never answers, leaves a write in doubt, in time."""
    name = deed.names[0]
    async with deed.prepared(cluster, name), fault_proxy(cluster.world.plane) as proxy:
        params = await deed.params(cluster, name)
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        for trouble, kind in ((Trouble.DROP, "connection_lost"), (Trouble.HANG, "timeout")):
            proxy.faults[:] = [Fault(trouble, sent.path, sent.method)]
            async with acting(config, request_timeout="1s") as performer:
                outcome = await performer.perform(step(deed.action, params))
            failed(outcome, kind, OutcomeState.IN_DOUBT)


@pytest.mark.parametrize("deed", DEEDS.values(), ids=list(DEEDS))
async def test_without_the_right_it_says_which(cluster: Cluster, deed: Deed) -> None:
    """A user who may read everything and change nothing is told verb, resource and API group of what is missing."""
    await _bind(
        cluster, "reader", [{"apiGroups": ["*"], "resources": READABLE, "verbs": ["get", "list", "watch"]}]
    )
    name, first = deed.names[0], next(iter(deed.sent.values()))
    async with deed.prepared(cluster, name), acting(cluster.kubeconfig("user-1")) as performer:
        outcome = await performer.perform(step(deed.action, await deed.params(cluster, name)))
    assert first.missing in failed(outcome, "denied")


async def _bind(cluster: Cluster, name: str, rules: list[dict[str, list[str]]]) -> None:
    """Give `user-1` these rights in the whole cluster; the same for every test, so that it may be there already."""
    root = "/apis/rbac.authorization.k8s.io/v1"
    group = "rbac.authorization.k8s.io"
    await cluster.api.ensure(f"{root}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "user-1"}],
    }
    await cluster.api.ensure(f"{root}/clusterrolebindings", binding)


async def test_credentials_that_are_not_accepted(cluster: Cluster) -> None:
    """The real server's 401 says where the credentials stand, and never what they are."""
    config = cluster.kubeconfig("user-2")
    wrong = config.with_name("kubeconfig-wrong")
    wrong.write_text(
        config.read_text(encoding="utf-8").replace("token-of-user-2", "canary"), encoding="utf-8"
    )
    call = step("kubernetes.cordon", {"node": "node-1"})
    async with acting(wrong) as performer:
        message = failed(await performer.perform(call), "denied")
    assert "actions.kubernetes.clusters" in message
    assert "canary" not in message


async def test_the_real_server_s_words_are_repeated(cluster: Cluster) -> None:
    """404 and 422 of the real server reach the reader in its own words."""
    await one_release(cluster, "ours")
    async with acting(cluster.kubeconfig()) as performer:
        there = {"namespace": cluster.namespace}
        gone = step("kubernetes.rollout_restart", {**there, "deployment": "gone"})
        assert 'deployments.apps "gone" not found' in failed(await performer.perform(gone), "not_found")
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "ours", "image": ""}]}}}}
        bad = step("kubernetes.patch", {**there, "kind": "deployments", "name": "ours", "patch": patch})
        assert "image: Required value" in failed(await performer.perform(bad), "invalid")
