"""Reload: the new content whole, or the old content and why."""

from __future__ import annotations

from dataclasses import dataclass

from runbookd.content.load import Folders, Report, examine
from runbookd.model.library import Library
from runbookd.ports import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """What a reload came to. `library` is the one to use from now on: the very one in force, unless `changed`.

    `report` says what was found; when it has problems, nothing was changed.
    """

    library: Library
    changed: bool
    report: Report


def reload(current: Library, rules: Folders, playbooks: Folders, catalogue: Catalogue) -> Reloaded:
    """Read and check everything as `load.examine` does, embedded tests included; all of it counts, or none."""
    report = examine(rules, playbooks, catalogue)
    fresh = report.library
    if fresh is None or fresh.version == current.version:
        return Reloaded(library=current, changed=False, report=report)
    return Reloaded(library=fresh, changed=True, report=report)
