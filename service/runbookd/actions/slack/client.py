"""The one place where the Slack SDK is imported: signing in, and one call of the Web API.

https://docs.slack.dev/tools/python-slack-sdk/web. The SDK knows the methods and their parameters. What it would do by
itself is switched off: repeating a call, reading a proxy from the environment, and writing messages into the debug
log.

- Every call has a connection of its own: a pooled one may be closed by the server just as a message is written.
- A redirect is refused, because the message would be posted again at its target.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp

from runbookd.actions.base import Context
from runbookd.actions.config import HttpAccess
from runbookd.actions.failures import Rejected, failure_of_error, retry_after_of
from runbookd.actions.fetch import trusted
from runbookd.actions.reach import open_socket
from runbookd.actions.slack.answers import failure_of, unreadable
from runbookd.errors import ActionError

if TYPE_CHECKING:
    from slack_sdk.errors import SlackApiError
    from slack_sdk.web.async_client import AsyncWebClient
    from slack_sdk.web.async_slack_response import AsyncSlackResponse

Json: TypeAlias = Mapping[str, Any]
Call: TypeAlias = "Callable[[AsyncWebClient], Awaitable[AsyncSlackResponse]]"
"""A method of the SDK's client, called with its parameters: `lambda slack: slack.auth_test()`."""

_SILENT = logging.getLogger("runbookd.actions.slack.sdk")
_SILENT.setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Sdk:
    """What is used of the SDK, imported at the first call only."""

    client: type[AsyncWebClient]
    refusal: type[SlackApiError]


@dataclass(frozen=True, slots=True)
class Wire:
    """What all calls share: the SDK, and where connections come from."""

    sdk: Sdk
    connector: aiohttp.TCPConnector


async def ask(context: Context, what: str, call: Call, *, reads: bool = False) -> Json:
    """Make one call of the Web API and return its answer, which is a success.

    `what` begins every message; `reads` says that the call changes nothing. Raises RefusedBySlack,
    Unavailable for what may pass, Rejected when the call cannot be made.
    """
    token = _token(context)
    wire = await context.shared("slack", lambda: _wire(context.config.http))
    context.sent = bool(context.sent)
    try:
        async with context.patience(), _session(wire, context, what, reads=reads) as session:
            answer = (await call(_client(wire, context, token, session))).data
    except wire.sdk.refusal as error:
        raise _refusal(context, what, error.response) from error
    except (aiohttp.ClientError, OSError) as error:
        raise failure_of_error(error, what) or unreadable(what) from error
    except (AttributeError, RecursionError, ValueError) as error:
        # What the SDK raises for JSON that is no object, or none at all under that name.
        raise unreadable(what) from error
    if isinstance(answer, dict):
        return answer
    raise unreadable(what)


def text_of(answer: Json, what: str, *path: str) -> str:
    """The text at this path of an answer; raises Unavailable, in doubt, when it is not there."""
    found: object = answer
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, str) and found:
        return found
    raise unreadable(what)


def _token(context: Context) -> str:
    """The bot token; raises Rejected (`denied`) for a text that cannot be one, without showing it."""
    name = context.config.slack.token_secret
    token = context.secret(name).strip()
    context.hide(token)
    if token and token.isascii() and token.isprintable() and " " not in token:
        return token
    message = f"the secret {name!r} holds no Slack token; put the bot token of the app (`xoxb-`) there"
    raise Rejected(message, kind="denied")


@asynccontextmanager
async def _wire(access: HttpAccess) -> AsyncIterator[Wire]:
    """Import the SDK, and make the connector."""
    sdk = await asyncio.to_thread(_load)
    connector = aiohttp.TCPConnector(
        ssl=trusted(access), force_close=True, use_dns_cache=False, socket_factory=open_socket
    )
    try:
        yield Wire(sdk, connector)
    finally:
        await connector.close()


def _load() -> Sdk:
    """Import the SDK; a fifth of a second of work, so it is done in a thread. Raises Rejected when it is missing."""
    try:
        from slack_sdk.errors import SlackApiError
        from slack_sdk.web.async_client import AsyncWebClient
    except ImportError as error:
        message = (
            "Slack actions need the extra `slack`, which is not installed: "
            f"pip install 'runbookd[slack]' ({error})"
        )
        raise Rejected(message, kind="unsupported") from error
    return Sdk(AsyncWebClient, SlackApiError)


@asynccontextmanager
async def _session(
    wire: Wire, context: Context, what: str, *, reads: bool
) -> AsyncIterator[aiohttp.ClientSession]:
    """A session for one call, which notes when a request that changes something has left."""

    async def sent(_session: aiohttp.ClientSession, _trace: object, _params: object) -> None:
        context.sent = True

    async def redirected(_session: aiohttp.ClientSession, _trace: object, _params: object) -> None:
        message = f"{what}: redirected to another address; check `actions.slack.url`"
        raise Rejected(message, kind="unexpected_status")

    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(redirected)
    if not reads:
        tracing.on_request_headers_sent.append(sent)
    async with aiohttp.ClientSession(
        connector=wire.connector,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
        trace_configs=[tracing],
    ) as session:
        yield session


def _client(wire: Wire, context: Context, token: str, session: aiohttp.ClientSession) -> AsyncWebClient:
    """The SDK's client for one call."""
    client = wire.sdk.client(
        token=token,
        base_url=context.config.slack.url,
        session=session,
        user_agent_prefix="runbookd",
        logger=_SILENT,
        retry_handlers=[],
    )
    client.proxy = None
    return client


def _refusal(context: Context, what: str, response: Any) -> ActionError:
    """The failure in an answer: the SDK's, or the bare one of aiohttp when its JSON could not be read."""
    status = getattr(response, "status_code", None) or response.status
    return failure_of(
        what,
        status,
        getattr(response, "data", None),
        retry_after=retry_after_of(response.headers.get("Retry-After"), context.now()),
        secret=context.config.slack.token_secret,
    )
