"""Escalation as it stands in the database: the levels frozen into an incident, and messages on their way to people."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from runbookd.model.reasons import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class LevelState(StrEnum):
    """A pending level waits for its time. The others are settled: told, not needed, or taken in by a later one."""

    PENDING = "pending"
    FIRED = "fired"
    SKIPPED = "skipped"
    COLLAPSED = "collapsed"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentLevel:
    """One level of an incident's escalation, frozen when the incident opened.

    `due_at` is None for a level that waits for a breach of clock `on_breach`. `page` and `notify` are as written:
    who is meant is looked up when the level fires. `reason` says why it was settled as it was.
    """

    incident_id: str
    number: int
    due_at: datetime | None
    on_breach: str | None = None
    unless: str | None = None
    page: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    state: LevelState = LevelState.PENDING
    settled_at: datetime | None = None
    reason: str | None = None

    @property
    def place(self) -> int:
        """The number of the level as people are told it, from 1."""
        return self.number + 1


class Channel(StrEnum):
    """The ways to people. Each has a lane of work of its own, so that one that hangs holds up no other."""

    PAGERDUTY = "pagerduty"
    SLACK = "slack"
    EMAIL = "email"
    WEBHOOK = "webhook"
    STATUSPAGE = "statuspage"


class MessageKind(StrEnum):
    """What a message is for. The first four and REVIEW have words of the library; most others change what was sent."""

    PAGE = "page"
    OPENED = "incident-opened"
    UPDATE = "incident-update"
    RESOLVED = "incident-resolved"
    REMINDER = "update-reminder"  # news is promised soon, and somebody leads who has to write it
    CHANNEL = "channel"  # open a channel for the incident
    EDIT = "edit"  # bring what was posted up to date
    ACKNOWLEDGE = "acknowledge"  # tell the pager that a person has it
    CLOSE = "close"  # tell the pager that it is over
    REVIEW = "post-incident-review"
    REPLY = "reply"  # tell one person why what they asked was not done


class MessageState(StrEnum):
    """Pending or on its way, then settled one way or the other.

    A `sending` one of an older claim is in doubt. `dropped` was not needed any more.
    """

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to one address, once: `key` is unique, and travels with it so that a repeat is told from a second.

    `address` is what the channel needs to find its reader, frozen; it may hold references to secrets. `contact` is
    who that is, for people. Messages of one `party` are to the same contact for the same reason: when all of them
    failed, `next_contacts` are tried, in order. `words` are rendered at the first attempt and then stay. `result` is
    what the channel answered.
    """

    id: str
    key: str
    kind: MessageKind
    channel: Channel
    address: Mapping[str, object]
    contact: str
    created_at: datetime
    incident_id: str | None = None
    party: str = ""
    next_contacts: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    words: Mapping[str, object] = field(default_factory=dict)
    state: MessageState = MessageState.PENDING
    attempts: int = 0
    epoch: int = 0
    attempted_at: datetime | None = None
    reason: str | None = None
    error: str | None = None
    result: Mapping[str, object] = field(default_factory=dict)
    settled_at: datetime | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.state not in {MessageState.PENDING, MessageState.SENDING}


Doing = Literal["acknowledge", "escalate", "resolve", "assign", "note", "pause"]
"""What a person may ask for at a door: `pause` is about the service, the others are about an incident."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActRequest:
    """What somebody did at a door outside, in that door's words; what becomes of it is decided later.

    `what` is the door's name for it, `key` its name for this very act: the same told twice is done once. `do` None
    asks for nothing, and `recorded` says why. `incident_id` is ours, `about` the door's own id of the same; each is
    empty when it is not told. `ring` is which of the pages that rang it was done on, None when the door does not
    tell. `who` is the door's id of the person, `name` what it calls them. `text` is a note, or who it is assigned to.
    `at` is when it was done, None when the door vouches that it was just now. `reply_to` is where the person can be
    answered, empty when nowhere.
    """

    what: str
    key: str
    do: Doing | None = None
    recorded: Answer = Answer.NOT_ASKED
    incident_id: str = ""
    ring: int | None = None
    about: str = ""
    who: str = ""
    name: str = ""
    text: str = ""
    at: datetime | None = None
    reply_to: Mapping[str, str] = field(default_factory=dict)
