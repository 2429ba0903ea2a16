"""The one place where the Kubernetes SDK is imported: signing in, and one request on the wire.

https://github.com/tomplus/kubernetes_asyncio. The SDK signs in (service account, kubeconfig, credential plugins) and
holds TLS; objects stay the plain JSON the API gives, so that nothing a newer server knows is lost on the way.

- Reads share one connection pool per cluster. A write gets a connection of its own: a pooled one may be closed by the
  server just as a request is written, and aiohttp repeats PUT and DELETE by itself on such a connection.
- Credentials that are refused (401) are loaded anew once, because tokens of plugins and files expire.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
import yaml

from runbookd.actions.base import Context
from runbookd.actions.config import KubernetesCluster
from runbookd.actions.failures import Rejected, failure_of_error, retry_after_of
from runbookd.actions.kubernetes.answers import failure_of
from runbookd.actions.kubernetes.kinds import Ref
from runbookd.actions.kubernetes.kubeconfig import fault_of, missing, setting, uses_service_account
from runbookd.actions.kubernetes.naming import UNNAMED, fault_of_name
from runbookd.errors import ActionError

_USER_AGENT = "runbookd"
_MAX_REFUSAL = 65_536
"""Bytes read of an answer that is no success."""
_HEARTBEAT = 15.0
"""Seconds between the pings of a stream; a peer that answers none is gone."""


@dataclass(frozen=True, slots=True)
class Sdk:
    """The SDK's modules, imported at the first call only."""

    client: Any
    config: Any
    stream: Any


@dataclass(frozen=True, slots=True)
class Connection:
    """One cluster we are signed in to; `reads` is the SDK's client all reads share."""

    name: str
    settings: KubernetesCluster
    sdk: Sdk
    configuration: Any
    reads: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to ask of the API server. A name may stand in `query` more than once; `body` is JSON, None for none."""

    method: str
    ref: Ref
    query: Sequence[tuple[str, str]] = ()
    body: object = None
    content_type: str = "application/json"

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"

    @property
    def verb(self) -> str:
        """The RBAC verb it needs."""
        return "watch" if ("watch", "true") in self.query else self.ref.verb(self.method)


async def connect(context: Context, name: str | None) -> Connection:
    """The named cluster, or the only one where the settings name none. Kept until the performer closes.

    Raises Rejected: `refused` when the settings do not lead to one, `unsupported` when the SDK is not installed.
    """
    chosen, settings = _chosen(context.config.kubernetes.clusters, name)
    return await context.shared(f"kubernetes/{chosen}", lambda: _connected(chosen, settings))


async def send(link: Connection, context: Context, request: Request, most: int) -> bytes:
    """One request, once more with new credentials if these are refused; up to `most` + 1 bytes of its answer.

    Raises Rejected or Unavailable for a status that is no success, and when no whole answer came.
    """
    status, body, retry_after = await _once(link, context, request, most)
    if status == HTTPStatus.UNAUTHORIZED:
        await _sign_in(link)
        status, body, retry_after = await _once(link, context, request, most)
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return body
    wait = retry_after_of(retry_after, context.now())
    raise failure_of(link.name, request.verb, request.ref, (status, body), wait)


async def lines(link: Connection, context: Context, request: Request) -> AsyncGenerator[bytes, None]:
    """A read whose answer goes on (a watch), line by line as it comes. Raises as `send`; close it with `aclosing`."""
    try:
        async with await _call(link.reads, context, request) as response:
            if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                wait = retry_after_of(response.headers.get("Retry-After"), context.now())
                refusal = await _read(response, _MAX_REFUSAL)
                raise failure_of(link.name, request.verb, request.ref, (response.status, refusal), wait)
            rest = b""
            async for part in response.content.iter_any():
                *whole, rest = (rest + part).split(b"\n")
                for line in whole:
                    yield line
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _broken(link, request.verb, request.ref, error) from error


@asynccontextmanager
async def stream(
    link: Connection, context: Context, ref: Ref, query: Sequence[tuple[str, Any]]
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket to a subresource such as `pods/exec`, protocol `v4.channel.k8s.io`.

    Until it is open it raises as `send`; after that the caller bounds it in time, and what breaks is raised as
    aiohttp does.
    """
    context.sent = bool(context.sent)
    async with link.sdk.stream.WsApiClient(link.configuration, heartbeat=_HEARTBEAT) as api:
        _tell_when_sent(api, context)
        try:
            # aiohttp takes the time of a whole request for none of a WebSocket's.
            async with asyncio.timeout(_patience(context)):
                socket = await (await _call(api, context, Request(method="GET", ref=ref, query=query)))
        except aiohttp.WSServerHandshakeError as error:
            # A handshake keeps no body; a 403 is told from the request alone.
            header = error.headers.get("Retry-After") if error.headers else None
            wait = retry_after_of(header, context.now())
            raise failure_of(link.name, "create", ref, (error.status, b""), wait) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _broken(link, "create", ref, error) from error
        finally:
            _hide_credentials(link, context)
        async with socket:
            yield socket


