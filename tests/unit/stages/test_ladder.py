"""Levels are told at their minute, skipped for a reason, and after an outage collapsed into one page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from runbookd.model.escalation import IncidentLevel, LevelState
from runbookd.model.incident import Incident, IncidentState
from runbookd.model.people import Escalation
from runbookd.stages.ladder import (
    freeze_levels,
    hastened,
    judge_levels,
    next_level,
    rearmed,
    stands,
)

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
INCIDENT = Incident(id="i1", rule="r", key="{}", priority="P0", title="down", opened_at=NOON)
POLICY = Escalation.model_validate(
    [
        {"after": "0m", "notify": ["slack:#critical-alerts"]},
        {"after": "2m", "unless": "resolved", "page": ["l2"]},
        {"after": "5m", "notify": ["manager"]},
        {"after": "5m", "unless": "acknowledged", "page": ["l2.secondary"], "notify": ["slack:#ops"]},
        {"after": "10m", "unless": "resolved", "page": ["l3"]},
        {"on_breach": "resolve", "page": ["cto"]},
    ]
)
LEVELS = freeze_levels("i1", POLICY, NOON)


def at(minutes: float) -> datetime:
    """So many minutes after the incident opened."""
    return NOON + timedelta(minutes=minutes)


def told(
    levels: list[IncidentLevel], incident: Incident, minutes: float, *breached: str
) -> list[tuple[int, bool]]:
    """Which levels are told now, and whether their pages are."""
    judged = judge_levels(levels, incident, breached, at(minutes))
    return [(one.level.number, one.page) for one in judged.fired]


def test_a_policy_is_frozen_with_its_times() -> None:
    """Every level has its moment, or the clock it waits for; a second policy's levels are numbered on."""
    assert [level.due_at for level in LEVELS] == [at(0), at(2), at(5), at(5), at(10), None]
    assert [level.on_breach for level in LEVELS] == [None] * 5 + ["resolve"]
    assert LEVELS[3].page == ("l2.secondary",)
    assert LEVELS[3].notify == ("slack:#ops",)
    assert [level.number for level in freeze_levels("i1", POLICY, NOON, 6)] == [6, 7, 8, 9, 10, 11]


def settled_until(minutes: float, incident: Incident = INCIDENT) -> list[IncidentLevel]:
    """The levels after every minute before this one was judged in time."""
    levels = {level.number: level for level in LEVELS}
    for minute in range(int(minutes)):
        for level in judge_levels(list(levels.values()), incident, (), at(minute)).settled:
            levels[level.number] = level
    return list(levels.values())


@pytest.mark.parametrize(
    ("minute", "expected"),
    [
        (0, [(0, True)]),
        (1, []),
        (2, [(1, True)]),
        (5, [(2, True), (3, True)]),
        (9, []),
        (10, [(4, True)]),
        (11, []),
    ],
)
def test_nobody_answers(minute: int, expected: list[tuple[int, bool]]) -> None:
    """Each level is told in its minute, once; two of one minute are both told."""
    assert told(settled_until(minute), INCIDENT, minute) == expected


@pytest.mark.parametrize(
    ("incident", "skipped"),
    [
        (replace(INCIDENT, acknowledged_at=at(1)), [3]),
        (replace(INCIDENT, responded_at=at(1)), []),
        (replace(INCIDENT, state=IncidentState.RESOLVED, resolved_at=at(1)), [1, 3, 4]),
    ],
)
def test_a_level_is_skipped_for_what_it_says(incident: Incident, skipped: list[int]) -> None:
    """An acknowledgement stops the levels that wait for one; the end stops all that have an `unless`."""
    levels = settled_until(12, incident)
    assert [level.number for level in levels if level.state is LevelState.SKIPPED] == skipped
    assert {level.reason for level in levels if level.state is LevelState.SKIPPED} <= {
        "acknowledged",
        "resolved",
    }


def test_levels_missed_in_an_outage_are_one_page() -> None:
    """When the service was down for twelve minutes only the last level pages, and every notice still goes out."""
    judged = judge_levels(LEVELS, INCIDENT, (), at(12))
    assert [(one.level.number, one.page) for one in judged.fired] == [
        (0, True),
        (1, False),
        (2, True),
        (3, False),
        (4, True),
    ]
    assert [level.state for level in judged.settled] == [
        LevelState.FIRED,
        LevelState.COLLAPSED,
        LevelState.FIRED,
        LevelState.COLLAPSED,
        LevelState.FIRED,
    ]
    assert [one.late for one in judged.fired][-1] == timedelta(minutes=2)
    assert {level.settled_at for level in judged.settled} == {at(12)}


def test_a_level_that_waits_for_a_breach_is_told_at_the_breach() -> None:
    """It has no time of its own, and takes no other level in."""
    assert told(LEVELS[5:], INCIDENT, 0) == []
    judged = judge_levels(LEVELS[4:], INCIDENT, ("resolve",), at(30))
    assert [(one.level.number, one.page, one.late) for one in judged.fired] == [
        (4, True, timedelta(minutes=20)),
        (5, True, timedelta(0)),
    ]


@pytest.mark.parametrize(
    ("unless", "changes", "expected"),
    [
        (None, {"state": IncidentState.RESOLVED}, False),
        ("resolved", {}, False),
        ("resolved", {"acknowledged_at": NOON}, False),
        ("responded", {"responded_at": NOON}, True),
        ("responded", {}, False),
        ("acknowledged", {"responded_at": NOON}, False),
        ("acknowledged", {"acknowledged_at": NOON}, True),
        ("acknowledged", {"state": IncidentState.RESOLVED}, True),
    ],
)
def test_what_stops_a_level(unless: str | None, changes: dict[str, object], expected: bool) -> None:  # noqa: FBT001
    """Only what it says stops it, and the end of the incident."""
    assert stands(replace(INCIDENT, **changes), unless) is expected  # type: ignore[arg-type]


def test_the_next_level_is_the_nearest_that_waits() -> None:
    """Settled levels and those that wait for a breach have no time."""
    assert next_level(LEVELS) == at(0)
    assert next_level(settled_until(6)) == at(10)
    assert next_level(settled_until(12)) is None


def test_the_next_page_can_be_made_due() -> None:
    """The first pending level that pages comes forward; one that is late stays so; when none is left there is none."""
    sooner = hastened(LEVELS, at(1))
    assert sooner is not None
    assert (sooner.number, sooner.due_at) == (1, at(1))
    late = hastened(LEVELS, at(3))
    assert late is not None
    assert late.due_at == at(2)
    assert hastened(settled_until(12), at(13)) is None


def test_what_an_acknowledgement_had_stopped_comes_back() -> None:
    """When it expires, the levels skipped for it are pending again and due now; others stay as they are."""
    levels = settled_until(12, replace(INCIDENT, acknowledged_at=at(1)))
    (back,) = rearmed(levels, at(40))
    assert (back.number, back.state, back.due_at, back.reason) == (3, LevelState.PENDING, at(40), None)
