"""A load generator that costs little: prebuilt requests over keep-alive connections, no HTTP library in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Result:
    """What a load came to. Times are in milliseconds, one per answer; `statuses` counts answers by HTTP status."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return len(self.times) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Return the time below which this share of the answers lies; 0 when there are none."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Connection:
    """One keep-alive HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use an open stream."""
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect to loopback."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, request: bytes) -> int:
        """Send one request and return the answer's status once its body is read."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        length = int(lower[at : lower.index(b"\r\n", at)])
        if length:
            await self._reader.readexactly(length)
        return int(head[9:12])

    def close(self) -> None:
        """Let go of it."""
        self._writer.close()


def post(path: str, body: bytes, token: str) -> bytes:
    """Build a request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def saturate(port: int, make: Callable[[int], bytes], *, connections: int, seconds: float) -> Result:
    """Send as fast as answers come, over this many connections, for about this long. `make` builds request number n."""
    result, counter = Result(), iter(range(1 << 60))
    open_ones = [await Connection.open(port) for _ in range(connections)]
    begun = time.perf_counter()

    async def one(connection: Connection) -> None:
        while (sent := time.perf_counter()) - begun < seconds:
            status = await connection.send(make(next(counter)))
            result.times.append((time.perf_counter() - sent) * 1000)
            result.statuses[status] = result.statuses.get(status, 0) + 1

    await asyncio.gather(*(one(connection) for connection in open_ones))
    result.seconds = time.perf_counter() - begun
    for connection in open_ones:
        connection.close()
    return result


async def burst(port: int, requests: list[bytes], *, connections: int) -> Result:
    """Open this many connections at once and send everything; new connections, as an alert storm does."""
    result = Result()
    waiting = asyncio.Queue[bytes]()
    for request in requests:
        waiting.put_nowait(request)
    begun = time.perf_counter()

    async def one() -> None:
        connection = await Connection.open(port)
        while not waiting.empty():
            request = waiting.get_nowait()
            sent = time.perf_counter()
            status = await connection.send(request)
            result.times.append((time.perf_counter() - sent) * 1000)
            result.statuses[status] = result.statuses.get(status, 0) + 1
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    result.seconds = time.perf_counter() - begun
    return result