def _chosen(clusters: Mapping[str, KubernetesCluster], name: str | None) -> tuple[str, KubernetesCluster]:
    """The cluster's name and settings; where none is named, there is one without either."""
    fault = fault_of_name(clusters, name)
    if fault is not None:
        raise Rejected(fault, kind="refused")
    return (UNNAMED, KubernetesCluster()) if name is None else (name, clusters[name])


@asynccontextmanager
async def _connected(name: str, settings: KubernetesCluster) -> AsyncIterator[Connection]:
    """Sign in, and keep a client for the reads until the end."""
    sdk = await asyncio.to_thread(_load)
    configuration = sdk.client.Configuration()
    link = Connection(name, settings, sdk, configuration, None)
    await _sign_in(link)
    try:
        reads = sdk.client.ApiClient(configuration)
    except (OSError, ValueError) as error:
        raise _unusable(link, error) from error
    async with reads:
        yield Connection(name, settings, sdk, configuration, reads)


def _load() -> Sdk:
    """Import the SDK; half a second of work, so it is done in a thread. Raises Rejected when it is not installed."""
    try:
        import kubernetes_asyncio.client
        import kubernetes_asyncio.config
        import kubernetes_asyncio.stream
    except ImportError as error:
        message = (
            "Kubernetes actions need the extra `kubernetes`, which is not installed: "
            f"pip install 'runbookd[kubernetes]' ({error})"
        )
        raise Rejected(message, kind="unsupported") from error
    return Sdk(kubernetes_asyncio.client, kubernetes_asyncio.config, kubernetes_asyncio.stream)


async def _sign_in(link: Connection) -> None:
    """Read address and credentials into the connection's configuration; raises Rejected (`refused`)."""
    settings, loader = link.settings, link.sdk.config
    if settings.kubeconfig is not None:
        fault = await asyncio.to_thread(fault_of, settings.kubeconfig, settings.context)
        if fault is not None:
            raise _refused(link, fault)
    elif not uses_service_account(settings):
        fault = await asyncio.to_thread(missing, loader.kube_config.KUBE_CONFIG_DEFAULT_LOCATION)
        if fault is not None:
            raise _refused(link, fault)
    # What the SDK's reader raises for a file that is not as it expects.
    odd = (AssertionError, AttributeError, KeyError, OSError, TypeError, ValueError, yaml.YAMLError)
    try:
        if uses_service_account(settings):
            loader.load_incluster_config(client_configuration=link.configuration)
        else:
            await loader.load_kube_config(
                config_file=settings.kubeconfig,
                context=settings.context,
                client_configuration=link.configuration,
                persist_config=False,
            )
    except (loader.ConfigException, *odd) as error:
        raise _unusable(link, error) from error


def _unusable(link: Connection, error: Exception) -> Rejected:
    """The settings of a cluster lead nowhere. A YAML error is told by its place only: the line may hold a token.

    So may what the SDK shows of an entry, which begins with a brace.
    """
    mark = getattr(error, "problem_mark", None)
    if isinstance(error, yaml.YAMLError):
        return _refused(link, "it is not YAML" + (f" (line {mark.line + 1})" if mark else ""))
    return _refused(link, str(error).partition("{")[0].strip() or type(error).__name__)


