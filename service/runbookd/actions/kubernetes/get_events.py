"""`kubernetes.get_events`: what Kubernetes says has happened, the latest first.

Changes nothing, so there is nothing to undo. A cluster keeps events for about an hour.
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from __future__ import annotations

import heapq
from collections import Counter
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.kubernetes.cluster import ClusterName, cluster
from runbookd.actions.kubernetes.events import first_seen, last_seen, times_seen
from runbookd.actions.kubernetes.kinds import EVENT, Json, Namespace, ObjectName, permission
from runbookd.model.action import Repeat, Spec
from runbookd.model.base import Duration


class Params(BaseParams):
    """Which events."""

    cluster: ClusterName = None
    namespace: Namespace | None = Field(default=None, description="The namespace. null: every one.")
    type: Literal["Normal", "Warning"] | None = Field(
        default=None, description="Only events of this type. null: both."
    )
    reasons: list[str] = Field(
        default_factory=list,
        description="Only events with one of these reasons, such as `BackOff`. Empty: any.",
    )
    object_kind: str | None = Field(
        default=None, pattern=r"^[A-Za-z]{1,63}$", description="Only events about this kind, such as `Pod`."
    )
    object_name: ObjectName | None = Field(
        default=None, description="Only events about the object of this name. null: any."
    )
    since: Duration | None = Field(
        default=None, description="Only events seen within this time. null: all that are kept."
    )
    most: int = Field(default=50, ge=1, le=1000, description="Events to return, the latest.")


class Event(BaseModel):
    """One event."""

    last_seen: datetime = Field(description="When it was last seen.")
    first_seen: datetime = Field(description="When it was first seen.")
    count: int = Field(description="How often it was seen.")
    type: str = Field(description="`Normal` or `Warning`.")
    reason: str = Field(description="A word for it, such as `BackOff`.")
    message: str = Field(description="What happened.")
    namespace: str = Field(description='The namespace of what it is about; "" for none.')
    object: str = Field(description="What it is about, as `Pod/api-6b7f`.")
    source: str = Field(description='Who says so, such as `kubelet`; "" when it does not say.')


class Result(BaseResult):
    """The events found; the counts are of all that fit, shown or not."""

    events: list[Event] = Field(description="The latest first.")
    count: int = Field(description="How many events fit.")
    reasons: dict[str, int] = Field(description="How many of them have each reason.")
    truncated: bool = Field(description="True when more fit than are shown.")


SPEC = Spec(
    name="kubernetes.get_events",
    summary="List events, the latest first.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=30),
    example={"namespace": "shop", "type": "Warning", "since": "1h"},
    permissions=(permission(EVENT, "list"),),
)


async def run(params: Params, context: Context) -> Result:
    """List them, page by page, keeping no more than asked for."""
    where = await cluster(context, params.cluster)
    oldest = None if params.since is None else context.now() - params.since
    latest: list[tuple[datetime, int, Json]] = []
    reasons: Counter[str] = Counter()
    async for found in where.each(EVENT, params.namespace, fields=_fields(params)):
        seen, reason = last_seen(found), found.get("reason") or ""
        if (oldest is not None and seen < oldest) or (params.reasons and reason not in params.reasons):
            continue
        reasons[reason] += 1
        # The count breaks ties, so that two events are never compared themselves.
        heapq.heappush(latest, (seen, -reasons.total(), found))
        if len(latest) > params.most:
            heapq.heappop(latest)
    count = reasons.total()
    return Result(
        events=[_event(found) for _, _, found in sorted(latest, key=lambda one: one[:2], reverse=True)],
        count=count,
        reasons=dict(sorted(reasons.items())),
        truncated=count > len(latest),
    )


def _fields(params: Params) -> str | None:
    """The field selector of what the server itself can sort out."""
    wanted = {
        "type": params.type,
        "involvedObject.kind": params.object_kind,
        "involvedObject.name": params.object_name,
    }
    return ",".join(f"{name}={text}" for name, text in wanted.items() if text) or None


def _event(found: Json) -> Event:
    about = found.get("involvedObject") or {}
    return Event(
        last_seen=last_seen(found),
        first_seen=first_seen(found),
        count=times_seen(found),
        type=found.get("type") or "",
        reason=found.get("reason") or "",
        message=found.get("message") or "",
        namespace=about.get("namespace") or "",
        object=f"{about.get('kind', '')}/{about.get('name', '')}",
        source=found.get("reportingComponent") or (found.get("source") or {}).get("component") or "",
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
