"""Audit: how an entry becomes part of a chain, and how a chain is checked.

Each entry's hash covers the hash before it and the entry's canonical JSON, so that changing, dropping,
inserting or re-ordering any entry breaks every hash after it.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from runbookd.language.values import canonical_json, encode
from runbookd.model.audit import Entry, LedgerEntry, LedgerRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

E = TypeVar("E", LedgerEntry, LedgerRow)

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

    def agree(entry: LedgerEntry) -> bool:
        own = seal(entry.entry, chain=entry.chain, seq=entry.seq, previous=entry.previous)
        return own.text == entry.text

    return _broken(entries, agree, previous=previous, seq=seq)


def broken_rows(rows: Iterable[LedgerRow], *, previous: str = GENESIS, seq: int = 0) -> Iterator[str]:
    """As `broken_links`, for rows as they stand: a few microseconds each."""
    for row in rows:
        _, number, text, before, hash_, *_ = row
        follows = number == seq + 1 and before == previous
        if not (follows and chain_hash(before, text) == hash_ and _columns_stand_in(row)):
            yield from _broken([row], _columns_agree, previous=previous, seq=seq)
        previous, seq = hash_, number


def put_in(rows: Iterable[LedgerRow], *, seq: int, hash_: str) -> str | None:
    """Say which row does not belong behind entry `seq` of a chain, or is not it; None when all do.

    The rows come backwards from it. Behind an anchor are entries that are archived and not yet deleted, each bound to
    the anchor's hash by those after it; before the first entry of a chain there is nothing.
    """
    for row in rows:
        if row.seq < 1:
            return f"entry {row.seq}: was put in; a chain begins with entry 1"
        if (row.seq, row.hash) != (seq, hash_):
            return f"entry {row.seq}: was put in or changed; it is none of those that are in the archives"
        fault = next(broken_rows([row], previous=row.previous, seq=row.seq - 1), None)
        if fault is not None:
            return fault
        seq, hash_ = row.seq - 1, row.previous
    return None


def _broken(entries: Iterable[E], agree: Callable[[E], bool], *, previous: str, seq: int) -> Iterator[str]:
    for entry in entries:
        if entry.seq != seq + 1:
            yield f"entry {entry.seq}: expected number {seq + 1}; entries were dropped, inserted or re-ordered"
        if entry.previous != previous:
            yield f"entry {entry.seq}: does not follow the entry before it"
        if chain_hash(entry.previous, entry.text) != entry.hash:
            yield f"entry {entry.seq}: its text was changed after it was written"
        elif not agree(entry):
            yield f"entry {entry.seq}: its columns differ from the text that was hashed"
        previous, seq = entry.hash, entry.seq


def _columns_stand_in(row: LedgerRow) -> bool:
    """Whether the columns are found in the text, where canonical JSON has them; False may only mean: read it.

    Sorted keys put `chain` and `delivery` before `detail`, and all others behind its closing brace. A quote inside a
    text is escaped, so that neither place can be imitated from within an actor or a detail.
    """
    chain, seq, text, _, _, stage, what, delivery, event, incident, run = row
    begin = f',"chain":"{chain}","detail":{{'
    if delivery is not None:
        begin = f',"chain":"{chain}","delivery":"{delivery}","detail":{{'
    end = f',"seq":{seq},"stage":"{stage}","what":"{what}"}}'
    if run is not None:
        end = f',"run":"{run}"{end}'
    if incident is not None:
        end = f',"incident":"{incident}"{end}'
    if event is not None:
        end = f',"event":"{event}"{end}'
    return text.endswith("}" + end) and text.startswith(begin, text.find(',"chain":"'))


def _columns_agree(row: LedgerRow) -> bool:
    """Whether the columns say what the text says."""
    try:
        fields = _fields(row.text)
        told = (fields["chain"], fields["seq"], fields["stage"], fields["what"])
        about = (fields.get("delivery"), fields.get("event"), fields.get("incident"), fields.get("run"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
    return told + about == (row.chain, row.seq, *row[5:])


def line_of(row: LedgerRow) -> bytes:
    """Write a row as one line of a ledger outside the database: the text that was hashed, and its place."""
    fields = {
        "chain": row.chain,
        "seq": row.seq,
        "previous": row.previous,
        "hash": row.hash,
        "text": row.text,
    }
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


def row_of(line: bytes) -> LedgerRow:
    """Read what `line_of` wrote; the columns are those the text gives. Raises ValueError for anything else."""
    try:
        fields = _fields(line)
        place = str(fields["chain"]), int(fields["seq"])
        text, previous, hash_ = str(fields["text"]), str(fields["previous"]), str(fields["hash"])
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        message = f"not a line of a ledger ({type(error).__name__})"
        raise ValueError(message) from None
    try:
        told = _fields(text)
        names = ("stage", "what", "delivery", "event", "incident", "run")
        columns: list[Any] = [told.get(name) for name in names]
    except (ValueError, AttributeError, RecursionError):
        columns = [""] * 6  # no check takes these for what the text says
    return LedgerRow(place[0], place[1], text, previous, hash_, *columns)


def _fields(text: str | bytes) -> dict[str, Any]:
    """Read a text of ours; the fast reader refuses half surrogate pairs, which Python's own takes."""
    try:
        fields: dict[str, Any] = orjson.loads(text)
    except ValueError:
        fields = json.loads(text)
    return fields


class Walk:
    """Follows one chain from where it begins: `seq` and `hash` are those of the last entry passed.

    `wanted` are hashes by number that the chain must hold; those passed are taken away, those left were not met.
    """

    def __init__(self, chain: str, wanted: dict[int, str] | None = None) -> None:
        """Stand before the first entry."""
        self.chain = chain
        self.seq = 0
        self.hash = GENESIS
        self.count = 0
        self.wanted = wanted or {}

    def begin(self, seq: int, hash_: str) -> None:
        """Stand after an entry that somebody vouches for, without having passed those before it."""
        self.seq, self.hash = seq, hash_

    def fault(self, rows: Sequence[LedgerRow], *, sound: bool = False) -> str | None:
        """Pass these rows; returns the first fault, or None when all follow from what came before.

        Of rows that are known to follow from one another (`sound`) only the first is looked at.
        """
        found = next(broken_rows(rows[:1] if sound else rows, previous=self.hash, seq=self.seq), None)
        if found is not None or not rows:
            return found
        for seq in [seq for seq in self.wanted if self.seq < seq <= rows[-1].seq]:
            if rows[seq - self.seq - 1].hash != self.wanted[seq]:
                return f"entry {seq}: is not the one that was signed or noted; the chain was written anew"
            del self.wanted[seq]
        self.seq, self.hash = rows[-1].seq, rows[-1].hash
        self.count += len(rows)
        return None


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
