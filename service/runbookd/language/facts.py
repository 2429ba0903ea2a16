"""What the words of a message can tell: every fact, what it means, and an example of it.

A text that is not known is empty, anything else that is not known is None, and a list without items is empty.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact. `public` ones may be told to everybody; `always` tells that it is known of every incident.

    The example is of the fact's own type: str, int, bool, datetime, timedelta, or an empty list for one with items.
    """

    meaning: str
    example: object
    public: bool = False
    always: bool = False


FACTS: Mapping[str, Fact] = {
    "service": Fact("what people call the system: `vars.service_name`", "Shop", public=True),
    "status_page": Fact(
        "address of the status page, `vars.status_page_url`, if the incident is shown there",
        "https://status.example.com",
        public=True,
    ),
    "incident.id": Fact("its id", "inc-01jgtqv3m0x7b2c4d6f8h0k2n4", always=True),
    "incident.short_id": Fact("the end of its id", "h0k2n4p6", public=True, always=True),
    "incident.rule": Fact("the rule that opened it", "system-down", always=True),
    "incident.priority": Fact("name of its priority", "P0", public=True, always=True),
    "incident.priority_name": Fact("what people call that", "Critical", public=True, always=True),
    "incident.title": Fact("what the trouble is", "https://shop.example.com is down", always=True),
    "incident.state": Fact(
        "Investigating, Mitigating (somebody, or a remedy, is at work on it) or Resolved",
        "Mitigating",
        public=True,
        always=True,
    ),
    "incident.opened_at": Fact("when it opened", _NOON, public=True, always=True),
    "incident.acknowledged_at": Fact("when a person took it", _NOON + timedelta(minutes=4)),
    "incident.acknowledged_by": Fact("who did", "anna"),
    "incident.resolved_at": Fact("when it was over", _NOON + timedelta(minutes=65), public=True),
    "incident.duration": Fact(
        "from its beginning to its end, or to now: in a post that is edited, to when it was sent",
        timedelta(minutes=65),
        public=True,
        always=True,
    ),
    "incident.commander": Fact("who leads: who was assigned, else who took it, as after an `@`", "anna"),
    "incident.impact": Fact("what it means for users, as the alert's annotations say", "Nobody can buy."),
    "incident.channel": Fact("the Slack channel made for it", "#incident-20260105-1200"),
    "incident.url": Fact("where it is shown", "https://runbookd.example.com/incidents/inc-01jg"),
    "incident.why_escalated": Fact(
        "why it was first handed to people: what became of a remedy, or the time that ran out",
        "a remedy did not help",
    ),
    "why": Fact(
        "what made this very message, if a level of the escalation did: its time, a time that ran out, a person",
        "level 3: not acknowledged after 10 minutes",
    ),
    "update.number": Fact("how many updates were told", 2, public=True, always=True),
    "update.next_at": Fact("when the next one is promised", _NOON + timedelta(minutes=30), public=True),
    "update.next_in": Fact(
        "how long that is from now, or from when the post was sent that is edited",
        timedelta(minutes=14, seconds=58),
        public=True,
    ),
    "note": Fact(
        "what a person writes to everyone, in an update that is theirs", "You can pay again.", public=True
    ),
    "did": Fact("what automation did so far, in order", []),
    "did[].at": Fact("when", _NOON + timedelta(minutes=1), always=True),
    "did[].what": Fact("what it did", "kubernetes.rollout_undo", always=True),
    "did[].detail": Fact("how that went", "done"),
    "found": Fact("what automation found out", "rollback-deployment: verified"),
    "next_step": Fact("what comes next", "a person is needed"),
    "alerts": Fact("the alerts of the incident", []),
    "alerts[].name": Fact("the alert's name", "ShopErrorsHigh", always=True),
    "alerts[].summary": Fact("its annotation `summary`", "12 % of requests fail"),
    "alerts[].since": Fact("since when it fires", _NOON - timedelta(minutes=2)),
    "level": Fact("the highest level of the escalation that was told, from 1", 2),
    "lateness": Fact("how much too late this message is, after the service was down", timedelta(minutes=7)),
    "delay": Fact("how long this page could not be delivered to its phone", timedelta(minutes=6)),
    "resolution": Fact(
        "what mended it: the remedy of automation, and what a person said who ended it",
        "rollback-deployment by automation, verified",
    ),
    "review_due_at": Fact("when the post-incident review is due", _NOON + timedelta(days=1), public=True),
    "checklist.name": Fact("the schedule of a checklist", "morning-checklist"),
    "checklist.at": Fact("when it was begun", _NOON),
    "checklist.good": Fact("whether every check of it is good", example=False),
    "checks": Fact("the checks of a checklist", []),
    "checks[].name": Fact("which check", "backup-verification", always=True),
    "checks[].good": Fact("whether it is good", example=False, always=True),
    "checks[].detail": Fact("what it found", "the last backup is 26 hours old"),
}
"""Every fact by its name. `incident.title` is a part of `incident`, `did[].at` one of each item of the list `did`."""

