"""Levels are told at their minute, skipped for a reason, and after an outage collapsed into one page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from runbookd.model.escalation import Channel, IncidentLevel, LevelState, Message, MessageKind, MessageState
from runbookd.model.incident import Incident, IncidentState
from runbookd.model.people import Escalation
from runbookd.stages.anew import started_over
from runbookd.stages.by_hand import called, called_by_hand, outdated
from runbookd.stages.expired import Heard, rearmed
from runbookd.stages.ladder import (
    AGAIN,
    ANEW,
    BY_HAND,
    BY_HAND_AGAIN,
    HEARD,
    OUTDATED,
    fallen_back,
    freeze_levels,
    handed_over,
    hastened,
    judge_levels,
    needless_for_both,
    needless_when,
    next_level,
    stopped_by,
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


def heard(levels: list[IncidentLevel], before: datetime) -> dict[int, Heard]:
    """The levels that were told before then, as the ledger has it; their pages got through."""
    return {
        level.number: Heard(level.settled_at, level.due_at)
        for level in levels
        if level.state is LevelState.FIRED
        and level.settled_at is not None
        and level.settled_at < before
        and level.due_at is not None
    }


def told(
    levels: list[IncidentLevel], incident: Incident, minutes: float, **breached: float
) -> list[tuple[int, bool]]:
    """Which levels are told now, and whether their pages are; `breached` has clocks with the minute they were due."""
    judged = judge_levels(
        levels, incident, {kind: at(minute) for kind, minute in breached.items()}, (), at(minutes)
    )
    return [(one.level.number, one.page) for one in judged.fired]


def test_a_policy_is_frozen_with_its_times() -> None:
    """Every level has its moment, or the clock it waits for; a second policy's levels are numbered on."""
    assert [level.due_at for level in LEVELS] == [at(0), at(2), at(5), at(5), at(10), None]
    assert [level.on_breach for level in LEVELS] == [None] * 5 + ["resolve"]
    assert LEVELS[5].unless == "resolved", "what meets its clock stops it"
    assert LEVELS[3].page == ("l2.secondary",)
    assert LEVELS[3].notify == ("slack:#ops",)
    assert [level.number for level in freeze_levels("i1", POLICY, NOON, 6)] == [6, 7, 8, 9, 10, 11]
    assert [level.place for level in LEVELS] == [1, 2, 3, 4, 5, 6], "people count from 1"


def settled_until(minutes: float, incident: Incident = INCIDENT) -> list[IncidentLevel]:
    """The levels after every minute before this one was judged in time."""
    levels = {level.number: level for level in LEVELS}
    for minute in range(int(minutes)):
        for level in judge_levels(list(levels.values()), incident, {}, (), at(minute)).settled:
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
        (replace(INCIDENT, state=IncidentState.RESOLVED, resolved_at=at(1)), [1, 3, 4, 5]),
    ],
)
def test_a_level_is_skipped_for_what_it_says(incident: Incident, skipped: list[int]) -> None:
    """An acknowledgement stops levels that wait for one; the end all with an `unless`, or that wait for a breach."""
    levels = settled_until(12, incident)
    assert [level.number for level in levels if level.state is LevelState.SKIPPED] == skipped
    assert {level.reason for level in levels if level.state is LevelState.SKIPPED} <= {
        "acknowledged",
        "resolved",
    }


def test_levels_missed_in_an_outage_are_one_page() -> None:
    """When the service was down for twelve minutes only the last level pages, and every notice still goes out."""
    judged = judge_levels(LEVELS, INCIDENT, {}, (), at(12))
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
    """Its time is the clock's deadline, and after an outage it takes earlier levels in like any other."""
    assert told(LEVELS[5:], INCIDENT, 0) == []
    assert told(LEVELS[5:], INCIDENT, 30, resolve=30) == [(5, True)]
    judged = judge_levels(LEVELS[4:], INCIDENT, {"resolve": at(30)}, (), at(32))
    assert [(one.level.number, one.page, one.late) for one in judged.fired] == [
        (4, False, timedelta(minutes=22)),
        (5, True, timedelta(minutes=2)),
    ]
    assert judged.settled[1].due_at == at(30)


