"""The played Velero and cert-manager move their objects through the phases of the real ones."""

from __future__ import annotations

import pytest

from tests.cluster.api import Object
from tests.cluster.certmanager import condition
from tests.cluster.cluster import Cluster
from tests.cluster.custom_resources import BACKUP, CERTIFICATE, RESTORE, Kind
from tests.cluster.velero import NAMESPACE as VELERO
from tests.servers import eventually


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("nightly", "Completed"),
        ("nightly-partial", "PartiallyFailed"),
        ("nightly-fails", "Failed"),
        ("nightly-invalid", "FailedValidation"),
    ],
)
async def test_velero_phases(cluster: Cluster, name: str, last: str) -> None:
    """A Backup, and a Restore from it, come to the phase that the name asks for."""
    unique = f"{name}-{cluster.namespace.rpartition('-')[2]}"  # the words of the namespace are not to decide
    backup: Object = {"includedNamespaces": [cluster.namespace], "storageLocation": "default"}
    ended = await _phases(cluster, BACKUP, unique, backup, last)
    if last in {"Completed", "PartiallyFailed"}:
        assert ended["status"]["completionTimestamp"]
        restore = {"backupName": unique, "namespaceMapping": {cluster.namespace: "elsewhere"}}
        await _phases(cluster, RESTORE, unique, restore, last)


async def test_velero_outcome_by_namespace(cluster: Cluster) -> None:
    """A test says how backups of its namespace end, whatever their name; a restore of nothing is not valid."""
    cluster.world.velero.outcomes[cluster.namespace] = "PartiallyFailed"
    spec = {"includedNamespaces": [cluster.namespace]}
    await _phases(cluster, BACKUP, "any-name", spec, "PartiallyFailed")
    await _phases(cluster, RESTORE, "of-nothing", {"backupName": "none"}, "FailedValidation")


async def _phases(cluster: Cluster, kind: Kind, name: str, spec: Object, last: str) -> Object:
    """Create an object of Velero's and give it once it has come to this phase."""
    body = {"apiVersion": "velero.io/v1", "kind": kind.kind, "metadata": {"name": name}, "spec": spec}
    await cluster.api.create(kind.path(VELERO), body)

    async def ended() -> Object | None:
        found = await cluster.api.get(kind.path(VELERO, name))
        return found if found.get("status", {}).get("phase") == last else None

    return await eventually(ended, within=20, what=f"{name} is {last}")


async def test_a_certificate_is_issued_and_renewed(cluster: Cluster) -> None:
    """A new Certificate becomes Ready with a key pair; setting Issuing gives another, and a later revision."""
    first = await _certificate(cluster, "web", "Ready", "True")
    secret = await cluster.api.get(cluster.path("secrets", "web-tls"))
    path = CERTIFICATE.path(cluster.namespace, "web")
    issuing = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered"}
    first["status"]["conditions"].append(issuing)
    await cluster.api.put(f"{path}/status", first)

    async def renewed() -> Object | None:
        found = await cluster.api.get(path)
        return found if found["status"]["revision"] == 2 and condition(found, "Issuing") is None else None

    found = await eventually(renewed, within=20, what="the certificate is renewed")
    assert condition(found, "Ready") == "True"
    assert found["status"]["notAfter"] >= first["status"]["notAfter"]
    assert (await cluster.api.get(cluster.path("secrets", "web-tls")))["data"] != secret["data"]


async def test_a_certificate_that_fails(cluster: Cluster) -> None:
    """A Certificate that cannot be issued says Issuing False, with its failed attempts."""
    found = await _certificate(cluster, "fails", "Issuing", "False")
    assert found["status"]["failedIssuanceAttempts"] == 1
    assert condition(found, "Ready") == "False"


async def _certificate(cluster: Cluster, name: str, which: str, status: str) -> Object:
    """Create a Certificate and give it once a condition is so."""
    issuer = {"name": "ca", "kind": "ClusterIssuer"}
    spec = {"secretName": f"{name}-tls", "dnsNames": [f"{name}.example"], "issuerRef": issuer}
    body = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": name},
        "spec": spec,
    }
    await cluster.api.create(CERTIFICATE.path(cluster.namespace), body)

    async def so() -> Object | None:
        found = await cluster.api.get(CERTIFICATE.path(cluster.namespace, name))
        return found if condition(found, which) == status else None

    return await eventually(so, within=20, what=f"{name} is {which} {status}")
