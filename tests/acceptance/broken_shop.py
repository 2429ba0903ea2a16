"""A shop that breaks, the rule and the playbook that mend it, and what must hold however often the mender is killed."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from runbookd.ports import Tx
from runbookd.stages.audit import broken_links
from runbookd.store.sqlite import open_sqlite
from tests.acceptance.nursery import Mortal, Nursery
from tests.servers import SHOP_TOKEN, Shop, eventually, temporary_folder

RULES = """
rules:
  - name: shop-broken
    match: [alertname="ShopBroken"]
    priority: P1
    incident: {key: [shop]}
    run:
      - playbook: rollback-release
        with: {shop: "${event.labels.shop}", url: "${event.annotations.url}"}
    limits: {cooldown: 0s, runs: []}
  - name: unmatched
    priority: P1
    when: event.name == "Unheard"
priorities:
  P1: {name: High, respond_within: 1h, resolve_within: 2h}
"""

PLAYBOOK = """
playbook: rollback-release
inputs:
  shop: {type: string}
  url: {type: string}
target: shops/${inputs.shop}
evidence:
  - {action: http.request, name: metrics, with: {url: "${inputs.url}/metrics"}}
steps:
  - id: seen
    action: http.request
    with: {url: "${inputs.url}/admin/releases", headers: {Authorization: "Bearer ${secret.shop_token}"}}
    outputs: {good: result.json.last_good}
    retry: {attempts: 20, backoff: 20ms}
  - id: rollback
    action: http.request
    with:
      method: POST
      url: ${inputs.url}/admin/rollback
      headers: {Authorization: "Bearer ${secret.shop_token}"}
      json: {to: "${steps.seen.good}"}
      idempotency_key: false            # so that the shop does not forgive a call made twice
      probe:
        url: ${inputs.url}/admin/releases
        headers: {Authorization: "Bearer ${secret.shop_token}"}
        json: {current: "${steps.seen.good}"}
    timeout: 1s
    retry: {attempts: 20, backoff: 20ms}
  - {id: settle, wait: 50ms}
  - id: health
    action: http.check
    with: {url: "${inputs.url}/health"}
    retry: {attempts: 20, backoff: 20ms}
verify:
  - {action: http.check, with: {url: "${inputs.url}/health"}, every: 100ms, for: 200ms, within: 60s}
  - {check: alert_resolved, within: 120s}
"""

BEGAN = datetime(2026, 1, 5, 12, tzinfo=UTC)


@contextlib.asynccontextmanager
async def mender(born_by: Nursery) -> AsyncIterator[Mortal]:
    """The service with this content, not started; a claim of a dead life holds for half a second."""
    settings = {
        "lease": "500ms",
        "reload": False,
        "log_level": "INFO",
        "reach": {"budget": 10_000, "brake": 0, "target_cooldown": "0s"},
    }
    with temporary_folder("mender") as name:
        it = Mortal.at(
            Path(name), rules=RULES, playbooks=PLAYBOOK, settings=settings, secrets={"shop_token": SHOP_TOKEN}
        )
        it.nursery = born_by
        try:
            yield it
        finally:
            await it.kill()


def body(*alerts: dict[str, Any]) -> dict[str, Any]:
    """The body of an Alertmanager webhook of these alerts."""
    return {"version": "4", "status": "firing", "receiver": "r", "groupKey": "{}:{}", "alerts": list(alerts)}


def told(
    labels: dict[str, str], *, began: datetime, ended: datetime | None = None, url: str = ""
) -> dict[str, Any]:
    """One alert as Alertmanager tells it: firing, or with an end resolved."""
    return {
        "status": "firing" if ended is None else "resolved",
        "labels": labels,
        "annotations": {"url": url},
        "startsAt": began.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z" if ended is None else ended.isoformat(),
        "fingerprint": "-".join(labels.values()),
        "generatorURL": "",
    }


@dataclass(slots=True)
class Sender:
    """An Alertmanager's manners: what was not acknowledged is sent again until it is. Remembers what was."""

    service: Mortal
    acknowledged: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, *alerts: dict[str, Any]) -> None:
        """Deliver at least once."""

        async def accepted() -> bool:
            return await self.service.post(json.dumps(body(*alerts))) == 202

        await eventually(accepted, within=60, every=0.02, what="the delivery is acknowledged")
        self.acknowledged.extend(alerts)

    async def try_once(self, alert: dict[str, Any]) -> None:
        """Deliver once; remember it only if it was acknowledged."""
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            if await self.service.post(json.dumps(body(alert))) == 202:
                self.acknowledged.append(alert)


