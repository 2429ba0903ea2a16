"""`/v1/status`, `/v1/pause`, `/v1/resume`: the switch that stops everything that changes anything.

Every request needs a bearer token of `web.api_tokens`; what is done by it is done by `api:NAME` in the ledger. The body
of a POST is JSON: `{"reason": TEXT}`. With an `Idempotency-Key` (1 to 255 visible characters) it is done once, however
often it is sent; and without one a pause by the same token for the same reason changes nothing the second time.

| answer | when |
|---|---|
| 200 | done: `{"said": a sentence, "changed": whether anything did}` and all that `/v1/status` tells |
| 400 | the body is not JSON |
| 401 | no token, or nobody's |
| 409 | the key was used before, and the switch has been turned the other way since; nothing is done |
| 413, 415 | larger than 64 KiB; compressed |
| 422 | no reason, or a field or key that there is not or that is not as it has to be; the answer names it |
| 503 | temporary: send it again, with the same `Idempotency-Key` |

`/v1/status` tells `paused` (`at`, `by` and `reason`; null when it is not), `budget` (`runs` that act in a `window`, and
how many are `used`) and `brake` (the same of the storm brake, and whether it has `braked`), as `runbookd status
--output json` does. `used` is counted no further than `runs`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from aiohttp import web
from pydantic import Field

from runbookd.web.asking import Asking, Closed, Plain, key_of, read_fields
from runbookd.web.problems import answer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from runbookd.units.pausing import Switched
    from runbookd.web.auth import Tokens


class Why(Closed):
    """The body of a pause, or of its end."""

    reason: Plain = Field(max_length=1000, pattern=r"\S")


class Switching(Protocol):
    """Who turns the switch. Each raises StoreUnavailable when the database cannot be used."""

    async def pause(self, reason: str, actor: str, key: str | None) -> Switched:
        """Stop every mutating call; `key` None is never told twice."""
        ...

    async def resume(self, reason: str, actor: str, key: str | None) -> Switched:
        """Let runs act again."""
        ...

    async def bounds(self) -> Mapping[str, object]:
        """Return the pause, the budget and the storm brake as they are now."""
        ...


class Switch:
    """The handlers."""

    def __init__(self, switching: Switching, tokens: Tokens, read_timeout: timedelta) -> None:
        """Serve whoever has one of the tokens; without any, nobody."""
        self._switching = switching
        self._asking = Asking(tokens, read_timeout)

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add every address."""
        router.add_get("/v1/status", self.get_status)
        router.add_post("/v1/pause", self.post_pause)
        router.add_post("/v1/resume", self.post_resume)

    async def get_status(self, request: web.Request) -> web.Response:
        """Tell whether it is paused, by whom and why, and how much of the bounds is used."""
        if (refused := self._asking.stranger(request)) is not None:
            return refused
        return answer(HTTPStatus.OK, await self._switching.bounds())

    async def post_pause(self, request: web.Request) -> web.Response:
        """Stop everything that changes anything, at once, for every service on the database."""
        return await self._turned(request, "pause")

    async def post_resume(self, request: web.Request) -> web.Response:
        """Let runs act again; runs that the pause stopped stay stopped."""
        return await self._turned(request, "resume")

    async def _turned(self, request: web.Request, what: str) -> web.Response:
        wish = await self._asking.wish(
            request, lambda told, holder: (read_fields(Why, told).reason, holder, key_of(request))
        )
        if isinstance(wish, web.Response):
            return wish
        reason, holder, key = wish
        turn = self._switching.pause if what == "pause" else self._switching.resume
        done = await turn(reason, f"api:{holder}", None if key is None else f"api/{holder}/{what}/{key}")
        told = {"said": done.said, "changed": done.changed, **await self._switching.bounds()}
        # no script may take what was done once for what is
        if not done.changed and (what == "pause") is (told["paused"] is None):
            state = "not paused" if what == "pause" else "paused"
            said = f"this key was used before and nothing was done: it is {state}; send it with another key"
            return answer(HTTPStatus.CONFLICT, {**told, "said": said})
        return answer(HTTPStatus.OK, told)
