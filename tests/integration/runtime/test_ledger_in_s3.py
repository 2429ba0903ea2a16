"""The ledger's archives and checkpoints in S3: whatever the bucket does, no entry is lost, and it is told."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from runbookd.actions.aws.config import AwsConfig
from runbookd.errors import DamagedFile, LeaseLost, PlaceUnavailable
from runbookd.model.event import Delivery, DeliveryState
from runbookd.runtime import checkpoint_keepers, retention
from runbookd.runtime.checkpoint_keepers import FileKeeper, PlaceKeeper
from runbookd.runtime.places import place_at
from runbookd.runtime.retention import AGAIN_AFTER
from runbookd.stages.checkpoint import new_key, read_statement, signer_of
from runbookd.store.archives import archives_in, read_archive, write_archive
from runbookd.store.sqlite import open_sqlite
from tests.acceptance.engine import NOON, SetClock
from tests.fakes.s3 import S3, Fault, Other, Refusal
from tests.integration.runtime.ledgers import KEYS, SIGNER, Ledger

ARCHIVE = "ledger/ledger-main-000000000001-000000000003.jsonl.gz"


@pytest.fixture
async def ledger(s3: S3, tmp_path: Path) -> AsyncIterator[Ledger]:
    """An empty ledger at noon, whose archives go to S3."""
    store = await open_sqlite(tmp_path / "store.db")
    place = place_at(s3.address(), AwsConfig.model_validate(s3.settings()))
    yield Ledger(store, SetClock(), place)
    await place.close()
    await store.close()


async def test_old_entries_go_into_the_bucket(ledger: Ledger, s3: S3) -> None:
    """One object holds what went, signed and whole; the chain verifies from its first entry."""
    rows = await ledger.old(3)
    assert await ledger.prune() == {"ledger": 3}
    assert await s3.keys() == [ARCHIVE]
    (archive,) = await archives_in(ledger.place)
    assert (await read_archive(ledger.place, archive, KEYS))[0] == rows
    assert [row.what for row in await ledger.whole()] == ["go"] * 4 + ["archived", "pruned"]


async def test_an_archive_left_by_one_who_died_is_used(ledger: Ledger, s3: S3) -> None:
    """Killed between the put and its record, the next process puts nothing, and records that archive."""
    rows = await ledger.old(3)
    _, seal = await write_archive(ledger.place, rows, SIGNER, NOON)
    kept = await s3.get(ARCHIVE)
    ledger.clock.at += timedelta(hours=1)
    assert await ledger.prune() == {"ledger": 3}
    assert s3.counted("PUT") == 1
    assert await s3.get(ARCHIVE) == kept
    (anchor,) = await ledger.store.read(lambda tx: tx.ledger.anchors())
    assert anchor.seal == seal.line


async def test_a_put_in_doubt_is_done_when_the_bytes_are_there(ledger: Ledger, s3: S3) -> None:
    """Stored, and every answer lost: what is there is read, found to be these very bytes, and recorded."""
    await ledger.old(3)
    s3.trouble(*[Fault.DROP] * 20, only="PUT")
    assert await ledger.prune() == {"ledger": 3}
    assert await ledger.archiving() is None
    await ledger.whole()


@pytest.mark.parametrize(
    "data", [b"theirs", gzip.compress(b"theirs", mtime=0), b""], ids=["text", "gzip", "nothing"]
)
async def test_a_put_in_doubt_is_an_error_when_other_bytes_are_there(
    ledger: Ledger, s3: S3, data: bytes
) -> None:
    """Another writer's object is neither recorded nor changed, nothing goes, and it is told until it is away."""
    await ledger.old(3)
    s3.trouble(*[Other(data)] * 20, only="PUT")
    with pytest.raises(DamagedFile, match=f"{s3.address()}/ledger-main.* cannot be read"):
        await ledger.prune()
    assert [row.what for row in await ledger.rows()] == ["go"] * 4 + ["archiving_failed"]
    assert await s3.get(ARCHIVE) == data
    s3.trouble()
    with pytest.raises(DamagedFile):
        await ledger.prune()
    said = await ledger.archiving()
    assert said is not None
    assert "cannot be read" in said["error"]
    await s3.delete(ARCHIVE)
    assert await ledger.prune() == {"ledger": 3}
    assert await ledger.archiving() is None
    await ledger.whole()


