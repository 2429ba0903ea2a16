"""Whom the content tells: the contacts of its roles, and what its priorities and escalation policies reach."""

from __future__ import annotations

from collections.abc import Iterator

from runbookd.model.library import Library
from runbookd.model.people import Contact


def contacts(library: Library) -> Iterator[tuple[str, Contact]]:
    """Yield the contacts of every role, each with the name of the role."""
    for name, role in library.roles.items():
        for contact in (role.primary, role.secondary):
            if contact is not None:
                yield name, contact


def reaches(library: Library) -> Iterator[tuple[str, str]]:
    """Yield what every announcement and level reaches, as it is written, each with the place that names it."""
    for name, priority in library.priorities.items():
        for reach in priority.announce:
            yield f"priority:{name}", reach
    for name, policy in library.escalations.items():
        for level in policy.root:
            for reach in (*level.page, *level.notify):
                yield f"escalation:{name}", reach