@dataclass(slots=True)
class Trouble:
    """One shop and its episodes: how many bad releases went out."""

    shop: Shop
    name: str
    sender: Sender
    episodes: int = 0

    def _told(self, *, over: bool) -> dict[str, Any]:
        began = BEGAN + timedelta(hours=self.episodes)
        ended = began + timedelta(minutes=10) if over else None
        return told(
            {"alertname": "ShopBroken", "shop": self.name}, began=began, ended=ended, url=self.shop.url
        )

    async def breaks(self) -> None:
        """A good release proves itself, a bad one goes out, and the alert fires."""
        self.episodes += 1
        if self.episodes == 1:
            await self.visited()
        await self.shop.deploy(f"bad{self.episodes}", "bad")
        await self.sender.send(self._told(over=False))

    async def visited(self) -> None:
        """Users come until the release that serves is proven."""
        await self.shop.proven()

    async def mended(self, within: float = 60) -> None:
        """Return when the shop has been rolled back in this episode."""

        async def rolled_back() -> bool:
            rollbacks: int = (await self.shop.admin("GET", "calls"))["rollbacks"]
            return rollbacks >= self.episodes

        await eventually(rolled_back, within=within, what=f"{self.name} is rolled back")

    async def resolves(self) -> None:
        """The alert's end is told."""
        await self.sender.send(self._told(over=True))


async def ask(service: Mortal, unit: Any) -> Any:
    """Read through the store itself, which is opened for it and closed again."""
    store = await open_sqlite(service.database)
    try:
        return await store.read(unit)
    finally:
        await store.close()


async def hold_to_promises(service: Mortal, sender: Sender, troubles: list[Trouble]) -> dict[str, int]:
    """Assert all that must hold at the end, and return figures.

    Each episode has one run, verified, and one rollback; everything acknowledged is an event; the ledger is
    whole; and after a step's success nothing of that step was ever begun again.
    """

    async def read(tx: Tx) -> Any:
        return (
            await tx.runs.recent(100_000, {}),
            await tx.deliveries.events(100_000, {}),
            await tx.ledger.read(0, 1_000_000, {}),
            await tx.deliveries.pending(),
            await tx.incidents.recent(100_000, {}),
        )

    runs, events, entries, (pending, _), incidents = await ask(service, read)
    episodes = sum(trouble.episodes for trouble in troubles)
    states = Counter(run.state.value for run in runs)
    assert states == {"verified": episodes}, [(run.state, run.reason) for run in runs]
    for trouble in troubles:
        counted = await trouble.shop.admin("GET", "calls")
        assert counted["rollbacks"] == trouble.episodes, counted
    assert pending == 0
    assert all(event.outcome for event in events)
    kept = {(one.event.fingerprint, one.event.status.value, one.event.starts_at) for one in events}
    acked = {
        (one["fingerprint"], one["status"], datetime.fromisoformat(one["startsAt"]))
        for one in sender.acknowledged
    }
    assert acked <= kept, f"acknowledged and lost: {acked - kept}"
    assert list(broken_links(entries)) == []
    assert {one.state.value for one in incidents if one.rule == "shop-broken"} <= {"resolved"}
    ended: set[tuple[str | None, object]] = set()
    for one in entries:
        place = (one.entry.run_id, one.entry.detail.get("path"))
        if one.entry.what.startswith("step_") and "attempt" in one.entry.detail:
            assert place not in ended, f"{place} was done again: {one.text}"
            if one.entry.what == "step_succeeded":
                ended.add(place)
    calls = [(await trouble.shop.admin("GET", "calls")) for trouble in troubles]
    return {
        "runs": len(runs),
        "events": len(events),
        "acknowledged": len(acked),
        "ledger": len(entries),
        "rollbacks": sum(call["rollbacks"] for call in calls),
        "repeated_keys": sum(call["repeated_keys"] for call in calls),
        "cut_off": sum(one.entry.detail.get("reason") == "interrupted" for one in entries),
        "probed_done": sum(one.entry.detail.get("reason") == "probed_done" for one in entries),
    }
