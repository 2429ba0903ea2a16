"""`/healthz` (the process answers), `/readyz` (it can do its work; if not, why not) and `/metrics`.

Readiness takes a replica out of the load balancer and never restarts it: point only a liveness probe at `/healthz`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from runbookd.errors import StoreError
from runbookd.web.problems import HEADERS, Problem, answer, problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from prometheus_client import CollectorRegistry

    from runbookd.ports import Clock, Store, Tx
    from runbookd.web.auth import Credentials

Check = Callable[[], Awaitable[str | None]]
"""Asks one thing: None when all is well, else the reason why not."""

Warn = Callable[[], str | None]
"""Tells one thing that a person should mend: None when all is well."""

CHECK_SECONDS: Final = 2.0
"""How long one check may take before that is its reason."""

PROBED_AT: Final = "readiness_probed_at"
"""The switch that is written to learn whether writing works."""


class Health:
    """The three pages. Each of `checks` returns None when all is well, else the reason why not.

    So does each of `warnings`, about what a person should mend although the service can do its work.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        warnings: Mapping[str, Warn],
        registry: CollectorRegistry,
        metrics_door: Credentials | None,
    ) -> None:
        """`metrics_door` guards `/metrics`; None leaves it open."""
        self._checks = checks
        self._warnings = warnings
        self._registry = registry
        self._metrics_door = metrics_door
        self._asking: asyncio.Task[dict[str, str]] | None = None

    async def healthz(self, _request: web.Request) -> web.Response:
        """Say that the process answers."""
        return answer(HTTPStatus.OK, {"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """Answer 200 when every check passes, else 503 with the reason of each that does not.

        `warnings` tells what does not keep it from its work, such as a refused reload.
        """
        reasons = await self._reasons()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        warnings = {name: said for name, warn in self._warnings.items() if (said := warn()) is not None}
        told = {"status": "not ready" if reasons else "ready", "reasons": reasons, "warnings": warnings}
        return answer(status, told)

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with the metrics, in the format the scraper asks for."""
        if self._metrics_door is not None and not self._metrics_door.allow(request.headers, None):
            return problem(
                HTTPStatus.UNAUTHORIZED,
                Problem.UNAUTHORIZED,
                "the metrics need the bearer token set as `metrics_bearer`",
                headers={"WWW-Authenticate": self._metrics_door.challenge},
            )
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers=HEADERS | {"Content-Type": content_type})

    async def _reasons(self) -> dict[str, str]:
        """Run the checks, once for everybody who asks at the same time: strangers can ask, and a check writes."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(_run(self._checks))
        return await asyncio.shield(self._asking)


async def _run(checks: Mapping[str, Check]) -> dict[str, str]:
    """Return the reason of every check that does not pass, by its name."""
    reasons = await asyncio.gather(*(_ask(check) for check in checks.values()))
    return {name: reason for name, reason in zip(checks, reasons, strict=True) if reason is not None}


async def _ask(check: Check) -> str | None:
    """Run one check; a slow one or a failing database is a reason."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
    except StoreError as error:
        return str(error)


def store_writable(store: Store, clock: Clock) -> Check:
    """Check that the database takes writes, by making a small one: a full disk shows only then."""

    async def check() -> str | None:
        now = clock.now().isoformat()

        async def unit(tx: Tx) -> None:
            await tx.switches.set(PROBED_AT, now)

        await store.write(unit)
        return None

    return check


def queue_young(store: Store, clock: Clock, limit: timedelta) -> Check:
    """Check that no delivery has waited longer than `limit` to be taken apart."""

    async def pending(tx: Tx) -> tuple[int, datetime | None]:
        return await tx.deliveries.pending()

    async def check() -> str | None:
        count, oldest = await store.read(pending)
        if oldest is None or clock.now() - oldest <= limit:
            return None
        age = (clock.now() - oldest).total_seconds()
        return (
            f"{count} deliveries wait, the oldest for {age:.0f} s; the limit is {limit.total_seconds():.0f} s"
        )

    return check


def content_loaded(is_loaded: Callable[[], bool]) -> Check:
    """Check that rules and playbooks are there."""

    async def check() -> str | None:
        return None if is_loaded() else "no rules and playbooks are loaded; see `runbookd check`"

    return check
