"""What `ports.Deliveries` promises."""

from __future__ import annotations

import asyncio
from datetime import timedelta, timezone

import pytest

from runbookd.errors import NotFound, StoreError
from runbookd.model.event import DeliveryState, Event, Status
from runbookd.ports import Store
from tests.contract.store.samples import T0, at, delivery, event, read, stored, write


async def test_delivery_comes_back_unchanged(store: Store) -> None:
    """Every byte and field of a delivery is kept; an unknown one is None."""
    plain = delivery(
        "d2", headers={}, remote=None, body=b"", state=DeliveryState.DEAD, progress=3, reason="bad"
    )
    for each in (delivery("d1"), plain):
        await write(store, "deliveries.add", each)
        assert await read(store, "deliveries.get", each.id) == each
    assert await store.read(lambda tx: tx.deliveries.get("d3")) is None


async def test_delivery_is_added_once(store: Store) -> None:
    """A second delivery of the same id is refused."""
    await store.write(lambda tx: tx.deliveries.add(delivery("d1")))
    with pytest.raises(StoreError):
        await store.write(lambda tx: tx.deliveries.add(delivery("d1")))


async def test_time_is_one_moment_in_any_zone(store: Store) -> None:
    """A time given in another zone comes back as the same moment, in UTC, to the microsecond."""
    there = T0.astimezone(timezone(timedelta(hours=5, minutes=30)))
    await store.write(lambda tx: tx.deliveries.add(delivery("d1", received_at=there)))
    kept = await store.read(lambda tx: tx.deliveries.get("d1"))
    assert kept is not None
    assert kept.received_at == T0
    assert kept.received_at.utcoffset() == timedelta(0)


async def test_settle_records_progress(store: Store) -> None:
    """State, progress and reason are recorded, and nothing else changes."""
    await store.write(lambda tx: tx.deliveries.add(delivery("d1")))
    await store.write(lambda tx: tx.deliveries.settle("d1", DeliveryState.DEAD, 7, "not JSON"))
    wanted = delivery("d1", state=DeliveryState.DEAD, progress=7, reason="not JSON")
    assert await store.read(lambda tx: tx.deliveries.get("d1")) == wanted


async def test_settle_of_nothing_is_told(store: Store) -> None:
    """Progress of a delivery that is not there is an error, not silence."""
    with pytest.raises(NotFound, match="d9"):
        await store.write(lambda tx: tx.deliveries.settle("d9", DeliveryState.ADMITTED, 1))


async def test_pending_counts_what_waits(store: Store) -> None:
    """Only pending deliveries are counted, with the time of the oldest; none is (0, None)."""
    assert await store.read(lambda tx: tx.deliveries.pending()) == (0, None)
    for n, state in enumerate([DeliveryState.ADMITTED, DeliveryState.PENDING, DeliveryState.PENDING]):
        await write(store, "deliveries.add", delivery(f"d{n}", received_at=at(n), state=state))
    assert await store.read(lambda tx: tx.deliveries.pending()) == (2, at(1))


async def test_dead_letters_are_counted(store: Store) -> None:
    """Only dead letters are counted, with the time of the newest; none is (0, None)."""
    assert await store.read(lambda tx: tx.deliveries.dead()) == (0, None)
    for n, state in enumerate([DeliveryState.DEAD, DeliveryState.DEAD, DeliveryState.PENDING]):
        await write(store, "deliveries.add", delivery(f"d{n}", received_at=at(n), state=state))
    assert await store.read(lambda tx: tx.deliveries.dead()) == (2, at(1))


async def test_recent_is_newest_first(store: Store) -> None:
    """`recent` gives the newest first, at most `limit`, of one state if asked."""
    for n in (2, 0, 3, 1):
        state = DeliveryState.DEAD if n % 2 else DeliveryState.PENDING
        await write(store, "deliveries.add", delivery(f"d{n}", received_at=at(n), state=state))
    every = await store.read(lambda tx: tx.deliveries.recent(3))
    assert [each.id for each in every] == ["d3", "d2", "d1"]
    dead = await store.read(lambda tx: tx.deliveries.recent(9, DeliveryState.DEAD))
    assert [each.id for each in dead] == ["d3", "d1"]


async def test_event_comes_back_unchanged(store: Store) -> None:
    """Every field of an event is kept, with hostile text, half surrogates and huge numbers; an unknown one is None."""
    odd = event(extra={"half": "\ud800", "huge": 10**40, "pi": 3.25})
    bare = Event(source="s", name="n", status=Status.UNKNOWN, fingerprint="f", ends_at=at(1))
    for name, news in (("e1", event()), ("e2", odd), ("e3", bare)):
        kept = stored(name, event=news, alert_id="a1", incident_id="i1", rule="r")
        await write(store, "deliveries.add_event", kept)
        assert await read(store, "deliveries.event", name) == kept
    assert await store.read(lambda tx: tx.deliveries.event("e9")) is None


async def test_events_by_every_filter(store: Store) -> None:
    """Each filter compares by equality, several must all hold, and an unknown one is refused by name."""
    here = stored("e1", incident_id="i1", rule="r1", outcome="repeat")
    there = stored(
        "e2",
        received_at=at(1),
        event=event(source="slack", name="Other", status=Status.RESOLVED, fingerprint="f2"),
    )
    for each in (here, there):
        await write(store, "deliveries.add_event", each)
    for filters in (
        {"source": "alertmanager"},
        {"name": "HighCPU"},
        {"status": "firing"},
        {"outcome": "repeat"},
        {"delivery_id": here.delivery_id, "rule": "r1"},
        {"incident_id": "i1"},
        {"fingerprint": "f1"},
        {"rule": "r1"},
        {"rule": "r1", "status": "firing"},
    ):
        assert await read(store, "deliveries.events", 9, filters) == [here]
    assert await store.read(lambda tx: tx.deliveries.events(9, {"rule": "r1", "status": "resolved"})) == []
    assert await store.read(lambda tx: tx.deliveries.events(9, {})) == [there, here]
    with pytest.raises(StoreError, match="'severity' is not a filter"):
        await store.read(lambda tx: tx.deliveries.events(9, {"severity": "x"}))


async def test_many_deliveries_at_once(store: Store) -> None:
    """Deliveries written together are all there."""
    await asyncio.gather(*(write(store, "deliveries.add", delivery(f"d{n}")) for n in range(200)))
    assert await store.read(lambda tx: tx.deliveries.pending()) == (200, T0)