def test_a_clock_met_too_late_wakes_nobody() -> None:
    """When the acknowledgement came after its deadline, but before anybody was told, nobody needs to be."""
    policy = Escalation.model_validate([{"on_breach": "acknowledge", "page": ["l2"]}])
    taken = replace(INCIDENT, acknowledged_at=at(6))
    (level,) = judge_levels(
        freeze_levels("i1", policy, NOON), taken, {"acknowledge": at(5)}, (), at(6)
    ).settled
    assert (level.state, level.reason) == (LevelState.SKIPPED, "acknowledged")


@pytest.mark.parametrize(
    ("unless", "changes", "expected"),
    [
        (None, {"state": IncidentState.RESOLVED}, ""),
        ("resolved", {}, ""),
        ("resolved", {"acknowledged_at": NOON}, ""),
        ("responded", {"responded_at": NOON}, "responded"),
        ("responded", {}, ""),
        ("acknowledged", {"responded_at": NOON}, ""),
        ("acknowledged", {"acknowledged_at": NOON}, "acknowledged"),
        ("acknowledged", {"state": IncidentState.RESOLVED}, "resolved"),
    ],
)
def test_what_stops_a_level(unless: str | None, changes: dict[str, object], expected: str) -> None:
    """Only what it says stops it, and the end of the incident; which of them it was is told truly."""
    assert stopped_by(replace(INCIDENT, **changes), unless) == expected  # type: ignore[arg-type]


def test_two_levels_with_one_page_are_needless_only_when_both_are() -> None:
    """What stops one of them alone does not stop the page."""
    assert needless_for_both("acknowledged", "resolved") == "resolved"
    assert needless_for_both("responded", None) is None


def test_the_next_level_is_the_nearest_that_waits() -> None:
    """Settled levels and those that wait for a breach have no time."""
    assert next_level(LEVELS) == at(0)
    assert next_level(settled_until(6)) == at(10)
    assert next_level(settled_until(12)) is None


def test_the_next_page_can_be_made_due() -> None:
    """The first pending level that pages comes forward, one that waits for a breach too; one that is late stays so."""
    sooner = hastened(LEVELS, at(1))
    assert sooner is not None
    assert (sooner.number, sooner.due_at) == (1, at(1))
    late = hastened(LEVELS, at(3))
    assert late is not None
    assert late.due_at == at(2)
    waits = hastened(settled_until(12), at(13))
    assert waits is not None
    assert (waits.number, waits.due_at) == (5, at(13))
    assert hastened(settled_until(12)[:5], at(13)) is None


def test_who_wants_more_help_calls_the_next_that_has_not_paged() -> None:
    """To come, stopped by an answer or taken in, the lowest first. When all have paged the highest is asked again."""
    policy = Escalation.model_validate(
        [
            {"after": "1m", "unless": "responded", "page": ["l1"]},
            {"after": "2m", "page": ["l2"]},
            {"after": "3m", "notify": ["slack:#ops"]},
            {"after": "4m", "unless": "acknowledged", "page": ["l4"]},
            {"on_breach": "resolve", "page": ["l5"]},
        ]
    )
    taken = replace(INCIDENT, acknowledged_at=at(0), responded_at=at(0))
    levels = {level.number: level for level in freeze_levels("i1", policy, NOON)}
    for minute in range(1, 5):
        for level in judge_levels([*levels.values()], taken, {}, (), at(minute)).settled:
            levels[level.number] = level
    asked: list[tuple[int, str | None]] = []
    for minute in range(5, 10):
        next_one = called([*levels.values()], {number for number, _ in asked}, at(minute))
        assert next_one is not None
        assert next_one.due_at == at(minute)
        assert needless_when(next_one) == "resolved"
        asked.append((next_one.number, next_one.reason))
    assert asked == [(0, BY_HAND), (3, BY_HAND), (4, BY_HAND), (4, BY_HAND_AGAIN), (4, BY_HAND_AGAIN)]
    assert called([*levels.values()][2:3], (), at(10)) is None


