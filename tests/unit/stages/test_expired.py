"""Unit tests of what an acknowledgement that has expired leaves: who had heard, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.stages.expired import Heard, Telling, heard, tellings
from runbookd.stages.ladder import BY_HAND

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


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
    """The last time it was not in vain, due as of itself; of one that was only called by hand that is not known."""
    told = {
        0: [telling(1), telling(3, BY_HAND), telling(5, BY_HAND, in_vain=True), telling(9)],
        1: [telling(2, in_vain=True)],
        2: [telling(4, BY_HAND)],
        3: [telling(8)],
    }
    assert heard(told, at(6)) == {0: Heard(at(3), at(1)), 2: Heard(at(4), None)}
    assert heard(told, None) == {}
