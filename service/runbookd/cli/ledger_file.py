"""A ledger outside the database: JSON Lines, one entry a line, with the very text that was hashed."""

from __future__ import annotations

import gzip
import json
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

import click

from runbookd.errors import EvaluationError
from runbookd.language.values import decode
from runbookd.model.audit import Entry, LedgerEntry, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
    EvaluationError,
)


@contextmanager
def opened_to_write(path: str) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """Open a new file, compressed when it is named `.gz`; `-` is standard output.

    Raises UsageError when the file is there already.
    """
    if path == "-":
        yield sys.stdout.buffer
        return
    try:
        with open(path, "xb") as file:  # noqa: PTH123 - "-" is no path
            if not path.endswith(".gz"):
                yield file
                return
            with gzip.open(file, "wb") as packed:
                yield packed
    except FileExistsError:
        raise click.UsageError(f"{path} is there already; name a new file") from None


def line_of(entry: LedgerEntry) -> bytes:
    """Write an entry as one line."""
    fields = {
        "chain": entry.chain,
        "seq": entry.seq,
        "previous": entry.previous,
        "hash": entry.hash,
        "text": entry.text,
    }
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


def entries_in(path: Path) -> Iterator[LedgerEntry]:
    """Read the entries of a file, compressed or not. Raises UsageError with the line that is no entry."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        yield from _entries(file, path)


def _entries(lines: Iterable[bytes], path: Path) -> Iterator[LedgerEntry]:
    for number, line in enumerate(lines, start=1):
        try:
            fields = json.loads(line)
            chain, seq, text = fields["chain"], int(fields["seq"]), str(fields["text"])
            previous, hash_ = str(fields["previous"]), str(fields["hash"])
        except _UNREADABLE as error:
            message = f"{path}:{number}: not a line of `runbookd audit export` ({type(error).__name__})"
            raise click.UsageError(message) from None
        yield LedgerEntry(
            chain=chain, seq=seq, text=text, previous=previous, hash=hash_, entry=_entry_of(text)
        )


def _entry_of(text: str) -> Entry:
    """Read the text back; one that cannot be read is a stand-in, which no check takes for the entry."""
    try:
        fields = json.loads(text)
        return Entry(
            at=datetime.fromisoformat(fields["at"]),
            stage=Stage(fields["stage"]),
            what=fields["what"],
            actor=fields["actor"],
            delivery_id=fields.get("delivery"),
            event_id=fields.get("event"),
            incident_id=fields.get("incident"),
            run_id=fields.get("run"),
            detail=dict(decode(fields["detail"])),
        )
    except _UNREADABLE:
        return Entry(at=datetime.fromtimestamp(0, UTC), stage=Stage.AUDIT, what="unreadable")
