"""`docs/reference/http.md`: every address of the HTTP door, and what answers there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from typing import cast

from aiohttp import web
from prometheus_client import CollectorRegistry

from runbookd.runtime.clock import SystemClock
from runbookd.sources import HOOKS
from runbookd.web import problems
from runbookd.web.app import Everybody, Inside, create_app
from runbookd.web.config import WebConfig
from runbookd.web.hooks import Inbox
from runbookd.web.problems import Problem
from runbookd.web.status import Pages
from tools.docs.markdown import code, prose, table
from tools.docs.markdown import page as make_page


def application(registry: CollectorRegistry) -> web.Application:
    """Make the service's application, with every address and metric of its door."""
    inside = Inside(cast("Inbox", None), cast("Everybody", None), SystemClock(), cast("Pages", object()))
    return create_app(WebConfig(), inside, checks={}, registry=registry)


def routes() -> list[web.AbstractRoute]:
    """Return every route but HEAD, which goes with GET, in the order they are added."""
    return [route for route in application(CollectorRegistry()).router.routes() if route.method != "HEAD"]


def page() -> str:
    """Make the page."""
    parts = [f"Sources that take webhooks: {', '.join(code(source) for source in sorted(HOOKS))}."]
    for module, found in groupby(routes(), key=lambda route: route.handler.__module__):
        parts += _section(module, list(found))
    parts += ["## Errors", prose(problems.__doc__)]
    parts += [f"The `error` of a problem is one of {', '.join(code(each.value) for each in Problem)}."]
    return make_page("HTTP", ["service/runbookd/web/"], *parts)


def address(route: web.AbstractRoute) -> str:
    """Return a route's method and path, as `POST /v1/hooks/{source}`."""
    path = route.resource.canonical if route.resource else ""
    return f"{route.method} {path}"


def _section(module: str, found: list[web.AbstractRoute]) -> Iterator[str]:
    yield f"## {', '.join(code(address(route)) for route in found)}"
    yield prose(sys.modules[module].__doc__)
    yield table(
        ("address", "what answers"), [[code(address(route)), prose(route.handler.__doc__)] for route in found]
    )
