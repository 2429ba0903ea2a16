"""What playbooks call, across playbooks: who calls whom, what changes something, what can be undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbookd.content.read import Draft, Located
from runbookd.content.yaml import Path
from runbookd.errors import Problem
from runbookd.model.playbook import Playbook, Step
from runbookd.ports import Catalogue

MAX_DEPTH = 5
"""The most playbooks that may call each other in a row, the first one included."""


class Calls:
    """The graph of calls of all playbooks of a draft."""

    def __init__(self, draft: Draft, catalogue: Catalogue) -> None:
        """Collect the steps of every playbook once."""
        self._draft = draft
        self._catalogue = catalogue
        self._steps = {
            name: [step for _, step in all_steps(each.item.steps)] for name, each in draft.playbooks.items()
        }
        self._of_rules = {rung.playbook for rule in draft.rules for rung in rule.item.run}
        self._of_rules |= {name for schedule in draft.schedules.values() for name in schedule.item.run}
        self._of_playbooks = {
            step.playbook
            for name, steps in self._steps.items()
            for step in steps
            if step.playbook not in {None, name}
        }

    def too_deep(self) -> Iterator[Problem]:
        """Find playbooks that call themselves, directly or not, and chains of calls that are too long."""
        circles = {name: self._way(name, name, set()) for name in self._draft.playbooks}
        for name, way in circles.items():
            if way:
                yield self._at_call(way, f"a playbook must not call itself: {' -> '.join([name, *way])}")
        if any(circles.values()):
            return
        longest: dict[str, list[str]] = {}
        for name in self._draft.playbooks:
            chain = self._longest(name, longest)
            if len(chain) > MAX_DEPTH:
                yield self._at_call(
                    chain[1:], f"calls nest deeper than {MAX_DEPTH} playbooks: {' -> '.join(chain)}", chain[0]
                )

    def nothing_to_undo(self) -> Iterator[Problem]:
        """Find playbooks that promise to undo, and have nothing that can be."""
        for name, located in self._draft.playbooks.items():
            if located.item.on_failure != "undo_and_escalate":
                continue
            specs = [self._catalogue.spec(step.action) for step in self._reached(name) if step.action]
            if not any(spec is None or spec.undoable for spec in specs):
                message = (
                    "no step of this playbook can be undone; use escalate, or an action that has an undo"
                )
                yield located.problem(message, "on_failure")

    def holds_lost(self) -> Iterator[Problem]:
        """Find holds that would be lost: the hold is the run's, for the target that its own playbook names."""
        for name, located in self._draft.playbooks.items():
            if located.item.holds_target and located.item.target is None:
                yield located.problem("`holds_target` needs a `target` that can be held", "holds_target")
            if located.item.holds_target:
                continue
            for called in self._called(name):
                if called in self._draft.playbooks and self._draft.playbooks[called].item.holds_target:
                    message = (
                        f"{called} holds its target, so {name}, which calls it, needs `holds_target: true`"
                    )
                    yield self._at_call([called], message, name)

    def warnings(self) -> Iterator[Problem]:
        """Find what is allowed, and probably not meant."""
        for name, located in self._draft.playbooks.items():
            used = name in self._of_rules
            if not used and name not in self._of_playbooks:
                yield located.problem(f"playbook {name!r} is used by no rule and no playbook", "playbook")
            if (used or name not in self._of_playbooks) and self._changes(name):
                yield from _unsafe(located)

    def _changes(self, name: str) -> bool:
        return any(
            self._catalogue.mutates(step.action, step.with_)
            for step in self._reached(name)
            if step.action and self._catalogue.spec(step.action) is not None
        )

    def _reached(self, name: str, seen: frozenset[str] = frozenset()) -> Iterator[Step]:
        """Yield every step of a playbook and of those it calls."""
        if name in seen:
            return
        for step in self._steps.get(name, ()):
            yield step
            if step.playbook is not None:
                yield from self._reached(step.playbook, seen | {name})

    def _called(self, name: str) -> list[str]:
        return sorted({step.playbook for step in self._steps.get(name, ()) if step.playbook})

    def _way(self, start: str, goal: str, seen: set[str]) -> list[str]:
        """Return the calls that lead from one playbook to another, the goal last; empty when none do."""
        for called in self._called(start):
            if called == goal:
                return [goal]
            if called not in seen:
                seen.add(called)
                if way := self._way(called, goal, seen):
                    return [called, *way]
        return []

    def _longest(self, name: str, known: dict[str, list[str]]) -> list[str]:
        """Return the longest chain of calls that starts here; there are no circles."""
        if name not in known:
            chains = [self._longest(called, known) for called in self._called(name)]
            known[name] = [name, *max(chains, key=len, default=[])]
        return known[name]

    def _at_call(self, way: Sequence[str], message: str, caller: str | None = None) -> Problem:
        """Make a problem at the step of `caller` (the end of the way, in a circle) that calls the way's first."""
        located = self._draft.playbooks[caller or way[-1]]
        places = (place for place, step in all_steps(located.item.steps) if step.playbook == way[0])
        return located.problem(message, *next(places), "playbook")


def _unsafe(located: Located[Playbook]) -> Iterator[Problem]:
    playbook = located.item
    if not playbook.verify:
        message = f"playbook {playbook.playbook!r} changes something and has no `verify`: nobody sees whether it helped"
        yield located.problem(message, "playbook")
    if playbook.target is None:
        message = f"playbook {playbook.playbook!r} changes something and has no `target`: two runs may do it at once"
        yield located.problem(message, "playbook")


def all_steps(steps: Sequence[Step], below: Path = ("steps",)) -> Iterator[tuple[Path, Step]]:
    """Yield every step with its path, those inside blocks too."""
    for index, step in enumerate(steps):
        yield (*below, index), step
        yield from all_steps(step.parallel or (), (*below, index, "parallel"))
