"""The ledger in the database, chain after chain, page by page: as rows, which is what checks and exports need."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from runbookd.cli.database import look
from runbookd.stages.audit import GENESIS, put_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runbookd.cli.shared import Shared
    from runbookd.model.audit import Anchor, LedgerRow
    from runbookd.ports import Tx

_PAGE = 20_000
_HANDFUL = 1_000
"""Rows that are still in the processor's cache when they are checked, which saves a fifth of the time."""
_STRETCH = 100_000
"""Rows read on one state of the database: no longer is it kept from tidying up behind its writers."""


async def beginnings(tx: Tx) -> dict[str, Anchor | None]:
    """Return every chain by its name, and the anchor after which it begins; None when it begins at its beginning."""
    anchors = {anchor.chain: anchor for anchor in await tx.ledger.anchors()}
    names = {head.chain for head in await tx.ledger.heads()} | anchors.keys()
    return {name: anchors.get(name) for name in sorted(names)}


def behind(shared: Shared, chain: str, anchor: Anchor | None) -> str | None:
    """Say what was put in behind where the database takes a chain up; None when nothing was.

    Entries that are archived and wait to be deleted may be there; they are deleted from the first on, so that what is
    left is whole whenever it is looked at.
    """
    seq, hash_ = (0, GENESIS) if anchor is None else (anchor.seq, anchor.hash)
    while rows := look(shared, partial(_back, chain, seq)):
        fault = put_in(rows, seq=seq, hash_=hash_)
        if fault is not None:
            return fault
        seq, hash_ = rows[-1].seq - 1, rows[-1].previous
    return None


def pages(shared: Shared, chain: str, after: int) -> Iterator[list[LedgerRow]]:
    """Every row of a chain with seq > `after`, in pages; what is pruned meanwhile is left out without a word."""
    while rows := look(shared, partial(_page, chain, after)):
        yield rows
        after = rows[-1].seq


def hand_on(shared: Shared, chain: str, after: int, use: Callable[[list[LedgerRow]], bool]) -> bool:
    """Give `use` every row of a chain with seq > `after`, a handful at a time; whether it took them all.

    Where it returns False nothing more is read. It is called in the middle of a transaction: it looks at nothing in
    the database, and does not wait.
    """
    stretch = _Stretch(chain, after, use)
    while not stretch.over:
        look(shared, stretch.read)
    return stretch.taken


class _Stretch:
    """The way along a chain, which goes on from where it was when a transaction has to be begun again."""

    def __init__(self, chain: str, after: int, use: Callable[[list[LedgerRow]], bool]) -> None:
        self._chain, self._after, self._use = chain, after, use
        self.over, self.taken = False, True

    async def read(self, tx: Tx) -> None:
        """Go on, at most for so long as one transaction should take."""
        for _ in range(0, _STRETCH, _HANDFUL):
            rows = await tx.ledger.rows(self._chain, self._after, _HANDFUL)
            if rows:
                self._after = rows[-1].seq
                self.taken = self._use(rows)
            self.over = not rows or not self.taken
            if self.over:
                return


async def _back(chain: str, seq: int, tx: Tx) -> list[LedgerRow]:
    return await tx.ledger.rows_back(chain, seq, _PAGE)


async def _page(chain: str, after: int, tx: Tx) -> list[LedgerRow]:
    return await tx.ledger.rows(chain, after, _PAGE)
