"""A dead man's switch on loopback, as https://healthchecks.io/docs/http_api/ describes its pinging API.

GET, HEAD and POST of `/UUID` are signs of life and of `/UUID/fail` of trouble; an id it does not know is 404, what is
no id 400, another method 405. It says whether the sender is up: heard within the period and the grace, and well.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

from tests.contract.actions.hands import serving

CHECK = "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"
_PATH = re.compile(r"/(?P<check>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(?P<signal>/fail)?")


@dataclass(slots=True)
class Switch:
    """The check `CHECK`, and what it was told: `ok` and `fail`, in order. `down` answers 503 instead."""

    url: str = ""
    told: list[str] = field(default_factory=list)
    down: bool = False

    @property
    def ping(self) -> str:
        """Where a sign of life goes."""
        return f"{self.url}/{CHECK}"

    async def take(self, request: web.Request) -> web.Response:
        """Take one ping."""
        if self.down:
            return web.Response(status=503, text="down")
        if request.method not in {"GET", "HEAD", "POST"}:
            return web.Response(status=405)
        path = _PATH.fullmatch(request.path)
        if path is None:
            return web.Response(status=400, text="invalid url format")
        if path["check"] != CHECK:
            return web.Response(status=404, text="not found")
        self.told.append("fail" if path["signal"] else "ok")
        return web.Response(text="OK")


@contextlib.asynccontextmanager
async def switch() -> AsyncIterator[Switch]:
    """A dead man's switch."""
    there = Switch()
    async with serving(there.take) as url:
        there.url = url
        yield there
