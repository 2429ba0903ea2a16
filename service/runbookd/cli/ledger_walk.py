"""The ledger in the database, chain after chain, page by page: as rows, which is what checks and exports need."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from runbookd.cli.database import look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbookd.cli.shared import Shared
    from runbookd.model.audit import Anchor, LedgerRow
    from runbookd.ports import Tx

_PAGE = 20_000


async def beginnings(tx: Tx) -> dict[str, Anchor | None]:
    """Return every chain by its name, and the anchor after which it begins; None when it begins at its beginning."""
    anchors = {anchor.chain: anchor for anchor in await tx.ledger.anchors()}
    names = {head.chain for head in await tx.ledger.heads()} | anchors.keys()
    return {name: anchors.get(name) for name in sorted(names)}


def pages(shared: Shared, chain: str, after: int) -> Iterator[list[LedgerRow]]:
    """Every row of a chain with seq > `after`, in pages; what is pruned meanwhile is left out without a word."""
    while rows := look(shared, partial(_page, chain, after)):
        yield rows
        after = rows[-1].seq


async def _page(chain: str, after: int, tx: Tx) -> list[LedgerRow]:
    return await tx.ledger.rows(chain, after, _PAGE)
