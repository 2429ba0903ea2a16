"""What is in a workspace of the Slack of `tests/fakes/slack.py`: people, channels, messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.fakes.slack_blocks import mentions

TEAM = "T0SHOPTEAM"
APP = "A0RUNBOOKD"


@dataclass(slots=True)
class User:
    """A person, or the app's bot."""

    id: str
    name: str
    email: str
    bot: bool = False

    def shown(self) -> dict[str, Any]:
        """As the Web API shows it."""
        profile = {"email": self.email, "real_name": self.name}
        return {"id": self.id, "team_id": TEAM, "name": self.name, "is_bot": self.bot, "profile": profile}


@dataclass(slots=True, kw_only=True)
class Message:
    """A message. `edits` counts how often it was changed; `seen_by` is who alone sees it, None everybody."""

    ts: str
    user: str
    text: str
    blocks: list[dict[str, Any]] = field(default_factory=list)
    thread_ts: str | None = None
    metadata: Mapping[str, Any] | None = None
    parse: str = "none"
    edits: int = 0
    seen_by: str | None = None

    @property
    def is_reply(self) -> bool:
        """Whether it stands in a thread only."""
        return self.thread_ts is not None and self.thread_ts != self.ts

    @property
    def mentions(self) -> list[str]:
        """Whom it notified by name."""
        return mentions(self.text, self.blocks, parse=self.parse)

    @property
    def buttons(self) -> dict[str, dict[str, Any]]:
        """Its buttons by their `action_id`."""
        return {
            element["action_id"]: element
            for block in self.blocks
            if block["type"] == "actions"
            for element in block["elements"]
        }

    @property
    def sections(self) -> list[str]:
        """The texts of its sections."""
        return [block["text"]["text"] for block in self.blocks if block["type"] == "section"]

    def shown(self, *, metadata: bool = False) -> dict[str, Any]:
        """As the Web API shows it."""
        shown = {"type": "message", "user": self.user, "text": self.text, "ts": self.ts}
        made: dict[str, Any] = {**shown, "team": TEAM, "app_id": APP, "blocks": self.blocks}
        if self.thread_ts is not None:
            made["thread_ts"] = self.thread_ts
        if metadata and self.metadata is not None:
            made["metadata"] = self.metadata
        return made


@dataclass(slots=True, kw_only=True)
class Channel:
    """A channel, or a direct message with `person`."""

    id: str
    name: str
    creator: str
    created: datetime
    private: bool = False
    archived: bool = False
    person: str | None = None
    members: set[str] = field(default_factory=set)
    topic: str = ""
    purpose: str = ""
    messages: list[Message] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """As in `types` of conversations.list."""
        return "im" if self.person else "private_channel" if self.private else "public_channel"

    def find(self, ts: object) -> Message | None:
        """The message of this `ts` that everybody sees."""
        return next((one for one in self.messages if one.ts == ts and one.seen_by is None), None)

    def shown(self, me: str) -> dict[str, Any]:
        """As the Web API shows it."""
        made: dict[str, Any] = {
            "id": self.id,
            "created": int(self.created.timestamp()),
            "is_archived": self.archived,
        }
        if self.person:
            return {**made, "is_im": True, "user": self.person}
        return {
            **made,
            "name": self.name,
            "name_normalized": self.name,
            "creator": self.creator,
            "is_channel": not self.private,
            "is_group": self.private,
            "is_im": False,
            "is_private": self.private,
            "is_member": me in self.members,
            "num_members": len(self.members),
            "topic": {"value": self.topic, "creator": self.creator if self.topic else "", "last_set": 0},
            "purpose": {
                "value": self.purpose,
                "creator": self.creator if self.purpose else "",
                "last_set": 0,
            },
        }


class Workspace:
    """Everything that is there, and the app's bot in it."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.users: list[User] = []
        self.channels: list[Channel] = []
        self._made = 0
        self.bot = self.add_user("runbookd", "", bot=True)

    def new_id(self, letter: str) -> str:
        """An id nobody has."""
        self._made += 1
        return f"{letter}0{self._made:07X}"

    def new_ts(self) -> str:
        """A `ts` nobody has, later than all before in the same second."""
        self._made += 1
        return f"{int(self.clock().timestamp())}.{self._made:06d}"

    def add_user(self, name: str, email: str, *, bot: bool = False) -> User:
        """Somebody new."""
        self.users.append(User(self.new_id("U"), name, email, bot=bot))
        return self.users[-1]

    def add_channel(self, name: str, *, member: bool = True, private: bool = False) -> Channel:
        """A channel somebody made; `member` is whether the app is in it."""
        channel = Channel(
            id=self.new_id("C"),
            name=name,
            creator="U0SOMEBODY",
            created=self.clock(),
            private=private,
            members={self.bot.id} if member else set(),
        )
        self.channels.append(channel)
        return channel

    def direct(self, user: str) -> Channel:
        """The direct messages with somebody."""
        found = next((one for one in self.channels if one.person == user), None)
        if found is None:
            found = Channel(
                id=self.new_id("D"),
                name="",
                creator=user,
                created=self.clock(),
                person=user,
                members={user, self.bot.id},
            )
            self.channels.append(found)
        return found

    def say(self, channel: Channel, text: str, user: str = "U0SOMEBODY") -> Message:
        """What a person writes in a channel."""
        channel.messages.append(Message(ts=self.new_ts(), user=user, text=text))
        return channel.messages[-1]

    def named(self, name: str) -> Channel | None:
        """The channel of this name that the app can see, archived or not."""
        return next((one for one in self.channels if one.name == name and self.visible(one)), None)

    def visible(self, channel: Channel) -> bool:
        """Whether the app can see it."""
        return not channel.private or self.bot.id in channel.members
