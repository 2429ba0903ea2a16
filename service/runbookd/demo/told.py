"""What the demo's people were told, in the order it reached them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

MESSAGE, EDIT, CHANNEL = "message", "edit", "channel"
"""What can happen: a message comes, one that came is changed in place, a channel is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing people were told.

    `at` is RFC 3339 in UTC, `by` is `slack`, `email` or `pagerduty`, `to` the channels or addresses it came to.
    """

    at: str
    by: str
    what: str
    to: tuple[str, ...]
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Book:
    """All of it, oldest first."""

    entries: list[Told] = field(default_factory=list)

    def note(self, by: str, what: str, to: tuple[str, ...], words: tuple[str, str]) -> None:
        """Write down what happens now; `words` are its subject, "" for none, and its text."""
        subject, text = words
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.entries.append(Told(at=at, by=by, what=what, to=to, subject=subject, text=text))
