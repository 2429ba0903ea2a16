"""The demo's people: a Slack, a PagerDuty and a mail server in place of the real ones, which keep what was told.

Run it as `python -m runbookd.demo.people --port 8081`; it listens on loopback only. Slack and `/told` need, as bearer
token, what the environment variable PEOPLE_TOKEN holds; without that variable they refuse every call.

    POST /api/METHOD  Slack's Web API, as far as runbookd uses it; GET for methods that read
    POST /v2/enqueue  PagerDuty's Events API
    GET  /told        what people were told, in order, as `{"told": [...]}` (see `runbookd.demo.told.Told`)
    GET  /healthz     200, without a token

Mail is taken on a port of its own, `--mail-port`, without encryption or sign-in.
"""

from __future__ import annotations

import argparse
import hmac
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict

from aiohttp import web

from runbookd.demo.mail_stand_in import MailStandIn
from runbookd.demo.pager_stand_in import PagerStandIn
from runbookd.demo.slack_stand_in import SlackStandIn
from runbookd.demo.told import Book

TOKEN_VARIABLE = "PEOPLE_TOKEN"  # noqa: S105 -- the name of the variable, not its value


def build(token: str | None, mail_port: int) -> web.Application:
    """The people as an aiohttp application, which has the mail server beside it while it runs."""
    book = Book()
    slack = SlackStandIn(token, book)

    async def all_told(request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        if not token or not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            error = f"expected 'Authorization: Bearer <the value of {TOKEN_VARIABLE}>'"
            return web.json_response({"error": error}, status=401)
        return web.json_response({"told": [asdict(each) for each in book.entries]})

    async def healthy(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def mail(_app: web.Application) -> AsyncIterator[None]:
        server = await MailStandIn(book).listen(mail_port)
        host, port = server.sockets[0].getsockname()[:2]
        _say(f"mail is taken at {host}:{port}")
        yield
        server.close()

    app = web.Application()
    app.cleanup_ctx.append(mail)
    app.router.add_route("*", "/api/{method}", slack.call)
    app.router.add_post("/v2/enqueue", PagerStandIn(book).take)
    app.router.add_get("/told", all_told)
    app.router.add_get("/healthz", healthy)
    return app


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until SIGTERM or SIGINT; say on standard output where, when ready."""
    parser = argparse.ArgumentParser(prog="python -m runbookd.demo.people", description="The demo's people.")
    parser.add_argument("--port", type=int, default=8081, help="TCP port on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--mail-port", type=int, default=0, help="the same for mail")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", options.port))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = build(os.environ.get(TOKEN_VARIABLE), options.mail_port)
    web.run_app(
        app,
        sock=listener,
        print=lambda _banner: _say(f"people listening on {url}"),
        access_log=None,
        shutdown_timeout=1.0,
    )


if __name__ == "__main__":
    main()
