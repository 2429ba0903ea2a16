"""`/v1/incidents`: what is wrong, and what a person does about it; for scripts, chat bots and other screens.

Every request needs a bearer token of `web.api_tokens`; what is done by it is done by `api:NAME` in the ledger. An
act is `POST /v1/incidents/{incident}/{act}`:

| act | what it does | its body |
|---|---|---|
| `acknowledge` | a person has it: levels that wait for that stop, pagers are quiet | `text`: why |
| `escalate` | the next level that pages is told now; with a higher `priority` it becomes that | `text`, `priority` |
| `resolve` | it is over; everyone told before is told so | `text` |
| `assign` | who leads it from now on | `text`: their name, needed; one line of at most 100 characters |
| `note` | something written down; a `public` one goes out as the promised update | `text`, needed; `public` |
| `review` | the post-incident review is done | `text` |

The body is JSON, or empty. A `text` has at most 10,000 characters; one that is blank is none. With an
`Idempotency-Key` (1 to 255 visible characters) the same act on the same incident is done once, however often it is
sent: `changed` is false from the second time on.

| answer | when |
|---|---|
| 200 | done: `{"said": a sentence, "changed": whether anything did, "incident": it as it is now}` |
| 400 | the body is not JSON |
| 401 | no token, or nobody's |
| 404 | there is no such incident, or no such act |
| 409 | the incident is over, or the priority is lower than it has; nothing was done |
| 413, 415 | larger than 64 KiB; compressed |
| 422 | a field, key, filter or priority that there is not, or that is not as it has to be; the answer names it |
| 503 | temporary: send it again, with the same `Idempotency-Key` |
"""

from __future__ import annotations

import json
from dataclasses import fields
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from aiohttp import web
from pydantic import Field

from runbookd.language.said import LONGEST_TEXT, name_fault
from runbookd.model.base import Name
from runbookd.units.people import Act, Do, Done
from runbookd.web.asking import Asking, Closed, Plain, Unfit, key_of, read_fields, unfit_answer
from runbookd.web.problems import answer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import timedelta

    from runbookd.model.escalation import Message
    from runbookd.model.incident import Incident
    from runbookd.units.showing import Shown
    from runbookd.web.auth import Tokens

_NEED_TEXT: Final = frozenset({Do.ASSIGN, Do.NOTE})
_INCIDENT: Final = "{incident:[a-z0-9-]{1,64}}"


class Told(Closed):
    """The body of an act."""

    text: Plain = Field("", max_length=LONGEST_TEXT)
    priority: Name | None = None
    public: bool = Field(default=False, strict=True)


class Wanted(Closed):
    """The filters of the list."""

    state: Literal["open", "resolved"] | None = None
    rule: Plain | None = Field(None, max_length=1024)
    priority: Plain | None = Field(None, max_length=1024)
    limit: int = Field(50, ge=1, le=500)


class People(Protocol):
    """Who carries out what is asked for here. Each raises StoreUnavailable when the database cannot be used."""

    def priorities(self) -> Collection[str]:
        """Return the names of the priorities there are."""
        ...

    async def act(self, wanted: Act) -> Done:
        """Do it. Raises NotFound for an incident that is not there, Conflict for what cannot be done to it now."""
        ...

    async def incidents(self, limit: int, filters: Mapping[str, str]) -> list[Incident]:
        """Return incidents, newest first; `filters` by equality on: state, rule, priority."""
        ...

    async def incident(self, incident_id: str) -> Shown:
        """Return one with all that concerns people. Raises NotFound."""
        ...


