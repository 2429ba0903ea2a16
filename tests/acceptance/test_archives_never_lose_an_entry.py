"""Every entry of the ledger is in the database or in an archive that verifies, whenever a pruning dies.

`RUNBOOKD_SEED` repeats the chances of an earlier time.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest

from runbookd.actions.aws.config import AwsConfig
from runbookd.errors import DamagedFile, LeaseLost, PlaceUnavailable, StoreUnavailable
from runbookd.model.audit import Entry, LedgerRow, Stage
from runbookd.model.event import Delivery, DeliveryState
from runbookd.ports import Place, Store, Tx
from runbookd.runtime import retention
from runbookd.runtime.places import place_at
from runbookd.stages.checkpoint import new_key, public_pem, signer_of
from runbookd.store.folder import Folder
from runbookd.store.sqlite import open_sqlite
from tests.acceptance.engine import SetClock
from tests.acceptance.nursery import Mortal, nursery
from tests.fakes.s3 import S3, Fault, Refusal
from tests.integration.runtime.ledgers import DAY, Ledger
from tests.servers import eventually, temporary_folder

T = TypeVar("T")

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
OLD = 1_300
"""Entries of a round: more than are forgotten in one transaction."""
RULES = 'priorities: {P1: {name: High}}\nrules: [{name: x, match: [alertname="X"], priority: P1}]\n'
POINTS = [
    "after deliveries forgotten",
    "before archive recorded",
    "after archive recorded",
    "before entries forgotten",
    "after entries forgotten",
]


class Died(BaseException):
    """The process is gone: nothing of it goes on."""


class Clumsy:
    """A store or a place whose user dies, or hears that it is not to be had, before and after what is done."""

    def __init__(self, it: Any, dice: Random, trouble: type[Exception]) -> None:
        """`it` does the work."""
        self.it, self._dice, self._trouble = it, dice, trouble
        self.well = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.it, name)

    async def _maybe(self, doing: Coroutine[Any, Any, T]) -> T:
        before, after = (self._dice.choices([None, Died, self._trouble], [9, 1, 1])[0] for _ in range(2))
        if before is not None and not self.well:
            doing.close()
            raise before("before")
        done = await doing
        if after is not None and not self.well:
            raise after("after")
        return done


class ClumsyPlace(Clumsy):
    """`ports.Place`."""

    async def read(self, name: str) -> bytes | None:
        """Read, perhaps."""
        found: bytes | None = await self._maybe(self.it.read(name))
        return found

    async def put(self, name: str, data: bytes) -> bool:
        """Put, perhaps."""
        return bool(await self._maybe(self.it.put(name, data)))


class ClumsyStore(Clumsy):
    """`ports.Store`."""

    async def write(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        """Commit, perhaps."""
        answer: T = await self._maybe(self.it.write(unit))
        return answer


@pytest.fixture
def seed() -> int:
    """The chances of this time, told where the test fails."""
    it = int(os.environ.get("RUNBOOKD_SEED", str(time.time_ns() % 1_000_000)))
    print(f"RUNBOOKD_SEED={it}")
    return it


async def _recorded(store: Store, after: int) -> list[LedgerRow]:
    return await store.read(lambda tx: tx.ledger.rows("main", after, 99_999))


async def _round(ledger: Ledger, dice: Random, known: dict[int, LedgerRow]) -> None:
    """Some entries are written, time passes, and one of several processes prunes, as far as it gets."""
    store, place = ledger.store, ledger.place
    assert isinstance(store, Clumsy)
    assert isinstance(place, Clumsy)
    store.well = True
    await ledger.note(dice.randrange(9))
    known |= {row.seq: row for row in await _recorded(store.it, 0)}
    ledger.clock.at += dice.choice([timedelta(minutes=1), DAY, 20 * DAY, 40 * DAY])
    work = await ledger.pruner().take(f"test/{dice.random()}")
    store.well = False
    if work is None:
        return
    with suppress(Died, LeaseLost, PlaceUnavailable, StoreUnavailable):
        await ledger.pruner().prune(work)
    known |= {row.seq: row for row in await _recorded(store.it, 0)}


async def _hold(ledger: Ledger, known: dict[int, LedgerRow]) -> None:
    """What was ever written is there, unchanged."""
    whole = {row.seq: row for row in await ledger.whole()}
    assert {seq: whole.get(seq) for seq in known} == known


async def test_whatever_fails_no_entry_is_lost(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies, and place and store fail, before and after anything: every entry stays, and pruning ends."""
    monkeypatch.setattr(retention, "_ARCHIVE_ENTRIES", 5)
    monkeypatch.setattr(retention, "_ENTRIES_AT_ONCE", 2)
    for number in range(30):
        dice = Random(f"{seed}/{number}")
        real = await open_sqlite(tmp_path / f"{number}.db")
        store: Any = ClumsyStore(real, dice, StoreUnavailable)
        place: Any = ClumsyPlace(Folder(tmp_path / f"archives{number}"), dice, PlaceUnavailable)
        ledger, known = Ledger(store, SetClock(), place), dict[int, LedgerRow]()
        for _ in range(20):
            await _round(ledger, dice, known)
            place.well = True
            await _hold(ledger, known)
            place.well = False
        store.well = place.well = True
        ledger.clock.at += 90 * DAY
        await ledger.prune()
        assert (await ledger.rows())[0].seq == max(known)
        await _hold(ledger, known)
        await real.close()


