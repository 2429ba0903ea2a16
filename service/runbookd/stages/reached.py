"""Whom a page has reached: a contact with a phone is reached by the phone, and every other by any of its addresses.

A mail or a post that got through is no proof that anybody is awake; a phone rings until somebody answers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbookd.model.action import SECRET_MISSING
from runbookd.model.escalation import Channel, MessageKind, MessageState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from runbookd.model.escalation import Message

PASSED_ON = "passed_on"
"""The fact of a page to a phone that did not get through in time: others are paged, and it is still tried.

It says what makes it needless: `acknowledged`, or `resolved` for one that was wanted though somebody had the incident.
"""

TWICE = "paged_just_now"
"""The reason of a page that is dropped: another level pages the same address at the same moment."""

RELIES_ON = "relies_on"
"""The fact of such a page, or of one to another contact of the level with that address: the id of what is sent."""


def shared(messages: Iterable[Message]) -> list[Message]:
    """Return messages with what is sent in the place of each page that relies on it, still to the contact of that one.

    A page that relies on nothing that is there is left out.
    """
    there = [*messages]
    known = {one.id: one for one in there if one.reason != TWICE}
    found = []
    for one in there:
        sent = one if one.reason != TWICE else known.get(str(one.facts.get(RELIES_ON)))
        if sent is None:
            continue
        if sent is one:
            found.append(one)
            continue
        late = {name: fact for name, fact in sent.facts.items() if name == PASSED_ON}
        found.append(
            replace(
                sent,
                party=one.party,
                next_contacts=one.next_contacts,
                contact=one.contact,
                facts={**one.facts, **late},
            )
        )
    return found


def decisive(party: Sequence[Message]) -> list[Message]:
    """Return the pages to one contact that tell whether it was reached: those to its phone, if it has one.

    A phone without a key in the settings is none.
    """
    phones = [one for one in party if one.channel is Channel.PAGERDUTY and one.reason != SECRET_MISSING]
    return phones or [*party]


def reached(messages: Iterable[Message], since: datetime | None = None) -> list[Message]:
    """Return the pages among these that have reached whom they were for, with `since` not before then."""
    return [one for one in _telling(messages, since) if one.state is MessageState.SENT]


def unreached(messages: Iterable[Message], since: datetime | None = None) -> bool:
    """Whether every contact that these page is lost; whatever is on its way may still reach somebody.

    With `since` what had got through, or become needless, before then reaches nobody any more.
    """
    return all(_lost(one) for one in _telling(messages, since))


def late_ring(message: Message) -> bool:
    """Whether this is a page to a phone that others have been paged for, and that waits to be tried again."""
    return bool(message.facts.get(PASSED_ON)) and message.state is MessageState.PENDING


def _telling(messages: Iterable[Message], since: datetime | None) -> list[Message]:
    """Return the pages that tell whether their contacts were reached, without those that had ended by then."""
    deciding = [one for party in _parties(messages) for one in decisive(party)]
    return [one for one in deciding if since is None or one.settled_at is None or one.settled_at >= since]


def _parties(messages: Iterable[Message]) -> list[list[Message]]:
    """Return the pages among these by the contacts that they are for, those that share one each with it."""
    parties: dict[str, list[Message]] = {}
    for one in shared(messages):
        if one.kind is MessageKind.PAGE:
            parties.setdefault(one.party, []).append(one)
    return [*parties.values()]


def _lost(message: Message) -> bool:
    """Whether a page did not get through, or not in time."""
    on_its_way = not message.settled
    return message.state is MessageState.FAILED or (on_its_way and bool(message.facts.get(PASSED_ON)))
