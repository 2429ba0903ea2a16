"""What `ports.Alerts` promises."""

from __future__ import annotations

import pytest

from runbookd.errors import StoreError
from runbookd.model.alert import Alert
from runbookd.model.event import Status
from runbookd.ports import Store
from tests.contract.store.samples import T0, alert, at, event, write


async def save(store: Store, *alerts: Alert) -> None:
    """Save each alert."""
    for each in alerts:
        await write(store, "alerts.save", each)


async def test_alert_comes_back_unchanged_and_is_replaced(store: Store) -> None:
    """Every field is kept, and saving again replaces all of them."""
    await save(store, alert("a1"))
    assert await store.read(lambda tx: tx.alerts.get("a1")) == alert("a1")
    ended = alert(
        "a1",
        received=4,
        starts_at=at(-5),
        last_seen=at(9),
        ends_at=at(8),
        resolved_at=at(9),
        incident_id="i1",
        rule="r1",
        event=event(status=Status.RESOLVED),
    )
    await save(store, ended)
    assert await store.read(lambda tx: tx.alerts.get("a1")) == ended
    assert await store.read(lambda tx: tx.alerts.get("a2")) is None


async def test_one_open_episode(store: Store) -> None:
    """A second open alert of a (source, fingerprint) is refused; another source's or a later one is not."""
    await save(store, alert("a1"))
    with pytest.raises(StoreError):
        await save(store, alert("a2"))
    await save(store, alert("a3", source="slack"), alert("a1", resolved_at=at(1)), alert("a2"))
    assert await store.read(lambda tx: tx.alerts.open_count()) == 2


async def test_latest_is_the_open_one_else_the_last_resolved(store: Store) -> None:
    """`latest` prefers the open episode, then the one that resolved last, whatever began last."""

    async def latest() -> str | None:
        found = await store.read(lambda tx: tx.alerts.latest("alertmanager", "f1"))
        return found.id if found else None

    assert await latest() is None
    await save(store, alert("a1", first_seen=at(1), resolved_at=at(20)))
    await save(store, alert("a2", first_seen=at(9), resolved_at=at(10)))
    assert await latest() == "a1"
    await save(store, alert("a3", first_seen=at(0)))
    assert await latest() == "a3"


async def test_open_of_a_source_oldest_first(store: Store) -> None:
    """Only open episodes of that source, oldest first."""
    await save(store, alert("a1", first_seen=at(5)), alert("a2", fingerprint="f2", first_seen=at(1)))
    await save(store, alert("a3", fingerprint="f3", resolved_at=T0), alert("a4", source="slack"))
    found = await store.read(lambda tx: tx.alerts.open_of("alertmanager"))
    assert [each.id for each in found] == ["a2", "a1"]
    assert await store.read(lambda tx: tx.alerts.open_count()) == 3


async def test_links_to_incidents(store: Store) -> None:
    """An alert belongs to several incidents in the order linked; linking again is no change."""
    await save(store, alert("a1", first_seen=at(5)), alert("a2", fingerprint="f2", first_seen=at(1)))
    for name, incident_id in (("a1", "i2"), ("a1", "i1"), ("a1", "i2"), ("a2", "i2")):
        await write(store, "alerts.link", name, incident_id)
    assert await store.read(lambda tx: tx.alerts.incidents_of("a1")) == ["i2", "i1"]
    assert await store.read(lambda tx: tx.alerts.incidents_of("a9")) == []
    assert [each.id for each in await store.read(lambda tx: tx.alerts.of_incident("i2"))] == ["a2", "a1"]
    assert [each.id for each in await store.read(lambda tx: tx.alerts.of_incident("i1"))] == ["a1"]
    assert await store.read(lambda tx: tx.alerts.any_open("i2"))
    for name, fingerprint in (("a1", "f1"), ("a2", "f2")):
        await save(store, alert(name, fingerprint=fingerprint, resolved_at=at(9)))
    assert not await store.read(lambda tx: tx.alerts.any_open("i2"))


async def test_episodes_are_counted(store: Store) -> None:
    """Episodes of the rule from `since` on, by alert or by incident; another word is refused."""
    for n, (rule, incident_id) in enumerate(
        [("r1", "i1"), ("r1", "i1"), ("r1", "i2"), ("r2", "i3"), ("r1", None)]
    ):
        episode = alert(f"a{n}", fingerprint=f"f{n}", first_seen=at(n))
        await save(store, episode)
        for _ in "ab":  # counted again is counted once
            await write(store, "alerts.count_for", rule, episode)
        if incident_id is not None:
            await write(store, "alerts.link", episode.id, incident_id)
    assert await store.read(lambda tx: tx.alerts.count_episodes("r1", at(0), "alert")) == 4
    assert await store.read(lambda tx: tx.alerts.count_episodes("r1", at(1), "alert")) == 3
    assert await store.read(lambda tx: tx.alerts.count_episodes("r1", at(0), "incident")) == 2
    assert await store.read(lambda tx: tx.alerts.count_episodes("r1", at(2), "incident")) == 1
    assert await store.read(lambda tx: tx.alerts.count_episodes("r9", at(0), "alert")) == 0
    with pytest.raises(StoreError, match="by 'alert' or 'incident'"):
        await store.read(lambda tx: tx.alerts.count_episodes("r1", at(0), "label"))