class Api:
    """The handlers."""

    def __init__(self, people: People, tokens: Tokens, read_timeout: timedelta) -> None:
        """Serve whoever has one of the tokens; without any, nobody."""
        self._people = people
        self._asking = Asking(tokens, read_timeout)

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add every address."""
        acts = "|".join(Do)
        router.add_get("/v1/incidents", self.get_incidents)
        router.add_get(f"/v1/incidents/{_INCIDENT}", self.get_incident)
        router.add_post(f"/v1/incidents/{_INCIDENT}/{{act:{acts}}}", self.post_act)

    async def get_incidents(self, request: web.Request) -> web.Response:
        """List incidents, newest first. Filters: `state` (open or resolved), `rule`, `priority`; `limit` 1 to 500."""
        if (refused := self._asking.stranger(request)) is not None:
            return refused
        try:
            wanted = read_fields(Wanted, dict(request.query))
        except Unfit as unfit:
            return unfit_answer(unfit)
        filters = wanted.model_dump(exclude={"limit"}, exclude_none=True)
        found = await self._people.incidents(wanted.limit, filters)
        return answer(HTTPStatus.OK, {"incidents": [incident_shape(incident) for incident in found]})

    async def get_incident(self, request: web.Request) -> web.Response:
        """Show one incident with its clocks, the levels of its escalation and its messages, without their addresses."""
        if (refused := self._asking.stranger(request)) is not None:
            return refused
        shown = await self._people.incident(request.match_info["incident"])
        return answer(
            HTTPStatus.OK,
            {
                **incident_shape(shown.incident),
                "clocks": [_shape(clock, "incident_id") for clock in shown.clocks],
                "levels": [{**_shape(level, "incident_id"), "number": level.place} for level in shown.levels],
                "messages": [message_shape(message) for message in shown.messages],
            },
        )

    async def post_act(self, request: web.Request) -> web.Response:
        """Do something about an incident, in the name of the token's holder."""
        wanted = await self._asking.wish(request, lambda told, holder: self._wanted(request, told, holder))
        if isinstance(wanted, web.Response):
            return wanted
        done = await self._people.act(wanted)
        shown = {"said": done.said, "changed": done.changed, "incident": incident_shape(done.incident)}
        return answer(HTTPStatus.OK, shown)

    def _wanted(self, request: web.Request, body: object, holder: str) -> Act:
        """Understand an act. Raises Unfit."""
        do, incident_id = Do(request.match_info["act"]), request.match_info["incident"]
        told = read_fields(Told, body)
        text = told.text.strip() and told.text
        if do in _NEED_TEXT and not text:
            raise Unfit(f"text: `{do}` needs it")
        if do is Do.ASSIGN and (fault := name_fault(text)):
            raise Unfit(f"text: {fault}")
        if told.public and do is not Do.NOTE:
            raise Unfit("public: only a note can be")
        if told.priority is not None and do is not Do.ESCALATE:
            raise Unfit("priority: only `escalate` takes one")
        if told.priority is not None and told.priority not in self._people.priorities():
            known = ", ".join(self._people.priorities()) or "none"
            raise Unfit(f"priority: there is no {told.priority}; there are: {known}")
        key = key_of(request)
        return Act(
            do=do,
            incident_id=incident_id,
            actor=f"api:{holder}",
            key=None if key is None else f"api/{holder}/{incident_id}/{do}/{key}",
            text=text.strip() if do is Do.ASSIGN else text,
            priority=told.priority,
            public=told.public,
        )


def incident_shape(incident: Incident) -> dict[str, object]:
    """An incident as JSON: the names of the model's fields; `key` is a map of labels."""
    return {**_shape(incident), "key": json.loads(incident.key)}


def message_shape(message: Message) -> dict[str, object]:
    """A message as JSON; addresses stay in the database, for they may be personal or secret."""
    return {
        "id": message.id,
        "kind": message.kind,
        "channel": message.channel,
        "contact": message.contact,
        "state": message.state,
        "reason": message.reason,
        "error": message.error,
        "attempts": message.attempts,
        "created_at": message.created_at,
        "settled_at": message.settled_at,
        "subject": message.words.get("subject"),
        "body": message.words.get("body"),
    }


def _shape(noun: Any, *without: str) -> dict[str, object]:
    return {each.name: getattr(noun, each.name) for each in fields(noun) if each.name not in without}
