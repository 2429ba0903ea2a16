"""`statuspage.update_incident`: tell the public how an incident goes on, or that it is over.

Changes the page: an update of the incident that was opened under the key, the status of components, and a mail to
each subscriber unless `actions.statuspage.notify_subscribers` is off. Not undone: what was read cannot be unread;
say what holds instead in another update. Whether an update was made is seen by its text and status, which is what the
probe looks for. https://developer.statuspage.io/#operation/patchPagesPageIdIncidentsIncidentId

With the status `resolved`, components of the incident that are not named become operational, unless they belong to
another unresolved incident or are under maintenance: Statuspage itself would leave them as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from runbookd.actions.base import Action, Change, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.failures import Rejected
from runbookd.actions.statuspage.client import (
    LONGEST_BODY,
    Components,
    ComponentStatus,
    Found,
    Incident,
    Key,
    PublicText,
    Status,
    change,
    component_ids,
    cut,
    find,
    page_of,
)
from runbookd.model.action import Probed, Repeat, Spec

_CLOCKS_APART = timedelta(minutes=5)
"""How far Statuspage's clock may be from ours."""


class Params(BaseParams):
    """What the public is told now."""

    key: Key
    status: Status = Field(description="How far it is; `resolved` ends it.")
    body: PublicText = Field(description="What it says; from 25000 characters on it is cut.")
    components: Components = Field(
        default_factory=dict,
        description="The status of components from now on, by the names of `actions.statuspage.components`. Those "
        "not named stay as they are, or become operational with the status `resolved`.",
    )


class Result(BaseResult):
    """The incident."""

    incident_id: str = Field(description="Its id.")
    status: str = Field(description="How far it is.")
    url: str = Field(description="Where the public reads it; empty when Statuspage did not say.")
    sent: bool = Field(description="False when an earlier attempt had said the same.")


SPEC = Spec(
    name="statuspage.update_incident",
    summary="Update or resolve an incident on the public status page.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="Not undone: what the public has read stays read; say what holds in another update.",
    timeout=timedelta(seconds=30),
    example={
        "key": "${incident.id}",
        "status": "resolved",
        "body": "Orders are as quick as usual again.",
        "components": {"shop": "operational"},
    },
)


async def run(params: Params, context: Context) -> Result:
    """Add the update. Raises Rejected (`not_found`) when no incident was opened under the key."""
    page = page_of(context)
    components = component_ids(page, params.components)
    found = await find(context, page, params.key)
    incident = _opened(found, params.key)
    if _has_update(incident, params, context):
        return _result(incident, sent=False)
    if params.status == "resolved":
        components = {**_recovered(incident, found), **components}
    fields: dict[str, object] = {
        "status": params.status,
        "body": cut(params.body, LONGEST_BODY),
        "deliver_notifications": page.notify_subscribers,
    }
    if components:
        # The list replaces the incident's own, so it names those too.
        own = [each["id"] for each in _components(incident)]
        fields |= {"components": components, "component_ids": list(dict.fromkeys([*own, *components]))}
    changed = await change(context, page, incident, fields)
    told = Change(before={"status": incident.get("status")}, after={"status": params.status})
    return _result(changed, sent=True).model_copy(update={"change": told})


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look for the update on the incident."""
    incident = _opened(await find(context, page_of(context), params.key), params.key)
    if _has_update(incident, params, context):
        return Probed.DONE, _result(incident, sent=True)
    return Probed.NOT_DONE, None


def _opened(found: Found, key: str) -> Incident:
    if found.incident is None:
        message = (
            f"no incident on the status page bears the key {key!r}; statuspage.open_incident opens one, and one "
            "that was deleted there is not updated"
        )
        raise Rejected(message, kind="not_found")
    return found.incident


def _has_update(incident: Incident, params: Params, context: Context) -> bool:
    """Whether the incident says this already: in an update since the call was intended, or else in its last one."""
    given = [each for each in incident.get("incident_updates") or [] if isinstance(each, dict)]
    updates = sorted(given, key=_made_at, reverse=True)
    since = context.call.intended_at
    recent = (
        updates[:1]
        if since is None
        else [each for each in updates if _made_at(each) >= since - _CLOCKS_APART]
    )
    wanted = (params.status, _words(cut(params.body, LONGEST_BODY)))
    return any((each.get("status"), _words(str(each.get("body") or ""))) == wanted for each in recent)


def _made_at(update: Mapping[str, Any]) -> datetime:
    """When an update was made; long ago when it does not say."""
    try:
        made = datetime.fromisoformat(str(update.get("created_at")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def _words(text: str) -> str:
    """The text without how it is broken into lines."""
    return " ".join(text.split())


def _recovered(incident: Incident, found: Found) -> dict[str, ComponentStatus]:
    """The incident's components that nothing else speaks against, as operational."""
    others = {
        each["id"]
        for other in found.unresolved
        if other["id"] != incident["id"]
        for each in _components(other)
    }
    return {
        each["id"]: "operational"
        for each in _components(incident)
        if each["id"] not in others and each.get("status") != "under_maintenance"
    }


def _components(incident: Incident) -> Iterator[Mapping[str, Any]]:
    for each in incident.get("components") or []:
        if isinstance(each, dict) and isinstance(each.get("id"), str):
            yield each


def _result(incident: Incident, *, sent: bool) -> Result:
    return Result(
        incident_id=incident["id"],
        status=str(incident.get("status", "")),
        url=str(incident.get("shortlink") or ""),
        sent=sent,
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe)
