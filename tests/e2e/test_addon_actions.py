"""Velero's and cert-manager's actions, against their custom resources on a real API server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbookd.model.action import Mode, OutcomeState
from tests.cluster.cluster import Cluster
from tests.cluster.custom_resources import BACKUP, CERTIFICATE, RESTORE
from tests.cluster.faults import Fault, Trouble, fault_proxy
from tests.contract.actions.hands import failed, succeeded
from tests.e2e.acting import Versions, acting, step
from tests.servers import eventually

IN_DOUBT = OutcomeState.IN_DOUBT


async def made(cluster: Cluster, kind: Any, key: str) -> list[Any]:
    """Velero's objects with the mark of a step."""
    items = (await cluster.api.get(kind.path("velero")))["items"]
    return [one for one in items if key in str(one["metadata"].get("annotations"))]


async def a_certificate(cluster: Cluster, name: str, secret: str | None = None, revision: int = 1) -> Any:
    """A Certificate, once it was issued so often."""
    path = CERTIFICATE.path(cluster.namespace)
    spec = {"secretName": secret or f"{name}-tls", "dnsNames": [f"{name}.example.com"]}
    body = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": name},
        "spec": spec,
    }
    await cluster.api.create(path, body)

    async def issued() -> Any:
        found = await cluster.api.get(f"{path}/{name}")
        return found if found.get("status", {}).get("revision", 0) >= revision else None

    return await eventually(issued, within=20, what=f"{name} is issued")


async def test_a_backup_is_made_once_and_waited_for(cluster: Cluster) -> None:
    """A backup whose answer was lost is not made again; its end is waited for, and found as the latest."""
    params = {
        "namespaces": [cluster.namespace],
        "keep": "7d",
        "snapshot_volumes": False,
        "labels": {"app": "web"},
    }
    async with fault_proxy(cluster.world.plane) as proxy:
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        async with acting(config) as performer:
            versions = Versions(cluster)
            before = await versions.still()
            seen = await performer.perform(step("velero.create_backup", params, mode=Mode.OBSERVE))
            assert succeeded(seen)["done"] is False
            assert seen.change is not None
            assert await versions.still() == before

            call = step("velero.create_backup", params)
            proxy.faults.append(Fault(Trouble.DROP_ANSWER, "/backups$", "POST"))
            failed(await performer.perform(call), "connection_lost", IN_DOUBT)
            output = succeeded(await performer.perform(call))
            assert (output["phase"], output["done"], output["items"]) == ("Completed", True, 12)
            assert succeeded(await performer.perform(call))["backup"] == output["backup"]
            (backup,) = await made(cluster, BACKUP, call.key)
            assert backup["spec"] == {
                "includedNamespaces": [cluster.namespace],
                "ttl": "604800s",
                "labelSelector": {"matchLabels": {"app": "web"}},
                "snapshotVolumes": False,
            }
            latest = succeeded(
                await performer.perform(step("velero.latest_backup", {"namespace": cluster.namespace}))
            )
            assert (latest["backup"], latest["count"]) == (output["backup"], 1)
            assert abs(latest["age"]) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("name", "phase", "said"),
    [
        ("x-partial", "PartiallyFailed", "1 errors"),
        ("x-fail", "Failed", "error uploading backup"),
        ("x-invalid", "FailedValidation", "the spec is not valid"),
    ],
)
async def test_a_backup_that_is_not_complete_has_failed(
    cluster: Cluster, name: str, phase: str, said: str
) -> None:
    """PartiallyFailed is no success; the reason is told, and what was seen is kept."""
    call = step("velero.create_backup", {"name": name, "namespaces": ["shop"]})
    async with acting(cluster.kubeconfig()) as performer:
        outcome = await performer.perform(call)
        message = failed(outcome, "check_failed")
        assert f"ended {phase}: {said}" in message
        assert outcome.output["phase"] == phase
        latest = succeeded(
            await performer.perform(step("velero.latest_backup", {"namespace": cluster.namespace}))
        )
        assert (latest["backup"], latest["age"], latest["count"]) == (None, None, 0)


