"""Asking the API of Atlassian Statuspage about one page.

https://developer.statuspage.io. A key may ask once a second, counted over a minute; beyond that it gets 420 or 429.
There is no way to make an incident only once, so ours bear a key in their metadata, and are looked for by it.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BeforeValidator, Field

from runbookd.actions.base import Context
from runbookd.actions.config import MEBIBYTE, Statuspage
from runbookd.actions.failures import Rejected, Unavailable, retry_after_of
from runbookd.actions.fetch import Answer, Request, fetch, status_failure
from runbookd.errors import ActionError
from runbookd.language.fuzzy import did_you_mean
from runbookd.model.action import NOT_SET
from runbookd.model.base import Name

LONGEST_NAME = 255
LONGEST_BODY = 25_000
"""Characters the API takes."""
_MAX_ANSWER = 16 * MEBIBYTE
_TOO_MANY = 420
_OWNER = "runbookd"

Status = Literal["investigating", "identified", "monitoring", "resolved"]
"""How far an incident is; scheduled maintenance has words of its own, which are not used here."""
Impact = Literal["none", "minor", "major", "critical"]
ComponentStatus = Literal[
    "operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"
]
Components = dict[Name, ComponentStatus]
Key = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1000,
        description="Names the incident, here and there: what is opened under a key is updated under it.",
    ),
]


def _readable(value: object) -> object:
    """A text without control characters but line breaks, and with `?` for halves of surrogate pairs."""
    if not isinstance(value, str):
        return value
    valid = value.encode("utf-8", "replace").decode("utf-8")
    return "".join(sign for sign in valid if sign in "\n\t" or unicodedata.category(sign) != "Cc")


PublicText = Annotated[str, BeforeValidator(_readable), Field(min_length=1)]
Incident = Mapping[str, Any]
"""An incident as the API gives it."""


@dataclass(frozen=True, slots=True)
class Found:
    """The incident that was looked for, None when there is none, and every unresolved one of the page."""

    incident: Incident | None
    unresolved: Sequence[Incident]


def page_of(context: Context) -> Statuspage:
    """The page of the settings; raises Rejected (`not_set`) when none is kept."""
    if context.config.statuspage is None:
        message = "no status page is set; name it under `actions.statuspage` in the settings"
        raise Rejected(message, kind=NOT_SET)
    return context.config.statuspage


def component_ids(page: Statuspage, components: Components) -> dict[str, ComponentStatus]:
    """The statuses by the components' ids; raises Rejected (`refused`) for a name the settings do not have."""
    for name in components:
        if name not in page.components:
            meant = did_you_mean(name, page.components)
            message = f"there is no {name!r} in `actions.statuspage.components` of the settings.{meant}"
            raise Rejected(message, kind="refused")
    return {page.components[name]: status for name, status in components.items()}


async def find(context: Context, page: Statuspage, key: str) -> Found:
    """Look for the incident with this key: among the unresolved ones, else among the latest hundred."""
    unresolved = await _list(context, page, "/incidents/unresolved?per_page=100")
    mine = next((one for one in unresolved if _key_of(one) == key), None)
    if mine is None:
        latest = await _list(context, page, "/incidents?limit=100")
        mine = next((one for one in latest if _key_of(one) == key), None)
    return Found(mine, unresolved)


async def create(context: Context, page: Statuspage, key: str, fields: Mapping[str, object]) -> Incident:
    """Make an incident that bears the key; raises as `ask`."""
    body = {"incident": {**fields, "metadata": {_OWNER: {"key": key}}}}
    return _incident(await ask(context, page, "POST", "/incidents", body))


async def change(
    context: Context, page: Statuspage, incident: Incident, fields: Mapping[str, object]
) -> Incident:
    """Change an incident, which adds an update to it; raises as `ask`."""
    path = f"/incidents/{quote(incident['id'], safe='')}"
    return _incident(await ask(context, page, "PATCH", path, {"incident": fields}))


async def ask(context: Context, page: Statuspage, method: str, path: str, body: object = None) -> Any:
    """Call the API about the page; raises Rejected or Unavailable with Statuspage's own words."""
    request = Request(
        method=method,
        url=f"{page.url.rstrip('/')}/pages/{quote(page.page, safe='')}{path}",
        headers={
            "Authorization": f"OAuth {context.secret(page.token_secret)}",
            "Content-Type": "application/json",
        },
        content=None if body is None else json.dumps(body).encode(),
        reads=method == "GET",
        max_body=_MAX_ANSWER,
    )
    answer = await fetch(context, request)
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        raise _failure(context, answer, f"Statuspage answered {answer.status} to {method} {_bare(path)}")
    parsed = answer.json()
    if parsed is None:
        message = f"Statuspage did not answer with JSON to {method} {_bare(path)}: {answer.excerpt}"
        raise Rejected(message, kind="unexpected_status")
    return parsed


def cut(text: str, longest: int) -> str:
    """The text as far as the API takes it."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _failure(context: Context, answer: Answer, what: str) -> ActionError:
    """The failure an answer means; 420 is one of its two words for too many requests."""
    if answer.status == _TOO_MANY:
        wait = retry_after_of(answer.headers.get("retry-after"), context.now())
        return Unavailable(f"{what}: {answer.excerpt}", kind="rate_limited", retry_after=wait)
    return status_failure(context, answer, what)


async def _list(context: Context, page: Statuspage, path: str) -> Sequence[Incident]:
    found = await ask(context, page, "GET", path)
    if isinstance(found, list) and all(_is_incident(one) for one in found):
        return found
    message = f"Statuspage did not answer with a list of incidents to GET {_bare(path)}; is it one?"
    raise Rejected(message, kind="unexpected_status")


def _incident(answer: Any) -> Incident:
    if _is_incident(answer):
        return dict(answer)
    message = "Statuspage took the change and did not answer with an incident; look at the page"
    raise Rejected(message, kind="unexpected_status")


def _is_incident(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str)


def _key_of(incident: Incident) -> str | None:
    """The key we gave an incident; None for everybody else's."""
    metadata = incident.get("metadata")
    ours = metadata.get(_OWNER) if isinstance(metadata, dict) else None
    return ours.get("key") if isinstance(ours, dict) else None


def _bare(path: str) -> str:
    return path.partition("?")[0]