def test_who_was_taken_in_can_be_called() -> None:
    """After an outage the highest was paged, and those below were not."""
    level = called(judge_levels(LEVELS[:5], INCIDENT, {}, (), at(12)).settled, (), at(13))
    assert level is not None
    assert (level.number, level.reason) == (1, BY_HAND)


def test_what_had_yet_to_page_does_not_come_back_after_a_rise() -> None:
    """To come, stopped or taken in: none of it can be called any more, and what has paged can be asked again."""
    levels = {level.number: level for level in LEVELS}
    for level in judge_levels(LEVELS[:5], replace(INCIDENT, acknowledged_at=at(1)), {}, (), at(12)).settled:
        levels[level.number] = level
    gone = outdated([*levels.values()], at(13))
    assert [(one.number, one.state.value, one.reason) for one in gone] == [
        (1, "collapsed", OUTDATED),
        (3, "skipped", OUTDATED),
        (5, "skipped", OUTDATED),
    ]
    again = called([*(levels | {one.number: one for one in gone}).values()], (), at(14))
    assert again is not None
    assert (again.number, again.reason) == (4, BY_HAND_AGAIN)


def test_a_page_that_a_later_one_took_in_can_be_sent_after_all() -> None:
    """When the later one reaches nobody, the last that was left out is due; without an outage there is none."""
    settled = judge_levels(LEVELS, INCIDENT, {}, (), at(12)).settled
    back = fallen_back(settled, at(13))
    assert back is not None
    assert (back.number, back.state, back.due_at) == (3, LevelState.PENDING, at(13))
    assert fallen_back(settled_until(12), at(13)) is None


@pytest.mark.parametrize("minute", [0, 3])
def test_when_automation_gives_up_that_it_was_at_work_stops_nobody(minute: int) -> None:
    """A level `unless: responded` is due at once, whether it was still to come or had been left to automation."""
    policy = Escalation.model_validate([{"after": "2m", "unless": "responded", "page": ["l1"]}])
    taken = replace(INCIDENT, responded_at=at(0))
    levels = freeze_levels("i1", policy, NOON)
    levels = [*judge_levels(levels, taken, {}, (), at(minute)).settled] or levels
    level = handed_over(levels, at(minute))
    assert level is not None
    assert (level.due_at, level.unless, level.state) == (at(minute), "acknowledged", LevelState.PENDING)
    assert judge_levels([level], taken, {}, (), at(minute)).fired
    assert handed_over([*judge_levels([level], taken, {}, (), at(minute)).settled], at(minute)) is None


def test_a_level_that_is_late_is_handed_over_late() -> None:
    """Its own time is kept, so that the page tells how late it is."""
    level = handed_over(LEVELS, at(7))
    assert level is not None
    assert (level.number, level.due_at) == (1, at(2))


def test_what_an_acknowledgement_had_stopped_comes_back() -> None:
    """When it expires, the levels skipped for it are pending again and the first is due; others stay as they are."""
    levels = settled_until(12, replace(INCIDENT, acknowledged_at=at(1)))
    (back,) = rearmed(levels, heard(levels, at(1)), at(40))
    assert (back.number, back.state, back.due_at, back.reason) == (3, LevelState.PENDING, at(40), None)


def test_what_comes_back_comes_in_steps() -> None:
    """Levels that an acknowledgement had stopped are as far apart as they were, not one alarm."""
    policy = Escalation.model_validate(
        [{"after": f"{minute}m", "unless": "acknowledged", "page": ["l2"]} for minute in (2, 5, 10)]
    )
    taken = replace(INCIDENT, acknowledged_at=at(1))
    levels = judge_levels(freeze_levels("i1", policy, NOON), taken, {}, (), at(12)).settled
    assert [level.due_at for level in rearmed(levels, heard([*levels], at(1)), at(40))] == [
        at(40),
        at(43),
        at(48),
    ]


