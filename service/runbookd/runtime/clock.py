"""The real clock, and how replicas on one database come to have the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from runbookd.errors import StoreError

if TYPE_CHECKING:
    from runbookd.ports import Store

log = structlog.get_logger()

AGREE_EVERY = timedelta(minutes=1)
"""How often a service compares its clock."""
_TOLERATED = timedelta(milliseconds=500)
"""A difference that leases bear, and that the way to the database and back may feign."""


class SystemClock:
    """Time as the machine tells it, or, after `agree`, as the database that all replicas share tells it.

    A replica whose own clock is minutes ahead would take the leases of all others for run out.
    """

    def __init__(self) -> None:
        self.offset = timedelta(0)
        self._agreed = False

    def now(self) -> datetime:
        """Return the time as an aware UTC datetime."""
        return datetime.now(UTC) + self.offset

    async def agree(self, store: Store) -> None:
        """Set the clock by the database's, if that has one of its own; else it stays as it is.

        When the database is out of reach it stays as it is too, but for the first time: then it raises
        StoreUnavailable, for what a clock that is minutes wrong writes down is due minutes late.
        """
        asked = datetime.now(UTC)
        try:
            there = await store.time()
        except StoreError as error:
            if not self._agreed:
                raise
            log.error("cannot ask the database for the time", stage="execute", error=str(error))
            return
        self._agreed = True
        if there is None:
            return
        offset = there - (asked + (datetime.now(UTC) - asked) / 2)
        offset = offset if abs(offset) > _TOLERATED else timedelta(0)
        if abs(offset - self.offset) > _TOLERATED:
            log.warning(
                "this machine's clock differs from the database's, which is used",
                stage="execute",
                seconds=offset.total_seconds(),
            )
        self.offset = offset
