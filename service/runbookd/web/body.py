"""How a request's body is read: bounded in bytes, in time, and over all requests together.

The bound counts what arrives, whatever `Content-Length` says, so a chunked body is bounded too. Compressed bodies are
refused: no sender of ours compresses, and a few kilobytes of gzip can be gigabytes of JSON.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp.web import RequestPayloadError

from runbookd.errors import RunbookdError
from runbookd.web.problems import Problem

if TYPE_CHECKING:
    from datetime import timedelta

    from aiohttp import web

KEPT_OF_REFUSED: Final = 64 * 1024
"""Bytes kept of a body that was refused before all of it was read."""


class BodyRefused(RunbookdError):
    """The body was not read to its end. `start` is what had arrived, at most `KEPT_OF_REFUSED` bytes."""

    def __init__(self, status: HTTPStatus, problem: Problem, detail: str, body: bytearray) -> None:
        """Keep what the answer and the dead letter need."""
        super().__init__(detail)
        self.status = status
        self.problem = problem
        self.start = bytes(body[:KEPT_OF_REFUSED])


class BodyReader:
    """Reads bodies, and knows how many bytes of them are held at this moment."""

    def __init__(self, *, max_body: int, max_held: int, timeout: timedelta, advice: str = "") -> None:
        """`max_body` bounds one body, `max_held` all that are held at once, in bytes; `timeout` one reading.

        `advice` ends what is said of a body that is too large. No source may hold more than three quarters of all, so
        that the flood of one leaves room for the others.
        """
        self._max_body = max_body
        self._max_held = max_held
        self._share = max(max_body, max_held * 3 // 4)
        self._held_by: Counter[str] = Counter()
        self._timeout = timeout.total_seconds()
        self._advice = advice
        self.held = 0

    def release(self, body: bytes | bytearray, source: str = "") -> None:
        """Let go of a body that `read` returned."""
        self.held -= len(body)
        self._held_by[source] -= len(body)

    async def read(self, request: web.Request, source: str = "") -> bytes:
        """Return the whole body, which then counts as held, by this source, until it is released.

        Raises BodyRefused.
        """
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            raise BodyRefused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                Problem.ENCODED_BODY,
                "the body has a Content-Encoding; send it as it is (identity)",
                bytearray(),
            )
        if (request.content_length or 0) > self._max_body:
            raise self._too_large(bytearray())
        body = bytearray()
        try:
            return await self._read_all(request, body, source)
        except BaseException:
            self.release(body, source)
            raise

    async def _read_all(self, request: web.Request, body: bytearray, source: str) -> bytes:
        """Read to the end; `body` holds what arrived, also when this raises."""
        content = request.content
        try:
            if content.is_eof():  # all of it came with the headers: the usual case, which waits for nothing
                self._hold(content.read_nowait(), body, source)
            else:
                async with asyncio.timeout(self._timeout):
                    while chunk := await content.readany():
                        self._hold(chunk, body, source)
        except TimeoutError:
            raise BodyRefused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                Problem.SLOW_BODY,
                f"the body did not arrive within {self._timeout:g} s",
                body,
            ) from None
        except ConnectionError:
            raise BodyRefused(  # nobody hears it; the sender will send again
                HTTPStatus.SERVICE_UNAVAILABLE, Problem.BROKEN_BODY, "the sender went away", body
            ) from None
        except RequestPayloadError:
            raise BodyRefused(
                HTTPStatus.BAD_REQUEST,
                Problem.BROKEN_BODY,
                "the body's chunks are malformed, or it ended before its Content-Length",
                body,
            ) from None
        return bytes(body)

    def _hold(self, chunk: bytes, body: bytearray, source: str) -> None:
        """Count a chunk in. Raises BodyRefused when it is one too many."""
        body += chunk
        self.held += len(chunk)
        self._held_by[source] += len(chunk)
        if len(body) > self._max_body:
            raise self._too_large(body)
        if self.held > self._max_held or self._held_by[source] > self._share:
            raise BodyRefused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                Problem.BUSY,
                "too many bodies wait for the database; send again",
                body,
            )

    def _too_large(self, body: bytearray) -> BodyRefused:
        """Say the limit, and what can be done about it."""
        return BodyRefused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            Problem.TOO_LARGE,
            f"the body is larger than {self._max_body} bytes{self._advice}",
            body,
        )