async def test_an_archive_of_other_entries_is_an_error(ledger: Ledger, s3: S3, tmp_path: Path) -> None:
    """A whole archive, well signed, of another ledger (a database put back, say) is not taken for this one's."""
    store = await open_sqlite(tmp_path / "other.db")
    other = Ledger(store, SetClock(NOON + timedelta(minutes=1)), ledger.place)
    await write_archive(ledger.place, (await other.old(3))[:3], SIGNER, NOON)
    await store.close()
    await ledger.old(3)
    with pytest.raises(DamagedFile, match="it holds other entries than the ledger"):
        await ledger.prune()
    assert len(await ledger.rows()) == 5


async def test_what_reads_back_differently_does_not_count(ledger: Ledger, s3: S3) -> None:
    """A bucket that took the bytes and gives others is an error."""
    await ledger.old(3)
    s3.trouble(Refusal(404, "NoSuchKey"), Fault.SPOIL, only="GET")
    with pytest.raises(DamagedFile, match="what was read back is not what was put there"):
        await ledger.prune()
    assert len(await ledger.rows()) == 5


async def test_an_object_that_is_lost_at_once_does_not_count(ledger: Ledger, s3: S3) -> None:
    """Put, and not found when it is read back: nothing goes."""
    await ledger.old(3)
    with s3.down(Refusal(404, "NoSuchKey")), pytest.raises(PlaceUnavailable):
        await ledger.prune()
    s3.trouble(*[Refusal(404, "NoSuchKey")] * 2, only="GET")
    with pytest.raises(PlaceUnavailable, match="was put there, and cannot be found"):
        await ledger.prune()
    assert len(await ledger.rows()) == 5


@pytest.mark.parametrize("trouble", [Fault.LOSE, Refusal(403, "AccessDenied"), Refusal(404, "NoSuchBucket")])
async def test_an_outage_takes_nothing_from_the_ledger_and_is_told(
    ledger: Ledger, s3: S3, trouble: Fault | Refusal, caplog: pytest.LogCaptureFixture
) -> None:
    """Log, metric, `status`, and the ledger once; what is no ledger's goes; the next try is due, and ends it."""
    rows = await ledger.old(3)
    old = Delivery(id="d", source="s", received_at=NOON, body=b"", sha256="", state=DeliveryState.ADMITTED)
    await ledger.store.write(lambda tx: tx.deliveries.add(old))
    began = ledger.clock.at
    with s3.down(trouble), caplog.at_level(logging.ERROR):
        for tries in (1, 2):
            work = await ledger.pruner().take(f"test/{tries}")
            assert work is not None
            await ledger.pruner().handle(work)
            assert ledger.metric("archive_failures_total") == tries
            assert await ledger.store.read(lambda tx: tx.work.next_due()) == ledger.clock.at + AGAIN_AFTER
            ledger.clock.at += AGAIN_AFTER
    assert (await ledger.rows())[:4] == [*rows, (await ledger.rows())[3]]
    assert [row.what for row in await ledger.rows()] == ["go"] * 4 + ["pruned", "archiving_failed"]
    said = await ledger.archiving()
    assert said is not None
    assert (said["since"], said["at"]) == (began.isoformat(), (began + AGAIN_AFTER).isoformat())
    assert said["error"].startswith(s3.address())
    assert "the ledger cannot be archived" in caplog.text
    assert await ledger.prune() == {"ledger": 3}
    assert await ledger.archiving() is None
    await ledger.whole()