async def test_whatever_the_bucket_does_no_entry_is_lost(s3: S3, tmp_path: Path, seed: int) -> None:
    """Answers lost, hung and refused, at random: every entry stays in one of the two, and pruning ends."""
    dice = Random(seed)
    place: Place = place_at(s3.address(), AwsConfig.model_validate(s3.settings() | {"timeout": "100ms"}))
    store = await open_sqlite(tmp_path / "store.db")
    ledger, known = Ledger(store, SetClock(), place), dict[int, LedgerRow]()
    troubles = [*Fault, Refusal(503, "SlowDown"), Refusal(403, "AccessDenied"), Refusal(500, "InternalError")]
    for _ in range(8):
        await ledger.note(1 + dice.randrange(9))
        ledger.clock.at += 40 * DAY
        s3.trouble(*dice.choices(troubles, k=dice.randrange(5)), only=dice.choice(["GET", "PUT", None]))
        with suppress(PlaceUnavailable, DamagedFile):
            await ledger.prune()
        s3.trouble()
        known |= {row.seq: row for row in await ledger.whole()}
        await _hold(ledger, known)
    ledger.clock.at += 40 * DAY
    await ledger.prune()
    assert len(await ledger.rows()) == 3
    await _hold(ledger, known)
    await place.close()
    await store.close()


@pytest.fixture
async def service(s3: S3) -> AsyncIterator[Mortal]:
    """A service that prunes all that it may into S3, and signs every second; not started."""
    with temporary_folder("pruner") as name:
        folder, pem = Path(name), new_key()
        key = folder / "ledger.key"
        key.write_bytes(pem)
        (folder / "ledger.pub").write_text(public_pem(signer_of(pem).public))
        ages = dict.fromkeys(("deliveries", "events", "runs", "alerts", "incidents", "ledger"), "0s")
        kept = {"archives": s3.address("archives"), "checkpoints_s3": s3.address("checkpoints")}
        settings = {
            "reload": False,
            "lease": "500ms",
            "aws": s3.settings(),
            "retention": ages,
            "ledger": {**kept, "key_file": str(key), "checkpoint_every": "1s"},
        }
        async with nursery() as born_by:
            it = Mortal.at(folder, rules=RULES, playbooks={}, settings=settings)
            it.nursery = born_by
            yield it
            await it.kill()


async def _old_things(service: Mortal, number: int) -> None:
    """Write into the database of a service that does not run what is old, and that it is time to prune."""
    store = await open_sqlite(service.database)
    old = Delivery(
        id=f"old{number}", source="s", received_at=LONG_AGO, body=b"", sha256="", state=DeliveryState.ADMITTED
    )
    entries = [
        Entry(at=LONG_AGO, stage=Stage.PLAN, what="go", detail={"round": number, "n": n}) for n in range(OLD)
    ]

    async def unit(tx: Tx) -> None:
        await tx.deliveries.add(old)
        await tx.ledger.append(entries)

    await store.write(unit)
    await store.close()
    with closing(sqlite3.connect(service.database)) as base, base:
        base.execute("UPDATE work SET due_at = 0 WHERE kind = 'prune'")
        base.execute("INSERT OR IGNORE INTO work (kind, ref, due_at) VALUES ('prune', 'retention', 0)")


async def test_a_kill_in_the_middle_of_a_pruning_loses_nothing(service: Mortal, s3: S3) -> None:
    """Killed -9 between the put and its record, between that and the deletion, and in its middle: all is there."""

    def kill(method: str, path: str) -> None:
        if method == "PUT" and path.endswith(".jsonl.gz"):
            s3.when_done = None
            os.kill(service.pid, signal.SIGKILL)

    for number, point in enumerate(POINTS):
        await _old_things(service, number)
        await service.start(ready=False, point=point)
        await service.gone()
    await _old_things(service, len(POINTS))
    s3.when_done = kill
    await service.start(ready=False)
    await service.gone()
    await _old_things(service, len(POINTS) + 1)
    await service.start()
    await eventually(
        lambda: not service.rows("SELECT 1 FROM work WHERE kind = 'prune'"), within=20, what="all is pruned"
    )
    await service.stop()
    assert "Traceback" not in service.log
    verified = await service.cli_json(
        *("audit", "verify", "--public-key", "ledger.pub"),
        *("--archives", s3.address("archives"), "--checkpoints", s3.address("checkpoints")),
    )
    assert verified["ok"], verified
    assert verified["checked"] > OLD * (len(POINTS) + 2)
    assert len(service.rows("SELECT 1 FROM ledger")) < OLD
    assert service.rows("SELECT 1 FROM deliveries") == []
