"""What `ports.WorkQueue` promises: leases, the fence, and wake-ups that are never lost."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from runbookd.errors import LeaseLost
from runbookd.model.work import Work, WorkKind
from runbookd.ports import Store, Tx
from tests.contract.store.conftest import Opener
from tests.contract.store.samples import LEASE, at

KIND = WorkKind.ADVANCE


async def add(store: Store, ref: str, seconds: float = 0, kind: WorkKind = KIND) -> None:
    """Add a row that is due `seconds` after the beginning."""
    await store.write(lambda tx: tx.work.add(kind, ref, at(seconds)))


async def claim(store: Store, owner: str = "w1", seconds: float = 0, limit: int = 10) -> list[Work]:
    """Claim what is due then."""
    return await store.write(lambda tx: tx.work.claim(owner, at(seconds), LEASE, limit))


async def finish(store: Store, work: Work) -> None:
    """Finish a row."""
    await store.write(lambda tx: tx.work.finish(work))


async def reschedule(store: Store, work: Work, seconds: float, attempts: int = 0) -> None:
    """Release a row until then."""
    await store.write(lambda tx: tx.work.reschedule(work, at(seconds), attempts))


async def next_due(store: Store) -> datetime | None:
    """When there is something to do."""
    return await store.read(lambda tx: tx.work.next_due())


async def test_claim_takes_due_rows_oldest_first(store: Store) -> None:
    """Due rows only, its own moment included, oldest first, at most `limit`, with owner, epoch and lease."""
    for ref, seconds in (("b", 2), ("late", 6), ("a", 1), ("now", 5), ("c", 3)):
        await add(store, ref, seconds)
    taken = await claim(store, "w1", 5, limit=3)
    assert [work.ref for work in taken] == ["a", "b", "c"]
    assert taken[0] == Work(
        kind=KIND,
        ref="a",
        due_at=at(1),
        owner="w1",
        epoch=taken[0].epoch,
        lease_until=at(5) + LEASE,
        attempts=0,
    )
    assert [work.ref for work in await claim(store, "w2", 5)] == ["now"]
    assert await claim(store, "w3", 5) == []


async def test_one_row_per_kind_and_ref(store: Store) -> None:
    """Adding again keeps one row with the earlier due time; another kind is another row."""
    for seconds in (5, 9, 3, 4):
        await add(store, "a", seconds)
    await add(store, "a", 7, WorkKind.ESCALATE)
    taken = await claim(store, seconds=100)
    assert [(work.kind, work.due_at) for work in taken] == [(KIND, at(3)), (WorkKind.ESCALATE, at(7))]


async def test_concurrent_claims_share_no_row(opened: Opener) -> None:
    """However many claim at once, through however many stores, each row goes to one of them."""
    stores = [await opened(), await opened()]
    for n in range(60):
        await add(stores[0], f"r{n}")
    taken = await asyncio.gather(*(claim(stores[n % 2], f"w{n}", 1, limit=7) for n in range(12)))
    refs = [work.ref for each in taken for work in each]
    assert len(refs) == 60
    assert len(set(refs)) == 60


async def test_lapsed_lease_can_be_claimed(store: Store) -> None:
    """A row is taken again when its lease has run out, with a higher epoch, and not a moment before."""
    await add(store, "a")
    (first,) = await claim(store, "w1", 0)
    assert await claim(store, "w2", 29.999) == []
    (second,) = await claim(store, "w2", 30)
    assert (second.owner, second.epoch) == ("w2", first.epoch + 1)


async def test_fence_keeps_a_late_worker_out(store: Store) -> None:
    """After another claim the former holder can hold, finish or reschedule nothing, nor write beside it."""
    await add(store, "a")
    (first,) = await claim(store, "w1", 0)
    (second,) = await claim(store, "w2", 60)

    async def late(tx: Tx) -> None:
        await tx.switches.set("late", "on")
        await tx.work.hold(first, at(61), LEASE)

    with pytest.raises(LeaseLost, match="w1"):
        await store.write(late)
    with pytest.raises(LeaseLost):
        await finish(store, first)
    with pytest.raises(LeaseLost):
        await reschedule(store, first, 99)
    assert await store.read(lambda tx: tx.switches.get("late")) is None
    await store.write(lambda tx: tx.work.hold(second, at(80), LEASE))
    assert await claim(store, "w3", 100) == []
    await finish(store, second)


async def test_same_owner_of_an_older_epoch_is_late_too(store: Store) -> None:
    """The fence tells two claims of one worker apart."""
    await add(store, "a")
    (first,) = await claim(store, "w1", 0)
    (second,) = await claim(store, "w1", 60)
    with pytest.raises(LeaseLost):
        await finish(store, first)
    await finish(store, second)


async def test_epoch_outlives_the_row(store: Store) -> None:
    """A row that was finished and added again is claimed above every earlier epoch."""
    await add(store, "a")
    (first,) = await claim(store, "w1", 0)
    (second,) = await claim(store, "w1", 60)
    await finish(store, second)
    await add(store, "a", 61)
    (third,) = await claim(store, "w1", 61)
    assert third.epoch > second.epoch > first.epoch
    with pytest.raises(LeaseLost):
        await finish(store, first)


async def test_hold_after_the_lease_ran_out_unclaimed(store: Store) -> None:
    """A worker that is late but was not replaced goes on."""
    await add(store, "a")
    (work,) = await claim(store, "w1", 0)
    await store.write(lambda tx: tx.work.hold(work, at(60), LEASE))
    assert await claim(store, "w2", 89) == []
    await finish(store, work)


async def test_finish_deletes(store: Store) -> None:
    """A finished row is gone; finishing it again is told."""
    await add(store, "a")
    (work,) = await claim(store)
    await finish(store, work)
    assert await next_due(store) is None
    with pytest.raises(LeaseLost):
        await finish(store, work)


async def test_wake_up_while_held_survives_finish(store: Store) -> None:
    """A row made due while somebody works on it is released by `finish`, due at the earliest wake-up."""
    await add(store, "a")
    (work,) = await claim(store)
    for seconds in (9, 5, 7):
        await add(store, "a", seconds)
    assert await claim(store, "w2", 10) == []
    await finish(store, work)
    assert await claim(store, "w2", 4.999) == []
    (again,) = await claim(store, "w2", 5)
    assert again.due_at == at(5)
    await finish(store, again)
    assert await next_due(store) is None


async def test_wake_up_while_held_survives_reschedule(store: Store) -> None:
    """`reschedule` releases the row until its time, or an earlier wake-up; a later one changes nothing."""
    for wake, expected in ((3, 3), (500, 60), (None, 60)):
        ref = f"r{wake}"
        await add(store, ref)
        (work,) = await claim(store)
        if wake is not None:
            await add(store, ref, wake)
        await reschedule(store, work, 60)
        assert await next_due(store) == at(expected)
        (again,) = await claim(store, seconds=60)
        await finish(store, again)


async def test_wake_up_outlives_a_crash(store: Store) -> None:
    """A later wake-up made while a worker held the row is still there after another has taken it over."""
    await add(store, "a")
    await claim(store, "crashed", 0)
    await add(store, "a", 500)
    (second,) = await claim(store, "w2", 60)
    await finish(store, second)
    assert await next_due(store) == at(500)


async def test_due_wake_up_is_answered_by_the_next_claim(store: Store) -> None:
    """A wake-up that is due when the row is taken over wakes nobody a second time."""
    await add(store, "a")
    await claim(store, "crashed", 0)
    await add(store, "a", 10)
    (second,) = await claim(store, "w2", 60)
    await finish(store, second)
    assert await next_due(store) is None


async def test_reschedule_counts_attempts(store: Store) -> None:
    """`attempts` is kept with the row, and forgotten by the next release that does not name it."""
    await add(store, "a")
    (work,) = await claim(store)
    await reschedule(store, work, 10, attempts=3)
    (work,) = await claim(store, seconds=10)
    assert work.attempts == 3
    await reschedule(store, work, 20)
    (work,) = await claim(store, seconds=20)
    assert work.attempts == 0


async def test_take_names_its_row(store: Store) -> None:
    """`take` claims a row whatever its due time, unless it is not there or held."""

    async def take(owner: str, seconds: float) -> Work | None:
        return await store.write(lambda tx: tx.work.take(KIND, "a", owner, at(seconds), LEASE))

    assert await take("w1", 0) is None
    await add(store, "a", 1000)
    work = await take("w1", 0)
    assert work == Work(kind=KIND, ref="a", due_at=at(1000), owner="w1", epoch=1, lease_until=at(30))
    assert await take("w1", 10) is None
    assert await take("w2", 10) is None
    again = await take("w2", 30)
    assert again is not None
    assert again.epoch == 2


async def test_next_due(store: Store) -> None:
    """The nearest free row, or the moment another could take over a held one; None when there is nothing."""
    assert await next_due(store) is None
    await add(store, "a", 0)
    await add(store, "b", 100)
    assert await next_due(store) == at(0)
    (work,) = await claim(store, seconds=0)
    assert await next_due(store) == at(30)
    await finish(store, work)
    assert await next_due(store) == at(100)
    await store.write(lambda tx: tx.work.take(KIND, "b", "w1", at(0), LEASE))
    assert await next_due(store) == at(100)


async def test_next_due_is_always_claimable(store: Store) -> None:
    """Whatever state the rows are in, at `next_due` there is something to claim: a worker never spins."""
    await add(store, "a", 100)
    await store.write(lambda tx: tx.work.take(KIND, "a", "w1", at(0), LEASE))
    due = await next_due(store)
    assert due is not None
    assert await claim(store, "w2", (due - at(0)).total_seconds())


async def test_overdue(store: Store) -> None:
    """Rows due before the moment that nobody is at are counted, with the oldest; none is (0, None)."""
    assert await store.read(lambda tx: tx.work.overdue(at(0))) == (0, None)
    for n in range(3):
        await add(store, f"r{n}", n)
    assert await store.read(lambda tx: tx.work.overdue(at(2))) == (2, at(0))
    await claim(store, seconds=0)
    assert await store.read(lambda tx: tx.work.overdue(at(2))) == (1, at(1))
    assert await store.read(lambda tx: tx.work.overdue(at(31))) == (3, at(0)), "a claim that ran out counts"


async def test_an_earlier_life_of_a_replica_is_inherited(store: Store) -> None:
    """What a replica held when it died is free at once, what others hold is not, and the dead one can write nothing."""
    for ref in ("mine", "theirs", "similar"):
        await add(store, ref)
    (mine,) = await claim(store, owner="a/1", limit=1)
    await claim(store, owner="b/1", limit=1)
    await claim(store, owner="ab/1", limit=1)

    assert await store.write(lambda tx: tx.work.inherit("a")) == 1

    (again,) = await claim(store, owner="a/2")
    assert again.ref == mine.ref
    assert again.epoch > mine.epoch
    with pytest.raises(LeaseLost):
        await finish(store, mine)
