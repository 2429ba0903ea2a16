"""The webhooks v3 of the fake PagerDuty: signed, in order for each incident, tried again, and given up as the real one.

https://github.com/PagerDuty/developer-docs/blob/main/docs/webhooks/02-Behavior.md and 04-Signatures.md. Two things are
shorter here: the time between two tries, and how many there are (the real one goes on for 48 hours).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

DROPS_UNTIL_DISABLED = 3


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook: its id, the same at each try, and its body as it is signed and sent."""

    id: str
    event_type: str
    body: bytes


@dataclass(slots=True)
class Delivery:
    """One try; the status is None when no answer came."""

    hook: Hook
    status: int | None


@dataclass(slots=True)
class Subscription:
    """Where webhooks go. Every try waits `patience` seconds for the answer; there are `tries` of them, `pause` apart.

    2xx is taken. 5xx, 429 and no answer are tried again, and what comes after for the same incident waits. Anything
    else is dropped at once; three dropped in a row disable the subscription, and what waits is dropped.
    """

    url: str
    secrets: Sequence[str]
    patience: float = 5.0
    tries: int = 5
    pause: float = 0.05
    id: str = "PSUBSC1"
    disabled: bool = False
    deliveries: list[Delivery] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    dropped: list[Hook] = field(default_factory=list)
    drops_in_a_row: int = 0
    lanes: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def send(
        self, event_type: str, agent: Any, data: Mapping[str, Any], when: tuple[str, str | None]
    ) -> None:
        """Send an event; `when` is the time it happened and the name of the client it happened by."""
        occurred_at, client = when
        event = {
            "id": str(uuid.uuid4()),
            "event_type": event_type,
            "resource_type": event_type.partition(".")[0],
            "occurred_at": occurred_at,
            "agent": agent,
            "client": None if client is None else {"name": client},
            "data": data,
        }
        body = json.dumps({"event": event}, ensure_ascii=False).encode()
        hook = Hook(str(uuid.uuid4()), event_type, body)
        resource = str(data.get("incident", data).get("id", ""))
        self.hooks.append(hook)
        self.lanes[resource] = asyncio.create_task(self._deliver(hook, self.lanes.get(resource)))

    async def again(self, hook: Hook) -> int | None:
        """Deliver a webhook once more, as happens to one that was taken; the status of the answer."""
        return await self._post(hook)

    def signature(self, body: bytes) -> str:
        """The header `X-PagerDuty-Signature` of a body: one signature for each secret."""
        return ",".join(
            "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in self.secrets
        )

    async def settled(self) -> None:
        """Wait until each webhook was taken or dropped."""
        while waiting := [lane for lane in self.lanes.values() if not lane.done()]:
            await asyncio.wait(waiting)

    async def close(self) -> None:
        """Stop."""
        for lane in self.lanes.values():
            lane.cancel()
        await asyncio.gather(*self.lanes.values(), return_exceptions=True)

    async def _deliver(self, hook: Hook, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        for number in range(self.tries):
            if self.disabled:
                break
            if number:
                await asyncio.sleep(self.pause)
            status = await self._post(hook)
            if status is not None and 200 <= status < 300:
                self.drops_in_a_row = 0
                return
            if status is not None and status != 429 and status < 500:
                break
        self.dropped.append(hook)
        self.drops_in_a_row += 1
        self.disabled = self.disabled or self.drops_in_a_row >= DROPS_UNTIL_DISABLED

    async def _post(self, hook: Hook) -> int | None:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "PagerDuty-Webhook/V3.0",
            "X-PagerDuty-Signature": self.signature(hook.body),
            "X-Webhook-Id": hook.id,
            "X-Webhook-Subscription": self.id,
        }
        status = None
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.patience)) as session,
                session.post(self.url, data=hook.body, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, OSError):
            pass
        self.deliveries.append(Delivery(hook, status))
        return status
