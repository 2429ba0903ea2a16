"""Unit tests of levels that begin anew, and of what they are once a page has got through."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from runbookd.model.escalation import IncidentLevel, LevelState
from runbookd.stages.anew import left_alone, own_again
from runbookd.stages.ladder import ANEW, STILL, needless_when

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def at(minutes: int) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def anew(number: int, on_breach: str | None = None) -> IncidentLevel:
    """A level that is to be told once more, at a quarter past."""
    return IncidentLevel(
        incident_id="i1",
        number=number,
        due_at=at(15),
        on_breach=on_breach,
        unless="resolved",
        page=("l1",),
        reason=ANEW,
    )


def test_its_own_time_is_its_own_again() -> None:
    """A level whose own time is to come has it back, and one that waits for a clock waits for that."""
    own = {0: at(20), 1: at(30)}
    timed, waiting = own_again([anew(0), anew(1, "resolve")], own, 5, at(10))
    assert (timed.due_at, timed.reason, timed.state) == (at(20), None, LevelState.PENDING)
    assert (waiting.due_at, waiting.reason, waiting.state) == (None, None, LevelState.PENDING)


def test_who_is_below_the_page_that_got_through_has_had_a_turn() -> None:
    """Up to it levels whose times are over are told, at those or without one now; above it they are still to come."""
    below, untimed, above = own_again([anew(0), anew(1), anew(2)], {0: at(2), 2: at(5)}, 1, at(10))
    assert (below.state, below.due_at, below.settled_at, below.reason) == (
        LevelState.FIRED,
        at(2),
        at(2),
        None,
    )
    assert (untimed.state, untimed.due_at, untimed.settled_at) == (LevelState.FIRED, at(10), at(10))
    assert (above.state, above.due_at, above.reason) == (LevelState.PENDING, at(15), STILL)


def test_others_are_left_as_they_are() -> None:
    """A level that waits for its own time, or that has been told, is none that began anew."""
    others = [replace(anew(0), reason=None), replace(anew(1), state=LevelState.FIRED)]
    assert own_again(others, {0: at(20)}, 0, at(10)) == []
    assert left_alone(others, {0: at(20)}, {}, at(10)) == []


def test_whoever_takes_it_stops_what_begins_anew() -> None:
    """It says `unless: resolved` only of its own time."""
    assert [needless_when(replace(anew(0), reason=reason)) for reason in (ANEW, STILL, None)] == [
        "acknowledged",
        "acknowledged",
        "resolved",
    ]
