"""How a request of the `pagerduty` package gets out: from its thread to the event loop, and from there once.

The package waits and tries again by itself, on 429 without an end, while an attempt of ours is one attempt. So it never
sees a failure: an answer that is no success, or the end of the attempt's time, ends the whole call here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from runbookd.actions.base import Context
from runbookd.actions.config import MEBIBYTE
from runbookd.actions.failures import Rejected, failure_of_status, retry_after_of
from runbookd.actions.fetch import Answer, Request, fetch
from runbookd.errors import ActionError

_MAX_ANSWER = 4 * MEBIBYTE
_EXCERPT = 300
_PASSED = ("accept", "authorization", "content-type", "from")
"""The headers of the package that are sent; the rest is for the sender of the request to say."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the package, and where its thread waits for the answer."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes
    answer: Future[Answer] = field(default_factory=Future)


class Wire:
    """The package's transport (of `httpx2`): each request waits in its thread until the event loop has the answer.

    `asked` holds the requests; None in it says that there will be no more.
    """

    def __init__(self, httpx: Any) -> None:
        self.asked: asyncio.Queue[Asked | None] = asyncio.Queue()
        self._httpx = httpx
        self._loop = asyncio.get_running_loop()
        self._shut = False

    def handle_request(self, request: Any) -> Any:
        """Answer one request; called in the thread. Raises `concurrent.futures.CancelledError` once `shut`."""
        headers = {name: request.headers[name] for name in _PASSED if name in request.headers}
        asked = Asked(request.method, request.url.raw_path.decode("ascii"), headers, request.read())
        self._loop.call_soon_threadsafe(self._ask, asked)
        found = asked.answer.result()
        return self._httpx.Response(found.status, stream=self._httpx.ByteStream(found.body))

    def shut(self) -> None:
        """Let nothing out any more; a thread that waits, or asks again, is sent home."""
        self._shut = True
        while not self.asked.empty():
            if (waiting := self.asked.get_nowait()) is not None:
                waiting.answer.cancel()

    def _ask(self, asked: Asked) -> None:
        if self._shut:
            asked.answer.cancel()
        else:
            self.asked.put_nowait(asked)


async def carry(context: Context, wire: Wire, base: str) -> None:
    """Send what is asked for to this base URL, until there is no more; raises for any answer that is no success."""
    asked: Asked | None = None
    try:
        while (asked := await wire.asked.get()) is not None:
            asked.answer.set_result(await _answered(context, base, asked))
    finally:
        if asked is not None:
            asked.answer.cancel()
        wire.shut()


def check_encrypted(base: str) -> None:
    """Raise Rejected (`refused`) when a key would cross a network in clear; PagerDuty itself takes https only."""
    parts = urlsplit(base)
    if parts.scheme == "https" or _is_here(parts.hostname or ""):
        return
    message = (
        f"{base} would send a key of PagerDuty's unencrypted; use https (http only to this machine itself)"
    )
    raise Rejected(message, kind="refused")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _answered(context: Context, base: str, asked: Asked) -> Answer:
    """Send it once; raises Unavailable or Rejected for every answer that is no success."""
    answer = await fetch(
        context,
        Request(
            method=asked.method,
            url=base.rstrip("/") + asked.path,
            headers=asked.headers,
            content=asked.content or None,
            reads=asked.method == "GET",
            max_body=_MAX_ANSWER,
        ),
    )
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        raise _failure(context, asked, answer)
    if answer.truncated:
        raise Rejected(f"PagerDuty's answer is longer than {_MAX_ANSWER} bytes", kind="too_large")
    return answer


def _failure(context: Context, asked: Asked, answer: Answer) -> ActionError:
    """What a status means, in PagerDuty's own words; the REST API says `ratelimit-reset` in place of Retry-After.

    https://developer.pagerduty.com/docs/72d3b724589e3-rest-api-rate-limits
    """
    wait = answer.headers.get("retry-after") or answer.headers.get("ratelimit-reset")
    path = asked.path.partition("?")[0]
    message = f"PagerDuty answered {answer.status} to {asked.method} {path}"
    if said := _said(context, answer):
        message += f": {said}"
    return failure_of_status(answer.status, message, retry_after=retry_after_of(wait, context.now()))


def _said(context: Context, answer: Answer) -> str:
    """The message and the list of errors: `{"error": {...}}` of the REST API, bare of the Events API, else the body.

    Keys are wiped before it is cut, or the beginning of one could stay.
    """
    told = answer.json()
    told = told.get("error", told) if isinstance(told, dict) else None
    if isinstance(told, dict) and isinstance(told.get("message"), str):
        errors = told.get("errors")
        reasons = [str(each) for each in errors] if isinstance(errors, list) else []
        text = "; ".join((told["message"], *reasons))
    else:
        text = answer.text
    words = " ".join(str(context.disclosed.wipe(text)).split())
    return words if len(words) <= _EXCERPT else words[:_EXCERPT] + "…"