PUBLIC_FACTS = frozenset(name for name, fact in FACTS.items() if fact.public)
"""Those that messages to everybody may tell: nothing that an alert's sender or the system's insides have a word in."""

WORDS: Mapping[str, str] = {
    "page": "somebody is called, whatever the hour",
    "incident-opened": "an incident has opened",
    "incident-update": "news of it, or the promised word that there is none",
    "incident-resolved": "it is over",
    "post-incident-review": "its review is drafted, and due",
    "checklist-report": "a checklist was gone through",
    "public-incident-opened": "an incident has opened, for the status page",
    "public-incident-update": "news of it, for the status page",
    "public-incident-resolved": "it is over, for the status page",
}
"""The messages there are, and when each is sent."""

PUBLIC = "public-"
"""What the names of messages to everybody begin with."""


def example(*, known: bool = True) -> dict[str, object]:
    """Return facts as messages are rendered with: the examples, one item to a list; or only what is always known."""
    return {name: _example(name, known=known) for name in parts_of("")}


def complete(facts: Mapping[str, object], *, public: bool = False) -> dict[str, object]:
    """Return the facts with those that are missing filled in as not known; what is no fact is left out.

    With `public`, so is what is not for everybody.
    """
    return _complete_map(facts, "", PUBLIC_FACTS if public else FACTS.keys())


def parts_of(name: str) -> list[str]:
    """Return what a fact is made of: `title`, `state` and so on for `incident`, nothing for one that is a value.

    For "" these are the first words of all facts, for `did[]` the parts of an item of the list `did`.
    """
    return _parts(f"{name}." if name else "", FACTS)


def _example(name: str, *, known: bool) -> object:
    fact = FACTS.get(name)
    if fact is None:
        return {part: _example(f"{name}.{part}", known=known) for part in parts_of(name)}
    if not isinstance(fact.example, list):
        return fact.example if known or fact.always else _absent(fact)
    return (
        [{part: _example(f"{name}[].{part}", known=True) for part in parts_of(f"{name}[]")}] if known else []
    )


def _complete_map(given: object, below: str, names: Collection[str]) -> dict[str, object]:
    facts = given if isinstance(given, Mapping) else {}
    return {part: _complete(facts.get(part), f"{below}{part}", names) for part in _parts(below, names)}


def _complete(value: object, name: str, names: Collection[str]) -> object:
    fact = FACTS.get(name)
    if fact is None:
        return _complete_map(value, f"{name}.", names)
    if isinstance(fact.example, list):
        items = value if isinstance(value, list | tuple) else ()
        return [_complete_map(item, f"{name}[].", names) for item in items]
    return _absent(fact) if value is None else value


def _absent(fact: Fact) -> object:
    return type(fact.example)() if isinstance(fact.example, str | list) else None


def _parts(below: str, names: Collection[str]) -> list[str]:
    """Return the next word of each name that begins so, each once and in order; items of lists are no part."""
    words = [
        name.removeprefix(below).partition(".")[0]
        for name in FACTS
        if name in names and name.startswith(below)
    ]
    return [word for word in dict.fromkeys(words) if not word.endswith("[]")]