def _refused(link: Connection, fault: str) -> Rejected:
    """Say which cluster cannot be reached, by which setting, and why."""
    named = link.name != UNNAMED
    place = setting(link.name if named else "NAME")
    file = f"name a file in `{place}`" + ("" if named else ", and NAME in the calls")
    if uses_service_account(link.settings):
        source = "the service account of the pod"
        advice = f"; outside a pod, {file}"
    elif link.settings.kubeconfig is None:
        source = "the kubeconfig ($KUBECONFIG or ~/.kube/config)"
        advice = f"; {file}"
    else:
        source, advice = f"the kubeconfig {link.settings.kubeconfig} (`{place}`)", ""
    return Rejected(f"cluster {link.name!r}: {source} cannot be used: {fault}{advice}", kind="refused")


async def _once(
    link: Connection, context: Context, request: Request, most: int
) -> tuple[int, bytes, str | None]:
    """One request on the wire: the status, the beginning of the body, and the `Retry-After` header."""
    try:
        async with (
            _client(link, context, request) as api,
            await _call(api, context, request) as response,
        ):
            ok = response.status < HTTPStatus.MULTIPLE_CHOICES
            body = await _read(response, most + 1 if ok else _MAX_REFUSAL)
            return response.status, body, response.headers.get("Retry-After")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _broken(link, request.verb, request.ref, error) from error
    finally:
        _hide_credentials(link, context)


@asynccontextmanager
async def _client(link: Connection, context: Context, request: Request) -> AsyncIterator[Any]:
    """The SDK's client for a request: the shared one for a read, one of its own for a write."""
    if request.reads:
        yield link.reads
        return
    context.sent = bool(context.sent)
    async with link.sdk.client.ApiClient(link.configuration) as api:
        _tell_when_sent(api, context)
        yield api


async def _call(api: Any, context: Context, request: Request) -> Any:
    """Send a request through the SDK, which signs it; the answer is not read yet."""
    api.user_agent = _USER_AGENT
    return await api.call_api(
        request.ref.path,
        request.method,
        query_params=list(request.query),
        header_params={
            "Accept": "application/json, */*",
            "Content-Type": request.content_type,
        },
        body=request.body,
        auth_settings=["BearerToken"],
        _preload_content=False,
        _request_timeout=aiohttp.ClientTimeout(total=_patience(context)),
    )


def _patience(context: Context) -> float:
    """Seconds the API server has for an answer."""
    return min(context.call.timeout, context.config.kubernetes.request_timeout).total_seconds()


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Up to `limit` bytes of the body, unpacked."""
    parts, length = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        length += len(part)
        if length >= limit:
            break
    return b"".join(parts)[:limit]


def _tell_when_sent(api: Any, context: Context) -> None:
    """Let the call know when its request has left: from then on the server may act on it.

    aiohttp sends GET (an exec's too), PUT and DELETE once more when a connection breaks before the answer; that would
    be a blind repetition, so no second connection is made.
    """
    left = False

    async def sent(_session: aiohttp.ClientSession, _trace: object, _params: object) -> None:
        nonlocal left
        left = context.sent = True

    async def connecting(_session: aiohttp.ClientSession, _trace: object, _params: object) -> None:
        if left:
            raise aiohttp.ServerDisconnectedError

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_start.append(connecting)
    tracing.on_request_headers_sent.append(sent)
    tracing.freeze()
    api.rest_client.pool_manager.trace_configs.append(tracing)


def _broken(link: Connection, verb: str, ref: Ref, error: Exception) -> ActionError:
    what = f"cluster {link.name!r}: {verb} {ref}"
    return failure_of_error(error, what) or Rejected(f"{what}: {error}", kind="invalid")


def _hide_credentials(link: Connection, context: Context) -> None:
    for value in link.configuration.api_key.values():
        context.hide(value.partition(" ")[2].strip() or value)
