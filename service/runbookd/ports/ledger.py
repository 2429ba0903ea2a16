"""What the inside asks of the ledger; the docstrings are the specification, as in `store.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbookd.model.audit import Anchor, Entry, LedgerEntry, LedgerRow


class Ledger(Protocol):
    """The hash-chained record of everything that happened. There is no way to change an entry,
    and only what an archive holds can be deleted.

    Each replica has a chain of its own (on SQLite there is one), so that none waits for another to append.
    """

    async def append(self, entries: Sequence[Entry]) -> None:
        """Chain the entries, in order, to this store's chain."""
        ...

    async def read(self, after: int, limit: int, filters: Mapping[str, str]) -> list[LedgerEntry]:
        """Entries of one chain with seq > `after`, in order; this store's own chain where `filters` name no other.

        Filters by equality on: chain, incident_id, run_id, event_id, delivery_id, stage, what.
        """
        ...

    async def recent(self, limit: int, filters: Mapping[str, str]) -> list[LedgerEntry]:
        """Return the newest entries of all chains, merged by their time, oldest first. Filters as for `read`."""
        ...

    async def heads(self) -> list[LedgerEntry]:
        """Return the last entry of every chain, by the chain's name."""
        ...

    async def rows(self, chain: str, after: int, limit: int) -> list[LedgerRow]:
        """Return the rows of a chain with seq > `after` as they stand, in order: for checks, which read them all."""
        ...

    async def rows_back(self, chain: str, seq: int, limit: int) -> list[LedgerRow]:
        """Return the rows of a chain from number `seq` on backwards, as they stand: what lies behind an anchor."""
        ...

    async def anchors(self) -> list[Anchor]:
        """Return the latest anchor of every chain that has one, by the chain's name."""
        ...

    async def archived(self, anchor: Anchor) -> None:
        """Record that the entries up to the anchor are in an archive: from now on they can be forgotten.

        Raises StoreError unless the ledger holds the entry of the anchor, and one after it.
        """
        ...

    async def forget(self, chain: str, first: int, limit: int) -> int:
        """Delete up to `limit` entries of a chain from `first` on that its anchor covers; returns how many."""
        ...
