"""Checkpoints: the signed end of every ledger chain, written at an interval to where an intruder may not reach."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import structlog

from runbookd.errors import StoreError
from runbookd.stages.audit import Walk
from runbookd.stages.checkpoint import read_statement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from runbookd.model.audit import Anchor, LedgerEntry, LedgerRow
    from runbookd.ports import Clock, Store, Tx
    from runbookd.stages.checkpoint import Signer

log = structlog.get_logger()

_PAGE = 10_000


class Checkpoints:
    """Signs the chains' ends. A chain that does not follow from its last checkpoint is not signed, but reported."""

    def __init__(
        self, store: Store, clock: Clock, signer: Signer, *, file: Path | None, to_log: bool
    ) -> None:
        """Write to a file (JSON Lines, only ever added to; None: no file), and to the log."""
        self._store, self._clock, self._signer = store, clock, signer
        self._file, self._to_log = file, to_log
        self._ends: dict[str, tuple[int, str]] | None = None

    async def sign(self) -> None:
        """Sign each chain that has grown. What goes wrong is logged: the next time is soon."""
        try:
            if self._ends is None:
                self._ends = await asyncio.to_thread(self._written_before)
            heads, anchors = await self._store.read(_ends)
            for head in heads:
                anchor = next((one for one in anchors if one.chain == head.chain), None)
                await self._sign(self._ends, head, anchor)
        except StoreError as error:
            log.error("no checkpoint: the ledger cannot be read", stage="audit", error=str(error))
        except OSError as error:
            where = str(self._file)
            log.error(
                "no checkpoint: the file cannot be used", stage="audit", file=where, error=error.strerror
            )

    async def _sign(self, ends: dict[str, tuple[int, str]], head: LedgerEntry, anchor: Anchor | None) -> None:
        known = ends.get(head.chain)
        if known == (head.seq, head.hash):
            return
        if known is not None:
            fault = await self._fault(head, known, anchor)
            if fault is not None:
                log.error("the ledger was changed", stage="audit", chain=head.chain, fault=fault)
                return
        line = self._signer.checkpoint(head.chain, head.seq, head.hash, self._clock.now())
        if self._file is not None:
            await asyncio.to_thread(append_line, self._file, line)
        if self._to_log:
            log.info("checkpoint", stage="audit", checkpoint=line)
        ends[head.chain] = head.seq, head.hash

    async def _fault(self, head: LedgerEntry, known: tuple[int, str], anchor: Anchor | None) -> str | None:
        """Follow the chain from its last checkpoint to its end."""
        walk = Walk(head.chain)
        if anchor is not None and anchor.seq >= known[0]:
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

    def _written_before(self) -> dict[str, tuple[int, str]]:
        """Return the end of each chain as this key signed it last; lines of others are not ours to judge."""
        found: dict[str, tuple[int, str]] = {}
        if self._file is None or not self._file.exists():
            return found
        with self._file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    statement = read_statement(line.rstrip("\n"), {self._signer.id: self._signer.public})
                except ValueError:
                    continue
                found[statement.chain] = statement.seq, statement.hash
        return found


def append_line(file: Path, line: str) -> None:
    """Add a line to a file, made if it is missing (mode 0600), and wait until it is on disk. Raises OSError."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _ends(tx: Tx) -> tuple[list[LedgerEntry], list[Anchor]]:
    return await tx.ledger.heads(), await tx.ledger.anchors()


def _page(walk: Walk, limit: int = _PAGE) -> Callable[[Tx], Awaitable[list[LedgerRow]]]:
    after = walk.seq

    async def unit(tx: Tx) -> list[LedgerRow]:
        return await tx.ledger.rows(walk.chain, after, limit)

    return unit
