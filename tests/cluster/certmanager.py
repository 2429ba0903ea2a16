"""The played cert-manager: issues a Certificate when it is new or its condition Issuing is set to True.

A name with `fail` in it is refused (Issuing False, reason Failed), with `stuck` stays Issuing; all others get a new
key pair in their Secret, a new revision and later dates (pkg/controller/certificates/issuing of cert-manager).
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt

from tests.cluster.api import Api, ApiRefusalError, Object
from tests.cluster.custom_resources import CERTIFICATE
from tests.cluster.keys import Certificate, self_signed
from tests.cluster.pod_life import stamp

ISSUES_AFTER_S = 0.5
DAYS = 90


class CertManager:
    """Its issuing controller."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._busy: set[str] = set()

    async def serve(self) -> None:
        """Take care of every Certificate until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            async for change, found in self._api.watch(CERTIFICATE.path()):
                name, uid = found["metadata"]["name"], found["metadata"]["uid"]
                wanted = condition(found, "Issuing") == "True" or condition(found, "Ready") is None
                failed = condition(found, "Issuing") == "False"
                if (
                    change != "DELETED"
                    and wanted
                    and not failed
                    and "stuck" not in name
                    and uid not in self._busy
                ):
                    self._busy.add(uid)
                    tasks.create_task(self._issue(found))

    async def _issue(self, found: Object) -> None:
        """Issue one certificate; one that is deleted meanwhile is left."""
        namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
        try:
            await asyncio.sleep(ISSUES_AFTER_S)
            made = None
            if "fail" not in name:
                made = self_signed(found["spec"].get("dnsNames") or [name], DAYS)
                await self._keep(namespace, found["spec"]["secretName"], made)
            await self._set_status(CERTIFICATE.path(namespace, name), made)
        except ApiRefusalError as refusal:
            # The certificate or its namespace is gone or going.
            if refusal.status not in {403, 404}:
                raise
        finally:
            self._busy.discard(found["metadata"]["uid"])

    async def _set_status(self, path: str, made: Certificate | None) -> None:
        """Write the outcome into the newest status; None is a failure. A conflict is tried again."""
        while True:
            newest = await self._api.get(path)
            status = newest.get("status", {})
            newest["status"] = _failed(status) if made is None else _issued(status, made)
            try:
                await self._api.put(f"{path}/status", newest)
            except ApiRefusalError as refusal:
                if refusal.status != 409:
                    raise
            else:
                return

    async def _keep(self, namespace: str, name: str, made: Certificate) -> None:
        """Put the certificate and its key into the Secret."""
        data = {"tls.crt": made.certificate, "tls.key": made.key}
        encoded = {field: base64.b64encode(value).decode() for field, value in data.items()}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": name},
        }
        secrets = f"/api/v1/namespaces/{namespace}/secrets"
        await self._api.ensure(secrets, secret | {"data": encoded})
        await self._api.patch(f"{secrets}/{name}", {"data": encoded})


def condition(found: Object, name: str) -> str | None:
    """A condition's status, None when it is not there."""
    conditions = found.get("status", {}).get("conditions", [])
    return next((each["status"] for each in conditions if each["type"] == name), None)


def _issued(status: Object, made: Certificate) -> Object:
    """The status after an issuance: Ready, not Issuing, one revision further, with the new dates."""
    message = "Certificate is up to date and has not expired"
    ready = _condition("Ready", "True", "Ready", message)
    renewal = made.not_after - (made.not_after - made.not_before) / 3
    return status | {
        "conditions": [*_others(status, {"Ready", "Issuing"}), ready],
        "revision": status.get("revision", 0) + 1,
        "notBefore": stamp(made.not_before),
        "notAfter": stamp(made.not_after),
        "renewalTime": stamp(renewal),
        "failedIssuanceAttempts": None,
        "lastFailureTime": None,
    }


def _failed(status: Object) -> Object:
    """The status after a failed issuance: Issuing False, and what was Ready stays so."""
    message = "The certificate request has failed to complete and will be retried"
    conditions = [*_others(status, {"Issuing"}), _condition("Issuing", "False", "Failed", message)]
    if not any(each["type"] == "Ready" for each in conditions):
        conditions.append(
            _condition("Ready", "False", "DoesNotExist", "Issuing certificate as Secret does not exist")
        )
    return status | {
        "conditions": conditions,
        "failedIssuanceAttempts": status.get("failedIssuanceAttempts", 0) + 1,
        "lastFailureTime": stamp(dt.datetime.now(dt.UTC)),
    }


def _others(status: Object, names: set[str]) -> list[Object]:
    """The conditions of other names."""
    return [each for each in status.get("conditions", []) if each["type"] not in names]


def _condition(name: str, status: str, reason: str, message: str) -> Object:
    now = stamp(dt.datetime.now(dt.UTC))
    return {"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": now}
