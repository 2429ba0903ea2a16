"""`pagerduty.send_change`: tell PagerDuty of a change, for whoever looks into the next incident of the service.

Changes PagerDuty: one more entry among the service's recent changes; nobody is rung. Not undone: PagerDuty forgets
changes after 90 days. Change events have no key of their own, so a repeat after a lost answer may show the change
twice, with the same key of ours in both; that does no harm, and so it may be repeated.
https://developer.pagerduty.com/docs/events-api-v2/send-change-events/
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from runbookd.actions.base import Action, AnyValue, Change, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.pagerduty import client
from runbookd.actions.pagerduty.limits import MAX_BODY, UNKNOWN, Link, fitted, one_line, size, web_links
from runbookd.language.values import utc_text
from runbookd.model.action import Repeat, Spec


class Params(BaseParams):
    """What was changed, where and when."""

    service_key: client.ServiceKey
    summary: str = Field(description="One line that says what was changed. Cut at 1024 characters.")
    source: str = Field(default="runbookd", description="Where it was changed.")
    timestamp: datetime | None = Field(default=None, description="When. null: now.")
    details: dict[str, AnyValue] = Field(
        default_factory=dict, description="More to read; cut when the event is longer than 512 KB."
    )
    links: list[Link] = Field(default_factory=list, description="Where to look; at most 20 are sent.")


class Result(BaseResult):
    """What PagerDuty took."""

    timestamp: datetime = Field(description="When the change was made, as it was told.")
    cut: list[str] = Field(description="What was too long for it, and how much of it was sent.")


SPEC = Spec(
    name="pagerduty.send_change",
    summary="Tell PagerDuty of a change, for whoever looks into the next incident.",
    mutates=True,
    repeat=Repeat.SAFE,
    undo="Not undone: PagerDuty keeps what it was told of changes for 90 days.",
    timeout=timedelta(seconds=10),
    example={
        "service_key": "${secret.pagerduty_key}",
        "summary": "Rolled ${inputs.deployment} back",
        "source": "${inputs.namespace}",
    },
)


async def run(params: Params, context: Context) -> Result:
    """Send the event once. Raises Rejected when PagerDuty refuses it, Unavailable when it should be sent again."""
    cuts: list[str] = []
    made_at = params.timestamp or context.call.intended_at or context.now()
    payload: dict[str, object] = {
        "summary": one_line("summary", params.summary, cuts) or UNKNOWN,
        "source": one_line("source", params.source, cuts) or UNKNOWN,
        "timestamp": utc_text(made_at),
    }
    links = web_links(params.links, cuts)
    details = {"runbookd key": context.call.key} | params.details
    payload["custom_details"] = fitted(details, MAX_BODY - size([payload, links]), cuts)
    await client.send_change(context, params.service_key, payload, links)
    change = Change(before=None, after={"summary": payload["summary"]})
    return Result(timestamp=made_at, cut=cuts, change=change)


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
