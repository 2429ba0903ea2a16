"""What can be wrong with a schedule beyond its shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runbookd.content.check_calendars import zone_mistake
from runbookd.content.check_rules import RUNNING
from runbookd.content.expressions import View, templates
from runbookd.content.messages import no_such
from runbookd.content.params import playbook_inputs
from runbookd.content.read import Draft, Located
from runbookd.errors import LanguageError, Problem
from runbookd.language.cron import parse_cron
from runbookd.model.playbook import Playbook
from runbookd.model.schedule import Schedule
from runbookd.stages.schedule import QUIET


def schedule_problems(located: Located[Schedule], draft: Draft) -> Iterator[Problem]:
    """Find times that never come, names that stand for nothing, and inputs that fit none of its playbooks."""
    schedule = located.item
    mistake = zone_mistake(schedule.timezone)
    if mistake:
        yield located.problem(mistake, "timezone")
    try:
        parse_cron(schedule.cron, "UTC" if mistake else schedule.timezone)
    except LanguageError as error:
        yield located.problem_inside(str(error), ("cron",), error.line, error.column)
    yield from _playbooks(located, draft)
    yield from _priority(located, draft)


def _playbooks(located: Located[Schedule], draft: Draft) -> Iterator[Problem]:
    """Hold its playbooks against those there are, and its inputs against theirs."""
    schedule = located.item
    view = View(where="a schedule's `with`", names=RUNNING, vars=draft.names["var"], secrets=True)
    yield from templates(located, ("with",), schedule.with_, view)
    known = draft.names["playbook"]
    for index, name in enumerate(schedule.run):
        if name not in known:
            yield located.problem(no_such("playbook", name, known), "run", index)
        elif name in schedule.run[:index]:
            yield located.problem(f"{name!r} stands in the list already", "run", index)
    run = {
        name: draft.playbooks[name].item for name in dict.fromkeys(schedule.run) if name in draft.playbooks
    }
    yield from _inputs(located, run, complete=len(run) == len(schedule.run))


def _inputs(located: Located[Schedule], run: Mapping[str, Playbook], *, complete: bool) -> Iterator[Problem]:
    """Hold each playbook against the inputs it declares; with `complete`, find those that none does."""
    given = located.item.with_
    declared = {name for playbook in run.values() for name in playbook.inputs}
    for playbook in run.values():
        own = {name: value for name, value in given.items() if name in playbook.inputs}
        yield from playbook_inputs(located, (), own, playbook)
    for name in given:
        if complete and name not in declared:
            there_are = ", ".join(sorted(declared)) or "none"
            message = f"no playbook of this schedule has an input {name!r}; their inputs are: {there_are}"
            yield located.problem(message, "with", name, at_key=True)


def _priority(located: Located[Schedule], draft: Draft) -> Iterator[Problem]:
    known = {name: place for name, place in draft.names["priority"].items() if name != QUIET}
    named = located.item.on_failure
    if named is not None and named.priority not in known:
        yield located.problem(no_such("priority", named.priority, known), "on_failure", "priority")
    elif not known:
        message = "there are no `priorities`, so a run that fails could be told to nobody; write one"
        yield located.problem(message, "name")
