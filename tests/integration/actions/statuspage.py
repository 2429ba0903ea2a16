"""One page at Statuspage for tests: the settings that lead to it, and calls of its actions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from runbookd.actions.performer import CataloguePerformer
from runbookd.model.action import Call, Outcome
from tests.contract.actions.hands import NOW, SetClock, call, performing
from tests.fakes.statuspage import KEY, PAGE, StatusPage, status_page

COMPONENTS = {"shop": "id-shop", "payments": "id-pay", "mail": "id-mail"}
OPEN = {
    "key": "01JX",
    "name": "The web shop is slow",
    "body": "Some orders take longer than usual.",
    "impact": "major",
    "components": {"shop": "degraded_performance", "payments": "partial_outage"},
}
UPDATE = {"key": "01JX", "status": "identified", "body": "The cause is found."}


@asynccontextmanager
async def page() -> AsyncIterator[StatusPage]:
    """An empty page whose clock stands at the tests' now."""
    async with status_page() as there:
        there.now = lambda: NOW
        yield there


def settings(there: StatusPage, more: Mapping[str, object] | None = None) -> Mapping[str, Any]:
    """The settings that lead to the page."""
    where = {"url": there.url, "page": PAGE, "token_secret": "page_key", "components": COMPONENTS}
    return {"statuspage": where | dict(more or {})}


@asynccontextmanager
async def keeping(
    there: StatusPage, more: Mapping[str, object] | None = None, *, key: str = KEY
) -> AsyncIterator[CataloguePerformer]:
    """A performer that keeps the page."""
    async with performing(settings(there, more), clock=SetClock(NOW), page_key=key) as performer:
        yield performer


def to_open(fields: Mapping[str, object] | None = None, *, within: timedelta | None = None) -> Call:
    """A call that opens the incident."""
    return call("statuspage.open_incident", {**OPEN, **(fields or {})}, timeout=_seconds(within))


def to_update(fields: Mapping[str, object] | None = None, *, within: timedelta | None = None) -> Call:
    """A call that updates it."""
    return call("statuspage.update_incident", {**UPDATE, **(fields or {})}, timeout=_seconds(within))


async def perform(there: StatusPage, made: Call, *, key: str = KEY) -> Outcome:
    """One call, with a performer of its own."""
    async with keeping(there, key=key) as performer:
        return await performer.perform(made)


def _seconds(within: timedelta | None) -> float:
    return 10.0 if within is None else within.total_seconds()
