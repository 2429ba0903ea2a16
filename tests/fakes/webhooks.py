"""A receiver of signed webhooks on loopback, as https://www.standardwebhooks.com asks receivers to be.

It refuses what is not signed with its key, is older or newer than five minutes, has an id with a full stop, or is no
JSON, and takes each id once, however often it comes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from aiohttp import web

from tests.contract.actions.hands import serving

TOLERANCE = timedelta(minutes=5)


class Fault(Enum):
    """What happens in place of an answer, once the message was taken."""

    DROP = "the connection breaks"
    HANG = "no answer ever comes"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is not 204; the message was not taken."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = "the receiver's reason"


@dataclass(slots=True)
class Receiver:
    """What it expects, and what came.

    `keys` are the secrets it knows (`whsec_...`), `now` its clock, `script` what the next requests that are right in
    themselves are answered instead. `messages` are what it took, by id; `deliveries` how often each came.
    """

    keys: list[str]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    url: str = ""
    script: list[Reply | Fault] = field(default_factory=list)
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    deliveries: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Check one request as a receiver does, and take it."""
        self.paths.append(request.path)
        body = await request.read()
        if reason := self.fault_of(request.headers, body):
            self.refused.append(reason)
            return web.Response(status=401 if "signature" in reason else 400, text=reason)
        message = request.headers["webhook-id"]
        self.deliveries[message] += 1
        planned = self.script.pop(0) if self.script else None
        if isinstance(planned, Reply):
            return web.Response(status=planned.status, headers=planned.headers, text=planned.text)
        self.messages.setdefault(message, json.loads(body))
        if planned is Fault.DROP:
            assert request.transport is not None
            request.transport.abort()
        elif planned is Fault.HANG:
            await asyncio.Event().wait()
        return web.Response(status=204)

    def fault_of(self, headers: Mapping[str, str], body: bytes) -> str:
        """What is wrong with a request; "" when nothing is."""
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        if missing := [name for name in names if name not in headers]:
            return f"no {', '.join(missing)}"
        message, moment, signatures = (headers[name] for name in names)
        if "." in message:
            return "a full stop in the webhook-id"
        if not moment.isdecimal():
            return "the webhook-timestamp is no whole number"
        if abs(datetime.fromtimestamp(int(moment), UTC) - self.now()) > TOLERANCE:
            return "the webhook-timestamp is too far from now"
        if not self.knows(signatures, f"{message}.{moment}.".encode() + body):
            return "no signature of mine"
        if headers.get("content-type", "").partition(";")[0] != "application/json":
            return "the content type is not JSON"
        try:
            json.loads(body)
        except ValueError:
            return "the body is not JSON"
        return ""

    def knows(self, signatures: str, content: bytes) -> bool:
        """Whether one of the signatures is by one of the keys."""
        for key in self.keys:
            made = hmac.new(base64.b64decode(key.removeprefix("whsec_")), content, hashlib.sha256)
            expected = "v1," + base64.b64encode(made.digest()).decode()
            if any(hmac.compare_digest(expected, each) for each in signatures.split(" ")):
                return True
        return False


@contextlib.asynccontextmanager
async def receiver(*keys: str) -> AsyncIterator[Receiver]:
    """A receiver that knows these keys."""
    there = Receiver(keys=list(keys))
    async with serving(there.receive) as url:
        there.url = f"{url}/hooks/runbookd"
        yield there
