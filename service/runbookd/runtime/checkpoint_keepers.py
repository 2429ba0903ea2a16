"""Who keeps checkpoints: a file, the log, and a place where nothing that was written is ever changed."""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING, Protocol, TypeAlias
from urllib.parse import quote, unquote

import structlog

from runbookd.errors import DamagedFile, PlaceUnavailable
from runbookd.stages.checkpoint import Signer, Statement, read_statement
from runbookd.store.archives import put_and_read

if TYPE_CHECKING:
    from pathlib import Path

    from runbookd.ports import Place

log = structlog.get_logger()

End: TypeAlias = tuple[int, str]
"""A chain's last entry: its number and its hash."""

PREFIX = "checkpoint-"
_NAME = re.compile(PREFIX + r"(?P<chain>.+)-(?P<seq>\d{12})-(?P<key>[0-9a-f]+)\.json")
_BACK = 4_096
"""Entries before a chain's end where its last checkpoint is looked for first; then ever more."""
_FURTHER = 16


class Keeper(Protocol):
    """Keeps checkpoints. Its methods raise PlaceUnavailable, and DamagedFile for what cannot be true."""

    @property
    def name(self) -> str:
        """What metrics and the log call it."""
        ...

    async def last(self, chain: str, seq: int) -> End | None:
        """Return the end of a chain as this key signed it last; None when that is not known. `seq` is its end now."""
        ...

    async def chains(self) -> set[str]:
        """Return every chain that this key has signed an end of, as far as is known."""
        ...

    async def keep(self, line: str) -> None:
        """Keep a checkpoint; it would outlive a power cut when this returns."""
        ...


class FileKeeper:
    """A file of JSON Lines (mode 0600), only ever added to. It is read once, at the first question."""

    name = "file"

    def __init__(self, path: Path, signer: Signer) -> None:
        """`signer` says whose lines count."""
        self._path, self._signer = path, signer
        self._found: dict[str, End] | None = None

    async def last(self, chain: str, seq: int) -> End | None:
        """Return the chain's end in the file as it was found; lines of others are not ours to judge."""
        del seq
        return (await self._known()).get(chain)

    async def chains(self) -> set[str]:
        """Return the chains of the file as it was found."""
        return set(await self._known())

    async def keep(self, line: str) -> None:
        """Add a line."""
        try:
            await asyncio.to_thread(_append_line, self._path, line)
        except OSError as error:
            raise PlaceUnavailable(f"{self._path}: {error.strerror}") from error

    async def _known(self) -> dict[str, End]:
        if self._found is None:
            try:
                self._found = await asyncio.to_thread(self._read)
            except OSError as error:
                raise PlaceUnavailable(f"{self._path}: {error.strerror}") from error
        return self._found

    def _read(self) -> dict[str, End]:
        found: dict[str, End] = {}
        if not self._path.exists():
            return found
        with self._path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                statement = _own(line.rstrip("\n"), self._signer)
                if statement is not None:
                    found[statement.chain] = statement.seq, statement.hash
        return found


class LogKeeper:
    """The service's log, where a collector keeps it elsewhere."""

    name = "log"

    async def last(self, chain: str, seq: int) -> None:
        """Know nothing: the log is not read."""

    async def chains(self) -> set[str]:
        """Know none, as above."""
        return set()

    async def keep(self, line: str) -> None:
        """Log it."""
        log.info("checkpoint", stage="audit", checkpoint=line)


class PlaceKeeper:
    """A file for each checkpoint, `checkpoint-CHAIN-SEQ-KEY.json`, the chain as in a URL; replicas share the place.

    Two that sign the same end write the same name: the second one finds it done.
    """

    name = "s3"

    def __init__(self, place: Place, signer: Signer) -> None:
        """`signer` says whose files count."""
        self._place, self._signer = place, signer

    async def last(self, chain: str, seq: int) -> End | None:
        """Return what the last file of the chain says. It is looked for from the chain's end, ever further back."""
        back = _BACK
        while True:
            first = max(0, seq - back)
            names = [
                name
                async for name in self._place.names(_beginning(chain), f"{_beginning(chain)}{first:012}")
                if (found := _NAME.fullmatch(name))
                and (quote(chain, safe=""), self._signer.id) == (found["chain"], found["key"])
            ]
            if names:
                return await self._end(names[-1], chain)
            if first == 0:
                return None
            back *= _FURTHER

    async def chains(self) -> set[str]:
        """Return the chains of all files there, by their names."""
        found = [_NAME.fullmatch(name) async for name in self._place.names(PREFIX)]
        return {unquote(one["chain"]) for one in found if one and one["key"] == self._signer.id}

    async def keep(self, line: str) -> None:
        """Put it there; one that says the same of the same entry will do as well."""
        statement = read_statement(line, None)
        name = f"{_beginning(statement.chain)}{statement.seq:012}-{self._signer.id}.json"
        there = await put_and_read(self._place, name, line.encode() + b"\n")
        other = _own(there.decode(errors="replace").rstrip("\n"), self._signer)
        said = (other.chain, other.seq, other.hash) if other is not None else None
        if said != (statement.chain, statement.seq, statement.hash):
            raise DamagedFile(
                f"{self._place.where(name)} says something else of chain {statement.chain} than the ledger, whose "
                f"entry {statement.seq} is {statement.hash}: one of them was changed; see `runbookd audit verify`"
            )

    async def _end(self, name: str, chain: str) -> End:
        kept = await self._place.read(name)
        statement = None if kept is None else _own(kept.decode(errors="replace").rstrip("\n"), self._signer)
        if statement is None or statement.chain != chain:
            raise DamagedFile(f"{self._place.where(name)} is not the checkpoint that its name says")
        return statement.seq, statement.hash


def _beginning(chain: str) -> str:
    return f"{PREFIX}{quote(chain, safe='')}-"


def _own(line: str, signer: Signer) -> Statement | None:
    """Read a line that this key signed; None when it did not."""
    try:
        return read_statement(line, {signer.id: signer.public})
    except ValueError:
        return None


def _append_line(file: Path, line: str) -> None:
    """Add a line to a file, made if it is missing (mode 0600), and wait until it is on disk. Raises OSError."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
