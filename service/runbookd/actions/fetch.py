"""One HTTP request for any action: bounded, guarded, and honest about whether it was sent.

Every request gets a connection of its own: a pooled one may be closed by the server just as a request is written,
and a mutating call would then be in doubt for nothing. Environment proxies, cookies and automatic redirects are off.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from runbookd.actions.base import Context
from runbookd.actions.config import Endpoint, HttpAccess
from runbookd.actions.failures import Rejected, failure_of_error, failure_of_status, retry_after_of
from runbookd.actions.reach import check_host, open_socket
from runbookd.errors import ActionError

MAX_REDIRECTS = 5
_EXCERPT = 300
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_PARALLEL = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to send. `content` is the body as bytes, None for none; `reads` says that it changes nothing.

    `redirects` follows up to five redirects, and only of requests that read, and only on the same host.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None = None
    reads: bool
    redirects: bool = False
    max_body: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. Header names are lower-case; a repeated header keeps its last value.

    `truncated` is True when the body was longer than `max_body` bytes; `body` then is its beginning.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool
    charset: str
    elapsed: timedelta
    url: str

    @property
    def text(self) -> str:
        """The body as text; bytes that are none become U+FFFD."""
        try:
            return self.body.decode(self.charset, "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON, or None when it is none (or was cut). NaN and infinities are no JSON."""
        if self.truncated:
            return None
        try:
            return json.loads(self.body, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return None

    @property
    def excerpt(self) -> str:
        """The beginning of the body on one line, for a message; "" when it is empty."""
        words = " ".join(self.text[: 2 * _EXCERPT].split())
        return words if len(words) <= _EXCERPT else words[:_EXCERPT] + "…"


async def fetch(context: Context, request: Request) -> Answer:
    """Send the request and read its answer, whatever the status.

    Raises Rejected when it may not be sent, or cannot be; Unavailable when no (whole) answer came.
    """
    session = await context.shared("http", lambda: _session(context.config.http))
    started, url = context.now(), request.url
    for _ in range(MAX_REDIRECTS + 1):
        target = _target(url, context.config.http)
        if target.password:
            # The client makes a header of it, which a server may give back.
            context.hide(target.password)
            context.hide(aiohttp.encode_basic_auth(target.user or "", target.password).partition(" ")[2])
        answer, location = await _once(context, session, request, target)
        if location is None or not (request.redirects and request.reads):
            return replace(answer, elapsed=context.now() - started)
        url = _redirected(target, location)
    raise Rejected(
        f"{where(request.method, request.url)}: more than {MAX_REDIRECTS} redirects", kind="invalid"
    )


async def call_api(context: Context, endpoint: Endpoint, request: Request, name: str) -> Any:
    """Call an API of the operator's, signing in as configured, and return its JSON answer (None for an empty one).

    `name` is how messages call the server. Raises as `fetch`; for a status from 300, `failure_of_status`.
    """
    answer = await fetch(context, _signed(context, endpoint, request))
    if answer.status >= 300:  # noqa: PLR2004 - the first status that is no success
        raise status_failure(
            context, answer, f"{name} answered {answer.status} to {request.method} {_path(request.url)}"
        )
    if answer.truncated:
        message = f"{name}: the answer is longer than {request.max_body} bytes; ask for less"
        raise Rejected(message, kind="too_large")
    if not answer.body.strip():
        return None
    parsed = answer.json()
    if parsed is None:
        message = (
            f"{name} did not answer with JSON to {request.method} {_path(request.url)}: {answer.excerpt}"
        )
        raise Rejected(message, kind="unexpected_status")
    return parsed


def status_failure(context: Context, answer: Answer, what: str) -> ActionError:
    """The failure this answer means, with what the server said about it."""
    retry_after = retry_after_of(answer.headers.get("retry-after"), context.now())
    said = f": {answer.excerpt}" if answer.excerpt else ""
    return failure_of_status(answer.status, what + said, retry_after=retry_after)


def where(method: str, url: str) -> str:
    """`GET https://host/path` for a message: without user, password and query, which may hold secrets."""
    try:
        shown = URL(url).with_query(None).with_fragment(None).with_user(None)
    except ValueError:
        return method
    return f"{method} {shown}"


def _path(url: str) -> str:
    return URL(url).path


def _signed(context: Context, endpoint: Endpoint, request: Request) -> Request:
    """The request with the endpoint's Authorization header, which is wiped from all that is returned."""
    if endpoint.token_secret is not None:
        authorization = f"Bearer {context.secret(endpoint.token_secret)}"
    elif endpoint.username is not None and endpoint.password_secret is not None:
        password = context.secret(endpoint.password_secret)
        authorization = aiohttp.encode_basic_auth(endpoint.username, password)
    else:
        return request
    context.hide(authorization.partition(" ")[2])
    return replace(request, headers={**request.headers, "Authorization": authorization})


def trusted(access: HttpAccess) -> ssl.SSLContext:
    """A TLS client that trusts the system's authorities, and the operator's own if there are some.

    Raises Rejected (`tls`) when their file cannot be read.
    """
    trust = ssl.create_default_context()
    if access.ca_file is not None:
        try:
            trust.load_verify_locations(access.ca_file)
        except OSError as error:
            raise Rejected(
                f"`actions.http.ca_file` {access.ca_file} cannot be used: {error}", kind="tls"
            ) from error
    return trust


@asynccontextmanager
async def _session(access: HttpAccess) -> AsyncIterator[aiohttp.ClientSession]:
    """The session all requests share."""
    connector = aiohttp.TCPConnector(
        ssl=trusted(access),
        limit=_MAX_PARALLEL,
        force_close=True,
        use_dns_cache=False,
        socket_factory=open_socket,
    )
    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(_note_sent)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "runbookd"},
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
        trace_configs=[tracing],
    ) as session:
        # A request that broke off would be sent a second time unasked (GET, PUT, DELETE); there is no public switch.
        session._retry_connection = False  # noqa: SLF001
        yield session


