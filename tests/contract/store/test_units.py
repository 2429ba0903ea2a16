"""What `Store.write` and `Store.read` promise of every unit of work."""

from __future__ import annotations

import asyncio

import pytest

from runbookd.errors import StoreError, StoreUnavailable
from runbookd.ports import Store, Tx
from tests.contract.store.conftest import Elsewhere, Held, Opener
from tests.contract.store.samples import alert, delivery


async def set_switch(store: Store, name: str, value: str | None = "on") -> None:
    """Write one switch in a unit of its own."""
    await store.write(lambda tx: tx.switches.set(name, value))


async def switch(store: Store, name: str) -> str | None:
    """Read one switch in a unit of its own."""
    return await store.read(lambda tx: tx.switches.get(name))


async def test_answer_of_a_unit_is_returned(store: Store) -> None:
    """`write` and `read` return what the unit returns."""

    async def unit(tx: Tx) -> int:
        await tx.switches.set("a", "on")
        return 42

    assert await store.write(unit) == 42
    assert await switch(store, "a") == "on"


async def test_all_of_a_unit_or_nothing(store: Store) -> None:
    """An exception inside a unit undoes all it wrote, and is raised to its caller."""

    async def unit(tx: Tx) -> None:
        await tx.switches.set("a", "on")
        await tx.deliveries.add(delivery("d1"))
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await store.write(unit)
    assert await switch(store, "a") is None
    assert await store.read(lambda tx: tx.deliveries.get("d1")) is None


async def test_failing_unit_leaves_its_neighbours(store: Store) -> None:
    """Units committed together stand and fall alone."""

    async def bad(tx: Tx) -> None:
        await tx.switches.set("bad", "on")
        raise LookupError

    async def clash(tx: Tx) -> None:
        await tx.switches.set("clash", "on")
        await tx.alerts.save(alert("a1"))
        await tx.alerts.save(alert("a2"))

    units = [set_switch(store, f"s{n}") for n in range(20)]
    units[5:5] = [store.write(bad)]
    units[15:15] = [store.write(clash)]
    results = await asyncio.gather(*units, return_exceptions=True)
    assert isinstance(results[5], LookupError)
    assert isinstance(results[15], StoreError)
    assert [await switch(store, f"s{n}") for n in range(20)] == ["on"] * 20
    assert await switch(store, "bad") is None
    assert await switch(store, "clash") is None


async def test_units_see_those_before_them(store: Store) -> None:
    """Units queued at once run one after another, in order, and miss nothing of each other."""

    async def count(tx: Tx) -> int:
        n = int(await tx.switches.get("n") or 0) + 1
        await tx.switches.set("n", str(n))
        return n

    assert await asyncio.gather(*(store.write(count) for _ in range(300))) == list(range(1, 301))


async def queued() -> None:
    """Let every task that was started queue its unit, and the writer take what it can."""
    for _ in range(5):
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def test_many_units_share_commits(store: Store, held: Held) -> None:
    """Units that wait while a commit is under way are committed together."""
    ran: list[int] = []

    async def counted(tx: Tx) -> None:
        ran.append(len(ran))

    async with held():
        first = asyncio.create_task(set_switch(store, "a"))
        await queued()
        rest = [asyncio.create_task(store.write(counted)) for _ in range(50)]
        done_when_answered: list[int] = []
        rest[0].add_done_callback(lambda _: done_when_answered.append(len(ran)))
        await queued()
    await asyncio.gather(first, *rest)
    assert done_when_answered == [50]


async def test_readers_do_not_wait_for_the_writer(store: Store, elsewhere: Elsewhere) -> None:
    """A read returns the last commit while a unit is being written."""
    await set_switch(store, "a", "before")
    seen: list[str | None] = []

    async def unit(tx: Tx) -> None:
        await tx.switches.set("a", "after")
        seen.append(elsewhere(lambda other: switch(other, "a")))

    await store.write(unit)
    assert seen == ["before"]
    assert await switch(store, "a") == "after"


async def test_read_sees_one_state(store: Store, elsewhere: Elsewhere) -> None:
    """A unit that reads twice reads the same, whatever is committed meanwhile."""
    await set_switch(store, "a", "before")

    async def twice(tx: Tx) -> tuple[str | None, str | None]:
        first = await tx.switches.get("a")
        elsewhere(lambda other: set_switch(other, "a", "after"))
        return first, await tx.switches.get("a")

    assert await store.read(twice) == ("before", "before")
    assert await switch(store, "a") == "after"


async def test_read_does_not_write(store: Store) -> None:
    """A unit given to `read` that writes is refused with what to do, and writes nothing."""
    with pytest.raises(StoreError, match=r"store\.write") as refused:
        await store.read(lambda tx: tx.switches.set("a", "on"))
    assert not isinstance(refused.value, StoreUnavailable)
    assert await switch(store, "a") is None