async def test_a_backup_that_takes_longer_is_waited_for_again(cluster: Cluster) -> None:
    """When time is up the backup goes on, in doubt; the next attempt finds it, and makes none."""
    call = step("velero.create_backup", {"name": "x-stuck", "namespaces": ["shop"]}, within=4.0)
    async with acting(cluster.kubeconfig()) as performer:
        for _ in range(2):
            assert "next attempt waits" in failed(await performer.perform(call), "timeout", IN_DOUBT)
    assert len(await made(cluster, BACKUP, call.key)) == 1


async def test_restore(cluster: Cluster) -> None:
    """A backup is restored under another name, once; in place, or onto what is protected, only if that is allowed."""
    namespace, goal = cluster.namespace, f"{cluster.namespace}-recovery"
    async with acting(cluster.kubeconfig(), protected_namespaces=["kube-*"]) as performer:
        backup = succeeded(
            await performer.perform(step("velero.create_backup", {"namespaces": [namespace]}))
        )["backup"]
        source = {"backup": backup, "namespaces": [namespace]}
        mapped = {
            **source,
            "namespace_mapping": {namespace: goal},
            "existing": "update",
            "restore_volumes": True,
        }
        versions = Versions(cluster)
        before = await versions.still()
        seen = await performer.perform(step("velero.restore", mapped, mode=Mode.OBSERVE))
        assert succeeded(seen)["namespaces"] == [goal]
        assert await versions.still() == before
        call = step("velero.restore", mapped)
        output = succeeded(await performer.perform(call))
        assert (output["phase"], output["namespaces"]) == ("Completed", [goal])
        assert succeeded(await performer.perform(call))["restore"] == output["restore"]
        (restore,) = await made(cluster, RESTORE, call.key)
        assert restore["spec"] == {
            "includedNamespaces": [namespace],
            "backupName": backup,
            "namespaceMapping": {namespace: goal},
            "existingResourcePolicy": "update",
            "restorePVs": True,
        }
        in_place = await performer.perform(step("velero.restore", source))
        assert "onto itself" in failed(in_place, "refused")
        protected = {**source, "namespace_mapping": {namespace: "kube-system"}}
        assert "protected" in failed(await performer.perform(step("velero.restore", protected)), "refused")
        stray = {**source, "namespace_mapping": {"other": goal}}
        assert "other" in failed(await performer.perform(step("velero.restore", stray)), "invalid")
        partial = await performer.perform(step("velero.restore", {**mapped, "name": "x-partial"}))
        assert "PartiallyFailed" in failed(partial, "check_failed")
        nothing = {"schedule": "none", "namespaces": ["shop"], "allow_in_place": True}
        failed(await performer.perform(step("velero.restore", nothing)), "check_failed")


async def test_renew(cluster: Cluster) -> None:
    """A certificate is renewed once though the answer was lost, its other conditions stay, and observe only looks."""
    first = await a_certificate(cluster, "web")
    params = {"namespace": cluster.namespace, "certificate": "web", "not_within": "0s"}
    async with fault_proxy(cluster.world.plane) as proxy:
        config = cluster.world.plane.kubeconfig(server=proxy.url, namespace=cluster.namespace)
        async with acting(config) as performer:
            versions = Versions(cluster)
            before = await versions.still()
            seen = await performer.perform(step("certmanager.renew", params, mode=Mode.OBSERVE))
            assert (succeeded(seen)["done"], succeeded(seen)["revision_before"]) == (False, 1)
            assert await versions.still() == before

            call = step("certmanager.renew", params)
            proxy.faults.append(Fault(Trouble.DROP_ANSWER, "/status$", "PUT"))
            failed(await performer.perform(call), "connection_lost", IN_DOUBT)
            for _ in range(2):
                output = succeeded(await performer.perform(call))
                assert (output["done"], output["revision_before"], output["revision"]) == (True, 1, 2)
            assert proxy.times("PUT", "/status$") == 1
            lost = step("certmanager.renew", params)
            proxy.faults.append(Fault(Trouble.DROP, "/status$", "PUT"))
            failed(await performer.perform(lost), "connection_lost", IN_DOUBT)
            assert succeeded(await performer.perform(lost))["revision"] == 3
    found = await cluster.api.get(CERTIFICATE.path(cluster.namespace, "web"))
    assert {one["type"] for one in found["status"]["conditions"]} == {
        one["type"] for one in first["status"]["conditions"]
    }


