"""What people are called where people read: the names in the ledger say at which door somebody came in as well."""

from __future__ import annotations

from typing import Final

_DOORS: Final = ("api", "pagerduty", "slack")
"""Doors at which the settings know people, so that the name is theirs wherever they come in."""
_SHELL: Final = "cli"
"""Who is at a command line is known by the machine's name for them, which may be anybody's."""


def handle(actor: str | None) -> str:
    """Name who did something as one is called, as after an `@`: `cli:root` is `root`; empty for None."""
    door, colon, name = (actor or "").partition(":")
    return name if colon and name and door == _SHELL else person(actor)


def person(actor: str | None) -> str:
    """Name who did something: `slack:anna` is `anna`, `cli:root` is `root (command line)`; empty for None."""
    door, colon, name = (actor or "").partition(":")
    if not colon or not name:
        return actor or ""
    if door == _SHELL:
        return f"{name} (command line)"
    return name if door in _DOORS else actor or ""