def test_whoever_took_it_is_asked_first_and_the_others_after_it() -> None:
    """The last that had paged by then, not one that was told since; what was stopped is as far from it as it was."""
    policy = Escalation.model_validate(
        [
            {"after": "0m", "page": ["l1"]},
            {"after": "2m", "page": ["l2"]},
            {"after": "5m", "unless": "acknowledged", "page": ["l3"]},
            {"after": "6m", "page": ["l4"]},
            {"after": "9m", "unless": "acknowledged", "notify": ["l5"]},
        ]
    )
    taken, levels = replace(INCIDENT, acknowledged_at=at(3)), {}
    for level in freeze_levels("i1", policy, NOON):
        levels[level.number] = level
    for minute in range(12):
        incident = taken if minute >= 3 else INCIDENT
        for level in judge_levels([*levels.values()], incident, {}, (), at(minute)).settled:
            levels[level.number] = level
    back = rearmed([*levels.values()], heard([*levels.values()], at(3)), at(33))
    assert [(level.number, level.due_at, level.reason) for level in back] == [
        (1, at(33), AGAIN),
        (2, at(36), None),
        (4, at(40), None),
    ]


def test_a_stopped_level_that_was_due_before_the_one_that_asks_is_due_with_it() -> None:
    """None is due in the past, which would be told as late."""
    policy = Escalation.model_validate(
        [{"after": "1m", "unless": "acknowledged", "page": ["l1"]}, {"after": "2m", "page": ["l2"]}]
    )
    first, second = freeze_levels("i1", policy, NOON)
    (stopped,) = judge_levels([first], replace(INCIDENT, acknowledged_at=at(0)), {}, (), at(1)).settled
    (fired,) = judge_levels([second], INCIDENT, {}, (), at(2)).settled
    assert [level.due_at for level in rearmed([stopped, fired], heard([stopped, fired], at(3)), at(33))] == [
        at(33),
        at(33),
    ]


def test_when_nobody_was_paged_before_whoever_was_paged_first_is_asked() -> None:
    """When the acknowledgement had stopped no page, nobody else would hear that it has expired."""
    levels = judge_levels(LEVELS[1:2], INCIDENT, {}, (), at(2)).settled
    (back,) = rearmed([*levels], heard([*levels], at(1)), at(33))
    assert (back.number, back.due_at, back.reason) == (1, at(33), AGAIN)
    assert rearmed([], {}, at(33)) == []


def test_who_was_never_paged_is_paged() -> None:
    """Taken before its first page went out, and then forgotten: the level that an answer had stopped asks after all."""
    policy = Escalation.model_validate([{"after": "1m", "unless": "responded", "page": ["l2"]}])
    taken = replace(INCIDENT, acknowledged_at=at(0), responded_at=at(0))
    levels = judge_levels(freeze_levels("i1", policy, NOON), taken, {}, (), at(1)).settled
    (back,) = rearmed(levels, heard([*levels], at(0)), at(33))
    assert (back.number, back.state, back.due_at) == (0, LevelState.PENDING, at(33))
    assert judge_levels([back], replace(taken, acknowledged_at=None), {}, (), at(33)).fired


