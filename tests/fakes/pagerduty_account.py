"""What the fake PagerDuty keeps: users, services, shifts and incidents, and what events make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class User:
    """A person."""

    id: str
    name: str
    email: str

    def shown(self, *, full: bool = False) -> dict[str, Any]:
        """The user, or a reference to it, as the API gives it; only the former has an e-mail address."""
        own = {
            "id": self.id,
            "summary": self.name,
            "type": "user" if full else "user_reference",
            "self": f"https://api.pagerduty.com/users/{self.id}",
            "html_url": f"https://acme.pagerduty.com/users/{self.id}",
        }
        return own | ({"name": self.name, "email": self.email} if full else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A time somebody is on call; without an end it is permanent, without a policy no policy uses the schedule."""

    user: User
    schedule: str | None
    policy: str | None = None
    level: int = 1
    start: datetime | None = None
    end: datetime | None = None

    def overlaps(self, since: datetime, until: datetime) -> bool:
        """Whether some of it lies between the two."""
        return (self.start is None or self.start <= until) and (self.end is None or self.end > since)

    def shown(self, *, full: bool) -> dict[str, Any]:
        """The entry of `GET /oncalls`."""
        schedule = None if self.schedule is None else {"id": self.schedule, "type": "schedule_reference"}
        return {
            "escalation_policy": {"id": self.policy, "type": "escalation_policy_reference"},
            "escalation_level": self.level,
            "schedule": schedule,
            "user": self.user.shown(full=full),
            "start": self.start and stamp(self.start),
            "end": self.end and stamp(self.end),
        }


@dataclass(frozen=True, slots=True)
class Ring:
    """A time at which the phones of a service's people rang, and the key of the alert they rang for."""

    at: datetime
    service: str
    key: str


@dataclass(slots=True, kw_only=True)
class Incident:
    """An incident with its one alert; `key` is the alert's, `events` the triggers it took in, oldest first."""

    id: str
    number: int
    service: str
    key: str
    routing_key: str
    created_at: datetime
    status: str = "triggered"
    by: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The summary of its first trigger."""
        return str(self.events[0]["payload"]["summary"])

    def shown(self, account: Account) -> dict[str, Any]:
        """The incident as the API and the webhooks give it."""
        return {
            "id": self.id,
            "type": "incident",
            "self": f"https://api.pagerduty.com/incidents/{self.id}",
            "html_url": f"https://acme.pagerduty.com/incidents/{self.id}",
            "number": self.number,
            "status": self.status,
            "incident_key": self.key if account.tells_keys else None,
            "created_at": stamp(self.created_at),
            "title": self.title,
            "service": {"id": self.service, "type": "service_reference"},
            "urgency": "high",
        }


@dataclass(slots=True)
class Account:
    """Everything kept. `services` are ids by integration key; `dropped` the events without an open alert.

    `rung` are the times that phones rang: when an incident opened. A trigger for one that is open rings nobody, be it
    triggered or acknowledged: https://developer.pagerduty.com/docs/events-api-v2/overview/. What an escalation policy
    of PagerDuty rings besides is not known here.

    `tells_keys` is whether an incident names the key of its alert. The reference of `GET /incidents` says that it does
    not, though it is found by that key; the sample webhooks have a key, and do not say whose.
    """

    clock: Callable[[], datetime]
    users: list[User] = field(default_factory=list)
    services: dict[str, str] = field(default_factory=dict)
    shifts: list[Shift] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    rung: list[Ring] = field(default_factory=list)
    tells_keys: bool = True
    tell: Callable[..., None] = lambda *_: None
    made: int = 0

    def new_id(self) -> str:
        """An id of the usual looks."""
        self.made += 1
        return f"P{self.made:06X}"

    def add_user(self, name: str, email: str) -> User:
        """Take somebody in."""
        self.users.append(User(self.new_id(), name, email))
        return self.users[-1]

    def add_service(self, _name: str, key: str) -> str:
        """Make a service with an Events API v2 integration of this key; its id."""
        self.services[key] = self.new_id()
        return self.services[key]

    def process(self, event: dict[str, Any]) -> None:
        """Do what an accepted event says: open an alert, change the open one with its key, or nothing."""
        place = (event["routing_key"], event["dedup_key"])
        found = next(
            (
                one
                for one in self.incidents
                if (one.routing_key, one.key) == place and one.status != "resolved"
            ),
            None,
        )
        action = event["event_action"]
        if action == "trigger":
            self._trigger(found, event)
        elif found is None:
            self.dropped.append(event)
        elif (found.status, action) != ("acknowledged", "acknowledge"):
            self.change(found, f"{action}d", None)

    def _trigger(self, found: Incident | None, event: dict[str, Any]) -> None:
        if found is not None:
            found.events.append(event)
            return
        service = self.services[event["routing_key"]]
        opened = Incident(
            id=self.new_id(),
            number=len(self.incidents) + 1,
            service=service,
            key=event["dedup_key"],
            routing_key=event["routing_key"],
            created_at=self.clock(),
            events=[event],
        )
        self.incidents.append(opened)
        self.rung.append(Ring(opened.created_at, service, opened.key))
        self._said("incident.triggered", opened, None)

    def change(self, incident: Incident, status: str, user: User | None) -> Incident:
        """Acknowledge or resolve, by a person, or by an event of ours when it is nobody."""
        incident.status, incident.by = status, user.name if user else None
        self._said(f"incident.{status}", incident, user)
        return incident

    def add_note(self, incident: Incident, author: User, content: str) -> Mapping[str, Any]:
        """Keep a note."""
        note = {
            "id": self.new_id(),
            "user": author.shown(),
            "content": content,
            "created_at": stamp(self.clock()),
        }
        incident.notes.append(note)
        reference = {"id": incident.id, "summary": incident.title, "type": "incident_reference"}
        told = {
            "incident": reference,
            "id": note["id"],
            "content": content,
            "trimmed": False,
            "type": "incident_note",
        }
        self.tell("incident.annotated", author.shown(), told)
        return note

    def _said(self, event_type: str, incident: Incident, user: User | None) -> None:
        """Tell of it: a person is a user, an event comes of the service's integration and names its client."""
        if user is not None:
            self.tell(event_type, user.shown(), incident.shown(self))
            return
        agent = {
            "id": "PINTEG1",
            "summary": "Events API V2",
            "type": "events_api_v2_inbound_integration_reference",
        }
        self.tell(event_type, agent, incident.shown(self), incident.events[0].get("client"))


def stamp(moment: datetime) -> str:
    """A moment as the API writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