@pytest.mark.parametrize("method", ["write", "read"])
async def test_unit_awaits_nothing_else(store: Store, method: str) -> None:
    """A unit that awaits something other than its transaction is undone with a clear error."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    cleaned = []

    async def unit(tx: Tx) -> None:
        await tx.switches.get("a")
        try:
            await future
        finally:
            cleaned.append(True)

    with pytest.raises(StoreError, match="awaited something other"):
        await getattr(store, method)(unit)
    assert cleaned == [True]


async def test_transaction_ends_with_its_unit(store: Store) -> None:
    """A transaction kept after its unit can write and read nothing."""
    kept: list[Tx] = []

    async def unit(tx: Tx) -> None:
        kept.append(tx)

    await store.write(unit)
    await store.read(unit)
    for tx in kept:
        with pytest.raises(StoreError, match="over"):
            await tx.switches.set("a", "on")
    assert await switch(store, "a") is None


async def test_swallowed_error_still_undoes(store: Store) -> None:
    """A unit that hides an error of the database is undone all the same, and can do nothing after it."""
    later = []

    async def unit(tx: Tx) -> str:
        await tx.switches.set("a", "on")
        await tx.alerts.save(alert("a1"))
        try:
            await tx.alerts.save(alert("a2"))
        except StoreError:
            with pytest.raises(StoreError):
                await tx.switches.get("a")
            later.append(True)
        return "fine"

    with pytest.raises(StoreError):
        await store.write(unit)
    assert later == [True]
    assert await switch(store, "a") is None


async def test_value_that_cannot_be_kept(store: Store) -> None:
    """Text that is not Unicode and numbers past 64 bits in a column of their own are refused, not mangled."""
    with pytest.raises(StoreError, match="cannot be kept"):
        await set_switch(store, "a", "\ud800")
    with pytest.raises(StoreError, match="cannot be kept"):
        await store.write(lambda tx: tx.alerts.save(alert("a1", received=2**70)))


async def test_cancelled_caller_harms_nobody(store: Store, held: Held) -> None:
    """A caller that stops waiting leaves the units of others alone."""
    async with held():
        impatient = asyncio.create_task(set_switch(store, "b"))
        await queued()
        patient = asyncio.create_task(set_switch(store, "a"))
        await queued()
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
    await patient
    assert await switch(store, "a") == "on"


async def test_full_queue_is_told_at_once(opened: Opener, held: Held) -> None:
    """Past the bound of the queue a unit is refused with StoreUnavailable, and those before it are kept."""
    store = await opened(queue=3)
    async with held():
        first = asyncio.create_task(set_switch(store, "first"))
        await queued()
        while store.waiting:  # type: ignore[attr-defined]  # of every engine, for the metric
            await queued()
        units = asyncio.gather(*(set_switch(store, f"s{n}") for n in range(5)), return_exceptions=True)
        await queued()
    assert [type(result) for result in await units] == [type(None)] * 3 + [StoreUnavailable] * 2
    await first
    assert await switch(store, "s2") == "on"
    assert await switch(store, "s3") is None


async def test_small_batches_keep_everything(opened: Opener) -> None:
    """More units than one commit may hold are spread over several."""
    store = await opened(batch=4)
    await asyncio.gather(*(set_switch(store, f"s{n}") for n in range(23)))
    assert [await switch(store, f"s{n}") for n in range(23)] == ["on"] * 23


async def test_close_finishes_what_was_queued(opened: Opener) -> None:
    """`close` commits the units that wait, then refuses new ones; closing again changes nothing."""
    store = await opened()
    queued = [asyncio.create_task(set_switch(store, f"s{n}")) for n in range(10)]
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    await store.close()
    assert all(task.done() for task in queued)
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await set_switch(store, "late")
    with pytest.raises(StoreUnavailable, match="closed"):
        await switch(store, "s9")
    again = await opened()
    assert await switch(again, "s9") == "on"


async def test_two_stores_on_one_database(opened: Opener) -> None:
    """Two stores that write the same rows at once lose nothing of each other."""
    stores = [await opened(), await opened()]

    async def count(tx: Tx) -> None:
        n = int(await tx.switches.get("n") or 0)
        await tx.switches.set("n", str(n + 1))

    await asyncio.gather(*(store.write(count) for store in stores * 100))
    assert await switch(stores[0], "n") == "200"
    assert await switch(stores[1], "n") == "200"


async def test_switches_are_listed_by_how_their_names_begin(store: Store) -> None:
    """Letter by letter, upper and lower case apart, and signs that mean something to a database mean nothing."""
    for name in ("service:b", "service:a", "Service:c", "service", "service%", "schedule:x"):
        await set_switch(store, name, name.upper())
    found = await store.read(lambda tx: tx.switches.beginning("service:"))
    assert list(found.items()) == [("service:a", "SERVICE:A"), ("service:b", "SERVICE:B")]
    assert await store.read(lambda tx: tx.switches.beginning("%")) == {}
