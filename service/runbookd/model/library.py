"""Everything loaded from rules and playbooks, as one value that is swapped whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbookd.model.people import Escalation, Role, Template
    from runbookd.model.playbook import Playbook
    from runbookd.model.rule import Calendar, Priority, Rule
    from runbookd.model.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Checked content. `rules` are in the order they are tried. `version` is a hash over all files read.

    `places` says where a thing was written, `file:line`, by `rule:NAME`, `playbook:NAME` and `priority:NAME`.
    `texts` are the files it was made of, by name and in reading order; none of what was salvaged.
    """

    rules: tuple[Rule, ...] = ()
    playbooks: Mapping[str, Playbook] = field(default_factory=dict)
    priorities: Mapping[str, Priority] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    escalations: Mapping[str, Escalation] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    messages: Mapping[str, Template] = field(default_factory=dict)
    vars: Mapping[str, object] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    version: str = ""

    def problem(self, place: str, message: str) -> Problem:
        """Return a mistake at where a thing was written; `place` is one of `places`."""
        file, _, line = self.places[place].rpartition(":")
        return Problem(file, int(line), None, message)

    def longest_window(self) -> timedelta:
        """How far back a rule looks at most, for its cooldown, its run limits or its count of episodes."""
        windows = [timedelta()]
        for rule in self.rules:
            windows += [rule.limits.cooldown, *(limit.per for limit in rule.limits.runs)]
            if rule.for_count is not None:
                windows.append(rule.for_count.within)
        return max(windows)
