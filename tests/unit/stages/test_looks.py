"""When an incident whose remedies came to nothing is looked at again, for whom, and what people know of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbookd.model.action import Mode
from runbookd.model.alert import Alert
from runbookd.model.event import Event
from runbookd.model.reasons import Guard, RunReason
from runbookd.model.run import Run, RunState, StepRecord, StepState
from runbookd.stages.looks import by_turn, failed_at, next_look, next_rung, same_ends

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATER = NOW + 7 * MINUTE


def idle(rung: int = 0, **fields: object) -> Run:
    """A run that failed now and changed nothing."""
    run = Run(
        id=f"run-{rung}",
        playbook="p",
        plan_hash="",
        mode=Mode.ACT,
        created_at=NOW,
        deadline_at=LATER,
        rung=rung,
        alert_id="a",
        state=RunState.FAILED,
        reason=RunReason.STEP_FAILED,
        ended_at=NOW,
    )
    return replace(run, **fields)  # type: ignore[arg-type]


def after(rung: int, minutes: int, **fields: object) -> Run:
    """Such a run, so many minutes later."""
    at = NOW + minutes * MINUTE
    return idle(rung, created_at=at, ended_at=at, **fields)


JOINING = [(timedelta(seconds=7 * number), name) for number, name in reversed(list(enumerate("abcdefgh")))]
"""When each of eight alerts had its first look, newest first."""


def refused(rung: int, reason: Guard) -> Run:
    """A run that was refused now."""
    return idle(rung, state=RunState.REFUSED, reason=reason.value)


@pytest.mark.parametrize(
    ("rounds", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (99, 60)]
)
def test_each_pause_is_twice_the_one_before_up_to_an_hour(rounds: int, minutes: int) -> None:
    """It counts from the end of the last run."""
    past = [after(rung, rung * 60) for rung in reversed(range(rounds))]
    assert next_look(past, LATER, 1) == NOW + ((rounds - 1) * 60 + minutes) * MINUTE


SEEN = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3600), st.integers(0, 300)), min_size=1)


@settings(deadline=None)
@given(seen=SEEN)
def test_no_pause_is_longer_than_that_of_one_alert(seen: list[tuple[str, int, int]]) -> None:
    """Whatever alerts take turns and join: the next look is due by the pause after so many waited for, and no later."""
    past: list[Run] = []
    now, waited, due = NOW, 0, NOW
    for number, (name, until, lasts) in enumerate(seen):
        began, now = now + timedelta(seconds=until), now + timedelta(seconds=until + lasts)
        rung = sum(run.alert_id == name for run in past)
        past.insert(0, idle(rung, id=f"{number}", alert_id=name, created_at=began, ended_at=now))
        after_wait = began >= due
        waited += after_wait
        at = next_look(past, LATER, 1)
        assert at is not None
        documented = min(MINUTE * 2 ** (waited - 1), 60 * MINUTE)
        assert at <= now + documented
        assert at == (now + documented if after_wait else due)
        due = at


def test_joining_alerts_are_one_round() -> None:
    """Eight first looks within a minute are followed by another when the first one's pause is over."""
    past = [idle(id=name, alert_id=name, created_at=NOW + at, ended_at=NOW + at) for at, name in JOINING]
    assert next_look(past, None, 1) == NOW + MINUTE
    late = idle(1, alert_id="a", created_at=NOW + MINUTE, ended_at=NOW + MINUTE)
    assert next_look([late, *past], None, 1) == NOW + 3 * MINUTE


def test_a_round_is_all_the_rungs_of_a_rule() -> None:
    """Two rungs in vain are one round, and so is one that ended at its first rung."""
    assert next_look([idle(1), idle(0)], None, 2) == NOW + MINUTE
    assert next_look([after(2, 1), idle(1), idle(0)], None, 2) == NOW + 3 * MINUTE


def test_nothing_is_looked_at_again_that_nobody_looked_at() -> None:
    """Without a run there is no second one, nor while one is under way."""
    assert next_look([], None, 1) is None
    assert next_look([idle(1), idle(0, state=RunState.RUNNING, ended_at=None)], None, 1) is None


@pytest.mark.parametrize(
    "end",
    [
        {"state": RunState.VERIFIED},
        {"state": RunState.SUCCEEDED},
        {"state": RunState.OBSERVED},
        {"state": RunState.CANCELLED},
        {"reason": RunReason.IN_DOUBT},
        {"mutated": True},
    ],
)
def test_a_good_end_a_stop_a_doubt_and_a_change_are_not_looked_at_again(end: dict[str, object]) -> None:
    """Either nobody needs it, or a person decides, or the limits of the rule."""
    assert next_look([idle(**end)], None, 1) is None  # type: ignore[arg-type]


