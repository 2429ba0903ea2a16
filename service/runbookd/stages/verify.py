"""Verify: is the trouble gone? Not whether the calls succeeded, but whether the world is as it should be again.

Every check is looked at again and again, each look a row of the journal, until it has held long enough or its
time is up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbookd.language.cel import compile_expression
from runbookd.model.durations import format_duration
from runbookd.model.reasons import RunReason, StepReason
from runbookd.model.run import StepRecord, StepState
from runbookd.stages.journal import Actions, Journal
from runbookd.stages.settling import Wanted
from runbookd.stages.standing import PENDING, STOPPED, Status, status_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from runbookd.language.cel import Scope
    from runbookd.model.playbook import Check


def verify(journal: Journal, path: str, checks: Sequence[Check], scope: Scope, actions: Actions) -> Status:
    """Bring every check one move on; verified when all have passed, not verified as soon as one's time is up."""
    begun = journal.last(path)
    if begun is None:
        if journal.stopping:
            return STOPPED
        begun = journal.note(journal.row(path, StepState.WAITING))
    if begun.state is not StepState.WAITING:
        return status_of(begun)
    statuses = [
        _check(journal, f"{path}/{number}", check, begun.started_at, (scope, actions))
        for number, check in enumerate(checks)
    ]
    stopped = next((status for status in statuses if status.stopped), None)
    if stopped is not None:
        return stopped
    failed = next((status for status in statuses if status.bad), None)
    if failed is not None:
        ended = replace(
            begun,
            state=StepState.FAILED,
            reason=RunReason.NOT_VERIFIED,
            message=failed.message,
            ended_at=journal.now,
        )
        return status_of(journal.note(ended))
    if any(status.pending for status in statuses):
        return PENDING
    return status_of(journal.note(replace(begun, state=StepState.SUCCEEDED, ended_at=journal.now)))


def _check(journal: Journal, path: str, check: Check, since: datetime, seen: tuple[Scope, Actions]) -> Status:
    """Bring one check one move on."""
    ended = journal.last(path)
    if ended is not None:
        return status_of(ended)
    if check.check == "alert_resolved":
        return _alert(journal, path, check, since, seen[0])
    looks = _looks(journal, path)
    if looks and looks[-1].ended_at is None:
        if _look(journal, path, len(looks), check, seen).pending:
            return PENDING
        looks = _looks(journal, path)
    if looks and _held(looks, check):
        return status_of(journal.note(journal.row(path, StepState.SUCCEEDED)))
    if journal.now >= since + check.within:
        return _late(journal, path, check, looks[-1].message or "" if looks else "")
    if journal.stopping:
        return STOPPED
    next_look = looks[-1].started_at + check.every if looks else journal.now
    if journal.now < next_look:
        journal.wake(min(next_look, since + check.within))
        return PENDING
    if not _look(journal, path, len(looks) + 1, check, seen).pending:  # it could not even be begun
        journal.wake(min(journal.now + check.every, since + check.within))
    return PENDING


def _look(journal: Journal, path: str, number: int, check: Check, seen: tuple[Scope, Actions]) -> Status:
    """Look for the given time, counted from 1."""
    scope, actions = seen
    wanted = Wanted(
        action=check.action or "",
        parameters=check.with_,
        timeout=check.timeout,
        assertion=check.assert_,
        message=check.message,
    )
    return journal.call(f"{path}@{number}", wanted, scope, actions)


def _alert(journal: Journal, path: str, check: Check, since: datetime, scope: Scope) -> Status:
    """The alert itself. Nobody is asked: its resolve wakes the run. A run without an alert has none to wait for."""
    state = compile_expression("alert.status").evaluate(scope)
    if state == "":
        return status_of(journal.note(journal.row(path, StepState.SKIPPED, StepReason.NO_ALERT)))
    if state == "resolved":
        return status_of(journal.note(journal.row(path, StepState.SUCCEEDED)))
    if journal.now >= since + check.within:
        return _late(journal, path, check, "the alert still fires")
    if journal.stopping:
        return STOPPED
    journal.wake(since + check.within)
    return PENDING


def _late(journal: Journal, path: str, check: Check, last: str) -> Status:
    name = check.check or check.action
    text = f"{name} did not hold within {format_duration(check.within)}{': ' if last else ''}{last}"
    return status_of(journal.note(journal.row(path, StepState.FAILED, None, text)))


def _looks(journal: Journal, path: str) -> list[StepRecord]:
    found: list[StepRecord] = []
    while (row := journal.last(f"{path}@{len(found) + 1}")) is not None:
        found.append(row)
    return found


def _held(looks: Sequence[StepRecord], check: Check) -> bool:
    """Whether the unbroken run of good looks at the end spans `for`."""
    if looks[-1].state is not StepState.SUCCEEDED:
        return False
    first = looks[-1]
    for look in reversed(looks):
        if look.state is not StepState.SUCCEEDED:
            break
        first = look
    assert looks[-1].ended_at is not None  # noqa: S101 - it succeeded
    return looks[-1].ended_at - first.started_at >= check.for_
