"""What can be wrong with who is told, and when: priorities, escalations and roles."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

from runbookd.content.messages import no_such, sentence
from runbookd.content.read import Draft, Located, texts
from runbookd.errors import Problem
from runbookd.model.durations import format_duration
from runbookd.model.people import Escalation, Level, Reach, Role
from runbookd.model.rule import Priority
from runbookd.stages.schedule import QUIET

_REACH: TypeAdapter[str] = TypeAdapter(Reach)
_SECRET = re.compile(r"\$\{\s*secret\.[A-Za-z_][A-Za-z0-9_]*\s*\}")
_CLOCKS: Mapping[str, str] = {
    "acknowledge": "acknowledge_within",
    "respond": "respond_within",
    "resolve": "resolve_within",
    "update": "update_every",
}
"""The key of a priority that sets each clock."""

_AGAIN = ("update_every", "ack_expires")
_SHORTEST = timedelta(minutes=1)
"""Nothing that comes again and again comes more often."""

_NOBODYS = "statuspage"
"""What can be told, and not called."""

_RINGS = "this role has only PagerDuty, so this notice rings there; give it a `slack`, `email` or `webhook` as well"


def people_problems(draft: Draft) -> Iterator[Problem]:
    """Find names that stand for nobody, levels out of order, and secrets where people would read them."""
    for priority in draft.priorities.values():
        yield from _priority(priority, draft)
    for escalation in draft.escalations.values():
        yield from _order(escalation)
        for index, level in enumerate(escalation.item.root):
            yield from _level(escalation, index, level, draft)
    for name, role in draft.roles.items():
        yield from _role(name, role, draft)


def people_warnings(draft: Draft) -> Iterator[Problem]:
    """Find escalations for nobody, levels that never come, pages about what is over, and notices that ring."""
    yield from _loud_notices(draft)
    used = _priorities_of(draft)
    for name, escalation in draft.escalations.items():
        if name not in used:
            yield escalation.problem(f"escalation {name!r} is named by no priority and no rule", at_key=True)
        for index, level in enumerate(escalation.item.root):
            if level.page and level.unless is None and level.after:
                message = "this pages people even if it is over by then; write `unless: resolved`, or `acknowledged`"
                yield escalation.problem(message, index, "page", at_key=True)
            for priority in sorted(used[name] & draft.priorities.keys()) if level.on_breach else ():
                clock = _CLOCKS[str(level.on_breach)]
                if getattr(draft.priorities[priority].item, clock) is None:
                    message = f"priority {priority} has no `{clock}`, so for it this level never comes"
                    yield escalation.problem(message, index, "on_breach")


def _priorities_of(draft: Draft) -> Mapping[str, set[str]]:
    """Return the priorities that each escalation is used for: those that name it, and those of rules that do."""
    used: defaultdict[str, set[str]] = defaultdict(set)
    for name, priority in draft.priorities.items():
        if priority.item.escalation is not None:
            used[priority.item.escalation].add(name)
        if priority.item.many is not None:
            used[priority.item.many.escalation].add(name)
    for rule in draft.rules:
        if rule.item.escalation is not None:
            used[rule.item.escalation].add(rule.item.priority)
    return used


def _priority(located: Located[Priority], draft: Draft) -> Iterator[Problem]:
    priority = located.item
    if located.path[-1] == QUIET:
        message = f"{QUIET!r} is what a schedule's incident has while all is well; choose another name"
        yield located.problem(message, at_key=True)
    for kind in ("calendar", "escalation"):
        name = getattr(priority, kind)
        if name is not None and name not in draft.names[kind]:
            yield located.problem(no_such(kind, name, draft.names[kind]), kind)
    many = priority.many
    if many is not None and many.escalation not in draft.names["escalation"]:
        message = no_such("escalation", many.escalation, draft.names["escalation"])
        yield located.problem(message, "many", "escalation")
    for key in _AGAIN:
        length = getattr(priority, key)
        if length is not None and length < _SHORTEST:
            yield located.problem(f"must be at least {format_duration(_SHORTEST)}", key)
    for index, reach in enumerate(priority.announce):
        try:
            _REACH.validate_python(reach)
        except ValidationError as error:
            yield located.problem(sentence(error, reach), "announce", index)
            continue
        if mistake := _reach_mistake(reach, draft):
            yield located.problem(mistake, "announce", index)


def _order(located: Located[Escalation]) -> Iterator[Problem]:
    latest = timedelta()
    for index, level in enumerate(located.item.root):
        if level.after is not None and level.after < latest:
            message = (
                f"levels stand in the order they come, and one above comes after {format_duration(latest)}"
            )
            yield located.problem(message, index, "after")
        latest = max(latest, level.after or latest)


def _level(located: Located[Escalation], index: int, level: Level, draft: Draft) -> Iterator[Problem]:
    for key, reaches in (("page", level.page), ("notify", level.notify)):
        for place, reach in enumerate(reaches):
            if mistake := _reach_mistake(reach, draft):
                yield located.problem(mistake, index, key, place)
            elif key == "page" and reach == _NOBODYS:
                yield located.problem("nobody reads it at once; `notify` it instead", index, key, place)


def _reach_mistake(reach: str, draft: Draft) -> str:
    """Say why a reach, which is well-formed, leads to nobody; empty when it leads to somebody."""
    if ":" in reach or reach == _NOBODYS:
        return ""
    name, _, place = reach.partition(".")
    if name not in draft.names["role"]:
        return no_such("role", name, draft.names["role"])
    role = draft.roles.get(name)
    if place == "secondary" and role is not None and role.item.secondary is None:
        return f"role {name!r} has no `secondary`"
    return ""


def _loud_notices(draft: Draft) -> Iterator[Problem]:
    """Find those who are to be told, and would be rung."""
    for priority in draft.priorities.values():
        for place, reach in enumerate(priority.item.announce):
            if _only_rings(reach, draft):
                yield priority.problem(_RINGS, "announce", place)
    for escalation in draft.escalations.values():
        for index, level in enumerate(escalation.item.root):
            for place, reach in enumerate(level.notify):
                if _only_rings(reach, draft):
                    yield escalation.problem(_RINGS, index, "notify", place)


def _only_rings(reach: str, draft: Draft) -> bool:
    """Whether a reach leads to somebody for whom a notice can only be a call of PagerDuty."""
    name, _, place = reach.partition(".")
    role = draft.roles.get(name)
    contact = None if role is None else role.item.secondary if place == "secondary" else role.item.primary
    if contact is None or contact.slack or contact.email or contact.webhook:
        return False
    return contact.pagerduty is not None and contact.pagerduty.service_key is not None


def _role(name: str, located: Located[Role], draft: Draft) -> Iterator[Problem]:
    role = located.item
    if name == _NOBODYS:
        yield located.problem(f"{name!r} is the status page; choose another name", at_key=True)
    if role.hours != "always" and role.hours not in draft.names["calendar"]:
        yield located.problem(no_such("calendar", role.hours, ["always", *draft.names["calendar"]]), "hours")
    for below, text in texts(role.model_dump(exclude_none=True)):
        if below[-1] == "service_key" and not _SECRET.fullmatch(text):
            message = "an integration key is a secret; write ${secret.NAME}, and give the service a secret of that name"
            yield located.problem(message, *below)
        elif below[-1] != "service_key" and "${" in text:
            message = (
                "${...} is not rendered here; of a role, only `pagerduty.service_key` is a ${secret.NAME}"
            )
            yield located.problem(message, *below)