async def test_what_is_not_renewed(cluster: Cluster) -> None:
    """One renewed just now, one that shares its Secret, and one that failed just now are refused with the reason."""
    await a_certificate(cluster, "web")
    there = {"namespace": cluster.namespace, "not_within": "0s"}
    async with acting(cluster.kubeconfig()) as performer:
        young = step("certmanager.renew", {"namespace": cluster.namespace, "certificate": "web"})
        assert "not_within" in failed(await performer.perform(young), "refused")
        await a_certificate(cluster, "fails", revision=0)
        path = CERTIFICATE.path(cluster.namespace, "fails")

        async def refused_once() -> bool:
            return bool((await cluster.api.get(path)).get("status", {}).get("lastFailureTime"))

        await eventually(refused_once, within=20, what="the first issuance failed")
        failing = step("certmanager.renew", {**there, "certificate": "fails"})
        assert "waits an hour" in failed(await performer.perform(failing), "refused")
        gone = step("certmanager.renew", {**there, "certificate": "gone"})
        failed(await performer.perform(gone), "not_found")
        await a_certificate(cluster, "same", secret="web-tls")
        shared = step("certmanager.renew", {**there, "certificate": "web"})
        assert "'web-tls', as does same" in failed(await performer.perform(shared), "refused")


async def test_a_renewal_that_fails_is_told(cluster: Cluster) -> None:
    """When cert-manager cannot issue it, the step fails with cert-manager's reason; asked again, it asks no more."""
    await a_certificate(cluster, "fails", revision=0)
    path = CERTIFICATE.path(cluster.namespace, "fails")

    async def refused_once() -> Any:
        found = await cluster.api.get(path)
        return found if found.get("status", {}).get("lastFailureTime") else None

    found = await eventually(refused_once, within=20, what="the first issuance failed")
    found["status"]["lastFailureTime"] = "2020-01-01T00:00:00Z"
    await cluster.api.put(f"{path}/status", found)
    call = step("certmanager.renew", {"namespace": cluster.namespace, "certificate": "fails"})
    async with acting(cluster.kubeconfig()) as performer:
        for _ in range(2):
            outcome = await performer.perform(call)
            assert "failed to complete" in failed(outcome, "check_failed")
            assert outcome.output["done"] is False
    assert (await cluster.api.get(path))["status"]["failedIssuanceAttempts"] == 2


async def test_get_certificates(cluster: Cluster) -> None:
    """Certificates are told with their days left, those that end first at the top, and chosen by what is asked."""
    await a_certificate(cluster, "web")
    await a_certificate(cluster, "stuck", revision=0)
    there = {"namespace": cluster.namespace}
    async with acting(cluster.kubeconfig()) as performer:
        every = succeeded(await performer.perform(step("certmanager.get_certificates", there)))
        assert [one["name"] for one in every["certificates"]] == ["web", "stuck"]
        assert (every["count"], every["truncated"]) == (2, False)
        web = every["certificates"][0]
        assert (web["ready"], web["secret"], web["dns_names"]) == (True, "web-tls", ["web.example.com"])
        assert 89 < web["days_left"] <= 90
        assert web["not_after"] > datetime.now(UTC)
        assert every["least_days_left"] == web["days_left"]
        for asked in ({"expires_within": "30d"}, {"not_ready": True}):
            some = succeeded(
                await performer.perform(step("certmanager.get_certificates", {**there, **asked}))
            )
            assert [one["name"] for one in some["certificates"]] == ["stuck"]
        one = succeeded(await performer.perform(step("certmanager.get_certificates", {**there, "most": 1})))
        assert (len(one["certificates"]), one["count"], one["truncated"]) == (1, 2, True)
