"""What `ports.Levels` and `ports.Messages` promise."""

from __future__ import annotations

from dataclasses import replace

from runbookd.model.escalation import Channel, LevelState, MessageKind, MessageState
from runbookd.model.retention import Kept
from runbookd.ports import Store
from tests.contract.store.samples import T0, at, incident, level, message, read, write


async def test_levels_come_in_order_and_are_replaced(store: Store) -> None:
    """Levels of an incident come by number, with everything they hold; saving one again replaces it."""
    waits = level(2, due_at=None, on_breach="respond", notify=("slack:#ops",))
    fired = replace(
        level(1), state=LevelState.FIRED, settled_at=at(9), reason="x", unless="resolved", page=("l2", "l3")
    )
    for each in (waits, level(1), fired, level(0, incident_id="i2")):
        await write(store, "levels.save", each)
    assert await read(store, "levels.of", "i1") == [fired, waits]


async def test_the_incidents_that_people_hear_of_are_found_among_any_others(store: Store) -> None:
    """By a level or a message, of one priority, opened after a time, newest first, at most so many."""
    for number, each in enumerate(("told", "paged", "observed", "low", "old")):
        low = {"priority": "P3"} if each == "low" else {}
        opened_at = at(0) if each == "old" else at(9 - number)
        await write(store, "incidents.save", incident(each, key=each, opened_at=opened_at, **low))
    for each in ("paged", "low", "old"):
        await write(store, "levels.save", level(0, incident_id=each))
    for each in ("paged", "told"):
        await write(store, "messages.add", message(f"of {each}", incident_id=each))
    priority = incident("told").priority
    assert await read(store, "levels.incidents", priority, at(0), 9) == ["told", "paged"]
    assert await read(store, "levels.incidents", priority, at(0), 1) == ["told"]
    assert await read(store, "levels.incidents", priority, at(-1), 9) == ["told", "paged", "old"]


async def test_a_message_is_kept_once_and_comes_back_unchanged(store: Store) -> None:
    """The key decides whether a message is new; references to secrets stay references; saving keeps every change."""
    assert await write(store, "messages.add", message("m1"))
    assert not await write(store, "messages.add", message("m2", key="key of m1"))
    assert await read(store, "messages.get", "m1") == message("m1")
    assert await read(store, "messages.get", "m2") is None
    sent = message(
        "m1",
        state=MessageState.SENT,
        attempts=2,
        epoch=7,
        attempted_at=at(1),
        reason="r",
        error="e",
        words={"subject": "s", "open": True},
        result={"ts": "1.2"},
        settled_at=at(2),
    )
    await write(store, "messages.save", sent)
    assert await read(store, "messages.get", "m1") == sent


async def test_messages_are_found_by_incident_and_by_what_they_are(store: Store) -> None:
    """Those of an incident come oldest first, the newest of all first, by equality; what is on its way is counted."""
    early = message("m2", created_at=at(1), channel=Channel.SLACK, kind=MessageKind.UPDATE)
    late = message("m1", created_at=at(2), state=MessageState.SENDING)
    other = message("m3", incident_id=None, created_at=at(3), state=MessageState.FAILED)
    for each in (late, early, other):
        await write(store, "messages.add", each)
    assert await read(store, "messages.of", "i1") == [early, late]
    assert await read(store, "messages.recent", 2, {}) == [other, late]
    for name, value in {"state": "pending", "channel": "slack", "kind": "incident-update"}.items():
        assert await read(store, "messages.recent", 9, {name: value}) == [early]
    assert await read(store, "messages.recent", 9, {"incident_id": "i1"}) == [late, early]
    assert await read(store, "messages.unsettled") == (2, at(1))


async def test_a_bucket_is_used_up_to_a_time(store: Store) -> None:
    """What is said last counts, be it sooner. Buckets do not share."""
    assert await read(store, "messages.used_until", "a") is None
    for moment in (at(2), at(1)):
        await write(store, "messages.use", "a", moment)
        assert await read(store, "messages.used_until", "a") == moment
    assert await read(store, "messages.used_until", "b") is None


async def test_those_who_wait_stand_in_line(store: Store) -> None:
    """The lower rank before the higher, the older before the younger; standing there again keeps the place."""
    made = [message(f"m{number}", created_at=at(number)) for number in range(5)]
    for each in made:
        await write(store, "messages.add", each)
    assert await read(store, "messages.first_in_line", "a") is None
    assert await write(store, "messages.line_up", made[1], "a", 1) == 0
    assert await write(store, "messages.line_up", made[2], "a", 1) == 1
    assert await write(store, "messages.line_up", made[0], "a", 1) == 0
    assert await write(store, "messages.line_up", made[4], "a", 0) == 0
    assert await write(store, "messages.line_up", made[3], "b", 0) == 0
    assert await read(store, "messages.first_in_line", "a") == "m4"
    assert await write(store, "messages.line_up", made[2], "a", 1) == 3


async def test_who_is_saved_has_left_the_line(store: Store) -> None:
    """Be it sent, tried again or not needed; nobody who is settled is in anybody's way, whoever settled it."""
    one, other = message("m1"), message("m2", created_at=at(1))
    for each in (one, other):
        await write(store, "messages.add", each)
        await write(store, "messages.line_up", each, "a", 0)
    await write(store, "messages.save", replace(one, attempts=1))
    assert await read(store, "messages.first_in_line", "a") == "m2"
    assert await write(store, "messages.line_up", other, "a", 0) == 0
    assert await read(store, "messages.get", "m1") == replace(one, attempts=1)
    await write(store, "messages.save", replace(other, state=MessageState.SENT))
    assert await read(store, "messages.first_in_line", "a") is None


async def test_an_act_is_done_once(store: Store) -> None:
    """What a person did is known by the name its door gave it."""
    assert await write(store, "messages.act_once", "slack/1", T0)
    assert not await write(store, "messages.act_once", "slack/1", at(9))
    assert await write(store, "messages.act_once", "slack/2", T0)


async def test_levels_and_messages_go_with_their_incident(store: Store) -> None:
    """An incident with a message on its way is not old; forgotten, it takes levels and messages with it."""
    over = replace(incident("i1"), resolved_at=at(5))
    await write(store, "incidents.save", replace(over, state=type(over.state)("resolved")))
    await write(store, "levels.save", level(0))
    await write(store, "messages.add", message("m1"))
    assert await read(store, "retention.old", Kept.INCIDENTS, at(99), 9) == []
    await write(store, "messages.save", message("m1", state=MessageState.SENT))
    assert await read(store, "retention.old", Kept.INCIDENTS, at(99), 9) == ["i1"]
    await write(store, "retention.forget", Kept.INCIDENTS, ["i1"])
    assert await read(store, "levels.of", "i1") == []
    assert await read(store, "messages.of", "i1") == []