def test_a_level_that_was_called_by_hand_is_not_told_once_more_at_its_time() -> None:
    """Whom it pages has heard; it takes in no other, and an answer that stops it is the reason all the same."""
    by_hand = judge_levels(LEVELS[:5], INCIDENT, {}, {4}, at(12))
    assert [(one.level.number, one.page) for one in by_hand.fired] == [
        (0, True),
        (1, False),
        (2, True),
        (3, True),
    ]
    assert (by_hand.settled[4].state, by_hand.settled[4].reason) == (LevelState.SKIPPED, HEARD)
    over = replace(INCIDENT, state=IncidentState.RESOLVED, resolved_at=at(9))
    assert judge_levels(LEVELS[4:5], over, {}, {4}, at(12)).settled[0].reason == "resolved"
    again = replace(LEVELS[4], reason=AGAIN)
    assert judge_levels([again], INCIDENT, {}, {4}, at(12)).fired
    gone = outdated(by_hand.settled, at(13))
    assert (gone[-1].number, gone[-1].reason) == (4, OUTDATED)


def test_what_was_called_by_hand_while_somebody_had_it_comes_when_nobody_has() -> None:
    """Its own time is over and nothing has come of the call; whoever was called before they took it has heard."""
    levels = judge_levels(LEVELS[1:5], replace(INCIDENT, acknowledged_at=at(1)), {}, {1, 4}, at(12)).settled
    back = rearmed(levels, {1: Heard(at(0), None)}, at(31))
    assert [(one.number, one.due_at, one.reason) for one in back] == [
        (1, at(31), AGAIN),
        (3, at(34), None),
        (4, at(31), None),
    ]


def page(number: object, state: MessageState, because: str, minute: float = 3) -> Message:
    """A page of a level, made then."""
    return Message(
        id=f"m{number}{state}{minute}",
        key=f"{number} {state} {minute}",
        kind=MessageKind.PAGE,
        channel=Channel.EMAIL,
        address={},
        contact="c",
        party=f"level {number}",
        created_at=at(minute),
        state=state,
        settled_at=None if state is MessageState.PENDING else at(minute),
        facts={"level": number, "because": because},
    )


def test_whom_a_call_has_reached_is_told_by_its_pages() -> None:
    """Not by those of a level's own time, nor of a call before; what is on its way may still reach somebody."""
    pages = [
        page(1, MessageState.FAILED, BY_HAND),
        page(2, MessageState.SENT, BY_HAND_AGAIN),
        page(3, MessageState.PENDING, BY_HAND),
        page(4, MessageState.SENT, ""),
        page(5, MessageState.SENT, BY_HAND, minute=1),
        page(None, MessageState.SENT, BY_HAND),
    ]
    assert called_by_hand(pages, at(2)) == {1: False, 2: True, 3: True}


def test_what_was_called_in_vain_keeps_its_own_time_if_that_is_the_sooner() -> None:
    """When none has reached anybody it begins anew with the others, or comes at its own time before that."""
    first, later = judge_levels([LEVELS[1]], INCIDENT, {}, (), at(2)).settled[0], LEVELS[4]

    def anew(minute: float) -> list[tuple[int, datetime | None]]:
        levels = started_over([first, later], {4: at(10)}, {4}, at(minute), timedelta(minutes=5))
        return [(one.number, one.due_at) for one in levels]

    assert anew(8) == [(1, at(8))]
    assert anew(3) == [(1, at(3)), (4, at(8))]


def test_a_level_whose_own_time_comes_before_the_round_waits_for_that() -> None:
    """By its time or by its breach, where that is minutes before; a later one is brought forward."""
    tried = [replace(LEVELS[each], state=LevelState.FIRED, settled_at=at(1)) for each in (1, 4, 5)]

    def anew(minute: float) -> list[tuple[int, datetime | None, str | None]]:
        levels = started_over(tried, {4: at(10), 5: at(30)}, (), at(minute), timedelta(minutes=5))
        return [(one.number, one.due_at, one.reason) for one in levels]

    assert anew(3) == [(1, at(3), ANEW), (4, at(8), ANEW), (5, at(13), ANEW)]
    assert anew(14) == [(1, at(14), ANEW), (4, at(19), ANEW), (5, at(24), ANEW)]
    assert anew(35) == [(1, at(35), ANEW), (4, at(10), None), (5, None, None)]
