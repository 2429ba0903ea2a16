"""A ledger in a real file, its clock, and a place for its archives."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from runbookd.model.audit import Entry, LedgerRow, Stage
from runbookd.model.retention import Ages, Kept
from runbookd.ports import Place, Store
from runbookd.runtime.checkpoint_keepers import Keeper
from runbookd.runtime.checkpoints import Checkpoints
from runbookd.runtime.metrics import Metrics
from runbookd.runtime.retention import ARCHIVING, Archiving, Pruner
from runbookd.stages.audit import broken_rows
from runbookd.stages.checkpoint import new_key, signer_of
from runbookd.store.archives import archives_in, read_archive, way_through
from tests.acceptance.engine import SetClock

SIGNER = signer_of(new_key())
KEYS = {SIGNER.id: SIGNER.public}
DAY = timedelta(days=1)
MONTH = Ages(rows=dict.fromkeys(Kept, 30 * DAY), ledger=30 * DAY)


@dataclass
class Ledger:
    """A store, its clock, a place for archives, and what is counted."""

    store: Store
    clock: SetClock
    place: Place
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    lease: timedelta = timedelta(seconds=30)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.registry)

    @property
    def folder(self) -> Path:
        """The folder of archives, where the place is one."""
        return Path(self.place.where())

    def pruner(self, ages: Ages = MONTH, *, archive: bool = True, window: timedelta = timedelta()) -> Pruner:
        """What prunes here."""
        archiving = Archiving(place=self.place, signer=SIGNER, watch=self.metrics) if archive else None
        return Pruner(
            self.store, self.clock, ages, archiving, longest_window=lambda: window, lease=self.lease
        )

    def checkpoints(self, *keepers: Keeper) -> Checkpoints:
        """What signs the chains here, as a new process does it."""
        return Checkpoints(self.store, self.clock, SIGNER, keepers, self.metrics)

    async def prune(self, pruner: Pruner | None = None) -> dict[str, int]:
        """Prune under a claim, and name what went."""
        pruner = pruner or self.pruner()
        work = await pruner.take("test/1")
        assert work is not None
        return {kind: count for kind, count in (await pruner.prune(work)).items() if count}

    async def note(self, count: int) -> None:
        """Append entries, each at its own second, at this time of the clock."""
        now = self.clock.at
        entries = [Entry(at=now + timedelta(seconds=n), stage=Stage.PLAN, what="go") for n in range(count)]
        await self.store.write(lambda tx: tx.ledger.append(entries))

    async def old(self, count: int) -> list[LedgerRow]:
        """Append entries that are old enough to go, and one that is not; the old ones."""
        await self.note(count)
        rows = await self.rows()
        self.clock.at += 40 * DAY
        await self.note(1)
        return rows

    async def rows(self) -> list[LedgerRow]:
        """What is left of the chain."""
        return await self.store.read(lambda tx: tx.ledger.rows("main", 0, 99_999))

    async def whole(self) -> list[LedgerRow]:
        """The chain from its first entry: archives, then what is left; AssertionError when it does not verify."""
        anchors = await self.store.read(lambda tx: tx.ledger.anchors())
        end = anchors[0].seq if anchors else 0
        archived: list[LedgerRow] = []
        for archive in way_through(await archives_in(self.place), "main", 0, end):
            archived += (await read_archive(self.place, archive, KEYS))[0]
        there = await self.rows()
        left = [row for row in there if row.seq > end]
        assert [row for row in there if row.seq <= end] == archived[len(archived) + len(left) - len(there) :]
        assert [row.seq for row in (*archived, *left)] == [*range(1, len(archived) + len(left) + 1)]
        assert list(broken_rows([*archived, *left])) == []
        return [*archived, *left]

    async def archiving(self) -> dict[str, Any] | None:
        """What `status` says of archives that cannot be written; None when nothing stands in their way."""
        said = await self.store.read(lambda tx: tx.switches.get(ARCHIVING))
        return None if said is None else dict(json.loads(said))

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.registry.get_sample_value(f"runbookd_{name}", labels) or 0.0
