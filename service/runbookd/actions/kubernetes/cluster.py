"""A cluster's API as the actions use it: objects, pages of objects, text, streams.

In observe mode every write is a dry run on the server, whatever the action does:
https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import aiohttp
import orjson
from pydantic import Field

from runbookd.actions.base import Context
from runbookd.actions.config import MEBIBYTE, KubernetesAccess
from runbookd.actions.failures import Rejected, Unavailable
from runbookd.actions.kubernetes.client import Connection, Request, connect, lines, send, stream
from runbookd.actions.kubernetes.kinds import Json, Kind, Ref
from runbookd.model.action import Mode
from runbookd.model.base import Name

FIELD_MANAGER = "runbookd"
MAX_ANSWER = 64 * MEBIBYTE
_SHORTEST_WATCH = timedelta(seconds=1)
"""A watch that ends sooner, and saw nothing, is broken; asking again and again would be a flood."""

ClusterName = Annotated[
    Name | None,
    Field(
        description="Which of `actions.kubernetes.clusters`. null: the only one there is when the settings name none."
    ),
]


class Patch(StrEnum):
    """How a patch is to be read; custom resources take no strategic one.

    https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
    """

    STRATEGIC = "application/strategic-merge-patch+json"
    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"


async def cluster(context: Context, name: str | None) -> Cluster:
    """The named cluster, or the only one where the settings name none.

    Raises Rejected: `refused` when the settings do not lead to one, `unsupported` when the SDK is not installed.
    """
    return Cluster(await connect(context, name), context)


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
        """One object, or a subresource that is one (`scale`, `status`)."""
        return await self._ask(Request(method="GET", ref=ref))

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
        wanted = [("limit", str(self.access.page_size))]
        wanted += [("labelSelector", labels)] if labels else []
        wanted += [("fieldSelector", fields)] if fields else []
        token = ""
        while True:
            query = [*wanted, ("continue", token)] if token else wanted
            page = await self._ask(Request(method="GET", ref=kind.at(namespace), query=query))
            token = (page.get("metadata") or {}).get("continue") or ""
            yield page.pop("items", None) or []  # not held here while the next is read
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
        """The objects of a kind, one by one; as `pages`. Each is let go of, so that a page is gone before the next."""
        async for page in self.pages(kind, namespace, labels=labels, fields=fields):
            page.reverse()
            while page:
                yield page.pop()

    async def states(self, ref: Ref) -> AsyncGenerator[Json, None]:
        """The object as it is, and again whenever it changes, without end; needs `get` and `watch` on it.

        https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes. Raises `not_found`
        when it is deleted. Close it with `aclosing`.
        """
        while True:
            found = await self.get(ref)
            yield found
            began, changes = self._context.now(), 0
            async with aclosing(self._watch(ref, found["metadata"]["resourceVersion"])) as events:
                async for event in events:
                    if event["type"] == "ERROR":
                        break
                    if event["type"] == "DELETED":
                        raise Rejected(
                            f"cluster {self.name!r}: {ref} was deleted meanwhile", kind="not_found"
                        )
                    changes += 1
                    yield event["object"]
            if not changes and self._context.now() - began < _SHORTEST_WATCH:
                message = f"cluster {self.name!r}: the watch of {ref} ended as soon as it began"
                raise Unavailable(message, kind="connection_lost")

    async def _watch(self, ref: Ref, version: str) -> AsyncGenerator[Json, None]:
        """The changes of one object after a version, until the server ends the watch."""
        seconds = max(1, int(self.access.request_timeout.total_seconds() * 0.8))
        query = [
            ("watch", "true"),
            ("fieldSelector", f"metadata.name={ref.name}"),
            ("resourceVersion", version),
            ("timeoutSeconds", str(seconds)),
        ]
        request = Request(method="GET", ref=ref.kind.at(ref.namespace), query=query)
        async with aclosing(lines(self._connection, self._context, request)) as found:
            async for line in found:
                if line.strip():
                    yield self._object(line, request)

    async def text(self, ref: Ref, query: Sequence[tuple[str, str]], most: int) -> tuple[bytes, bool]:
        """A subresource that is text (`log`): up to `most` bytes of it, and whether there was more."""
        request = Request(method="GET", ref=ref, query=query)
        body = await send(self._connection, self._context, request, most)
        return body[:most], len(body) > most

    async def create(self, ref: Ref, body: Json) -> Json:
        """Create an object, or post to a subresource (`pods/eviction`); `ref` of a new object has no name."""
        return await self._write(Request(method="POST", ref=ref, body=body))

    async def replace(self, ref: Ref, body: Json) -> Json:
        """Put an object as it is to be; with a `resourceVersion` in it, `conflict` when it has changed since."""
        return await self._write(Request(method="PUT", ref=ref, body=body))

    async def patch(self, ref: Ref, body: Json | list[Json], how: Patch) -> Json:
        """Change an object; returns it as it is then."""
        return await self._write(Request(method="PATCH", ref=ref, body=body, content_type=how.value))

    async def delete(self, ref: Ref, options: Json | None = None) -> Json:
        """Delete an object; `options` are DeleteOptions (preconditions, grace). Returns it, or a Status.

        The server reads options in the body or in the query, not both: a dry run has to be asked for in the body too.
        """
        if self._context.mode is Mode.OBSERVE:
            options = {"apiVersion": "v1", "kind": "DeleteOptions", **(options or {}), "dryRun": ["All"]}
        return await self._write(Request(method="DELETE", ref=ref, body=options))

    @asynccontextmanager
    async def stream(
        self, ref: Ref, query: Sequence[tuple[str, str | list[str]]], *, reads: bool = False
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket to a subresource (`pods/exec`), protocol `v4.channel.k8s.io`; `("command", [argv...])`.

        The caller bounds it in time; what breaks while it is read is raised as aiohttp does. Raises Rejected
        (`observed`) in observe mode, where no command may run but one that `reads` only.
        """
        if self._context.mode is Mode.OBSERVE and not reads:
            raise Rejected(f"{ref} was not called: observe mode changes nothing", kind="observed")
        async with stream(self._connection, self._context, ref, query) as socket:
            yield socket

    async def _write(self, request: Request) -> Json:
        """Send a request that changes something; in observe mode only what it would change is computed."""
        query = [] if request.method == "DELETE" else [("fieldManager", FIELD_MANAGER)]
        query += [("dryRun", "All")] if self._context.mode is Mode.OBSERVE else []
        return await self._ask(
            Request(
                method=request.method,
                ref=request.ref,
                query=query,
                body=request.body,
                content_type=request.content_type,
            )
        )

    async def _ask(self, request: Request) -> Json:
        """One request and its JSON object."""
        raw = await send(self._connection, self._context, request, MAX_ANSWER)
        if len(raw) > MAX_ANSWER:
            message = f"cluster {self.name!r}: {request.ref} is longer than {MAX_ANSWER} bytes; ask for less"
            raise Rejected(message, kind="too_large")
        return self._object(raw, request)

    def _object(self, raw: bytes, request: Request) -> Json:
        """The JSON object in an answer; raises Rejected (`unexpected_status`) when it holds none."""
        try:
            found = orjson.loads(raw)
        except orjson.JSONDecodeError:
            found = None
        if isinstance(found, dict):
            return found
        asked = f"{request.verb} {request.ref}"
        message = f"cluster {self.name!r} did not answer with an object to {asked}; is it Kubernetes?"
        raise Rejected(message, kind="unexpected_status")
