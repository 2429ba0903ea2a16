"""The hash-chained ledger (`ports.Ledger`)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runbookd.errors import EvaluationError
from runbookd.language.values import decode
from runbookd.model.audit import Anchor, Entry, LedgerEntry, LedgerRow, Stage
from runbookd.stages.audit import GENESIS, merged, seal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbookd.store.driver import Driver, Row, Value

_UNREADABLE = (ValueError, TypeError, KeyError, OverflowError, RecursionError, EvaluationError)
"""What reading a tampered text back may raise."""


class Ledger:
    """The ledger in one transaction. `chain` is the one this store appends to, and reads where no other is named."""

    def __init__(self, driver: Driver, chain: str) -> None:
        self._driver = driver
        self._chain = chain
        self._waiting: list[Entry] = []

    async def append(self, entries: Sequence[Entry]) -> None:
        """Chain the entries, in order; they are written, all together, when the unit of work ends."""
        self._waiting.extend(entries)

    async def flush(self) -> None:
        """Write the entries that wait.

        The head is read in the same transaction every time: another process may have moved it.
        """
        if not self._waiting:
            return
        head = await self._driver.one("ledger_head", chain=self._chain)
        seq, previous = (head["seq"], head["hash"]) if head else (0, GENESIS)
        rows: list[Mapping[str, Value]] = []
        for entry in self._waiting:
            seq += 1
            sealed = seal(entry, chain=self._chain, seq=seq, previous=previous)
            previous = sealed.hash
            rows.append(_row(sealed))
        self._waiting.clear()
        await self._driver.many("append_entry", rows)

    async def read(self, after: int, limit: int, filters: Mapping[str, str]) -> list[LedgerEntry]:
        """Entries of one chain with seq > `after`, in order; raises StoreError for an unknown filter.

        An entry that was changed until it cannot be understood is given as `unreadable`, so that a check of the
        chain finds it and goes on.
        """
        await self.flush()
        others = {name: value for name, value in filters.items() if name != "chain"}
        chain = filters.get("chain", self._chain)
        rows = await self._driver.all(
            "entries", where=tuple(others), chain=chain, after=after, limit=limit, **others
        )
        return list(map(_sealed, rows))

    async def recent(self, limit: int, filters: Mapping[str, str]) -> list[LedgerEntry]:
        """Return the newest entries of every chain, merged by their time; raises StoreError for an unknown filter."""
        await self.flush()
        rows = await self._driver.all("recent_entries", where=tuple(filters), limit=limit, **filters)
        return merged(map(_sealed, rows))

    async def heads(self) -> list[LedgerEntry]:
        """Return the last entry of every chain, by the chain's name."""
        await self.flush()
        return list(map(_sealed, await self._driver.all("ledger_heads")))

    async def rows(self, chain: str, after: int, limit: int) -> list[LedgerRow]:
        """Return the rows of a chain with seq > `after` as they stand, in order."""
        await self.flush()
        found = await self._driver.all("ledger_rows", chain=chain, after=after, limit=limit)
        return list(map(LedgerRow._make, found))

    async def rows_back(self, chain: str, seq: int, limit: int) -> list[LedgerRow]:
        """Return the rows of a chain from number `seq` on backwards, as they stand."""
        await self.flush()
        found = await self._driver.all("rows_back", chain=chain, seq=seq, limit=limit)
        return list(map(LedgerRow._make, found))

    async def anchors(self) -> list[Anchor]:
        """Return the latest anchor of every chain that has one, by the chain's name."""
        rows = await self._driver.all("ledger_anchors")
        return [
            Anchor(chain=row["chain"], seq=row["seq"], hash=row["hash"], seal=row["seal"]) for row in rows
        ]

    async def archived(self, anchor: Anchor) -> None:
        """Record that the entries up to the anchor are in an archive; raises StoreError for an entry not there."""
        await self._driver.run(
            "add_anchor", chain=anchor.chain, seq=anchor.seq, hash=anchor.hash, seal=anchor.seal
        )

    async def forget(self, chain: str, first: int, limit: int) -> int:
        """Delete up to `limit` entries of a chain from `first` on that its anchor covers; returns how many."""
        return await self._driver.run("forget_entries", chain=chain, first=first, limit=limit)


def _sealed(row: Row) -> LedgerEntry:
    return LedgerEntry(
        chain=row["chain"],
        seq=row["seq"],
        text=row["text"],
        previous=row["previous"],
        hash=row["hash"],
        entry=_entry(row),
    )


def _row(sealed: LedgerEntry) -> dict[str, Value]:
    entry = sealed.entry
    return {
        "chain": sealed.chain,
        "seq": sealed.seq,
        "text": sealed.text,
        "previous": sealed.previous,
        "hash": sealed.hash,
        "stage": entry.stage.value,
        "what": entry.what,
        "delivery_id": entry.delivery_id,
        "event_id": entry.event_id,
        "incident_id": entry.incident_id,
        "run_id": entry.run_id,
    }


def _entry(row: Row) -> Entry:
    try:
        fields = json.loads(row["text"])
        return Entry(
            at=datetime.fromisoformat(fields["at"]),
            stage=Stage(row["stage"]),
            what=row["what"],
            actor=fields["actor"],
            delivery_id=row["delivery_id"],
            event_id=row["event_id"],
            incident_id=row["incident_id"],
            run_id=row["run_id"],
            detail=dict(decode(fields["detail"])),
        )
    except _UNREADABLE:
        return Entry(at=datetime.fromtimestamp(0, UTC), stage=Stage.AUDIT, what="unreadable")
