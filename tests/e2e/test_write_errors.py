"""What every write of the cluster makes of an API server that refuses, drops or hangs: one word each, and no doubt
where there is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import pytest

from runbookd.model.action import OutcomeState
from tests.cluster.cluster import Cluster
from tests.cluster.custom_resources import CERTIFICATE
from tests.cluster.faults import Fault, Trouble, fault_proxy
from tests.contract.actions.hands import failed
from tests.e2e.acting import WRITES, acting, an_ingress, nothing, one_release, step
from tests.servers import eventually

FAILED, IN_DOUBT = OutcomeState.FAILED, OutcomeState.IN_DOUBT
STATUSES = {
    401: ("denied", FAILED),
    403: ("denied", FAILED),
    404: ("not_found", FAILED),
    409: ("conflict", FAILED),
    422: ("invalid", FAILED),
    429: ("rate_limited", FAILED),
    500: ("server_error", IN_DOUBT),
    502: ("server_error", IN_DOUBT),
    503: ("unavailable", FAILED),
    504: ("server_error", IN_DOUBT),
}
TWICE = {401: 2}
"""A 401 is asked once more, with credentials read anew."""


@dataclass(frozen=True)
class Caller:
    """A write: what it is given, what has to be there, and the request that changes something."""

    action: str
    params: Mapping[str, object]
    prepare: Callable[[Cluster, str], Awaitable[None]]
    method: str
    path: str
    meant: Mapping[int, tuple[str, OutcomeState]]
    missing: str
    namespaced: bool = True


async def a_certificate(cluster: Cluster, name: str) -> None:
    """A Certificate that was issued."""
    spec = {"secretName": f"{name}-tls", "dnsNames": ["x.example.com"]}
    body = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": name},
        "spec": spec,
    }
    await cluster.api.create(CERTIFICATE.path(cluster.namespace), body)
    path = CERTIFICATE.path(cluster.namespace, name)

    async def issued() -> bool:
        return bool((await cluster.api.get(path)).get("status", {}).get("revision"))

    await eventually(issued, within=20, what="the certificate is issued")


async def a_pod(cluster: Cluster, name: str) -> None:
    """A pod of this very name, ready."""
    body = {"metadata": {"name": name}, "spec": {"containers": [{"name": name, "image": "app:good-1"}]}}
    await cluster.api.create(cluster.path("pods"), body)

    async def ready() -> bool:
        found = await cluster.api.get(cluster.path("pods", name))
        return bool(found["status"]["phase"] == "Running")

    await eventually(ready, within=20, what="the pod runs")


def _patch(name: str) -> Caller:
    write = WRITES[name]
    kind = write.path.rpartition("/")[2]
    prepare = {"ingresses": an_ingress, "nodes": nothing}.get(kind, one_release)
    group = write.path.split("/")[2] if write.path.startswith("/apis") else ""
    return Caller(
        action=write.action,
        params={**write.params(write.names[0])},
        prepare=prepare,
        method="PATCH",
        path=f"/{kind}/[^/]+$",
        meant=STATUSES,
        missing=f'verb "patch" on "{kind}" (API group "{group}")',
        namespaced=write.namespaced,
    )


JOB = {"name": "tidy", "image": "app:good-1", "command": ["true"]}
SAFE_DELETE = {**STATUSES, 404: ("", OutcomeState.SUCCEEDED)}
CALLERS: Mapping[str, Caller] = {
    **{
        name: _patch(name)
        for name in ("rollout_restart", "scale", "patch merge", "set_env", "annotate_ingress", "cordon")
    },
    "delete_pod": Caller(
        "kubernetes.delete_pod",
        {"pod": "ours", "allow_bare": True},
        a_pod,
        "DELETE",
        "/pods/ours$",
        SAFE_DELETE,
        'verb "delete" on "pods"',
    ),
    "run_job": Caller(
        "kubernetes.run_job",
        {**JOB, "wait": False},
        nothing,
        "POST",
        "/jobs$",
        STATUSES,
        'verb "create" on "jobs"',
    ),
    "exec": Caller(
        "kubernetes.exec",
        {"pod": "ours", "command": ["true"]},
        a_pod,
        "GET",
        "/pods/ours/exec$",
        STATUSES,
        'verb "create" on "pods/exec"',
    ),
    "create_backup": Caller(
        "velero.create_backup",
        {"namespaces": ["shop"], "wait": False},
        nothing,
        "POST",
        "/backups$",
        STATUSES,
        'verb "create" on "backups" (API group "velero.io")',
        namespaced=False,
    ),
    "restore": Caller(
        "velero.restore",
        {"backup": "x", "namespaces": ["shop"], "namespace_mapping": {"shop": "shop-2"}, "wait": False},
        nothing,
        "POST",
        "/restores$",
        STATUSES,
        'verb "create" on "restores" (API group "velero.io")',
        namespaced=False,
    ),
    "renew": Caller(
        "certmanager.renew",
        {"certificate": "ours", "not_within": "0s", "wait": False},
        a_certificate,
        "PATCH",
        "/certificates/ours$",
        STATUSES,
        'verb "patch" on "certificates" (API group "cert-manager.io")',
    ),
}

READABLE = [
    *("pods", "nodes", "deployments", "replicasets", "jobs", "ingresses", "horizontalpodautoscalers"),
    *("scaledobjects", "backups", "restores", "certificates"),
]
"""Not their subresources: to read `pods/exec` is to run commands, before Kubernetes 1.35."""

each_caller = pytest.mark.parametrize("caller", CALLERS.values(), ids=list(CALLERS))


def with_namespace(caller: Caller, cluster: Cluster) -> Mapping[str, object]:
    """The parameters, in the test's own namespace."""
    place = {"namespace": cluster.namespace} if caller.namespaced else {}
    return {**place, **caller.params}


