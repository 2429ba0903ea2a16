"""The outbox, and how often a channel may be used (`ports.Messages`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.store import columns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from runbookd.store.driver import Driver, Row, Value


class Messages:
    """Messages in one transaction."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def add(self, message: Message) -> bool:
        """Keep a new message; False, and nothing kept, when its key is there already."""
        return (
            await self._driver.run(
                "add_message",
                key=message.key,
                channel=message.channel.value,
                created_at=columns.micros(message.created_at),
                incident_id=message.incident_id,
                party=message.party,
                **_changing(message),
            )
            == 1
        )

    async def get(self, message_id: str) -> Message | None:
        """Return it, or None."""
        row = await self._driver.one("message", id=message_id)
        return None if row is None else _message(row)

    async def save(self, message: Message) -> None:
        """Replace by id; it is in no line then."""
        await self._driver.run("save_message", **_changing(message))

    async def of(self, incident_id: str) -> list[Message]:
        """Every message of an incident, oldest first."""
        return [_message(row) for row in await self._driver.all("messages_of", incident_id=incident_id)]

    async def recent(self, limit: int, filters: Mapping[str, str]) -> list[Message]:
        """Newest first; raises StoreError for an unknown filter."""
        rows = await self._driver.all("recent_messages", where=tuple(filters), limit=limit, **filters)
        return [_message(row) for row in rows]

    async def unsettled(self) -> tuple[int, datetime | None]:
        """Count the messages on their way, and tell when the oldest was made (None when there are none)."""
        row = await self._driver.one("unsettled_messages")
        return (row["waiting"], columns.moment_or_none(row["oldest"])) if row else (0, None)

    async def used_until(self, bucket: str) -> datetime | None:
        """Up to when a bucket is used; None for one that never was."""
        row = await self._driver.one("rate", bucket=bucket)
        return columns.moment(row["next_at"]) if row else None

    async def use(self, bucket: str, until: datetime) -> None:
        """Use a bucket up to a time, in place of what was said before."""
        await self._driver.run("set_rate", bucket=bucket, next_at=columns.micros(until))

    async def line_up(self, message: Message, line: str, rank: int) -> int:
        """Have an unsettled message wait in a line; return how many are before it. Whatever is saved leaves its line.

        The lower rank is before the higher, and of one rank the older before the younger.
        """
        place: dict[str, Value] = {"line": line, "line_rank": rank, "id": message.id}
        await self._driver.run("line_up", **place)
        created_at = columns.micros(message.created_at)
        row = await self._driver.one("ahead_in_line", **place, created_at=created_at)
        return row["ahead"] if row else 0

    async def first_in_line(self, line: str) -> str | None:
        """Return the id of the message whose turn is next; None when nobody waits."""
        row = await self._driver.one("first_in_line", line=line)
        return row["id"] if row else None

    async def act_once(self, key: str, now: datetime) -> bool:
        """Keep what a person has done; False when it is there already."""
        return await self._driver.run("add_act", key=key, done_at=columns.micros(now)) == 1


def _changing(message: Message) -> dict[str, Value]:
    return {
        "id": message.id,
        "kind": message.kind.value,
        "address": columns.tree_text(message.address),
        "contact": message.contact,
        "next_contacts": json.dumps(message.next_contacts),
        "facts": columns.tree_text(message.facts),
        "words": columns.tree_text(message.words),
        "state": message.state.value,
        "attempts": message.attempts,
        "epoch": message.epoch,
        "attempted_at": columns.micros_or_none(message.attempted_at),
        "reason": message.reason,
        "error": message.error,
        "result": columns.tree_text(message.result),
        "settled_at": columns.micros_or_none(message.settled_at),
    }


def _message(row: Row) -> Message:
    return Message(
        id=row["id"],
        key=row["key"],
        kind=MessageKind(row["kind"]),
        channel=Channel(row["channel"]),
        address=columns.tree(row["address"]),
        contact=row["contact"],
        created_at=columns.moment(row["created_at"]),
        incident_id=row["incident_id"],
        party=row["party"],
        next_contacts=tuple(json.loads(row["next_contacts"])),
        facts=columns.tree(row["facts"]),
        words=columns.tree(row["words"]),
        state=MessageState(row["state"]),
        attempts=row["attempts"],
        epoch=row["epoch"],
        attempted_at=columns.moment_or_none(row["attempted_at"]),
        reason=row["reason"],
        error=row["error"],
        result=columns.tree(row["result"]),
        settled_at=columns.moment_or_none(row["settled_at"]),
    )
