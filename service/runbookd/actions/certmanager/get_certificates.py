"""`certmanager.get_certificates`: the certificates cert-manager keeps, those that end first at the top.

Changes nothing, so there is nothing to undo.
https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.Certificate
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.certmanager.certificates import CERTIFICATE, Certificate, summary
from runbookd.actions.kubernetes.cluster import ClusterName, cluster
from runbookd.actions.kubernetes.kinds import Namespace, Selector, permission
from runbookd.model.action import Repeat, Spec
from runbookd.model.base import Duration

_NEVER = datetime.max.replace(tzinfo=UTC)


class Params(BaseParams):
    """Which certificates."""

    cluster: ClusterName = None
    namespace: Namespace | None = Field(default=None, description="The namespace. null: all.")
    selector: Selector | None = Field(default=None, description="Label selector. null: every certificate.")
    expires_within: Duration | None = Field(
        default=None, description="Only those that end within this time, or have ended. null: all."
    )
    not_ready: bool = Field(default=False, description="Only those that are not ready.")
    most: int = Field(default=200, ge=1, le=2000, description="How many are told; the first to end.")


class Result(BaseResult):
    """The certificates."""

    certificates: list[Certificate] = Field(description="The certificates, the first to end at the top.")
    count: int = Field(description="How many there are, told or not.")
    truncated: bool = Field(description="Whether there are more than are told.")
    least_days_left: float | None = Field(description="Days until the first ends. null: there is none.")


SPEC = Spec(
    name="certmanager.get_certificates",
    summary="List the certificates cert-manager keeps, and when they end.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=30),
    example={"namespace": "medinovai", "expires_within": "21d"},
    permissions=(permission(CERTIFICATE, "list"),),
)


async def run(params: Params, context: Context) -> Result:
    """Look through all, page by page."""
    where = await cluster(context, params.cluster)
    now = context.now()
    found: list[Certificate] = []
    count = 0
    async for page in where.pages(CERTIFICATE, params.namespace, labels=params.selector):
        kept = [one for one in (summary(item, now) for item in page) if counts(one, params, now)]
        count += len(kept)
        found = sorted([*found, *kept], key=_order)[: params.most]
    return Result(
        certificates=found,
        count=count,
        truncated=count > len(found),
        least_days_left=found[0].days_left if found else None,
    )


def counts(certificate: Certificate, params: Params, now: datetime) -> bool:
    """Whether it is one of those that are asked for; one that was never issued ends before all others."""
    if params.not_ready and certificate.ready:
        return False
    ends = certificate.not_after
    return params.expires_within is None or ends is None or ends - now <= params.expires_within


def _order(certificate: Certificate) -> tuple[datetime, str, str]:
    return certificate.not_after or _NEVER, certificate.namespace, certificate.name


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
