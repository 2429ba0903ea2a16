"""What `runbookd explain` says, as data: the same decisions the service makes, with nothing written."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runbookd.cli.database import database_of, look
from runbookd.cli.outline import outline
from runbookd.cli.shapes import noun, plain
from runbookd.content.load import load
from runbookd.errors import MissingValue
from runbookd.language.cel import Scope
from runbookd.model.action import Mode
from runbookd.model.durations import format_duration
from runbookd.model.incident import Incident
from runbookd.model.reasons import Episode, Guard, Verdict
from runbookd.model.views import event_view, incident_view
from runbookd.stages.admit import judge_episode
from runbookd.stages.match import compile_rules, explain, judge, match
from runbookd.stages.plan import (
    Answer,
    Bounds,
    Proposal,
    guard,
    incident_key,
    incident_title,
    propose,
)
from runbookd.stages.schedule import implied_rules
from runbookd.units.desk import PAUSED
from runbookd.units.planning import past_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbookd.cli.shared import Shared
    from runbookd.model.event import Event
    from runbookd.model.library import Library
    from runbookd.model.rule import Rule, Rung
    from runbookd.ports import Catalogue, Tx
    from runbookd.settings import Settings
    from runbookd.stages.match import CompiledRule, Decision, RuleSet

Shape = dict[str, Any]


def explained(shared: Shared, events: Sequence[Event]) -> list[Shape]:
    """Explain each event on its own. Raises ContentError, SettingsError, StoreError."""
    settings = shared.settings()
    catalogue = shared.catalogue()
    library = load(settings.rules, settings.playbooks, catalogue)
    explainer = _Explainer(shared, settings, library, catalogue)
    return [explainer.explain(event) for event in events]


class _Explainer:
    """Everything an explanation needs, made once."""

    def __init__(self, shared: Shared, settings: Settings, library: Library, catalogue: Catalogue) -> None:
        self._shared, self._settings, self._library, self._catalogue = shared, settings, library, catalogue
        self._rules: RuleSet = compile_rules((*implied_rules(library), *library.rules))
        place = database_of(shared)
        self._asked = isinstance(place, str) or place.is_file()
        self._now = datetime.now(UTC)

    def explain(self, event: Event) -> Shape:
        """Explain one event."""
        scope = Scope({"event": event_view(event), "vars": self._library.vars})
        taken, _ = match(self._rules, event, scope)
        return {
            "event": noun(event, "extra"),
            "episode": self._episode(event),
            "taken": [self._taken(rule, event, scope) for rule in taken],
            "rules": self._verdicts(event, scope),
        }

    def _verdicts(self, event: Event, scope: Scope) -> list[Shape]:
        """Every rule with its verdict; `held` is the part of its matchers that hold, from 0 to 1."""
        every = [*self._rules.rules, *([self._rules.unmatched] if self._rules.unmatched else [])]
        compiled = {one.rule.name: one for one in every}
        verdicts = []
        for decision in explain(self._rules, event, scope):
            one = compiled[decision.rule]
            held = sum(matcher.matches(event.labels) for matcher in one.matchers) / max(1, len(one.matchers))
            told = _by_itself(one, decision, event, scope)
            verdicts.append(
                {
                    "rule": told.rule,
                    "verdict": told.verdict.value,
                    "detail": told.detail,
                    "held": round(held, 3),
                    "place": self._library.places.get(f"rule:{decision.rule}"),
                }
            )
        return verdicts

    def _taken(self, rule: Rule, event: Event, scope: Scope) -> Shape:
        """What the rule that takes the event would do."""
        title = incident_title(rule, event, scope)
        key, error = None, None
        try:
            key = incident_key(rule, event)
        except MissingValue as missing:
            error = str(missing)
        incident = Incident(
            id="", rule=rule.name, key=key or "{}", priority=rule.priority, title=title, opened_at=self._now
        )
        seen = scope.extended(incident=incident_view(incident))
        proposals = [self._propose(rung, seen) for rung in rule.run]
        wanted = rule.for_count
        return {
            "rule": rule.name,
            "place": self._library.places.get(f"rule:{rule.name}"),
            "incident": {
                "priority": rule.priority,
                "title": title,
                "key": None if key is None else json.loads(key),
                "error": error,
            },
            "mode": (Mode.OBSERVE if self._settings.mode is Mode.OBSERVE else rule.mode).value,
            "limits": {
                "cooldown": format_duration(rule.limits.cooldown),
                "runs": [f"{limit.of} per {format_duration(limit.per)}" for limit in rule.limits.runs],
            },
            "for_count": None
            if wanted is None
            else f"waits for {wanted.of} {wanted.distinct}s within {format_duration(wanted.within)}",
            "rungs": [self._rung(rung, proposal) for rung, proposal in zip(rule.run, proposals, strict=True)],
            "now": self._guards(rule, key, proposals[0]) if proposals else None,
        }

    def _propose(self, rung: Rung, scope: Scope) -> Proposal | Answer:
        playbook = self._library.playbooks[rung.playbook]
        return propose(playbook, rung.with_, scope, self._library.vars)

    def _rung(self, rung: Rung, proposal: Proposal | Answer) -> Shape:
        playbook = self._library.playbooks[rung.playbook]
        wanted = None if isinstance(proposal, Answer) else proposal
        return {
            "playbook": rung.playbook,
            "place": self._library.places.get(f"playbook:{rung.playbook}"),
            "refusal": _answer(proposal) if isinstance(proposal, Answer) else None,
            "target": wanted.target if wanted is not None else None,
            "inputs": plain(wanted.inputs) if wanted is not None else {},
            "steps": [noun(line) for line in outline(playbook, self._catalogue)],
        }

    def _episode(self, event: Event) -> str | None:
        """What the event means for its alert, when that is not a new one; None also when no database is asked."""
        if not self._asked:
            return None

        async def unit(tx: Tx) -> Episode:
            return judge_episode(event, await tx.alerts.latest(event.source, event.fingerprint))

        episode = look(self._shared, unit)
        if episode is Episode.NEW:
            return None
        return f"{episode.value}: as things stand, no new alert; what follows is for when it is one"

    def _guards(self, rule: Rule, key: str | None, proposal: Proposal | Answer) -> Shape | None:
        """What the guards would say now of the first rung; None when no database is asked."""
        if not self._asked or key is None or isinstance(proposal, Answer):
            return None

        async def unit(tx: Tx) -> Answer:
            return await self._ask(tx, rule, key, proposal)

        return _answer(look(self._shared, unit))

    async def _ask(self, tx: Tx, rule: Rule, key: str, proposal: Proposal) -> Answer:
        incident = await tx.incidents.open_for(rule.name, key)
        if incident is not None and await tx.runs.running_of(incident.id):
            return Answer(Guard.JOINED, f"incident {incident.id} has a run under way")
        reach = self._settings.reach.bounds()
        facts = await past_of(tx, reach, rule, (key, proposal.target), self._now)
        paused = await tx.switches.get(PAUSED) is not None
        observes = paused or self._settings.mode is Mode.OBSERVE
        mode = Mode.OBSERVE if observes else rule.mode
        answer = guard(proposal, rule.limits, Bounds(mode=mode, reach=reach, facts=facts, now=self._now))
        if paused and answer.go:
            return Answer(answer.reason, "but the service is paused: it would only observe")
        return answer


def _by_itself(one: CompiledRule, decision: Decision, event: Event, scope: Scope) -> Decision:
    """Say of a rule that was not even tried, because an earlier one took the event, whether it would have."""
    if decision.verdict is not Verdict.EARLIER:
        return decision
    own = judge(one, event.labels, scope)
    return replace(decision, detail=f"it fits too, but {decision.detail}") if own.matched else own


def _answer(answer: Answer) -> Shape:
    return {"reason": answer.reason.value, "detail": answer.detail}
