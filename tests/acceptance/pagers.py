"""PagerDuty's account on the test's own clock: events open incidents there, phones ring, people answer in the app."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runbookd.language.values import SecretRef
from runbookd.model.action import Call
from runbookd.model.library import Library
from tests.acceptance.engine import NOON
from tests.acceptance.people import MINUTE, House, ladder
from tests.fakes.pagerduty_account import Account, Incident


def paged_by_phone(levels: list[dict[str, Any]], *names: str, **priority: Any) -> Library:
    """A ladder whose roles have a PagerDuty service each and nothing else: the one of `l1` has the key `pd_l1`."""
    roles = {name: {"primary": {"pagerduty": {"service_key": f"${{secret.pd_{name}}}"}}} for name in names}
    return ladder(levels, roles, **priority)


@dataclass(slots=True)
class Pagers:
    """An account of PagerDuty that takes what a house sends, and whose webhooks reach the house when it is told."""

    home: House
    account: Account = field(init=False)
    hooks: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen to the house."""
        self.account = Account(self.home.lab.clock.now)
        self.account.tell = self._tell
        self.home.voices.meanwhile = self._take

    def rung(self) -> list[tuple[float, str]]:
        """Which service's phones rang, and in which minute after noon."""
        names = {service: key.removeprefix("pd_") for key, service in self.account.services.items()}
        return [((ring.at - NOON) / MINUTE, names[ring.service]) for ring in self.account.rung]

    def of(self, name: str) -> list[Incident]:
        """The incidents of a service, oldest first."""
        return [one for one in self.account.incidents if one.routing_key == f"pd_{name}"]

    def stand(self, name: str) -> list[str]:
        """How the incidents of a service stand."""
        return [one.status for one in self.of(name)]

    async def answers(self, name: str, what: str = "acknowledged", who: str = "Anna Smith") -> None:
        """Somebody does something about the newest incident of a service in the app, and its webhook comes."""
        user = self.account.add_user(who, "anna@example.com")
        self.account.change(self.of(name)[-1], what, user)
        await self.deliver()

    async def deliver(self) -> None:
        """Post the webhooks that wait, and do what is due then."""
        lab = self.home.lab
        while self.hooks:
            body = json.dumps({"event": self.hooks.pop(0)}).encode()
            receipt = await lab.pipeline.receive("pagerduty", body, {}, None)
            assert receipt.refusal is None, receipt.refusal
        await lab.worker.drain(lab.clock.now())

    async def _take(self, call: Call) -> None:
        if call.action != "pagerduty.send_event":
            return
        key = call.params["service_key"]
        assert isinstance(key, SecretRef)
        if key.name not in self.account.services:
            self.account.add_service(key.name, key.name)
        self.account.process(
            {
                "routing_key": key.name,
                "dedup_key": call.params["dedup_key"],
                "event_action": call.params["action"],
                "payload": {"summary": call.params.get("summary")},
                "client": "runbookd",
            }
        )

    def _tell(
        self, event_type: str, agent: Any, data: Mapping[str, Any], client: str | None = "PagerDuty"
    ) -> None:
        self.hooks.append(
            {
                "id": f"hook-{self.account.new_id()}",
                "event_type": event_type,
                "occurred_at": self.home.lab.clock.now().isoformat(),
                "agent": agent,
                "client": {"name": client},
                "data": data,
            }
        )
