"""Unit tests of who had an incident, by what its ledger tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from runbookd.model.audit import Entry, Stage
from runbookd.stages.holders import expired_of, held

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def entry(minute: int, what: str, actor: str = "runbookd", text: str = "") -> Entry:
    """Something in the ledger of the incident, so many minutes after noon."""
    at = NOON + timedelta(minutes=minute)
    return Entry(at=at, stage=Stage.ESCALATE, what=what, actor=actor, detail={"text": text})


def told(*entries: Entry) -> list[tuple[str, int, int | None]]:
    """Who had it, from which minute until which."""
    minute = timedelta(minutes=1)
    return [
        (one.who, (one.since - NOON) // minute, (one.until - NOON) // minute if one.until else None)
        for one in held(entries)
    ]


def test_nobody_had_it() -> None:
    """Notes and pages take nothing."""
    assert told(entry(1, "person_note", "anna"), entry(2, "acknowledgement_expired")) == []


def test_one_after_the_other() -> None:
    """Taken, taken over, given away, given up and taken again."""
    assert told(
        entry(1, "person_acknowledge", "anna"),
        entry(2, "person_acknowledge", "slack:ben"),
        entry(3, "person_assign", "cli:root", "carl"),
        entry(9, "acknowledgement_expired"),
        entry(12, "person_acknowledge", "slack:ben"),
    ) == [("anna", 1, 2), ("slack:ben", 2, 3), ("carl", 3, 9), ("slack:ben", 12, None)]


def test_a_sign_of_life_takes_nothing() -> None:
    """The same person at another door is the same, and one who has given it away does not take it back by it."""
    assert told(
        entry(1, "person_acknowledge", "anna"),
        entry(2, "person_acknowledge", "slack:anna"),
        entry(3, "person_assign", "anna", "carl"),
        entry(4, "person_acknowledge", "anna"),
        entry(5, "person_acknowledge", "carl"),
    ) == [("anna", 1, 3), ("carl", 3, None)]


def test_whose_acknowledgement_has_expired() -> None:
    """Whoever took it, and whom it was given since if that is another; nobody's was the automation's."""
    assert expired_of({"by": "slack:ben", "acknowledged_by": "anna"}) == ("anna", "ben")
    assert expired_of({"by": "slack:anna", "acknowledged_by": "anna"}) == ("anna", "")
    assert expired_of({}) == ("automation", "")
