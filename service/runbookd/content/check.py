"""Check: whether what was read means something together. Names exist, expressions compile and read what is there.

A mistake here is one that would otherwise show itself in the middle of an incident.
"""

from __future__ import annotations

from runbookd.content.calls import Calls
from runbookd.content.check_calendars import calendar_problems
from runbookd.content.check_messages import message_problems
from runbookd.content.check_people import people_problems, people_warnings
from runbookd.content.check_playbooks import playbook_problems
from runbookd.content.check_rules import rule_problems
from runbookd.content.check_schedules import schedule_problems
from runbookd.content.read import Draft
from runbookd.errors import Problem
from runbookd.ports import Catalogue


def check(draft: Draft, catalogue: Catalogue) -> tuple[list[Problem], list[Problem]]:
    """Return the problems (those of reading included) and the warnings of a draft, in no order."""
    calls = Calls(draft, catalogue)
    problems = list(draft.problems)
    problems.extend(calendar_problems(draft))
    problems.extend(people_problems(draft))
    problems.extend(message_problems(draft))
    for rule in draft.rules:
        problems.extend(rule_problems(rule, draft))
    for schedule in draft.schedules.values():
        problems.extend(schedule_problems(schedule, draft))
    for playbook in draft.playbooks.values():
        problems.extend(playbook_problems(playbook, draft, catalogue))
    problems.extend(calls.too_deep())
    problems.extend(calls.nothing_to_undo())
    problems.extend(calls.holds_lost())
    return problems, [*calls.warnings(), *people_warnings(draft)]
