"""What the inside asks of a store about people: the levels of escalation, and the messages on their way.

As in `store.py` these docstrings are the specification, and one contract suite holds every engine to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from runbookd.model.escalation import IncidentLevel, Message


class Levels(Protocol):
    """The levels of escalation frozen into incidents."""

    async def save(self, level: IncidentLevel) -> None:
        """Insert or replace by (incident, number)."""
        ...

    async def of(self, incident_id: str) -> list[IncidentLevel]:
        """Every level of an incident, in order."""
        ...

    async def incidents(self, priority: str, since: datetime, limit: int) -> list[str]:
        """Ids of the incidents of a priority, opened after then, that have levels or messages; newest first."""
        ...


class Messages(Protocol):
    """The outbox: messages to people, and how often a channel may be used."""

    async def add(self, message: Message) -> bool:
        """Keep a new message; False, and nothing kept, when its key is there already."""
        ...

    async def get(self, message_id: str) -> Message | None:
        """Return it, or None."""
        ...

    async def save(self, message: Message) -> None:
        """Replace by id; it is in no line then."""
        ...

    async def of(self, incident_id: str) -> list[Message]:
        """Every message of an incident, oldest first."""
        ...

    async def recent(self, limit: int, filters: Mapping[str, str]) -> list[Message]:
        """Newest first. Filters by equality on: state, channel, kind, incident_id."""
        ...

    async def unsettled(self) -> tuple[int, datetime | None]:
        """Count the messages on their way, and tell when the oldest was made (None when there are none)."""
        ...

    async def used_until(self, bucket: str) -> datetime | None:
        """Up to when a bucket of a channel's limit is used; None for one that never was."""
        ...

    async def use(self, bucket: str, until: datetime) -> None:
        """Use a bucket up to a time, in place of what was said before."""
        ...

    async def line_up(self, message: Message, line: str, rank: int) -> int:
        """Have an unsettled message wait in a line; return how many are before it. Again keeps its place.

        The lower rank is before the higher, and of one rank the older before the younger. Whatever is saved leaves its
        line.
        """
        ...

    async def first_in_line(self, line: str) -> str | None:
        """Return the id of the message whose turn is next; None when nobody waits."""
        ...

    async def act_once(self, key: str, now: datetime) -> bool:
        """Keep what a person has done, by the name their door gave it; False when it is there already."""
        ...
