"""The one place where the Kubernetes SDK is imported: signing in, requests, paging, streams, and what their failures mean.

https://github.com/tomplus/kubernetes_asyncio. The SDK signs in (in-cluster, kubeconfig, credential plugins) and
holds TLS; objects stay the plain JSON the API gives, so that nothing a newer server knows is lost on the way.

- Reads share one connection pool per cluster. A write gets a connection of its own: a pooled one may be closed by the
  server just as a request is written, and aiohttp repeats PUT and DELETE by itself on such a connection.
- In observe mode every write is a dry run on the server, whatever the action does:
  https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run.
- Credentials that are refused (401) are loaded anew once, because tokens of plugins and files expire.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import orjson
import yaml
from pydantic import Field

from runbookd.actions.base import Context
from runbookd.actions.config import MEBIBYTE, KubernetesAccess, KubernetesCluster
from runbookd.actions.failures import Rejected, failure_of_error, retry_after_of
from runbookd.actions.kubernetes.answers import failure_of
from runbookd.actions.kubernetes.kinds import Json, Kind, Ref
from runbookd.language.fuzzy import did_you_mean
from runbookd.model.action import Mode
from runbookd.model.base import Name

DEFAULT = "default"
FIELD_MANAGER = "runbookd"
MAX_ANSWER = 64 * MEBIBYTE
_MAX_REFUSAL = 65_536
_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_HEARTBEAT = 15.0
"""Seconds between the pings of a stream; a peer that answers none is gone."""

ClusterName = Annotated[
    Name | None,
    Field(
        description="Which of `actions.kubernetes.clusters`. null: the only one, or the one named `default`."
    ),
]


class Patch(StrEnum):
    """How a patch is to be read: https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply.

    Custom resources take no strategic patch.
    """

    STRATEGIC = "application/strategic-merge-patch+json"
    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Connection:
    """One cluster we are signed in to; `reads` is the SDK's client all reads share."""

    name: str
    settings: KubernetesCluster
    sdk: Sdk
    configuration: Any
    reads: Any


@dataclass(frozen=True, slots=True)
class Sdk:
    """The SDK's modules, imported at the first call only."""

    client: Any
    config: Any
    stream: Any