def test_a_change_of_any_rung_is_one_of_the_round() -> None:
    """A round whose first rung changed something is not begun again when its second did not."""
    assert next_look([idle(1), idle(0, mutated=True)], None, 2) is None


def test_the_pauses_begin_anew_after_a_round_that_changed_something() -> None:
    """What came before it is over."""
    past = [after(0, 9, alert_id="b"), after(2, 8), after(1, 4, mutated=True), idle(0)]
    assert next_look(past, None, 1) == NOW + 11 * MINUTE


def test_what_the_cooldown_refused_is_planned_when_the_rest_is_over() -> None:
    """In a first round and in a later one."""
    assert next_look([refused(0, Guard.COOLDOWN)], LATER, 1) == LATER
    assert next_look([refused(1, Guard.COOLDOWN), idle()], LATER, 1) == LATER


def test_another_refusal_ends_nothing_but_a_first_remedy() -> None:
    """A first one is for people, and ends no looks there are; a later rung or round counts as one more look."""
    assert next_look([refused(0, Guard.BUDGET), idle(alert_id="b")], LATER, 1) == NOW + MINUTE
    assert next_look([refused(0, Guard.RUN_LIMIT)], LATER, 1) is None
    assert next_look([refused(1, Guard.BUDGET), idle(0)], LATER, 2) == NOW + MINUTE
    assert next_look([refused(1, Guard.BUDGET), refused(0, Guard.COOLDOWN)], LATER, 1) == NOW + MINUTE


def test_rungs_count_on_when_the_first_is_begun_again() -> None:
    """The next round begins at a multiple of the rungs there are; without a run it is the first."""
    assert next_rung([], 2) == 0
    assert next_rung([idle(0)], 2) == 2
    assert next_rung([idle(3), idle(2), idle(0)], 2) == 4
    assert next_rung([idle(1)], 3) == 3


def firing(name: str, minute: int) -> Alert:
    """An alert that fires since a minute."""
    event = Event(source="s", name="Down", status="firing", fingerprint=name)  # type: ignore[arg-type]
    since = NOW + minute * MINUTE
    return Alert(
        id=name,
        source="s",
        fingerprint=name,
        starts_at=since,
        first_seen=since,
        last_seen=since,
        event=event,
    )


def test_whoever_waits_longest_is_first() -> None:
    """Alerts without a look come before those with one; ended ones and those already acted for are left out."""
    alerts = [firing(name, minute) for minute, name in enumerate("abcdef")]
    alerts[2] = replace(alerts[2], resolved_at=NOW)
    past = [
        replace(refused(0, Guard.COOLDOWN), alert_id="e", created_at=NOW + 9 * MINUTE),
        idle(1, alert_id="b", created_at=NOW + 8 * MINUTE),
        idle(0, alert_id="d", mutated=True),
        idle(0, alert_id="a", created_at=NOW + 5 * MINUTE),
        idle(0, alert_id="b", created_at=NOW),
    ]
    assert [alert.id for alert in by_turn(alerts, past)] == ["e", "f", "a", "b"]


def test_an_end_is_known_when_one_before_was_the_same() -> None:
    """The playbook, the mode, the state and the reason are; a run is not its own past."""
    run = idle(1)
    assert same_ends(run, [run, idle(0)]) == [idle(0)]
    others: list[dict[str, object]] = [
        {"playbook": "q"},
        {"mode": Mode.OBSERVE},
        {"state": RunState.UNVERIFIED},
        {"reason": RunReason.HANDED_OVER},
    ]
    assert same_ends(run, [idle(0, **other) for other in others]) == []


def test_a_check_fails_at_one_place_however_often_it_is_made() -> None:
    """Steps and checks that failed are told by their paths, without the number of the look."""
    rows = [
        StepRecord(run_id="r", path=path, attempt=1, state=state, started_at=NOW, epoch=1)
        for path, state in [
            ("steps/a", StepState.SUCCEEDED),
            ("steps/b", StepState.FAILED),
            ("verify/0@7", StepState.FAILED),
            ("verify/0", StepState.FAILED),
        ]
    ]
    assert failed_at(rows) == {"steps/b", "verify/0"}
