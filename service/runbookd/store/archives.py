"""Archives: the ledger's oldest entries outside the database, in gzipped JSON Lines that end with a signed seal.

A file is made beside its place, written to the disk, read back and checked, and only then given its name:
`ledger-CHAIN-FIRST-LAST.jsonl.gz`, the chain as in a URL. Nothing ever changes one.
"""

from __future__ import annotations

import gzip
import os
import re
import tempfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from runbookd.errors import StoreError, StoreUnavailable
from runbookd.stages.audit import broken_rows, line_of, row_of
from runbookd.stages.checkpoint import Statement, read_statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from runbookd.model.audit import LedgerRow
    from runbookd.stages.checkpoint import Signer

_NAME = re.compile(r"ledger-(?P<chain>.+)-(?P<first>\d{12})-(?P<last>\d{12})\.jsonl\.gz")
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error)
"""What reading a damaged file may raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A file, and what its name says of it: entries `first` to `last` of a chain."""

    path: Path
    chain: str
    first: int
    last: int

    @classmethod
    def at(cls, folder: Path, statement: Statement) -> Archive:
        """Return the place of the archive that a seal is for."""
        first = statement.first or 0
        name = f"ledger-{quote(statement.chain, safe='')}-{first:012}-{statement.seq:012}.jsonl.gz"
        return cls(path=folder / name, chain=statement.chain, first=first, last=statement.seq)


def archives_in(folder: Path) -> list[Archive]:
    """Return every archive of a folder, by chain and number; other files are left alone."""
    found = []
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match is not None:
            first, last = int(match["first"]), int(match["last"])
            found.append(Archive(path=path, chain=unquote(match["chain"]), first=first, last=last))
    return found


def next_archive(archives: Sequence[Archive], chain: str, seq: int, last: int) -> Archive | None:
    """Return the longest archive that goes on after entry `seq` of a chain, no further than `last`."""
    fitting = [one for one in archives if one.chain == chain and one.first == seq + 1 and one.last <= last]
    return max(fitting, key=lambda one: one.last, default=None)


def write_archive(
    folder: Path, rows: Sequence[LedgerRow], signer: Signer, at: datetime
) -> tuple[Archive, Statement]:
    """Write the rows and their seal, and return the archive once it is on disk, read back and checked.

    An archive of that name, left by a process that died before its rows were forgotten, is checked and used.
    Raises StoreUnavailable when the folder takes nothing, and StoreError when what was read back is not right.
    """
    seal = signer.seal(rows[0], rows[-1], at)
    archive = Archive.at(folder, read_statement(seal, None))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not archive.path.exists():
            _write(archive.path, rows, seal)
    except OSError as error:
        raise StoreUnavailable(
            f"The archive {archive.path} cannot be written: {error.strerror}. Nothing was taken from the ledger; give "
            "the service room and the right to write there."
        ) from error
    _, kept = read_archive(archive, {signer.id: signer.public}, expected=rows[-1].hash)
    return archive, kept


def _write(path: Path, rows: Sequence[LedgerRow], seal: str) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
                packed.writelines(line_of(row) for row in rows)
                packed.write(seal.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(new)
    finally:
        new.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the name must outlive a power cut as the entries do
    finally:
        os.close(folder)


def read_archive(
    archive: Archive, keys: Mapping[str, Ed25519PublicKey] | None, *, expected: str | None = None
) -> tuple[list[LedgerRow], Statement]:
    """Read an archive whole, and check chain and seal; the signature by `keys`, None checks none.

    `expected` is the hash its last entry must have, None for any. Raises StoreError that says what is wrong.
    """
    try:
        *lines, sealed = gzip.decompress(archive.path.read_bytes()).splitlines()
        rows = [row_of(line) for line in lines]
        seal = read_statement(sealed.decode(), keys)
    except _UNREADABLE as error:
        raise StoreError(f"The archive {archive.path} cannot be read: {error}") from error
    fault = _fault(archive, rows, seal)
    if fault is None and expected is not None and seal.hash != expected:
        fault = "it holds other entries than the ledger"
    if fault is not None:
        raise StoreError(f"The archive {archive.path} is not whole: {fault}.")
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
