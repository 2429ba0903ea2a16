"""A cert-manager Certificate, in few words.

https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.Certificate
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from runbookd.actions.kubernetes.events import moment
from runbookd.actions.kubernetes.fields import condition
from runbookd.actions.kubernetes.kinds import Json, Kind

CERTIFICATE = Kind("cert-manager.io", "v1", "certificates", "Certificate")
_DAY = 86_400.0


class Certificate(BaseModel):
    """One Certificate."""

    namespace: str = Field(description="Its namespace.")
    name: str = Field(description="Its name.")
    ready: bool = Field(description="Whether there is a certificate, up to date and not expired.")
    issuing: bool = Field(description="Whether a new one is being issued now.")
    message: str = Field(description="What cert-manager says of it.")
    dns_names: list[str] = Field(description="The names it is for.")
    secret: str = Field(description="The Secret it is kept in.")
    not_before: datetime | None = Field(description="When it began to be valid. null: there is none yet.")
    not_after: datetime | None = Field(description="When it ends to be valid. null: there is none yet.")
    renewal_at: datetime | None = Field(description="When cert-manager renews it. null: not known.")
    days_left: float | None = Field(
        description="Days until it ends, negative after. null: there is none yet."
    )
    revision: int = Field(description="How often it was issued.")
    failed_attempts: int = Field(description="Issuances that failed since the last good one.")
    last_failure_at: datetime | None = Field(description="When the last of them did. null: none did.")


def summary(found: Json, now: datetime) -> Certificate:
    """The Certificate in few words."""
    metadata, spec, status = found["metadata"], found["spec"], found.get("status") or {}
    ends = moment(status.get("notAfter"))
    ready, issuing = condition(found, "Ready") or {}, condition(found, "Issuing") or {}
    return Certificate(
        namespace=metadata["namespace"],
        name=metadata["name"],
        ready=ready.get("status") == "True",
        issuing=issuing.get("status") == "True",
        message=issuing.get("message") or ready.get("message") or "",
        dns_names=spec.get("dnsNames") or [],
        secret=spec.get("secretName", ""),
        not_before=moment(status.get("notBefore")),
        not_after=ends,
        renewal_at=moment(status.get("renewalTime")),
        days_left=None if ends is None else round((ends - now).total_seconds() / _DAY, 2),
        revision=status.get("revision") or 0,
        failed_attempts=status.get("failedIssuanceAttempts") or 0,
        last_failure_at=moment(status.get("lastFailureTime")),
    )
