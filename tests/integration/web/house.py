"""The real door in front of the real engine, with a PagerDuty and a Slack on loopback that people use."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from runbookd.model.audit import LedgerEntry
from runbookd.model.incident import Incident
from runbookd.reports.public_incidents import PublicPages
from runbookd.runtime.people import People
from runbookd.web.app import Inside
from tests.acceptance.engine import Engine, SetClock, alert, engine
from tests.fakes.pagerduty import SERVICE_KEY, TOKEN, PagerDuty, pagerduty
from tests.fakes.slack import SIGNING_SECRET, Slack, slack_server
from tests.fakes.slack import TOKEN as SLACK_TOKEN
from tests.integration.web.doors import Answer, Wire, serving

API_TOKEN = "the-api-token"
API = {"Authorization": f"Bearer {API_TOKEN}"}
PD_SECRET = "whs-canary"
PAGERDUTY = "/v1/hooks/pagerduty"
SLACK = "/v1/hooks/slack"
RULES = """
vars: {service_name: Shop, status_page_url: "https://status.example.com"}
rules:
  - name: down
    match: [alertname="Down"]
    priority: P1
    incident: {title: "The shop is down"}
  - name: quiet
    match: [alertname="Quiet"]
    priority: P3
priorities:
  P0: {name: Critical, acknowledge_within: 5m, escalation: ladder}
  P1: {name: High, acknowledge_within: 10m, respond_within: 1h, escalation: ladder, announce: [statuspage]}
  P3: {name: Low}
escalations:
  ladder:
    - {after: 0m, notify: ["slack:#ops"], page: [ops]}
    - {after: 10m, unless: acknowledged, page: [ops.secondary]}
    - {after: 20m, unless: acknowledged, page: [ops.secondary]}
roles:
  ops:
    primary: {pagerduty: {service_key: "${secret.pd_key}"}}
    secondary: {slack: "#ops"}
"""


@dataclass(slots=True)
class House:
    """Everything that runs. `wire` reaches the door."""

    engine: Engine
    wire: Wire
    pagerduty: PagerDuty
    slack: Slack

    @property
    def url(self) -> str:
        """Where the door is."""
        return f"http://127.0.0.1:{self.wire.port}"

    async def trouble(self, name: str = "Down", **labels: str) -> Incident:
        """An alert begins, and all that is due then is done; its incident."""
        before = {incident.id for incident in await self.engine.incidents()}
        await self.engine.hear(alert(name, labels=labels))
        await self.engine.move(timedelta(seconds=2))
        (opened,) = [each for each in await self.engine.incidents() if each.id not in before]
        return opened

    async def work(self) -> None:
        """Do what is due now, and what a rate limit has put off a moment."""
        await self.engine.move(timedelta(seconds=2))

    async def incident(self, incident: Incident) -> Incident:
        """It as it is now."""
        found = await self.engine.store.read(lambda tx: tx.incidents.get(incident.id))
        assert found is not None
        return found

    async def outcomes(self, source: str) -> list[tuple[str, str]]:
        """What came by a door, and what became of it, oldest first."""
        return [
            (stored.event.name, stored.outcome)
            for stored in await self.engine.events()
            if stored.event.source == source
        ]

    async def entries(self, what: str) -> list[LedgerEntry]:
        """Entries of the ledger of this kind."""
        return [entry for entry in await self.engine.ledger() if entry.entry.what == what]

    async def api(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = API
    ) -> Answer:
        """Ask the API."""
        return await self.wire.ask(method, path, headers, body)


@contextlib.asynccontextmanager
async def house(folder: Path, **web: Any) -> AsyncIterator[House]:
    """Everything, running; `web` are more settings of the door. The settings know Anna in PagerDuty and Slack."""
    clocks = [SetClock()]  # the engine's own takes its place

    def now() -> datetime:
        return clocks[-1].now()

    async with pagerduty(now) as pager, slack_server(now) as chat:
        anna = chat.workspace.add_user("anna", "anna@example.com")
        chat.workspace.add_channel("ops").members.add(anna.id)
        persons = {"slack": {anna.id: "anna"}, "pagerduty": {"Anna Smith": "anna"}}
        secrets = folder / "secrets"
        secrets.mkdir()
        known = {"pd_key": SERVICE_KEY, "pd_token": TOKEN, "slack_bot_token": SLACK_TOKEN}
        for name, value in known.items():
            (secrets / name).write_text(value)
        config: dict[str, Any] = {
            "hooks": {
                "pagerduty": {"signing": [{"value": "an-older-one"}, {"value": PD_SECRET}]},
                "slack": {"signing": [{"value": SIGNING_SECRET}]},
            },
            "api_tokens": {"console": {"value": API_TOKEN}},
            **web,
        }
        settings = {
            "secrets_folder": secrets,
            "actions": {**pager.config(), **chat.config()},
            "web": {"people": persons},
        }
        async with engine(folder, rules=RULES, settings=settings) as running:
            clocks.append(running.clock)
            store, clock, pipeline = running.store, running.clock, running.pipeline
            pages = PublicPages(store, clock, lambda: pipeline.desk, "http://localhost/status")
            inside = Inside(pipeline, People(store, clock, pipeline), clock, pages)
            async with serving(inside, CollectorRegistry(), config) as wire:
                yield House(running, wire, pager, chat)
