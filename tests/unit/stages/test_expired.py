"""Unit tests of what an acknowledgement that has expired leaves: who had heard, and what calls by hand had changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import Channel, IncidentLevel, LevelState, Message, MessageKind, MessageState
from runbookd.stages.expired import Telling, but_by_hand, heard, tellings
from runbookd.stages.ladder import ACKNOWLEDGED, BY_HAND

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
FIRED, SKIPPED, PENDING = LevelState.FIRED, LevelState.SKIPPED, LevelState.PENDING


def at(minutes: int) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def fired(minute: int, place: int, **detail: object) -> Entry:
    """The ledger's entry of a level that was told then, when it was due."""
    told = {"level": place, "due_at": at(minute), **detail}
    return Entry(at=at(minute), stage=Stage.ESCALATE, what="level_fired", detail=told)


def page(minute: int, level: int, state: MessageState, because: str | None = None) -> Message:
    """A page of a level that was due then."""
    return Message(
        id=f"m{minute}",
        key=f"k{minute}",
        kind=MessageKind.PAGE,
        channel=Channel.EMAIL,
        address={},
        contact="l1",
        created_at=at(minute),
        state=state,
        facts={"level": level, "due_at": at(minute), "because": because},
    )


def telling(minute: int, because: str | None = None, *, in_vain: bool = False) -> Telling:
    """A level told in the minute it was due."""
    return Telling(at(minute), at(minute), because, in_vain)


def level(number: int, state: LevelState, due: int | None, **fields: Any) -> IncidentLevel:
    """A level that pages, due in that minute."""
    due_at = None if due is None else at(due)
    return IncidentLevel(incident_id="i1", number=number, due_at=due_at, page=("l1",), state=state, **fields)


def test_each_telling_has_its_time_its_reason_and_whether_it_was_in_vain() -> None:
    """The reason is the ledger's, or else what its pages say; without a page nothing was in vain."""
    entries = [fired(1, 1), fired(2, 2), fired(3, 1, reason=BY_HAND), fired(4, 3)]
    pages = [
        page(1, 0, MessageState.SENT, "anew"),
        page(2, 1, MessageState.FAILED),
        page(3, 0, MessageState.SENT, "anew"),
    ]
    assert tellings(entries, pages) == {
        0: [telling(1, "anew"), telling(3, BY_HAND)],
        1: [telling(2, in_vain=True)],
        2: [telling(4)],
    }


def test_an_acknowledgement_that_expired_before_begins_the_count() -> None:
    """What was told before it counts no more, and other entries are no tellings."""
    expired = Entry(at=at(2), stage=Stage.ESCALATE, what="acknowledgement_expired")
    note = Entry(at=at(4), stage=Stage.ESCALATE, what="person_note", detail={"level": 1, "due_at": at(4)})
    undated = Entry(at=at(5), stage=Stage.ESCALATE, what="level_fired", detail={"level": 1})
    assert tellings([fired(1, 1), expired, fired(3, 2), note, undated], []) == {1: [telling(3)]}


def test_who_heard_is_whom_a_page_reached_before_then() -> None:
    """The last time it was not in vain, due as before it was called by hand or began anew."""
    told = {
        0: [telling(1), telling(3, BY_HAND), telling(5, BY_HAND, in_vain=True), telling(9)],
        1: [telling(2, in_vain=True)],
        2: [telling(4, BY_HAND)],
        3: [telling(8)],
    }
    again = Telling(at(3), at(1), BY_HAND, in_vain=False)
    assert heard(told, at(6)) == {0: again, 2: telling(4, BY_HAND)}
    assert heard(told, None) == {}


def left(one: IncidentLevel, own: int | None, *told: Telling, first_was_late_by: int = 0) -> IncidentLevel:
    """What a level is when an acknowledgement from minute 5 to 20 expires; level 0 had been heard of in minute 2."""
    times = {0: at(2 - first_was_late_by)} | ({} if own is None else {one.number: at(own)})
    levels = [level(0, FIRED, 2, settled_at=at(2)), one]
    first, found = but_by_hand(levels, times, {0: [telling(2)], one.number: told}, at(5), at(20))
    assert first == levels[0]
    return found


def test_a_level_stopped_after_somebody_heard_of_it_was_told() -> None:
    """It is as it was then, and not among those that come back."""
    found = left(level(1, SKIPPED, 9, reason=ACKNOWLEDGED), 4, telling(4))
    assert (found.state, found.due_at, found.settled_at, found.reason) == (FIRED, at(4), at(4), None)


@pytest.mark.parametrize(("own", "due", "expected"), [(3, 9, 6), (3, 3, 3), (None, 9, 9)])
def test_a_level_that_was_to_begin_anew_comes_as_long_after_the_expiry(
    own: int | None, due: int, expected: int
) -> None:
    """Told in vain at its own time it was to come 4 minutes after the acknowledgement; otherwise it is left alone."""
    found = left(level(1, SKIPPED, due, reason=ACKNOWLEDGED), own, telling(3, in_vain=True))
    assert found.due_at == at(expected)
    assert found.state is SKIPPED


def test_a_level_called_once_more_was_told_at_its_own_time() -> None:
    """The call that came while somebody had the incident does not count."""
    found = left(level(1, FIRED, 8, settled_at=at(8), reason=BY_HAND), 6, telling(6), telling(8, BY_HAND))
    assert (found.state, found.due_at, found.settled_at, found.reason) == (FIRED, at(6), at(6), None)


@pytest.mark.parametrize(
    ("fields", "own", "expected"),
    [
        ({"unless": "acknowledged"}, 10, (SKIPPED, 11)),
        ({"unless": "responded"}, None, (SKIPPED, 8)),
        ({"unless": "resolved"}, 10, (PENDING, 20)),
        ({"unless": "resolved"}, 30, (PENDING, 30)),
        ({"on_breach": "resolve", "unless": "resolved"}, 30, (PENDING, None)),
        ({"on_breach": "resolve", "unless": "resolved"}, 10, (PENDING, 20)),
        ({}, None, (PENDING, 20)),
    ],
)
def test_a_level_told_only_for_a_call_is_what_it_would_be_without(
    fields: dict[str, Any], own: int | None, expected: tuple[LevelState, int | None]
) -> None:
    """Stopped if an acknowledgement stops it, as late as the last that was heard of; else to come, not in the past."""
    called = level(1, FIRED, 8, settled_at=at(8), reason=BY_HAND, **fields)
    found = left(called, own, telling(8, BY_HAND), first_was_late_by=1)
    state, due = expected
    assert (found.state, found.due_at) == (state, None if due is None else at(due))
    assert found.reason == (ACKNOWLEDGED if state is SKIPPED else None)


def test_where_nobody_had_heard_calls_are_taken_back_all_the_same() -> None:
    """Without a level to count from, times are the levels' own."""
    called = level(0, FIRED, 8, settled_at=at(8), reason=BY_HAND, unless="acknowledged")
    (found,) = but_by_hand([called], {0: at(10)}, {0: [telling(8, BY_HAND)]}, at(5), at(20))
    assert (found.state, found.due_at) == (SKIPPED, at(10))
    first = level(0, FIRED, 2, settled_at=at(2))
    assert but_by_hand([first], {}, {0: [telling(2)]}, at(5), at(20)) == [first]
