"""`pagerduty.send_event`: page, or tell a page that somebody has it or that it is over.

Changes PagerDuty: `trigger` opens an alert and its incident, which rings whoever is on call; `acknowledge` and
`resolve` change the open one with the same key, and do nothing when there is none. Not undone: nobody can be un-rung;
`resolve` ends what `trigger` began. Safe to repeat, because an open alert takes a second trigger with its key in; when
somebody resolved it in between, the repeat opens a new one. Accepted means that PagerDuty has the event, not that
anybody was reached. Texts PagerDuty would refuse are cut, and its details say so.
https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from runbookd.actions.base import Action, AnyValue, Change, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.pagerduty import client
from runbookd.actions.pagerduty.limits import (
    MAX_BODY,
    UNKNOWN,
    Link,
    Words,
    dedup_key_of,
    fitted,
    one_line,
    size,
    web_links,
)
from runbookd.model.action import Repeat, Spec

_CLIENT = "runbookd"
"""How PagerDuty names the sender of what it tells others."""


class Params(BaseParams):
    """What happened, to which alert, for which service."""

    service_key: client.ServiceKey
    action: Literal["trigger", "acknowledge", "resolve"] = Field(
        default="trigger", description="Open the alert, say that somebody has it, or that it is over."
    )
    dedup_key: Words = Field(
        description="Our name for the alert: events with the same are about the same. Beyond 255 characters: hashed.",
    )
    summary: str = Field(
        default="", description="One line that says what is wrong; needed to trigger. Cut at 1024 characters."
    )
    source: str = Field(default="runbookd", description="What is affected: a host, a service.")
    severity: Literal["critical", "error", "warning", "info"] = Field(
        default="critical", description="How bad it is, in PagerDuty's words."
    )
    component: str | None = Field(default=None, description="The part of the source that is broken.")
    group: str | None = Field(default=None, description="What the source belongs to.")
    class_: str | None = Field(default=None, alias="class", description="The kind of trouble.")
    details: dict[str, AnyValue] = Field(
        default_factory=dict, description="More to read; cut when the event is longer than 512 KB."
    )
    links: list[Link] = Field(default_factory=list, description="Where to look; at most 20 are sent.")

    @model_validator(mode="after")
    def _says_what(self) -> Params:
        if self.action == "trigger" and "summary" not in self.model_fields_set:
            message = "to trigger, a `summary` is needed"
            raise ValueError(message)
        return self


class Result(BaseResult):
    """What PagerDuty took."""

    dedup_key: str = Field(description="The key it knows the alert by.")
    cut: list[str] = Field(description="What was too long for it, and how much of it was sent.")


SPEC = Spec(
    name="pagerduty.send_event",
    summary="Page, or tell a page that somebody has it or that it is over.",
    mutates=True,
    repeat=Repeat.SAFE,
    undo="Not undone: nobody can be un-rung; the action `resolve` ends what `trigger` began.",
    timeout=timedelta(seconds=10),
    example={
        "service_key": "${secret.pagerduty_key}",
        "action": "trigger",
        "dedup_key": "${incident.id}",
        "summary": "${incident.title}",
        "severity": "critical",
    },
)


async def run(params: Params, context: Context) -> Result:
    """Send the event once. Raises Rejected when PagerDuty refuses it, Unavailable when it should be sent again."""
    key, cuts = dedup_key_of(params.dedup_key), list[str]()
    properties = _opening(params, cuts) if params.action == "trigger" else {}
    known = await client.send_event(context, params.service_key, params.action, key, properties)
    change = Change(before=None, after={"action": params.action, "dedup_key": known})
    return Result(dedup_key=known, cut=cuts, change=change)


def _opening(params: Params, cuts: list[str]) -> dict[str, object]:
    """What a trigger says beside its key; `cuts` gets what did not fit."""
    payload: dict[str, object] = {
        "summary": one_line("summary", params.summary, cuts) or UNKNOWN,
        "source": one_line("source", params.source, cuts) or UNKNOWN,
        "severity": params.severity,
    }
    for name, text in (("component", params.component), ("group", params.group), ("class", params.class_)):
        if text and (said := one_line(name, text, cuts)):
            payload[name] = said
    event: dict[str, object] = {"client": _CLIENT, "payload": payload}
    if links := web_links(params.links, cuts):
        event["links"] = links
    if details := fitted(params.details, MAX_BODY - size(event), cuts):
        payload["custom_details"] = details
    return event


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
