"""A small JSON client of the Kubernetes API for the harness.

Deliberately not the client library that the service uses: a fault there must not hide in the harness too.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import aiohttp

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


RECONNECT_S = 0.2


class ApiRefusalError(Exception):
    """The API server answered with a status from 400 on; `status` is that code, the text is its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class GoneError(Exception):
    """A watch's position is too old (410 inside the stream); list again."""


class Api:
    """Calls to one API server as one user; `async with` it. Paths begin with `/api` or `/apis`."""

    def __init__(self, url: str, token: str, trust: ssl.SSLContext) -> None:
        self._session = aiohttp.ClientSession(
            url,
            headers={"Authorization": f"Bearer {token}"},
            connector=aiohttp.TCPConnector(ssl=trust, limit=0),
            timeout=aiohttp.ClientTimeout(total=30),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(
        self, method: str, path: str, body: object = None, *, content_type: str = "application/json"
    ) -> Object:
        """One call, JSON both ways; raises ApiRefusalError."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        async with self._session.request(method, path, data=data, headers=headers) as answer:
            if answer.status >= 400:
                raise ApiRefusalError(answer.status, await answer.text())
            found: Object = await answer.json(content_type=None)
            return found

    async def text(self, path: str) -> str:
        """The text behind a path, whatever the status."""
        async with self._session.get(path) as answer:
            return await answer.text()

    async def get(self, path: str) -> Object:
        """Read an object or a list."""
        return await self.call("GET", path)

    async def create(self, path: str, body: Mapping[str, Any]) -> Object:
        """Create an object in a collection."""
        return await self.call("POST", path, body)

    async def ensure(self, path: str, body: Mapping[str, Any]) -> None:
        """Create an object unless it is there."""
        try:
            await self.create(path, body)
        except ApiRefusalError as refusal:
            if refusal.status != 409:
                raise

    async def patch(self, path: str, body: Mapping[str, Any], content_type: str = MERGE_PATCH) -> Object:
        """Patch an object, by JSON merge patch unless told otherwise."""
        return await self.call("PATCH", path, body, content_type=content_type)

    async def put(self, path: str, body: Mapping[str, Any]) -> Object:
        """Replace an object; 409 when its resourceVersion is not the newest."""
        return await self.call("PUT", path, body)

    async def delete(self, path: str, grace_s: int | None = None) -> None:
        """Delete an object, with this grace period if given."""
        await self.call("DELETE", path, None if grace_s is None else {"gracePeriodSeconds": grace_s})

    async def watch(self, path: str) -> AsyncIterator[tuple[str, Object]]:
        """Every object of a collection, then every change, for ever: ("ADDED" | "MODIFIED" | "DELETED", object).

        A stream that ends is taken up again from a new list, so an object may be seen twice, and one deleted in
        between may not be reported.
        """
        while True:
            try:
                found = await self.get(path)
                for item in found["items"]:
                    yield "ADDED", item
                async for change in self._changes(path, found["metadata"]["resourceVersion"]):
                    yield change
            except (GoneError, aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(RECONNECT_S)

    async def _changes(self, path: str, version: str) -> AsyncIterator[tuple[str, Object]]:
        """The changes since a version, until the server ends the stream; raises GoneError when it is too old."""
        query = {"watch": "1", "resourceVersion": version}
        endless = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with self._session.get(path, params=query, timeout=endless) as answer:
            if answer.status >= 400:
                raise ApiRefusalError(answer.status, await answer.text())
            async for line in _lines(answer.content):
                change = json.loads(line)
                if change["type"] == "ERROR":
                    raise GoneError(change["object"].get("message"))
                yield change["type"], change["object"]


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: an object is often longer than the reader's own line limit."""
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
