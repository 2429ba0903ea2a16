"""The shipped ladders, roles and words in the test's own process, and what people hear of it, minute by minute."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.content.load import load
from runbookd.model.audit import LedgerEntry
from runbookd.model.escalation import Message, MessageKind
from runbookd.model.incident import Incident
from runbookd.model.library import Library
from runbookd.model.people import Escalation, Role
from runbookd.model.rule import Priority, Rule
from runbookd.pipeline import Pipeline, Ports
from runbookd.runtime.metrics import Metrics
from runbookd.settings import shipped
from tests.acceptance.engine import NOON, Engine, alert, engine, worker_of
from tests.acceptance.voices import Killed, Voices

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
P0_RULE = {"name": "down", "match": ['alertname="Down"'], "priority": "P0"}
Told = list[tuple[int, str]]
"""What somebody heard, and how many minutes after the incident opened."""


@cache
def shipped_content() -> Library:
    """The rules, people and words that come with the service."""
    return load([shipped("rules")], [shipped("playbooks")], ActionCatalogue())


def library(*rules: Mapping[str, Any], **changes: Any) -> Library:
    """The shipped people and words, with these rules instead of the shipped ones."""
    made = tuple(Rule.model_validate({**P0_RULE, **rule}) for rule in rules or ({},))
    return replace(shipped_content(), rules=made, **changes)


def ladder(levels: list[dict[str, Any]], roles: Mapping[str, Any], **priority: Any) -> Library:
    """A library of one P0 with these levels, these roles and this priority, and the shipped words."""
    known = {"name": "Critical", "escalation": "ladder", **priority}
    return replace(
        library(),
        priorities={"P0": Priority.model_validate(known)},
        escalations={"ladder": Escalation.model_validate(levels)},
        roles={name: Role.model_validate(role) for name, role in roles.items()},
    )


def mailed(*names: str, **more: Any) -> dict[str, Any]:
    """Roles that are reached by mail alone: `l1` is l1@example.com, and its backup, where `more` says so, another."""
    return {
        name: {
            "primary": {"email": f"{name}@example.com"},
            **({"secondary": {"email": f"{name}-backup@example.com"}} if more.get("backups") else {}),
        }
        for name in names
    }


@dataclass(slots=True)
class House:
    """An engine whose messages go to voices, with real metrics."""

    lab: Engine
    voices: Voices
    registry: CollectorRegistry
    metrics: Metrics
    lives: int = 1

    async def breaks(self, **labels: str) -> Incident:
        """The trouble begins now; returns its incident."""
        await self.lab.hear(alert(began=self.lab.clock.now(), labels=labels))
        return (await self.lab.incidents())[-1]

    async def mended(self, **labels: str) -> None:
        """It is over now."""
        now = self.lab.clock.now()
        await self.lab.hear(alert(began=now - SECOND, ended=now, labels=labels))

    async def minutes(self, until: int, do: Callable[[int], Any] | None = None) -> None:
        """Go on minute by minute to this one after noon; `do` is awaited at each, before what is then due."""
        begun = (self.lab.clock.now() - NOON) // MINUTE
        for minute in range(begun, until + 1):
            await self.lab.move(max(NOON + minute * MINUTE - self.lab.clock.now(), timedelta(0)))
            if do is not None:
                await do(minute)

    async def sleeps(self, by: timedelta) -> None:
        """The service is down for so long: the clock goes on and nothing is done."""
        self.lab.clock.at += by

    async def heard(self, *kinds: MessageKind) -> Told:
        """Who of a level's people heard when, each once a moment; with `kinds` messages of these kinds instead."""
        known = {message.key: message for message in await self.lab.messages()}
        opened = {incident.id: incident.opened_at for incident in await self.lab.incidents()}
        told: dict[tuple[int, str], None] = {}
        for at, call in self.voices.sent:
            message = known.get(call.key)
            if message is None or (kinds and message.kind not in kinds):  # the call of a playbook's step
                continue
            assert at is not None
            assert message.incident_id is not None
            if not kinds and not str(message.facts.get("reason")).startswith("level "):
                continue
            how = "page" if message.kind is MessageKind.PAGE else "tell"
            told[(at - opened[message.incident_id]) // MINUTE, f"{how} {message.contact}"] = None
        return list(told)

    async def sent(self, kind: MessageKind, to: str = "") -> list[Message]:
        """The messages of a kind that got through, to a contact if one is named, oldest first."""
        through = {call.key for _, call in self.voices.sent}
        return [
            message
            for message in await self.lab.messages()
            if message.kind is kind and message.key in through and to in message.contact
        ]

    async def entries(self, *whats: str) -> list[LedgerEntry]:
        """The ledger's entries that say one of these."""
        return [entry for entry in await self.lab.ledger() if entry.entry.what in whats]

    async def states(self, incident: Incident) -> list[str]:
        """How the levels of an incident stand."""
        return [level.state.value for level in await self.lab.levels(incident)]

    def breaches(self, kind: str) -> float:
        """How many breaches of a clock the metrics count."""
        return self.registry.get_sample_value("runbookd_clock_breaches_total", {"clock": kind}) or 0.0

    async def restart(self) -> None:
        """Another process takes over; claims of the one before run out by themselves."""
        self.lives += 1
        lab = self.lab
        ports = Ports(lab.store, self.voices, lab.clock)
        lab.worker = worker_of(ports, lab.pipeline, f"test-{self.lives}", self.metrics)

    async def survive(self, by: timedelta) -> int:
        """Move on, and start anew whenever the process dies; returns how often it did."""
        end, deaths = self.lab.clock.at + by, 0
        while True:
            try:
                await self.lab.move(end - self.lab.clock.at)
            except Killed:
                deaths += 1
                await self.restart()
            else:
                return deaths


@contextlib.asynccontextmanager
async def house(folder: Path, content: Library, *, at: datetime = NOON) -> AsyncIterator[House]:
    """An engine with this content at a time."""
    registry = CollectorRegistry()
    metrics, voices = Metrics(registry), Voices()
    async with engine(folder, library=content, performer=voices) as lab:
        lab.clock.at = at
        voices.clock = lab.clock
        ports = Ports(lab.store, voices, lab.clock)
        lab.pipeline = Pipeline(ports, lab.pipeline.desk, metrics)
        lab.worker = worker_of(ports, lab.pipeline, "test-1", metrics)
        yield House(lab, voices, registry, metrics)
