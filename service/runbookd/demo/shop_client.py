"""What the demo asks the shop: deploy a release, say what it has seen, count what users got."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
import orjson

from runbookd.demo.processes import DemoError
from runbookd.demo.releases import DEPLOY, ROLL_BACK

_COUNTED = re.compile(r'^shop_requests_total\{[^}]*code="(\d+)"[^}]*\} (\S+)$', re.MULTILINE)
_PROVEN_WITHIN = 15.0


@dataclass(frozen=True, slots=True)
class ShopClient:
    """The shop as its operators see it. Every method raises DemoError when the shop does not answer as it should."""

    url: str
    token: str

    async def deploy(self, name: str, quality: str) -> None:
        """Let a new release go out, `good` or `bad`."""
        await self._admin("POST", DEPLOY, {"name": name, "quality": quality})

    async def proven(self) -> None:
        """Return once the release that serves is known to be good: only such a one is gone back to."""
        deadline = time.monotonic() + _PROVEN_WITHIN
        while time.monotonic() < deadline:
            seen = await self._admin("GET", DEPLOY)
            if any(release["current"] and release["good"] for release in seen["releases"]):
                return
            await asyncio.sleep(0.1)
        raise DemoError(
            f"the shop at {self.url}: its first release has not proven good; do its visits arrive?"
        )

    async def rollbacks(self) -> list[datetime]:
        """Return when each rollback that was carried out arrived."""
        calls = (await self._admin("GET", "/admin/calls"))["calls"]
        done = [call for call in calls if call["path"] == ROLL_BACK and call["phase"] == "applied"]
        return [datetime.fromisoformat(call["at"]) for call in done]

    async def visits(self) -> tuple[int, int]:
        """Return how many visits there were, and how many of them got an error."""
        text = await self._call("GET", "/metrics")
        counts = [(code, int(float(number))) for code, number in _COUNTED.findall(text)]
        return sum(n for _, n in counts), sum(n for code, n in counts if code.startswith("5"))

    async def _admin(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(await self._call(method, path, body))
        return found

    async def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> str:
        headers = {"Authorization": f"Bearer {self.token}"} if path.startswith("/admin") else {}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
                session.request(method, f"{self.url}{path}", json=body, headers=headers) as answer,
            ):
                text = await answer.text()
                if not answer.ok:
                    raise DemoError(f"the shop answered {answer.status} to {method} {path}: {text.strip()}")
                return text
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DemoError(f"the shop at {self.url} does not answer: {error!r}") from error
