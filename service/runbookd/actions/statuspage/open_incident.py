"""`statuspage.open_incident`: tell the public that something is wrong, at Atlassian Statuspage.

Changes the page: an incident, the status of its components, and a mail to each subscriber unless
`actions.statuspage.notify_subscribers` is off. Not undone: what was read cannot be unread; it ends with
`statuspage.update_incident` and the status `resolved`. There is one incident for one key: before one is made, and by
the probe, it is looked for. https://developer.statuspage.io/#operation/postPagesPageIdIncidents

Name and body are read by everybody, as they are given: no label text belongs in them that is not meant for the public.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from runbookd.actions.base import Action, Change, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.statuspage.client import (
    LONGEST_BODY,
    LONGEST_NAME,
    Components,
    Impact,
    Incident,
    Key,
    PublicText,
    Status,
    component_ids,
    create,
    cut,
    find,
    page_of,
)
from runbookd.model.action import Probed, Repeat, Spec


class Params(BaseParams):
    """What the public is told."""

    key: Key
    name: PublicText = Field(description="Its title; from 255 characters on it is cut.")
    status: Status = Field(default="investigating", description="How far it is.")
    body: PublicText = Field(description="The first update; from 25000 characters on it is cut.")
    impact: Impact = Field(default="minor", description="How bad it is for the public.")
    components: Components = Field(
        default_factory=dict,
        description="The status of each component it is about, by the names of `actions.statuspage.components`.",
    )


class Result(BaseResult):
    """The incident."""

    incident_id: str = Field(description="Its id.")
    status: str = Field(description="How far it is.")
    url: str = Field(description="Where the public reads it; empty when Statuspage did not say.")
    created: bool = Field(description="False when there was one with this key already.")


SPEC = Spec(
    name="statuspage.open_incident",
    summary="Open an incident on the public status page.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="Not undone: what the public has read stays read; end it with statuspage.update_incident.",
    timeout=timedelta(seconds=30),
    example={
        "key": "${incident.id}",
        "name": "The web shop is slow",
        "body": "Some orders take longer than usual. We are looking into it.",
        "impact": "major",
        "components": {"shop": "degraded_performance"},
    },
)


async def run(params: Params, context: Context) -> Result:
    """Open it, unless there is one with this key."""
    page = page_of(context)
    components = component_ids(page, params.components)
    there = (await find(context, page, params.key)).incident
    if there is not None:
        return _result(there, created=False)
    fields: dict[str, object] = {
        "name": cut(" ".join(params.name.split()), LONGEST_NAME),
        "status": params.status,
        "body": cut(params.body, LONGEST_BODY),
        "impact_override": params.impact,
        "deliver_notifications": page.notify_subscribers,
    }
    if components:
        fields |= {"components": components, "component_ids": list(components)}
    made = await create(context, page, params.key, fields)
    after = {"incident_id": made["id"], "status": params.status, "components": dict(params.components)}
    return _result(made, created=True).model_copy(update={"change": Change(before=None, after=after)})


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look for an incident with this key, resolved ones too."""
    there = (await find(context, page_of(context), params.key)).incident
    return (Probed.NOT_DONE, None) if there is None else (Probed.DONE, _result(there, created=True))


def _result(incident: Incident, *, created: bool) -> Result:
    return Result(
        incident_id=incident["id"],
        status=str(incident.get("status", "")),
        url=str(incident.get("shortlink") or ""),
        created=created,
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe)
