"""What every unit of work is given: the content in force, the bounds, and names for new things."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.errors import NotFound
from runbookd.language.values import canonical_json, decode, encode
from runbookd.model.action import Mode
from runbookd.model.library import Library
from runbookd.model.plan import Plan
from runbookd.model.playbook import Playbook
from runbookd.stages.match import RuleSet, compile_rules
from runbookd.stages.normalize import DEFAULT_LIMITS, Limits
from runbookd.stages.plan import Reach
from runbookd.stages.schedule import implied_rules, with_quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from runbookd.model.rule import Rule
    from runbookd.model.watchdog import Watchdog
    from runbookd.ports import Ids, Tx
    from runbookd.units.record import Draft, Record

PAUSED = "paused"
"""The switch that stops all mutating calls at once; its value says who paused, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A plan as it is kept: its text, and the hash of it."""

    hash: str
    text: str
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The content in force and the service's own bounds; replaced whole when content is reloaded.

    `mode` observe overrides every rule. `lease` is how long a claim on work holds without being extended. An open
    alert that its sender, asked, has not listed for `forget_after` has resolved. A firing told longer than
    `stale_for` after its resolve is not a late one, but a new episode. `people` names persons by the ids a door has
    for them. `watchdogs` are by who tells of them and the alert's name. `draft` writes the review of an incident;
    without one its readers are only told that it is due.
    """

    library: Library
    rules: RuleSet
    ids: Ids
    reach: Reach = field(default_factory=Reach)
    mode: Mode = Mode.ACT
    lease: timedelta = timedelta(seconds=30)
    forget_after: timedelta = timedelta(minutes=10)
    stale_for: timedelta = timedelta(minutes=10)
    limits: Limits = DEFAULT_LIMITS
    people: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    watchdogs: Mapping[tuple[str, str], Watchdog] = field(default_factory=dict)
    draft: Callable[[Record, datetime], Draft] | None = None
    _frozen: dict[str, Frozen] = field(default_factory=dict)

    @classmethod
    def of(cls, library: Library, ids: Ids) -> Desk:
        """Compile a library for use, with the default bounds."""
        return cls(library=_whole(library), rules=_rules(library), ids=ids)

    def using(self, library: Library) -> Desk:
        """Return the same desk with other content."""
        return replace(self, library=_whole(library), rules=_rules(library), _frozen={})

    def rule(self, name: str | None) -> Rule | None:
        """Return the rule of that name as it is now, or None."""
        return self.rules.named.get(name or "")

    def freeze(self, root: str) -> Frozen:
        """Return the plan of a playbook: itself, all it calls, and the `vars`, as one text that does not change."""
        if root not in self._frozen:
            self._frozen[root] = freeze(self.library, root)
        return self._frozen[root]


def _whole(library: Library) -> Library:
    """Add to content what its schedules imply."""
    return replace(library, priorities=with_quiet(library)) if library.schedules else library


def _rules(library: Library) -> RuleSet:
    """Compile the rules there are, those that schedules imply first."""
    return compile_rules((*implied_rules(library), *library.rules))


def freeze(library: Library, root: str) -> Frozen:
    """Gather a playbook and all it calls into a plan. Raises KeyError when one is not in the library."""
    needed = {root: library.playbooks[root]}
    todo = [root]
    while todo:
        for name in called_by(needed[todo.pop()]):
            if name not in needed:
                needed[name] = library.playbooks[name]
                todo.append(name)
    text = canonical_json(
        {
            "root": root,
            "playbooks": {
                name: playbook.model_dump(mode="json", by_alias=True, exclude={"tests"}, exclude_unset=True)
                for name, playbook in needed.items()
            },
            "vars": encode(dict(library.vars)),
        }
    )
    plan = Plan(root=root, playbooks=needed, vars=library.vars)
    return Frozen(hash=hashlib.sha256(text.encode()).hexdigest(), text=text, plan=plan)


def thaw(text: str) -> Plan:
    """Read a plan back from its text."""
    tree = json.loads(text)
    variables = decode(tree["vars"])
    return Plan(
        root=tree["root"],
        playbooks={name: Playbook.model_validate(playbook) for name, playbook in tree["playbooks"].items()},
        vars=variables if isinstance(variables, dict) else {},
    )


class Plans:
    """Frozen plans read before, by their hash; a plan never changes, so what is remembered stays true."""

    def __init__(self, kept: int = 256) -> None:
        """Remember up to `kept` plans, the latest read."""
        self._kept = kept
        self._plans: OrderedDict[str, Plan] = OrderedDict()

    async def of(self, tx: Tx, plan_hash: str) -> Plan:
        """Return the plan. Raises NotFound when the store does not have it."""
        if plan_hash not in self._plans:
            text = await tx.runs.plan(plan_hash)
            if text is None:
                message = f"plan {plan_hash} is not in the database; the run that follows it cannot go on"
                raise NotFound(message)
            self._plans[plan_hash] = thaw(text)
            if len(self._plans) > self._kept:
                self._plans.popitem(last=False)
        return self._plans[plan_hash]


def called_by(playbook: Playbook) -> list[str]:
    """Names of the playbooks its steps call, those inside parallel blocks included."""
    found = []
    todo = list(playbook.steps)
    while todo:
        step = todo.pop()
        if step.playbook is not None:
            found.append(step.playbook)
        todo.extend(step.parallel or [])
    return found
