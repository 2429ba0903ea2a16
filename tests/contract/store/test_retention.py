"""What `ports.Retention` promises, and the ledger's anchors: what is over goes, what something open needs stays."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from runbookd.errors import StoreError
from runbookd.model.audit import Anchor
from runbookd.model.event import DeliveryState
from runbookd.model.incident import ClockKind, IncidentClock, IncidentState
from runbookd.model.retention import Ages, Kept
from runbookd.model.run import RunState
from runbookd.model.work import WorkKind
from runbookd.ports import Store, Tx
from runbookd.runtime.retention import Archiving, Pruner
from runbookd.stages.audit import GENESIS, broken_rows
from runbookd.stages.checkpoint import new_key, signer_of
from runbookd.store.archives import archives_in, read_archive
from runbookd.store.folder import Folder
from tests.acceptance.engine import SetClock
from tests.contract.store.conftest import Raw
from tests.contract.store.samples import (
    T0,
    alert,
    at,
    delivery,
    entry,
    event,
    evidence,
    incident,
    message,
    read,
    run,
    step,
    stored,
    write,
)

LATER = at(10_000)


async def old(store: Store, kind: Kept, limit: int = 99) -> list[str]:
    """Ids of what may go."""
    found: list[str] = await read(store, "retention.old", kind, LATER, limit)
    return found


async def resolved(store: Store, name: str = "i1") -> None:
    """Keep a resolved incident."""
    over = incident(name, key=name, state=IncidentState.RESOLVED, resolved_at=at(5))
    await write(store, "incidents.save", over)


async def test_what_is_over_is_old(store: Store) -> None:
    """Rows that ended before the time are found, those that ended first first, and no more than asked for."""
    for n in (2, 1):
        done = delivery(f"d{n}", received_at=at(n), state=DeliveryState.ADMITTED)
        await write(store, "deliveries.add", done)
        await write(store, "deliveries.add_event", stored(f"e{n}", received_at=at(n)))
        await write(store, "runs.add", run(f"r{n}", state=RunState.FAILED, ended_at=at(n)))
        await write(store, "alerts.save", alert(f"a{n}", resolved_at=at(n), ends_at=at(n)))
    await resolved(store)
    assert await old(store, Kept.DELIVERIES) == ["d1", "d2"]
    assert await old(store, Kept.EVENTS, 1) == ["e1"]
    assert await old(store, Kept.RUNS) == ["r1", "r2"]
    assert await old(store, Kept.ALERTS) == ["a1", "a2"]
    assert await old(store, Kept.INCIDENTS) == ["i1"]
    for kind in Kept:
        assert await read(store, "retention.old", kind, T0, 9) == []


async def test_what_is_not_over_stays(store: Store) -> None:
    """Pending deliveries, running runs, open alerts and open incidents are never old."""
    await write(store, "deliveries.add", delivery("d1"))
    await write(store, "runs.add", run("r1"))
    await write(store, "alerts.save", alert("a1"))
    await write(store, "incidents.save", incident("i1"))
    for kind in Kept:
        assert await old(store, kind) == []


@pytest.mark.parametrize("by", ["alert", "incident"])
async def test_what_something_open_refers_to_stays(store: Store, by: str) -> None:
    """Deliveries, events, runs and alerts of an open alert or incident stay, however old they are."""
    refers = {"alert_id": "a1"} if by == "alert" else {"incident_id": "i1"}
    if by == "alert":
        await write(store, "alerts.save", alert("a1"))
    else:
        await write(store, "incidents.save", incident("i1"))
        await write(store, "alerts.save", alert("a2", resolved_at=at(1)))
        await write(store, "alerts.link", "a2", "i1")
    await write(store, "deliveries.add", delivery("d1", state=DeliveryState.ADMITTED))
    await write(store, "deliveries.add_event", stored("e1", **refers))
    await write(store, "runs.add", run("r1", state=RunState.FAILED, ended_at=at(1), **refers))
    for kind in Kept:
        assert await old(store, kind) == []


async def test_what_waits_for_work_stays(store: Store) -> None:
    """A row that a row of work is about stays, and so does a run that holds a target."""
    await write(store, "deliveries.add", delivery("d1", state=DeliveryState.DEAD))
    await write(store, "runs.add", run("r1", state=RunState.FAILED, ended_at=at(1)))
    await write(store, "runs.add", run("r2", state=RunState.FAILED, ended_at=at(1)))
    await write(store, "runs.lock", "target", "r2", T0)
    await write(store, "alerts.save", alert("a1", resolved_at=at(1)))
    await resolved(store)
    refs = {
        WorkKind.ADMIT: "d1",
        WorkKind.ADVANCE: "r1",
        WorkKind.PLAN: "a1",
        WorkKind.CLOCK: "i1",
    }
    for kind, ref in refs.items():
        await write(store, "work.add", kind, ref, T0)
    for kept in Kept:
        assert await old(store, kept) == []


async def test_what_others_refer_to_goes_last(store: Store) -> None:
    """An alert waits for its runs, an incident for its runs and alerts; then they go, with all that is theirs."""
    await resolved(store)
    await write(
        store, "incidents.save_clock", IncidentClock(incident_id="i1", kind=ClockKind.RESOLVE, due_at=T0)
    )
    kept = alert("a1", resolved_at=at(1), event=event())
    await write(store, "alerts.save", kept)
    await write(store, "alerts.link", "a1", "i1")
    await write(store, "alerts.count_for", "rule", kept)
    over = run("r1", state=RunState.FAILED, ended_at=at(1), alert_id="a1", incident_id="i1")
    await write(store, "runs.add", over)
    await write(store, "runs.save_step", step("steps/a"))
    await write(store, "runs.add_evidence", evidence("log"))
    assert (await old(store, Kept.ALERTS), await old(store, Kept.INCIDENTS)) == ([], [])
    await write(store, "retention.forget", Kept.RUNS, ["r1"])
    assert await read(store, "runs.get", "r1") is None
    assert await read(store, "runs.steps", "r1") == []
    assert await read(store, "runs.evidence", "r1") == []
    assert (await old(store, Kept.ALERTS), await old(store, Kept.INCIDENTS)) == (["a1"], [])
    await write(store, "retention.forget", Kept.ALERTS, ["a1"])
    assert await read(store, "alerts.get", "a1") is None
    assert await read(store, "alerts.count_episodes", "rule", T0 - timedelta(days=1), "alert") == 0
    assert await old(store, Kept.INCIDENTS) == ["i1"]
    await write(store, "retention.forget", Kept.INCIDENTS, ["i1"])
    assert await read(store, "incidents.get", "i1") is None
    assert await read(store, "incidents.clocks", "i1") == []


async def test_deliveries_and_events_are_forgotten(store: Store) -> None:
    """What is named goes, whole, and nothing else."""
    for n in (1, 2):
        await write(store, "deliveries.add", delivery(f"d{n}"))
        await write(store, "deliveries.add_event", stored(f"e{n}"))
    await write(store, "retention.forget", Kept.DELIVERIES, ["d1"])
    await write(store, "retention.forget", Kept.EVENTS, ["e1"])
    assert await read(store, "deliveries.get", "d1") is None
    assert await read(store, "deliveries.event", "e1") is None
    assert await read(store, "deliveries.get", "d2") == delivery("d2")
    assert await read(store, "deliveries.event", "e2") == stored("e2")


async def test_only_archived_entries_are_forgotten(store: Store, raw: Raw) -> None:
    """Entries go up to the anchor and no further, in batches; the database refuses every other deletion."""
    await write(store, "ledger.append", [entry(f"w{n}") for n in range(6)])
    assert await write(store, "ledger.forget", "main", 1, 99) == 0
    rows = await read(store, "ledger.rows", "main", 0, 99)
    assert list(broken_rows(rows)) == []
    anchor = Anchor(chain="main", seq=4, hash=rows[3].hash, seal="sealed")
    await write(store, "ledger.archived", anchor)
    assert await read(store, "ledger.anchors") == [anchor]
    assert [await write(store, "ledger.forget", "main", first, 3) for first in (1, 4, 5)] == [3, 1, 0]
    with pytest.raises(
        (sqlite3.IntegrityError, asyncpg.IntegrityConstraintViolationError), match="cannot be"
    ):
        await raw("DELETE FROM ledger")
    left = await read(store, "ledger.rows", "main", 0, 99)
    assert [row.seq for row in left] == [5, 6]
    assert list(broken_rows(left, previous=anchor.hash, seq=anchor.seq)) == []
    assert [line.split(":")[0] for line in broken_rows(left, previous=GENESIS, seq=0)] == ["entry 5"] * 2
    await write(store, "ledger.append", [entry("more")])
    assert (await read(store, "ledger.heads"))[0].seq == 7


async def test_an_anchor_names_an_entry_that_another_follows(store: Store) -> None:
    """No anchor at a chain's end, at an entry that is not there, or with another hash."""
    await write(store, "ledger.append", [entry("one"), entry("two")])
    first, last = await read(store, "ledger.rows", "main", 0, 9)
    right = Anchor(chain="main", seq=1, hash=first.hash, seal="sealed")
    for wrong in (
        replace(right, seq=2, hash=last.hash),
        replace(right, seq=7),
        replace(right, hash=last.hash),
        replace(right, chain="other"),
    ):
        with pytest.raises(StoreError):
            await write(store, "ledger.archived", wrong)
    await write(store, "ledger.archived", right)
    assert await read(store, "ledger.anchors") == [right]


