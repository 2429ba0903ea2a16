"""`/status`, for everybody: which incidents are open and were lately, in public facts only. `web.status_page` opens it.

It is there as HTML, as JSON and as a feed (RSS 2.0), and is up to 10 seconds old. It shows the incidents whose
escalation reaches `statuspage`, in the words of the public messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import web

from runbookd.web.problems import HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADERS: Final = {**HEADERS, "Cache-Control": "public, max-age=10", "Referrer-Policy": "no-referrer"}


class Pages(Protocol):
    """What makes the pages; `policy` is the Content-Security-Policy of the HTML."""

    policy: str

    async def page(self, form: str) -> str:
        """Return the page as `html`, `json` or `rss`. Raises StoreError when it cannot be made."""
        ...


class Status:
    """The handlers."""

    def __init__(self, pages: Pages) -> None:
        """Serve these pages."""
        self._pages = pages

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add every address."""
        router.add_get("/status", self.get_html)
        router.add_get("/status.json", self.get_json)
        router.add_get("/status.rss", self.get_rss)

    async def get_html(self, _request: web.Request) -> web.Response:
        """Show the page to people."""
        return await self._answer("html", "text/html", {"Content-Security-Policy": self._pages.policy})

    async def get_json(self, _request: web.Request) -> web.Response:
        """Give the same facts to programs."""
        return await self._answer("json", "application/json", {"Access-Control-Allow-Origin": "*"})

    async def get_rss(self, _request: web.Request) -> web.Response:
        """Give what was said as a feed, newest first."""
        return await self._answer("rss", "application/rss+xml", {})

    async def _answer(self, form: str, content_type: str, headers: Mapping[str, str]) -> web.Response:
        text = await self._pages.page(form)
        return web.Response(
            text=text, content_type=content_type, charset="utf-8", headers={**_HEADERS, **headers}
        )