@each_caller
async def test_every_refusal_has_its_word(cluster: Cluster, caller: Caller) -> None:
    """A status means the same word for every write, says who refused what, and 429 says when to try again."""
    await caller.prepare(cluster, "ours")
    params = with_namespace(caller, cluster)
    async with fault_proxy(cluster.world.plane) as proxy:
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        for status, (kind, state) in caller.meant.items():
            headers = {"Retry-After": "7"} if status == 429 else {}
            times = TWICE.get(status, 1)
            proxy.faults[:] = [Fault(Trouble.REFUSE, caller.path, caller.method, status, headers, times)]
            async with acting(config) as performer:
                outcome = await performer.perform(step(caller.action, params))
            if state is OutcomeState.SUCCEEDED:
                assert outcome.state is state
                continue
            message = failed(outcome, kind, state)
            assert f"cluster 'test' answered {status}" in message
            assert outcome.failure is not None
            assert outcome.failure.temporary is (status in {429, 500, 502, 503, 504})
            assert outcome.failure.retry_after == (7.0 if status == 429 else None)


@each_caller
async def test_dropped_and_hung_calls_are_in_doubt(cluster: Cluster, caller: Caller) -> None:
    """A connection that breaks, or a server that never answers, leaves a write in doubt, in time."""
    await caller.prepare(cluster, "ours")
    params = with_namespace(caller, cluster)
    async with fault_proxy(cluster.world.plane) as proxy:
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        for trouble, kind in ((Trouble.DROP, "connection_lost"), (Trouble.HANG, "timeout")):
            proxy.faults[:] = [Fault(trouble, caller.path, caller.method)]
            async with acting(config, request_timeout="1s") as performer:
                outcome = await performer.perform(step(caller.action, params))
            failed(outcome, kind, IN_DOUBT)


@each_caller
async def test_without_the_right_it_says_which(cluster: Cluster, caller: Caller) -> None:
    """A user who may read everything and change nothing is told verb, resource and API group of what is missing."""
    await caller.prepare(cluster, "ours")
    await _bind(
        cluster, "reader", [{"apiGroups": ["*"], "resources": READABLE, "verbs": ["get", "list", "watch"]}]
    )
    async with acting(cluster.kubeconfig("user-1")) as performer:
        outcome = await performer.perform(step(caller.action, with_namespace(caller, cluster)))
    assert caller.missing in failed(outcome, "denied")


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
