"""Check: whether what was read means something together. Names exist, expressions compile and read what is there.

A mistake here is one that would otherwise show itself in the middle of an incident.
"""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from runbookd.content.calls import Calls
from runbookd.content.check_playbooks import playbook_problems
from runbookd.content.check_rules import rule_problems
from runbookd.content.read import Draft
from runbookd.errors import Problem
from runbookd.language.fuzzy import did_you_mean
from runbookd.ports import Catalogue


def check(draft: Draft, catalogue: Catalogue) -> tuple[list[Problem], list[Problem]]:
    """Return the problems (those of reading included) and the warnings of a draft, in no order."""
    calls = Calls(draft, catalogue)
    problems = list(draft.problems)
    problems.extend(_priorities(draft))
    problems.extend(_calendars(draft))
    for rule in draft.rules:
        problems.extend(rule_problems(rule, draft))
    for playbook in draft.playbooks.values():
        problems.extend(playbook_problems(playbook, draft, catalogue))
    problems.extend(calls.too_deep())
    problems.extend(calls.nothing_to_undo())
    problems.extend(calls.holds_lost())
    return problems, list(calls.warnings())


def _priorities(draft: Draft) -> Iterator[Problem]:
    known = draft.names["calendar"]
    for located in draft.priorities.values():
        calendar = located.item.calendar
        if calendar is not None and calendar not in known:
            message = f"there is no calendar {calendar!r}.{did_you_mean(calendar, known)}"
            yield located.problem(message, "calendar")


def _calendars(draft: Draft) -> Iterator[Problem]:
    for located in draft.calendars.values():
        calendar = located.item
        try:
            ZoneInfo(calendar.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            message = f"there is no time zone {calendar.timezone!r}; write an IANA name such as America/New_York or UTC"
            yield located.problem(message, "timezone")
        if calendar.from_ >= calendar.to:
            yield located.problem("`to` must be later than `from`, on the same day", "to")
