"""The demo shop: a small real HTTP service that a bad release breaks and a rollback mends.

Run it as `python -m runbookd.demo.shop --port 8080`; it listens on loopback only. Users see `/`; operators
see `/health` and `/metrics`; a deploying system, or a runbook, uses `/admin/*` with the bearer token that
the environment variable SHOP_TOKEN holds. Without that variable every `/admin` call is refused (403).

    GET  /admin/releases   which release serves, since when, and the last good one
    POST /admin/releases   {"name": "v2", "quality": "good" | "bad"} deploys
    POST /admin/rollback   {"to": "v1"} makes that release serve
    GET  /admin/calls      every deploy and rollback asked for, in order, with its key and what became of it
    POST /admin/faults     how rollbacks misbehave from now on (see `runbookd.demo.endpoints.Faults`)

A deploy or rollback may carry an Idempotency-Key: the same key twice is answered from the record and changes
nothing. A call that has arrived is carried out even when its caller dies meanwhile, as in real services.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
from aiohttp import web

from runbookd.demo.endpoints import TOKEN_VARIABLE, Endpoints, Faults, build
from runbookd.demo.state_file import StateFile


async def visit(url: str, per_second: float) -> None:
    """Be the users: ask for the front page so many times a second, for ever; the page counts its answers."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(url) as answer:
                    await answer.read()
            await asyncio.sleep(1 / per_second)


def users(url: str, per_second: float) -> Callable[[web.Application], AsyncIterator[None]]:
    """A cleanup context that keeps `visit` going while the application runs."""

    async def running(_app: web.Application) -> AsyncIterator[None]:
        visits = asyncio.create_task(visit(url, per_second))
        yield
        visits.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await visits

    return running


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m runbookd.demo.shop", description="The demo shop.")
    parser.add_argument("--port", type=int, default=8080, help="TCP port on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--state", type=Path, help="file that keeps the shop over a restart; none: forget")
    parser.add_argument(
        "--users", type=float, default=0.0, help="visits to / per second made by the shop itself"
    )
    parser.add_argument(
        "--delay-ms", type=int, default=0, help="wait before and after carrying out a rollback"
    )
    parser.add_argument(
        "--proven-after", type=float, default=2.0, help="seconds without error that make it good"
    )
    return parser.parse_args()


def main() -> None:
    """Serve until SIGTERM or SIGINT; say so in one line on standard output when ready."""
    options = arguments()
    state = StateFile(options.state)
    shop = state.load(time.time(), options.proven_after)
    endpoints = Endpoints(shop, state, Faults(options.delay_ms, options.delay_ms))
    app = build(endpoints, os.environ.get(TOKEN_VARIABLE))
    listener = socket.create_server(("127.0.0.1", options.port))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    if options.users > 0:
        app.cleanup_ctx.append(users(url, options.users))

    def announce(_banner: str) -> None:
        sys.stdout.write(f"shop listening on {url}\n")
        sys.stdout.flush()

    web.run_app(app, sock=listener, print=announce, access_log=None, shutdown_timeout=1.0)


if __name__ == "__main__":
    main()
