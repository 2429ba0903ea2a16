"""What `ports.Incidents` and `ports.Switches` promise."""

from __future__ import annotations

import pytest

from runbookd.errors import StoreError
from runbookd.model.incident import ClockKind, Incident, IncidentClock, IncidentState
from runbookd.ports import Store
from tests.contract.store.samples import at, incident, write


async def save(store: Store, *incidents: Incident) -> None:
    """Save each incident."""
    for each in incidents:
        await write(store, "incidents.save", each)


async def test_incident_comes_back_unchanged_and_is_replaced(store: Store) -> None:
    """Every field is kept, and saving again replaces all of them."""
    await save(store, incident("i1"))
    assert await store.read(lambda tx: tx.incidents.get("i1")) == incident("i1")
    ended = incident(
        "i1",
        state=IncidentState.RESOLVED,
        priority="P0",
        resolved_at=at(1),
        acknowledged_at=at(2),
        responded_at=at(3),
        escalated_at=at(4),
        escalation_reason="run_failed",
        escalation="system-down",
    )
    await save(store, ended)
    assert await store.read(lambda tx: tx.incidents.get("i1")) == ended
    assert await store.read(lambda tx: tx.incidents.get("i2")) is None


async def test_one_open_incident_per_rule_and_key(store: Store) -> None:
    """A second open incident of a (rule, key) is refused; after the first has resolved it is not."""
    await save(store, incident("i1"))
    with pytest.raises(StoreError):
        await save(store, incident("i2"))
    await save(store, incident("i1", state=IncidentState.RESOLVED), incident("i2"))
    found = await store.read(lambda tx: tx.incidents.open_for("high-cpu", incident("i2").key))
    assert found == incident("i2")
    assert await store.read(lambda tx: tx.incidents.open_for("high-cpu", "other")) is None


async def test_recent_newest_first_and_filtered(store: Store) -> None:
    """Newest first, at most `limit`, by state, rule and priority."""
    await save(store, incident("i1"), incident("i2", key="k2", opened_at=at(2), priority="P2"))
    await save(store, incident("i3", rule="other", opened_at=at(1), state=IncidentState.RESOLVED))

    async def ids(limit: int = 9, **filters: str) -> list[str]:
        return [each.id for each in await store.read(lambda tx: tx.incidents.recent(limit, filters))]

    assert await ids() == ["i2", "i3", "i1"]
    assert await ids(2) == ["i2", "i3"]
    assert await ids(state="open") == ["i2", "i1"]
    assert await ids(rule="other") == ["i3"]
    assert await ids(priority="P2", state="open") == ["i2"]
    with pytest.raises(StoreError, match="not a filter"):
        await ids(title="x")


async def test_clocks_nearest_first_and_replaced(store: Store) -> None:
    """Clocks come nearest deadline first; one of the same kind replaces its like."""
    clocks = [
        IncidentClock(incident_id="i1", kind=ClockKind.RESOLVE, due_at=at(9)),
        IncidentClock(incident_id="i1", kind=ClockKind.RESPOND, due_at=at(5), met_at=at(1)),
        IncidentClock(incident_id="i1", kind=ClockKind.RESOLVE, due_at=at(2), breached_at=at(3)),
        IncidentClock(incident_id="i2", kind=ClockKind.RESOLVE, due_at=at(1)),
    ]
    for each in clocks:
        await write(store, "incidents.save_clock", each)
    assert await store.read(lambda tx: tx.incidents.clocks("i1")) == [clocks[2], clocks[1]]


async def test_switch_is_set_changed_and_removed(store: Store) -> None:
    """A switch holds the last value; None removes it."""
    for value in ("on", "off", None, None, "on"):
        await write(store, "switches.set", "paused", value)
        assert await store.read(lambda tx: tx.switches.get("paused")) == value
