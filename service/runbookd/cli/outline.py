"""A playbook's outline: the paths its journal will have, known before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbookd.model.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runbookd.model.playbook import Check, Playbook, Step
    from runbookd.ports import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One step to come. `what` is its action or kind, `mutates` whether it changes anything, `note` its conditions."""

    path: str
    what: str
    mutates: bool = False
    note: str = ""


def outline(playbook: Playbook, catalogue: Catalogue) -> list[Line]:
    """Return the evidence, steps and checks of a playbook in order; what it calls or repeats is one line."""
    lines = [
        Line(path=f"evidence/{each.name or number}", what=each.action)
        for number, each in enumerate(playbook.evidence)
    ]
    lines += _steps("steps", playbook.steps, catalogue)
    lines += [
        Line(path=f"verify/{number}", what=check.check or check.action or "", note=_timing(check))
        for number, check in enumerate(playbook.verify)
    ]
    return lines


def _steps(path: str, steps: Sequence[Step], catalogue: Catalogue) -> Iterator[Line]:
    for number, step in enumerate(steps):
        here = f"{path}/{step.id or number}"
        mutates = step.action is not None and catalogue.mutates(step.action, step.with_)
        yield Line(path=here, what=_what(step), mutates=mutates, note=_conditions(step))
        yield from _steps(here, step.parallel or [], catalogue)


def _what(step: Step) -> str:
    match step.kind:
        case "action":
            return step.action or ""
        case "playbook":
            return f"playbook {step.playbook}"
        case "wait":
            return f"wait {format_duration(step.wait)}" if step.wait is not None else "wait"
        case "parallel":
            return "parallel"
        case "assert":
            return f"assert {step.assert_}"


def _conditions(step: Step) -> str:
    told = [
        f"when {step.when}" if step.when else "",
        "for each item" if step.foreach is not None else "",
        "goes on after a failure" if step.continue_on_failure else "",
        "finally" if step.finally_ else "",
    ]
    return ", ".join(part for part in told if part)


def _timing(check: Check) -> str:
    held = f" for {format_duration(check.for_)}" if check.for_ else ""
    return f"every {format_duration(check.every)}{held}, within {format_duration(check.within)}"
