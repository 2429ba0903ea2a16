"""Retention: what is old enough is forgotten, in small batches, while the service goes on.

The ledger's entries are archived before: signed, on disk, read back. Without a key and a folder they are kept.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from runbookd.model.audit import Anchor, Entry, LedgerRow, Stage
from runbookd.model.retention import Ages, Kept
from runbookd.model.work import Work, WorkKind
from runbookd.stages.audit import GENESIS, Walk
from runbookd.store.archives import write_archive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from runbookd.ports import Clock, Store, Tx
    from runbookd.stages.checkpoint import Signer

log = structlog.get_logger()

EVERY = timedelta(days=1)
FIRST_AFTER = timedelta(minutes=10)
"""After a start there is more urgent work."""
REF = "retention"
"""The row of work that lets one process at a time prune."""
COUNTED = 100_000
"""A dry run counts no further, for each kind."""
_BATCH = 200
_ENTRIES_AT_ONCE = 1_000
_ARCHIVE_ENTRIES = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Archiving:
    """Where archives of the ledger go, and who signs them."""

    folder: Path
    signer: Signer


class Pruner:
    """Forgets by age. `longest_window` tells how far back the rules look: no run or alert goes before that."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ages: Ages,
        archiving: Archiving | None,
        *,
        longest_window: Callable[[], timedelta] = timedelta,
        lease: timedelta = timedelta(seconds=30),
    ) -> None:
        """Without `archiving` the ledger is kept whatever its age."""
        self._store, self._clock = store, clock
        self._ages, self._archiving = ages, archiving
        self._longest_window = longest_window
        self._lease = lease

    async def take(self, owner: str) -> Work | None:
        """Claim the right to prune now; None while somebody else does."""
        now = self._clock.now()

        async def unit(tx: Tx) -> Work | None:
            await tx.work.add(WorkKind.PRUNE, REF, now)
            return await tx.work.take(WorkKind.PRUNE, REF, owner, now, self._lease)

        return await self._store.write(unit)

    async def prune(self, work: Work) -> dict[str, int]:
        """Forget all that is old enough, under a claim; returns how many rows of each kind. Raises LeaseLost."""
        gone: dict[str, int] = {}
        for kind in Kept:
            gone[kind.value] = await self._forget(kind, work)
        gone["ledger"] = await self._forget_ledger(work)
        now = self._clock.now()

        async def unit(tx: Tx) -> None:
            await tx.work.finish(work)
            if any(gone.values()):
                await tx.ledger.append([Entry(at=now, stage=Stage.AUDIT, what="pruned", detail=dict(gone))])

        await self._store.write(unit)
        log.info("pruned", stage="audit", **gone)
        return gone

    async def handle(self, work: Work) -> None:
        """Do a due row of work (the worker's handler)."""
        await self.prune(work)

    async def count(self) -> dict[str, int]:
        """Count what is old enough now, each kind no further than COUNTED; nothing is changed.

        A row that waits for another to go first (an alert for its runs) is not among them.
        """
        found: dict[str, int] = {}
        for kind in Kept:
            before = self._before(kind)
            found[kind.value] = 0 if before is None else len(await self._old(kind, before, COUNTED))
        found["ledger"] = sum([len(rows) async for rows in self._each_old_part()])
        return found

    def _before(self, kind: Kept) -> datetime | None:
        age = self._ages.rows[kind]
        if age is None:
            return None
        if kind in {Kept.RUNS, Kept.ALERTS}:
            age = max(age, self._longest_window())
        return self._clock.now() - age

    async def _old(self, kind: Kept, before: datetime, limit: int) -> list[str]:
        return await self._store.read(lambda tx: tx.retention.old(kind, before, limit))

    async def _forget(self, kind: Kept, work: Work) -> int:
        before = self._before(kind)
        gone = 0
        while before is not None:
            now = self._clock.now()

            async def unit(tx: Tx, before: datetime = before, now: datetime = now) -> int:
                await tx.work.hold(work, now, self._lease)
                ids = await tx.retention.old(kind, before, _BATCH)
                await tx.retention.forget(kind, ids)
                return len(ids)

            batch = await self._store.write(unit)
            gone += batch
            if batch < _BATCH:
                break
        return gone

    async def _forget_ledger(self, work: Work) -> int:
        """Archive what is old of every chain, then forget it; what an earlier time left over goes first."""
        gone = 0
        for anchor in await self._store.read(_anchors):
            gone += await self._forget_entries(anchor.chain, work)
        if self._archiving is None:
            return gone
        async for rows in self._each_old_part():
            await self._archive(self._archiving, rows, work)
            gone += await self._forget_entries(rows[0].chain, work)
        return gone

    async def _archive(self, archiving: Archiving, rows: list[LedgerRow], work: Work) -> None:
        """Write an archive, and only when it is on disk and whole record that its entries may go."""
        now = self._clock.now()
        await self._store.write(lambda tx: tx.work.hold(work, now, self._lease))
        last = rows[-1]
        archive, seal = await asyncio.to_thread(write_archive, archiving.folder, rows, archiving.signer, now)
        anchor = Anchor(chain=last.chain, seq=last.seq, hash=last.hash, seal=seal.line)
        detail = {
            "chain": last.chain,
            "first": rows[0].seq,
            "last": last.seq,
            "hash": last.hash,
            "file": archive.path.name,
            "key": archiving.signer.id,
        }
        entry = Entry(at=now, stage=Stage.AUDIT, what="archived", detail=detail)

        async def unit(tx: Tx) -> None:
            await tx.work.hold(work, self._clock.now(), self._lease)
            await tx.ledger.archived(anchor)
            await tx.ledger.append([entry])

        await self._store.write(unit)
        log.info("ledger archived", stage="audit", **detail)

    async def _forget_entries(self, chain: str, work: Work) -> int:
        gone = 0
        while True:
            now = self._clock.now()

            async def unit(tx: Tx, now: datetime = now) -> int:
                await tx.work.hold(work, now, self._lease)
                return await tx.ledger.forget(chain, _ENTRIES_AT_ONCE)

            batch = await self._store.write(unit)
            gone += batch
            if batch == 0:
                return gone

    async def _each_old_part(self) -> AsyncIterator[list[LedgerRow]]:
        """What is to be archived of each chain, in parts of one archive each; a chain that is broken stays whole."""
        if self._ages.ledger is None or self._archiving is None:
            return
        before = self._clock.now() - self._ages.ledger
        heads, anchors = await self._store.read(_ends)
        for chain, newest in heads.items():
            walk = Walk(chain)
            walk.begin(*anchors.get(chain, (0, GENESIS)))
            while rows := await self._old_rows(walk.seq, chain, newest, before):
                fault = walk.fault(rows)
                if fault is not None:
                    log.error(
                        "the ledger is broken, and not archived", stage="audit", chain=chain, fault=fault
                    )
                    break
                yield rows

    async def _old_rows(self, after: int, chain: str, newest: int, before: datetime) -> list[LedgerRow]:
        """Return the next entries that are all older than `before`; a chain's newest entry always stays."""
        rows = await self._store.read(lambda tx: tx.ledger.rows(chain, after, _ARCHIVE_ENTRIES))
        young = (n for n, row in enumerate(rows) if row.seq >= newest or not _is_older(row, before))
        return rows[: next(young, len(rows))]


def _is_older(row: LedgerRow, before: datetime) -> bool:
    """Whether an entry tells of an earlier time; one that cannot be read does not."""
    try:
        return datetime.fromisoformat(json.loads(row.text)["at"]) < before
    except (ValueError, TypeError, KeyError):
        return False


async def _anchors(tx: Tx) -> list[Anchor]:
    return await tx.ledger.anchors()


async def _ends(tx: Tx) -> tuple[dict[str, int], dict[str, tuple[int, str]]]:
    """Return each chain's last number, and where what is left of it begins."""
    heads = {head.chain: head.seq for head in await tx.ledger.heads()}
    return heads, {one.chain: (one.seq, one.hash) for one in await tx.ledger.anchors()}
