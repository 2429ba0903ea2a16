"""Looks: when an incident that automation could not help is looked at again, while its alert still fires.

What a run sees may be otherwise a minute later: a release that cannot start has not failed before its deadline. So a
round of remedies that changed nothing is followed by another, each pause twice the one before. Rounds are counted by
the clock and not by the alerts: those of the alerts that join within a pause are one with the round before it. A round
that changed something is followed by none: how often that may be is the rule's limits to say.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from runbookd.model.reasons import Guard, RunReason
from runbookd.model.run import Run, RunState, StepRecord, StepState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from runbookd.model.alert import Alert

FIRST_PAUSE: Final = timedelta(minutes=1)
"""How long after a round that changed nothing the next one begins; each pause is twice the one before."""
LONGEST_PAUSE: Final = timedelta(hours=1)
"""No pause is longer."""
_MOST_DOUBLED: Final = 6
"""Doubled this often, the pause is the longest."""


def round_of(run: Run, rungs: int) -> int:
    """Return which round of its alert's remedies a run belongs to: rungs count on when the first is begun again."""
    return run.rung // max(rungs, 1)


def next_rung(past: Iterable[Run], rungs: int) -> int:
    """Return the number of the rung that begins the next round; `past` are the runs of the alert under the rule."""
    return max((round_of(run, rungs) + 1 for run in past), default=0) * rungs


def next_look(past: Sequence[Run], rested: datetime | None, rungs: int) -> datetime | None:
    """Say when to look again; None when what was last done is not followed by another look.

    `past` are the incident's runs under its rule, newest first; `rested` is when the rule's pause is over. A look
    follows a round that changed nothing and did not end well, and a remedy that the rule's cooldown refused. Whatever
    else refuses a first remedy is for people; after a round that changed nothing it only makes it wait for the next.
    """
    if not past or any(not run.state.ended for run in past):
        return None
    last = past[0]
    if last.state is RunState.REFUSED and last.reason == Guard.COOLDOWN:
        return rested
    return due_after(_in_vain(past, rungs)) if _without_end(last) else None


def due_after(rounds: Iterable[tuple[datetime, datetime]]) -> datetime | None:
    """Return when the pause is over; None when there was no round. `rounds` are when each began and ended.

    One that begins before the pause is over, as for an alert that joins, neither makes it longer nor doubles the next.
    """
    count, due = 0, None
    for began, ended in sorted(rounds):
        if due is None or began >= due:
            due = ended + min(FIRST_PAUSE * (1 << min(count, _MOST_DOUBLED)), LONGEST_PAUSE)
            count += 1
    return due


def _without_end(run: Run) -> bool:
    """Whether a run came to nothing: neither to a good end, nor to one that a person, a pause or a doubt made."""
    ends = {RunState.FAILED, RunState.UNVERIFIED, RunState.REFUSED}
    return run.state in ends and run.reason != RunReason.IN_DOUBT


def _in_vain(past: Sequence[Run], rungs: int) -> list[tuple[datetime, datetime]]:
    """Say when the newest rounds in a row that changed nothing began and ended; what was refused at once is none."""

    def which(run: Run) -> tuple[str | None, int]:
        return run.alert_id, round_of(run, rungs)

    acted = next((which(run) for run in past if run.mutated), None)
    if which(past[0]) == acted:
        return []
    begun: dict[tuple[str | None, int], list[Run]] = {}
    for run in takewhile(lambda run: not run.mutated, past):
        if which(run) != acted and (run.rung or run.state is not RunState.REFUSED):
            begun.setdefault(which(run), []).append(run)
    return [
        (min(run.created_at for run in runs), max(run.ended_at or run.created_at for run in runs))
        for runs in begun.values()
    ]


def by_turn(alerts: Iterable[Alert], past: Iterable[Run]) -> list[Alert]:
    """Return the alerts that still fire, those first that were never looked at, then those that wait longest for it.

    `past` as above. One for which something was changed already is left out.
    """
    acted: set[str | None] = set()
    looked: dict[str | None, datetime] = {}
    for run in past:
        if run.mutated:
            acted.add(run.alert_id)
        if run.state is not RunState.REFUSED:
            looked.setdefault(run.alert_id, run.created_at)
    firing = [alert for alert in alerts if alert.resolved_at is None and alert.id not in acted]
    return sorted(firing, key=lambda alert: (alert.id in looked, looked.get(alert.id, alert.first_seen)))


def same_ends(run: Run, past: Iterable[Run]) -> list[Run]:
    """Return the other runs of the same playbook that ended as this one did, newest first as they are given."""
    end = (run.playbook, run.mode, run.state, run.reason)
    return [
        one for one in past if one.id != run.id and (one.playbook, one.mode, one.state, one.reason) == end
    ]


def failed_at(rows: Iterable[StepRecord]) -> set[str]:
    """Return where a run failed: the steps and checks, whichever of its looks a check failed at."""
    return {row.path.partition("@")[0] for row in rows if row.state is StepState.FAILED}
