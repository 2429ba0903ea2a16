"""Who had an incident, and from when: whoever took it, took it over, or was given it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runbookd.language.names import person

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from runbookd.model.audit import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A stretch of time in which one person had an incident. `who` is as the ledger names them: `slack:anna`, `bob`.

    `until` is when another had it or the acknowledgement expired; None for whoever has it still, or had it at the end.
    """

    who: str
    since: datetime
    until: datetime | None = None


def held(entries: Iterable[Entry]) -> list[Held]:
    """Return who had an incident, one after the other, by what its ledger tells, oldest first.

    An acknowledgement again by whoever gave the last one is a sign of life, and takes nothing from another who has
    been given the incident since.
    """
    found: list[Held] = []
    taker = ""
    for entry in entries:
        if entry.what == "acknowledgement_expired":
            who, taker = "", ""
        elif entry.what == "person_assign":
            who = str(entry.detail.get("text") or "")
        elif entry.what == "person_acknowledge" and whose(entry.actor) != whose(taker):
            who = taker = entry.actor
        else:
            continue
        has_it = found[-1] if found and found[-1].until is None else None
        if has_it is not None and whose(has_it.who) == whose(who):
            continue
        if has_it is not None:
            found[-1] = replace(has_it, until=entry.at)
        if who:
            found.append(Held(who=who, since=entry.at))
    return found


def expired_of(detail: Mapping[str, object]) -> tuple[str, str]:
    """Return whose acknowledgement has expired by what the ledger tells of that, and whom the incident was given since.

    Both are for people; the second is empty when whoever gave it had the incident to the end.
    """
    had, gave = str(detail.get("by") or ""), str(detail.get("acknowledged_by") or "")
    if not had or not gave or whose(had) == whose(gave):
        return person(had or gave) or "automation", ""
    return person(gave), person(had)


def whose(actor: str) -> str:
    """Return who it is, without the door: `slack:anna` is anna."""
    return actor.rpartition(":")[2]
