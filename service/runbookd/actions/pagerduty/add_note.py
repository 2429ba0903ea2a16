"""`pagerduty.add_note`: write a note on the incident of an alert of ours.

Changes PagerDuty: one note, that ends with the step's idempotency key, on the open incident with our key, or the latest
one when none is open. Not undone: a note can be taken back by hand only. PagerDuty has no way to write a note only
once, so the key is looked for before one is written, and by the probe. An event that PagerDuty took a moment ago may
have no incident yet: that is a temporary failure.
https://developer.pagerduty.com/api-reference/9d0b4b12e36f9-list-incidents (`incident_key`; in the same reference,
POST /incidents/{id}/notes)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import Field

from runbookd.actions.base import Action, Change, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.failures import Rejected, Unavailable
from runbookd.actions.pagerduty import client
from runbookd.actions.pagerduty.limits import Words, clean, dedup_key_of, shortened
from runbookd.model.action import Probed, Repeat, Spec

_MAX_NOTE = 20_000
"""Characters; PagerDuty names no limit."""
_LOOKED_AT = 100
"""Incidents of one key that are looked at, the latest first."""


class Params(BaseParams):
    """What to write, and on which incident."""

    dedup_key: Words = Field(description="The key the alert was triggered with.")
    service: client.Id | None = Field(
        default=None, description="Id of the service, if several have alerts with this key. null: any."
    )
    note: Words = Field(description="The text; cut at 20,000 characters.")


class Result(BaseResult):
    """The note."""

    incident_id: str = Field(description="PagerDuty's id of the incident.")
    note_id: str = Field(description="PagerDuty's id of the note.")
    created: bool = Field(description="False when an earlier attempt at this step had written it.")


SPEC = Spec(
    name="pagerduty.add_note",
    summary="Write a note on the incident of an alert of ours.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="Not undone: a note can be taken back by hand only.",
    timeout=timedelta(seconds=15),
    example={"dedup_key": "${incident.id}", "note": "Rolled back to revision ${steps.history.last_good}"},
)


async def run(params: Params, context: Context) -> Result:
    """Write it, unless an earlier attempt did. Raises Unavailable (`not_found`) while there is no such incident."""
    incident = await _incident(params, context)
    if incident is None:
        key = dedup_key_of(params.dedup_key)
        message = (
            f"PagerDuty has no incident with the key {key!r}, or not yet: it takes events in its own time"
        )
        raise Unavailable(message, kind="not_found")
    written = await _written(incident, context)
    if written is not None:
        return _result(incident, written, created=False)
    mark = _mark(context)
    text = shortened(clean(params.note).strip(), _MAX_NOTE)
    note = await client.write(context, f"/incidents/{incident}/notes", {"content": f"{text}\n\n{mark}"})
    return _result(incident, note, created=True)


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look for a note with this step's key."""
    incident = await _incident(params, context)
    written = None if incident is None else await _written(incident, context)
    if incident is None or written is None:
        return Probed.NOT_DONE, None
    return Probed.DONE, _result(incident, written, created=True)


async def _incident(params: Params, context: Context) -> str | None:
    """Id of the open incident with our key, else of the latest; None when there is none.

    An incident does not tell the keys of its alerts, but is found by them.
    """
    query: dict[str, object] = {
        "incident_key": dedup_key_of(params.dedup_key),
        "date_range": "all",
        "sort_by": "created_at:desc",
        "limit": _LOOKED_AT,
    }
    if params.service is not None:
        query["service_ids"] = [params.service]
    found = _entries(await client.read(context, "/incidents", query), "incidents")
    still_open = [one for one in found if one.get("status") != "resolved"]
    latest = next(iter(still_open or found), None)
    return None if latest is None else _id(latest, "incident")


async def _written(incident: str, context: Context) -> Mapping[str, Any] | None:
    """The note that an attempt at this very step wrote, or None."""
    mark = _mark(context)
    found = _entries(await client.read(context, f"/incidents/{incident}/notes", {}), "notes")
    return next((note for note in found if str(note.get("content", "")).rstrip().endswith(mark)), None)


def _mark(context: Context) -> str:
    """How the note names the step it was written by."""
    return f"[runbookd {context.call.key}]"


def _result(incident: str, note: Mapping[str, Any], *, created: bool) -> Result:
    change = Change(before=None, after={"incident_id": incident}) if created else None
    return Result(incident_id=incident, note_id=_id(note, "note"), created=created, change=change)


def _entries(found: Any, kind: str) -> list[Mapping[str, Any]]:
    if isinstance(found, list) and all(isinstance(entry, dict) for entry in found):
        return found
    raise _odd(kind)


def _id(found: Any, kind: str) -> str:
    name = found.get("id") if isinstance(found, Mapping) else None
    if not isinstance(name, str) or not name.isalnum():
        raise _odd(kind)
    return name


def _odd(kind: str) -> Rejected:
    return Rejected(
        f"PagerDuty did not answer with the {kind} its API promises; is the URL in the settings right?",
        kind="unexpected_status",
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe)
