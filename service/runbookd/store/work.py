"""Rows of work: leases, their fence, and wake-ups that are not lost (`ports.WorkQueue`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.errors import LeaseLost
from runbookd.model.work import Work, WorkKind, lane_of
from runbookd.store import columns

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from runbookd.store.driver import Driver, Row


class WorkQueue:
    """Work in one transaction."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def add(self, kind: WorkKind, ref: str, due_at: datetime, source: str | None = None) -> None:
        """Add a row; if (kind, ref) is there already its due time becomes the earlier of the two."""
        lane = lane_of(kind, source)
        await self._driver.run("add_work", kind=kind.value, ref=ref, due_at=columns.micros(due_at), lane=lane)

    async def claim(
        self, owner: str, now: datetime, lease: timedelta, limit: int, lane: str | None = None
    ) -> list[Work]:
        """Take up to `limit` due rows of a lane (None: of all) that nobody holds, oldest due first."""
        filters = {} if lane is None else {"lane": lane}
        rows = await self._driver.all(
            "claim_work",
            where=tuple(filters),
            **filters,
            owner=owner,
            now=columns.micros(now),
            lease_until=columns.micros(now + lease),
            limit=limit,
        )
        return sorted(map(_work, rows), key=lambda work: (work.due_at, work.kind, work.ref))

    async def take(
        self, kind: WorkKind, ref: str, owner: str, now: datetime, lease: timedelta
    ) -> Work | None:
        """Claim one named row whatever its due time; None when it is not there or somebody holds it."""
        row = await self._driver.one(
            "take_work",
            kind=kind.value,
            ref=ref,
            owner=owner,
            now=columns.micros(now),
            lease_until=columns.micros(now + lease),
        )
        return None if row is None else _work(row)

    async def hold(self, work: Work, now: datetime, lease: timedelta) -> None:
        """Extend the lease; raises LeaseLost."""
        await self._fenced("hold_work", work, lease_until=columns.micros(now + lease))

    async def finish(self, work: Work) -> None:
        """Delete the row, or only release it when it was made due again since the claim; raises LeaseLost."""
        deleted = await self._driver.run(
            "delete_work", kind=work.kind.value, ref=work.ref, owner=work.owner, epoch=work.epoch
        )
        if not deleted:
            await self._fenced("release_woken_work", work)

    async def reschedule(self, work: Work, due_at: datetime, attempts: int = 0) -> None:
        """Release the row until `due_at`, or an earlier wake-up made since the claim; raises LeaseLost."""
        await self._fenced("reschedule_work", work, due_at=columns.micros(due_at), attempts=attempts)

    async def inherit(self, replica: str) -> int:
        """Release every row whose owner is `replica/...`; returns how many."""
        return await self._driver.run("inherit_work", prefix=f"{replica}/")

    async def next_due(self) -> datetime | None:
        """When the nearest row can be claimed; None when there is none."""
        free = await self._driver.one("next_free")
        lapse = await self._driver.one("next_lapse")
        times = [row["at"] for row in (free, lapse) if row and row["at"] is not None]
        return columns.moment(min(times)) if times else None

    async def overdue(self, now: datetime) -> tuple[int, datetime | None]:
        """Count the rows due before `now` that nobody is at, and tell when the oldest was due."""
        row = await self._driver.one("overdue_work", now=columns.micros(now))
        return (row["late"], columns.moment_or_none(row["oldest"])) if row else (0, None)

    async def _fenced(self, statement: str, work: Work, **params: int) -> None:
        """Run a statement on the row if it is still this claim's."""
        held = await self._driver.run(
            statement, kind=work.kind.value, ref=work.ref, owner=work.owner, epoch=work.epoch, **params
        )
        if not held:
            raise LeaseLost(
                f"The claim of {work.owner} on {work.kind} {work.ref} (epoch {work.epoch}) is over: the lease ran "
                "out and another worker took the row, or the row is done. Nothing of this unit was written."
            )


def _work(row: Row) -> Work:
    return Work(
        kind=WorkKind(row["kind"]),
        ref=row["ref"],
        due_at=columns.moment(row["due_at"]),
        owner=row["owner"],
        epoch=row["epoch"],
        lease_until=columns.moment_or_none(row["lease_until"]),
        attempts=row["attempts"],
    )
