"""What the public status page shows, read from the database: what was told to the status page, and nothing else.

An incident is public when its escalation, or who announces it, reaches `statuspage`; its words are those of the public
messages (`public-incident-opened` and so on), whether or not they went to a page elsewhere as well.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from runbookd.errors import StoreError
from runbookd.model.escalation import Channel, Message, MessageKind
from runbookd.model.incident import IncidentState
from runbookd.reports.status_page import (
    CONTENT_SECURITY_POLICY,
    PublicIncident,
    PublicState,
    PublicUpdate,
    StatusPage,
    as_html,
    as_json,
    as_rss,
)
from runbookd.stages.outbox import public_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runbookd.model.incident import Incident
    from runbookd.ports import Clock, Store, Tx
    from runbookd.units.desk import Desk

SHOWN_FOR: Final = timedelta(days=14)
"""How long an incident is shown after its end."""

MADE_EVERY: Final = timedelta(seconds=10)
"""How old a page may be: everybody can ask for it, so the database is not asked each time."""

_MOST_MESSAGES = 500
_MOST_INCIDENTS = 50
_PUBLIC_KINDS = frozenset({MessageKind.OPENED, MessageKind.UPDATE, MessageKind.RESOLVED})
_FORMS: Final[Mapping[str, Callable[[StatusPage], str]]] = {"html": as_html, "json": as_json, "rss": as_rss}


class PublicPages:
    """The page in each form, made anew at most every `MADE_EVERY`."""

    policy = CONTENT_SECURITY_POLICY

    def __init__(self, store: Store, clock: Clock, desk: Callable[[], Desk], address: str) -> None:
        """`address` is where the page is when `vars.status_page_url` does not say where people find it."""
        self._store, self._clock, self._desk, self._address = store, clock, desk, address
        self._page: StatusPage | None = None
        self._made: dict[str, str] = {}

    async def page(self, form: str) -> str:
        """Return the page as `html`, `json` or `rss`. Raises StoreError when it was never made and cannot be now.

        While the database cannot be read it is the last one, which says how old it is.
        """
        now = self._clock.now()
        if self._page is None or now - self._page.made_at >= MADE_EVERY:
            try:
                self._page = await self._read(now)
            except StoreError:
                if self._page is None:
                    raise
            else:
                self._made = {}
        if form not in self._made:
            self._made[form] = _FORMS[form](self._page)
        return self._made[form]

    async def _read(self, now: datetime) -> StatusPage:
        desk = self._desk()
        incidents = await self._store.read(lambda tx: public_incidents(tx, desk, now))
        variables = desk.library.vars
        url = str(variables.get("status_page_url") or self._address).rstrip("/")
        return StatusPage(
            title=str(variables.get("service_name") or "Status"),
            url=url if url.endswith("/status") else f"{url}/status",
            incidents=tuple(incidents),
            made_at=now,
        )


async def public_incidents(tx: Tx, desk: Desk, now: datetime) -> list[PublicIncident]:
    """Return the public incidents that are open, or ended in the last `SHOWN_FOR`."""
    told: dict[str, list[Message]] = {}
    for message in await tx.messages.recent(_MOST_MESSAGES, {"channel": Channel.STATUSPAGE.value}):
        if message.incident_id is not None and message.kind in _PUBLIC_KINDS and message.words:
            told.setdefault(message.incident_id, []).append(message)
    shown = []
    for incident_id, messages in told.items():
        incident = await tx.incidents.get(incident_id)
        if incident is None or (incident.resolved_at is not None and now - incident.resolved_at > SHOWN_FOR):
            continue
        priority = desk.library.priorities.get(incident.priority)
        oldest_first = messages[::-1]
        oldest_first.sort(key=_said_at)
        shown.append(_public(incident, oldest_first, priority.name if priority else incident.priority))
    return shown[:_MOST_INCIDENTS]


def _public(incident: Incident, messages: Sequence[Message], priority: str) -> PublicIncident:
    """Take from an incident what is public; `messages` are in the order in which their words were made."""
    resolved = incident.state is IncidentState.RESOLVED
    return PublicIncident(
        slug=incident.id[-8:],
        title=str(messages[0].words.get("subject") or "Service disruption"),
        state=PublicState.RESOLVED if resolved else PublicState(public_state(messages[-1])),
        priority=priority,
        opened_at=incident.opened_at,
        updated_at=_said_at(messages[-1]),
        resolved_at=incident.resolved_at if resolved else None,
        updates=tuple(_update(message) for message in messages),
    )


def _said_at(message: Message) -> datetime:
    """Return when a message's words were made, from which the times in them count: at its first attempt, or its end."""
    return message.attempted_at or message.settled_at or message.created_at


def _update(message: Message) -> PublicUpdate:
    return PublicUpdate(
        at=_said_at(message),
        state=PublicState(public_state(message)),
        text=str(message.words.get("body", "")),
    )
