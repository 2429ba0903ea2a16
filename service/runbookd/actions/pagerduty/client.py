"""The one place where the `pagerduty` package is imported, and how its blocking calls are made.

Each call works in a thread whose only way out is `runbookd.actions.pagerduty.wire`; what the package does for us is to
know the two APIs: events, entities, pages.

- Events API v2: https://developer.pagerduty.com/docs/events-api-v2/overview/
- REST API v2: https://developer.pagerduty.com/api-reference/
- The package: https://pagerduty.github.io/python-pagerduty/
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import Field, StringConstraints

from runbookd.actions.base import Context
from runbookd.actions.failures import Rejected
from runbookd.actions.pagerduty.wire import Wire, carry, check_encrypted

T = TypeVar("T")

ServiceKey = Annotated[
    str, Field(description="Integration key of an Events API v2 service, as `${secret.NAME}`.")
]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,40}$")]
"""What PagerDuty calls one of its things, as `PI7DH85`."""

_KEY = re.compile(r"[A-Za-z0-9]{32}")
_THREADS = 32
"""Attempts at once. One that finds no thread in its time was never sent."""


@dataclass(frozen=True, slots=True)
class Package:
    """The package, the HTTP library it is built on, and the threads it works in.

    The loop's own threads are not used: they resolve host names, for which those of the package would then wait.
    """

    sdk: Any
    httpx: Any
    threads: ThreadPoolExecutor


async def send_event(
    context: Context, service_key: str, action: str, dedup_key: str, properties: Mapping[str, object]
) -> str:
    """Send an alert event; the key PagerDuty knows the alert by. Raises Rejected or Unavailable."""
    sent = await _through_events(
        context, service_key, lambda client: client.send_event(action, dedup_key, **properties)
    )
    return str(sent)


async def send_change(
    context: Context, service_key: str, payload: Mapping[str, object], links: Sequence[Mapping[str, str]]
) -> None:
    """Send a change event. Raises Rejected or Unavailable."""
    await _through_events(
        context, service_key, lambda client: client.send_change_event(dict(payload), list(links))
    )


async def read(context: Context, path: str, query: Mapping[str, object]) -> Any:
    """What lies at a path of the REST API, unwrapped. Raises Rejected or Unavailable."""
    return await _through_rest(context, lambda client: client.rget(path, params=dict(query)))


async def read_all(context: Context, path: str, query: Mapping[str, object]) -> list[Any]:
    """Every entry of a list of the REST API, page by page. Raises Rejected or Unavailable."""
    found = await _through_rest(context, lambda client: client.list_all(path, params=dict(query)))
    return list(found)


async def write(context: Context, path: str, entity: Mapping[str, object]) -> Any:
    """Post an entity to a path of the REST API; what PagerDuty made of it. Raises Rejected or Unavailable."""
    return await _through_rest(context, lambda client: client.rpost(path, json=dict(entity)))


async def _through_events(context: Context, service_key: str, work: Callable[[Any], T]) -> T:
    context.hide(service_key)
    if not _KEY.fullmatch(service_key):
        message = (
            "`service_key` is not the integration key of an Events API v2 service: 32 letters and digits"
        )
        raise Rejected(message, kind="invalid")
    base = context.config.pagerduty.events_url
    return await _through(
        context, base, lambda sdk, wire: work(sdk.EventsApiV2Client(service_key, transport=wire))
    )


async def _through_rest(context: Context, work: Callable[[Any], T]) -> T:
    settings = context.config.pagerduty
    if settings.token_secret is None:
        message = "the REST API needs a key: set `actions.pagerduty.token_secret` to the secret that holds it"
        raise Rejected(message, kind="refused")
    token = context.secret(settings.token_secret)

    def call(sdk: Any, wire: Wire) -> T:
        return work(sdk.RestApiV2Client(token, default_from=settings.from_email, transport=wire))

    return await _through(context, settings.rest_url, call)


async def _through(context: Context, base: str, call: Callable[[Any, Wire], T]) -> T:
    """Do the work in a thread, and meanwhile send what it asks for to this base URL."""
    check_encrypted(base)
    if context.sent is None:
        context.sent = False
    package = await context.shared("pagerduty", _package)
    wire = Wire(package.httpx)
    work = asyncio.get_running_loop().run_in_executor(package.threads, _in_thread, package.sdk, call, wire)
    work.add_done_callback(lambda _: wire.asked.put_nowait(None))
    try:
        await carry(context, wire, base)
        return await work
    finally:
        work.cancel()


def _in_thread(sdk: Any, call: Callable[[Any, Wire], T], wire: Wire) -> T:
    """The package complains of answers it does not understand, or stumbles over them; raises Rejected for that."""
    try:
        return call(sdk, wire)
    except (sdk.Error, AttributeError, KeyError, TypeError) as error:
        message = (
            f"PagerDuty's answer is not what its API promises; is the URL in the settings right? {error}"
        )
        raise Rejected(message, kind="unexpected_status") from error


@asynccontextmanager
async def _package() -> AsyncIterator[Package]:
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="pagerduty")
    try:
        sdk, httpx = await asyncio.get_running_loop().run_in_executor(pool, _load)
        yield Package(sdk, httpx, pool)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _load() -> tuple[Any, Any]:
    """Import the package; a tenth of a second the first time. Raises Rejected when it is not installed."""
    try:
        import httpx2  # noqa: PLC0415 - comes with the package, and costs as much
        import pagerduty
    except ImportError as error:
        message = (
            "PagerDuty actions need the extra `pagerduty`, which is not installed: "
            f"pip install 'runbookd[pagerduty]' ({error})"
        )
        raise Rejected(message, kind="unsupported") from error
    return pagerduty, httpx2
