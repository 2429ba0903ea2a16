"""Who is meant by `l2-engineering.secondary` or `slack:#ops`, and by which addresses: looked up when a level fires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbookd.language.cel import Scope
from runbookd.language.render import compile_template
from runbookd.model.escalation import Channel
from runbookd.stages.calendar import is_open

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from runbookd.model.library import Library
    from runbookd.model.people import Contact, Role

NOT_THERE = "not_in_the_library"
OUT_OF_HOURS = "out_of_hours"


@dataclass(frozen=True, slots=True)
class Address:
    """One way to somebody: what the channel needs, which may hold references to secrets."""

    channel: Channel
    to: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Whom a reach leads to: the contact to try, and those to try after it. Without addresses `reason` says why."""

    contact: str
    addresses: tuple[Address, ...] = ()
    next_contacts: tuple[str, ...] = ()
    reason: str = ""


def find(reach: str, library: Library, now: datetime, *, page: bool) -> Found:
    """Look a reach up. A role is its primary, then its secondary; a notice does not reach it outside its hours."""
    direct = _direct(reach)
    if direct is not None:
        return Found(contact=reach, addresses=(direct,))
    name, _, place = reach.partition(".")
    role = library.roles.get(name)
    if role is None:
        return Found(contact=reach, reason=NOT_THERE)
    if not page and not _at_work(role, library, now):
        return Found(contact=reach, reason=OUT_OF_HOURS)
    contact = role.secondary if place == "secondary" else role.primary
    if contact is None:
        return Found(contact=reach, reason=NOT_THERE)
    addresses = addresses_of(contact)
    after = (f"{name}.secondary",) if not place and role.secondary is not None else ()
    return Found(
        contact=contact.name or reach, addresses=addresses if page else addresses[:1], next_contacts=after
    )


def addresses_of(contact: Contact) -> tuple[Address, ...]:
    """Every way to a contact, the surest first; for a notice, that which is no pager."""
    found = []
    if contact.slack is not None:
        found.append(Address(Channel.SLACK, {"channel": contact.slack}))
    if contact.email is not None:
        found.append(Address(Channel.EMAIL, {"to": contact.email}))
    if contact.webhook is not None:
        found.append(Address(Channel.WEBHOOK, {"name": contact.webhook}))
    if contact.pagerduty is not None and contact.pagerduty.service_key is not None:
        key = compile_template(contact.pagerduty.service_key).render(Scope({}))
        found.append(Address(Channel.PAGERDUTY, {"service_key": key}))
    if contact.pagerduty is not None and contact.pagerduty.schedule is not None:
        found.append(Address(Channel.EMAIL, {"schedule": contact.pagerduty.schedule}))
    return tuple(found)


def _direct(reach: str) -> Address | None:
    """An address written out; None for a role."""
    kind, _, value = reach.partition(":")
    if kind == "slack":
        return Address(Channel.SLACK, {"channel": value})
    if kind == "email":
        return Address(Channel.EMAIL, {"to": value})
    if kind == "webhook":
        return Address(Channel.WEBHOOK, {"name": value})
    return Address(Channel.STATUSPAGE, {}) if reach == "statuspage" else None


def _at_work(role: Role, library: Library, now: datetime) -> bool:
    """Whether it is a role's hour; hours whose calendar is gone are taken for always."""
    calendar = library.calendars.get(role.hours)
    return calendar is None or is_open(calendar, now)
