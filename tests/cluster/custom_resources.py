"""The custom resources that the harness serves as the real add-ons' would be: metrics.k8s.io, Velero, cert-manager.

Names and versions are the real ones; the schemas keep unknown fields rather than list them all.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from tests.cluster.api import Api, ApiRefusalError, Object
from tests.servers import eventually

CONDITIONS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
    "items": {
        "type": "object",
        "required": ["type", "status"],
        "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
        "x-kubernetes-preserve-unknown-fields": True,
    },
}
"""Conditions that server-side apply merges by their type, as cert-manager's are."""
REGISTERED_WITHIN = 20.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A custom resource; `status`: whether its status is a subresource of its own."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    status: bool = False

    def path(self, namespace: str | None = None, name: str = "") -> str:
        """Where an object, or with no name the collection, is in the API; no namespace: everywhere."""
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"/apis/{self.group}/{self.version}{scope}/{self.plural}" + (f"/{name}" if name else "")

    def definition(self) -> Object:
        """The CustomResourceDefinition."""
        schema: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        if self.status:
            fields = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            schema["properties"] = {"status": fields | {"properties": {"conditions": CONDITIONS}}}
        version = {
            "name": self.version,
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}} if self.status else {},
        }
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": f"{self.plural}.{self.group}",
                # Groups below k8s.io need a word about their approval.
                "annotations": {"api-approved.kubernetes.io": "unapproved, experimental-only"},
            },
            "spec": {
                "group": self.group,
                "scope": "Namespaced" if self.namespaced else "Cluster",
                "names": {"plural": self.plural, "singular": self.kind.lower(), "kind": self.kind},
                "versions": [version],
            },
        }


POD_METRICS = Kind("metrics.k8s.io", "v1beta1", "PodMetrics", "pods")
NODE_METRICS = Kind("metrics.k8s.io", "v1beta1", "NodeMetrics", "nodes", namespaced=False)
# Velero's kinds have no status subresource: its server patches the whole object (pkg/apis/velero/v1).
BACKUP = Kind("velero.io", "v1", "Backup", "backups")
RESTORE = Kind("velero.io", "v1", "Restore", "restores")
SCHEDULE = Kind("velero.io", "v1", "Schedule", "schedules")
STORAGE_LOCATION = Kind("velero.io", "v1", "BackupStorageLocation", "backupstoragelocations")
CERTIFICATE = Kind("cert-manager.io", "v1", "Certificate", "certificates", status=True)
REQUEST = Kind("cert-manager.io", "v1", "CertificateRequest", "certificaterequests", status=True)
ISSUER = Kind("cert-manager.io", "v1", "Issuer", "issuers", status=True)
CLUSTER_ISSUER = Kind(
    "cert-manager.io", "v1", "ClusterIssuer", "clusterissuers", namespaced=False, status=True
)
SCALED_OBJECT = Kind("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
KINDS = (
    *(POD_METRICS, NODE_METRICS, BACKUP, RESTORE, SCHEDULE, STORAGE_LOCATION),
    *(CERTIFICATE, REQUEST, ISSUER, CLUSTER_ISSUER, SCALED_OBJECT),
)


async def register(api: Api) -> None:
    """Define every kind, and return once the API server serves them."""
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await asyncio.gather(*(api.ensure(definitions, kind.definition()) for kind in KINDS))

    async def served() -> bool:
        try:
            await asyncio.gather(*(api.get(kind.path()) for kind in KINDS))
        except ApiRefusalError:
            return False
        return True

    await eventually(served, within=REGISTERED_WITHIN, what="the custom resources are served")