class Cluster:
    """One cluster's API, for one call of an action.

    Every method raises Rejected or Unavailable, with the cluster, the verb and the object in the message.
    """

    def __init__(self, connection: Connection, context: Context) -> None:
        self._connection = connection
        self._context = context
        self.access: KubernetesAccess = context.config.kubernetes

    @property
    def name(self) -> str:
        """How the settings name the cluster."""
        return self._connection.name

    async def get(self, ref: Ref) -> Json:
        """One object, or a subresource that is an object (`scale`, `status`)."""
        return await self._ask("GET", ref)

    async def find(self, ref: Ref) -> Json | None:
        """One object; None when there is none."""
        try:
            return await self.get(ref)
        except Rejected as error:
            if error.kind == "not_found":
                return None
            raise

    async def pages(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> AsyncIterator[list[Json]]:
        """The objects of a kind, page by page, so that only one page is in memory; None reads every namespace.

        `labels` and `fields` are selectors. Objects of a list have no `kind` and `apiVersion` of their own.
        """
        ref, token = kind.at(namespace), ""
        while True:
            query = [("limit", str(self.access.page_size))]
            query += [("labelSelector", labels)] if labels else []
            query += [("fieldSelector", fields)] if fields else []
            query += [("continue", token)] if token else []
            page = await self._ask("GET", ref, query=query)
            yield page.get("items") or []
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    async def each(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> AsyncIterator[Json]:
        """The objects of a kind, one by one; as `pages`."""
        async for page in self.pages(kind, namespace, labels=labels, fields=fields):
            for item in page:
                yield item

    async def text(self, ref: Ref, query: Sequence[tuple[str, str]], most: int) -> tuple[bytes, bool]:
        """A subresource that is text (`log`): up to `most` bytes of it, and whether there was more."""
        body = await self._send("GET", ref, query=query, most=most)
        return body[:most], len(body) > most

    async def create(self, ref: Ref, body: Json) -> Json:
        """Create an object, or post to a subresource (`pods/eviction`); `ref` of a new object has no name."""
        return await self._ask("POST", ref, body=body)

    async def replace(self, ref: Ref, body: Json) -> Json:
        """Put an object as it is to be; with a `resourceVersion` in it, `conflict` when it has changed since."""
        return await self._ask("PUT", ref, body=body)

    async def patch(self, ref: Ref, body: Json | list[Json], how: Patch) -> Json:
        """Change an object; returns it as it is then."""
        return await self._ask("PATCH", ref, body=body, content_type=how.value)

    async def delete(self, ref: Ref, options: Json | None = None) -> Json:
        """Delete an object; `options` are DeleteOptions (preconditions, grace). Returns it, or a Status."""
        return await self._ask("DELETE", ref, body=options)

    @asynccontextmanager
    async def stream(
        self, ref: Ref, query: Sequence[tuple[str, str]]
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket to a subresource (`pods/exec`), protocol `v4.channel.k8s.io`; repeat `command` per argument.

        The caller bounds it in time. Errors while the stream is read are the caller's, as aiohttp raises them.
        Raises Rejected (`observed`) in observe mode, where no command may run.
        """
        if self._context.mode is Mode.OBSERVE:
            raise Rejected(f"{ref} was not called: observe mode changes nothing", kind="observed")
        link, context = self._connection, self._context
        context.sent = bool(context.sent)
        async with link.sdk.stream.WsApiClient(link.configuration, heartbeat=_HEARTBEAT) as api:
            _tell_when_sent(api, context)
            try:
                opening = await _request(api, "GET", ref, query=query, timeout=self._timeout())
                socket = await opening
            except aiohttp.WSServerHandshakeError as error:
                # The body is lost in the handshake; what is missing follows from the request.
                header = retry_after_of((error.headers or {}).get("Retry-After"), context.now())
                raise failure_of(self.name, "POST", ref, (error.status, b""), header) from error
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise self._failure(error, "POST", ref) from error
            finally:
                self._hide_credentials()
            async with socket:
                yield socket

    async def _ask(
        self,
        method: str,
        ref: Ref,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        content_type: str = "application/json",
    ) -> Json:
        """One request and its JSON object."""
        if method != "GET":
            query = [*query, *self._write_query(method)]
        raw = await self._send(
            method, ref, query=query, body=body, content_type=content_type, most=MAX_ANSWER
        )
        if len(raw) > MAX_ANSWER:
            message = f"cluster {self.name!r}: {ref} is longer than {MAX_ANSWER} bytes; ask for less"
            raise Rejected(message, kind="too_large")
        try:
            found = orjson.loads(raw)
        except orjson.JSONDecodeError:
            found = None
        if isinstance(found, dict):
            return found
        message = f"cluster {self.name!r} did not answer with an object to {ref.verb(method)} {ref}; is it Kubernetes?"
        raise Rejected(message, kind="unexpected_status")

    def _write_query(self, method: str) -> list[tuple[str, str]]:
        manager = [] if method == "DELETE" else [("fieldManager", FIELD_MANAGER)]
        return manager + ([("dryRun", "All")] if self._context.mode is Mode.OBSERVE else [])

    async def _send(
        self,
        method: str,
        ref: Ref,
        *,
        most: int,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        content_type: str = "application/json",
    ) -> bytes:
        """One request, again once with new credentials if these are refused; up to `most` + 1 bytes of its answer."""
        for renewed in (False, True):
            async with self._client(method) as api:
                try:
                    response = await _request(
                        api,
                        method,
                        ref,
                        query=query,
                        body=body,
                        content_type=content_type,
                        timeout=self._timeout(),
                    )
                    async with response:
                        ok = response.status < HTTPStatus.MULTIPLE_CHOICES
                        raw = await _read(response, most + 1 if ok else _MAX_REFUSAL)
                except (aiohttp.ClientError, OSError, ValueError) as error:
                    raise self._failure(error, method, ref) from error
                finally:
                    self._hide_credentials()
            if ok:
                return raw
            if response.status != HTTPStatus.UNAUTHORIZED or renewed:
                break
            await _sign_in(self._connection)
        header = retry_after_of(response.headers.get("Retry-After"), self._context.now())
        raise failure_of(self.name, method, ref, (response.status, raw), header)

    @asynccontextmanager
    async def _client(self, method: str) -> AsyncIterator[Any]:
        """The SDK's client for a request: the shared one for a read, one of its own for a write."""
        if method == "GET":
            yield self._connection.reads
            return
        self._context.sent = bool(self._context.sent)
        async with self._connection.sdk.client.ApiClient(self._connection.configuration) as api:
            _tell_when_sent(api, self._context)
            yield api

    def _timeout(self) -> aiohttp.ClientTimeout:
        seconds = min(self._context.call.timeout, self.access.request_timeout).total_seconds()
        return aiohttp.ClientTimeout(total=seconds)

    def _failure(self, error: Exception, method: str, ref: Ref) -> Exception:
        what = f"cluster {self.name!r}: {ref.verb(method)} {ref}"
        return failure_of_error(error, what) or Rejected(f"{what}: {error}", kind="invalid")

    def _hide_credentials(self) -> None:
        for value in self._connection.configuration.api_key.values():
            self._context.hide(value.partition(" ")[2].strip() or value)


async def cluster(context: Context, name: str | None) -> Cluster:
    """The named cluster; without a name the only one, or the one named `default`.

    Raises Rejected: `refused` when the settings do not lead to one, `unsupported` when the SDK is not installed.
    """
    chosen, settings = _chosen(context.config.kubernetes.clusters, name)
    connection = await context.shared(f"kubernetes/{chosen}", lambda: _connected(chosen, settings))
    return Cluster(connection, context)


def _chosen(clusters: Mapping[str, KubernetesCluster], name: str | None) -> tuple[str, KubernetesCluster]:
    """The cluster's name and settings; one that is called `default` needs no settings."""
    if name is None and len(clusters) == 1:
        return next(iter(clusters.items()))
    wanted = DEFAULT if name is None else name
    if wanted in clusters:
        return wanted, clusters[wanted]
    if wanted == DEFAULT and not clusters:
        return wanted, KubernetesCluster()
    if name is None:
        known = ", ".join(sorted(clusters))
        message = f"name a `cluster`: {known} (or call one {DEFAULT!r} in `actions.kubernetes.clusters`)"
    else:
        near = did_you_mean(wanted, clusters)
        message = f"there is no {wanted!r} in `actions.kubernetes.clusters` of the settings.{near}"
    raise Rejected(message, kind="refused")


@asynccontextmanager
async def _connected(name: str, settings: KubernetesCluster) -> AsyncIterator[Connection]:
    """Sign in, and keep a client for the reads until the end."""
    sdk = await asyncio.to_thread(_load)
    configuration = sdk.client.Configuration()
    connection = Connection(name, settings, sdk, configuration, None)
    await _sign_in(connection)
    try:
        reads = sdk.client.ApiClient(configuration)
    except (OSError, ValueError) as error:
        raise _unusable(connection, error) from error
    async with reads:
        reads.user_agent = FIELD_MANAGER
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


async def _sign_in(connection: Connection) -> None:
    """Read address and credentials into the connection's configuration; raises Rejected (`refused`)."""
    settings, sdk, configuration = connection.settings, connection.sdk, connection.configuration
    try:
        if _uses_service_account(settings):
            sdk.config.load_incluster_config(client_configuration=configuration)
        else:
            await sdk.config.load_kube_config(
                config_file=settings.kubeconfig,
                context=settings.context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (
        sdk.config.ConfigException,
        AssertionError,
        AttributeError,
        KeyError,
        OSError,
        TypeError,
        ValueError,
        yaml.YAMLError,
    ) as error:
        raise _unusable(connection, error) from error


def _uses_service_account(settings: KubernetesCluster) -> bool:
    """Whether the pod's own account signs in: when the settings say so, or say nothing and there is one."""
    if settings.kubeconfig is not None or settings.context is not None:
        return False
    return settings.in_cluster or _TOKEN.is_file()


def _unusable(connection: Connection, error: Exception) -> Rejected:
    """The settings of a cluster lead nowhere. A YAML error is told by its place only: the line may hold a token."""
    settings = connection.settings
    if _uses_service_account(settings):
        source = "the service account of the pod"
    else:
        source = f"the kubeconfig {settings.kubeconfig or '($KUBECONFIG or ~/.kube/config)'}"
    mark = getattr(error, "problem_mark", None)
    if isinstance(error, yaml.YAMLError):
        reason = "it is not YAML" + (f" (line {mark.line + 1})" if mark else "")
    else:
        reason = f"{error}" or type(error).__name__
    return Rejected(f"cluster {connection.name!r}: {source} cannot be used: {reason}", kind="refused")


async def _request(
    api: Any,
    method: str,
    ref: Ref,
    *,
    timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - handed on to the SDK, which has none of its own
    query: Sequence[tuple[str, Any]] = (),
    body: object = None,
    content_type: str = "application/json",
) -> Any:
    """Send one request through the SDK, which signs it; its answer is not read yet."""
    return await api.call_api(
        ref.path,
        method,
        query_params=list(query),
        header_params={"Accept": "application/json, */*", "Content-Type": content_type},
        body=body,
        auth_settings=["BearerToken"],
        _preload_content=False,
        _request_timeout=timeout,
    )


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
    """Let the call know when its request has left: from then on the server may act on it."""

    async def sent(_session: aiohttp.ClientSession, _trace: object, _params: object) -> None:
        context.sent = True

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(sent)
    tracing.freeze()
    api.rest_client.pool_manager.trace_configs.append(tracing)