async def _note_sent(_session: aiohttp.ClientSession, trace: Any, _params: object) -> None:
    """From here on the server may act on the request."""
    context = trace.trace_request_ctx
    if context is not None:
        context.sent = True


async def _once(
    context: Context, session: aiohttp.ClientSession, request: Request, target: URL
) -> tuple[Answer, str | None]:
    """One request on the wire: the answer, and where it redirects to (None when it does not)."""
    if context.sent is None:
        context.sent = False
    try:
        async with session.request(
            request.method,
            target,
            headers=request.headers,
            data=request.content,
            allow_redirects=False,
            trace_request_ctx=None if request.reads else context,
        ) as response:
            body = await _read(response, request.max_body + 1)
            location = response.headers.get("Location") if response.status in _REDIRECTS else None
            return _answer(response, body, request.max_body), location
    except (aiohttp.ClientError, OSError, ValueError) as error:
        what = where(request.method, str(target))
        raise failure_of_error(error, what) or Rejected(f"{what}: {error}", kind="invalid") from error


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Up to `limit` bytes of the body, unpacked."""
    parts, length = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        length += len(part)
        if length >= limit:
            break
    return b"".join(parts)[:limit]


def _answer(response: aiohttp.ClientResponse, body: bytes, max_body: int) -> Answer:
    return Answer(
        status=response.status,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=body[:max_body],
        truncated=len(body) > max_body,
        charset=response.charset or "utf-8",
        elapsed=timedelta(),
        url=str(response.url),
    )


def _target(url: str, access: HttpAccess) -> URL:
    """The URL to call; raises Rejected when it is none, or its host is not allowed."""
    try:
        target = URL(url)
    except ValueError as error:
        raise Rejected(f"{url!r} is not a URL: {error}", kind="invalid") from error
    if target.scheme not in {"http", "https"} or not target.host:
        message = f"{url!r} is not a URL that can be called; it begins with http:// or https:// and a host"
        raise Rejected(message, kind="invalid")
    check_host(target.host, access.allowed_hosts)
    return target


def _redirected(origin: URL, location: str) -> str:
    """Where a redirect leads; raises Rejected when that is another host, or away from https."""
    try:
        target = URL(urljoin(str(origin), location))
    except ValueError as error:
        raise Rejected(
            f"{where('GET', str(origin))} redirects to what is not a URL", kind="refused"
        ) from error
    same = (target.scheme, target.host, target.port) == (origin.scheme, origin.host, origin.port)
    upgraded = (origin.scheme, target.scheme) == ("http", "https") and target.host == origin.host
    if same or upgraded:
        return str(target)
    leads = where("", str(target)).strip()
    message = f"{where('GET', str(origin))} redirects to another server, {leads}; call that itself"
    raise Rejected(message, kind="refused")


def _no_constant(name: str) -> object:
    raise ValueError(name)
