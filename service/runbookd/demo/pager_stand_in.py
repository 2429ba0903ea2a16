"""A PagerDuty in place of the real one: it takes every event, and keeps whom it would have called for what.

Events API v2: https://developer.pagerduty.com/docs/events-api-v2/overview/
"""

from __future__ import annotations

from aiohttp import web

from runbookd.demo.told import EDIT, MESSAGE, Book

_TRIGGER = "trigger"


class PagerStandIn:
    """The service that rings phones, over HTTP."""

    def __init__(self, book: Book) -> None:
        self._book = book

    async def take(self, request: web.Request) -> web.Response:
        """Take an event: phones ring, or what rang is acknowledged or resolved."""
        event = await request.json()
        payload = event.get("payload") or {}
        text = str((payload.get("custom_details") or {}).get("text", ""))
        rings = event["event_action"] == _TRIGGER
        subject = str(payload.get("summary", "")) if rings else str(event["event_action"])
        self._book.note("pagerduty", MESSAGE if rings else EDIT, ("phones",), (subject, text))
        answer = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
        return web.json_response(answer, status=web.HTTPAccepted.status_code)
