"""The bare limits: what the same libraries do without runbookd. `python -m tests.bench.bare KIND FILE`.

`parse` reads JSON and answers; `durable` also keeps the body in SQLite (WAL, synchronous=FULL), many requests to
one commit, before it answers; `forward` then calls the sink (third argument) with the alert's `sent_ns`. Prints the
port.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import sys
import threading

import orjson
from aiohttp import ClientSession, web


class GroupCommit:
    """One thread that writes, one commit for all that wait."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        """Open the file."""
        self._queue: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        self._loop, self._path = loop, path
        threading.Thread(target=self._write, daemon=True).start()

    async def add(self, body: bytes) -> None:
        """Return once the body is on disk."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((body, future))
        await future

    def _write(self) -> None:
        database = sqlite3.connect(self._path, isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE deliveries (id INTEGER PRIMARY KEY, body BLOB)")
        while True:
            waiting = [self._queue.get()]
            while not self._queue.empty() and len(waiting) < 256:
                waiting.append(self._queue.get())
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO deliveries (body) VALUES (?)", [(body,) for body, _ in waiting])
            database.execute("COMMIT")
            self._loop.call_soon_threadsafe(_resolve, [future for _, future in waiting])


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        future.set_result(None)


async def main(kind: str, path: str, sink: str = "") -> None:
    """Serve until killed."""
    store = GroupCommit(path, asyncio.get_running_loop()) if kind != "parse" else None
    session = ClientSession()

    async def hook(request: web.Request) -> web.Response:
        body = await request.read()
        message = orjson.loads(body)
        if store is not None:
            await store.add(body)
        if sink:
            sent = message["alerts"][0]["annotations"]["sent_ns"]
            async with session.post(sink, json={"sent_ns": sent}):
                pass
        return web.json_response({"ok": True}, status=202)

    app = web.Application(client_max_size=16 << 20)
    app.router.add_post("/v1/hooks/alertmanager", hook)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
