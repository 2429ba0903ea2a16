"""A check of the ledger under way: each chain followed, and held to what was signed or noted about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.errors import DamagedFile, NotFound
from runbookd.stages.audit import Walk
from runbookd.stages.checkpoint import Statement, read_statement
from runbookd.store.archives import way_through

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from runbookd.cli.shelf import Shelf
    from runbookd.model.audit import Anchor, LedgerRow


_UNSURE = ", their signatures unchecked: give --public-key"


class Check:
    """What a check came to: `fault` is the first there is, `notes` what could not be checked, `walks` the chains."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey] | None, archives: Shelf | None) -> None:
        """Check signatures by the keys (None: not at all), and what was pruned by the archives (None: not at all)."""
        self._keys = keys
        self._shelf = archives
        self._archives = archives.archives() if archives is not None else []
        self._anywhere: dict[int, str] = {}
        self._wanted: dict[str, dict[int, str]] = {}
        self.walks: dict[str, Walk] = {}
        self.fault: str | None = None
        self.notes = (
            [f"archives of {archives.where}{_UNSURE}"] if archives is not None and keys is None else []
        )

    @property
    def count(self) -> int:
        """How many entries were checked."""
        return sum(walk.count for walk in self.walks.values())

    def want(self, chain: str | None, seq: int, hash_: str) -> None:
        """Hold a chain (None: one of them) to an entry it held."""
        wanted = self._anywhere if chain is None else self._wanted.setdefault(chain, {})
        if wanted.setdefault(seq, hash_) != hash_:
            self.fail(f"chain {chain}, entry {seq}: two different ones were signed or noted")

    def want_signed(self, file: Path) -> None:
        """Hold the chains to every checkpoint of a file. Raises NotFound as `want_kept`."""
        lines = enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if not self._want_all(str(file), ((f"{file}:{number}", line) for number, line in lines)):
            raise NotFound(f"there is no checkpoint in {file}; is that the file?")

    def want_kept(self, shelf: Shelf) -> None:
        """Hold the chains to every checkpoint of a place. Raises NotFound when there is none: it is the wrong one."""
        if not self._want_all(shelf.where, shelf.checkpoints()):
            raise NotFound(f"there is no checkpoint at {shelf.where}; is that the place?")

    def _want_all(self, source: str, lines: Iterable[tuple[str, str]]) -> int:
        """Hold the chains to these lines, each after where it stands; returns how many there were."""
        count = 0
        for where, line in lines:
            count += 1
            try:
                one = read_statement(line, self._keys)
            except ValueError as error:
                self.fail(f"{where}: {error}")
                return count
            self.want(one.chain, one.seq, one.hash)
        self.notes.append(f"{count} checkpoints of {source}{'' if self._keys is not None else _UNSURE}")
        return count

    def walk(self, chain: str) -> Walk:
        """Return the walk along a chain."""
        if chain not in self.walks:
            self.walks[chain] = Walk(chain, self._wanted.pop(chain, None))
        return self.walks[chain]

    def begin(self, chain: str, anchor: Anchor | None) -> None:
        """Come to where the database takes a chain up: through its archives, or by the word of its anchor."""
        walk = self.walk(chain)
        if anchor is None:
            return
        seal = self._seal_of(anchor)
        if seal is None:
            return
        if self._shelf is None:
            self._pass_over(walk, anchor.seq, anchor.hash)
            return
        way = way_through(self._archives, chain, walk.seq, anchor.seq)
        if not way or way[-1].last < anchor.seq:  # pruned since we began, perhaps
            self._archives = self._shelf.archives()
            way = way_through(self._archives, chain, walk.seq, anchor.seq)
        for archive in way:
            try:
                rows = self._shelf.rows(archive, self._keys)
            except DamagedFile as error:
                self.fail(str(error))
                return
            self.follow(chain, rows, sound=True)  # an archive is checked where it is read
            if self.fault is not None:
                return
        if walk.seq < anchor.seq:
            self.fail(f"chain {chain}, entry {walk.seq + 1}: no archive begins with it")
            return
        if walk.hash != anchor.hash:
            self.fail(
                f"chain {chain}, entry {anchor.seq}: the archive holds another one than the anchor names"
            )

    def sealed(self, line: str) -> None:
        """Come to where an export takes a chain up."""
        try:
            seal = read_statement(line, self._keys)
        except ValueError as error:
            self.fail(f"a seal in the file: {error}")
            return
        walk = self.walk(seal.chain)
        if seal.is_seal and walk.seq == 0:
            self._pass_over(walk, seal.seq, seal.hash)

    def follow(self, chain: str, rows: list[LedgerRow], *, sound: bool = False) -> None:
        """Pass these rows of a chain; `sound` when they are known to follow from one another."""
        if self._anywhere:
            for seq in [row.seq for row in rows if self._anywhere.get(row.seq) == row.hash]:
                del self._anywhere[seq]
        fault = self.walk(chain).fault(rows, sound=sound)
        if fault is not None:
            self.fail(f"chain {chain}, {fault}")

    def close(self) -> None:
        """Say what was never met."""
        for chain, walk in self.walks.items():
            for seq, hash_ in walk.wanted.items():
                self.fail(_missing(chain, seq, hash_))
        for chain, wanted in self._wanted.items():
            self.fail(f"{_missing(chain, *max(wanted.items()))}: the chain is gone")
        for seq, hash_ in self._anywhere.items():
            self.fail(_missing(None, seq, hash_))

    def fail(self, fault: str) -> None:
        """Note a fault, unless there was one before."""
        self.fault = self.fault or fault

    def _seal_of(self, anchor: Anchor) -> Statement | None:
        """Read an anchor's seal, which must speak of the same entry; None is a fault."""
        where = f"chain {anchor.chain} begins after entry {anchor.seq}"
        try:
            seal = read_statement(anchor.seal, self._keys)
        except ValueError as error:
            self.fail(f"{where}, by an anchor whose seal is wrong: {error}")
            return None
        if not seal.is_seal or (seal.chain, seal.seq, seal.hash) != (anchor.chain, anchor.seq, anchor.hash):
            self.fail(f"{where}, by an anchor whose seal is of another entry")
            return None
        return seal

    def _pass_over(self, walk: Walk, seq: int, hash_: str) -> None:
        """Take a chain up after an entry that a seal vouches for."""
        by = "a signed seal" if self._keys is not None else "a seal whose signature is unchecked"
        self.notes.append(f"chain {walk.chain} begins after entry {seq}, by {by}; the rest is in archives")
        if walk.wanted.get(seq, hash_) != hash_:
            self.fail(f"chain {walk.chain}, entry {seq}: is not the one that was signed or noted")
        walk.wanted = {number: each for number, each in walk.wanted.items() if number > seq}
        walk.begin(seq, hash_)


def _missing(chain: str | None, seq: int, hash_: str) -> str:
    where = f"chain {chain} does not hold" if chain else "no chain holds"
    return f"{where} entry {seq}:{hash_}; a tail was cut off, or the chain written anew"