async def test_a_slow_bucket_does_not_cost_the_claim(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an archive is on its way the lease is extended, so nobody else begins the same."""
    ledger.lease = timedelta(milliseconds=30)
    await ledger.old(3)
    pruner, put = ledger.pruner(), ledger.place.put
    work = await pruner.take("test/1")
    assert work is not None
    extended = asyncio.Event()
    others = []

    async def slow_put(name: str, data: bytes) -> bool:
        for _ in range(2):
            extended.clear()
            ledger.clock.at += ledger.lease / 2
            await asyncio.wait_for(extended.wait(), 10)
        others.append(await ledger.pruner().take("test/2"))
        return await put(name, data)

    hold = pruner._hold  # noqa: SLF001 - to see when it happens

    async def seen(work: object) -> None:
        await hold(work)  # type: ignore[arg-type]
        extended.set()

    monkeypatch.setattr(ledger.place, "put", slow_put)
    monkeypatch.setattr(pruner, "_hold", seen)
    assert (await pruner.prune(work))["ledger"] == 3
    assert others == [None]


async def test_who_lost_the_claim_over_a_slow_bucket_records_nothing(
    ledger: Ledger, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that was paused over a put finds the other's archive recorded, and changes nothing more."""
    await ledger.old(3)
    pruner, put = ledger.pruner(), ledger.place.put
    work = await pruner.take("test/1")
    assert work is not None

    async def paused_put(name: str, data: bytes) -> bool:
        monkeypatch.setattr(ledger.place, "put", put)
        ledger.clock.at += timedelta(minutes=5)
        assert await ledger.prune() == {"ledger": 3}
        return await put(name, data)

    monkeypatch.setattr(ledger.place, "put", paused_put)
    with pytest.raises(LeaseLost):
        await pruner.prune(work)
    assert await s3.keys() == [ARCHIVE]
    assert [row.what for row in await ledger.whole()] == ["go"] * 4 + ["archived", "pruned"]


@pytest.mark.parametrize(
    ("constant", "value", "archives"), [("_ARCHIVE_ENTRIES", 4, 3), ("_ARCHIVE_LETTERS", 1, 10)]
)
async def test_an_archive_is_bounded(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, constant: str, value: int, archives: int
) -> None:
    """More entries, or longer ones, make more archives, never larger ones; one entry at least is in each."""
    monkeypatch.setattr(retention, constant, value)
    await ledger.old(10)
    assert await ledger.prune() == {"ledger": 10}
    assert len(await archives_in(ledger.place)) == archives
    await ledger.whole()


async def test_checkpoints_become_objects(ledger: Ledger, s3: S3) -> None:
    """Each end that is signed is an object of its own; replicas that sign the same end find it done."""
    one, two = (ledger.checkpoints(PlaceKeeper(ledger.place, SIGNER)) for _ in range(2))
    for _ in range(2):
        await ledger.note(3)
        await one.sign()
        await two.sign()
        await one.sign()
    names = await s3.keys()
    assert names == [f"ledger/checkpoint-main-{seq:012}-{SIGNER.id}.json" for seq in (3, 6)]
    rows = await ledger.rows()
    statements = [read_statement((await s3.get(name)).decode().rstrip("\n"), KEYS) for name in names]
    assert [(one.seq, one.hash) for one in statements] == [(3, rows[2].hash), (6, rows[5].hash)]
    assert s3.counted("PUT") == 3
    assert ledger.metric("checkpoint_failures_total", reason="s3") == 0


async def test_a_new_process_goes_on_from_the_bucket(
    ledger: Ledger, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It follows each chain from its last object, however far back; a tail that was cut off is found."""
    monkeypatch.setattr(checkpoint_keepers, "_BACK", 2)
    monkeypatch.setattr(checkpoint_keepers, "_FURTHER", 2)
    other = signer_of(new_key())
    await ledger.note(40)
    await ledger.checkpoints(PlaceKeeper(ledger.place, SIGNER)).sign()
    line = other.checkpoint("main", 90, "0", NOON)
    await s3.put(f"ledger/checkpoint-main-000000000090-{other.id}.json", line.encode())
    line = SIGNER.checkpoint("main-1", 90, "0", NOON)
    await s3.put(f"ledger/checkpoint-main-1-000000000090-{SIGNER.id}.json", line.encode())
    await s3.put("ledger/checkpoint-main-x.json", b"")
    keeper = PlaceKeeper(ledger.place, SIGNER)
    end = (await ledger.rows())[-1]
    assert await keeper.last("main", 80) == (40, end.hash)
    assert await keeper.last("main", 20) == (40, end.hash)
    assert await keeper.last("another", 80) is None
    store = await open_sqlite(tmp_path / "cut.db")
    cut = Ledger(store, SetClock(), ledger.place)
    await cut.note(20)
    before = await s3.keys()
    await cut.checkpoints(keeper).sign()
    assert await s3.keys() == before
    assert (
        cut.metric("checkpoint_failures_total", reason="changed") == 2
    )  # main is shorter, main-1 is not there
    await store.close()


@pytest.mark.parametrize(
    ("said", "reason"), [(SIGNER.checkpoint("main", 3, "f" * 64, NOON), "changed"), ("junk", "s3")]
)
async def test_an_object_that_says_something_else_is_an_error(
    ledger: Ledger, s3: S3, said: str, reason: str
) -> None:
    """An end that another ledger had signed, or bytes that are no checkpoint, are counted and never written over."""
    name = f"ledger/checkpoint-main-000000000003-{SIGNER.id}.json"
    await ledger.note(3)
    s3.trouble(*[Other(said.encode())] * 20, only="PUT")
    await ledger.checkpoints(PlaceKeeper(ledger.place, SIGNER)).sign()
    assert ledger.metric("checkpoint_failures_total", reason="s3") == 1
    await ledger.checkpoints(PlaceKeeper(ledger.place, SIGNER)).sign()
    assert ledger.metric("checkpoint_failures_total", reason=reason) == 1 + (reason == "s3")
    assert await s3.get(name) == said.encode()


async def test_a_bucket_that_is_down_holds_up_no_other_place(ledger: Ledger, s3: S3, tmp_path: Path) -> None:
    """The file goes on; the failures are counted and the age grows until the bucket has caught up."""
    file = tmp_path / "checkpoints.jsonl"
    checkpoints = ledger.checkpoints(FileKeeper(file, SIGNER), PlaceKeeper(ledger.place, SIGNER))
    assert ledger.metric("checkpoint_age_seconds") == 0
    await ledger.note(3)
    await checkpoints.sign()
    with s3.down():
        for minutes in (5, 10):
            ledger.clock.at += timedelta(minutes=5)
            await ledger.note(3)
            await checkpoints.sign()
            assert ledger.metric("checkpoint_age_seconds") == minutes * 60
    assert ledger.metric("checkpoint_failures_total", reason="s3") == 2
    assert [read_statement(line, KEYS).seq for line in file.read_text().splitlines()] == [3, 6, 9]
    await checkpoints.sign()
    assert ledger.metric("checkpoint_age_seconds") == 0
    assert [name[-34:-22] for name in await s3.keys()] == [f"{seq:012}" for seq in (3, 9)]


async def test_a_file_or_a_store_that_fails_is_counted(ledger: Ledger, s3: S3, tmp_path: Path) -> None:
    """Each by its name."""
    file = tmp_path / "not there" / "checkpoints.jsonl"
    checkpoints = ledger.checkpoints(FileKeeper(file, SIGNER), PlaceKeeper(ledger.place, SIGNER))
    await ledger.note(3)
    await checkpoints.sign()
    assert ledger.metric("checkpoint_failures_total", reason="file") == 1
    assert len(await s3.keys()) == 1
    await ledger.store.close()
    await checkpoints.sign()
    assert ledger.metric("checkpoint_failures_total", reason="store") == 1
