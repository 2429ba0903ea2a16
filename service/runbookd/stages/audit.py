"""Audit: how an entry becomes part of a chain, and how a chain is checked.

Each entry's hash covers the hash before it and the entry's canonical JSON, so that changing, dropping,
inserting or re-ordering any entry breaks every hash after it.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runbookd.language.values import canonical_json, encode
from runbookd.model.audit import Entry, LedgerEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GENESIS = "0" * 64
"""What stands before the first entry of a chain."""


def seal(entry: Entry, *, chain: str, seq: int, previous: str) -> LedgerEntry:
    """Bind an entry to its place: after the entry whose hash is `previous`, as number `seq` (from 1) of `chain`."""
    sealed: dict[str, object] = {
        "actor": entry.actor,
        "at": entry.at.astimezone(UTC).isoformat(),
        "chain": chain,
        "detail": encode(entry.detail),
        "seq": seq,
        "stage": entry.stage.value,
        "what": entry.what,
    }
    about = (
        ("delivery", entry.delivery_id),
        ("event", entry.event_id),
        ("incident", entry.incident_id),
        ("run", entry.run_id),
    )
    sealed.update((name, value) for name, value in about if value is not None)
    text = canonical_json(sealed)
    return LedgerEntry(
        chain=chain, seq=seq, text=text, previous=previous, hash=chain_hash(previous, text), entry=entry
    )


def chain_hash(previous: str, text: str) -> str:
    """Return SHA-256 (hex) over the previous hash, a newline and the entry's text."""
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


def broken_links(entries: Iterable[LedgerEntry], *, previous: str = GENESIS, seq: int = 0) -> Iterator[str]:
    """Say what is wrong with each entry that does not follow from the one before; nothing when all is well.

    `previous` and `seq` are those of the last entry already checked.
    """
    for entry in entries:
        if entry.seq != seq + 1:
            yield f"entry {entry.seq}: expected number {seq + 1}; entries were dropped, inserted or re-ordered"
        if entry.previous != previous:
            yield f"entry {entry.seq}: does not follow the entry before it"
        if chain_hash(entry.previous, entry.text) != entry.hash:
            yield f"entry {entry.seq}: its text was changed after it was written"
        elif seal(entry.entry, chain=entry.chain, seq=entry.seq, previous=entry.previous).text != entry.text:
            yield f"entry {entry.seq}: its columns differ from the text that was hashed"
        previous, seq = entry.hash, entry.seq


def merged(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Put entries of several chains in one order: each chain in its own, and the chains beside each other by time.

    An entry that tells of an earlier time than the one before it in its chain stays behind that one.
    """
    latest: dict[str, datetime] = {}
    placed = []
    for entry in sorted(entries, key=lambda entry: entry.seq):
        at = latest[entry.chain] = max(latest.get(entry.chain, entry.entry.at), entry.entry.at)
        placed.append((at, entry.chain, entry.seq, entry))
    return [entry for *_, entry in sorted(placed, key=lambda place: place[:3])]
