"""Deliveries of one source that this process has claimed, in their order, and how many more it should claim."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.work import Work

MOST = 64


class Inbox:
    """Claims wait here for their turn, and are worth nothing once their leases have run out.

    So nothing more is claimed before what waits is taken out, and fewer at a time after leases ran out here: replicas
    that claim more than they manage within a lease would take it from each other for ever.
    """

    def __init__(self) -> None:
        """Nothing waits; the first time as many are claimed as there may ever be."""
        self._works: asyncio.Queue[Work] = asyncio.Queue()
        self._together = MOST

    @property
    def room(self) -> int:
        """How many more to claim now."""
        return self._together if self._works.empty() else 0

    def put(self, work: Work) -> None:
        """Let a claimed row wait."""
        self._works.put_nowait(work)

    async def take(self) -> list[Work]:
        """Wait for rows, and take all there are."""
        works = [await self._works.get()]
        while not self._works.empty():
            works.append(self._works.get_nowait())
        return works

    def settle(self, *, in_time: bool) -> None:
        """Adapt to whether all that was taken was admitted under its lease."""
        self._together = min(MOST, self._together * 2) if in_time else max(1, self._together // 2)


def holds(work: Work, now: datetime) -> bool:
    """Whether the claim on a row has not run out by this process' clock."""
    return work.lease_until is None or work.lease_until > now
