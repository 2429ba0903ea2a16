"""Retention: what is old enough is forgotten, in small batches, while the service goes on.

The ledger's entries are archived before: signed, safe in their place, read back. Without a key and a place they are
kept; while the place cannot be used they are kept as well, and it is tried again.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING

import structlog

from runbookd.errors import DamagedFile, DamagedLedger, PlaceUnavailable, StoreError
from runbookd.language.values import canonical_json
from runbookd.model.audit import Anchor, Entry, LedgerRow, Stage
from runbookd.model.retention import Ages, Kept
from runbookd.model.work import Work, WorkKind
from runbookd.stages.audit import GENESIS, Walk, put_in
from runbookd.store.archives import archives_in, read_archive, write_archive
from runbookd.units.watch import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from runbookd.ports import Clock, Place, Store, Tx
    from runbookd.stages.checkpoint import Signer

log = structlog.get_logger()

EVERY = timedelta(days=1)
FIRST_AFTER = timedelta(minutes=10)
"""After a start there is more urgent work."""
REF = "retention"
"""The row of work that lets one process at a time prune."""
AGAIN_AFTER = timedelta(minutes=10)
"""When the next try is made, after archives could not be written."""
ARCHIVING = "archiving"
"""The switch that is set while archives cannot be written: JSON with `since`, `at` (the last try) and `error`."""
COUNTED = 100_000
"""A dry run counts no further, for each kind."""
KEPT = (PlaceUnavailable, DamagedFile, DamagedLedger)
"""Why entries of the ledger that are old enough stay."""
_BATCH = 200
_ENTRIES_AT_ONCE = 1_000
_ARCHIVE_ENTRIES = 50_000
_ARCHIVE_LETTERS = 64 * 1024 * 1024
"""Of the entries' texts, before they are packed: an archive is made in memory, and put in one request."""
_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Archiving:
    """Where archives of the ledger go, who signs them, and who is told that none could be written."""

    place: Place
    signer: Signer
    watch: Watch = field(default_factory=Watch)


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
        """Forget all that is old enough, under a claim; returns how many rows of each kind. Raises LeaseLost.

        Raises PlaceUnavailable and DamagedFile when an archive cannot be written, and DamagedLedger when a chain is
        broken, with everything else done and the next try due.
        """
        gone = dict.fromkeys([*(kind.value for kind in Kept), "ledger"], 0)
        for kind in Kept:
            gone[kind.value] = await self._forget(kind, work)
        try:
            async for count in self._forget_ledger(work):
                gone["ledger"] += count
        except KEPT as error:
            await self._put_off(work, gone, error)
            raise

        async def unit(tx: Tx) -> None:
            await tx.work.finish(work)
            await tx.switches.set(ARCHIVING, None)
            await self._note(tx, gone)

        await self._store.write(unit)
        log.info("pruned", stage="audit", **gone)
        return gone

    async def handle(self, work: Work) -> None:
        """Do a due row of work (the worker's handler)."""
        with suppress(*KEPT):  # told of, and due again
            await self.prune(work)

    async def _put_off(self, work: Work, gone: dict[str, int], error: StoreError) -> None:
        """Say that the ledger cannot be archived, in the log, a metric, the ledger (once) and `status`; try again."""
        now = self._clock.now()
        said = str(error)[:_LONGEST_ERROR]
        log.error(
            "the ledger cannot be archived, and nothing more is taken from it",
            stage="audit",
            error=said,
            again_after=AGAIN_AFTER.total_seconds(),
            **gone,
        )
        if self._archiving is not None:
            self._archiving.watch.archiving_failed()

        async def unit(tx: Tx) -> None:
            await tx.work.reschedule(work, now + AGAIN_AFTER)
            await self._note(tx, gone)
            known = await tx.switches.get(ARCHIVING)
            since = now.isoformat() if known is None else json.loads(known)["since"]
            value = {"since": since, "at": now.isoformat(), "error": said}
            await tx.switches.set(ARCHIVING, canonical_json(value))
            if known is None:
                entry = Entry(at=now, stage=Stage.AUDIT, what="archiving_failed", detail={"error": said})
                await tx.ledger.append([entry])

        await self._store.write(unit)

    async def _note(self, tx: Tx, gone: dict[str, int]) -> None:
        """Let the ledger tell what was forgotten."""
        if any(gone.values()):
            now = self._clock.now()
            await tx.ledger.append([Entry(at=now, stage=Stage.AUDIT, what="pruned", detail=dict(gone))])

    async def count(self) -> dict[str, int]:
        """Count what is old enough now, each kind no further than COUNTED; nothing is changed.

        A row that waits for another to go first (an alert for its runs) is not among them.
        """
        found: dict[str, int] = {}
        for kind in Kept:
            before = self._before(kind)
            found[kind.value] = 0 if before is None else len(await self._old(kind, before, COUNTED))
        found["ledger"] = sum([len(rows) async for rows in self._each_old_part({})])
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

    async def _forget_ledger(self, work: Work) -> AsyncIterator[int]:
        """Archive what is old of every chain, then forget it; what an earlier time left over goes first.

        Yields how many went, each time some did. A chain that is broken stays whole, and no other waits for it: what
        is wrong with it is raised at the end, as DamagedLedger.
        """
        heads, anchors = await self._store.read(_ends)
        broken: dict[str, str] = {}
        for chain in sorted(heads.keys() | anchors.keys()):
            try:
                first = await self._first_behind(chain, anchors.get(chain, (0, GENESIS)))
            except (DamagedFile, DamagedLedger) as error:
                broken[chain] = str(error)
                continue
            if chain in anchors:
                yield await self._forget_entries(chain, first, anchors[chain][0], work)
        if self._archiving is not None:
            async for rows in self._each_old_part(broken):
                await self._archive(self._archiving, rows, work)
                yield await self._forget_entries(rows[0].chain, rows[0].seq, rows[-1].seq, work)
        if broken:
            faults = "; ".join(f"chain {chain}, {fault}" for chain, fault in broken.items())
            raise DamagedLedger(f"it is broken: {faults}. `runbookd audit verify` looks at all of it")

    async def _first_behind(self, chain: str, anchor: tuple[int, str]) -> int:
        """Return the first entry that an anchor has left to be forgotten; the one after it when there is none.

        All from there to the anchor are in archives then. Raises DamagedLedger for a row that was put in, and as
        `Place.read` and `read_archive` do.
        """
        seq, hash_ = anchor
        while rows := await self._store.read(partial(_back, chain, seq)):
            fault = put_in(rows, seq=seq, hash_=hash_)
            if fault is not None:
                raise DamagedLedger(fault)
            seq, hash_ = rows[-1].seq - 1, rows[-1].previous
        if seq < anchor[0]:
            await self._find_archives(chain, anchor, seq + 1)
        return seq + 1

    async def _find_archives(self, chain: str, anchor: tuple[int, str], first: int) -> None:
        """Make sure that archives hold a chain from `first` to its anchor, whoever wrote that.

        Raises DamagedFile, PlaceUnavailable.
        """
        end, hash_ = anchor
        place = None if self._archiving is None else self._archiving.place
        there = [] if place is None else [one for one in await archives_in(place) if one.chain == chain]
        while end >= first:
            archive = next((one for one in there if one.last == end), None)
            if place is None or archive is None:
                raise DamagedFile(
                    f"entry {end}: was left behind an anchor, and no archive at `ledger.archives` holds it"
                )
            _, seal = await read_archive(place, archive, None, expected=hash_)
            end, hash_ = archive.first - 1, seal.previous or GENESIS

    async def _archive(self, archiving: Archiving, rows: list[LedgerRow], work: Work) -> None:
        """Write an archive, and only when it is safe in its place and whole record that its entries may go."""
        now = self._clock.now()
        await self._hold(work)
        async with self._holding(work):
            archive, seal = await write_archive(archiving.place, rows, archiving.signer, now)
        last = rows[-1]
        anchor = Anchor(chain=last.chain, seq=last.seq, hash=last.hash, seal=seal.line)
        detail = {
            "chain": last.chain,
            "first": rows[0].seq,
            "last": last.seq,
            "hash": last.hash,
            "file": archive.name,
            "key": archiving.signer.id,
        }
        entry = Entry(at=now, stage=Stage.AUDIT, what="archived", detail=detail)

        async def unit(tx: Tx) -> None:
            await tx.work.hold(work, self._clock.now(), self._lease)
            await tx.ledger.archived(anchor)
            await tx.ledger.append([entry])

        await self._store.write(unit)
        log.info("ledger archived", stage="audit", **detail)

    @asynccontextmanager
    async def _holding(self, work: Work) -> AsyncIterator[None]:
        """Keep the claim meanwhile: a bucket may be slower than the lease is long."""
        task = asyncio.create_task(self._hold_on(work))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _hold_on(self, work: Work) -> None:
        """Extend the lease, as long as that goes well: who does the work holds it once more before writing."""
        with suppress(StoreError):
            while True:
                await asyncio.sleep(self._lease.total_seconds() / 3)
                await self._hold(work)

    async def _hold(self, work: Work) -> None:
        now = self._clock.now()
        await self._store.write(lambda tx: tx.work.hold(work, now, self._lease))

    async def _forget_entries(self, chain: str, first: int, last: int, work: Work) -> int:
        """Forget these entries of a chain, and no other that is put beside them meanwhile; returns how many went."""
        gone = 0
        for begin in range(first, last + 1, _ENTRIES_AT_ONCE):
            now, count = self._clock.now(), min(_ENTRIES_AT_ONCE, last + 1 - begin)

            async def unit(tx: Tx, begin: int = begin, now: datetime = now, count: int = count) -> int:
                await tx.work.hold(work, now, self._lease)
                return await tx.ledger.forget(chain, begin, count)

            gone += await self._store.write(unit)
        return gone

    async def _each_old_part(self, broken: dict[str, str]) -> AsyncIterator[list[LedgerRow]]:
        """What is to be archived of each chain, in parts of one archive each.

        A chain that is `broken` stays whole; those found to be so are added, with what is wrong.
        """
        if self._ages.ledger is None or self._archiving is None:
            return
        before = self._clock.now() - self._ages.ledger
        heads, anchors = await self._store.read(_ends)
        for chain, newest in heads.items():
            if chain in broken:
                continue
            walk = Walk(chain)
            walk.begin(*anchors.get(chain, (0, GENESIS)))
            while rows := await self._old_rows(walk.seq, chain, newest, before):
                fault = walk.fault(rows)
                if fault is not None:
                    broken[chain] = fault
                    break
                yield rows

    async def _old_rows(self, after: int, chain: str, newest: int, before: datetime) -> list[LedgerRow]:
        """Return the next entries that are all older than `before`, as many as one archive holds.

        A chain's newest entry always stays.
        """
        rows = await self._store.read(lambda tx: tx.ledger.rows(chain, after, _ARCHIVE_ENTRIES))
        young = (n for n, row in enumerate(rows) if row.seq >= newest or not _is_older(row, before))
        old = rows[: next(young, len(rows))]
        letters = accumulate(len(row.text) for row in old)
        full = next((n for n, so_far in enumerate(letters) if so_far > _ARCHIVE_LETTERS), len(old))
        return old[: max(full, 1)]


def _is_older(row: LedgerRow, before: datetime) -> bool:
    """Whether an entry tells of an earlier time; one that cannot be read does not."""
    try:
        return datetime.fromisoformat(json.loads(row.text)["at"]) < before
    except (ValueError, TypeError, KeyError):
        return False


async def _back(chain: str, seq: int, tx: Tx) -> list[LedgerRow]:
    return await tx.ledger.rows_back(chain, seq, _ENTRIES_AT_ONCE)


async def _ends(tx: Tx) -> tuple[dict[str, int], dict[str, tuple[int, str]]]:
    """Return each chain's last number, and where what is left of it begins."""
    heads = {head.chain: head.seq for head in await tx.ledger.heads()}
    return heads, {one.chain: (one.seq, one.hash) for one in await tx.ledger.anchors()}
