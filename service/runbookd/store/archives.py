"""Archives: the ledger's oldest entries outside the database, in gzipped JSON Lines that end with a signed seal.

An archive is a file `ledger-CHAIN-FIRST-LAST.jsonl.gz`, the chain as in a URL, in a place (`ports.Place`) where
nothing ever changes one. What was put there is read back and checked before it counts.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from runbookd.errors import DamagedFile, PlaceUnavailable
from runbookd.stages.audit import broken_rows, line_of, row_of
from runbookd.stages.checkpoint import Statement, read_statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from runbookd.model.audit import LedgerRow
    from runbookd.ports import Place
    from runbookd.stages.checkpoint import Signer

_PREFIX = "ledger-"
_NAME = re.compile(_PREFIX + r"(?P<chain>.+)-(?P<first>\d{12})-(?P<last>\d{12})\.jsonl\.gz")
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error)
"""What reading a damaged file may raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A file's name, and what it says: entries `first` to `last` of a chain."""

    name: str
    chain: str
    first: int
    last: int

    @classmethod
    def of(cls, statement: Statement) -> Archive:
        """Return the archive that a seal is for."""
        first = statement.first or 0
        name = f"{_PREFIX}{quote(statement.chain, safe='')}-{first:012}-{statement.seq:012}.jsonl.gz"
        return cls(name=name, chain=statement.chain, first=first, last=statement.seq)


async def archives_in(place: Place) -> list[Archive]:
    """Return every archive of a place, by chain and number; other files are left alone. Raises PlaceUnavailable."""
    found = []
    async for name in place.names(_PREFIX):
        match = _NAME.fullmatch(name)
        if match is not None:
            first, last = int(match["first"]), int(match["last"])
            found.append(Archive(name=name, chain=unquote(match["chain"]), first=first, last=last))
    return found


def way_through(archives: Sequence[Archive], chain: str, seq: int, last: int) -> list[Archive]:
    """Return the archives that lead from after entry `seq` of a chain to `last`; as far as they do when one is missing.

    Not all belong to it: a process that died before it could forget what it had archived leaves one behind.
    """
    by_end: dict[int, Archive] = {}
    for one in sorted(archives, key=lambda one: (one.first, one.last)):
        if one.chain == chain and one.last <= last and (one.first - 1 == seq or one.first - 1 in by_end):
            by_end[one.last] = one
    way: list[Archive] = []
    at = max(by_end, default=seq)
    while at in by_end:
        way.append(by_end[at])
        at = by_end[at].first - 1
    return way[::-1]


async def write_archive(
    place: Place, rows: Sequence[LedgerRow], signer: Signer, at: datetime
) -> tuple[Archive, Statement]:
    """Put the rows and their seal in a place; return the archive and its seal once it was read back and checked.

    One of that name that holds these very entries, left by a process that died before they were forgotten or put by
    one that does the same work, is used. Raises PlaceUnavailable, and DamagedFile when what was read back is not right.
    """
    sealed = signer.seal(rows[0], rows[-1], at)
    archive = Archive.of(read_statement(sealed, None))
    kept = await place.read(archive.name)  # a server that knows no `If-None-Match` would write over it
    if kept is None:
        kept = await put_and_read(place, archive.name, await asyncio.to_thread(_packed, rows, sealed))
    keys = {signer.id: signer.public}
    where = place.where(archive.name)
    _, seal = await asyncio.to_thread(_unpacked, where, archive, kept, keys, rows[-1].hash)
    return archive, seal


async def put_and_read(place: Place, name: str, data: bytes) -> bytes:
    """Put a file in a place, and return what is there of that name then: these bytes, or what was there before.

    Where the answer was lost the file may be there all the same. Raises PlaceUnavailable when it is not, and
    DamagedFile when the place took these bytes and gives others.
    """
    try:
        taken = await place.put(name, data)
    except PlaceUnavailable:
        kept = await place.read(name)
        if kept is None:
            raise
        return kept
    kept = await place.read(name)
    if kept is None:
        raise PlaceUnavailable(f"{place.where(name)}: was put there, and cannot be found")
    if taken and kept != data:
        raise DamagedFile(f"{place.where(name)}: what was read back is not what was put there")
    return kept


async def read_archive(
    place: Place,
    archive: Archive,
    keys: Mapping[str, Ed25519PublicKey] | None,
    *,
    expected: str | None = None,
) -> tuple[list[LedgerRow], Statement]:
    """Read an archive whole, and check chain and seal; the signature by `keys`, None checks none.

    `expected` is the hash its last entry must have, None for any. Raises PlaceUnavailable, and DamagedFile that says
    what is wrong.
    """
    where = place.where(archive.name)
    kept = await place.read(archive.name)
    if kept is None:
        raise DamagedFile(f"The archive {where} is gone.")
    return await asyncio.to_thread(_unpacked, where, archive, kept, keys, expected)


def _packed(rows: Sequence[LedgerRow], sealed: str) -> bytes:
    lines = [*(line_of(row) for row in rows), sealed.encode() + b"\n"]
    return gzip.compress(b"".join(lines), mtime=0)


def _unpacked(
    where: str,
    archive: Archive,
    kept: bytes,
    keys: Mapping[str, Ed25519PublicKey] | None,
    expected: str | None,
) -> tuple[list[LedgerRow], Statement]:
    try:
        *lines, sealed = gzip.decompress(kept).splitlines()
        rows = [row_of(line) for line in lines]
        seal = read_statement(sealed.decode(), keys)
    except _UNREADABLE as error:
        raise DamagedFile(f"The archive {where} cannot be read: {error}") from error
    fault = _fault(archive, rows, seal)
    if fault is None and expected is not None and seal.hash != expected:
        fault = "it holds other entries than the ledger"
    if fault is not None:
        raise DamagedFile(f"The archive {where} is not whole: {fault}.")
    return rows, seal


def _fault(archive: Archive, rows: Sequence[LedgerRow], seal: Statement) -> str | None:
    if seal.first is None or seal.previous is None or not rows:
        return "it does not end with the seal of an archive"
    if (seal.chain, seal.first, seal.seq) != (archive.chain, archive.first, archive.last):
        return "its seal is of other entries than its name says"
    fault = next(broken_rows(rows, previous=seal.previous, seq=seal.first - 1), None)
    if fault is None and (rows[-1].seq, rows[-1].hash) != (seal.seq, seal.hash):
        fault = "its last entry is not the one that was sealed"
    if fault is None and any(row.chain != seal.chain for row in rows):
        fault = "it holds an entry of another chain"
    return fault