@pytest.mark.parametrize("sql", ["UPDATE ledger_anchors SET seq = 2", "DELETE FROM ledger_anchors"])
async def test_database_refuses_to_move_an_anchor(store: Store, raw: Raw, sql: str) -> None:
    """An anchor stays where it is; of several the last counts."""

    async def two(tx: Tx) -> None:
        for row in await tx.ledger.rows("main", 0, 2):
            await tx.ledger.archived(Anchor(chain="main", seq=row.seq, hash=row.hash, seal="s"))

    await write(store, "ledger.append", [entry(f"w{n}") for n in range(3)])
    await store.write(two)
    with pytest.raises(
        (sqlite3.IntegrityError, asyncpg.IntegrityConstraintViolationError), match="the ledger cannot be"
    ):
        await raw(sql)
    assert [one.seq for one in await read(store, "ledger.anchors")] == [2]


async def test_a_whole_pruning(store: Store, tmp_path: Path) -> None:
    """On every engine what is old goes, the ledger into an archive first, and what is left follows from there."""
    signer = signer_of(new_key())
    month = Ages(rows=dict.fromkeys(Kept, timedelta(days=30)), ledger=timedelta(days=30))
    clock = SetClock(T0 + timedelta(days=31))
    for n in range(3):
        done = delivery(f"d{n}", state=DeliveryState.ADMITTED)
        await write(store, "deliveries.add", done)
        await write(store, "ledger.append", [entry(f"w{n}", run_id="r1")])
    await write(store, "ledger.append", [entry("young", at=clock.at)])
    place = Folder(tmp_path / "archives")
    pruner = Pruner(store, clock, month, Archiving(place=place, signer=signer))
    work = await pruner.take("test/1")
    assert work is not None
    gone = await pruner.prune(work)
    assert (gone["deliveries"], gone["ledger"]) == (3, 3)
    (archive,) = await archives_in(place)
    rows, seal = await read_archive(place, archive, {signer.id: signer.public})
    left = await read(store, "ledger.rows", "main", 0, 99)
    assert [row.what for row in (*rows, *left)] == ["w0", "w1", "w2", "young", "archived", "pruned"]
    assert list(broken_rows(left, previous=seal.hash, seq=seal.seq)) == []
    assert await read(store, "work.next_due") is None


async def test_what_people_did_is_forgotten_by_its_age(store: Store) -> None:
    """The key of an act goes, and an answer that was given; one that waits to be given and one of an incident stay."""
    await write(store, "messages.act_once", "press", at(1))
    answer = message("answer", key="answer", incident_id=None, settled_at=at(2))
    page = message("page", key="page", incident_id="i1", settled_at=at(2))
    for one in (answer, page, message("waiting", key="waiting", incident_id=None)):
        await write(store, "messages.add", one)
    assert (await old(store, Kept.ACTS), await old(store, Kept.MESSAGES)) == (["press"], ["answer"])
    assert not await write(store, "messages.act_once", "press", at(3))
    await write(store, "retention.forget", Kept.ACTS, ["press"])
    await write(store, "retention.forget", Kept.MESSAGES, ["answer"])
    assert await write(store, "messages.act_once", "press", at(3))
    assert (await old(store, Kept.MESSAGES), await read(store, "messages.get", "answer")) == ([], None)
    assert await read(store, "messages.get", "page") is not None
