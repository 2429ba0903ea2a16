"""Checkpoints: the signed end of every ledger chain, written at an interval to where an intruder may not reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from runbookd.errors import DamagedFile, PlaceUnavailable, StoreError
from runbookd.stages.audit import Walk
from runbookd.stages.checkpoint import read_statement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from runbookd.model.audit import Anchor, LedgerEntry, LedgerRow
    from runbookd.ports import Clock, Store, Tx
    from runbookd.runtime.checkpoint_keepers import End, Keeper
    from runbookd.runtime.metrics import Metrics
    from runbookd.stages.checkpoint import Signer

log = structlog.get_logger()

_PAGE = 10_000


class Checkpoints:
    """Signs the chains' ends. A chain that does not follow from its last checkpoint is not signed, but reported."""

    def __init__(
        self, store: Store, clock: Clock, signer: Signer, keepers: Sequence[Keeper], metrics: Metrics
    ) -> None:
        """Give what is signed to every keeper; what one of them cannot keep is kept by the others."""
        self._store, self._clock, self._signer = store, clock, signer
        self._keepers, self._metrics = keepers, metrics
        self._kept: dict[tuple[str, str], End | None] = {}
        self._chains: dict[str, set[str]] = {}
        self._all_signed_at = clock.now()
        metrics.checkpoint_age.set_function(self.age)

    def age(self) -> float:
        """Seconds since every chain was last found signed, by every keeper; at the start, since then."""
        return max(0.0, (self._clock.now() - self._all_signed_at).total_seconds())

    async def sign(self) -> None:
        """Sign each chain that has grown. What goes wrong is logged and counted: the next time is soon."""
        now = self._clock.now()
        working = list(self._keepers)
        try:
            heads, anchors = await self._store.read(_ends)
            signed = [
                await self._sign(
                    head, next((one for one in anchors if one.chain == head.chain), None), working
                )
                for head in heads
            ]
        except StoreError as error:
            self._metrics.checkpoint_failures.labels("store").inc()
            log.error("no checkpoint: the ledger cannot be read", stage="audit", error=str(error))
            return
        gone = await self._gone({head.chain for head in heads}, working)
        if all(signed) and not gone and len(working) == len(self._keepers):
            self._all_signed_at = now

    async def _gone(self, there: set[str], working: list[Keeper]) -> bool:
        """Report the chains that were signed once and are not there any more; whether there are any.

        Pruning leaves of every chain its end, so none goes by itself.
        """
        for keeper in [one for one in working if one.name not in self._chains]:
            await self._managed(keeper, self._learn(keeper), working)
        signed = {chain for (_, chain), end in self._kept.items() if end is not None}
        gone = signed.union(*self._chains.values()) - there
        for chain in sorted(gone):
            self._metrics.checkpoint_failures.labels("changed").inc()
            log.error("the ledger was changed", stage="audit", chain=chain, fault="the whole chain is gone")
        return bool(gone)

    async def _learn(self, keeper: Keeper) -> None:
        """Ask a keeper, once in the life of a process, which chains were signed before it."""
        self._chains[keeper.name] = await keeper.chains()

    async def _sign(self, head: LedgerEntry, anchor: Anchor | None, working: list[Keeper]) -> bool:
        """Sign a chain where it is not; False when it was changed. A keeper that fails is `working` no more."""
        behind = [keeper for keeper in [*working] if await self._is_behind(keeper, head, working)]
        known = {end for keeper in behind if (end := self._kept[keeper.name, head.chain]) is not None}
        for end in sorted(known):
            fault = await self._fault(head, end, anchor)
            if fault is not None:
                self._metrics.checkpoint_failures.labels("changed").inc()
                log.error("the ledger was changed", stage="audit", chain=head.chain, fault=fault)
                return False
        line = self._signer.checkpoint(head.chain, head.seq, head.hash, self._clock.now()) if behind else ""
        for keeper in behind:
            if await self._managed(keeper, keeper.keep(line), working):
                self._kept[keeper.name, head.chain] = head.seq, head.hash
        return True

    async def _is_behind(self, keeper: Keeper, head: LedgerEntry, working: list[Keeper]) -> bool:
        """Whether a keeper has not got this end of a chain; False when it cannot be asked."""
        at = keeper.name, head.chain

        async def ask() -> None:
            self._kept[at] = await keeper.last(head.chain, head.seq)

        if at not in self._kept and not await self._managed(keeper, ask(), working):
            return False
        return self._kept[at] != (head.seq, head.hash)

    async def _managed(self, keeper: Keeper, doing: Awaitable[None], working: list[Keeper]) -> bool:
        """Whether a keeper did something; one that cannot is left alone until the next time."""
        try:
            await doing
        except (PlaceUnavailable, DamagedFile) as error:
            working.remove(keeper)
            self._metrics.checkpoint_failures.labels(keeper.name).inc()
            log.error("no checkpoint there", stage="audit", place=keeper.name, error=str(error))
            return False
        return True

    def _sealed(self, anchor: Anchor) -> bool:
        """Whether our own key says that an archive ends where the chain is taken up: anybody can write an anchor."""
        try:
            seal = read_statement(anchor.seal, {self._signer.id: self._signer.public})
        except ValueError:
            return False
        return seal.is_seal and (seal.chain, seal.seq, seal.hash) == (anchor.chain, anchor.seq, anchor.hash)

    async def _fault(self, head: LedgerEntry, known: End, anchor: Anchor | None) -> str | None:
        """Follow the chain from its last checkpoint to its end."""
        walk = Walk(head.chain)
        if anchor is not None and anchor.seq >= known[0]:
            if not self._sealed(anchor):
                return f"the anchor at entry {anchor.seq}, past the signed entry {known[0]}, has no seal of our key"
            walk.begin(anchor.seq, anchor.hash)
        else:
            walk.begin(known[0] - 1, "")
            signed = await self._store.read(_page(walk, 1))
            if [(row.seq, row.hash) for row in signed] != [known]:
                return f"entry {known[0]} was signed, and is not there now or another one"
            walk.begin(*known)
        while walk.seq < head.seq:
            rows = await self._store.read(_page(walk))
            fault = walk.fault(rows)
            if fault is not None or not rows:
                return fault or f"entry {walk.seq + 1} is not there"
        return None


async def _ends(tx: Tx) -> tuple[list[LedgerEntry], list[Anchor]]:
    return await tx.ledger.heads(), await tx.ledger.anchors()


def _page(walk: Walk, limit: int = _PAGE) -> Callable[[Tx], Awaitable[list[LedgerRow]]]:
    after = walk.seq

    async def unit(tx: Tx) -> list[LedgerRow]:
        return await tx.ledger.rows(walk.chain, after, limit)

    return unit
